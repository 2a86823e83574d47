//! Optimal transport between states of a flow, and propagation of chaos.
//!
//! Left: a cloud of particles flows to a circle, and the optimal plan couples an early with a late
//! state. Right: the mean distance `W_2` between runs of m neurons and a run of 1000 from another
//! start, all at the same time, decreases with m. Writes `target/transport.svg`.
//!
//! ```sh
//! cargo run --release --features plot --example transport
//! ```

use std::error::Error;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::plot::{self, Figure};
use wasserflow::prelude::*;

/// An error that may cross threads.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    std::fs::create_dir_all("target")?;
    coupling()?
        .beside(chaos()?)
        .heading("Optimal transport between states of particle flows")
        .save("target/transport.svg")?;
    println!("Figure: target/transport.svg");
    Ok(())
}

/// The optimal plan between two states of one flow.
fn coupling() -> Result<Figure, Failure> {
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

    Ok(plot::coupling(&early, late, &coupling)
        .title("Optimal plan from t = 0 (μ) to 200 (ν)")
        .note(format!("W₂ = {:.2}", coupling.distance())))
}

/// The distance between runs of m neurons and a run of many, against m.
fn chaos() -> Result<Figure, Failure> {
    let sizes = [25, 50, 100, 200, 400];
    let many = run(1000, 1000)?;
    let distance = |m, seed| Ok::<_, Failure>(transport::w2(&run(m, seed)?, &many)?.distance());
    let widths = study::width(&sizes, 0..8, distance)?;
    let slope = study::slope(&widths);
    println!("propagation of chaos: slope in m {slope:.2}");
    assert!((-0.6..-0.2).contains(&slope));

    for width in &widths {
        let mean = width.values.iter().sum::<f64>() / width.values.len() as f64;
        println!("m = {:>4}  mean W2 = {mean:.3}", width.particles);
    }
    Ok(
        plot::widths(&[("median and quartiles of 8 seeds", &widths[..])])
            .y_range(0.18, 0.9)
            .x_label("number of neurons m")
            .y_label("W₂(μₘ, μ₁₀₀₀)")
            .title("Propagation of chaos")
            .note(format!("slope {slope:.2}").replace('-', "−")),
    )
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
