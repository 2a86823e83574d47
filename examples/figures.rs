//! The figures of the book that no experiment draws: energies of two integrators, decisions of a
//! network, a transport plan, and an animation of neurons.
//!
//! ```sh
//! cargo run --release --features csv,animation --example figures
//! ```
//!
//! Writes `target/energy.svg`, `target/decision.svg`, `target/coupling.svg` and `target/neurons.png`.
//! It takes seconds, so `--smoke` is accepted without effect.

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{LogSpaced, Snapshots, Trace};
use wasserflow::plot::{self, Animation, Figure, GREY, Style};
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all("target")?;
    energy()?.save("target/energy.svg")?;
    decision()?.save("target/decision.svg")?;
    coupling()?.save("target/coupling.svg")?;
    neurons()?.save("target/neurons.png")?;
    println!("Figures: target/energy.svg, decision.svg, coupling.svg, neurons.png");
    Ok(())
}

/// The problem of the example `quickstart`, by explicit and by proximal steps: the excess over F*,
/// and the dissipation.
fn energy() -> Result<Figure, Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let x = init::gaussian::<f64>(2, 50, 1.0, &mut rng)?.into_points();
    let y = DVector::from_fn(50, |j, _| x[(0, j)].abs() - x[(1, j)].max(0.0));
    let risk = EmpiricalRisk::new(Square, x, y)?;
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk)?;
    let mut energy = energy.regularized(WeightDecay::new(0.01)?);
    let start = init::sphere(3, 50, &mut rng)?;

    let (mut explicit, mut proximal) = (Trace::new(), Trace::new());
    let mut flow = ParticleFlow::new(&mut energy, Euler, 0.1)?;
    let mut state = flow.start(start.clone())?;
    flow.run_until(&mut state, 1000.0, &mut explicit)?;
    let mut flow = ParticleFlow::new(&mut energy, Jko::default(), 10.0)?;
    let mut state = flow.start(start)?;
    flow.run_until(&mut state, 1000.0, &mut proximal)?;
    let certificate = optimality::certify(&mut energy, state.measure());
    let (best, gap) = (certificate.energy() - certificate.gap(), certificate.gap());

    let runs = [
        ("Euler, dt = 0.1", &explicit),
        ("Jko, steps of 10", &proximal),
    ];
    let bound = Style::new(GREY).width(1.0).dashed();
    let excess = plot::records(&runs, |record| [record.time, record.energy - best])
        .log_x()
        .log_y()
        .horizontal(
            gap.max(1e-12),
            bound.label("certified gap of the last proximal step"),
        )
        .x_label("time t")
        .y_label("F(μₜ) − F*")
        .title("Excess energy");
    let dissipation = plot::records(&runs, |record| [record.time, record.dissipation])
        .log_x()
        .log_y()
        .x_label("time t")
        .y_label("∫ |v|² dμₜ")
        .title("Dissipation");
    Ok(excess.beside(dissipation))
}

/// Breast cancer by two of the measurements, with level lines of the predicted probability.
fn decision() -> Result<Figure, Box<dyn Error>> {
    let table = data::read_csv(&include_bytes!("../data/wdbc.csv")[..])?;
    let names = ["worst_concave_points", "worst_texture"];
    let (x, benign) = (table.numbers::<f64>(&names)?, table.labels("benign")?);
    let diagnoses = ["malignant", "benign"];
    let y = Labels::new(benign.indices().iter().map(|&class| diagnoses[class]))?;
    let scale = Standardizer::fit(&x)?;
    let risk = EmpiricalRisk::new(Logistic, with_bias(scale.transform(&x)?), y.signs()?)?;
    let map = Ridge::new(Relu, 3);
    let energy = MeanFieldRisk::new(&map, risk)?.regularized(WeightDecay::new(1e-4)?);
    let mut flow = ParticleFlow::new(energy, Euler, 0.2)?;
    let start = init::balanced(3, 100, 1.0, &mut ChaCha8Rng::seed_from_u64(0))?;
    let mut state = flow.start(start)?;
    flow.run(&mut state, 4000, &mut ())?;
    let network = Network::new(&map, state.into_measure())?
        .with_bias()?
        .with_classes(y.classes())?;

    // In units of the standard deviations, so that both coordinates have one scale.
    let x = scale.transform(&x)?;
    let window = plot::window(&x);
    let predict = |x: &DMatrix<f64>| network.predict(x);
    let levels = [0.1_f64, 0.9].map(|p| (p / (1.0 - p)).ln());
    let style = Style::new(GREY).width(1.0).label("probability 0.1 and 0.9");
    Ok(plot::decision(predict, window)
        .level_lines(predict, window, &levels, style)
        .samples(&x, &y)
        .x_label("worst concave points (standard deviations)")
        .y_label("worst texture (standard deviations)")
        .title("Breast cancer"))
}

/// The plan between two measures with different weights.
fn coupling() -> Result<Figure, Box<dyn Error>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let points = init::gaussian::<f64>(2, 30, 0.5, rng)?.into_points();
    let weights = DVector::from_fn(30, |i, _| (1 + i % 5) as f64 / 90.0);
    let mu = EmpiricalMeasure::weighted(points, weights)?;
    let nu = init::circle::<f64>(12, 1.5)?;
    let coupling = transport::w2(&mu, &nu)?;
    Ok(plot::coupling(&mu, &nu, &coupling)
        .title("Optimal plan")
        .note(format!("W₂ = {:.3}", coupling.distance())))
}

/// Forty neurons that learn a teacher of five.
fn neurons() -> Result<Animation, Box<dyn Error>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let teacher = DMatrix::from_fn(3, 5, |l, k| {
        let angle = 0.4 + std::f64::consts::TAU * k as f64 / 5.0;
        [[1.0, -1.0][k % 2], angle.cos(), angle.sin()][l]
    });
    let teacher = EmpiricalMeasure::uniform(teacher)?;
    let map = Ridge::new(Relu, 2);
    let x = init::gaussian::<f64>(2, 100, 1.0, rng)?.into_points();
    let y = predict(&map, &teacher, &Inputs::new(x.clone())?)?;
    let risk = EmpiricalRisk::new(Square, x, y.row(0).transpose())?;
    let mut flow = ParticleFlow::new(MeanFieldRisk::new(map, risk)?, Euler, 0.5)?;
    let mut state = flow.start(init::balanced(2, 40, 0.3, rng)?)?;
    let mut snapshots = LogSpaced::new(1.16, Snapshots::new())?;
    flow.run_until(&mut state, 3000.0, &mut snapshots)?;
    let snapshots = snapshots.into_inner();
    let time = |i: usize| format!("t = {:.1}", snapshots.taken()[i].0);
    let animation = Animation::neurons(&snapshots, Some(&teacher))?;
    Ok(animation
        .delay(0.1)
        .map(|i, figure| figure.title("40 neurons").note(time(i))))
}
