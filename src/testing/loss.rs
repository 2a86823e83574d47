//! The laws of a loss.

use super::derivative::{Difference, Segment};
use super::rounding::{Computed, distance, rounding, subnormal_rounding};
use super::violation::{Violation, identical, require, succeeds, within};
use crate::loss::Loss;
use crate::real::{Real, epsilon, real, to_f64};

/// Checks a loss at the target `y`, on predictions in `[a, b]` (either order).
///
/// - convex: chords lie above the graph, and `dl/dh` is nondecreasing at 65 points from a to b;
/// - `l(y, b) - l(y, a) = int_a^b dl/dh dh`, to rounding, also across kinks;
/// - `value_and_derivative = (value, derivative)`, and `values_and_derivatives` computes these on
///   slices, to 4 units in the last place;
/// - `second_derivative >= 0`, and it is the derivative of `derivative` away from kinks;
/// - the Fenchel-Young inequality `l(y, h) + l*(y, u) >= u h`, with equality at `u = dl/dh`, if the
///   conjugate is implemented;
/// - the pair and the conjugate at multiples of a and b by powers of 2 from `2^-500` to `2^500`;
/// - no prediction in `[-1000, 1000]` gives NaN, or an infinite value with a finite derivative;
/// - NaN and infinity are rejected as targets, and `check` accepts the parameters;
/// - a borrowed loss equals the loss, bit for bit.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_loss;
///
/// assert_eq!(check_loss(&Hinge, -1.0, 3.0, -5.0), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_loss<T: Real>(loss: &dyn Loss<T>, y: T, a: T, b: T) -> Result<(), Violation> {
    let at = |h: T| move || format!("y = {y}, h = {h}");
    let at_target = |y: T| move || format!("y = {y}");
    succeeds("the parameters are valid", loss.check(), at_target(y))?;
    for y in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(real) {
        for result in [loss.check_target(y), (&loss).check_target(y)] {
            let law = "check_target rejects targets that are not finite";
            require(law, result.is_err(), || "Ok(())".into(), at_target(y))?;
        }
    }
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    for h in [a, a + (b - a) * real(0.5), b] {
        check_pair(loss, y, h)?;
        check_second_derivative(loss, y, h)?;
        check_conjugate(loss, y, h, [a, h, b])?;
    }
    for e in [-500, -120, -20, 4, 20, 100, 500] {
        for h in [a, b].map(|h| real::<T>(to_f64(h) * 2.0_f64.powi(e))) {
            if h.is_finite() {
                check_pair(loss, y, h)?;
                check_conjugate(loss, y, h, [a, h, b])?;
            }
        }
    }
    for size in [1.0, 30.0, 100.0, 1000.0] {
        for h in [real::<T>(size), real(-size)] {
            let (value, derivative) = (loss.value(y, h), loss.derivative(y, h));
            let found = || format!("l(y, h) = {value} and dl/dh = {derivative}");
            let numbers = !(to_f64(value).is_nan() || to_f64(derivative).is_nan());
            let law = "l(y, h) and dl/dh are not NaN for finite h";
            require(law, numbers, found, at(h))?;
            let law = "l(y, h) is finite if dl/dh is finite";
            let bounded = value.is_finite() || !derivative.is_finite();
            require(law, bounded, found, at(h))?;
        }
    }
    let expected = check_slices(loss, y, a, b)?;
    let found = check_slices(&loss, y, a, b)?;
    let law = "a borrowed loss returns the same results, bit for bit";
    let at = || format!("y = {y}, a = {a}, b = {b}");
    identical(law, &found.concat(), &expected.concat(), at)?;
    check_convex(loss, y, a, b)
}

/// Checks `value_and_derivative`.
fn check_pair<T: Real>(loss: &dyn Loss<T>, y: T, h: T) -> Result<(), Violation> {
    let (value, derivative) = loss.value_and_derivative(y, h);
    let expected = [loss.value(y, h), loss.derivative(y, h)];
    for (found, expected) in [value, derivative].into_iter().zip(expected) {
        let law = "value_and_derivative(y, h) = (value(y, h), derivative(y, h))";
        let tolerance = rounding::<T>() * to_f64(expected.abs());
        let at = || format!("y = {y}, h = {h}");
        within(law, distance(found, expected), tolerance, at)?;
    }
    Ok(())
}

/// Checks the slice method at predictions from a to b.
///
/// Returns its results, and the second derivative and the conjugate at a.
fn check_slices<T: Real>(loss: &dyn Loss<T>, y: T, a: T, b: T) -> Result<[Vec<T>; 3], Violation> {
    /// More than the widest SIMD width (16), and not a multiple of any: remainders are covered.
    const POINTS: usize = 19;
    let prediction = |j: usize| a + (b - a) * real(j as f64 / (POINTS - 1) as f64);
    let predictions: Vec<T> = (0..POINTS).map(prediction).collect();
    let [mut values, mut derivatives] = [(); 2].map(|()| vec![real(f64::NAN); POINTS]);
    loss.values_and_derivatives(&[y; POINTS], &predictions, &mut values, &mut derivatives);
    for (j, &h) in predictions.iter().enumerate() {
        let (value, derivative) = loss.value_and_derivative(y, h);
        for (found, expected) in [(values[j], value), (derivatives[j], derivative)] {
            let law = "values_and_derivatives writes (l(y_j, h_j), dl/dh(y_j, h_j))";
            let ulps = 4.0 * to_f64(epsilon::<T>() * expected.abs());
            let tolerance = ulps + subnormal_rounding::<T>();
            let at = || format!("y = {y}, h = {h}, entry {j} of {POINTS}");
            within(law, distance(found, expected), tolerance, at)?;
        }
    }
    let conjugate = loss.conjugate(y, derivatives[0]).unwrap_or(real(-1.0));
    let others = vec![loss.second_derivative(y, a), conjugate];
    Ok([values, derivatives, others])
}

