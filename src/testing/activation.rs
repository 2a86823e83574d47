//! The laws of an activation.

use super::derivative::Segment;
use super::rounding::{Computed, distance, max_abs, rounding, subnormal_rounding};
use super::violation::{Violation, identical, require, succeeds, within};
use crate::activation::{Activation, Homogeneous};
use crate::real::{Real, epsilon, real, to_f64};

/// Checks an activation on the interval `[a, b]` (either order), and at its ends and its middle.
///
/// - `sigma(b) - sigma(a) = int_a^b sigma'(u) du`, to rounding, also across kinks;
/// - `sigma'(u)` lies between the left and the right derivative, or equals one of them;
/// - `value_and_derivative(u) = (value(u), derivative(u))`, at a, b and their multiples by powers
///   of 2 from `2^-1000` to `2^1000` too;
/// - `apply` and `apply_with_derivative` compute these on slices, values to 4 units in the last
///   place;
/// - `slopes`, if implemented, agrees with `value` and `derivative`;
/// - `check` accepts the parameters;
/// - a borrowed activation equals the activation, bit for bit;
/// - no finite `u` gives NaN, and for `|u| <= 1000` no infinite value if the derivative is finite.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_activation;
///
/// assert_eq!(check_activation(&Relu, -1.0_f32, 2.0), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_activation<T: Real>(sigma: &dyn Activation<T>, a: T, b: T) -> Result<(), Violation> {
    let law = "the parameters are valid";
    succeeds(law, sigma.check(), String::new)?;
    let middle = a + (b - a) * real(0.5);
    for u in [a, b, middle] {
        check_one_sided(sigma, u)?;
    }
    let scaled = SCALES
        .into_iter()
        .flat_map(|e| [a, b].map(|u| scaled_by(u, e)));
    for u in [a, b, middle].into_iter().chain(scaled) {
        if u.is_finite() {
            check_pair(sigma, u)?;
            check_slopes(sigma, u)?;
        }
    }
    check_overflow(sigma)?;
    for e in [-60, 4, 20] {
        check_slices(sigma, scaled_by(a, e), scaled_by(b, e))?;
    }
    let results = check_slices(sigma, a, b)?;
    let borrowed: &dyn Activation<T> = &sigma;
    let at = || format!("a = {a}, b = {b}");
    let law = "a borrowed activation returns the same results, bit for bit";
    let found = check_slices(borrowed, a, b)?;
    identical(law, &found.concat(), &results.concat(), at)?;
    identical(law, &[borrowed.slopes()], &[sigma.slopes()], at)?;
    identical(law, &[borrowed.check()], &[sigma.check()], at)?;

    check_integral(sigma, a, b)?;
    // Far out, where an activation saturates or grows.
    check_integral(sigma, scaled_by(a, 4), scaled_by(b, 4))
}

/// The powers of 2 by which the ends of the interval are multiplied for pointwise laws.
const SCALES: [i32; 13] = [-1000, -500, -140, -60, -20, 2, 4, 6, 10, 20, 60, 500, 1000];

/// `2^e u`, rounded to the scalar; infinite or 0 beyond its range.
fn scaled_by<T: Real>(u: T, e: i32) -> T {
    real(to_f64(u) * 2.0_f64.powi(e))
}

/// Checks the derivative against the values on an interval.
fn check_integral<T: Real>(sigma: &dyn Activation<T>, a: T, b: T) -> Result<(), Violation> {
    let at = || format!("a = {a}, b = {b}");
    let (a, b) = (to_f64(a), to_f64(b));
    let derivative = |t: f64| {
        // The integral is over points rounded to the scalar.
        let u = real::<T>(a + t * (b - a));
        let derivative = to_f64(sigma.derivative(u));
        let value = derivative * (b - a);
        let scale = value.abs() + derivative.abs() * (a.abs() + b.abs());
        Computed { value, scale }
    };
    let ends = [a, b].map(|u| to_f64(sigma.value(real(u))));
    let law = "sigma(b) - sigma(a) = int_a^b sigma'(u) du";
    Segment::new(law, ends, 200).check::<T>(derivative, at)
}

