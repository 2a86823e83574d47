//! The laws of an activation.

use super::slope::{Segment, Slope, rounding};
use super::violation::{Violation, holds, within};
use crate::activation::{Activation, Homogeneous};
use crate::real::{Real, epsilon, real, to_f64};

/// Checks an activation on the interval `[a, b]` (either order), and at its ends and middle.
///
/// - `sigma(b) - sigma(a) = int_a^b sigma'(u) du`, to rounding, across any kinks;
/// - `sigma'(u)` lies between the derivatives on both sides of `u`: at a kink it is one of them or a value between;
/// - `value_and_derivative(u) = (value(u), derivative(u))`;
/// - `apply` and `apply_with_derivative` give these on slices, `value` up to 4 units in the last place;
/// - `slopes` and `derivative_from_value`, where they are given, are those of the activation;
/// - a borrowed activation is the activation, bit for bit;
/// - no finite `u` gives NaN, nor an infinite value beside a finite derivative for `|u| <= 1000`.
///
/// ```
/// use wasserflow::testing::check_activation;
/// use wasserflow::prelude::*;
///
/// assert_eq!(check_activation(&Relu, -1.0_f32, 2.0), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_activation<T: Real>(sigma: &dyn Activation<T>, a: T, b: T) -> Result<(), Violation> {
    let middle = a + (b - a) * real(0.5);
    for u in [a, b, middle] {
        pair(sigma, u)?;
        sides(sigma, u)?;
        hints(sigma, u)?;
    }
    finite(sigma)?;
    let plain = slices(sigma, a, b)?;
    let borrowed: &dyn Activation<T> = &sigma;
    let same = slices(borrowed, a, b)? == plain
        && borrowed.slopes() == sigma.slopes()
        && borrowed.derivative_from_value(plain[0][0]) == sigma.derivative_from_value(plain[0][0]);
    holds("a borrowed activation is the same bits", same, || {
        format!("a = {a}, b = {b}")
    })?;

    let (a, b) = (to_f64(a), to_f64(b));
    let slope = |t: f64| {
        let u = real::<T>(a + t * (b - a));
        // The integral follows the points as the scalar holds them.
        let value = to_f64(sigma.derivative(u)) * (b - a);
        Slope {
            value,
            scale: value.abs() + to_f64(sigma.derivative(u)).abs() * (a.abs() + b.abs()),
        }
    };
    let ends = [a, b].map(|u| to_f64(sigma.value(real(u))));
    let law = "sigma(b) - sigma(a) = int_a^b sigma'(u) du";
    Segment {
        law,
        ends,
        scale: 0.0,
        bisections: 200,
    }
    .check::<T>(slope, || format!("a = {a}, b = {b}"))
}

fn pair<T: Real>(sigma: &dyn Activation<T>, u: T) -> Result<(), Violation> {
    let (value, derivative) = sigma.value_and_derivative(u);
    let tolerances = [
        rounding::<T>() * to_f64(sigma.value(u).abs()),
        slope_rounding(sigma, u),
    ];
    for ((both, alone), tolerance) in [(value, sigma.value(u)), (derivative, sigma.derivative(u))]
        .into_iter()
        .zip(tolerances)
    {
        let law = "value_and_derivative(u) = (value(u), derivative(u))";
        let error = if both == alone {
            0.0
        } else {
            to_f64((both - alone).abs())
        };
        within(law, error, tolerance, || format!("u = {u}"))?;
    }
    Ok(())
}

/// What rounding may do to `sigma'(u)`: where it crosses 0 its terms, of the size of the chord `sigma(u)/u`, cancel.
fn slope_rounding<T: Real>(sigma: &dyn Activation<T>, u: T) -> f64 {
    let size = T::one() + u.abs();
    rounding::<T>() * to_f64(sigma.derivative(u).abs() * size + sigma.value(u).abs() / size)
}

fn sides<T: Real>(sigma: &dyn Activation<T>, u: T) -> Result<(), Violation> {
    let step = epsilon::<T>().cbrt().powi(2) * (T::one() + u.abs());
    let [left, here, right] = [u - step, u, u + step].map(|u| to_f64(sigma.derivative(u)));
    if [left, here, right].iter().any(|d| d.is_infinite()) {
        return Ok(());
    }
    let (low, high) = (left.min(right), left.max(right));
    let tolerance = slope_rounding(sigma, u - step) + slope_rounding(sigma, u + step);
    let law = "min(sigma'(u-), sigma'(u+)) <= sigma'(u) <= max(sigma'(u-), sigma'(u+))";
    // A smooth extremum of sigma' lies outside by step^2 sigma'''/2, far below one epsilon for any sigma''' < 1/eps^(1/3).
    within(
        law,
        (low - here).max(here - high),
        tolerance + to_f64(epsilon::<T>()),
        || format!("u = {u}"),
    )
}

