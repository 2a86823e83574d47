//! The laws of a potential and of a kernel.

use nalgebra::DMatrix;

use super::case::Draws;
use super::slope::{Segment, Slope, along, rounding};
use super::violation::{Violation, within};
use crate::energy::{Kernel, Potential};
use crate::real::{Real, to_f64};

/// Checks a potential on `R^p`, at points drawn from `seed`.
///
/// - `V(w + v) - V(w) = int_0^1 <grad V(w + t v), v> dt`, to rounding, across any kinks;
/// - `gradient` adds `scale grad V` to what is there, and `curvature` adds to it;
/// - `curvature` is linear, symmetric and positive semidefinite.
///
/// ```
/// use wasserflow::testing::check_potential;
/// use wasserflow::prelude::*;
///
/// assert_eq!(check_potential(&WeightDecay::new(0.1)?, 3, 1), Ok(()));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_potential<T: Real>(
    potential: &dyn Potential<T>,
    p: usize,
    seed: u64,
) -> Result<(), Violation> {
    let mut draws = Draws::new(seed);
    let (w, v): (Vec<T>, Vec<T>) = (draws.coordinates(p), draws.direction(p));
    let at = || format!("p = {p}, seed = {seed}");

    let mut point = w.clone();
    let mut value = |t: f64| {
        along(&w, t, &v, &mut point);
        to_f64(potential.value(&point))
    };
    let ends = [value(0.0), value(1.0)];
    let mut gradient = vec![T::zero(); p];
    let slope = |t: f64| {
        along(&w, t, &v, &mut point);
        gradient.fill(T::zero());
        potential.gradient(&point, T::one(), &mut gradient);
        Slope::new(&gradient, &v, &point)
    };
    let law = "V(w + v) - V(w) = int_0^1 <grad V(w + t v), v> dt";
    Segment {
        law,
        ends,
        scale: 0.0,
        bisections: 100,
    }
    .check::<T>(slope, at)?;

    adds(
        "gradient adds scale grad V(w)",
        &mut draws,
        p,
        |scale, out| potential.gradient(&w, scale, out),
        at,
    )?;
    adds(
        "curvature adds V''(w) v, linear in v",
        &mut draws,
        p,
        |scale, out| {
            let v: Vec<T> = v.iter().map(|&v| scale * v).collect();
            potential.curvature(&w, &v, out);
        },
        at,
    )?;

    let u: Vec<T> = draws.direction(p);
    let bilinear = |u: &[T], v: &[T]| {
        let mut out = vec![T::zero(); p];
        potential.curvature(&w, u, &mut out);
        Slope::new(&out, v, u)
    };
    let (uv, vu, vv) = (bilinear(&u, &v), bilinear(&v, &u), bilinear(&v, &v));
    let tolerance = rounding::<T>() * (uv.scale + vu.scale);
    within(
        "<V''(w) u, v> = <u, V''(w) v>",
        (uv.value - vu.value).abs(),
        tolerance,
        at,
    )?;
    within(
        "<V''(w) v, v> >= 0",
        -vv.value,
        rounding::<T>() * vv.scale,
        at,
    )
}

/// Checks that `add(scale, out)` adds something linear in `scale` to `out`.
pub(super) fn adds<T: Real>(
    law: &'static str,
    draws: &mut Draws,
    len: usize,
    mut add: impl FnMut(T, &mut [T]),
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (before, scale): (Vec<T>, T) = (draws.coordinates(len), draws.uniform(-2.0, 2.0));
    let (mut once, mut onto) = (vec![T::zero(); len], before.clone());
    add(T::one(), &mut once);
    add(scale, &mut onto);
    // The sums inside may cancel; what they add to need not.
    let size = before
        .iter()
        .chain(&once)
        .fold(0.0_f64, |max, &x| max.max(to_f64(x).abs()));
    for l in 0..len {
        let error = to_f64(onto[l]) - to_f64(before[l]) - to_f64(scale) * to_f64(once[l]);
        within(law, error.abs(), 2.0 * rounding::<T>() * size, || {
            format!("coordinate {l}, {}", at())
        })?;
    }
    Ok(())
}

