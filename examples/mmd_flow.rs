//! A flow of particles to a target measure, with half the squared maximum mean discrepancy as
//! energy.
//!
//! The target is a circle, the kernel Gaussian. Writes `target/mmd_flow.svg`.

#[path = "common/svg.rs"]
mod svg;

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use svg::{Axis, BLUE, GREY, Mark, Svg, fill, stroke};
use wasserflow::observe::{LogSpaced, Snapshots};
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let target = init::circle(60, 1.0)?;
    let mut flow = ParticleFlow::new(Mmd::new(Gaussian::new(2, 0.5)?, target.clone())?, Heun, 0.5)?;
    let start = init::gaussian(2, 60, 0.3, &mut ChaCha8Rng::seed_from_u64(0))?;
    let mut state = flow.start(start)?;
    println!(
        "t = {:>6}  F = MMD^2 / 2 = {:.1e}",
        state.time(),
        state.energy()
    );
    let mut paths = LogSpaced::new(1.2, Snapshots::new())?;
    flow.run_until(&mut state, 1000.0, &mut paths)?;
    println!(
        "t = {:>6}  F = MMD^2 / 2 = {:.1e}",
        state.time(),
        state.energy()
    );
    assert!(state.energy() < 1e-4);

    let mut svg = Svg::new(420.0, 446.0, "Gradient flow of MMD² / 2");
    let ring = stroke(GREY, 1.0);
    let keys = [
        (vec![Mark::Dot(5.0, ring.clone())], "target"),
        (Mark::path(BLUE), "path, and particle at T"),
    ];
    svg.legend([62.0, 50.0], keys);
    let axes = ["w₁", "w₂"].map(|title| Axis::linear(title, [-1.25, 1.25]));
    let panel = svg.panel("Paths of the particles", [62.0, 86.0], [310.0, 310.0], axes);
    let at =
        |mu: &EmpiricalMeasure<f64>, i: usize| panel.at([mu.particle(i)[0], mu.particle(i)[1]]);
    (0..target.len()).for_each(|j| svg.circle(at(&target, j), 5.0, &ring));
    let paths = paths.into_inner();
    for i in 0..state.measure().len() {
        let path = paths.taken().iter().map(|(_, mu)| at(mu, i));
        svg.line(
            path,
            &format!("{} stroke-opacity=\"0.5\"", stroke(BLUE, 1.0)),
        );
        svg.circle(at(state.measure(), i), 3.0, &fill(BLUE));
    }
    println!("Figure: {}", svg.write("mmd_flow.svg")?.display());
    Ok(())
}
