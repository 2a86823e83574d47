//! The laws of a kernel.

use nalgebra::DMatrix;

use super::accumulation::check_accumulation;
use super::case::CaseRng;
use super::derivative::{Segment, displace};
use super::radial::check_radial;
use super::rounding::{Computed, max_abs, rounding};
use super::violation::{Violation, within};
use crate::energy::{ArcCosine, Kernel};
use crate::real::{Real, to_f64};

/// Checks a kernel at m points drawn from `seed`.
///
/// - `K(w, v) = K(v, w)`;
/// - the Gram matrix of the points has no negative eigenvalue;
/// - `K(w + u, v) - K(w, v) = int_0^1 <grad_w K(w + t u, v), u> dt`, to rounding, also across
///   kinks;
/// - `gradient` adds `scale grad_w K(w, v)` to its output;
/// - `value_and_gradient` and `value_and_gradients` return `value` and add `gradient`;
/// - `radial`, if it returns true, agrees with `value` and `gradient`;
/// - `arc_cosine`, if it returns `Some`, agrees with `value`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_kernel;
///
/// assert_eq!(check_kernel::<f64>(&ArcCosine::new(3), 8, 1), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_kernel<T: Real>(kernel: &dyn Kernel<T>, m: usize, seed: u64) -> Result<(), Violation> {
    let (p, m) = (kernel.dim(), m.max(2));
    let mut rng = CaseRng::new(seed);
    let points: Vec<Vec<T>> = (0..m).map(|_| rng.coordinates(p)).collect();
    let at = || format!("p = {p}, m = {m}, seed = {seed}");

    let gram = DMatrix::from_fn(m, m, |i, j| to_f64(kernel.value(&points[i], &points[j])));
    let tolerance = rounding::<T>() * max_abs(gram.iter().copied());
    let error = max_abs((&gram - gram.transpose()).iter().copied());
    within("K(w, v) = K(v, w)", error, tolerance, at)?;
    let law = "sum_ij c_i c_j K(w_i, w_j) >= 0";
    let lowest = gram.symmetric_eigenvalues().min();
    within(law, -lowest, tolerance * m as f64, at)?;

    let (w, v, u): (_, _, Vec<T>) = (&points[0], &points[1], rng.direction(p));
    let mut point = w.clone();
    let mut value = |t: f64| {
        displace(w, t, &u, &mut point);
        to_f64(kernel.value(&point, v))
    };
    let ends = [value(0.0), value(1.0)];
    let mut gradient = vec![T::zero(); p];
    let derivative = |t: f64| {
        displace(w, t, &u, &mut point);
        gradient.fill(T::zero());
        kernel.gradient(&point, v, T::one(), &mut gradient);
        Computed::directional(&gradient, &u, &point)
    };
    let law = "K(w + u, v) - K(w, v) = int_0^1 <grad_w K(w + t u, v), u> dt";
    Segment::new(law, ends, 100).check::<T>(derivative, at)?;
    let law = "gradient adds scale grad_w K(w, v)";
    let gradient = |scale: T, out: &mut [T]| kernel.gradient(w, v, scale, out);
    check_accumulation(law, &mut rng, p, gradient, at)?;
    let z: Vec<T> = w.iter().zip(v).map(|(&w, &v)| w - v).collect();
    let mut gradient = vec![T::zero(); p];
    kernel.gradient(w, v, T::one(), &mut gradient);
    let radial = |s: &mut [T], d: &mut [T]| kernel.radial(s, d);
    check_radial(&radial, &z, to_f64(kernel.value(w, v)), &gradient, at)?;
    if let Some(first) = kernel.arc_cosine() {
        let inputs = ArcCosine::new(p.saturating_sub(first));
        let ((a, b), (c, d)) = (w.split_at(first.min(p)), v.split_at(first.min(p)));
        let factor = a.iter().chain(c).fold(T::one(), |product, &a| product * a);
        let expected = to_f64(factor * inputs.value(b, d));
        let error = (to_f64(kernel.value(w, v)) - expected).abs();
        let law = "arc_cosine() = Some(l) => K(w, v) = a a' E[(b.x)_+ (b'.x)_+], b = (w_l, ..)";
        within(law, error, rounding::<T>() * expected.abs().max(1.0), at)?;
    }
    check_combined(kernel, w, v, &mut rng, at)
}

/// Checks the combined methods against `value` and `gradient`.
fn check_combined<T: Real>(
    kernel: &dyn Kernel<T>,
    w: &[T],
    v: &[T],
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let p = w.len();
    let before: [Vec<T>; 2] = [rng.coordinates(p), rng.coordinates(p)];
    let scales: [T; 2] = [rng.uniform(-2.0, 2.0), rng.uniform(-2.0, 2.0)];
    let mut expected = before.clone();
    kernel.gradient(w, v, scales[0], &mut expected[0]);
    kernel.gradient(v, w, scales[1], &mut expected[1]);
    let mut single = before[0].clone();
    let [mut at_w, mut at_v] = before.clone();
    let [value, with_gradient, with_gradients] = [
        kernel.value(w, v),
        kernel.value_and_gradient(w, v, scales[0], &mut single),
        kernel.value_and_gradients(w, v, scales, &mut at_w, &mut at_v),
    ]
    .map(to_f64);

    // K(w, v) can cancel: sums inside have terms of the size of K(w, w) and K(v, v).
    let diagonal = [(w, w), (v, v)].map(|(w, v)| to_f64(kernel.value(w, v)));
    let size = max_abs([value, diagonal[0], diagonal[1]]);
    for (law, found) in [
        ("value_and_gradient returns value", with_gradient),
        ("value_and_gradients returns value", with_gradients),
    ] {
        within(law, (found - value).abs(), rounding::<T>() * size, &at)?;
    }
    let vectors = expected.iter().chain(&before).flatten();
    let size = size.max(max_abs(vectors.map(|&x| to_f64(x))));
    let [at_w_expected, at_v_expected] = &expected;
    for (law, found, expected) in [
        (
            "value_and_gradient adds gradient(w, v)",
            single,
            at_w_expected,
        ),
        (
            "value_and_gradients adds gradient(w, v)",
            at_w,
            at_w_expected,
        ),
        (
            "value_and_gradients adds gradient(v, w)",
            at_v,
            at_v_expected,
        ),
    ] {
        for l in 0..p {
            let error = (to_f64(found[l]) - to_f64(expected[l])).abs();
            let tolerance = 2.0 * rounding::<T>() * size;
            within(law, error, tolerance, || {
                format!("coordinate {l}, {}", at())
            })?;
        }
    }
    Ok(())
}
