//! Paths of the neurons of a rectifier network with weight decay, and its certified optimality gap.
//!
//! Gradient descent on 15 samples is certified along its trajectory. The neurons concentrate on few
//! directions, those where `|g(b)|` attains its bound `2 lambda`. For comparison, Frank-Wolfe
//! methods insert neurons one by one until the same problem has a gap of 1e-9. Writes
//! `target/neuron_paths.svg`.
//!
//! ```sh
//! cargo run --release --features plot --example neuron_paths
//! ```
//!
//! Source of the experiment: L. Chizat, Sparse optimization on measures with over-parameterized
//! gradient descent, 2019.

use std::error::Error;
use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::{LogSpaced, Snapshots};
use wasserflow::optimality::certify;
use wasserflow::plot::{
    self, BLACK, BLUE, Colour, Figure, GREEN, GREY, ORANGE, Style, VERMILION, scientific,
};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, merge, prune};

/// Weight decay.
const LAMBDA: f64 = 0.002;
/// The numbers of steps after which the flow is certified.
const STEPS: [usize; 4] = [0, 1000, 10_000, 20_000];

type Network = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

/// The energy of 15 samples on the circle, labelled by a teacher of 3 neurons `+-(b.x)_+ / 3`, and
/// the initial measure: 20 neurons on the sphere of radius 2.
fn task(seed: u64) -> Result<(Network, EmpiricalMeasure<f64>), Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let b = init::sphere::<f64>(2, 3, &mut rng)?.into_points();
    let teacher = EmpiricalMeasure::uniform(b.insert_row(0, 1.0).map_with_location(
        |row, _, b| match row {
            0 if rng.random_bool(0.5) => -b,
            _ => b,
        },
    ))?;
    let x = init::sphere(2, 15, &mut rng)?.into_points();
    let phi = Ridge::new(Relu, 2);
    let y = predict(&phi, &teacher, &Inputs::new(x.clone())?)?
        .row(0)
        .transpose();
    let start = EmpiricalMeasure::uniform(init::sphere(3, 20, &mut rng)?.into_points() * 2.0)?;
    Ok((
        MeanFieldRisk::new(phi, EmpiricalRisk::new(Square, x, y)?)?
            .regularized(WeightDecay::new(LAMBDA)?),
        start,
    ))
}

/// A run of gradient descent.
struct Run {
    /// The certified gap after each of the `STEPS`.
    gaps: Vec<f64>,
    /// `|g|` over the circle after each of the `STEPS`.
    variations: Vec<Vec<f64>>,
    /// The measures after log-spaced numbers of steps, and the last.
    path: Vec<EmpiricalMeasure<f64>>,
    /// The number of neurons of the last measure that remain after merging and pruning and have
    /// `c a^2 > 1e-4`.
    directions: usize,
}

fn run(seed: u64) -> Result<Run, Box<dyn Error>> {
    let (energy, start) = task(seed)?;
    let mut flow = ParticleFlow::new(energy, Euler, 1.0)?;
    let mut state = flow.start(start)?;
    let mut paths = LogSpaced::new(1.1, Snapshots::new())?;
    let (mut gaps, mut variations) = (Vec::new(), Vec::new());
    for step in STEPS {
        let steps = step - state.step();
        flow.run(&mut state, steps, &mut paths)?;
        gaps.push(certify(flow.energy_mut(), state.measure()).gap());
        variations.push(variation(flow.energy_mut(), state.measure()));
    }
    let mut path: Vec<_> = paths
        .into_inner()
        .into_taken()
        .into_iter()
        .map(|(_, mu)| mu)
        .collect();
    path.push(state.measure().clone());
    let features = flow.energy().features();
    let merged = prune(features, &merge(features, state.measure(), 0.01));
    let directions = (0..merged.len())
        .filter(|&i| merged.weight(i) * merged.particle(i)[0].powi(2) > 1e-4)
        .count();
    Ok(Run {
        gaps,
        variations,
        path,
        directions,
    })
}

