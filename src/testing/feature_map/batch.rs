//! The batch methods of a feature map against the sums that they stand for.

use std::ops::Range;

use nalgebra::DMatrix;

use super::super::case::Case;
use super::super::energy::generic;
use super::super::slope::rounding;
use super::super::violation::{Violation, holds, within};
use crate::feature::{FeatureMap, PredictionGradient, Workspace};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::columns;
use crate::real::{Real, epsilon, real, to_f64};

/// The data of the batches: a measure, samples, a gradient, a field and other points.
#[derive(Debug, Clone)]
pub(super) struct Batch<T> {
    mu: EmpiricalMeasure<T>,
    x: Inputs<T>,
    /// `k x n`.
    g: Vec<T>,
    /// `p x m`.
    v: DMatrix<T>,
    /// `p x q`, q = m + 1.
    at: DMatrix<T>,
}

/// A batch method, as the matrices that it writes.
pub(super) type Method<T> = fn(&Batch<T>, &dyn FeatureMap<T>) -> Vec<DMatrix<T>>;

/// Every batch method with the law that two maps are the same in it.
pub(super) const fn methods<T: Real>() -> [(&'static str, Method<T>); 5] {
    [
        ("predict is the same bits", |batch, phi| {
            vec![batch.predict(phi)]
        }),
        ("velocity is the same bits", |batch, phi| {
            let (value, h, v, calls) = batch.velocity(phi);
            vec![
                DMatrix::from_element(1, 1, value),
                h,
                v,
                DMatrix::from_element(1, 1, real(calls as f64)),
            ]
        }),
        ("velocity_by_samples is the same bits", |batch, phi| {
            let (value, h, v, inorder) = batch.velocity_by_samples(phi);
            vec![
                DMatrix::from_element(1, 1, value),
                h,
                v,
                DMatrix::from_element(1, 1, real(f64::from(u8::from(inorder)))),
            ]
        }),
        ("variation is the same bits", |batch, phi| {
            let (values, descent) = batch.variation(phi);
            vec![DMatrix::from_vec(values.len(), 1, values), descent]
        }),
        ("jvp is the same bits", |batch, phi| vec![batch.jvp(phi)]),
    ]
}

impl<T: Real> Batch<T> {
    pub(super) fn new(phi: &dyn FeatureMap<T>, case: Case) -> Self {
        let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
        let mut draws = case.draws(11);
        let x = Inputs::new(draws.matrix(d, case.n)).unwrap_or_else(|e| unreachable!("{e}"));
        let mu = draws.measure(p, case.m);
        Self {
            g: draws.direction(k * case.n),
            v: DMatrix::from_vec(p, case.m, draws.direction(p * case.m)),
            at: draws.matrix(p, case.m + 1),
            mu,
            x,
        }
    }

    /// The batch at the particles of `mu`; other points move with the first of them.
    fn moved_to(&self, mu: &EmpiricalMeasure<T>) -> Self {
        let shift = mu.points().column(0) - self.mu.points().column(0);
        let mut moved = Self {
            mu: mu.clone(),
            ..self.clone()
        };
        moved.at.column_iter_mut().for_each(|mut w| w += &shift);
        moved
    }

    fn kn(&self) -> usize {
        self.g.len()
    }

    /// A workspace that has been used, by someone who left NaN in it.
    fn used(&self) -> Workspace<T> {
        let mut ws = Workspace::default();
        let len = 4 * (self.kn() + self.v.len()) + 64;
        let ([slice], inner) = ws.nest([len]);
        slice.fill(real(f64::NAN));
        let [slice] = inner.split([len]);
        slice.fill(real(f64::NAN));
        ws
    }

    fn nan(rows: usize, columns: usize) -> DMatrix<T> {
        DMatrix::from_element(rows, columns, real(f64::NAN))
    }

    fn predict(&self, phi: &dyn FeatureMap<T>) -> DMatrix<T> {
        let mut h = Self::nan(self.kn(), 1);
        phi.predict(&self.mu, &self.x, h.as_mut_slice(), &mut self.used());
        h
    }

    /// The returned risk `<g, h>`, the predictions that the gradient was asked at, the velocities, the calls of the gradient.
    fn velocity(&self, phi: &dyn FeatureMap<T>) -> (T, DMatrix<T>, DMatrix<T>, usize) {
        let (mut seen, mut calls) = (Self::nan(self.kn(), 1), 0);
        let mut out = Self::nan(phi.particle_dim(), self.mu.len());
        let mut gradient = |_: Range<usize>, h: &[T], g: &mut [T]| {
            calls += 1;
            seen.as_mut_slice().copy_from_slice(h);
            g.copy_from_slice(&self.g);
            h.iter()
                .zip(&self.g)
                .fold(T::zero(), |sum, (&h, &g)| sum + h * g)
        };
        let value = {
            let gradient = &mut PredictionGradient::new(false, &mut gradient);
            phi.velocity(&self.mu, &self.x, gradient, &mut out, &mut self.used())
        };
        (value, seen, out, calls)
    }

    /// As `velocity`; whether the gradient was asked for every sample once, in order.
    fn velocity_by_samples(&self, phi: &dyn FeatureMap<T>) -> (T, DMatrix<T>, DMatrix<T>, bool) {
        let (mut seen, mut next, mut in_order) = (Self::nan(self.kn(), 1), 0, true);
        let mut out = Self::nan(phi.particle_dim(), self.mu.len());
        let mut gradient = |samples: Range<usize>, h: &[T], g: &mut [T]| {
            let start = samples.start * phi.output_dim();
            in_order &= start == next && h.len() == g.len() && start + h.len() <= self.kn();
            if !in_order {
                return T::zero();
            }
            next += h.len();
            seen.as_mut_slice()[start..next].copy_from_slice(h);
            g.copy_from_slice(&self.g[start..next]);
            h.iter()
                .zip(&self.g[start..next])
                .fold(T::zero(), |sum, (&h, &g)| sum + h * g)
        };
        let value = {
            let gradient = &mut PredictionGradient::new(true, &mut gradient);
            phi.velocity(&self.mu, &self.x, gradient, &mut out, &mut self.used())
        };
        in_order &= next == self.kn();
        (value, seen, out, in_order)
    }

    fn variation(&self, phi: &dyn FeatureMap<T>) -> (Vec<T>, DMatrix<T>) {
        let q = self.at.ncols();
        let (mut values, mut descent) = (vec![real(f64::NAN); q], Self::nan(self.at.nrows(), q));
        phi.variation(
            &self.at,
            &self.x,
            &self.g,
            &mut values,
            &mut descent,
            &mut self.used(),
        );
        (values, descent)
    }

    fn jvp(&self, phi: &dyn FeatureMap<T>) -> DMatrix<T> {
        let mut u = Self::nan(self.kn(), 1);
        phi.jvp(
            &self.mu,
            &self.v,
            &self.x,
            u.as_mut_slice(),
            &mut self.used(),
        );
        u
    }

    /// The three methods of the first particle at the first sample.
    pub(super) fn point(&self, phi: &dyn FeatureMap<T>) -> Vec<T> {
        let (p, k) = (phi.particle_dim(), phi.output_dim());
        let (w, x, v) = (
            self.mu.particle(0),
            self.x.point(0),
            &self.v.as_slice()[..p],
        );
        let (mut out, mut pushed, mut pulled) =
            (vec![T::zero(); k], vec![T::zero(); k], vec![T::zero(); p]);
        phi.add_value(w, x, T::one(), &mut out);
        phi.add_jvp(w, x, v, T::one(), &mut pushed);
        phi.add_vjp(w, x, &self.g[..k], &mut pulled);
        [out, pushed, pulled].concat()
    }
}

/// A sum in `f64`, and the sum of the absolute values of its terms.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    scale: f64,
}

