//! Packed operands of the kernels: particles `(a_i, b_i)` with weights `c_i`, and samples `x_j`.

use std::ops::Range;

use super::blocking::SAMPLES;
use crate::numeric::packed::whole_lines;
use crate::numeric::simd::{self, SimdScalar};
use crate::real::Real;

/// Particles and samples of a pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operands<'a, T> {
    /// The particles `(a_i, b_i)`, `p x m`, p = k + d.
    pub(super) w: &'a [T],
    /// The weights `c_i`; empty in a pass that does not depend on them.
    pub(super) c: &'a [T],
    /// The number of outputs.
    pub(super) k: usize,
    /// The number of inputs.
    pub(super) d: usize,
    /// d zeros, in place of `b_i` beyond the last particle.
    pub(super) zeros: &'a [T],
    /// All samples, packed.
    pub(super) x: Panel<'a, T>,
}

impl<'a, T: Real> Operands<'a, T> {
    /// p, the number of coordinates of a particle.
    #[inline(always)]
    pub(super) fn p(&self) -> usize {
        self.k + self.d
    }

    /// m, the number of particles.
    pub(super) fn particles(&self) -> usize {
        self.w.len() / self.p()
    }

    /// `b_i, .., b_(i + R - 1)`, 0 beyond the last particle.
    #[inline(always)]
    pub(super) fn directions<const R: usize>(&self, i: usize) -> [&'a [T]; R] {
        let p = self.p();
        let mut b = [self.zeros; R];
        for r in 0..R {
            let w = self.w.get((i + r) * p + self.k..(i + r + 1) * p);
            b[r] = w.unwrap_or(self.zeros);
        }
        b
    }

    /// `c_i a_il, .., c_(i + R - 1) a_(i + R - 1)l` for output l, 0 beyond the last particle and
    /// without weights.
    #[inline(always)]
    pub(super) fn coefficients<const R: usize>(&self, i: usize, l: usize) -> [T; R] {
        let p = self.p();
        let mut ca = [T::zero(); R];
        for r in 0..R {
            if let (Some(&c), Some(&a)) = (self.c.get(i + r), self.w.get((i + r) * p + l)) {
                ca[r] = c * a;
            }
        }
        ca
    }

    /// The padded samples from `first` to `last`, whole lines.
    pub(super) fn panel(&self, first: usize, last: usize) -> Panel<'a, T> {
        let (d, whole) = (self.d, whole_lines::<T>(self.d));
        Panel {
            samples: &self.x.samples[first * d..last * d],
            features: &self.x.features[first * whole..last * whole],
        }
    }

    /// The particles in the range, on the same samples.
    pub(super) fn particles_in(&self, range: Range<usize>) -> Self {
        let p = self.p();
        let c = if self.c.is_empty() {
            0..0
        } else {
            range.clone()
        };
        Self {
            w: &self.w[range.start * p..range.end * p],
            c: &self.c[c],
            ..*self
        }
    }

    /// The same particles on the padded samples from `first` to `last`, whole lines.
    pub(super) fn part(&self, first: usize, last: usize) -> Self {
        Self {
            x: self.panel(first, last),
            ..*self
        }
    }

    /// The same operands with the scalar type written as `E`, which must be `T`.
    pub(super) fn with_scalar<E: SimdScalar>(&self) -> Operands<'a, E> {
        Operands {
            w: simd::same(self.w),
            c: simd::same(self.c),
            k: self.k,
            d: self.d,
            zeros: simd::same(self.zeros),
            x: self.x.with_scalar(),
        }
    }
}

/// A panel of samples, packed in whole lines of samples and in whole lines of features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel<'a, T> {
    pub(super) samples: &'a [T],
    pub(super) features: &'a [T],
}

impl<'a, T: Real> Panel<'a, T> {
    /// The same panel with the scalar type written as `E`, which must be `T`.
    pub(super) fn with_scalar<E: SimdScalar>(&self) -> Panel<'a, E> {
        Panel {
            samples: simd::same(self.samples),
            features: simd::same(self.features),
        }
    }
}

/// Maximal number of rows of a tile, over all SIMD levels.
pub(super) const ROWS: usize = 12;

/// `R` rows on a panel, on the stack.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Rows<T, const R: usize>(pub(super) [[T; SAMPLES]; R]);

impl<T: Real, const R: usize> Rows<T, R> {
    #[inline(always)]
    pub(super) fn zeros() -> Self {
        Self([[T::zero(); SAMPLES]; R])
    }

    /// The first `rows` rows on a panel of n samples, one after the other.
    #[inline(always)]
    pub(super) fn first(&mut self, rows: usize, n: usize) -> &mut [T] {
        &mut self.0.as_flattened_mut()[..rows * n]
    }
}
