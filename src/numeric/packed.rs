//! Packed layouts of samples: the operands of the microkernels, in lines of 64 bytes.

use crate::real::Real;

/// Bytes of a line: a cache line, and a whole number of vectors at every SIMD level.
const LINE: usize = 64;

/// A buffer aligned to a cache line.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            start: 0,
            len: 0,
        }
    }
}

impl<T: Clone> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        if let Some(first) = self.data.first() {
            copy.resize(self.len, first.clone());
            copy.as_mut_slice().clone_from_slice(self.as_slice());
        }
        copy
    }
}

impl<T: Clone> Aligned<T> {
    /// Sets the length, without reallocation if the capacity suffices; the content is unspecified.
    pub(crate) fn resize(&mut self, len: usize, fill: T) {
        let slack = LINE / size_of::<T>().max(1);
        if self.data.len() < len + slack {
            self.data.resize(len + slack, fill);
            self.start = self.data.as_ptr().align_offset(LINE).min(slack);
        }
        self.len = len;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

/// `W`, the samples of a line: one feature of `W` samples is 64 bytes.
#[inline]
pub(crate) const fn line<T>() -> usize {
    if size_of::<T>() >= LINE {
        1
    } else {
        LINE / size_of::<T>()
    }
}

/// Dimension d below which lines of features are not packed.
pub(crate) const WIDE: usize = 24;

/// The features, of d, that fill whole lines of features.
#[inline]
pub(crate) const fn whole_lines<T>(d: usize) -> usize {
    if d < WIDE {
        0
    } else {
        d / line::<T>() * line::<T>()
    }
}

/// Samples packed `W` at a time in two layouts, with zeros beyond the last sample.
#[derive(Debug, Clone)]
pub(crate) struct Lines<T> {
    /// Lines of samples: feature f of sample `l W + w` is at `(l d + f) W + w`.
    samples: Aligned<T>,
    /// Lines of features: feature `c W + v` of sample `l W + w` is at `((l C + c) W + w) W + v`,
    /// for the `C = d / W` whole lines of features. Empty below [`WIDE`] features.
    features: Aligned<T>,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self {
            samples: Aligned::default(),
            features: Aligned::default(),
        }
    }
}

impl<T: Real> Lines<T> {
    /// Copies the samples `x` (`d x n`, columns are points).
    pub(crate) fn fill(&mut self, x: &[T], d: usize) {
        let width = line::<T>();
        pack(x, d, d, &mut self.samples, |w, x, to| {
            for (&x, to) in x.iter().zip(to[w..].iter_mut().step_by(width)) {
                *to = x;
            }
        });
        pack(x, d, whole_lines::<T>(d), &mut self.features, |w, x, to| {
            let lines = to[w * width..].chunks_mut(width * width);
            for (x, to) in x.chunks_exact(width).zip(lines) {
                to[..width].copy_from_slice(x);
            }
        });
    }

    /// The lines of samples.
    pub(crate) fn samples(&self) -> &[T] {
        self.samples.as_slice()
    }

    /// The lines of features.
    pub(crate) fn features(&self) -> &[T] {
        self.features.as_slice()
    }
}

/// Packs the samples `x` (`d x n`), `W` at a time, in groups of `rows x W` scalars. After a group
/// is set to 0, `copy(w, x, group)` writes its sample w.
fn pack<T: Real>(
    x: &[T],
    d: usize,
    rows: usize,
    out: &mut Aligned<T>,
    copy: impl Fn(usize, &[T], &mut [T]),
) {
    let width = line::<T>();
    out.resize((x.len() / d).div_ceil(width) * rows * width, T::zero());
    let groups = out.as_mut_slice().chunks_exact_mut((rows * width).max(1));
    for (samples, group) in x.chunks(width * d).zip(groups) {
        group.fill(T::zero());
        for (w, x) in samples.chunks_exact(d).enumerate() {
            copy(w, x, group);
        }
    }
}