/// Checks a kernel at m points drawn from `seed`.
///
/// - `K(w, v) = K(v, w)`;
/// - the Gram matrix of the points has no negative eigenvalue;
/// - `K(w + u, v) - K(w, v) = int_0^1 <grad_w K(w + t u, v), u> dt`, to rounding, across any kinks;
/// - `gradient` adds `scale grad_w K(w, v)` to what is there;
/// - `value_and_gradient` and `value_and_gradients` are `value` and `gradient`, and add as these do.
///
/// ```
/// use wasserflow::testing::check_kernel;
/// use wasserflow::prelude::*;
///
/// assert_eq!(check_kernel::<f64>(&ArcCosine::new(3), 8, 1), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_kernel<T: Real>(kernel: &dyn Kernel<T>, m: usize, seed: u64) -> Result<(), Violation> {
    let (p, m) = (kernel.dim(), m.max(2));
    let mut draws = Draws::new(seed);
    let points: Vec<Vec<T>> = (0..m).map(|_| draws.coordinates(p)).collect();
    let at = || format!("p = {p}, m = {m}, seed = {seed}");

    let gram = DMatrix::from_fn(m, m, |i, j| to_f64(kernel.value(&points[i], &points[j])));
    let scale = gram.iter().fold(0.0_f64, |max, k| max.max(k.abs()));
    let error = (&gram - gram.transpose())
        .iter()
        .fold(0.0_f64, |max, k| max.max(k.abs()));
    within("K(w, v) = K(v, w)", error, rounding::<T>() * scale, at)?;
    let lowest = gram.symmetric_eigenvalues().min();
    within(
        "sum_ij c_i c_j K(w_i, w_j) >= 0",
        -lowest,
        rounding::<T>() * scale * m as f64,
        at,
    )?;

    let (w, v, u): (_, _, Vec<T>) = (&points[0], &points[1], draws.direction(p));
    let mut point = w.clone();
    let mut value = |t: f64| {
        along(w, t, &u, &mut point);
        to_f64(kernel.value(&point, v))
    };
    let ends = [value(0.0), value(1.0)];
    let mut gradient = vec![T::zero(); p];
    let slope = |t: f64| {
        along(w, t, &u, &mut point);
        gradient.fill(T::zero());
        kernel.gradient(&point, v, T::one(), &mut gradient);
        Slope::new(&gradient, &u, &point)
    };
    let law = "K(w + u, v) - K(w, v) = int_0^1 <grad_w K(w + t u, v), u> dt";
    Segment {
        law,
        ends,
        scale: 0.0,
        bisections: 100,
    }
    .check::<T>(slope, at)?;
    adds(
        "gradient adds scale grad_w K(w, v)",
        &mut draws,
        p,
        |scale, out| kernel.gradient(w, v, scale, out),
        at,
    )?;
    fused(kernel, [w, v], &mut draws, at)
}

/// The fused methods of a kernel are its plain ones.
fn fused<T: Real>(
    kernel: &dyn Kernel<T>,
    [w, v]: [&[T]; 2],
    draws: &mut Draws,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let p = w.len();
    let before: [Vec<T>; 2] = [draws.coordinates(p), draws.coordinates(p)];
    let scales: [T; 2] = [draws.uniform(-2.0, 2.0), draws.uniform(-2.0, 2.0)];
    let mut plain = before.clone();
    kernel.gradient(w, v, scales[0], &mut plain[0]);
    kernel.gradient(v, w, scales[1], &mut plain[1]);
    let (mut alone, [mut at_w, mut at_v]) = (before[0].clone(), before.clone());
    let values = [
        kernel.value(w, v),
        kernel.value_and_gradient(w, v, scales[0], &mut alone),
        kernel.value_and_gradients(w, v, scales, &mut at_w, &mut at_v),
    ]
    .map(to_f64);

    // What a sum inside may cancel is of the size of K(w, w) and K(v, v), and of what they are made of.
    let size = [(w, w), (v, v)]
        .iter()
        .fold(values[0].abs(), |max, (w, v)| {
            max.max(to_f64(kernel.value(w, v)).abs())
        });
    for (law, value) in [
        ("value_and_gradient = value", values[1]),
        ("value_and_gradients = value", values[2]),
    ] {
        within(law, (value - values[0]).abs(), rounding::<T>() * size, &at)?;
    }
    let size = plain
        .iter()
        .chain(&before)
        .flatten()
        .fold(size, |max, &x| max.max(to_f64(x).abs()));
    for (law, found, plain) in [
        ("value_and_gradient adds gradient", alone, &plain[0]),
        ("value_and_gradients adds gradient(w, v)", at_w, &plain[0]),
        ("value_and_gradients adds gradient(v, w)", at_v, &plain[1]),
    ] {
        for l in 0..p {
            let error = (to_f64(found[l]) - to_f64(plain[l])).abs();
            within(law, error, 2.0 * rounding::<T>() * size, || {
                format!("coordinate {l}, {}", at())
            })?;
        }
    }
    Ok(())
}