/// Checks `value_and_derivative`.
fn check_pair<T: Real>(sigma: &dyn Activation<T>, u: T) -> Result<(), Violation> {
    let (value, derivative) = sigma.value_and_derivative(u);
    let value_tolerance = rounding::<T>() * to_f64(sigma.value(u).abs());
    let tolerance = pair_tolerance(sigma, u);
    let at = || format!("u = {u}");
    let law = "value_and_derivative(u) = (value(u), derivative(u))";
    within(law, distance(value, sigma.value(u)), value_tolerance, at)?;
    within(
        law,
        distance(derivative, sigma.derivative(u)),
        tolerance,
        at,
    )
}

/// The tolerance between two computations of `sigma'(u)`, relative to its size near u.
///
/// Near a zero of the derivative its terms cancel; they have the size of the derivative beside the
/// zero. Where sigma saturates, the derivative is small on both sides, and so is the tolerance.
fn pair_tolerance<T: Real>(sigma: &dyn Activation<T>, u: T) -> f64 {
    let size = T::one() + u.abs();
    let step = size * real(1.0 / 64.0);
    let sizes = [u - step, u, u + step].map(|u| to_f64(sigma.derivative(u).abs()));
    rounding::<T>() * max_abs(sizes) * to_f64(size) + subnormal_rounding::<T>()
}

/// The tolerance for one-sided derivatives.
///
/// Near a zero of the derivative its terms cancel; they have the size of the secant slope
/// `sigma(u)/u`.
fn derivative_tolerance<T: Real>(sigma: &dyn Activation<T>, u: T) -> f64 {
    let size = T::one() + u.abs();
    rounding::<T>() * to_f64(sigma.derivative(u).abs() * size + sigma.value(u).abs() / size)
}

/// Checks that the derivative lies between the one-sided derivatives.
fn check_one_sided<T: Real>(sigma: &dyn Activation<T>, u: T) -> Result<(), Violation> {
    let step = epsilon::<T>().cbrt().powi(2) * (T::one() + u.abs());
    let derivatives = [u - step, u, u + step].map(|u| to_f64(sigma.derivative(u)));
    if derivatives.iter().any(|d| d.is_infinite()) {
        return Ok(());
    }
    let [left, derivative, right] = derivatives;
    let (low, high) = (left.min(right), left.max(right));
    // A smooth extremum of sigma' lies outside by step^2 |sigma'''| / 2: below one epsilon if
    // |sigma'''| < eps^(-1/3).
    let tolerance = derivative_tolerance(sigma, u - step) + derivative_tolerance(sigma, u + step);
    let law = "min(sigma'(u-), sigma'(u+)) <= sigma'(u) <= max(sigma'(u-), sigma'(u+))";
    within(
        law,
        (low - derivative).max(derivative - high),
        tolerance + to_f64(epsilon::<T>()),
        || format!("u = {u}"),
    )
}

/// Checks the optional method `slopes`.
fn check_slopes<T: Real>(sigma: &dyn Activation<T>, u: T) -> Result<(), Violation> {
    let (value, derivative) = (sigma.value(u), sigma.derivative(u));
    let at = || format!("u = {u}");
    if let Some(slopes) = sigma.slopes() {
        let slope = if u > T::zero() {
            slopes.positive
        } else {
            slopes.negative
        };
        let law = "sigma(u) = slopes.positive u for u > 0, slopes.negative u for u <= 0";
        let error = to_f64((slope * u - value).abs());
        within(law, error, rounding::<T>() * to_f64(value.abs()), at)?;
        let slope = if u == T::zero() { slopes.zero } else { slope };
        let law = "sigma'(u) is slopes.positive, slopes.zero or slopes.negative by the sign of u";
        let error = to_f64((slope - derivative).abs());
        within(law, error, rounding::<T>() * to_f64(slope.abs()), at)?;
    }
    Ok(())
}

