//! Measurements of ranks on MPI: times of the all-reduce, of a step, and memory.
//!
//! `mpirun -n P target/release/examples/mpi allreduce | step N D M STEPS [--without-mpi]`. Times are
//! minima and medians, since other programs may share the machine. M is the number of neurons of a
//! rank.

use std::error::Error;
use std::fs;
use std::time::Instant;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::mpi::traits::Communicator;
use wasserflow::mpi::{Threading, initialize_with_threading};
use wasserflow::nalgebra::DVector;
use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--without-mpi") {
        return step(&arguments, None);
    }
    let (universe, _) = initialize_with_threading(Threading::Serialized).ok_or("MPI runs")?;
    let ranks = MpiRanks::new(&universe.world())?;
    match arguments.first().map(String::as_str) {
        Some("allreduce") => {
            allreduce(ranks, universe.world().rank() == 0);
            Ok(())
        }
        Some("step") => step(&arguments, Some(ranks)),
        _ => Err("usage: mpi allreduce | step N D M STEPS [--without-mpi]".into()),
    }
}

/// Seconds of a sum of n scalars, and the fit `alpha + beta n` with the least relative errors.
fn allreduce(mut ranks: MpiRanks<f64>, print: bool) {
    let lengths = [
        1, 4, 16, 64, 256, 1000, 4000, 16_000, 64_000, 256_000, 1_000_000,
    ];
    let mut times = Vec::new();
    for n in lengths {
        let (least, median) = repeat(&mut ranks, n, n);
        times.push((n as f64, least));
        if print {
            let (least, median) = (1e6 * least, 1e6 * median);
            println!("n = {n:>8}: minimum {least:>9.2} us, median {median:>9.2} us");
        }
    }
    // Normal equations of sum_i ((alpha + beta n_i) / t_i - 1)^2.
    let sum = |f: fn(f64, f64) -> f64| times.iter().map(|&(n, t)| f(n, t)).sum::<f64>();
    let aa = sum(|_, t| 1.0 / (t * t));
    let ab = sum(|n, t| n / (t * t));
    let bb = sum(|n, t| n * n / (t * t));
    let (a, b) = (sum(|_, t| 1.0 / t), sum(|n, t| n / t));
    let determinant = aa * bb - ab * ab;
    let alpha = (a * bb - b * ab) / determinant;
    let beta = (aa * b - ab * a) / determinant;
    let error = |&(n, t): &(f64, f64)| ((alpha + beta * n) / t - 1.0).abs();
    let worst = times.iter().map(error).fold(0.0, f64::max);
    if print {
        println!("alpha {alpha:.2e} s, beta {beta:.2e} s a scalar, relative error {worst:.2}");
    }
    for part in [16_384, 65_536, 262_144, 1_000_000] {
        let (least, median) = repeat(&mut ranks, 1_000_000, part);
        if print {
            let (least, median) = (1e6 * least, 1e6 * median);
            println!("10^6 in parts of {part}: minimum {least:.2} us, median {median:.2} us");
        }
    }
}

/// The least and the median time of the sum of n scalars in parts, in seconds.
fn repeat(ranks: &mut MpiRanks<f64>, n: usize, part: usize) -> (f64, f64) {
    let mut x = vec![0.0; n];
    let mut times: Vec<f64> = (0..(100_000_000 / (n + 50_000)).max(100))
        .map(|_| {
            let start = Instant::now();
            x.chunks_mut(part).for_each(|x| ranks.sum(x));
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

/// Seconds of a step of Euler for a rectifier network with M neurons a rank.
fn step(arguments: &[String], ranks: Option<MpiRanks<f64>>) -> Result<(), Box<dyn Error>> {
    let number = |i: usize| -> Result<usize, Box<dyn Error>> {
        Ok(arguments.get(i).ok_or("a number is missing")?.parse()?)
    };
    let (n, d, m, steps) = (number(1)?, number(2)?, number(3)?, number(4)?);
    let (rank, size) = ranks
        .as_ref()
        .map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
    let mut rng = ChaCha8Rng::seed_from_u64(0); // the same samples on every rank
    let x = init::gaussian::<f64>(d, n, 1.0, &mut rng)?.into_points();
    let y = DVector::from_fn(n, |j, _| x[(0, j)].abs());
    let risk = EmpiricalRisk::new(Square, x, y)?;
    let mut energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk)?;
    if let Some(ranks) = ranks {
        energy = energy.distributed(ranks);
    }
    let start = init::sphere(1 + d, m, &mut ChaCha8Rng::seed_from_u64(1 + rank as u64))?;
    let weights = DVector::from_element(m, 1.0 / (m * size) as f64);
    let start = EmpiricalMeasure::weighted(start.into_points(), weights)?;
    let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
    let mut state = flow.start(start)?;
    let mut times = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        flow.advance(&mut state)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[steps / 2]);
    println!(
        "rank {rank} of {size}: n {n}, d {d}, m {m} a rank: minimum {least:.4} s, median {median:.4} s a step, \
         F {:.6}, peak memory {} MB, user {} s",
        state.energy(),
        peak_memory(),
        user_seconds(),
    );
    Ok(())
}

/// The largest resident set of this process, in MB.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) / 1000
}

/// Seconds of the processor that this process has used outside the kernel.
fn user_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(11)?.parse().ok());
    ticks.unwrap_or(0.0) / 100.0
}
