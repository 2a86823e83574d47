//! Seconds to a certified optimum of a planar or spatial rectifier network with weight decay.
//!
//! `F(mu) = sum_j (h(x_j) - y_j)^2 / (2 n) + lambda int |w|^2 dmu`, minimised until the duality gap
//! is at most `RELATIVE_GAP F`. The scripts in `peers/convex` solve the same problems as convex
//! programs over all activation patterns. Each call prints one line a problem:
//!
//!     certified_optimum data DIR                  writes the problems d{d}_n{n}_s{seed}.csv
//!     certified_optimum solve METHOD LAMBDA FILE  corrective, sliding or jko
//!     certified_optimum certify LAMBDA FILE MU    F and gap of the neurons (c, a, b) of a CSV file
//!
//! Without arguments the three methods solve small problems.

use std::fmt::Write as _;
use std::fs::{create_dir_all, read_to_string, write};
use std::path::Path;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, insert, run_until_optimal};

type Network = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

/// The gap at which a run stops, relative to F.
const RELATIVE_GAP: f64 = 1e-6;

/// The standard deviation of the noise of the targets.
const NOISE: f64 = 0.1;

/// Sizes of the problems: d, n.
const SIZES: [[usize; 2]; 6] = [[2, 50], [2, 200], [2, 1000], [3, 50], [3, 200], [3, 1000]];

/// Problems of each size. The teacher of seed s has 3 + s neurons.
const SEEDS: u64 = 3;

/// Steps of Frank-Wolfe at most.
const STEPS: usize = 2000;

/// The start of `Jko`: neurons and their norm.
const NEURONS: usize = 20;
const NORM: f64 = 2.0;

/// The first two proximal steps, the later ones, the later steps between insertions at most, and
/// insertions at most.
const FIRST_GAMMA: f64 = 1e3;
const GAMMA: f64 = 1e6;
const PROXIMAL_STEPS: usize = 20;
const INSERTIONS: usize = 20;

/// Short runs are repeated for this time in seconds, and at most this often.
const REPEAT_FOR: f64 = 0.5;
const REPEATS: usize = 200;

/// Samples in the columns of `x`, and targets.
struct Problem {
    x: DMatrix<f64>,
    y: DVector<f64>,
}

/// Gaussian inputs (d = 3: two coordinates and a bias), targets by a teacher of `3 + seed` neurons
/// and Gaussian noise.
fn problem([d, n]: [usize; 2], seed: u64) -> Problem {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut x = init::gaussian(d, n, 1.0, &mut rng)
        .expect("samples")
        .into_points();
    if d == 3 {
        x.row_mut(2).fill(1.0);
    }
    let m0 = 3 + seed as usize;
    let teacher = init::balanced(d, m0, (m0 as f64).sqrt(), &mut rng).expect("a teacher");
    let inputs = Inputs::new(x.clone()).expect("inputs");
    let h = predict(&Ridge::new(Relu, d), &teacher, &inputs).expect("predictions");
    let noise = init::gaussian(1, n, NOISE, &mut rng)
        .expect("noise")
        .into_points();
    Problem {
        x,
        y: (h + noise).transpose().column(0).into_owned(),
    }
}

fn network(Problem { x, y }: &Problem, lambda: f64) -> Network {
    let risk = EmpiricalRisk::new(Square, x.clone(), y.clone()).expect("a risk");
    let energy = MeanFieldRisk::new(Ridge::new(Relu, x.nrows()), risk).expect("an energy");
    energy.regularized(WeightDecay::new(lambda).expect("a weight decay"))
}

/// Rows of a CSV file without a header.
fn rows(file: &Path) -> Vec<Vec<f64>> {
    let text = read_to_string(file).expect("a readable file");
    let number = |field: &str| field.trim().parse().expect("a number");
    text.lines()
        .map(|line| line.split(',').map(number).collect())
        .collect()
}

/// Reads `x_1, .., x_d, y` of every sample.
fn read(file: &Path) -> Problem {
    let rows = rows(file);
    let d = rows[0].len() - 1;
    Problem {
        x: DMatrix::from_fn(d, rows.len(), |i, j| rows[j][i]),
        y: DVector::from_fn(rows.len(), |j, _| rows[j][d]),
    }
}

