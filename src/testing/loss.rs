//! The laws of a loss.

use super::slope::{Segment, Slope, rounding};
use super::violation::{Violation, holds, within};
use crate::loss::Loss;
use crate::real::{Real, epsilon, real, to_f64};

/// Checks a loss at the target `y`, on predictions in `[a, b]` (either order).
///
/// - convex: chords lie above, and `dl/dh` does not decrease at 65 points from a to b;
/// - `l(y, b) - l(y, a) = int_a^b dl/dh dh`, to rounding, across any kinks;
/// - `value_and_derivative = (value, derivative)`, and `values_and_derivatives` is that on slices, up to 4 units in the last place;
/// - `second_derivative >= 0`, and the derivative of `derivative` wherever that has one;
/// - `l(y, h) + l*(y, u) >= u h`, with equality at `u = dl/dh` (Fenchel and Young), where the conjugate is given;
/// - no prediction within `[-1000, 1000]` gives NaN, nor an infinite value beside a finite derivative;
/// - NaN and infinity are refused as targets, and `check` accepts the parameters;
/// - a borrowed loss is the loss, bit for bit.
///
/// ```
/// use wasserflow::testing::check_loss;
/// use wasserflow::prelude::*;
///
/// assert_eq!(check_loss(&Hinge, -1.0, 3.0, -5.0), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_loss<T: Real>(loss: &dyn Loss<T>, y: T, a: T, b: T) -> Result<(), Violation> {
    let at = |h: T| move || format!("y = {y}, h = {h}");
    holds(
        "the parameters of the loss are in range",
        loss.check().is_ok(),
        || format!("{:?}", loss.check()),
    )?;
    for target in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refused =
            loss.check_target(real(target)).is_err() && (&loss).check_target(real(target)).is_err();
        holds("targets that are not finite are refused", refused, || {
            format!("y = {target}")
        })?;
    }
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    for h in [a, a + (b - a) * real(0.5), b] {
        let (value, derivative) = loss.value_and_derivative(y, h);
        for (both, alone) in [
            (value, loss.value(y, h)),
            (derivative, loss.derivative(y, h)),
        ] {
            let error = if both == alone {
                0.0
            } else {
                to_f64((both - alone).abs())
            };
            let law = "value_and_derivative(y, h) = (value(y, h), derivative(y, h))";
            within(law, error, rounding::<T>() * to_f64(alone.abs()), at(h))?;
        }
        bend(loss, y, h)?;
        conjugate(loss, y, h, [a, h, b])?;
    }
    for size in [1.0, 30.0, 100.0, 1000.0] {
        for h in [real::<T>(size), real(-size)] {
            let (value, derivative) = (loss.value(y, h), loss.derivative(y, h));
            let numbers = !(to_f64(value).is_nan() || to_f64(derivative).is_nan());
            holds(
                "l(y, h) and dl/dh are numbers for every finite h",
                numbers,
                at(h),
            )?;
            holds(
                "l(y, h) is finite where dl/dh is",
                value.is_finite() || !derivative.is_finite(),
                at(h),
            )?;
        }
    }
    let plain = slices(loss, y, a, b)?;
    holds(
        "a borrowed loss is the same bits",
        slices(&loss, y, a, b)? == plain,
        || format!("y = {y}, a = {a}, b = {b}"),
    )?;
    convex(loss, y, a, b)
}

/// The slice hook at predictions from a to b, more than fit one line of lanes; returns what it writes, and all else that the
/// loss says at a.
fn slices<T: Real>(loss: &dyn Loss<T>, y: T, a: T, b: T) -> Result<[Vec<T>; 3], Violation> {
    const POINTS: usize = 19;
    let predictions: Vec<T> = (0..POINTS)
        .map(|j| a + (b - a) * real(j as f64 / (POINTS - 1) as f64))
        .collect();
    let [mut values, mut derivatives] = [(); 2].map(|()| vec![real(f64::NAN); POINTS]);
    loss.values_and_derivatives(&[y; POINTS], &predictions, &mut values, &mut derivatives);
    // A product with a subnormal number keeps the digits of that.
    let subnormal = rounding::<T>() / to_f64(T::max_value().unwrap_or(real(1e30)));
    for (j, &h) in predictions.iter().enumerate() {
        let (value, derivative) = loss.value_and_derivative(y, h);
        for (found, exact) in [(values[j], value), (derivatives[j], derivative)] {
            let error = if found == exact {
                0.0
            } else {
                to_f64((found - exact).abs())
            };
            let tolerance = 4.0 * to_f64(epsilon::<T>() * exact.abs()) + subnormal;
            let law = "values_and_derivatives writes (l(y_j, h_j), dl/dh(y_j, h_j))";
            within(law, error, tolerance, || {
                format!("y = {y}, h = {h}, place {j} of {POINTS}")
            })?;
        }
    }
    let more = vec![
        loss.second_derivative(y, a),
        loss.conjugate(y, derivatives[0]).unwrap_or(real(-1.0)),
    ];
    Ok([values, derivatives, more])
}

