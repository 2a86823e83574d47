//! Optimal transport between states of a flow, and propagation of chaos.
//!
//! Left: a cloud of particles flows to a circle, and the optimal plan couples an early with a late
//! state. Right: the mean distance `W_2` between runs of m neurons and a run of 1000 from another
//! start, all at the same time, decreases with m. Writes `target/transport.svg`.

#[path = "common/svg.rs"]
mod svg;

use std::error::Error;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use svg::{Axis, BLUE, GREY, Mark, Svg, VERMILION, fill, stroke};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::study::Width;

/// An error that may cross threads.
type Failure = Box<dyn Error + Send + Sync>;

const SIDE: f64 = 310.0;
const TOP: f64 = 86.0;

fn main() -> Result<(), Failure> {
    let mut svg = Svg::new(
        806.0,
        TOP + SIDE + 50.0,
        "Optimal transport between states of particle flows",
    );
    coupling(&mut svg, [62.0, TOP])?;
    chaos(&mut svg, [476.0, TOP])?;
    println!("Figure: {}", svg.write("transport.svg")?.display());
    Ok(())
}

/// The optimal plan between two states of one flow.
fn coupling(svg: &mut Svg, corner: [f64; 2]) -> Result<(), Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (m, time) = (60, 200.0);
    let energy = Mmd::new(Gaussian::new(2, 0.5)?, init::circle(m, 1.0)?)?;
    let mut flow = ParticleFlow::new(energy, Heun, 0.5)?;
    let mut state = flow.start(init::gaussian(2, m, 0.3, &mut rng)?)?;
    let early = state.measure().clone();
    flow.run_until(&mut state, time, &mut ())?;
    let late = state.measure();
    let coupling = transport::w2(&early, late)?;
    let displacement = (early.points() - late.points()).norm() / (m as f64).sqrt();
    println!(
        "W2 between the states {:.4}, gap {:.1e}",
        coupling.distance(),
        coupling.gap()
    );
    println!("root mean square displacement of the particles {displacement:.4}");
    assert!(coupling.distance() <= displacement);

    let keys = [
        (vec![Mark::Dot(3.0, fill(GREY))], "t = 0"),
        (vec![Mark::Dot(3.0, fill(VERMILION))], "t = 200"),
        (vec![Mark::Line(plan_style())], "optimal plan"),
    ];
    svg.legend([corner[0], 50.0], keys);
    let axes = ["w₁", "w₂"].map(|title| Axis::linear(title, [-1.25, 1.25]));
    let panel = svg.panel("Optimal plan", corner, [SIDE, SIDE], axes);
    panel.note(svg, &format!("W₂ = {:.2}", coupling.distance()));
    let at =
        |mu: &EmpiricalMeasure<f64>, i: usize| panel.at([mu.particle(i)[0], mu.particle(i)[1]]);
    for &(i, j, _) in coupling.plan() {
        svg.line([at(&early, i), at(late, j)], &plan_style());
    }
    for (mu, colour) in [(&early, GREY), (late, VERMILION)] {
        (0..mu.len()).for_each(|i| svg.circle(at(mu, i), 3.0, &fill(colour)));
    }
    Ok(())
}

fn plan_style() -> String {
    format!("{} stroke-opacity=\"0.5\"", stroke(BLUE, 1.0))
}

/// The distance between runs of m neurons and a run of many, against m.
fn chaos(svg: &mut Svg, corner: [f64; 2]) -> Result<(), Failure> {
    let sizes = [25, 50, 100, 200, 400];
    let many = run(1000, 1000)?;
    let distance = |m, seed| Ok::<_, Failure>(transport::w2(&run(m, seed)?, &many)?.distance());
    let widths = study::width(&sizes, 0..8, distance)?;
    let slope = study::slope(&widths);
    println!("propagation of chaos: slope in m {slope:.2}");
    assert!((-0.6..-0.2).contains(&slope));

    let keys = [
        (Mark::path(BLUE), "mean"),
        (vec![Mark::Dot(2.5, seed_style())], "one of 8 seeds"),
    ];
    svg.legend([corner[0], 50.0], keys);
    let axes = [
        Axis::log("number of neurons m", [20.0, 500.0]).with_ticks(sizes.map(|m| (m as f64, m))),
        Axis::log("W₂(μₘ, μ₁₀₀₀)", [0.18, 1.0]).with_ticks([0.2, 0.3, 0.5, 1.0].map(|w| (w, w))),
    ];
    let panel = svg.panel("Propagation of chaos", corner, [SIDE, SIDE], axes);
    panel.note(svg, &format!("slope {slope:.2}").replace('-', "−"));
    let at = |width: &Width, distance: f64| panel.at([width.particles as f64, distance]);
    let mean = |width: &Width| width.values.iter().sum::<f64>() / width.values.len() as f64;
    svg.line(
        widths.iter().map(|width| at(width, mean(width))),
        &stroke(BLUE, 1.6),
    );
    for width in &widths {
        println!("m = {:>4}  mean W2 = {:.3}", width.particles, mean(width));
        width
            .values
            .iter()
            .for_each(|&value| svg.circle(at(width, value), 2.5, &seed_style()));
        svg.circle(at(width, mean(width)), 4.0, &fill(BLUE));
    }
    Ok(())
}

fn seed_style() -> String {
    format!("{} fill-opacity=\"0.35\"", fill(BLUE))
}

/// The state of m neurons `a tanh(b x)` at time 5, from a Gaussian start.
fn run(m: usize, seed: u64) -> Result<EmpiricalMeasure<f64>, Failure> {
    let x = DMatrix::from_fn(1, 20, |_, j| (j as f64 - 9.5) / 5.0);
    let y = DVector::from_fn(20, |j, _| (2.0 * x[j]).sin());
    let energy = MeanFieldRisk::new(Ridge::new(Tanh, 1), EmpiricalRisk::new(Square, x, y)?)?;
    let mut flow = ParticleFlow::new(energy, Heun, 0.1)?;
    let start = init::gaussian(2, m, 1.0, &mut ChaCha8Rng::seed_from_u64(seed))?;
    let mut state = flow.start(start)?;
    flow.run_until(&mut state, 5.0, &mut ())?;
    Ok(state.into_measure())
}
