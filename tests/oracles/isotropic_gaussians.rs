//! Two isotropic Gaussians that differ in their variance (S. Mei, A. Montanari and P.-M. Nguyen, A
//! mean field view of the landscape of two-layer neural networks, 2018).
//!
//! `x ~ N(0, (1 + y Delta)^2 I_d)`, y = 1 or -1 with probability 1/2. Neurons are `sigma(b.x)`
//! without output weights, sigma is -2.5 up to 1/2, 7.5 from 3/2 and linear between. In the limit of
//! infinite dimension a neuron is its norm r, and its mean output on a class is `q((1 +- Delta) r)`,
//! `q(s) = E sigma(s G)`, `G ~ N(0, 1)`.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// `E (s G - c)_+ = s (phi(z) - z P(G > z))`, `z = c / s`.
fn tail(s: f64, c: f64) -> f64 {
    let z = c / s;
    s * (density(z) + Gelu.value(-z))
}

fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

/// `q(s)` for `s >= 0`.
fn q(s: f64) -> f64 {
    if s < 1e-3 {
        return -2.5; // up to exp(-1e5)
    }
    -2.5 + 10.0 * (tail(s, 0.5) - tail(s, 1.5))
}

/// `q'(s)`.
fn slope(s: f64) -> f64 {
    if s < 1e-3 {
        return 0.0;
    }
    10.0 * (density(0.5 / s) - density(1.5 / s))
}

/// `Phi(r)(x) = q(r x)`, `r, x >= 0`; the inputs are `1 + Delta` and `1 - Delta`.
struct MeanOutput;

impl FeatureMap<f64> for MeanOutput {
    fn particle_dim(&self) -> usize {
        1
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn add_value(&self, r: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        out[0] += scale * q(r[0].abs() * x[0]);
    }
    fn add_vjp(&self, r: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        out[0] += g[0] * x[0] * slope(r[0].abs() * x[0]) * r[0].signum();
    }
}

/// Half the risk `(1 - m_+)^2 / 2 + (1 + m_-)^2 / 2` of the limit.
fn energy(delta: f64) -> MeanFieldRisk<MeanOutput, EmpiricalRisk<Square, f64>, f64> {
    let x = DMatrix::from_row_slice(1, 2, &[1.0 + delta, 1.0 - delta]);
    let y = DVector::from_vec(vec![1.0, -1.0]);
    MeanFieldRisk::new(MeanOutput, EmpiricalRisk::new(Square, x, y).unwrap()).unwrap()
}

/// The flow from m norms that are spread evenly over (0.4, 2.4]. Neurons of small norm have a constant
/// output and do not move.
fn learn(delta: f64, m: usize, time: f64) -> (EmpiricalMeasure<f64>, f64) {
    let start = DMatrix::from_fn(1, m, |_, i| 0.4 + 2.0 * (i + 1) as f64 / m as f64);
    let mut flow = ParticleFlow::new(energy(delta), DormandPrince::new(1e-9, 1e-12), 1e-3).unwrap();
    let mut state = flow
        .start(EmpiricalMeasure::uniform(start).unwrap())
        .unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    let risk = 2.0 * state.energy();
    (state.into_measure(), risk)
}

/// The root of an increasing function in an interval.
fn root(f: impl Fn(f64) -> f64, [mut low, mut high]: [f64; 2]) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if f(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// E7: `q` in closed form, and the threshold `(s_1 - s_2) / (s_1 + s_2)`, `q(s_1) = 1`, `q(s_2) =
/// -1`, from which on norms of risk 0 exist.
#[test]
fn the_threshold() {
    for (s, exact) in [
        (0.5, -2.085_333_42),
        (1.0, -0.815_102_364),
        (2.0, 0.603_555_607),
    ] {
        assert!((q(s) - exact).abs() < 5e-9, "{}", q(s));
    }
    let [s_1, s_2] = [1.0, -1.0].map(|y| root(|s| q(s) - y, [0.1, 10.0]));
    assert!((s_1 - 2.579_079_73).abs() < 5e-9 && (s_2 - 0.919_830_291).abs() < 5e-10);
    let threshold = (s_1 - s_2) / (s_1 + s_2);
    assert!((threshold - 0.474_218_952).abs() < 5e-10, "{threshold}");
}

/// E7: below the threshold all neurons reach one norm, which is a global minimum: the first
/// variation is least there.
#[test]
fn one_norm_below_the_threshold() {
    println!("| Delta | norm | closed form | risk | closed form |\n|---|---|---|---|---|");
    for (delta, norm, least) in [
        (0.2, 1.461_647_14, 0.341_149_497),
        (0.4, 1.625_863_93, 0.025_567_679_8),
    ] {
        let (mu, risk) = learn(delta, 40, 300.0);
        let [low, high] = [mu.points().min(), mu.points().max()];
        println!("| {delta} | {low:.9} to {high:.9} | {norm} | {risk:.10} | {least} |");
        assert!((risk - least).abs() < 1e-8, "{risk}");
        assert!((low - norm).abs() < 1e-4 && (high - norm).abs() < 1e-4);

        let at = DMatrix::from_fn(1, 4000, |_, i| i as f64 * 0.005);
        let (mut values, mut descent) = (vec![0.0; 4000], at.clone());
        energy(delta)
            .first_variation(&mu, &at, &mut values, &mut descent)
            .unwrap();
        let (mut own, mut descent) = (vec![0.0; mu.len()], mu.points().clone());
        energy(delta)
            .first_variation(&mu, mu.points(), &mut own, &mut descent)
            .unwrap();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(own.iter().all(|own| own - least < 1e-6));
    }
}

/// Above the threshold the risk falls to 0.
#[test]
fn no_risk_above_the_threshold() {
    for delta in [0.5, 0.6, 0.8] {
        let (mu, risk) = learn(delta, 40, 300.0);
        let [low, high] = [mu.points().min(), mu.points().max()];
        println!("Delta = {delta}: norms {low:.4} to {high:.4}, risk {risk:.1e}");
        assert!(risk < 1e-10, "Delta = {delta}: {risk}");
        assert!(high - low > 0.1);
    }
}