/// Checks chords, monotonicity of the derivative, and the derivative against the values.
fn check_convex<T: Real>(loss: &dyn Loss<T>, y: T, a: T, b: T) -> Result<(), Violation> {
    const POINTS: usize = 64;
    let at = || format!("y = {y}, a = {a}, b = {b}");
    let (low, high) = (to_f64(a), to_f64(b));
    let point = |t: f64| real::<T>(low + t * (high - low));
    let value = |t: f64| to_f64(loss.value(y, point(t)));
    let derivative = |t: f64| {
        let derivative = to_f64(loss.derivative(y, point(t)));
        let scale = derivative.abs() * (low.abs() + high.abs() + high - low);
        let value = derivative * (high - low);
        Computed { value, scale }
    };
    let ends = [value(0.0), value(1.0)];
    if ends.iter().any(|end| end.is_infinite()) {
        return Ok(());
    }
    let mut last = derivative(0.0);
    let scale = ends[0].abs() + ends[1].abs() + last.scale.max(derivative(1.0).scale);
    for i in 1..=POINTS {
        let t = i as f64 / POINTS as f64;
        let next = derivative(t);
        let tolerance = rounding::<T>() * (scale + last.scale + next.scale);
        let law = "dl/dh is nondecreasing in h";
        within(law, last.value - next.value, tolerance, at)?;
        let law = "l((1-t) a + t b) <= (1-t) l(a) + t l(b)";
        let excess = value(t) - (1.0 - t) * ends[0] - t * ends[1];
        within(law, excess, rounding::<T>() * (scale + next.scale), at)?;
        last = next;
    }
    let law = "l(y, b) - l(y, a) = int_a^b dl/dh dh";
    Segment::new(law, ends, 200).check::<T>(derivative, at)
}

/// Checks the conjugate at `u = dl/dh(y, h)` against the loss at several predictions, h included.
fn check_conjugate<T: Real>(
    loss: &dyn Loss<T>,
    y: T,
    h: T,
    predictions: [T; 3],
) -> Result<(), Violation> {
    let u = loss.derivative(y, h);
    let Some(conjugate) = loss.conjugate(y, u) else {
        return Ok(());
    };
    let conjugate = to_f64(conjugate);
    let range = 0.25 * to_f64(T::max_value().unwrap_or(real(1e30)));
    for g in predictions {
        let (value, product) = (to_f64(loss.value(y, g)), to_f64(u) * to_f64(g));
        // Beyond the range of the scalar the conjugate is infinite.
        if !value.is_finite() || !product.is_finite() || product.abs() > range {
            continue;
        }
        let at = || format!("y = {y}, h = {g}, u = {u}");
        let excess = value + conjugate - product;
        let scale = value.abs() + conjugate.abs() + product.abs();
        let tolerance = if scale.is_finite() {
            rounding::<T>() * scale
        } else {
            0.0
        };
        if g == h {
            let law = "l(y, h) + l*(y, u) = u h at u = dl/dh";
            within(law, excess.abs(), tolerance, at)?;
        }
        within("l(y, h) + l*(y, u) >= u h", -excess, tolerance, at)?;
    }
    Ok(())
}

/// Checks `second_derivative` against difference quotients of `derivative`, except at kinks.
fn check_second_derivative<T: Real>(loss: &dyn Loss<T>, y: T, h: T) -> Result<(), Violation> {
    let at = || format!("y = {y}, h = {h}");
    let second = to_f64(loss.second_derivative(y, h));
    within("l'' >= 0", -second, 0.0, at)?;
    let step = epsilon::<T>().cbrt() * (T::one() + h.abs());
    let quotient = |step: T| {
        let shifted = h + step;
        to_f64(loss.derivative(y, shifted) - loss.derivative(y, h)) / to_f64(shifted - h)
    };
    let size = second + to_f64(loss.derivative(y, h).abs()) / to_f64(T::one() + h.abs());
    let noise = 100.0 * to_f64(epsilon::<T>().cbrt().powi(2)) * size;
    let Some(difference) = Difference::central(quotient(-step), quotient(step), noise) else {
        return Ok(());
    };
    let law = "l'' is the derivative of dl/dh";
    let error = (second - difference.derivative).abs();
    within(law, error, noise + difference.uncertainty, at)
}

/// The first target that the loss accepts, among `y` and numbers derived from it.
///
/// These are its sign, its absolute value, a positive integer, 0 or 1, and its fractional part.
///
/// # Errors
/// If the loss accepts none of them.
pub fn accepted_target<T: Real>(loss: &dyn Loss<T>, y: T) -> Result<T, Violation> {
    let sign = if y < T::zero() { -T::one() } else { T::one() };
    let size = y.abs();
    let candidates = [
        y,
        sign,
        size,
        T::one() + size.round(),
        (sign + T::one()) * real(0.5),
        size.fract(),
    ];
    let accepted = candidates
        .into_iter()
        .find(|&y| loss.check_target(y).is_ok());
    let found = || format!("{:?} for y", loss.check_target(y));
    let at = || format!("y = {y}, candidates {candidates:?}");
    let law = "check_target accepts a target";
    require(law, accepted.is_some(), found, at)?;
    Ok(accepted.unwrap_or(y))
}
