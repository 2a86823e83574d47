//! What transport sees of a flow: the plan between two states, and propagation of chaos.
//!
//! Left, a cloud flows to a circle and the optimal plan couples two of its states. Right, runs of m neurons against one of many
//! from another start: the mean `W_2` of their states at one time falls with m. Writes `target/transport.svg`.

#[path = "common/svg.rs"]
mod svg;

use std::error::Error;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use svg::{Axis, Svg};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut picture = Svg::new(820.0, 400.0);

    let energy = Mmd::new(Gaussian::new(2, 0.5)?, init::circle(60, 1.0)?)?;
    let mut flow = ParticleFlow::new(energy, Heun, 0.5)?;
    let mut state = flow.start(init::gaussian(2, 60, 0.3, &mut rng)?)?;
    let early = state.measure().clone();
    flow.run_until(&mut state, 200.0, &mut ())?;
    let late = state.measure();
    let coupling = transport::w2(&early, late)?;
    let travelled = (early.points() - late.points()).norm() / f64::sqrt(60.0);
    println!(
        "W2 between the states {:.4}, gap {:.1e}",
        coupling.distance(),
        coupling.gap()
    );
    println!("each particle to where it went itself {travelled:.4}");
    assert!(coupling.distance() <= travelled);
    let (x, y) = (
        Axis::linear([-1.3, 1.3], [0.0, 400.0]),
        Axis::linear([-1.3, 1.3], [400.0, 0.0]),
    );
    let at = |w: &[f64]| [x.at(w[0]), y.at(w[1])];
    for &(i, j, _) in coupling.plan() {
        picture.line(
            [at(early.particle(i)), at(late.particle(j))],
            "stroke=\"#0072B2\" stroke-opacity=\"0.5\"",
        );
        picture.circle(at(early.particle(i)), 3.0, "fill=\"#999\"");
        picture.circle(at(late.particle(j)), 3.0, "fill=\"#D55E00\"");
    }

    let sizes = [25, 50, 100, 200, 400];
    let many = run(1000, 1000).map_err(|error| error.to_string())?;
    let widths = study::width(
        &sizes,
        0..8,
        |m, seed| -> Result<f64, Box<dyn Error + Send + Sync>> {
            Ok(transport::w2(&run(m, seed)?, &many)?.distance())
        },
    );
    let widths = widths.map_err(|error| error.to_string())?;
    let slope = study::slope(&widths);
    println!("propagation of chaos: slope in m {slope:.2}");
    assert!((-0.6..-0.2).contains(&slope));
    let (m, w) = (
        Axis::log([20.0, 500.0], [460.0, 800.0]),
        Axis::log([0.03, 1.0], [360.0, 20.0]),
    );
    let means = widths
        .iter()
        .map(|width| width.values.iter().sum::<f64>() / width.values.len() as f64);
    let points: Vec<_> = widths
        .iter()
        .zip(means)
        .map(|(width, mean)| (width.particles, mean))
        .collect();
    let at = |(size, mean): (usize, f64)| [m.at(size as f64), w.at(mean)];
    picture.line(
        [[460.0, 20.0], [460.0, 360.0], [800.0, 360.0]],
        "fill=\"none\" stroke=\"#333\"",
    );
    picture.line(
        points.iter().map(|&point| at(point)),
        "fill=\"none\" stroke=\"#0072B2\"",
    );
    for &(size, mean) in &points {
        let [x, y] = at((size, mean));
        println!("m = {size:>4}  mean W2 = {mean:.3}");
        picture.circle([x, y], 4.0, "fill=\"#0072B2\"");
        picture.text([x - 8.0, 376.0], "font-size=\"12\"", &size.to_string());
        picture.text(
            [x + 6.0, y - 6.0],
            "font-size=\"12\"",
            &format!("{mean:.2}"),
        );
    }
    picture.text([600.0, 394.0], "font-size=\"13\"", "m");
    let title = format!("mean W2 to a run of 1000 neurons, slope {slope:.2}");
    picture.text([500.0, 34.0], "font-size=\"13\"", &title);
    println!("Figure: {}", picture.write("transport.svg")?.display());
    Ok(())
}

/// The state of m neurons `a tanh(b x)` at time 5, from a Gaussian start.
fn run(m: usize, seed: u64) -> Result<EmpiricalMeasure<f64>, Box<dyn Error + Send + Sync>> {
    let x = DMatrix::from_fn(1, 20, |_, j| (j as f64 - 9.5) / 5.0);
    let y = DVector::from_fn(20, |j, _| (2.0 * x[j]).sin());
    let energy = MeanFieldRisk::new(Ridge::new(Tanh, 1), EmpiricalRisk::new(Square, x, y)?)?;
    let mut flow = ParticleFlow::new(energy, Heun, 0.1)?;
    let mut state = flow.start(init::gaussian(
        2,
        m,
        1.0,
        &mut ChaCha8Rng::seed_from_u64(seed),
    )?)?;
    flow.run_until(&mut state, 5.0, &mut ())?;
    Ok(state.into_measure())
}
