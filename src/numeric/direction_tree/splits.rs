//! Recursive splits at the median of the widest coordinate.

use crate::numeric::parallel::{Parts, for_each};

/// Maximal dimension of the vectors.
pub(crate) const MAX_DIM: usize = 5;

/// Vectors in a task of the construction.
pub(super) const TASK: usize = 1 << 13;

/// A vector in the construction: its direction, on which the splits depend, and its index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) direction: [f32; MAX_DIM],
    pub(super) index: u32,
}

/// Orders entries of dimension d such that every `width` consecutive ones are close, by recursive
/// splits: in parallel over all parts of a split, from the second one on.
pub(super) fn order(entries: &mut [Entry], d: usize, width: usize) {
    let mut size = entries.len().next_power_of_two();
    while size > TASK {
        let parts = Parts::new(entries, size);
        for_each(parts, true, &|_, part: Parts<'_, Entry>| {
            split(part.data, size / 2, d);
        });
        size /= 2;
    }
    let parts = Parts::new(entries, size);
    for_each(parts, true, &|_, part: Parts<'_, Entry>| {
        split_to_lines(part.data, size, d, width);
    });
}

/// Orders entries such that the first `half` are below the others in the widest coordinate.
fn split(entries: &mut [Entry], half: usize, d: usize) {
    if entries.len() <= half {
        return;
    }
    let mut range = [(f32::INFINITY, f32::NEG_INFINITY); MAX_DIM];
    for entry in entries.iter() {
        for ((min, max), &s) in range.iter_mut().zip(&entry.direction) {
            (*min, *max) = (min.min(s), max.max(s));
        }
    }
    let extent = |r: usize| range[r].1 - range[r].0;
    let widest = (1..d).fold(0, |widest, r| {
        if extent(r) > extent(widest) {
            r
        } else {
            widest
        }
    });
    entries.select_nth_unstable_by(half, |e, f| {
        let order = e.direction[widest].total_cmp(&f.direction[widest]);
        order.then(e.index.cmp(&f.index))
    });
}

/// Splits entries, at most `size` of them, down to lines of `width`.
fn split_to_lines(entries: &mut [Entry], size: usize, d: usize, width: usize) {
    if entries.len() <= width {
        return;
    }
    let half = size / 2;
    split(entries, half, d);
    let (left, right) = entries.split_at_mut(half.min(entries.len()));
    split_to_lines(left, half, d, width);
    split_to_lines(right, half, d, width);
}
