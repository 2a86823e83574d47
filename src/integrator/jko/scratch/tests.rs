//! The pool.

use super::*;

#[test]
fn gives_fields_of_the_shape_when_empty() {
    let mut scratch = Scratch::<f64>::new((3, 2), Vec::new());
    assert_eq!(scratch.take().shape(), (3, 2));
    assert_eq!(scratch.take().shape(), (3, 2));
    assert!(scratch.into_fields().is_empty());
}

/// The very buffers, not copies.
#[test]
fn keeps_what_it_is_given() {
    let fields = vec![
        DMatrix::from_element(2, 2, 1.0_f32),
        DMatrix::from_element(2, 2, 2.0),
    ];
    let mut buffers: Vec<_> = fields
        .iter()
        .map(|field| field.as_slice().as_ptr())
        .collect();
    let mut scratch = Scratch::new((2, 2), fields);
    let (a, b) = (scratch.take(), scratch.take());
    assert!(scratch.fields.is_empty());
    scratch.give([a, b]);
    scratch.give([]);
    let mut back: Vec<_> = scratch
        .into_fields()
        .iter()
        .map(|field| field.as_slice().as_ptr())
        .collect();
    buffers.sort_unstable();
    back.sort_unstable();
    assert_eq!(back, buffers);
}
