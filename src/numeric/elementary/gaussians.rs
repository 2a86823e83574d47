//! Sums of Gaussian functions of the distance with weights in the log domain.

use super::{Float, Lanes, Scalar, reduced_exp};
use crate::numeric::simd::{Multiversion, multiversion, same, with_simd_scalar};
use crate::real::Real;

/// Sources that are processed at once, a whole number of vectors at every SIMD level.
const PARTS: usize = 32;

/// Exponents are replaced by the nearest one of this size, so that `exp` is one normal power of 2
/// times a number near 1.
#[inline(always)]
fn largest_exponent<E: Float>() -> E {
    E::narrow(if E::DOUBLE { 707.0 } else { 86.0 })
}

/// `sum_r exp(a_r - rate |w - v_r|^2 - shift)` over the sources `v_r` of a block, coordinate l of
/// source r at `l width + r`, `width = a.len()` a multiple of 32.
///
/// Exponents outside `[-707, 707]` (`[-86, 86]` in `f32`) are replaced by the nearest bound. Panics
/// unless `T` is `f32` or `f64`.
pub(crate) fn sum_gaussians<T: Real>(w: &[T], points: &[T], a: &[T], [rate, shift]: [T; 2]) -> T {
    with_simd_scalar!(T as E => {
        let (w, points, a) = (same::<T, E>(w), same(points), same(a));
        let [rate, shift] = [same::<T, E>(&[rate])[0], same(&[shift])[0]];
        same(&[multiversion(Gaussians { w, points, a, rate, shift })])[0]
    })
}

struct Gaussians<'a, E> {
    w: &'a [E],
    points: &'a [E],
    a: &'a [E],
    rate: E,
    shift: E,
}

impl<E: Float> Multiversion for Gaussians<'_, E> {
    type Output = E;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> E {
        match *self.w {
            [x] => self.sum::<FUSED, _>([x]),
            [x, y] => self.sum::<FUSED, _>([x, y]),
            [x, y, z] => self.sum::<FUSED, _>([x, y, z]),
            _ => self.sum_of_any_dim::<FUSED>(),
        }
    }
}

impl<E: Float> Gaussians<'_, E> {
    /// The sum in `R^P`.
    #[inline(always)]
    fn sum<const FUSED: bool, const P: usize>(&self, w: [E; P]) -> E {
        let width = self.a.len();
        let mut rows: [&[E]; P] = [&[]; P];
        for (l, row) in rows.iter_mut().enumerate() {
            *row = &self.points[l * width..][..width];
        }
        let mut sums = [E::zero(); PARTS];
        for (t, a) in self.a.as_chunks::<PARTS>().0.iter().enumerate() {
            let mut squares = [E::zero(); PARTS];
            for (row, &w) in rows.iter().zip(&w) {
                let row = &row[t * PARTS..][..PARTS];
                for (square, &v) in squares.iter_mut().zip(row) {
                    let z = w - v;
                    *square = Scalar::<E, FUSED>(z).mul_add(Scalar(z), Scalar(*square)).0;
                }
            }
            self.add::<FUSED>(&squares, a, &mut sums);
        }
        total(sums)
    }

    #[inline(always)]
    fn sum_of_any_dim<const FUSED: bool>(&self) -> E {
        let width = self.a.len();
        let mut sums = [E::zero(); PARTS];
        for (t, a) in self.a.as_chunks::<PARTS>().0.iter().enumerate() {
            let mut squares = [E::zero(); PARTS];
            for (row, &w) in self.points.chunks_exact(width).zip(self.w) {
                let row = &row[t * PARTS..][..PARTS];
                for (square, &v) in squares.iter_mut().zip(row) {
                    let z = w - v;
                    *square = Scalar::<E, FUSED>(z).mul_add(Scalar(z), Scalar(*square)).0;
                }
            }
            self.add::<FUSED>(&squares, a, &mut sums);
        }
        total(sums)
    }

    /// Adds `exp(a_r - rate s_r - shift)` to the sums.
    #[inline(always)]
    fn add<const FUSED: bool>(&self, squares: &[E; PARTS], a: &[E; PARTS], sums: &mut [E; PARTS]) {
        let bound = largest_exponent::<E>();
        for ((&s, &a), sum) in squares.iter().zip(a).zip(sums) {
            let x = Scalar::<E, FUSED>(self.rate).neg_mul_add(Scalar(s), Scalar(a - self.shift));
            let (shifted, p) = reduced_exp(x.at_least(-bound).at_most(bound));
            let scale = shifted.power_of_two();
            *sum += scale.mul_add(p, scale).0;
        }
    }
}

/// The sum of all lanes, by halves.
#[inline(always)]
fn total<E: Float>(mut sums: [E; PARTS]) -> E {
    let mut len = PARTS;
    while len > 1 {
        len /= 2;
        for l in 0..len {
            sums[l] += sums[l + len];
        }
    }
    sums[0]
}
