//! A student network whose neurons are dealt out to processes of MPI.
//!
//! ```sh
//! cargo build --release --features mpi,plot --example mpi_flow
//! mpirun -n 4 target/release/examples/mpi_flow    # or with --json: all processes, one line
//! ```
//!
//! The student learns a teacher of 5 neurons on 1, 2, .. and all processes. Its first neurons are
//! the same for any number of processes, and so is F, up to rounding. With the feature `plot` the
//! first process draws `target/mpi_flow.svg`.

use std::error::Error;
use std::time::Instant;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::mpi::topology::{Color, SimpleCommunicator};
use wasserflow::mpi::traits::Communicator;
use wasserflow::mpi::{Threading, initialize_with_threading};
use wasserflow::nalgebra::DVector;
use wasserflow::observe::Trace;
use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;

/// Samples, coordinates and neurons of the student.
const N: usize = 2000;
const D: usize = 20;
const M: usize = 1000;

fn main() {
    // The program starts and ends MPI; threads of a pool may call it, one at a time.
    let (universe, _) = initialize_with_threading(Threading::Serialized).expect("MPI runs already");
    let world = universe.world();
    if let Err(error) = run(&world) {
        eprintln!("rank {}: {error}", world.rank());
        world.abort(1); // the other processes would wait for this one
    }
}

fn run(world: &SimpleCommunicator) -> Result<(), Box<dyn Error>> {
    let option = |name| std::env::args().any(|argument| argument == name);
    let (json, steps) = (option("--json"), if option("--smoke") { 10 } else { 300 });
    if world.rank() == 0 && !json {
        println!("{M} neurons, {steps} steps\nranks           F   seconds");
    }
    let smallest = if json { world.size() } else { 1 };
    let mut runs = Vec::new();
    for size in smallest..=world.size() {
        // The first ranks train; the others continue with a larger number.
        let colors = [Color::undefined(), Color::with_value(0)];
        let color = colors[usize::from(world.rank() < size)];
        let Some(group) = world.split_by_color(color) else {
            continue;
        };
        let (trace, f, seconds) = train(MpiRanks::new(&group)?, steps)?;
        runs.push((f64::from(size), trace));
        if world.rank() == 0 && json {
            println!(
                r#"{{"ranks": {size}, "m": {M}, "steps": {steps}, "energy": {f}, "seconds": {seconds:.3}}}"#
            );
        } else if world.rank() == 0 {
            println!("{size:>5}  {f:.4e}  {seconds:>8.3}");
        }
    }
    #[cfg(feature = "plot")]
    if world.rank() == 0 && !json {
        draw(&runs)?;
    }
    Ok(())
}

/// F on one process against t, and its relative deviation on more processes.
#[cfg(feature = "plot")]
fn draw(runs: &[(f64, Trace<f64>)]) -> Result<(), Box<dyn Error>> {
    use wasserflow::plot::{self, Figure, PALETTE, Style};
    let [(_, one), more @ ..] = runs else {
        return Ok(());
    };
    let mut figure = plot::energy(one).log_y().title("Energy on one process");
    if !more.is_empty() {
        let mut deviations = Figure::new()
            .x_label("time t")
            .y_label("F / F of one process − 1");
        for ((size, trace), colour) in more.iter().zip(PALETTE) {
            let pairs = trace.records().iter().zip(one.records());
            let points = pairs
                .step_by(5)
                .map(|(run, one)| [run.time, run.energy / one.energy - 1.0]);
            let style = Style::new(colour).radius(1.5);
            deviations = deviations.points(points, style.label(format!("{size} processes")));
        }
        figure = figure.beside(deviations.title("Deviation on more processes"));
    }
    std::fs::create_dir_all("target")?;
    figure.save("target/mpi_flow.svg")?;
    println!("Figure: target/mpi_flow.svg");
    Ok(())
}

/// F at each step and after the last, and the seconds of the steps.
fn train(ranks: MpiRanks<f64>, steps: usize) -> Result<(Trace<f64>, f64, f64), Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0); // the same samples on all ranks
    let x = init::gaussian(D, N, 1.0, &mut rng)?.into_points();
    let teacher = init::balanced(D, 5, 1.0, &mut rng)?;
    let h = predict(&Ridge::new(Relu, D), &teacher, &Inputs::new(x.clone())?)?;
    let risk = EmpiricalRisk::new(Square, x, DVector::from_column_slice(h.as_slice()))?;

    let draw = |seed, len| init::balanced(D, len, 1.0, &mut ChaCha8Rng::seed_from_u64(seed));
    let start = init::in_blocks(&ranks, M, 1, draw)?; // the neurons of this rank
    let energy = MeanFieldRisk::new(Ridge::new(Relu, D), risk)?.distributed(ranks);
    let mut flow = ParticleFlow::new(energy, Euler, 0.5)?;
    let mut state = flow.start(start)?;
    let clock = Instant::now();
    let mut trace = Trace::new();
    flow.run(&mut state, steps, &mut trace)?;
    Ok((trace, state.energy(), clock.elapsed().as_secs_f64()))
}