/// Checks the slice methods at points from a to b, and returns their results.
fn check_slices<T: Real>(sigma: &dyn Activation<T>, a: T, b: T) -> Result<[Vec<T>; 3], Violation> {
    /// More than the widest SIMD width (16), and not a multiple of any: remainders are covered.
    const POINTS: usize = 19;
    let point = |r: usize| a + (b - a) * real(r as f64 / (POINTS - 1) as f64);
    let points: Vec<T> = (0..POINTS).map(point).collect();
    let (mut applied, mut values) = (points.clone(), points.clone());
    let mut derivatives = vec![real(f64::NAN); POINTS];
    sigma.apply(&mut applied);
    sigma.apply_with_derivative(&mut values, &mut derivatives);
    let subnormal = subnormal_rounding::<T>();
    for (r, &u) in points.iter().enumerate() {
        let (value, derivative) = (sigma.value(u), sigma.derivative(u));
        let ulps = 4.0 * to_f64(epsilon::<T>() * value.abs()) + subnormal;
        let tolerance = pair_tolerance(sigma, u);
        let at = || format!("u = {u}, entry {r} of {POINTS}");
        let law = "apply writes sigma(u_r)";
        within(law, distance(applied[r], value), ulps, at)?;
        let law = "apply_with_derivative writes sigma(u_r)";
        within(law, distance(values[r], value), ulps, at)?;
        let law = "apply_with_derivative writes sigma'(u_r)";
        within(law, distance(derivatives[r], derivative), tolerance, at)?;
    }
    Ok([applied, values, derivatives])
}

/// Checks large arguments.
fn check_overflow<T: Real>(sigma: &dyn Activation<T>) -> Result<(), Violation> {
    let huge = to_f64(T::max_value().unwrap_or(real(1e30)));
    for size in [1.0, 30.0, 100.0, 1000.0, huge.sqrt(), huge] {
        for u in [real::<T>(size), real(-size)] {
            let (value, derivative) = (sigma.value(u), sigma.derivative(u));
            let found = || format!("sigma(u) = {value} and sigma'(u) = {derivative}");
            let at = || format!("u = {u}");
            let numbers = !(to_f64(value).is_nan() || to_f64(derivative).is_nan());
            let law = "sigma(u) and sigma'(u) are not NaN for finite u";
            require(law, numbers, found, at)?;
            let bounded = size > 1000.0 || value.is_finite() || !derivative.is_finite();
            let law = "sigma(u) is finite if sigma'(u) is finite and |u| <= 1000";
            require(law, bounded, found, at)?;
        }
    }
    Ok(())
}

/// Checks that `sigma(s u) = s^k sigma(u)` for `s > 0`, with the declared degree k.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_homogeneous_activation;
///
/// assert_eq!(check_homogeneous_activation(&LeakyRelu(0.1), -3.0, 1e4), Ok(()));
/// ```
///
/// # Errors
/// The law, when it fails.
pub fn check_homogeneous_activation<T: Real>(
    sigma: &(impl Activation<T> + Homogeneous),
    u: T,
    s: T,
) -> Result<(), Violation> {
    let (k, borrowed) = (sigma.degree(), (&sigma).degree());
    let at = || format!("u = {u}, s = {s}, k = {k}");
    let law = "a borrowed activation has the same degree";
    require(law, k == borrowed, || format!("{borrowed}, not {k}"), at)?;
    let (value, scaled) = (to_f64(sigma.value(u)), to_f64(sigma.value(s * u)));
    let expected = to_f64(s).powf(f64::from(k)) * value;
    let scale = expected.abs() + to_f64(sigma.derivative(s * u) * s * u).abs();
    let law = "sigma(s u) = s^k sigma(u)";
    let error = (scaled - expected).abs();
    within(law, error, rounding::<T>() * scale, at)
}
