//! A rectifier network with weight decay learns 15 samples: where its neurons go, and the proof that they have arrived.
//!
//! Plain gradient descent is certified along its way: the neurons turn to few directions, those where `|g(b)|` reaches `2 lambda`. Beside
//! it the other geometry, which adds neurons one by one. Writes `target/neuron_paths.svg`.
//!
//! ```sh
//! cargo run --release --example neuron_paths
//! ```
//!
//! Source of the experiment: L. Chizat, Sparse optimization on measures with over-parameterized gradient descent, 2019.

#[path = "common/svg.rs"]
mod svg;

use std::error::Error;
use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use svg::{Axis, Svg};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::{LogSpaced, Snapshots};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, merge, prune};

const LAMBDA: f64 = 0.002;
/// The steps at which the flow is certified.
const STEPS: [usize; 4] = [0, 1000, 10_000, 20_000];

type Network = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

/// 15 samples on the circle, labelled by a teacher of 3 neurons `+-(b.x)_+ / 3`, and the start: 20 neurons on the sphere of radius 2.
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

/// What is drawn: the paths to the last step, and `|g|` over the circle at each of the `STEPS`.
struct Course {
    gaps: Vec<f64>,
    path: Vec<EmpiricalMeasure<f64>>,
    variations: Vec<Vec<f64>>,
    directions: usize,
}

fn course(seed: u64) -> Result<Course, Box<dyn Error>> {
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
    let few = prune(
        flow.energy().features(),
        &merge(flow.energy().features(), state.measure(), 0.01),
    );
    let heavy = (0..few.len())
        .filter(|&i| few.weight(i) * few.particle(i)[0].powi(2) > 1e-4)
        .count();
    Ok(Course {
        gaps,
        path,
        variations,
        directions: heavy,
    })
}

