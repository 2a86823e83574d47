//! Isotropic Gaussians in the limit of infinite dimension (Mei, Montanari and Nguyen 2018): labels
//! +-1 of `x ~ N(0, (1 +- Delta)^2 I_d)`, of which a neuron of radius r has the mean activation
//! `q((1 +- Delta) r)`, `q(s) = E sigma(s G)`.

use std::f64::consts::{SQRT_2, TAU};

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;

/// The density and the distribution function of N(0, 1).
fn normal(x: f64) -> (f64, f64) {
    let density = (-0.5 * x * x).exp() / TAU.sqrt();
    (density, 0.5 * (1.0 + Activation::value(&Erf, x / SQRT_2)))
}

/// `q(s)` and `q'(s)` for sigma = -2.5 below 1/2, 7.5 above 3/2, and linear in between:
/// `E (s G - c)_+ = s n(c / s) - c (1 - N(c / s))`.
fn mean_activation(s: f64) -> (f64, f64) {
    if s == 0.0 {
        return (-2.5, 0.0);
    }
    let (s, sign) = (s.abs(), s.signum());
    let part = |c: f64| {
        let (density, distribution) = normal(c / s);
        (s * density - c * (1.0 - distribution), density)
    };
    let [(low, low_slope), (high, high_slope)] = [0.5, 1.5].map(part);
    (
        -2.5 + 10.0 * (low - high),
        sign * 10.0 * (low_slope - high_slope),
    )
}

/// A particle r with `Phi(r)(x) = q(r x)`, at the samples `x = 1 +- Delta`.
#[derive(Debug, Clone, Copy)]
struct Radius;

impl FeatureMap<f64> for Radius {
    fn particle_dim(&self) -> usize {
        1
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn output_dim(&self) -> usize {
        1
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        out[0] += scale * mean_activation(w[0] * x[0]).0;
    }
    fn add_vjp(&self, w: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        out[0] += g[0] * x[0] * mean_activation(w[0] * x[0]).1;
    }
}

/// The risk is half of `(1/2) (1 - m_+)^2 + (1/2) (1 + m_-)^2`: the square loss of this crate has the
/// factor 1/2.
fn energy(delta: f64) -> MeanFieldRisk<Radius, EmpiricalRisk<Square, f64>, f64> {
    let x = DMatrix::from_row_slice(1, 2, &[1.0 + delta, 1.0 - delta]);
    let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![1.0, -1.0])).unwrap();
    MeanFieldRisk::new(Radius, risk).unwrap()
}

fn minimise(delta: f64, start: &EmpiricalMeasure<f64>, time: f64) -> (f64, EmpiricalMeasure<f64>) {
    let mut flow = ParticleFlow::new(energy(delta), Rk4, 0.05).unwrap();
    let mut state = flow.start(start.clone()).unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    (2.0 * state.energy(), state.into_measure())
}

/// Radii of m particles between .5 and 3.
fn radii(seed: u64, m: usize) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    EmpiricalMeasure::uniform(DMatrix::from_fn(1, m, |_, _| rng.uniform(0.5, 3.0))).unwrap()
}

/// E7: the values of q.
#[test]
fn the_mean_activation() {
    for (s, exact) in [
        (0.5, -2.085_333_42),
        (1.0, -0.815_102_364),
        (2.0, 0.603_555_607),
    ] {
        let (found, _) = mean_activation(s);
        assert!((found - exact).abs() < 5e-9, "{found}, {exact}");
    }
    let (up, down) = (
        mean_activation(2.579_079_73).0,
        mean_activation(0.919_830_291).0,
    );
    assert!(
        (up - 1.0).abs() < 1e-8 && (down + 1.0).abs() < 1e-8,
        "{up}, {down}"
    );
}

/// E7: below the threshold all particles have one radius, and the risk is positive.
#[test]
fn one_radius_below_the_threshold() {
    for (delta, radius, risk) in [
        (0.2, 1.461_647_14, 0.341_149_497),
        (0.4, 1.625_863_93, 0.025_567_679_8),
    ] {
        let (found, mu) = minimise(delta, &radii(1, 20), 400.0);
        println!(
            "Delta = {delta}: risk {found} of {risk}, radii {}",
            mu.points()
        );
        assert!((found - risk).abs() < 5e-9, "{found}, {risk}");
        for r in mu.points() {
            assert!((r - radius).abs() < 1e-6, "{r}, {radius}");
        }
    }
}

/// E7: at the threshold `(s_1 - s_2) / (s_1 + s_2) = .474218952` one radius has the risk 0, and above
/// it the flow of many particles reaches 0 too.
#[test]
fn the_risk_is_zero_from_the_threshold() {
    let (s, t) = (2.579_079_73_f64, 0.919_830_291);
    let threshold = 0.474_218_952;
    assert!(((s - t) / (s + t) - threshold).abs() < 5e-9);
    let one = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, s / (1.0 + threshold)));
    let risk = 2.0 * energy(threshold).value(&one.unwrap());
    assert!(risk < 1e-15, "{risk:e}");
    let (found, _) = minimise(0.55, &radii(2, 40), 500.0);
    println!("Delta = .55: risk {found:e}");
    assert!(found < 1e-10, "{found:e}");
}
