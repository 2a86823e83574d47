//! Sine and cosine, in `f64` for both formats.

use super::{Float, Scalar, polynomial};
use crate::numeric::double_double::two_sum;
use crate::numeric::simd::{Multiversion, multiversion};

/// Largest `|x|` for which [`sin_cos`] is accurate.
const SIN_COS_MAX: f64 = 1e6;

/// `(sin x, cos x)` for `|x| <= SIN_COS_MAX`: `x = k pi/2 + r`, `|r|` at most `pi/4`.
#[inline(always)]
fn reduced_sin_cos<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    // pi/2 in parts of 33 bits, whose multiples are exact, and the rest.
    const PARTS: [f64; 4] = [
        1.5707963267341256,
        6.077100506303966e-11,
        2.0222662487111665e-21,
        8.4784276603689e-32,
    ];
    let wide = x.widen();
    let shifted = wide * std::f64::consts::FRAC_2_PI + f64::SHIFT;
    let k = shifted - f64::SHIFT;
    let (r, low) = if E::DOUBLE {
        let (r, e) = two_sum(wide - k * PARTS[0], -k * PARTS[1]);
        let (r, f) = two_sum(r, -k * PARTS[2]);
        two_sum(r, (e + f) - k * PARTS[3])
    } else {
        ((wide - k * PARTS[0]) - k * PARTS[1], 0.0)
    };
    let z = r * r;
    let series = |c: &[f64]| polynomial(c, Scalar::<f64, FUSED>(z)).0;
    let sin = r + fma::<FUSED>(r * z, series(E::SIN), low);
    let (half, square) = (0.5 * z, z * z);
    let c = 1.0 - half;
    let rest = fma::<FUSED>(square, series(E::COS), -(r * low));
    let cos = c + (((1.0 - c) - half) + rest);
    // (sin, cos), (cos, -sin), (-sin, -cos), (-cos, sin) for k = 0, 1, 2, 3 modulo 4
    let k = shifted.to_bits();
    let (s, c) = if k & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let flip = |x: f64, k: u64| f64::from_bits(x.to_bits() ^ ((k & 2) << 62));
    let (sin, cos) = (E::narrow(flip(s, k)), E::narrow(flip(c, k.wrapping_add(1))));
    (if x == E::zero() { x } else { sin }, cos)
}

/// `a b + c`
#[inline(always)]
fn fma<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// `(sin x, cos x)`
#[inline(always)]
pub(crate) fn sin_cos<E: Float>(x: E) -> (E, E) {
    if is_covered(x) {
        reduced_sin_cos::<E, false>(x)
    } else {
        x.sin_cos()
    }
}

#[inline(always)]
fn is_covered<E: Float>(x: E) -> bool {
    x.abs() <= E::narrow(SIN_COS_MAX)
}

/// `(u_r, ds_r) <- (sin u_r, cos u_r)`; values only if `ds` is empty.
pub(crate) fn sin_cos_map<E: Float>(u: &mut [E], ds: &mut [E]) {
    multiversion(Map { u, ds });
}

/// Arguments per block; a block with any argument beyond `SIN_COS_MAX` is evaluated by the standard
/// library.
const BLOCK: usize = 1024;

struct Map<'a, E> {
    u: &'a mut [E],
    ds: &'a mut [E],
}

impl<E: Float> Multiversion for Map<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let values_only = self.ds.is_empty();
        let mut ds = self.ds.chunks_mut(BLOCK);
        for u in self.u.chunks_mut(BLOCK) {
            let ds = ds.next().unwrap_or_default();
            match (values_only, u.iter().all(|&u| is_covered(u))) {
                (true, true) => {
                    for u in u {
                        *u = reduced_sin_cos::<E, FUSED>(*u).0;
                    }
                }
                (true, false) => {
                    for u in u {
                        *u = sin_cos(*u).0;
                    }
                }
                (false, true) => {
                    for (u, ds) in u.iter_mut().zip(ds) {
                        (*u, *ds) = reduced_sin_cos::<E, FUSED>(*u);
                    }
                }
                (false, false) => {
                    for (u, ds) in u.iter_mut().zip(ds) {
                        (*u, *ds) = sin_cos(*u);
                    }
                }
            }
        }
    }
}