impl Sum {
    fn add(&mut self, term: f64, scale: f64) {
        self.value += term;
        self.scale += scale;
    }
}

/// The four sums over particles and samples.
struct Reference {
    /// `h_jl = sum_i c_i Phi_l(w_i)(x_j)`.
    h: Vec<Sum>,
    /// `u_jl = sum_i c_i DPhi_l(w_i)(x_j) v_i`.
    u: Vec<Sum>,
}

/// `sum_j <g_j, Phi(w)(x_j)>` and `-sum_j DPhi(w)(x_j)^T g_j` at one particle.
struct Form {
    value: Sum,
    descent: Vec<Sum>,
}

/// Calls `visit(l, Phi_l(w)(x), grad_w Phi_l(w)(x))` for every output l.
fn outputs<T: Real>(
    phi: &dyn FeatureMap<T>,
    w: &[T],
    x: &[T],
    mut visit: impl FnMut(usize, f64, &[T]),
) {
    let (p, k) = (phi.particle_dim(), phi.output_dim());
    let (mut value, mut e, mut row) = (vec![T::zero(); k], vec![T::zero(); k], vec![T::zero(); p]);
    phi.add_value(w, x, T::one(), &mut value);
    for l in 0..k {
        row.fill(T::zero());
        e[l] = T::one();
        phi.add_vjp(w, x, &e, &mut row);
        e[l] = T::zero();
        visit(l, to_f64(value[l]), &row);
    }
}

