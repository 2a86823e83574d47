//! Number of particles required: trained against fixed neurons, in 100 dimensions.
//!
//! Students of m neurons learn a teacher of 20. The flow trains all weights of a student. For
//! comparison, the input weights of m random neurons are fixed and the optimal output weights
//! follow from a linear system. The risks `E[(h(x) - y(x))^2] / 2` over `x ~ N(0, I)` are exact:
//! half the squared maximum mean discrepancy of student and teacher in the kernel of the neurons.
//! Only teachers and starts are random.
//!
//! ```sh
//! cargo run --release --features plot --example particle_complexity
//! ```
//!
//! Source of the experiment: L. Chizat and F. Bach, On the global convergence of gradient descent
//! for over-parameterized models using optimal transport, 2018, figure 3.

#[path = "../common/args.rs"]
mod args;
mod figure;
mod kernel;

use std::error::Error;
use std::time::Instant;

use args::Args;
use kernel::ArcSine;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::UntilTarget;
use wasserflow::prelude::*;
use wasserflow::study::{self, Width};

type Failure = Box<dyn Error + Send + Sync>;

const HELP: &str = "\
Risk of students of m neurons with a teacher of 20 in 100 dimensions: the flow, and fixed neurons
with optimal output weights.

Usage: cargo run --release --features plot --example particle_complexity -- [OPTIONS]

  --m LIST      sizes of the students (default 5,10,15,20,25,30,40,60,100)
  --seeds N     seeds, each a teacher and a student of every size (default 5)
  --seed N      first of the seeds (default 0)
  --smoke       a short run, as a test of the program
  --help        this text

Writes target/particle_complexity.svg.
";

/// Neurons of the teacher.
const TEACHER: usize = 20;
/// Dimension of the inputs.
const DIM: usize = 100;
/// Size of the proximal steps.
const GAMMA: f64 = 1e3;
/// Time horizon T of the flow.
const TIME: f64 = 2e5;
/// The flow stops when `F <= FLOOR R(0)`.
const FLOOR: f64 = 1e-6;
/// A student has reached its teacher when `F <= REACHED R(0)`.
const REACHED: f64 = 1e-4;

/// Numbers of fixed neurons beyond the sizes of the flow.
const FIXED: [usize; 3] = [200, 400, 800];

#[derive(Debug)]
struct Options {
    sizes: Vec<usize>,
    seeds: u64,
    seed: u64,
    time: f64,
}

