//! Lazy training against mean-field training, in closed form.
//!
//! The output of a network is scaled by `alpha`, and the loss by `1 / alpha^2`. For large alpha the
//! neurons hardly move, and training is that of the linearised network (L. Chizat, E. Oyallon and
//! F. Bach, On lazy training in differentiable programming, 2019).

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// `l(y, h) = (alpha h - y)^2 / (2 alpha^2)`.
#[derive(Clone, Copy)]
struct Scaled(f64);

impl Loss<f64> for Scaled {
    fn value(&self, y: f64, h: f64) -> f64 {
        (self.0 * h - y).powi(2) / (2.0 * self.0 * self.0)
    }
    fn derivative(&self, y: f64, h: f64) -> f64 {
        (self.0 * h - y) / self.0
    }
}

/// `h = sum_i a_i b_i` at the sample `x = 1` with the target `y = 1`, from neurons `(a, b)` of
/// weight 1, at time t.
fn train(alpha: f64, neurons: &[[f64; 2]], time: f64) -> (EmpiricalMeasure<f64>, f64) {
    let x = DMatrix::from_element(1, 1, 1.0);
    let risk = EmpiricalRisk::new(Scaled(alpha), x, DVector::from_element(1, 1.0)).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Identity, 1), risk).unwrap();
    let points = DMatrix::from_column_slice(2, neurons.len(), neurons.as_flattened());
    let weights = DVector::from_element(neurons.len(), 1.0);
    let start = EmpiricalMeasure::weighted(points, weights).unwrap();
    let mut flow = ParticleFlow::new(energy, DormandPrince::new(1e-12, 1e-14), 1e-3).unwrap();
    let mut state = flow.start(start).unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    let mu = state.into_measure();
    let h: f64 = (0..mu.len())
        .map(|i| mu.particle(i)[0] * mu.particle(i)[1])
        .sum();
    (mu, alpha * h)
}

/// The doubled start, of output 0.
const DOUBLED: [[f64; 2]; 2] = [[1.0, 1.0], [-1.0, 1.0]];

/// E6: the neurons end at `(e^s, e^s)` and `(-e^-s, e^-s)`, `s = asinh(y / (2 alpha)) / 2`: their
/// relative displacement is 1.6 for alpha = 0.1, and falls as `1 / (4 alpha)`.
#[test]
fn the_relative_displacement_falls_as_the_scale_grows() {
    println!("| alpha | relative displacement | closed form | 1 / (4 alpha) |\n|---|---|---|---|");
    let table = [
        (0.1, 1.614_450_49),
        (1.0, 0.244_669_086),
        (10.0, 0.024_994_146_6),
        (100.0, 0.002_499_994_14),
    ];
    for (alpha, given) in table {
        let (mu, output) = train(alpha, &DOUBLED, 12.0);
        assert!((output - 1.0).abs() < 1e-9, "alpha = {alpha}: {output}");
        let s: f64 = 0.5 * (0.5_f64 / alpha).asinh();
        for (found, exact) in [
            (mu.particle(0), [s.exp(); 2]),
            (mu.particle(1), [-(-s).exp(), (-s).exp()]),
        ] {
            let error = (found[0] - exact[0]).hypot(found[1] - exact[1]);
            assert!(error < 1e-9 * s.exp(), "alpha = {alpha}: {error:e}");
        }
        let moved: f64 = mu
            .points()
            .iter()
            .zip(DOUBLED.as_flattened())
            .map(|(w, start)| (w - start).powi(2))
            .sum();
        let displacement = (moved / 4.0).sqrt();
        println!(
            "| {alpha} | {displacement:.9} | {given} | {} |",
            0.25 / alpha
        );
        assert!((displacement - given).abs() < 4e-9 * given);
    }
}

/// E6b: `z = alpha h` follows `z' = 2 (4 + z^2 / alpha^2)^(1/2) (y - z)`, the linearised network
/// `y (1 - e^(-4 t))`.
#[test]
fn outputs_along_the_flow() {
    for (alpha, exact) in [(1.0, 0.708_328_649), (10.0, 0.698_902_542)] {
        let (_, output) = train(alpha, &DOUBLED, 0.3);
        assert!((output - exact).abs() < 1e-9, "alpha = {alpha}: {output}");
    }
    let linearised = 1.0 - f64::exp(-1.2);
    assert!((linearised - 0.698_805_788).abs() < 1e-9);
    // Of the first order in 1 / alpha^2.
    let [near, far] = [30.0, 60.0].map(|alpha| train(alpha, &DOUBLED, 0.3).1 - linearised);
    assert!((near / far - 4.0).abs() < 0.01, "{near:e} and {far:e}");
}

/// E6c: one neuron with `a = b > 0` follows the logistic equation `z' = 2 (z / alpha) (y - z)` for
/// `z = alpha a b`.
#[test]
fn one_neuron_grows_logistically() {
    let alpha: f64 = 2.0;
    let a = (0.1 / alpha).sqrt();
    let (_, output) = train(alpha, &[[a, a]], 3.0);
    let exact = 1.0 / (1.0 + 9.0 * f64::exp(-2.0 * 3.0 / alpha));
    assert!((exact - 0.690_567_858).abs() < 1e-9);
    assert!((output - exact).abs() < 1e-9, "{output}");
}