/// `sum_c |a_c b_c|`.
fn size<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| (to_f64(a) * to_f64(b)).abs())
        .sum()
}

impl Reference {
    fn new<T: Real>(phi: &dyn FeatureMap<T>, batch: &Batch<T>) -> Self {
        let k = phi.output_dim();
        let (mut h, mut u) = (
            vec![Sum::default(); batch.kn()],
            vec![Sum::default(); batch.kn()],
        );
        for i in 0..batch.mu.len() {
            let (w, c) = (batch.mu.particle(i), to_f64(batch.mu.weight(i)));
            let v = &batch.v.as_slice()[i * w.len()..(i + 1) * w.len()];
            for j in 0..batch.x.len() {
                outputs(phi, w, batch.x.point(j), |l, value, row| {
                    h[j * k + l].add(c * value, c * (value.abs() + size(row, w)));
                    let push: f64 = row
                        .iter()
                        .zip(v)
                        .map(|(&r, &v)| to_f64(r) * to_f64(v))
                        .sum();
                    // One coordinate of a gradient may cancel: they share the scale of the largest.
                    let largest = row.iter().fold(0.0_f64, |max, &r| max.max(to_f64(r).abs()));
                    u[j * k + l].add(
                        c * push,
                        c * largest * v.iter().map(|&v| to_f64(v).abs()).sum::<f64>(),
                    );
                });
            }
        }
        Self { h, u }
    }
}

impl Form {
    /// The sums, with the scale of what they do when every coordinate of `w` moves by a few epsilon: `b.x` may cancel.
    fn new<T: Real>(phi: &dyn FeatureMap<T>, w: &[T], x: &Inputs<T>, g: &[T]) -> Self {
        const STEP: f64 = 8.0;
        let mut form = Self::at(phi, w, x, g);
        for pattern in 0..4_usize {
            let moved = |(c, &w): (usize, &T)| {
                let sign = if (c >> (pattern / 2)) % 2 == pattern % 2 {
                    STEP
                } else {
                    -STEP
                };
                w + w * real::<T>(sign) * epsilon::<T>()
            };
            let nearby = Self::at(
                phi,
                &w.iter().enumerate().map(moved).collect::<Vec<_>>(),
                x,
                g,
            );
            let felt = |sum: &mut Sum, near: &Sum| {
                sum.scale += (near.value - sum.value).abs() / (STEP * to_f64(epsilon::<T>()));
            };
            felt(&mut form.value, &nearby.value);
            form.descent
                .iter_mut()
                .zip(&nearby.descent)
                .for_each(|(sum, near)| felt(sum, near));
        }
        form
    }

    fn at<T: Real>(phi: &dyn FeatureMap<T>, w: &[T], x: &Inputs<T>, g: &[T]) -> Self {
        let k = phi.output_dim();
        let (mut value, mut descent) = (Sum::default(), vec![Sum::default(); w.len()]);
        for j in 0..x.len() {
            outputs(phi, w, x.point(j), |l, phi, row| {
                let g = to_f64(g[j * k + l]);
                value.add(g * phi, g.abs() * (phi.abs() + size(row, w)));
                for (descent, &r) in descent.iter_mut().zip(row) {
                    descent.add(-g * to_f64(r), (g * to_f64(r)).abs());
                }
            });
        }
        // Where sigma' is nearly 0 its rounding is that of sigma: the coordinates of a particle share one scale.
        let scale = descent.iter().fold(0.0_f64, |max, d| max.max(d.scale));
        descent.iter_mut().for_each(|d| d.scale = scale);
        Self { value, descent }
    }
}

