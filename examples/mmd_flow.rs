//! Samples that flow to a target: the maximum mean discrepancy as an energy.
//!
//! A cloud is drawn onto a circle by a Gaussian kernel. Writes `target/mmd_flow.svg`.

#[path = "common/svg.rs"]
mod svg;

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use svg::{Axis, Svg};
use wasserflow::observe::{LogSpaced, Snapshots};
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let circle = init::circle(60, 1.0)?;
    let mut flow = ParticleFlow::new(Mmd::new(Gaussian::new(2, 0.5)?, circle.clone())?, Heun, 0.5)?;
    let mut state = flow.start(init::gaussian(
        2,
        60,
        0.3,
        &mut ChaCha8Rng::seed_from_u64(0),
    )?)?;
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

    let (x, y) = (
        Axis::linear([-1.3, 1.3], [0.0, 400.0]),
        Axis::linear([-1.3, 1.3], [400.0, 0.0]),
    );
    let at = |w: &[f64]| [x.at(w[0]), y.at(w[1])];
    let mut picture = Svg::new(400.0, 400.0);
    for j in 0..circle.len() {
        picture.circle(at(circle.particle(j)), 5.0, "fill=\"none\" stroke=\"#bbb\"");
    }
    let paths = paths.into_inner();
    for i in 0..state.measure().len() {
        let path = paths.taken().iter().map(|(_, mu)| at(mu.particle(i)));
        picture.line(
            path,
            "fill=\"none\" stroke=\"#0072B2\" stroke-opacity=\"0.5\"",
        );
        picture.circle(at(state.measure().particle(i)), 3.0, "fill=\"#0072B2\"");
    }
    println!("Figure: {}", picture.write("mmd_flow.svg")?.display());
    Ok(())
}
