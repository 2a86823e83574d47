//! A table of the normal distribution, computed by the compiler.

/// `(p(c), P(N <= -c))` at the nodes c = 0, `DISTANCE`, 2 `DISTANCE`, ..
pub(super) type Nodes<E> = [[E; 2]; LEN];

/// Nodes of the table.
pub(super) const LEN: usize = 1024;

/// The distance of two nodes, a power of 2.
pub(super) const DISTANCE: f64 = 1.0 / 128.0;

/// The table, each number rounded once.
pub(super) static NODES: Nodes<f64> = nodes();

/// A number of about 106 bits as an unevaluated sum, the second part below half a unit of the first.
#[derive(Clone, Copy)]
struct Double(f64, f64);

impl Double {
    /// `a + b`, `|a| >= |b|`
    const fn sum(a: f64, b: f64) -> Self {
        let sum = a + b;
        Self(sum, b - (sum - a))
    }

    /// `a + b`, `|a| >= |b|`
    const fn plus(self, b: Self) -> Self {
        let Self(head, rest) = Self::sum(self.0, b.0);
        Self::sum(head, rest + self.1 + b.1)
    }

    /// `a b`, by halves of the digits (Dekker).
    const fn times(self, b: Self) -> Self {
        const fn halves(a: f64) -> (f64, f64) {
            let multiple = a * ((1 << 27) + 1) as f64;
            let head = multiple - (multiple - a);
            (head, a - head)
        }
        let ((a0, a1), (b0, b1)) = (halves(self.0), halves(b.0));
        let product = self.0 * b.0;
        let rest = ((a0 * b0 - product) + a0 * b1 + a1 * b0) + a1 * b1;
        Self::sum(product, rest + self.0 * b.1 + self.1 * b.0)
    }
}

/// The table, computed with about 100 bits.
///
/// `p(c + h)/p(c) = exp(-h c - h^2/2)` with `h = 1/128` is a geometric sequence of ratio
/// `exp(-h^2)`. The tails follow from the last one by addition: `P(N <= -c) - P(N <= -c - h)` is h
/// times the mean of p, by its Taylor series at the right end.
const fn nodes() -> Nodes<f64> {
    let mut density = Double(0.398_942_280_401_432_7, -2.492_327_202_277_73e-17); // p(0)
    let mut factor = Double(0.999_969_482_887_531_5, 3.704_357_400_600_769_6e-17); // exp(-h^2/2)
    let ratio = Double(0.999_938_966_706_357_3, -3.642_920_005_404_904e-17); // exp(-h^2)
    let mut densities = [density; LEN + 1];
    let mut k = 0;
    while k < LEN {
        density = density.times(factor);
        factor = factor.times(ratio);
        k += 1;
        densities[k] = density;
    }
    let mut tail = Double(6.220_960_574_271_784e-16, 2.491_586_890_683_703e-32); // P(N <= -8)
    let mut nodes = [[0.0; 2]; LEN];
    while k > 0 {
        // sum_n (-h)^n p^(n)(c) / ((n + 1)! p(c)), n >= 1, by p^(n+1) = -c p^(n) - n p^(n-1).
        let c = k as f64 * DISTANCE;
        let (mut before, mut term) = (1.0, c * DISTANCE);
        let (mut mean, mut n) = (0.0, 1.0);
        while n < 16.0 {
            mean += term / (n + 1.0);
            let next = (c * DISTANCE * term - DISTANCE * DISTANCE * before) / (n + 1.0);
            (before, term) = (term, next);
            n += 1.0;
        }
        let density = densities[k];
        let step = density.plus(Double(density.0 * mean, 0.0));
        tail = tail.plus(Double(step.0 * DISTANCE, step.1 * DISTANCE));
        k -= 1;
        nodes[k] = [densities[k].0, tail.0];
    }
    nodes
}
