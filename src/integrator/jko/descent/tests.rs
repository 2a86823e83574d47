//! Parts of a descent.
