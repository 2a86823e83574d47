//! Starts of a flow.
