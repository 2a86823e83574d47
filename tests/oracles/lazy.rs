//! Lazy training against the mean-field scaling (Chizat, Oyallon and Bach 2019): two neurons
//! `h = a_1 b_1 + a_2 b_2` at one sample x = 1, with the loss `(alpha h - y)^2 / (2 alpha^2)`.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// `(alpha h - y)^2 / (2 alpha^2)`.
#[derive(Debug, Clone, Copy)]
struct Scaled {
    alpha: f64,
}

impl Loss<f64> for Scaled {
    fn value(&self, y: f64, h: f64) -> f64 {
        0.5 * ((self.alpha * h - y) / self.alpha).powi(2)
    }
    fn derivative(&self, y: f64, h: f64) -> f64 {
        (self.alpha * h - y) / self.alpha
    }
}

/// The neurons `(a, b)` after training; each has the weight 1, so that h is their sum.
fn train(alpha: f64, start: &[f64], time: f64) -> EmpiricalMeasure<f64> {
    let (x, y) = (
        DMatrix::from_element(1, 1, 1.0),
        DVector::from_element(1, 1.0),
    );
    let risk = EmpiricalRisk::new(Scaled { alpha }, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Identity, 1), risk).unwrap();
    let m = start.len() / 2;
    let points = DMatrix::from_column_slice(2, m, start);
    let mu = EmpiricalMeasure::weighted(points, DVector::from_element(m, 1.0)).unwrap();
    let mut flow = ParticleFlow::new(energy, Rk4, 2e-3).unwrap();
    let mut state = flow.start(mu).unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    state.into_measure()
}

/// `z = alpha h`.
fn output(alpha: f64, mu: &EmpiricalMeasure<f64>) -> f64 {
    let neuron = |i: usize| mu.particle(i)[0] * mu.particle(i)[1];
    alpha * (0..mu.len()).map(neuron).sum::<f64>()
}

/// The doubling trick: h = 0 at the start.
const DOUBLED: [f64; 4] = [1.0, 1.0, -1.0, 1.0];

/// E6: the final relative displacement with `s = asinh(y / (2 alpha)) / 2`, which tends to
/// `y / (4 alpha)`.
#[test]
fn the_displacement_vanishes_for_large_scales() {
    for (alpha, given) in [
        (0.1, 1.614_450_49),
        (1.0, 0.244_669_086),
        (10.0, 0.024_994_146_7),
        (100.0, 0.002_499_994_14),
    ] {
        let after = train(alpha, &DOUBLED, 8.0);
        let start = DMatrix::from_column_slice(2, 2, &DOUBLED);
        let found = (after.points() - &start).norm() / start.norm();
        let s = 0.5 * (0.5 / alpha).asinh();
        let exact = (0.5 * (s.exp_m1().powi(2) + (-s).exp_m1().powi(2))).sqrt();
        println!("alpha = {alpha}: displacement {found}, given {given}, exact {exact}");
        assert!((output(alpha, &after) - 1.0).abs() < 1e-10);
        assert!((exact / given - 1.0).abs() < 5e-9, "{exact}, {given}");
        assert!((found / exact - 1.0).abs() < 1e-9, "{found}, {exact}");
    }
}

/// E6b: z along the flow, `z' = 2 (4 + z^2 / alpha^2)^(1/2) (y - z)`, and the linearised one,
/// `y (1 - e^{-4t})`.
#[test]
fn the_output_along_the_flow() {
    let linearised = 1.0 - f64::exp(-1.2);
    assert!((linearised - 0.698_805_788).abs() < 5e-10);
    for (alpha, exact) in [
        (1.0, 0.708_328_649),
        (10.0, 0.698_902_542),
        (1e4, linearised),
    ] {
        let z = output(alpha, &train(alpha, &DOUBLED, 0.3));
        assert!((z - exact).abs() < 1e-9, "alpha = {alpha}: {z}, {exact}");
    }
}

/// E6c: one neuron a = b > 0: `z' = 2 (z / alpha) (y - z)`, logistic.
#[test]
fn a_balanced_neuron() {
    let (alpha, start) = (2.0, 0.1_f64);
    let a = (start / alpha).sqrt();
    let z = output(alpha, &train(alpha, &[a, a], 3.0));
    let growth = f64::exp(2.0 * 3.0 / alpha);
    let exact = start * growth / (1.0 - start + start * growth);
    assert!((exact - 0.690_567_858).abs() < 5e-10, "{exact}");
    assert!((z - exact).abs() < 1e-9, "{z}, {exact}");
}
