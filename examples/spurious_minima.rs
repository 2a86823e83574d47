//! Frequency of convergence to spurious local minima of networks that could represent their teacher
//! exactly.
//!
//! A network `sum_{i <= n} (w_i.x)_+` with fixed output weights learns the teacher
//! `sum_{l <= k} (e_l.x)_+` for `x ~ N(0, I_k)`. Its population risk
//! `F = E[(h(x) - y(x))^2] / 2` has a closed form, so only the start, `w_i ~ N(0, I_k / k)`, is
//! random. If n = k, the fraction of bad runs grows with k. For k = 12, one additional neuron
//! nearly removes the bad runs, and two remove them.
//!
//! ```sh
//! cargo run --release --features plot --example spurious_minima
//! ```
//!
//! Source of the experiment: I. Safran and O. Shamir, Spurious local minima are common in two-layer
//! ReLU neural networks, ICML 2018.

#[path = "common/args.rs"]
mod args;

use std::error::Error;
use std::time::Instant;

use args::Args;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{UntilStationary, UntilTarget};
use wasserflow::plot::{BLUE, Figure, Style, VERMILION};
use wasserflow::prelude::*;

type Failure = Box<dyn Error + Send + Sync>;

const HELP: &str = "\
Fraction of runs of networks of n neurons, with a teacher of k, that end in a spurious minimum.

Usage: cargo run --release --features plot --example spurious_minima -- [OPTIONS]

  --k LIST      neurons of the teacher (default: the published pairs)
  --n LIST      neurons of the network, one for every k (default: n = k)
  --runs N      runs of every pair (default 200)
  --seed N      first of the seeds (default 0)
  --step X      dt in units of 4 / (n + 1) (default 1)
  --smoke       a short run, as a test of the program
  --help        this text

Writes target/spurious_minima.svg.
";

/// `(k, n)`, and the published number of bad runs out of 1000.
const PUBLISHED: [(usize, usize, u32); 9] = [
    (6, 6, 3),
    (7, 7, 55),
    (9, 9, 218),
    (12, 12, 585),
    (12, 13, 3),
    (12, 14, 0),
    (16, 16, 851),
    (16, 17, 180),
    (20, 20, 949),
];
/// The rows of the published table that are run by default.
const DEFAULT: [(usize, usize); 7] = [
    (6, 6),
    (7, 7),
    (9, 9),
    (12, 12),
    (16, 16),
    (12, 13),
    (12, 14),
];

/// A run is bad when it ends with `F >= BAD`.
const BAD: f64 = 1e-3;
/// A run ends when `F < BAD`, because F is non-increasing, or when it is stationary:
/// `(sum_i |v_i|^2)^(1/2) <= REST`.
const REST: f64 = 1e-9;
/// A run that has not ended after this number of steps is undecided.
const STEPS: usize = 1_000_000;

#[derive(Debug)]
struct Options {
    pairs: Vec<(usize, usize)>,
    runs: u64,
    seed: u64,
    step: f64,
}

fn options(args: &mut Args) -> Result<Options, String> {
    let (mut k, mut n) = (Vec::new(), Vec::new());
    let mut options = Options {
        pairs: DEFAULT.to_vec(),
        runs: 200,
        seed: 0,
        step: 1.0,
    };
    let whole = "whole numbers from 1 to 1000, as in 7,9";
    while let Some(option) = args.option() {
        match option.as_str() {
            "--k" => k = args.values(whole, |k| (1..=1000).contains(k))?,
            "--n" => n = args.values(whole, |n| (1..=1000).contains(n))?,
            "--runs" => {
                options.runs = args.value("a whole number from 1 to 10^6", |runs| {
                    (1..=1_000_000).contains(runs)
                })?
            }
            "--seed" => {
                options.seed = args.value("a whole number below 2^32", |&seed| seed < 1 << 32)?
            }
            "--step" => {
                options.step = args.value("a number above 0 and up to 1", |&step| {
                    step > 0.0 && step <= 1.0
                })?
            }
            "--smoke" => (options.pairs, options.runs) = (vec![(6, 6), (6, 8)], 4),
            _ => return Err(args.unknown()),
        }
    }
    if !k.is_empty() {
        let n = if n.is_empty() { k.clone() } else { n };
        if n.len() != k.len() {
            return Err(format!(
                "--n must have as many values as --k, {}, found {}",
                k.len(),
                n.len()
            ));
        }
        options.pairs = k.into_iter().zip(n).collect();
    } else if !n.is_empty() {
        return Err("--n needs --k".to_owned());
    }
    Ok(options)
}

/// The network of the given neurons: their sum, so every weight is 1.
fn sum(neurons: DMatrix<f64>) -> Result<EmpiricalMeasure<f64>, Failure> {
    let ones = DVector::from_element(neurons.ncols(), 1.0);
    Ok(EmpiricalMeasure::weighted(neurons, ones)?)
}