/// Checks the batch methods against sums over particles and samples, made in `f64` from `add_value` and `add_vjp`:
///
/// - `predict`: `h(x_j) = sum_i c_i Phi(w_i)(x_j)`;
/// - `velocity`: `v_i = -sum_j DPhi(w_i)(x_j)^T g_j`, with the gradient asked once, at these predictions, and its value returned;
/// - `velocity_by_samples`: the same, with the gradient asked once for every sample, in order;
/// - `variation`: `sum_j <g_j, Phi(w)(x_j)>` and its descent direction, at any points;
/// - `jvp`: `u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i`.
///
/// All to `1e3 eps` times the sum of the absolute values of the terms, and whatever outputs and workspace held before. A failure
/// is confirmed at particles (and points) nearby: a map may take either side of a kink that rounding can cross.
///
/// # Errors
/// The first law that fails.
pub fn check_batches<T: Real>(phi: &dyn FeatureMap<T>, case: Case) -> Result<(), Violation> {
    let batch = Batch::new(phi, case);
    generic(&batch.mu, &mut case.draws(16), |mu| {
        check(phi, &batch.moved_to(mu), case)
    })
}

fn check<T: Real>(phi: &dyn FeatureMap<T>, batch: &Batch<T>, case: Case) -> Result<(), Violation> {
    let p = phi.particle_dim();
    let at = |what: &'static str, i: usize| move || format!("{what} {i}, {case:?}");
    let close = |law, found: &[T], expected: &[Sum], what| {
        for (i, (&found, sum)) in found.iter().zip(expected).enumerate() {
            within(
                law,
                (to_f64(found) - sum.value).abs(),
                rounding::<T>() * sum.scale,
                at(what, i),
            )?;
        }
        Ok(())
    };
    let reference = Reference::new(phi, batch);
    close(
        "h(x_j) = sum_i c_i Phi(w_i)(x_j)",
        batch.predict(phi).as_slice(),
        &reference.h,
        "prediction",
    )?;
    let u = batch.jvp(phi);
    close(
        "u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i",
        u.as_slice(),
        &reference.u,
        "prediction",
    )?;

    let (whole, by_samples) = (batch.velocity(phi), batch.velocity_by_samples(phi));
    holds(
        "velocity asks for the gradient once",
        whole.3 == 1,
        at("calls:", whole.3),
    )?;
    holds(
        "velocity_by_samples asks for the gradient of every sample once, in order",
        by_samples.3,
        at("of", 0),
    )?;
    for (value, seen, v) in [
        (whole.0, whole.1, whole.2),
        (by_samples.0, by_samples.1, by_samples.2),
    ] {
        close(
            "velocity asks for the gradient at the predictions",
            seen.as_slice(),
            &reference.h,
            "prediction",
        )?;
        let (mut risk, mut scale) = (0.0, 0.0);
        for (&h, &g) in seen.iter().zip(&batch.g) {
            risk += to_f64(h) * to_f64(g);
            scale += (to_f64(h) * to_f64(g)).abs();
        }
        within(
            "velocity returns R(h)",
            (to_f64(value) - risk).abs(),
            rounding::<T>() * scale,
            at("of", 0),
        )?;
        for (i, found) in columns(v.as_slice(), p).enumerate() {
            let form = Form::new(phi, batch.mu.particle(i), &batch.x, &batch.g);
            close(
                "v_i = -sum_j DPhi(w_i)(x_j)^T g_j",
                found,
                &form.descent,
                "coordinate",
            )?;
        }
    }
    let (values, descent) = batch.variation(phi);
    for (i, (w, found)) in columns(batch.at.as_slice(), p)
        .zip(columns(descent.as_slice(), p))
        .enumerate()
    {
        let form = Form::new(phi, w, &batch.x, &batch.g);
        close(
            "F'(w) = sum_j <g_j, Phi(w)(x_j)>",
            &values[i..=i],
            &[form.value],
            "value",
        )?;
        close(
            "-grad F'(w) = -sum_j DPhi(w)(x_j)^T g_j",
            found,
            &form.descent,
            "coordinate",
        )?;
    }
    Ok(())
}