/// `|g(b)|` at equidistant angles, from the first variation at probes (1, b):
/// `F'(mu)(1, b) = g(b) + 2 lambda`.
fn variation(energy: &mut Network, mu: &EmpiricalMeasure<f64>) -> Vec<f64> {
    const PROBES: usize = 720;
    let angle = |i: usize| TAU * i as f64 / PROBES as f64;
    let probes = DMatrix::from_fn(3, PROBES + 1, |row, i| {
        [1.0, angle(i).cos(), angle(i).sin()][row]
    });
    let (mut values, mut descent) = (vec![0.0; PROBES + 1], probes.clone());
    energy.first_variation(mu, &probes, &mut values, &mut descent);
    values
        .into_iter()
        .map(|value| (value - 2.0 * LAMBDA).abs())
        .collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (drawn, seeds) = (2, 20);
    let runs = (0..seeds).map(run).collect::<Result<Vec<_>, _>>()?;
    println!("Euler, dt = 1, 20 neurons, lambda = {LAMBDA}: certified gaps over {seeds} seeds\n");
    println!("  steps  smallest    median   largest  published");
    let published = ["1.5e-2", "2.8e-5", "", "1.1e-6"];
    for (l, (step, published)) in STEPS.iter().zip(published).enumerate() {
        let mut gaps: Vec<f64> = runs.iter().map(|run| run.gaps[l]).collect();
        gaps.sort_by(f64::total_cmp);
        let (least, median, most) = (gaps[0], gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
        println!("{step:>7}  {least:>8.1e}  {median:>8.1e}  {most:>8.1e}  {published:>9}");
    }
    println!("\nFrank-Wolfe methods, to a gap of 1e-9: number of steps and of neurons\n");
    for method in [FrankWolfe::Corrective, FrankWolfe::Sliding] {
        let (mut steps, mut neurons) = (Vec::new(), Vec::new());
        for seed in 0..seeds {
            let (count, size) = insert_neurons(method, seed)?;
            steps.push(count);
            neurons.push(size);
        }
        steps.sort_unstable();
        neurons.sort_unstable();
        let middle = seeds as usize / 2;
        let (median, most, end) = (steps[middle], steps[2 * middle - 1], neurons[middle]);
        println!(
            "{:>10}  {median} in the median, {most} at most; {end} neurons",
            format!("{method:?}")
        );
    }
    let run = &runs[drawn];
    println!(
        "\nSeed {drawn}: {} directions remain after gradient descent",
        run.directions
    );
    std::fs::create_dir_all("target")?;
    draw(run).save("target/neuron_paths.svg")?;
    println!("Figure: target/neuron_paths.svg");
    Ok(())
}

/// The number of Frank-Wolfe steps to a gap of 1e-9, and of neurons then.
fn insert_neurons(method: FrankWolfe, seed: u64) -> Result<(usize, usize), Box<dyn Error>> {
    const MAX_STEPS: usize = 200;
    let (mut energy, _) = task(seed)?;
    let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1))?;
    for count in 0..MAX_STEPS {
        let certificate = certify(&mut energy, &mu);
        let escape = certificate.escape().filter(|_| certificate.gap() > 1e-9);
        let next = match escape {
            Some(w) => method.step(&mut energy, &mu, w)?,
            None => None,
        };
        match next {
            Some(next) => mu = next,
            None => return Ok((count, mu.len())),
        }
    }
    Ok((MAX_STEPS, mu.len()))
}

/// Colours of the first three of the `STEPS`; the last is indistinguishable from the third.
const TIMES: [Colour; 3] = [ORANGE, GREEN, BLACK];

/// The paths of `|a| b` on the left, `|g|` against the angle on the right.
fn draw(run: &Run) -> Figure {
    let quarters = ["0", "π/2", "π", "3π/2", "2π"].into_iter().enumerate();
    let quarters = quarters.map(|(i, label)| (TAU / 4.0 * i as f64, label));
    let mut variations = Figure::new()
        .log_y()
        .x_range(0.0, TAU)
        .x_ticks(quarters)
        .y_range(0.1, 60.0)
        .x_label("angle of b (rad)")
        .y_label("|g(b)| / (2λ)")
        .title("Optimality: |g(b)| ≤ 2λ for all b");
    for (l, colour) in TIMES.into_iter().enumerate() {
        let values = &run.variations[l];
        let probes = (values.len() - 1) as f64;
        let curve = values.iter().enumerate();
        let curve = curve.map(|(i, g)| [TAU * i as f64 / probes, g / (2.0 * LAMBDA)]);
        let label = format!("{} steps, gap {}", STEPS[l], scientific(run.gaps[l], 0));
        variations = variations.line(curve, Style::new(colour).label(label));
    }
    variations = variations.horizontal(1.0, Style::new(GREY).dashed().label("bound 2λ"));
    for (colour, sign) in [(BLUE, 1.0), (VERMILION, -1.0)] {
        let end = run.path.iter().rev().take(1);
        let neurons = end.flat_map(|mu| (0..mu.len()).map(|i| mu.particle(i)));
        let contribute = neurons.filter(|w| w[0] * sign > 1e-2);
        let angles: Vec<_> = contribute
            .map(|w| [w[2].atan2(w[1]).rem_euclid(TAU), 1.0])
            .collect();
        if !angles.is_empty() {
            variations = variations.points(angles, Style::new(colour).radius(3.5));
        }
    }
    plot::neurons(&run.path)
        .title("Paths of the neurons (a, b)")
        .beside(variations)
        .heading("Gradient descent of 20 neurons with weight decay, and its certificate")
}