fn convex<T: Real>(loss: &dyn Loss<T>, y: T, a: T, b: T) -> Result<(), Violation> {
    let at = || format!("y = {y}, a = {a}, b = {b}");
    let (low, high) = (to_f64(a), to_f64(b));
    let point = |t: f64| real::<T>(low + t * (high - low));
    let value = |t: f64| to_f64(loss.value(y, point(t)));
    let slope = |t: f64| {
        let derivative = to_f64(loss.derivative(y, point(t)));
        let scale = derivative.abs() * (low.abs() + high.abs() + high - low);
        Slope {
            value: derivative * (high - low),
            scale,
        }
    };
    let ends = [value(0.0), value(1.0)];
    if ends.iter().any(|end| end.is_infinite()) {
        return Ok(());
    }
    let scale = ends[0].abs() + ends[1].abs() + slope(0.0).scale.max(slope(1.0).scale);

    const POINTS: usize = 64;
    let mut last = slope(0.0);
    for i in 1..=POINTS {
        let t = i as f64 / POINTS as f64;
        let next = slope(t);
        let law = "dl/dh does not decrease";
        within(
            law,
            last.value - next.value,
            rounding::<T>() * (scale + last.scale + next.scale),
            at,
        )?;
        let law = "l((1-t) a + t b) <= (1-t) l(a) + t l(b)";
        within(
            law,
            value(t) - (1.0 - t) * ends[0] - t * ends[1],
            rounding::<T>() * (scale + next.scale),
            at,
        )?;
        last = next;
    }
    let law = "l(y, b) - l(y, a) = int_a^b dl/dh dh";
    Segment {
        law,
        ends,
        scale: 0.0,
        bisections: 200,
    }
    .check::<T>(slope, at)
}

/// The conjugate at the slope of h, against the loss there and at other predictions.
fn conjugate<T: Real>(
    loss: &dyn Loss<T>,
    y: T,
    h: T,
    predictions: [T; 3],
) -> Result<(), Violation> {
    let u = loss.derivative(y, h);
    let Some(conjugate) = loss.conjugate(y, u) else {
        return Ok(());
    };
    for g in predictions {
        let [value, conjugate, product] = [
            to_f64(loss.value(y, g)),
            to_f64(conjugate),
            to_f64(u) * to_f64(g),
        ];
        if !(value.is_finite() && product.is_finite()) {
            continue;
        }
        let at = || format!("y = {y}, h = {g}, u = {u}");
        let (excess, scale) = (
            value + conjugate - product,
            value.abs() + conjugate.abs() + product.abs(),
        );
        let tolerance = if scale.is_finite() {
            rounding::<T>() * scale
        } else {
            0.0
        };
        if g == h {
            within(
                "l(y, h) + l*(y, u) = u h at u = dl/dh",
                excess.abs(),
                tolerance,
                at,
            )?;
        }
        within("l(y, h) + l*(y, u) >= u h", -excess, tolerance, at)?;
    }
    Ok(())
}

/// `second_derivative` against the differences of `derivative` to both sides, unless there is a kink.
fn bend<T: Real>(loss: &dyn Loss<T>, y: T, h: T) -> Result<(), Violation> {
    let at = || format!("y = {y}, h = {h}");
    let bend = to_f64(loss.second_derivative(y, h));
    within("l'' >= 0", -bend, 0.0, at)?;
    let step = epsilon::<T>().cbrt() * (T::one() + h.abs());
    let difference = |step: T| {
        let beside = h + step;
        to_f64(loss.derivative(y, beside) - loss.derivative(y, h)) / to_f64(beside - h)
    };
    let noise = 100.0 * to_f64(epsilon::<T>().cbrt().powi(2));
    let noise = noise * (bend + to_f64(loss.derivative(y, h).abs()) / to_f64(T::one() + h.abs()));
    match smooth(difference(-step), difference(step), noise) {
        Some((exact, doubt)) => within(
            "l'' is the derivative of dl/dh",
            (bend - exact).abs(),
            noise + doubt,
            at,
        ),
        None => Ok(()),
    }
}

/// The derivative from the differences to both sides, and its doubt; `None` where they differ as at a kink.
pub(super) fn smooth(left: f64, right: f64, noise: f64) -> Option<(f64, f64)> {
    let gap = (right - left).abs();
    (gap <= 0.1 * left.abs().min(right.abs()) + noise).then_some((0.5 * (left + right), gap))
}

/// The first target that the loss accepts, of `y` and the numbers made of it: its sign, size, whole and fractional part.
///
/// # Errors
/// When it accepts none of them.
pub fn accepted_target<T: Real>(loss: &dyn Loss<T>, y: T) -> Result<T, Violation> {
    let sign = if y < T::zero() { -T::one() } else { T::one() };
    let (size, whole) = (y.abs(), y.abs().round());
    let candidates = [
        y,
        sign,
        size,
        T::one() + whole,
        (sign + T::one()) * real(0.5),
        size.fract(),
    ];
    let accepted = candidates
        .into_iter()
        .find(|&y| loss.check_target(y).is_ok());
    accepted.ok_or_else(|| Violation {
        law: "some target is accepted",
        error: 1.0,
        tolerance: 0.0,
        at: format!("y in {candidates:?}: {:?}", loss.check_target(y)),
    })
}