/// The slopes and the derivative as a function of the value, where the activation gives them.
fn hints<T: Real>(sigma: &dyn Activation<T>, u: T) -> Result<(), Violation> {
    let (value, derivative) = (sigma.value(u), sigma.derivative(u));
    let at = || format!("u = {u}");
    if let Some(slopes) = sigma.slopes() {
        let slope = if u > T::zero() {
            slopes.positive
        } else {
            slopes.negative
        };
        let error = to_f64((slope * u - value).abs());
        within(
            "sigma(u) = s u with the slope s of the side of u",
            error,
            rounding::<T>() * to_f64(value.abs()),
            at,
        )?;
        let slope = if u == T::zero() { slopes.zero } else { slope };
        let error = to_f64((slope - derivative).abs());
        within(
            "sigma'(u) is the slope of the side of u",
            error,
            rounding::<T>() * to_f64(slope.abs()),
            at,
        )?;
    }
    if let Some(found) = sigma.derivative_from_value(value) {
        // In a tail a value that tends to a constant knows the derivative to the rounding of itself.
        let tolerance = slope_rounding(sigma, u) + rounding::<T>() * to_f64(value.abs());
        let law = "derivative_from_value(sigma(u)) = sigma'(u)";
        within(law, to_f64((found - derivative).abs()), tolerance, at)?;
    }
    Ok(())
}

/// The slice hooks at points from a to b, more than fit one line of lanes; returns what they write.
fn slices<T: Real>(sigma: &dyn Activation<T>, a: T, b: T) -> Result<[Vec<T>; 3], Violation> {
    const POINTS: usize = 19;
    let points: Vec<T> = (0..POINTS)
        .map(|r| a + (b - a) * real(r as f64 / (POINTS - 1) as f64))
        .collect();
    let (mut alone, mut values, mut derivatives) =
        (points.clone(), points.clone(), vec![real(f64::NAN); POINTS]);
    sigma.apply(&mut alone);
    sigma.apply_with_derivative(&mut values, &mut derivatives);
    // A product with a subnormal number keeps the digits of that.
    let subnormal = rounding::<T>() / to_f64(T::max_value().unwrap_or(real(1e30)));
    for (r, &u) in points.iter().enumerate() {
        let (value, derivative) = (sigma.value(u), sigma.derivative(u));
        let ulps = 4.0 * to_f64(epsilon::<T>() * value.abs()) + subnormal;
        for (law, found, exact, tolerance) in [
            ("apply writes sigma(u_r)", alone[r], value, ulps),
            (
                "apply_with_derivative writes sigma(u_r)",
                values[r],
                value,
                ulps,
            ),
            (
                "apply_with_derivative writes sigma'(u_r)",
                derivatives[r],
                derivative,
                slope_rounding(sigma, u) + subnormal,
            ),
        ] {
            let error = if found == exact {
                0.0
            } else {
                to_f64((found - exact).abs())
            };
            within(law, error, tolerance, || {
                format!("u = {u}, place {r} of {POINTS}")
            })?;
        }
    }
    Ok([alone, values, derivatives])
}

fn finite<T: Real>(sigma: &dyn Activation<T>) -> Result<(), Violation> {
    let huge = to_f64(T::max_value().unwrap_or(real(1e30)));
    for size in [1.0, 30.0, 100.0, 1000.0, huge.sqrt(), huge] {
        for u in [real::<T>(size), real(-size)] {
            let (value, derivative) = (sigma.value(u), sigma.derivative(u));
            let numbers = !(to_f64(value).is_nan() || to_f64(derivative).is_nan());
            holds(
                "sigma(u) and sigma'(u) are numbers for every finite u",
                numbers,
                || format!("u = {u}"),
            )?;
            let bounded = size > 1000.0 || value.is_finite() || !derivative.is_finite();
            holds("sigma(u) is finite where sigma'(u) is", bounded, || {
                format!("u = {u}")
            })?;
        }
    }
    Ok(())
}

/// Checks that `sigma(s u) = s^k sigma(u)` for the degree k that the activation declares, `s > 0`.
///
/// ```
/// use wasserflow::testing::check_homogeneous_activation;
/// use wasserflow::prelude::*;
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
    holds(
        "a borrowed activation has the same degree",
        k == borrowed,
        || format!("{k} and {borrowed}"),
    )?;
    let (small, large) = (to_f64(sigma.value(u)), to_f64(sigma.value(s * u)));
    let expected = to_f64(s).powf(f64::from(k)) * small;
    let tolerance =
        rounding::<T>() * (expected.abs() + to_f64(sigma.derivative(s * u) * s * u).abs());
    let law = "sigma(s u) = s^k sigma(u)";
    within(law, (large - expected).abs(), tolerance, || {
        format!("u = {u}, s = {s}, k = {k}")
    })
}
