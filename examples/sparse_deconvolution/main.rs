//! Sparse deconvolution on the circle by particles, compared with a certified optimum.
//!
//! A signal of 5 spikes is observed through a low-pass filter. Particles estimate the spikes by the
//! Wasserstein flow, or by conic descent, which also changes their masses. The optimum F*, with its
//! certificate, is that of the Frank-Wolfe method, which inserts atoms one by one. Few particles
//! may converge to a local minimum; more reach F*.
//!
//! ```sh
//! cargo run --release --features plot --example sparse_deconvolution
//! ```
//!
//! Sources of the experiments: L. Chizat and F. Bach, On the global convergence of gradient descent
//! for over-parameterized models using optimal transport, 2018, figure 1; L. Chizat, Sparse
//! optimization on measures with over-parameterized gradient descent, 2019.

#[path = "../common/args.rs"]
mod args;
mod experiment;
mod figure;
mod flow;
mod problem;

use std::f64::consts::TAU;
use std::fmt::Write;
use std::io::Write as _;

use args::Args;
use experiment::{
    Failure, HALVINGS, Optimum, Run, SIGNED, SIZES, Start, positive, signal, signed, spikes,
};
use problem::Deconvolution;
use wasserflow::study::{self, Width};

const HELP: &str = "\
Success rate of m particles that estimate 5 spikes on the circle.

Usage: cargo run --release --features plot --example sparse_deconvolution -- [OPTIONS]

  --seed N      the seed of the signal in the figure (default 4); the table is over seeds 0 to 9
  --smoke       a short run, as a test of the program
  --help        this text

Writes target/sparse_deconvolution.svg.
";

/// The parameters that all runs share.
struct Protocol {
    /// The seed of the signal in the figure.
    drawn: u64,
    /// The number of seeds of the signed experiment.
    seeds: u64,
    /// Its time horizon T.
    time: f64,
    /// The number of seeds of the positive experiment.
    trials: u64,
    /// Its number of steps.
    steps: usize,
}

/// A run has found the optimum when `F(mu_T) - F* <= FOUND R(0)`.
const FOUND: f64 = 1e-3;

fn options(args: &mut Args) -> Result<Protocol, String> {
    let mut protocol = Protocol {
        drawn: 4,
        seeds: 10,
        time: 30.0,
        trials: 100,
        steps: 1000,
    };
    while let Some(option) = args.option() {
        match option.as_str() {
            "--seed" => {
                protocol.drawn =
                    args.value("a whole number below 2^32", |&seed: &u64| seed < 1 << 32)?
            }
            "--smoke" => {
                protocol = Protocol {
                    seeds: 2,
                    time: 0.5,
                    trials: 2,
                    steps: 50,
                    ..protocol
                }
            }
            _ => return Err(args.unknown()),
        }
    }
    Ok(protocol)
}

fn main() -> Result<(), Failure> {
    let protocol = Args::read(HELP, options);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", starts(&protocol)?)?;
    writeln!(out, "{}", measures(&protocol)?)?;
    write!(out, "{}", conic_descent(&protocol)?)?;
    Ok(())
}

/// The success rate of each number of particles and start.
fn starts(protocol: &Protocol) -> Result<String, Failure> {
    let Protocol { seeds, time, .. } = protocol;
    let mut out = format!(
        "Signal    5 spikes, heights +-U(0.5, 1.5), anywhere on the circle; the filter passes the frequencies 0 to 7\n\
         F         |h - y|^2 / 2 + 0.2 |mu|; R(0) is that of mu = 0; F* is certified (Frank-Wolfe, gap at most 1e-9 R(0))\n\
         Flow      m particles (a, t) of weight 1/m from a = 0, forward-backward steps, to T = {time}; seeds 0 to {}\n\
         Found     F(T) - F* <= {FOUND:e} R(0); the interval is Wilson's, 95 %\n\n\
         {:>4}  {:<22}  {:>10}  {:>6}  {:>12}  published\n",
        seeds - 1,
        "m",
        "start",
        "median",
        "found",
        "interval"
    );
    let rows = [
        (6, Start::Grid, "on a grid", "fails"),
        (10, Start::Grid, "on a grid", "succeeds"),
        (100, Start::Grid, "on a grid", "succeeds"),
        (100, Start::Tenth, "grid on a tenth", "fails"),
        (100, Start::Point, "at one point", "fails"),
    ];
    for (m, start, name, published) in rows {
        let excess = |m, seed| signed(m, seed, start, *time).map(|run| run.excess);
        let width: Width = study::width(&[m], 0..*seeds, excess)?.remove(0);
        let (found, (_, low, high)) = (width.successes(FOUND), width.success_rate(FOUND));
        let (median, found) = (width.median(), format!("{found}/{seeds}"));
        let _ = writeln!(
            out,
            "{m:>4}  {name:<22}  {median:>10.1e}  {found:>6}  [{low:.2}, {high:.2}]  {published}"
        );
    }
    Ok(out)
}

