//! Adaptive Clenshaw-Curtis quadrature of derivatives with jumps.
//!
//! Source: C. Clenshaw and A. Curtis, A method for numerical integration on an automatic computer,
//! 1960.

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::rounding::Computed;

/// An integral over `[0, 1]` with a bound on its quadrature error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Integral {
    pub value: f64,
    /// A bound on the quadrature error.
    pub error: f64,
    /// The largest scale of the integrand, and at least the scale passed in.
    pub scale: f64,
}

/// Integrates over `[0, 1]`, from `pieces` equal pieces.
///
/// Bisects the piece of the largest error estimate, at most `bisections` times, until the estimates
/// sum to a hundredth of `rounding` times the scale.
pub(super) fn integrate(
    f: &mut dyn FnMut(f64) -> Computed,
    pieces: usize,
    bisections: usize,
    rounding: f64,
    mut scale: f64,
) -> Integral {
    let end = |i: usize| i as f64 / pieces as f64;
    let mut pieces: Vec<Piece> = (0..pieces)
        .map(|i| Piece::new(end(i), end(i + 1), f, &mut scale))
        .collect();
    let estimate = |pieces: &[Piece]| pieces.iter().map(|piece| piece.estimate).sum::<f64>();
    for _ in 0..bisections {
        let total = estimate(&pieces);
        if total <= 1e-2 * rounding * scale || total.is_nan() {
            break;
        }
        let larger = |i: usize, j: usize| {
            if pieces[j].estimate > pieces[i].estimate {
                j
            } else {
                i
            }
        };
        let worst = (0..pieces.len()).fold(0, larger);
        let Piece { low, high, .. } = pieces.swap_remove(worst);
        let middle = 0.5 * (low + high);
        pieces.push(Piece::new(low, middle, f, &mut scale));
        pieces.push(Piece::new(middle, high, f, &mut scale));
    }
    Integral {
        value: pieces.iter().map(|piece| piece.integral).sum(),
        error: SAFETY * estimate(&pieces),
        scale,
    }
}

/// The ratio of the error of the rule to its estimate, at most, for an integrand with one jump or
/// one kink. Measured at 4001 positions: the largest ratio was 1.4 for jumps and 9.1 for kinks.
const SAFETY: f64 = 10.0;

/// The number of intervals of the finest rule; the rules with a half and a quarter of them use
/// every second and every fourth of its points.
const ORDER: usize = 16;

/// The integral over a piece of `[0, 1]`, and an estimate of its error up to the factor [`SAFETY`].
struct Piece {
    low: f64,
    high: f64,
    integral: f64,
    estimate: f64,
}

impl Piece {
    fn new(low: f64, high: f64, f: &mut dyn FnMut(f64) -> Computed, scale: &mut f64) -> Self {
        let values: [f64; ORDER + 1] = std::array::from_fn(|i| {
            let computed = f(low + (high - low) * RULES.points[i]);
            *scale = scale.max(computed.scale);
            computed.value
        });
        let [fine, half, quarter] = [0, 1, 2].map(|r| {
            let terms = RULES.weights[r].iter().enumerate();
            (high - low) * terms.map(|(i, w)| w * values[i << r]).sum::<f64>()
        });
        // For some positions of a kink the two finer rules agree by coincidence, and only the
        // coarsest one differs. It is too inaccurate to count in full.
        let estimate = (fine - half).abs().max((fine - quarter).abs() / 16.0);
        Self {
            low,
            high,
            integral: fine,
            estimate,
        }
    }
}

/// Nested Clenshaw-Curtis rules on `[0, 1]`, the finest first.
///
/// The end points are among the nodes, so a jump close to an end is detected.
struct Rules {
    points: [f64; ORDER + 1],
    weights: [Vec<f64>; 3],
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    points: std::array::from_fn(|i| 0.5 - 0.5 * (PI * i as f64 / ORDER as f64).cos()),
    weights: [weights(ORDER), weights(ORDER / 2), weights(ORDER / 4)],
});

/// The weights of the rule with `n` intervals, n even; they sum to 1.
fn weights(n: usize) -> Vec<f64> {
    let weight = |i: usize| {
        let mut sum = 0.0;
        for j in 0..=n / 2 {
            let b = if j == 0 || j == n / 2 { 1.0 } else { 2.0 };
            let angle = PI * (2 * j * i) as f64 / n as f64;
            sum += b / (1.0 - 4.0 * (j * j) as f64) * angle.cos();
        }
        let intervals = if i == 0 || i == n { 2 * n } else { n };
        sum / intervals as f64
    };
    (0..=n).map(weight).collect()
}
