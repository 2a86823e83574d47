//! Implicit bias (Chizat and Bach 2020): margins of wide networks, by certified minima and as the
//! limits of flows with scale-free steps.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

/// Samples in the plane and their labels.
type Data = (DMatrix<f64>, DVector<f64>);

fn data(x: &[f64], y: &[f64]) -> Data {
    let x = DMatrix::from_column_slice(2, y.len(), x);
    (x, DVector::from_column_slice(y))
}

fn xor() -> Data {
    let x = [1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0];
    data(&x, &[1.0, 1.0, -1.0, -1.0])
}

fn six_samples() -> Data {
    let x = [
        1.0, 0.2, 0.5, 1.0, -0.4, 0.9, -1.0, -0.3, -0.2, -1.2, 0.8, -0.7,
    ];
    data(&x, &[1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
}

fn on_a_line() -> Data {
    let x = [1.0, -1.0, 1.0, -0.5, 1.0, 0.0, 1.0, 0.4, 1.0, 1.0];
    data(&x, &[1.0, -1.0, 1.0, -1.0, 1.0])
}

/// The F1 margins of E1, E2 and E2b: networks with `int |a| |b| dmu <= 1`.
const XOR: f64 = 0.353_553_391;
const SIX: f64 = 0.127_811_971;
const LINE: f64 = 0.037_147_728_2;
/// The F2 margins of E3: `int a^2 <= 1`, b uniform on the circle.
const XOR_F2: f64 = 0.213_125_617;
const SIX_F2: f64 = 0.067_732_031_2;

fn risk<L: Loss<f64>>(loss: L, (x, y): Data) -> EmpiricalRisk<L, f64> {
    EmpiricalRisk::new(loss, x, y).unwrap()
}

/// `min_j y_j h(x_j)`.
fn margin(mu: &EmpiricalMeasure<f64>, (x, y): &Data) -> f64 {
    let x = Inputs::new(x.clone()).unwrap();
    let h = predict(&Ridge::new(Relu, 2), mu, &x).unwrap();
    h.iter()
        .zip(y)
        .map(|(h, y)| h * y)
        .fold(f64::INFINITY, f64::min)
}

/// E1, E2 and E2b: the least cost of `y h >= 1` is `1 / margin`, and for a small lambda the hinge
/// loss is an exact penalty: `F* = 2 lambda / margin`. Weight decay is `int |w|^2 >= 2 int |a| |b|`.
#[test]
fn f1_margins_by_certified_minima() {
    for (data, exact) in [(xor(), XOR), (six_samples(), SIX), (on_a_line(), LINE)] {
        let lambda = exact / (4.0 * data.1.len() as f64);
        let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk(Hinge, data.clone()))
            .unwrap()
            .regularized(WeightDecay::new(lambda).unwrap());
        let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
        let run = FrankWolfe::Sliding.run(&mut energy, &mut mu, 1e-11, 200);
        let (_, certificate) = run.unwrap();
        let found = 2.0 * lambda / certificate.energy();
        let gap = certificate.gap() / certificate.energy();
        println!("{found} exact {exact} relative gap {gap:e}");
        assert!(gap < 1e-8, "the gap {gap:e} of {exact}");
        let error = (found / exact - 1.0).abs();
        assert!(error < 1e-8, "{found}, {exact}: {error:e}");
        // The factor 1/2 of the normalisation int |w|^2 = 1.
        let normalised = margin(&mu, &data) / mu.second_moment();
        let error = (normalised / (0.5 * exact) - 1.0).abs();
        assert!(error < 1e-7, "{normalised}, {exact} / 2: {error:e}");
    }
}

/// Runs with the steps `eta / (sqrt(s + 1) F)` while `F > 1e-250`.
fn scale_free<E: Energy<f64>>(
    energy: E,
    start: EmpiricalMeasure<f64>,
    eta: f64,
) -> (EmpiricalMeasure<f64>, usize) {
    let mut flow = ParticleFlow::new(energy, Euler, 1.0).unwrap();
    let mut state = flow.start(start).unwrap();
    while state.energy() > 1e-250 && state.step() < 200_000 {
        let dt = eta / (state.step() as f64 + 1.0).sqrt();
        flow.set_dt(dt / state.energy()).unwrap();
        flow.advance(&mut state).unwrap();
    }
    let steps = state.step();
    (state.into_measure(), steps)
}

/// Balanced neurons of both signs: `|a| = |b| = r`, b on m / 2 equispaced directions.
fn circle(m: usize, r: f64) -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_fn(3, m, |l, i| {
        let angle = std::f64::consts::TAU * (i / 2) as f64 / (m / 2) as f64;
        r * [[1.0, -1.0][i % 2], angle.cos(), angle.sin()][l]
    });
    EmpiricalMeasure::uniform(points).unwrap()
}