fn options(args: &mut Args) -> Result<Options, String> {
    let mut options = Options {
        sizes: vec![5, 10, 15, 20, 25, 30, 40, 60, 100],
        seeds: 5,
        seed: 0,
        time: TIME,
    };
    while let Some(option) = args.option() {
        match option.as_str() {
            "--m" => {
                options.sizes = args.values("whole numbers from 1 to 1000, as in 20,25", |m| {
                    (1..=1000).contains(m)
                })?
            }
            "--seeds" => {
                options.seeds =
                    args.value("a whole number from 1 to 1000", |n| (1..=1000).contains(n))?
            }
            "--seed" => {
                options.seed = args.value("a whole number below 2^32", |&seed| seed < 1 << 32)?
            }
            "--smoke" => {
                (options.sizes, options.seeds, options.time) = (vec![20, 25], 1, 2.0 * GAMMA)
            }
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

/// Neurons `a sigma(b.x)`, represented by the kernel of sigma; `|b| = norm` for the teacher and at
/// the start of the students.
#[derive(Debug, Clone, Copy)]
struct Neurons<K> {
    name: &'static str,
    kernel: K,
    norm: f64,
}

impl<K: Kernel<f64> + Copy + Sync> Neurons<K> {
    /// m neurons, `a = +-1`, b in random directions.
    fn draw(&self, m: usize, rng: &mut ChaCha8Rng) -> Result<EmpiricalMeasure<f64>, Failure> {
        let mut mu = init::balanced(DIM, m, 1.0, rng)?;
        mu.points_mut()
            .chunks_exact_mut(1 + DIM)
            .for_each(|w| w[1..].iter_mut().for_each(|b| *b *= self.norm));
        Ok(mu)
    }

    /// The teacher, `a = 1, -1, 1, ..`.
    fn teacher(&self, seed: u64) -> Result<EmpiricalMeasure<f64>, Failure> {
        let mut nu = self.draw(TEACHER, &mut ChaCha8Rng::seed_from_u64(seed))?;
        nu.points_mut()
            .chunks_exact_mut(1 + DIM)
            .enumerate()
            .for_each(|(k, w)| w[0] = [1.0, -1.0][k % 2]);
        Ok(nu)
    }

    /// The initial measure of a student of m neurons.
    fn start(&self, m: usize, seed: u64) -> Result<EmpiricalMeasure<f64>, Failure> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(m as u64);
        self.draw(m, &mut rng)
    }

    /// `F / R(0)` at the end of the flow of m neurons.
    fn flow(&self, m: usize, seed: u64, time: f64) -> Result<f64, Failure> {
        let teacher = self.teacher(seed)?;
        let risk_of_zero = self.risk_of_zero(&teacher);
        let mut flow = ParticleFlow::new(
            Mmd::new(WithOutputWeight(self.kernel), teacher)?,
            Jko::new(1e-2, 2000),
            GAMMA,
        )?;
        let mut state = flow.start(self.start(m, seed)?)?;
        match flow.run_until(
            &mut state,
            time,
            &mut UntilTarget::new(FLOOR * risk_of_zero)?,
        ) {
            // A stationary measure: no step can reduce its residual below the rounding of F.
            Err(StepError::Inner { .. }) => {
                eprintln!(
                    "m = {m}, seed {seed}: stationary at t = {}, F = {:.1e} R(0)",
                    state.time(),
                    state.energy() / risk_of_zero
                );
                Ok(state.energy() / risk_of_zero)
            }
            reason => reason
                .map(|_| state.energy() / risk_of_zero)
                .map_err(Failure::from),
        }
    }

    /// `min_a F / R(0)` over the output weights of m fixed neurons: `a = K^-1 k`,
    /// `2 F = 2 R(0) - k.a`.
    fn fixed(&self, m: usize, seed: u64) -> Result<f64, Failure> {
        let (teacher, start) = (self.teacher(seed)?, self.start(m, seed)?);
        let gram = DMatrix::from_fn(m, m, |i, j| {
            self.kernel
                .value(&start.particle(i)[1..], &start.particle(j)[1..])
        });
        let cross = DVector::from_fn(m, |i, _| {
            let b = &start.particle(i)[1..];
            let product = |w: &[f64]| w[0] * self.kernel.value(b, &w[1..]) / TEACHER as f64;
            (0..TEACHER).map(|k| product(teacher.particle(k))).sum()
        });
        let factor = gram
            .cholesky()
            .ok_or("the Gram matrix of the fixed neurons is singular")?;
        Ok(1.0 - cross.dot(&factor.solve(&cross)) / (2.0 * self.risk_of_zero(&teacher)))
    }

    /// `R(0) = E[y^2] / 2`, the risk of the zero network.
    fn risk_of_zero(&self, teacher: &EmpiricalMeasure<f64>) -> f64 {
        let pair = |i: usize, j: usize| {
            let (w, v) = (teacher.particle(i), teacher.particle(j));
            teacher.weight(i)
                * teacher.weight(j)
                * w[0]
                * v[0]
                * self.kernel.value(&w[1..], &v[1..])
        };
        (0..TEACHER)
            .flat_map(|i| (0..TEACHER).map(move |j| pair(i, j)))
            .sum::<f64>()
            / 2.0
    }

    /// The risks of all sizes and seeds, which are also printed.
    fn curves(&self, options: &Options) -> Result<Curves, Failure> {
        let clock = Instant::now();
        let seeds = || options.seed..options.seed + options.seeds;
        let moving = study::width(&options.sizes, seeds(), |m, seed| {
            self.flow(m, seed, options.time)
        })?;
        let fixed = study::width(
            &[&options.sizes[..], &FIXED].concat(),
            seeds(),
            |m, seed| self.fixed(m, seed),
        )?;
        println!(
            "\n{}, |b| = {}\n   m  flow: median     reached  fixed neurons: median",
            self.name, self.norm
        );
        for (l, fixed) in fixed.iter().enumerate() {
            let (median, reached) = match moving.get(l) {
                Some(moving) => (
                    format!("{:.1e}", moving.median()),
                    format!("{}/{}", moving.successes(REACHED), moving.values.len()),
                ),
                None => (String::new(), String::new()),
            };
            println!(
                "{:>4}  {median:>12}  {reached:>10}  {:>21.1e}",
                fixed.particles,
                fixed.median()
            );
        }
        eprintln!("{:10.1} seconds", clock.elapsed().as_secs_f64());
        Ok(Curves {
            name: self.name,
            moving,
            fixed,
        })
    }
}

/// The excess risks of the students of one activation, in units of `R(0)`.
#[derive(Debug)]
struct Curves {
    name: &'static str,
    moving: Vec<Width>,
    fixed: Vec<Width>,
}

fn main() -> Result<(), Failure> {
    let mut options = Args::read(HELP, options);
    options.sizes.sort_unstable();
    options.sizes.dedup();
    println!(
        "Teacher  h(x) = (1/{TEACHER}) sum_k a_k sigma(b_k.x), a = 1, -1, .., b in random directions of R^{DIM}, x ~ N(0, I)\n\
         Flow     proximal steps of {GAMMA}, to T = {:e} or F <= {FLOOR:e} R(0); start a = +-1, b in random directions\n\
         Fixed    the same start, b kept, a the minimiser of F\n\
         Risks    F / R(0), exact; F* = 0; reached: F <= {REACHED:e} R(0); seeds {} to {}",
        options.time,
        options.seed,
        options.seed + options.seeds - 1,
    );
    let rectifier = Neurons {
        name: "Rectifier",
        kernel: ArcCosine::new(DIM),
        norm: 1.0,
    }
    .curves(&options)?;
    let sigmoid = Neurons {
        name: "Sigmoid",
        kernel: ArcSine(DIM),
        norm: 3.0,
    }
    .curves(&options)?;
    std::fs::create_dir_all("target")?;
    let path = "target/particle_complexity.svg";
    figure::draw(&[rectifier, sigmoid], FLOOR, TEACHER).save(path)?;
    println!("\nFigure: {path}");
    Ok(())
}
