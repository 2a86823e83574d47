//! Deconvolution of spikes on the circle: feature map, penalty, energy and optimality certificate.

use std::f64::consts::{SQRT_2, TAU};

use wasserflow::feature::Breakpoint;
use wasserflow::nalgebra::{DMatrix, Vector2};
use wasserflow::optimality::{Certifiable, Certificate, DualRisk, Search};
use wasserflow::prelude::*;

/// The feature map of spikes: their Fourier coefficients up to an order, and the penalty on their
/// mass.
///
/// `Phi(a, t)(l) = a r_l (cos l t, sin l t)` with `r_0 = 1`, `r_l = sqrt 2`. These are the
/// coefficients of `a D(. - t)` in an orthonormal basis, where `D(t) = 1 + 2 sum_l cos l t` is the
/// Dirichlet kernel. Signed spikes are particles `(a, t)` with the penalty `lambda |a|`. Positive
/// spikes are particles `t` whose mass is the weight, with the penalty `lambda`.
#[derive(Debug, Clone, Copy)]
pub struct Spikes {
    pub signed: bool,
    pub order: u32,
    pub lambda: f64,
}

impl Spikes {
    /// The amplitude and position `(a, t)` of a particle.
    pub fn spike(&self, w: &[f64]) -> [f64; 2] {
        if self.signed {
            [w[0], w[1]]
        } else {
            [1.0, w[0]]
        }
    }

    /// `r_l (cos l t, sin l t)`.
    fn wave(l: f64, t: f64) -> [f64; 2] {
        let (r, (sin, cos)) = (if l == 0.0 { 1.0 } else { SQRT_2 }, (l * t).sin_cos());
        [r * cos, r * sin]
    }
}