/// `|g(b)|` at equal angles, from the first variation of probes (1, b): `F'(mu)(1, b) = g(b) + 2 lambda`.
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
    let courses = (0..seeds).map(course).collect::<Result<Vec<_>, _>>()?;
    println!("Euler, dt = 1, 20 neurons, lambda = {LAMBDA}: certified gaps over {seeds} seeds\n");
    println!(
        "{:>7}  {:>8}  {:>8}  {:>8}  {:>9}",
        "steps", "smallest", "median", "largest", "published"
    );
    for (l, (step, published)) in STEPS
        .iter()
        .zip(["1.5e-2", "2.8e-5", "", "1.1e-6"])
        .enumerate()
    {
        let mut gaps: Vec<f64> = courses.iter().map(|course| course.gaps[l]).collect();
        gaps.sort_by(f64::total_cmp);
        let (least, median, most) = (gaps[0], gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
        println!("{step:>7}  {least:>8.1e}  {median:>8.1e}  {most:>8.1e}  {published:>9}");
    }
    println!("\nNeurons added one by one, to a gap of 1e-9: steps and neurons\n");
    for method in [FrankWolfe::Corrective, FrankWolfe::Sliding] {
        let (mut steps, mut neurons) = (Vec::new(), Vec::new());
        for seed in 0..seeds {
            let (mut energy, _) = task(seed)?;
            let (mut mu, mut count) = (EmpiricalMeasure::uniform(DMatrix::zeros(3, 1))?, 0);
            while count < 200 {
                let certificate = certify(&mut energy, &mu);
                let Some(w) = certificate.escape().filter(|_| certificate.gap() > 1e-9) else {
                    break;
                };
                let Some(next) = method.step(&mut energy, &mu, w)? else {
                    break;
                };
                (mu, count) = (next, count + 1);
            }
            steps.push(count);
            neurons.push(mu.len());
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
    let course = &courses[drawn];
    println!("\nSeed {drawn}: {} directions are left", course.directions);
    println!(
        "Figure: {}",
        draw(course).write("neuron_paths.svg")?.display()
    );
    Ok(())
}

const SIDE: f64 = 300.0;
const TOP: f64 = 92.0;
const SIGNS: [&str; 2] = ["#0072B2", "#D55E00"];
const TIMES: [&str; 4] = ["#E0A82E", "#2C9C83", "#4A2C6D", ""];
const HEADING: &str = "font-size=\"15\" font-weight=\"bold\"";
const CAPTION: &str = "font-size=\"12\" fill=\"#777\"";
const PANEL: &str = "fill=\"#fbfbfb\" stroke=\"#cfcfcf\"";

/// The paths of `|a| b` on the left, `|g|` against the angle on the right.
fn draw(course: &Course) -> Svg {
    let mut svg = Svg::new(24.0 + SIDE + 76.0 + 1.4 * SIDE + 104.0, TOP + SIDE + 48.0);
    svg.text(
        [24.0, 28.0],
        HEADING,
        "20 neurons, weight decay, 15 samples: gradient descent and its certificate",
    );
    for (sign, label) in ["a &gt; 0", "a &lt; 0"].iter().enumerate() {
        let x = 24.0 + 76.0 * sign as f64;
        svg.line(
            [[x, 47.0], [x + 20.0, 47.0]],
            &format!("stroke=\"{}\" stroke-width=\"1.5\"", SIGNS[sign]),
        );
        svg.circle([x + 20.0, 47.0], 3.0, &format!("fill=\"{}\"", SIGNS[sign]));
        svg.text([x + 29.0, 51.0], "", label);
    }

    // |a| b, at the distance of its square root.
    let point = |w: &[f64]| {
        let root = (w[0].abs() / w[1].hypot(w[2]).max(f64::MIN_POSITIVE)).sqrt();
        [root * w[1], root * w[2]]
    };
    let all = course
        .path
        .iter()
        .flat_map(|mu| (0..mu.len()).flat_map(move |i| point(mu.particle(i))));
    let reach = 1.05 * all.fold(0.1, |r: f64, x| r.max(x.abs()));
    let (left, right) = (24.0, 24.0 + SIDE + 76.0);
    let (x, y) = (
        Axis::linear([-reach, reach], [left, left + SIDE]),
        Axis::linear([-reach, reach], [TOP + SIDE, TOP]),
    );
    svg.rectangle([left, TOP], [SIDE, SIDE], PANEL);
    svg.text([left, TOP - 9.0], HEADING, "Neurons |a| b");
    svg.text(
        [left + SIDE, TOP - 9.0],
        &format!("{CAPTION} text-anchor=\"end\""),
        "distance: square root",
    );
    let Some(end) = course.path.last() else {
        return svg;
    };
    for i in 0..end.len() {
        let colour = SIGNS[usize::from(end.particle(i)[0] < 0.0)];
        let path = course
            .path
            .iter()
            .map(|mu| point(mu.particle(i)))
            .map(|[u, v]| [x.at(u), y.at(v)]);
        svg.line(
            path,
            &format!("fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.5\""),
        );
        let [u, v] = point(end.particle(i));
        svg.circle([x.at(u), y.at(v)], 2.8, &format!("fill=\"{colour}\""));
    }

    let largest = course.variations[0].iter().fold(0.0, |r: f64, &x| r.max(x)) / (2.0 * LAMBDA);
    let width = 1.4 * SIDE;
    let (x, y) = (
        Axis::linear([0.0, TAU], [right, right + width]),
        Axis::log([0.1, 1.2 * largest], [TOP + SIDE, TOP]),
    );
    svg.rectangle([right, TOP], [width, SIDE], PANEL);
    svg.text([right, TOP - 9.0], HEADING, "|g(b)| / 2λ round the circle");
    svg.line(
        [[right, y.at(1.0)], [right + width, y.at(1.0)]],
        "stroke=\"#333\" stroke-dasharray=\"5 3\"",
    );
    for (label, value) in [("0.1", 0.1), ("1", 1.0), ("10", 10.0), ("100", 100.0)] {
        if value <= 1.2 * largest {
            svg.text(
                [right - 8.0, y.at(value) + 4.0],
                &format!("{CAPTION} text-anchor=\"end\""),
                label,
            );
        }
    }
    for (label, angle) in [("0", 0.0), ("π", TAU / 2.0), ("2π", TAU)] {
        svg.text(
            [x.at(angle), TOP + SIDE + 17.0],
            &format!("{CAPTION} text-anchor=\"middle\""),
            label,
        );
    }
    svg.text(
        [right + width / 2.0, TOP + SIDE + 33.0],
        &format!("{CAPTION} text-anchor=\"middle\""),
        "angle of b",
    );
    for (l, (values, colour)) in course.variations.iter().zip(TIMES).enumerate().take(3) {
        let probes = values.len() - 1;
        let curve = values.iter().enumerate();
        let curve = curve.map(|(i, g)| {
            [
                x.at(TAU * i as f64 / probes as f64),
                y.at((g / (2.0 * LAMBDA)).max(0.1)),
            ]
        });
        svg.line(
            curve,
            &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\""),
        );
        let (text, at) = (
            [right + width + 8.0, TOP + 14.0 + 34.0 * l as f64],
            STEPS[l],
        );
        svg.text(
            text,
            &format!("fill=\"{colour}\" font-weight=\"bold\" font-size=\"12\""),
            &format!("{at} steps"),
        );
        svg.text(
            [text[0], text[1] + 14.0],
            CAPTION,
            &format!("gap {:.0e}", course.gaps[l]),
        );
    }
    // Where the neurons are at the end.
    for i in (0..end.len()).filter(|&i| end.particle(i)[0].abs() > 1e-2) {
        let w = end.particle(i);
        let colour = SIGNS[usize::from(w[0] < 0.0)];
        svg.circle(
            [x.at(w[2].atan2(w[1]).rem_euclid(TAU)), y.at(1.0)],
            3.5,
            &format!("fill=\"{colour}\""),
        );
    }
    svg
}
