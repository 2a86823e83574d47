//! The law that ties a value to its derivative, `f(1) - f(0) = int_0^1 f'(t) dt`, for derivatives with jumps.
//!
//! A difference quotient knows a derivative to `eps^(2/3)` and fails at kinks. The integral knows it to rounding, and a
//! kink inside the segment costs a few bisections: so nobody has to say where the kinks are.

use std::sync::LazyLock;

use super::violation::{Violation, within};
use crate::real::{Real, epsilon, to_f64};

/// What rounding may do to a sum, in units of epsilon times the sum of the absolute values of its terms.
pub(super) const ROUNDING: f64 = 1e3;

/// `1e3 eps`.
pub(super) fn rounding<T: Real>() -> f64 {
    ROUNDING * to_f64(epsilon::<T>())
}

/// The derivative at a point of the segment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slope {
    /// `f'(t) = <grad f, v>`.
    pub value: f64,
    /// `sum |grad f| (|v| + |w|)`: what rounding the point and the sum may act on.
    pub scale: f64,
}

impl Slope {
    /// The slope along `v` at `w`, from the gradient there.
    pub fn new<T: Real>(gradient: &[T], v: &[T], w: &[T]) -> Self {
        let mut slope = Self::default();
        for ((&g, &v), &w) in gradient.iter().zip(v).zip(w) {
            slope.value += to_f64(g) * to_f64(v);
            slope.scale += to_f64(g).abs() * (to_f64(v).abs() + to_f64(w).abs());
        }
        slope
    }
}

/// The segment: the values at its ends, and what else rounding acts on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub law: &'static str,
    /// `f(0)`, `f(1)`.
    pub ends: [f64; 2],
    /// A scale of `f` beyond its values, where it is a difference of larger numbers.
    pub scale: f64,
    /// Bisections at first.
    pub bisections: usize,
}

impl Segment {
    /// Checks `f(1) - f(0) = int_0^1 f'(t) dt`.
    ///
    /// Two jumps that cancel may hide between the points of the rule. So what fails is integrated again over more pieces, cut
    /// elsewhere, with more bisections: a law that is wrong fails each time.
    pub fn check<T: Real>(
        self,
        mut slope: impl FnMut(f64) -> Slope,
        at: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        let slope: &mut dyn FnMut(f64) -> Slope = &mut slope;
        let mut found = (f64::NAN, 0.0);
        for (pieces, bisections) in [(1, 1), (7, 8), (59, 64)] {
            found = self.integrate(pieces, bisections * self.bisections, rounding::<T>(), slope);
            if within(self.law, found.0, found.1, String::new).is_ok() {
                return Ok(());
            }
        }
        within(self.law, found.0, found.1, at)
    }

    /// The error of the law, and what is allowed.
    fn integrate(
        self,
        pieces: usize,
        bisections: usize,
        rounding: f64,
        slope: &mut dyn FnMut(f64) -> Slope,
    ) -> (f64, f64) {
        let [start, end] = self.ends;
        let mut scale = start.abs() + end.abs() + self.scale;
        let cut = |i: usize| i as f64 / pieces as f64;
        let mut pieces: Vec<Piece> = (0..pieces)
            .map(|i| Piece::new(cut(i), cut(i + 1), slope, &mut scale))
            .collect();
        for _ in 0..bisections {
            let doubt: f64 = pieces.iter().map(|piece| piece.doubt).sum();
            if doubt <= 1e-2 * rounding * scale || doubt.is_nan() {
                break;
            }
            let worst = (0..pieces.len()).fold(0, |i, j| {
                if pieces[j].doubt > pieces[i].doubt {
                    j
                } else {
                    i
                }
            });
            let Piece { low, high, .. } = pieces.swap_remove(worst);
            let middle = 0.5 * (low + high);
            pieces.push(Piece::new(low, middle, slope, &mut scale));
            pieces.push(Piece::new(middle, high, slope, &mut scale));
        }
        let integral: f64 = pieces.iter().map(|piece| piece.integral).sum();
        let doubt: f64 = pieces.iter().map(|piece| piece.doubt).sum();
        (
            (end - start - integral).abs(),
            rounding * scale + SAFETY * doubt,
        )
    }
}