impl FeatureMap<f64> for Spikes {
    fn particle_dim(&self) -> usize {
        if self.signed { 2 } else { 1 }
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn output_dim(&self) -> usize {
        2
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        let [a, t] = self.spike(w);
        let [cos, sin] = Self::wave(x[0], t);
        out[0] += scale * a * cos;
        out[1] += scale * a * sin;
    }
    fn add_vjp(&self, w: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        let [a, t] = self.spike(w);
        let [cos, sin] = Self::wave(x[0], t);
        if self.signed {
            out[0] += g[0] * cos + g[1] * sin;
        }
        out[self.particle_dim() - 1] += a * x[0] * (g[1] * cos - g[0] * sin);
    }
    // The batch methods compute one sine and cosine for each particle instead of one for each
    // frequency: the inputs are the frequencies 0, 1, ..
    fn predict(
        &self,
        mu: &EmpiricalMeasure<f64>,
        _: &Inputs<f64>,
        out: &mut [f64],
        _: &mut Workspace<f64>,
    ) {
        out.fill(0.0);
        for i in 0..mu.len() {
            let [a, t] = self.spike(mu.particle(i));
            for (h, [cos, sin]) in out.chunks_exact_mut(2).zip(waves(t)) {
                h[0] += mu.weight(i) * a * cos;
                h[1] += mu.weight(i) * a * sin;
            }
        }
    }
    fn variation(
        &self,
        w: &DMatrix<f64>,
        _: &Inputs<f64>,
        g: &[f64],
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
        _: &mut Workspace<f64>,
    ) {
        let p = self.particle_dim();
        let fields = w
            .as_slice()
            .chunks_exact(p)
            .zip(descent.as_mut_slice().chunks_exact_mut(p));
        for ((w, v), value) in fields.zip(values) {
            let [a, t] = self.spike(w);
            let (mut height, mut slope) = (0.0, 0.0);
            for ((l, g), [cos, sin]) in g.chunks_exact(2).enumerate().zip(waves(t)) {
                height += g[0] * cos + g[1] * sin;
                slope += l as f64 * (g[1] * cos - g[0] * sin);
            }
            *value = a * height;
            v[0] = -height;
            v[p - 1] = -a * slope;
        }
    }
}

/// `r_l (cos l t, sin l t)` for l = 0, 1, .., by the recurrence of rotations.
fn waves(t: f64) -> impl Iterator<Item = [f64; 2]> {
    let (sin, cos) = t.sin_cos();
    let rotate = move |&[c, s]: &[f64; 2]| Some([c * cos - s * sin, c * sin + s * cos]);
    let first = [SQRT_2 * cos, SQRT_2 * sin];
    std::iter::once([1.0, 0.0]).chain(std::iter::successors(Some(first), rotate))
}

impl Potential<f64> for Spikes {
    fn value(&self, w: &[f64]) -> f64 {
        self.lambda * self.spike(w)[0].abs()
    }
    fn gradient(&self, w: &[f64], scale: f64, out: &mut [f64]) {
        if self.signed && w[0] != 0.0 {
            out[0] += scale * self.lambda * w[0].signum();
        }
    }
}

/// `F(mu) = |int Phi dmu - y|^2 / 2 + lambda |mu|`: sparse deconvolution.
#[derive(Debug)]
pub struct Deconvolution(MeanFieldRisk<Spikes, EmpiricalRisk<Square, f64>, f64, Spikes>);

impl Deconvolution {
    /// The problem with the filtered signal y of the given spikes `(a, t)`.
    pub fn new(spikes: Spikes, signal: &[[f64; 2]]) -> Result<Self, RiskError> {
        let frequencies = spikes.order as usize + 1;
        let x = DMatrix::from_fn(1, frequencies, |_, l| l as f64);
        let mut y = DMatrix::zeros(2, frequencies);
        for (l, mut y) in y.column_iter_mut().enumerate() {
            for &[a, t] in signal {
                y += Vector2::from(Spikes::wave(l as f64, t)) * a;
            }
        }
        let risk =
            EmpiricalRisk::with_outputs(Square, x, y)?.sample_weights(vec![1.0; frequencies])?;
        Ok(Self(MeanFieldRisk::new(spikes, risk)?.regularized(spikes)))
    }
}

impl Energy<f64> for Deconvolution {
    fn particle_dim(&self) -> usize {
        Energy::particle_dim(&self.0)
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        self.0.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        self.0.velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        self.0.first_variation(mu, at, values, descent)
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        out: &mut DMatrix<f64>,
    ) -> Option<()> {
        self.0.curvature(mu, v, out)
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        remainder: &mut [f64],
        included: &mut [f64],
    ) -> Option<()> {
        self.0.hessians(mu, remainder, included)
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        margin: f64,
        visit: &mut dyn FnMut(&Breakpoint<'_, f64>),
    ) {
        self.0.breakpoints(mu, v, margin, visit);
    }
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<f64>, f64)>) -> Option<f64> {
        self.0.relax(at)
    }
}

/// The certificate by Fenchel duality, with `u = grad R(h)` and `eta(t) = <u, Phi(1, t)>`.
///
/// mu is optimal if and only if `|eta| <= lambda` (`-eta <= lambda` for positive spikes), with
/// equality on its support. If `c eta` satisfies the inequality, then c u is dual feasible and
/// `-R*(c u) <= F*`.
impl Certifiable<f64> for Deconvolution {
    fn certificate(&mut self, mu: &EmpiricalMeasure<f64>, _: &mut Search) -> Certificate<f64> {
        let (spikes, energy) = (*self.0.features(), self.value(mu));
        let mut h = vec![0.0; self.0.risk().targets().len()];
        let mut u = h.clone();
        self.0.predict(mu, &mut h);
        let risk = self.0.risk();
        risk.slope(&h, &mut u);
        let eta = Wave::new(&u);
        let below = eta.maximum(-1.0);
        let above = if spikes.signed {
            eta.maximum(1.0)
        } else {
            Maximum {
                value: 0.0,
                upper: 0.0,
                at: 0.0,
            }
        };
        let (largest, a) = if above.value > below.value {
            (&above, -1.0)
        } else {
            (&below, 1.0)
        };

        // -R*(c u) is quadratic in c: the maximiser is the vertex, or an end of the range of
        // feasible c.
        let (uy, uu) = risk
            .targets()
            .iter()
            .zip(&u)
            .fold((0.0, 0.0), |(uy, uu), (y, u)| (uy + u * y, uu + u * u));
        let limit = spikes.lambda / below.upper.max(above.upper).max(f64::MIN_POSITIVE);
        let c = if uu > 0.0 {
            (-uy / uu).clamp(0.0, limit)
        } else {
            0.0
        };
        let lower = risk.conjugate(&u, c).map_or(f64::NEG_INFINITY, |s| -s);
        let particle = if spikes.signed {
            vec![a, largest.at]
        } else {
            vec![largest.at]
        };
        // Without the margin, rounding would report a direction of descent at an optimum.
        let escapes = largest.value > spikes.lambda * (1.0 + 1e-14);
        Certificate::bounded(energy, lower, escapes.then_some(particle))
    }
}

