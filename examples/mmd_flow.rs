//! A flow of particles to a target measure, with half the squared maximum mean discrepancy as
//! energy.
//!
//! The target is a circle, the kernel Gaussian. Writes `target/mmd_flow.svg`.
//!
//! ```sh
//! cargo run --release --features plot --example mmd_flow
//! ```

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::observe::{LogSpaced, Snapshots, Trace};
use wasserflow::plot;
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let target = init::circle(60, 1.0)?;
    let mut flow = ParticleFlow::new(Mmd::new(Gaussian::new(2, 0.5)?, target.clone())?, Heun, 0.5)?;
    let start = init::gaussian(2, 60, 0.3, &mut ChaCha8Rng::seed_from_u64(0))?;
    let mut state = flow.start(start)?;
    let mut paths = LogSpaced::new(1.2, Snapshots::new())?;
    let mut trace = LogSpaced::new(1.05, Trace::new())?;
    flow.run_until(&mut state, 1000.0, &mut (&mut paths, &mut trace))?;
    let trace = trace.into_inner();
    for record in [trace.records().first(), trace.records().last()]
        .into_iter()
        .flatten()
    {
        println!(
            "t = {:>6.1}  F = MMD^2 / 2 = {:.1e}",
            record.time, record.energy
        );
    }
    assert!(state.energy() < 1e-4);

    std::fs::create_dir_all("target")?;
    plot::neurons(&paths.into_inner())
        .teacher(&target)
        .title("Paths of the particles")
        .beside(plot::energy(&trace).log_y().title("Energy"))
        .heading("Gradient flow of MMD² / 2")
        .save("target/mmd_flow.svg")?;
    println!("Figure: target/mmd_flow.svg");
    Ok(())
}