fn write_problems(folder: &Path) {
    create_dir_all(folder).expect("a folder");
    for [d, n] in SIZES {
        for seed in 0..SEEDS {
            let Problem { x, y } = problem([d, n], seed);
            let mut text = String::new();
            for (x, y) in x.column_iter().zip(&y) {
                for x in &x {
                    write!(text, "{x},").expect("a string");
                }
                writeln!(text, "{y}").expect("a string");
            }
            write(folder.join(format!("d{d}_n{n}_s{seed}.csv")), text).expect("a written file");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Corrective,
    Sliding,
    Jko,
}

impl Method {
    const ALL: [Self; 3] = [Self::Corrective, Self::Sliding, Self::Jko];

    fn parse(name: &str) -> Self {
        let named = |method: &Self| format!("{method:?}").eq_ignore_ascii_case(name);
        *Self::ALL
            .iter()
            .find(|method| named(method))
            .expect("corrective, sliding or jko")
    }

    /// Frank-Wolfe from the zero network; `None` for `Jko`.
    fn frank_wolfe(self) -> Option<FrankWolfe> {
        match self {
            Self::Corrective => Some(FrankWolfe::Corrective),
            Self::Sliding => Some(FrankWolfe::Sliding),
            Self::Jko => None,
        }
    }

    fn run(self, energy: &mut Network, gap: f64) -> Solution {
        let Some(method) = self.frank_wolfe() else {
            return proximal(energy, gap);
        };
        let mut mu = zero(energy);
        let result = method.run(energy, &mut mu, gap, STEPS);
        let (_, certificate) = result.expect("a convergent run");
        Solution {
            mu,
            gap: certificate.gap(),
            steps: 0,
            inserted: 0,
        }
    }

    /// The steps of [`run`](Self::run), which are the same if they are taken one by one.
    fn count_steps(self, energy: &mut Network, gap: f64) -> Option<usize> {
        let method = self.frank_wolfe()?;
        let mut mu = zero(energy);
        (0..=STEPS).find(|_| {
            let result = method.run(energy, &mut mu, gap, 1);
            let (reason, certificate) = result.expect("a convergent run");
            reason != StopReason::Steps || certificate.gap() <= gap
        })
    }
}

/// The result of a run: steps are proximal steps, `inserted` the neurons that were inserted after
/// the flow was trapped or took all of its steps.
struct Solution {
    mu: EmpiricalMeasure<f64>,
    gap: f64,
    steps: usize,
    inserted: usize,
}

fn zero(energy: &Network) -> EmpiricalMeasure<f64> {
    let points = DMatrix::zeros(energy.particle_dim(), 1);
    EmpiricalMeasure::uniform(points).expect("a measure")
}

fn proximal(energy: &mut Network, gap: f64) -> Solution {
    let d = energy.particle_dim() - 1;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let start = init::balanced(d, NEURONS, NORM, &mut rng).expect("a measure");
    let mut flow = ParticleFlow::new(&mut *energy, Jko::default(), FIRST_GAMMA).expect("a flow");
    let mut state = flow.start(start).expect("a state");
    // A step that ends early at kinks leaves the last finite state; longer ones go on from there.
    let _ = flow.run(&mut state, 2, &mut ());
    let mut flow = ParticleFlow::new(energy, Jko::new(1e-10, 1000), GAMMA).expect("a flow");
    let mut inserted = 0;
    loop {
        // A failed step leaves the last finite state, which is then certified again.
        let result = run_until_optimal(&mut flow, &mut state, gap, 1, PROXIMAL_STEPS);
        let certificate = result.map_or_else(
            |_| certify(flow.energy_mut(), state.measure()),
            |(_, certificate)| certificate,
        );
        let next = certificate
            .escape()
            .filter(|_| certificate.gap() > gap && inserted < INSERTIONS)
            .and_then(|w| insert(flow.energy_mut(), state.measure(), w));
        let Some(next) = next else {
            return Solution {
                steps: state.step(),
                gap: certificate.gap(),
                inserted,
                mu: state.into_measure(),
            };
        };
        *state.measure_mut() = next;
        inserted += 1;
    }
}

/// CPU seconds of this process in user mode; 0 where `/proc` is missing. Ticks are 10 ms.
fn user_seconds() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = after_name.split_whitespace().nth(11);
    let ticks: Option<f64> = field.and_then(|field| field.parse().ok());
    ticks.unwrap_or(0.0) / 100.0
}

/// The largest resident memory so far in MiB; 0 where `/proc` is missing.
fn resident_mib() -> f64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let field = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    field.unwrap_or(0.0) / 1024.0
}