/// The margin of the flow, normalised by `int |w|^2 dmu`, and the number of steps.
fn flow_margin(loss: impl Loss<f64>, data: &Data, eta: f64) -> (f64, usize) {
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk(loss, data.clone())).unwrap();
    let (mu, steps) = scale_free(energy, circle(400, 1e-4), eta);
    (margin(&mu, data) / mu.second_moment(), steps)
}

/// Scale-free flows of both losses reach the F1 margin, with the factor 1/2 of `int |w|^2 = 1`.
#[test]
fn flows_maximise_the_f1_margin() {
    for (data, exact, eta, tolerance) in [(xor(), XOR, 0.1, 2e-4), (six_samples(), SIX, 0.2, 1e-3)]
    {
        let margins = [
            flow_margin(Exponential, &data, eta),
            flow_margin(Logistic, &data, eta),
        ];
        for (found, steps) in margins {
            let error = 1.0 - found / (0.5 * exact);
            println!("{found} of {}: error {error:e}, {steps} steps", 0.5 * exact);
            assert!((0.0..tolerance).contains(&error), "{found}: {error:e}");
        }
    }
}

/// `margin(mu) <= F1 margin / 2 <= max |g| / (2 F)` along the flow of the exponential loss, for which
/// `sum_j |u_j| = F`, and the bounds meet.
#[test]
fn certified_margins() {
    for (data, exact, tolerance) in [(xor(), XOR, 1e-3), (six_samples(), SIX, 1e-2)] {
        let energy = || {
            let risk = risk(Exponential, data.clone());
            MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap()
        };
        let mut flow = ParticleFlow::new(energy(), Euler, 1.0).unwrap();
        let mut state = flow.start(circle(400, 1e-4)).unwrap();
        let mut upper = f64::INFINITY;
        while state.energy() > 1e-250 {
            let dt = 0.2 / (state.step() as f64 + 1.0).sqrt();
            flow.set_dt(dt / state.energy()).unwrap();
            flow.advance(&mut state).unwrap();
            if state.step().is_multiple_of(50) {
                let certificate = certify(&mut energy(), state.measure());
                let bound = certificate.maximum_bounds().unwrap().1 / (2.0 * state.energy());
                assert!(bound > 0.5 * exact * (1.0 - 1e-8), "{bound}");
                upper = upper.min(bound);
            }
        }
        let lower = margin(state.measure(), &data) / state.measure().second_moment();
        println!("{lower} <= {} <= {upper}", 0.5 * exact);
        assert!(lower <= 0.5 * exact, "{lower}");
        let ratio = upper / lower; // negative if a sample is not separated
        assert!((1.0..1.0 + tolerance).contains(&ratio), "{lower}, {upper}");
    }
}

/// E3: `min_p (p' K p)^(1/2)` over probability vectors p, `K = E_b[y (b.x)_+ y' (b.x')_+]`, as the
/// stationary point of birth and death on the weights of the samples.
#[test]
fn f2_margins_by_birth_and_death() {
    for ((x, y), exact) in [(xor(), XOR_F2), (six_samples(), SIX_F2)] {
        let n = y.len();
        let points = DMatrix::from_fn(3, n, |l, j| if l == 0 { y[j] } else { x[(l - 1, j)] });
        let zero = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
        // Half the square of the kernel of normal b, which is 2 K in the plane.
        let energy = Mmd::new(WithOutputWeight(ArcCosine::new(2)), zero).unwrap();
        let mut flow = ParticleFlow::new(energy, BirthDeath::new(1.0, 0.0), 1.0).unwrap();
        let weights = DVector::from_fn(n, |j, _| (j + 1) as f64);
        let start = EmpiricalMeasure::weighted(points, weights)
            .unwrap()
            .normalised()
            .unwrap();
        let mut state = flow.start(start).unwrap();
        flow.run(&mut state, 20_000, &mut ()).unwrap();
        let found = state.energy().sqrt();
        println!("{found} exact {exact}");
        assert!((found - exact).abs() < 5e-10, "{found}, {exact}");
    }
}

/// E3: the flow of the output weights alone reaches the F2 margin `min y h / (int a^2)^(1/2)`. The
/// 2000 directions integrate the kernel with the relative error 3e-6.
#[test]
fn output_weights_maximise_the_f2_margin() {
    let data = xor();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk(Exponential, data.clone()));
    let frozen = Frozen::new(energy.unwrap(), 1..3).unwrap();
    let points = DMatrix::from_fn(3, 2000, |l, i| {
        let angle = std::f64::consts::TAU * i as f64 / 2000.0;
        [0.0, angle.cos(), angle.sin()][l]
    });
    let (mu, steps) = scale_free(frozen, EmpiricalMeasure::uniform(points).unwrap(), 50.0);
    let square = |i: usize| mu.weight(i) * mu.particle(i)[0].powi(2);
    let norm = (0..mu.len()).map(square).sum::<f64>().sqrt();
    let found = margin(&mu, &data) / norm;
    let error = found / XOR_F2 - 1.0;
    println!("{found} of {XOR_F2}: error {error:e}, {steps} steps");
    assert!(error.abs() < 5e-6, "{found}: {error:e}");
}