/// `w + t v`, written to `out`.
pub(super) fn along<T: Real>(w: &[T], t: f64, v: &[T], out: &mut [T]) {
    let t = crate::real::real::<T>(t);
    for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
        *out = w + t * v;
    }
}

/// The integral over a piece of the segment, and a bound of its error up to [`SAFETY`].
struct Piece {
    low: f64,
    high: f64,
    integral: f64,
    doubt: f64,
}

/// The error of the rule on a jump or a kink, wherever it is, is at most ten times the doubt: over 4001 places of one the
/// largest ratio found was 1.4 (jump) and 9.1 (kink).
const SAFETY: f64 = 10.0;

/// Intervals of the finest rule; the rules with half and a quarter of them use every second and fourth of its points.
const ORDER: usize = 16;

impl Piece {
    fn new(low: f64, high: f64, slope: &mut dyn FnMut(f64) -> Slope, scale: &mut f64) -> Self {
        let values: [f64; ORDER + 1] = std::array::from_fn(|i| {
            let Slope { value, scale: here } = slope(low + (high - low) * RULES.points[i]);
            *scale = scale.max(here);
            value
        });
        let [fine, half, quarter] = [0, 1, 2].map(|r| {
            let weights = &RULES.weights[r];
            (high - low)
                * weights
                    .iter()
                    .enumerate()
                    .map(|(i, w)| w * values[i << r])
                    .sum::<f64>()
        });
        // The quarter rule sees the kinks that the other two miss together; it is too coarse to count in full.
        Self {
            low,
            high,
            integral: fine,
            doubt: (fine - half).abs().max((fine - quarter).abs() / 16.0),
        }
    }
}

/// Nested rules of Clenshaw and Curtis on [0, 1]. The end points are among their points: a jump next to an end is seen.
///
/// Source: C. Clenshaw and A. Curtis, A method for numerical integration on an automatic computer, 1960.
struct Rules {
    points: [f64; ORDER + 1],
    weights: [Vec<f64>; 3],
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    points: std::array::from_fn(|i| {
        0.5 - 0.5 * (std::f64::consts::PI * i as f64 / ORDER as f64).cos()
    }),
    weights: [weights(ORDER), weights(ORDER / 2), weights(ORDER / 4)],
});

/// The weights of the rule with `n` intervals, n even; they sum to 1.
fn weights(n: usize) -> Vec<f64> {
    let weight = |i: usize| {
        let mut sum = 0.0;
        for j in 0..=n / 2 {
            let b = if j == 0 || j == n / 2 { 1.0 } else { 2.0 };
            let angle = std::f64::consts::PI * (2 * j * i) as f64 / n as f64;
            sum += b / (1.0 - 4.0 * (j * j) as f64) * angle.cos();
        }
        if i == 0 || i == n {
            sum / (2 * n) as f64
        } else {
            sum / n as f64
        }
    };
    (0..=n).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ends: [f64; 2], slope: impl Fn(f64) -> f64) -> Result<(), Violation> {
        let segment = Segment {
            law: "law",
            ends,
            scale: 0.0,
            bisections: 64,
        };
        segment.check::<f64>(
            |t| Slope {
                value: slope(t),
                scale: slope(t).abs(),
            },
            String::new,
        )
    }

    #[test]
    fn the_integral_of_a_smooth_derivative_is_known_to_rounding() {
        let f = |t: f64| (3.0 * t).sin();
        assert_eq!(check([f(0.0), f(1.0)], |t| 3.0 * (3.0 * t).cos()), Ok(()));
        let violation =
            check([f(0.0), f(1.0)], |t| 3.0 * (1.0 + 1e-11) * (3.0 * t).cos()).unwrap_err();
        assert!(violation.tolerance < 2e-12, "{violation}");
    }

    #[test]
    fn a_jump_or_a_kink_anywhere_costs_no_accuracy() {
        for j in 0..2000 {
            let s = (j as f64 + 0.123) / 2000.0;
            assert_eq!(
                check([0.0, 1.0 - s], |t| if t > s { 1.0 } else { 0.0 }),
                Ok(())
            );
            assert_eq!(
                check([0.0, (1.0 - s).powi(2) / 2.0], |t| (t - s).max(0.0)),
                Ok(())
            );
            check([0.0, 1.0 - s + 1e-9], |t| if t > s { 1.0 } else { 0.0 }).unwrap_err();
        }
    }
}
