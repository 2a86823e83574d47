//! Relaxed kinks of a risk, for the method of multipliers.

use crate::loss::Kink;
use crate::real::{Real, real};
use crate::risk::Risk;

/// The distance of a prediction from a kink counts as at least this fraction of their size: a start
/// on the kinks would otherwise lead to an ill-conditioned problem.
const LEAST_DISTANCE: f64 = 0.01;

/// The kinks of a risk with their multipliers.
///
/// With the jump `r` and the slope `p = r / s` of the relaxed term, `t = h - at + u / p`, its
/// value is `r (t - s)_+ + (g^2 - u^2) / (2 p)`, where `g = p t` within `[0, r]` is its derivative.
pub(super) struct Relaxation<T> {
    /// The index of the prediction of each kink, ascending, and the kink.
    kinks: Vec<(usize, Kink<T>)>,
    /// The multiplier `u` of each kink.
    multipliers: Vec<T>,
    /// The unit of widths.
    unit: T,
    width: T,
}

impl<T: Real> Relaxation<T> {
    /// The kinks of a risk; `None` if it is continuously differentiable.
    pub(super) fn new(risk: &impl Risk<T>, h: &[T], g: &[T]) -> Option<Self> {
        let mut kinks = Vec::new();
        risk.kinks(&mut |i, kink| {
            if kink.right > kink.left {
                kinks.push((i, kink));
            }
        });
        let [mut distances, mut jumps] = [T::zero(); 2];
        let mut multipliers = Vec::with_capacity(kinks.len());
        for &(i, kink) in &kinks {
            let jump = kink.right - kink.left;
            let size = h[i].abs() + kink.at.abs();
            distances += jump * (h[i] - kink.at).abs().max(size * real(LEAST_DISTANCE));
            jumps += jump;
            let slope = if h[i] > kink.at {
                jump
            } else if h[i] < kink.at {
                T::zero()
            } else {
                g[i] - kink.left
            };
            multipliers.push(slope);
        }
        let unit = distances / jumps;
        (!kinks.is_empty()).then_some(Self {
            kinks,
            multipliers,
            unit: if unit > T::zero() { unit } else { T::one() },
            width: T::zero(),
        })
    }

    pub(super) fn set_width(&mut self, width: T) {
        self.width = width * self.unit;
    }

    /// Sets the multipliers to the slopes at `h`; returns the difference of the risk and the
    /// relaxed risk there.
    pub(super) fn update(&mut self, h: &[T]) -> T {
        let mut gap = T::zero();
        for (&(i, kink), u) in self.kinks.iter().zip(&mut self.multipliers) {
            let offset = h[i] - kink.at;
            let (value, slope, _) = relaxed(kink, offset, *u, self.width);
            let exact = (kink.right - kink.left) * offset.max(T::zero());
            gap += (exact - value).max(T::zero()); // rounding can make it negative
            *u = slope;
        }
        gap
    }

    /// Replaces the kinks of the risk by the relaxed ones, for the predictions from index `start`
    /// on: corrects the gradient `g` and returns the correction of the value.
    pub(super) fn correct(&self, start: usize, h: &[T], g: &mut [T]) -> T {
        let mut correction = T::zero();
        self.for_range(start, h.len(), |i, kink, u| {
            let (offset, jump) = (h[i] - kink.at, kink.right - kink.left);
            let (value, slope, _) = relaxed(kink, offset, u, self.width);
            correction += value - jump * offset.max(T::zero());
            let smooth = if offset > T::zero() {
                g[i] - jump
            } else if offset < T::zero() {
                g[i]
            } else {
                kink.left
            };
            g[i] = smooth + slope;
        });
        correction
    }

    /// Adds the second derivatives of the relaxed kinks times `u` to `out`.
    pub(super) fn add_curvature(&self, h: &[T], v: &[T], out: &mut [T]) {
        self.for_range(0, h.len(), |i, kink, u| {
            let (_, _, second) = relaxed(kink, h[i] - kink.at, u, self.width);
            out[i] += second * v[i];
        });
    }

    /// Calls `f(index in the range, kink, multiplier)` for the predictions `start..start + len`.
    fn for_range(&self, start: usize, len: usize, mut f: impl FnMut(usize, Kink<T>, T)) {
        let first = self.kinks.partition_point(|&(i, _)| i < start);
        for (&(i, kink), &u) in self.kinks[first..].iter().zip(&self.multipliers[first..]) {
            if i >= start + len {
                break;
            }
            f(i - start, kink, u);
        }
    }
}

/// Value, derivative and second derivative of a relaxed kink at the given offset from it.
fn relaxed<T: Real>(kink: Kink<T>, offset: T, u: T, width: T) -> (T, T, T) {
    let jump = kink.right - kink.left;
    let p = jump / width;
    let slope = offset * p + u;
    let g = slope.max(T::zero()).min(jump);
    let z = (slope - jump).max(T::zero()) / p;
    let value = jump * z + (g - u) * (g + u) * real(0.5) / p;
    let second = if g > T::zero() && g < jump {
        p
    } else {
        T::zero()
    };
    (value, g, second)
}

/// Corrects value and gradient of the risk for relaxed kinks, for predictions from index `start`
/// on.
pub(super) fn correct<T: Real>(
    relaxation: &Option<Relaxation<T>>,
    start: usize,
    h: &[T],
    g: &mut [T],
) -> T {
    match relaxation {
        Some(relaxation) => relaxation.correct(start, h, g),
        None => T::zero(),
    }
}