/// A trigonometric polynomial `p(t) = sum_l A_l cos l t + B_l sin l t`.
struct Wave(Vec<[f64; 2]>);

/// A maximum over the circle.
struct Maximum {
    /// The largest computed value.
    value: f64,
    /// An upper bound of all values.
    upper: f64,
    /// The argument of the largest computed value.
    at: f64,
}

impl Wave {
    /// `t -> <u, Phi(1, t)>`.
    fn new(u: &[f64]) -> Self {
        // The amplitudes r_l are those of the wave at 0.
        let scaled =
            |(l, u): (usize, &[f64])| [u[0], u[1]].map(|u| u * Spikes::wave(l as f64, 0.0)[0]);
        Self(u.chunks_exact(2).enumerate().map(scaled).collect())
    }

    /// `(p(t), p'(t))`.
    fn at(&self, t: f64) -> (f64, f64) {
        self.0
            .iter()
            .enumerate()
            .fold((0.0, 0.0), |(p, slope), (l, [a, b])| {
                let l = l as f64;
                let (sin, cos) = (l * t).sin_cos();
                (p + a * cos + b * sin, slope + l * (b * cos - a * sin))
            })
    }

    /// The maximum of `sign p` over the circle by branch and bound, with the bound
    /// `p(t) + |p'(t)| r + max|p''| r^2 / 2` on `[t - r, t + r]`.
    fn maximum(&self, sign: f64) -> Maximum {
        /// Relative accuracy of the maximum, near the rounding error of `p`.
        const ACCURACY: f64 = 1e-14;
        /// Cells of a smaller radius are not divided: their bound is accurate to rounding.
        const SMALLEST: f64 = 1e-11;
        let max_curvature: f64 = self
            .0
            .iter()
            .enumerate()
            .map(|(l, [a, b])| (l * l) as f64 * a.hypot(*b))
            .sum();
        let size: f64 = self.0.iter().map(|[a, b]| a.hypot(*b)).sum();
        let cells = 16 * self.0.len(); // initial cells
        let mut best = Maximum {
            value: f64::NEG_INFINITY,
            upper: 0.0,
            at: 0.0,
        };
        let cell = |i: usize| {
            (
                TAU * (i as f64 + 0.5) / cells as f64,
                TAU * 0.5 / cells as f64,
            )
        };
        let mut open: Vec<(f64, f64)> = (0..cells).map(cell).collect();
        for &(t, _) in &open {
            best.update(sign * self.at(t).0, t);
        }
        while let Some((t, r)) = open.pop() {
            let (p, slope) = self.at(t);
            best.update(sign * p, t);
            let upper = sign * p + slope.abs() * r + 0.5 * max_curvature * r * r;
            if upper <= best.value + ACCURACY * size {
                continue;
            }
            if r < SMALLEST {
                best.upper = best.upper.max(upper);
            } else {
                open.extend([(t - 0.5 * r, 0.5 * r), (t + 0.5 * r, 0.5 * r)]);
            }
        }
        best.upper = best.upper.max(best.value + ACCURACY * size) + 64.0 * f64::EPSILON * size;
        best
    }
}

impl Maximum {
    /// Records a computed value.
    fn update(&mut self, value: f64, at: f64) {
        if value > self.value {
            (self.value, self.at) = (value, at.rem_euclid(TAU));
        }
    }
}
