//! The orders of the blob method in one dimension, beside values that were measured independently:
//! particles on cells of width h with their exact masses, variance h^1.9 (eps = h^.95), from
//! t = .08 to .18.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// The exact solution: the heat kernel for m = 1, the Barenblatt profile of mass 1 for m > 1.
#[derive(Clone, Copy)]
struct Solution {
    m: f64,
    time: f64,
}

impl Solution {
    /// `(t^beta, C, k)`.
    fn constants(self) -> (f64, f64, f64) {
        let beta = 1.0 / (self.m + 1.0);
        let k = beta * (self.m - 1.0) / (2.0 * self.m);
        let c = if self.m == 2.0 {
            0.360_562_393
        } else {
            0.183_776_298
        };
        (self.time.powf(beta), c, k)
    }

    /// The radius of the support, or eight standard deviations.
    fn radius(self) -> f64 {
        if self.m == 1.0 {
            return 8.0 * (2.0 * self.time).sqrt();
        }
        let (scale, c, k) = self.constants();
        scale * (c / k).sqrt()
    }

    fn density(self, x: f64) -> f64 {
        if self.m == 1.0 {
            let variance = 2.0 * self.time;
            return (-0.5 * x * x / variance).exp() / (std::f64::consts::TAU * variance).sqrt();
        }
        let (scale, c, k) = self.constants();
        let power = (c - k * (x / scale).powi(2)).max(0.0);
        power.powf(1.0 / (self.m - 1.0)) / scale
    }

    /// The mass of an interval by Simpson's rule in `x = R sin(theta)`, in which the density is smooth.
    fn mass(self, from: f64, to: f64) -> f64 {
        let radius = self.radius();
        let angle = |x: f64| (x / radius).clamp(-1.0, 1.0).asin();
        let (a, b) = (angle(from), angle(to));
        const PARTS: usize = 64;
        let term = |i: usize| {
            let theta = a + (b - a) * i as f64 / PARTS as f64;
            let weight = match i {
                0 | PARTS => 1.0,
                _ if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * self.density(radius * theta.sin()) * radius * theta.cos()
        };
        (0..=PARTS).map(term).sum::<f64>() * (b - a) / (3.0 * PARTS as f64)
    }

    fn cells(self, h: f64) -> EmpiricalMeasure<f64> {
        let half = (self.radius() / h).ceil() as i32;
        let all = (-half..=half).map(|i| {
            let x = h * f64::from(i);
            (x, self.mass(x - 0.5 * h, x + 0.5 * h))
        });
        let (points, weights): (Vec<_>, Vec<_>) = all.filter(|&(_, c)| c > 1e-12).unzip();
        let points = DMatrix::from_row_slice(1, points.len(), &points);
        EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap()
    }

    /// `[L1, Linf, W2]` of the density `phi * mu` and the particles, which remain in order.
    fn errors(self, mu: &EmpiricalMeasure<f64>, variance: f64) -> [f64; 3] {
        let reach = self.radius() + 6.0 * variance.sqrt();
        const POINTS: usize = 4001;
        let step = 2.0 * reach / (POINTS - 1) as f64;
        let grid = DMatrix::from_fn(1, POINTS, |_, i| -reach + step * i as f64);
        let mut density = vec![0.0; POINTS];
        let mut blob = Blob::entropy(1, variance).unwrap();
        blob.density(mu, &grid, &mut density);
        let errors = grid
            .iter()
            .zip(&density)
            .map(|(&x, rho)| (rho - self.density(x)).abs());
        let (l1, linf) = errors.fold((0.0, 0.0_f64), |(s, m), e| (s + e * step, m.max(e)));
        // The quantile of the exact law at the middle of the mass of each particle.
        let (mut before, mut square, mut low) = (0.0, 0.0, -self.radius());
        let mut below = 0.0; // the mass left of `low`
        for i in 0..mu.len() {
            let level = before + 0.5 * mu.weight(i);
            let (start, mut left, mut right) = (low, low, self.radius());
            for _ in 0..50 {
                let middle = 0.5 * (left + right);
                if below + self.mass(start, middle) < level {
                    left = middle;
                } else {
                    right = middle;
                }
            }
            below += self.mass(start, left);
            low = left;
            square += mu.weight(i) * (mu.particle(i)[0] - left).powi(2);
            before += mu.weight(i);
        }
        [l1, linf, square.sqrt()]
    }
}

fn measure(m: f64, h: f64) -> [f64; 3] {
    let variance = h.powf(1.9);
    let blob = if m == 1.0 {
        Blob::entropy(1, variance)
    } else {
        Blob::porous_medium(1, m, variance)
    };
    let steps = (0.1 / (0.4 * variance)).ceil().max(20.0);
    let mut flow = ParticleFlow::new(blob.unwrap(), Rk4, 0.1 / steps).unwrap();
    let mut state = flow.start(Solution { m, time: 0.08 }.cells(h)).unwrap();
    flow.run_until(&mut state, 0.1, &mut ()).unwrap();
    Solution { m, time: 0.18 }.errors(state.measure(), variance)
}

/// The errors agree with the independent ones, and the orders are about 1.9 in L1 for m = 1 and 2,
/// and for W2 about 2, 1.5 and 1.2: not 2 for m = 3, whose density has an infinite slope at the front.
#[test]
fn orders() {
    type Row = (f64, [f64; 2], [[f64; 3]; 2], [[f64; 2]; 3]);
    let rows: [Row; 3] = [
        (
            1.0,
            [0.04, 0.02],
            [[3.12e-3, 2.15e-3, 5.87e-4], [8.35e-4, 5.76e-4, 1.46e-4]],
            [[1.85, 2.0], [1.85, 2.0], [1.9, 2.15]],
        ),
        (
            2.0,
            [0.04, 0.02],
            [[2.60e-3, 1.41e-2, 1.26e-3], [6.96e-4, 7.16e-3, 4.16e-4]],
            [[1.8, 2.0], [0.9, 1.1], [1.3, 1.85]],
        ),
        (
            3.0,
            [0.04, 0.02],
            [[7.73e-3, 6.63e-2, 2.30e-3], [2.71e-3, 4.58e-2, 9.52e-4]],
            [[1.4, 1.6], [0.45, 0.6], [1.0, 1.4]],
        ),
    ];
    for (m, widths, given, ranges) in rows {
        let found = widths.map(|h| measure(m, h));
        for ((h, found), given) in widths.iter().zip(&found).zip(&given) {
            println!(
                "m = {m}, h = {h}: L1 {:.2e} ({:.2e}), Linf {:.2e} ({:.2e}), W2 {:.2e} ({:.2e})",
                found[0], given[0], found[1], given[1], found[2], given[2]
            );
            for (l, (found, given)) in found.iter().zip(given).enumerate() {
                // W2 depends on how quantiles are compared.
                let tolerance = if l == 2 { 0.15 } else { 0.04 };
                let error = (found / given - 1.0).abs();
                assert!(
                    error < tolerance,
                    "m = {m}, h = {h}: {found:e}, given {given:e}"
                );
            }
        }
        for (l, [low, high]) in ranges.into_iter().enumerate() {
            let order = (found[0][l] / found[1][l]).log2();
            println!("m = {m}: order {order:.2} of {}", ["L1", "Linf", "W2"][l]);
            assert!((low..high).contains(&order), "m = {m}: order {order}");
        }
    }
}