/// The target gap `RELATIVE_GAP F` of a problem, with F from an untimed run to a gap of
/// `RELATIVE_GAP F(0)`.
fn target(problem: &Problem, lambda: f64) -> f64 {
    let mut energy = network(problem, lambda);
    let start = zero(&energy);
    let start = energy.value(&start);
    let solution = Method::Corrective.run(&mut energy, RELATIVE_GAP * start);
    RELATIVE_GAP * energy.value(&solution.mu)
}

/// Solves a problem and prints a line of JSON: the least wall time, the mean user time, the result,
/// the steps, and the time of one certificate at the result.
fn solve(name: &str, problem: &Problem, method: Method, lambda: f64, repeats: usize) {
    let gap = target(problem, lambda);
    let (mut wall, mut total, mut runs) = (f64::INFINITY, 0.0, 0);
    let user = user_seconds();
    let solution = loop {
        let clock = Instant::now();
        let result = method.run(&mut network(problem, lambda), gap);
        let seconds = clock.elapsed().as_secs_f64();
        (wall, total, runs) = (wall.min(seconds), total + seconds, runs + 1);
        if total >= REPEAT_FOR || runs >= repeats {
            break result;
        }
    };
    let user = (user_seconds() - user) / runs as f64;
    let mut energy = network(problem, lambda);
    let clock = Instant::now();
    let certificate = certify(&mut energy, &solution.mu);
    let certificate_seconds = clock.elapsed().as_secs_f64();
    let steps = method.count_steps(&mut energy, gap);
    println!(
        "{{\"problem\":\"{name}\",\"method\":\"{method:?}\",\"wall\":{wall:e},\"user\":{user:e},\
         \"energy\":{:.12e},\"gap\":{:e},\"target\":{gap:e},\"steps\":{},\"atoms\":{},\
         \"inserted\":{},\"certificate\":{certificate_seconds:e},\"mib\":{:.0}}}",
        certificate.energy(),
        solution.gap,
        steps.unwrap_or(solution.steps),
        solution.mu.weights().iter().filter(|&&c| c > 0.0).count(),
        solution.inserted,
        resident_mib(),
    );
}

/// Prints F and the certified gap of the neurons `c, a, b_1, .., b_d` in the rows of a CSV file.
fn certify_file(problem: &Problem, lambda: f64, file: &Path) {
    let rows = rows(file);
    let points = DMatrix::from_fn(rows[0].len() - 1, rows.len(), |i, m| rows[m][1 + i]);
    let weights = DVector::from_fn(rows.len(), |m, _| rows[m][0]);
    let mu = EmpiricalMeasure::weighted(points, weights).expect("a measure");
    let certificate = certify(&mut network(problem, lambda), &mu);
    println!(
        "{{\"energy\":{:.12e},\"gap\":{:e},\"bound\":\"{:?}\"}}",
        certificate.energy(),
        certificate.gap(),
        certificate.bound()
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<f64>().expect("lambda");
    match arguments[..] {
        ["data", folder] => write_problems(Path::new(folder)),
        ["solve", method, lambda, file] => {
            let (path, method) = (Path::new(file), Method::parse(method));
            let name = path.file_stem().expect("a file").to_string_lossy();
            solve(&name, &read(path), method, number(lambda), REPEATS);
        }
        ["certify", lambda, file, measure] => {
            certify_file(&read(Path::new(file)), number(lambda), Path::new(measure));
        }
        _ => {
            for d in [2, 3] {
                for method in Method::ALL {
                    let problem = problem([d, 20], 0);
                    solve(&format!("d{d}_n20_s0"), &problem, method, 2e-3, 1);
                }
            }
        }
    }
}