/// F at the end of a run, or NaN if the run is undecided.
fn run(k: usize, n: usize, seed: u64, dt: f64) -> Result<f64, Failure> {
    let energy = Mmd::new(ArcCosine::new(k), sum(DMatrix::identity(k, k))?)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start = init::gaussian(k, n, 1.0 / (k as f64).sqrt(), &mut rng)?;
    let mut flow = ParticleFlow::new(energy, Euler, dt)?;
    let mut state = flow.start(sum(start.into_points())?)?;
    let reason = flow.run(
        &mut state,
        STEPS,
        &mut (UntilTarget::new(BAD)?, UntilStationary::new(REST)?),
    )?;
    Ok(if reason == StopReason::Steps {
        f64::NAN
    } else {
        state.energy()
    })
}

fn main() -> Result<(), Failure> {
    let options = Args::read(HELP, options);
    let seeds = options.seed..options.seed + options.runs;
    println!(
        "Network sum_i (w_i.x)_+ of n neurons, teacher sum_l (e_l.x)_+ of k, x ~ N(0, I_k), start w_i ~ N(0, I_k / k)\n\
         Risk     F = E[(h(x) - y(x))^2] / 2, in closed form\n\
         Flow     Euler, dt = {} / (n + 1), until F < {BAD:e}, good, or (sum_i |v_i|^2)^(1/2) <= {REST:e}, bad\n\
         Runs     seeds {} to {}; the published fraction p is of 1000; sigma^2 = p (1 - p) / runs\n\n\
         {:>4} {:>4}  {:>5} {:>5}  {:>8}  {:>13}  {:>9}  {:>6}  {:>11}",
        4.0 * options.step,
        seeds.start,
        seeds.end - 1,
        "k",
        "n",
        "runs",
        "bad",
        "fraction",
        "95 % interval",
        "published",
        "sigmas",
        "undecided",
    );
    let mut rows = Vec::new();
    for (k, n) in options.pairs {
        let clock = Instant::now();
        // The largest curvature of F is about n / 4: that of a common displacement of all neurons
        // along one x, of which half are active.
        let dt = options.step * 4.0 / (n as f64 + 1.0);
        let width = &study::width(&[n], seeds.clone(), |n, seed| run(k, n, seed, dt))?[0];

        let runs = width.values.len();
        let undecided = width.values.iter().filter(|f| f.is_nan()).count();
        let bad = runs - undecided - width.successes(BAD);
        let fraction = bad as f64 / runs as f64;
        let (low, high) = study::wilson(bad, runs);
        let published = PUBLISHED
            .iter()
            .find(|row| (row.0, row.1) == (k, n))
            .map(|row| f64::from(row.2) / 1000.0);
        rows.push((n - n.min(k), [k as f64, low, fraction, high], published));
        let (published, sigmas) = match published {
            Some(p) if p > 0.0 => {
                let sigmas = (fraction - p) / (p * (1.0 - p) / runs as f64).sqrt();
                (format!("{p:.3}"), format!("{sigmas:+.1}"))
            }
            Some(_) => (
                "0.000".to_owned(),
                if bad == 0 { "+0.0" } else { "inf" }.to_owned(),
            ),
            None => (String::new(), String::new()),
        };
        println!(
            "{k:>4} {n:>4}  {runs:>5} {bad:>5}  {fraction:>8.3}  [{low:.3}, {high:.3}]  {published:>9}  {sigmas:>6}  {undecided:>11}"
        );
        eprintln!("{:10.1} seconds", clock.elapsed().as_secs_f64());
    }
    std::fs::create_dir_all("target")?;
    draw(&rows).save("target/spurious_minima.svg")?;
    println!("\nFigure: target/spurious_minima.svg");
    Ok(())
}

/// `n - k`; k with the interval and the fraction of bad runs; the published fraction.
type Row = (usize, [f64; 4], Option<f64>);

/// The fractions with their intervals against k, in a panel for each number of additional neurons.
fn draw(rows: &[Row]) -> Figure {
    let mut additional: Vec<usize> = rows.iter().map(|row| row.0).collect();
    additional.sort_unstable();
    additional.dedup();
    let panel = |&extra: &usize| {
        let rows = || rows.iter().filter(move |row| row.0 == extra);
        let intervals = rows().map(|&(_, [k, low, _, high], _)| ([[k, low], [k, high]], 1.5));
        let fractions = rows().map(|&(_, [k, _, fraction, _], _)| [k, fraction]);
        let published: Vec<_> = rows()
            .filter_map(|&(_, [k, ..], p)| Some([k, p?]))
            .collect();
        let runs = Style::new(BLUE).label("runs, with the 95 % interval");
        let figure = Figure::new()
            .segments(intervals, runs.clone())
            .points(fractions, runs)
            .x_range(5.0, 21.0)
            .y_range(-0.02, 1.02)
            .x_label("neurons of the teacher k")
            .y_label("fraction of bad runs")
            .title(if extra == 0 {
                "n = k".to_owned()
            } else {
                format!("n = k + {extra}")
            });
        if published.is_empty() {
            return figure;
        }
        let ring = Style::new(VERMILION)
            .hollow()
            .radius(5.5)
            .label("published");
        figure.points(published, ring)
    };
    let figure = additional.iter().map(panel).reduce(Figure::beside);
    figure.unwrap_or_default()
}