/// The spikes that are found for one signal, and the figure.
fn measures(protocol: &Protocol) -> Result<String, Failure> {
    let Protocol { drawn, time, .. } = protocol;
    let signal = signal(*drawn);
    let optimum = Optimum::find(&mut Deconvolution::new(SIGNED, &signal)?)?;
    let runs = study::runs(&[6, 10, 100], *drawn..*drawn + 1, |m, seed| {
        signed(m, seed, Start::Grid, *time)
    })?;
    let runs: Vec<(usize, Run)> = runs
        .into_iter()
        .filter_map(|(m, mut runs)| Some((m, runs.pop()?)))
        .collect();
    let mut out = format!("Signal {drawn}: spikes a at t / 2 pi, and the certified gap\n\n");
    let mut row = |name: &str, spikes: &[[f64; 2]], gap: Option<f64>| {
        let list: Vec<String> = spikes
            .iter()
            .map(|[a, t]| format!("{a:+.3} at {:.3}", t / TAU))
            .collect();
        let gap = gap.map_or(String::new(), |gap| format!("{gap:.0e} R(0)"));
        let _ = writeln!(out, "{name:>12}  {gap:>10}  {}", list.join(", "));
    };
    row("signal", &signal, None);
    let best = spikes(&optimum.measure);
    row(
        &format!("{} atoms", optimum.steps),
        &best,
        Some(optimum.gap / optimum.risk_of_zero),
    );
    for (m, run) in &runs {
        row(
            &format!("m = {m}"),
            &run.path.last().map(spikes).unwrap_or_default(),
            Some(run.gap),
        );
    }
    std::fs::create_dir_all("target")?;
    let path = "target/sparse_deconvolution.svg";
    figure::draw(&best, &runs).save(path)?;
    let _ = writeln!(out, "\nFigure: {path}");
    Ok(out)
}

/// The table of conic descent for positive spikes.
fn conic_descent(protocol: &Protocol) -> Result<String, Failure> {
    let Protocol { trials, steps, .. } = protocol;
    let table = positive(*trials, *steps)?;
    let largest = table
        .iter()
        .flatten()
        .fold(f64::MIN_POSITIVE, |largest: f64, &x| largest.max(x));
    let mut out = format!(
        "Positive spikes, frequencies 0 to 8, lambda = 0.3, conic descent: alpha = 0.002, {steps} steps, {trials} trials\n\
         Mean of F - F*, divided by the largest mean, {largest:.2}\n\n{:>14}",
        "beta / alpha"
    );
    for m in SIZES {
        let _ = write!(out, "  m = {m:<2}");
    }
    for (row, halvings) in table.iter().zip(HALVINGS) {
        let ratio = match halvings {
            0 => "1".to_owned(),
            _ => format!("1/{}", 1 << halvings),
        };
        let _ = write!(out, "\n{ratio:>14}");
        for x in row {
            let _ = write!(out, "  {:>6.3}", x / largest);
        }
    }
    let _ = write!(out, "\n{:>14}", "published");
    for x in ["1", ".25-.30", ".27", ".01", "0", "0", "0"] {
        let _ = write!(out, "  {x:>6}");
    }
    out.push('\n');
    Ok(out)
}
