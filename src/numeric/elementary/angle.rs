//! The arc-cosine kernel of unit vectors, from the lengths of their difference and their sum.
//!
//! W. Kahan, How futile are mindless assessments of roundoff, 2006 ("Mangled angles"): with
//! `m = |w - v|` and `p = |w + v|`, `tan(t/2) = m/p`, accurate at angles t close to 0 and to pi,
//! where a function of `w.v` cancels. No inverse cosine is evaluated.

use std::f64::consts::{FRAC_PI_2, PI};

use super::lanes::{Lanes, Vectors};
use super::{Float, polynomial};
use crate::numeric::simd::{Simd, SimdKernel, dispatch, same_mut, with_simd_scalar};
use crate::real::Real;

/// `tan(pi/8)`, the largest argument of the polynomial of the arctangent.
const TAN_PI_8: f64 = 0.414_213_562_373_095_03;

/// `pi - t` below which the kernel is a power series, because `sin t` and `(pi - t) cos t` cancel.
const NEARLY_OPPOSITE: f64 = 0.5;

/// `(sin t + (pi - t) cos t, sin t, pi - t) / (2 pi)` for unit vectors at the angle t, from the
/// squares of the lengths of their difference and their sum.
#[inline(always)]
fn arc_cosine<L: Lanes>(minus: L, plus: L) -> [L; 3] {
    let zero = L::Scalar::narrow(0.0);
    // The angle a <= pi/2 of the lines: a = t if t is acute, and otherwise pi - t.
    let acute = plus - minus;
    let small = acute.select_below(zero, plus, minus);
    let large = acute.select_below(zero, minus, plus);
    let cos = (large - small) * small.narrow(0.25);
    let (small, large) = (small.sqrt(), large.sqrt());
    let sin = small * large * small.narrow(0.5);
    // a/2 = atan(small/large), reduced by pi/4.
    let side = large.neg_mul_add(small.narrow(TAN_PI_8), small);
    let quotient = side.select_below(zero, small, small - large)
        / side.select_below(zero, large, small + large);
    let square = quotient * quotient;
    let atan = (quotient * square).mul_add(polynomial(L::Scalar::ATAN, square), quotient);
    let offset = side.select_below(zero, small.narrow(0.0), small.narrow(FRAC_PI_2));
    let angle = (atan + atan) + offset;
    // Over 2 pi, so that the value is exact at the angle 0.
    let (turn, half, one) = (small.narrow(0.5 / PI), small.narrow(0.5), small.narrow(1.0));
    let (sin, turns) = (turn * sin, turn * angle);
    let supplement = acute.select_below(zero, turns, half - turns);
    let cos = acute.select_below(zero, -cos, cos);
    let sum = supplement.mul_add(cos, sin);
    let opposite = acute.select_below(zero, angle, one);
    let square = opposite * opposite;
    let series = polynomial(L::Scalar::ARC_COSINE, square) * (square * turns);
    let threshold = L::Scalar::narrow(NEARLY_OPPOSITE);
    [
        opposite.select_below(threshold, series, sum),
        sin,
        supplement,
    ]
}

/// For unit vectors `w` and `v_r` at the angle `t_r`, replaces `minus_r = |w - v_r|^2` by
/// `sin t_r + (pi - t_r) cos t_r`, and `plus_r = |w + v_r|^2` by `pi - t_r`; writes `sin t_r`. All
/// three are over 2 pi.
///
/// Slices are whole groups of four vectors of `f32` or `f64`. The value has a relative error of
/// below 16 units of rounding, apart from that of the lengths.
///
/// # Panics
/// If `T` is neither `f32` nor `f64`.
pub(crate) fn arc_cosines<T: Real>(minus: &mut [T], plus: &mut [T], sin: &mut [T]) {
    with_simd_scalar!(T as E => {
        let [minus, plus, sin] = [minus, plus, sin].map(same_mut::<T, E>);
        dispatch(ArcCosines { minus, plus, sin });
    });
}

struct ArcCosines<'a, E> {
    minus: &'a mut [E],
    plus: &'a mut [E],
    sin: &'a mut [E],
}

impl<E: Float> SimdKernel for ArcCosines<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let minus = S::vectors_mut(self.minus).as_chunks_mut::<2>().0;
        let plus = S::vectors_mut(self.plus).as_chunks_mut::<2>().0;
        let sin = S::vectors_mut(self.sin).as_chunks_mut::<2>().0;
        for ((minus, plus), sin) in minus.iter_mut().zip(plus).zip(sin) {
            let lanes = arc_cosine(Vectors::new(s, *minus), Vectors::new(s, *plus));
            *minus = lanes[0].get();
            *sin = lanes[1].get();
            *plus = lanes[2].get();
        }
    }
}
