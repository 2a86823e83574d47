//! Stochastic gradient descent on fresh samples: success rate of students of m neurons against a
//! certified optimum.
//!
//! A teacher of 4 neurons on the circle labels new samples at every step. A student succeeds if its
//! regularised risk F is close to the minimum F* over all networks. A dual certificate bounds F*
//! from below. Few neurons may converge to a local minimum; many, spread over the circle, succeed.
//!
//! ```sh
//! cargo run --release --features plot --example fresh_samples
//! ```
//!
//! Source of the experiment: L. Chizat and F. Bach, On the global convergence of gradient descent
//! for over-parameterized models using optimal transport, 2018, figure 2.

#[path = "common/args.rs"]
mod args;

use std::error::Error;
use std::f64::consts::TAU;
use std::time::Instant;

use args::Args;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::plot::{self, Figure, GREY, Style};
use wasserflow::prelude::*;
use wasserflow::sparse::run_until_optimal;

type Failure = Box<dyn Error + Send + Sync>;

const HELP: &str = "\
Success rate of students of m neurons that learn a teacher of 4 on the circle from fresh samples.

Usage: cargo run --release --features plot --example fresh_samples -- [OPTIONS]

  --seeds N     seeds, each a teacher and a student of every size (default 20)
  --seed N      first of the seeds (default 0)
  --smoke       a short run, as a test of the program
  --help        this text

Writes target/fresh_samples.svg.
";

/// Neurons of the teacher.
const TEACHER: usize = 4;
/// Fresh samples in each step.
const BATCH: usize = 150;
/// Weight decay.
const LAMBDA: f64 = 0.002;
/// `|a| = |b|` at the start.
const RADIUS: f64 = 0.3;
/// Step size of the Euler method.
const DT: f64 = 0.2;
/// Points of the circle on which F is evaluated.
const GRID: usize = 1000;
/// A student has found the optimum when `F - F* <= FOUND R(0)`.
const FOUND: f64 = 1e-3;

#[derive(Debug, Clone, Copy)]
struct Options {
    seeds: u64,
    seed: u64,
    steps: usize,
}

fn options(args: &mut Args) -> Result<Options, String> {
    let mut options = Options {
        seeds: 20,
        seed: 0,
        steps: 50_000,
    };
    while let Some(option) = args.option() {
        match option.as_str() {
            "--seeds" => {
                options.seeds = args.value("a whole number from 1 to 10^6", |n| {
                    (1..=1_000_000).contains(n)
                })?
            }
            "--seed" => {
                options.seed = args.value("a whole number below 2^32", |&seed| seed < 1 << 32)?
            }
            "--smoke" => (options.seeds, options.steps) = (2, 200),
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

/// The teacher `h(x) = sum_k a_k (b_k.x)_+`: `a = 1, -1, 1, -1`, the `b_k` drawn from the unit
/// circle.
#[derive(Debug, Clone)]
struct Teacher([(f64, [f64; 2]); TEACHER]);

impl Teacher {
    fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self(std::array::from_fn(|k| {
            ([1.0, -1.0][k % 2], point(rng.random_range(0.0..TAU)))
        }))
    }

    fn predict(&self, x: &[f64]) -> f64 {
        self.0
            .iter()
            .map(|(a, b)| a * (b[0] * x[0] + b[1] * x[1]).max(0.0))
            .sum()
    }
}

fn point(angle: f64) -> [f64; 2] {
    [angle.cos(), angle.sin()]
}

/// The risk of a minibatch that is redrawn at every step, keyed on the seed and the number of the
/// step.
struct FreshSamples<L> {
    loss: L,
    /// The label y of x.
    label: fn(&Teacher, &[f64]) -> f64,
    teacher: Teacher,
    x: Inputs<f64>,
    y: Vec<f64>,
    seed: u64,
}

impl<L: Loss<f64>> FreshSamples<L> {
    fn new(
        loss: L,
        label: fn(&Teacher, &[f64]) -> f64,
        teacher: Teacher,
        seed: u64,
    ) -> Result<Self, RiskError> {
        let x = Inputs::new(DMatrix::zeros(2, BATCH))?;
        let mut samples = Self {
            loss,
            label,
            teacher,
            x,
            y: vec![0.0; BATCH],
            seed,
        };
        samples.draw(0)?;
        Ok(samples)
    }

    fn draw(&mut self, step: usize) -> Result<(), RiskError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step as u64);
        self.x
            .refill(|_, x| x.copy_from_slice(&point(rng.random_range(0.0..TAU))))?;
        for (j, y) in self.y.iter_mut().enumerate() {
            *y = (self.label)(&self.teacher, self.x.point(j));
        }
        Ok(())
    }
}

impl<L: Loss<f64>> Risk<f64> for FreshSamples<L> {
    fn inputs(&self) -> &Inputs<f64> {
        &self.x
    }

    fn value(&self, h: &[f64]) -> f64 {
        self.y
            .iter()
            .zip(h)
            .map(|(&y, &h)| self.loss.value(y, h))
            .sum::<f64>()
            / BATCH as f64
    }

    fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for ((&y, &h), out) in self.y.iter().zip(h).zip(out) {
            let (value, derivative) = self.loss.value_and_derivative(y, h);
            sum += value;
            *out = derivative / BATCH as f64;
        }
        sum / BATCH as f64
    }

    fn refresh(&mut self, step: usize) -> bool {
        self.draw(step).is_ok()
    }
}

type Regularised<R> = MeanFieldRisk<Ridge<Relu>, R, f64, WeightDecay<f64>>;

fn regularised<R: Risk<f64>>(risk: R) -> Result<Regularised<R>, Failure> {
    Ok(MeanFieldRisk::new(Ridge::new(Relu, 2), risk)?.regularized(WeightDecay::new(LAMBDA)?))
}

/// A loss, and the labels for it.
#[derive(Clone, Copy)]
struct Task<L> {
    loss: L,
    label: fn(&Teacher, &[f64]) -> f64,
}

impl<L: Loss<f64> + Copy + Sync> Task<L> {
    /// F after `steps` steps of a student of m neurons that start on an arc of the circle, a
    /// fraction `arc` of it.
    fn run(&self, m: usize, arc: f64, seed: u64, steps: usize) -> Result<f64, Failure> {
        let teacher = Teacher::draw(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(m as u64);
        let mut start = init::balanced(2, m, RADIUS, &mut rng)?;
        for w in start.points_mut().chunks_exact_mut(3) {
            let [x, y] = point(rng.random_range(0.0..arc * TAU));
            w[1..].copy_from_slice(&[RADIUS * x, RADIUS * y]);
        }
        let samples = FreshSamples::new(self.loss, self.label, teacher.clone(), seed)?;
        let mut flow = ParticleFlow::new(regularised(samples)?, Euler, DT)?;
        let mut state = flow.start(start)?;
        flow.run(&mut state, steps, &mut ())?;
        let mut energy = self.energy(&teacher)?;
        Ok(energy.value(state.measure()))
    }

    /// F on the grid of the circle.
    fn energy(&self, teacher: &Teacher) -> Result<Regularised<EmpiricalRisk<L, f64>>, Failure> {
        let x = DMatrix::from_fn(2, GRID, |axis, j| {
            point(TAU * (j as f64 + 0.5) / GRID as f64)[axis]
        });
        let y = DVector::from_fn(GRID, |j, _| (self.label)(teacher, x.column(j).as_slice()));
        regularised(EmpiricalRisk::new(self.loss, x, y)?)
    }

    /// `[R(0), F*]` on the grid. F* is the lower bound of the certificate of a network that
    /// proximal steps have optimised.
    fn best(&self, seed: u64) -> Result<[f64; 2], Failure> {
        let energy = self.energy(&Teacher::draw(seed))?;
        let risk_of_zero = energy.risk().value(&[0.0; GRID]);
        let mut flow = ParticleFlow::new(energy, Jko::new(1e-3, 1000), 100.0)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut state = flow.start(init::balanced(2, 100, RADIUS, &mut rng)?)?;
        let certificate =
            match run_until_optimal(&mut flow, &mut state, 0.1 * FOUND * risk_of_zero, 5, 200) {
                // The proximal step cannot reduce its residual further. The certificate is valid
                // nonetheless.
                Err(StepError::Inner { .. }) => certify(flow.energy_mut(), state.measure()),
                end => end?.1,
            };
        Ok([risk_of_zero, certificate.energy() - certificate.gap()])
    }

    /// Prints the rows of the table; returns the excess of the starts on the whole circle.
    fn rows(&self, name: &str, options: &Options) -> Result<Vec<study::Width>, Failure> {
        let mut on_circle = Vec::new();
        let seeds = || options.seed..options.seed + options.seeds;
        let clock = Instant::now();
        let best = &study::runs(&[100], seeds(), |_, seed| self.best(seed))?[0].1;
        eprintln!("{:12.1} seconds", clock.elapsed().as_secs_f64());
        for (start, arc, sizes) in [
            ("circle", 1.0, &[5, 10, 100][..]),
            ("half", 0.5, &[100]),
            ("tenth", 0.1, &[100]),
        ] {
            let ends = study::width(sizes, seeds(), |m, seed| {
                self.run(m, arc, seed, options.steps)
            })?;
            for width in ends {
                let excess = width
                    .values
                    .iter()
                    .zip(best)
                    .map(|(f, [risk_of_zero, best])| (f - best) / risk_of_zero)
                    .collect();
                let excess = study::Width {
                    values: excess,
                    ..width
                };
                let (_, low, high) = excess.success_rate(FOUND);
                let found = format!("{}/{}", excess.successes(FOUND), excess.values.len());
                println!(
                    "{name:>8}  {start:>6}  {:>4}  {:>13.1e}  {found:>6}  [{low:.2}, {high:.2}]",
                    excess.particles,
                    excess.median(),
                );
                if start == "circle" {
                    on_circle.push(excess);
                }
            }
        }
        eprintln!("{:12.1} seconds", clock.elapsed().as_secs_f64());
        Ok(on_circle)
    }
}

/// The excess against m, with the threshold.
fn panel(title: &str, excess: &[study::Width]) -> Figure {
    let threshold = Style::new(GREY).width(1.0).dashed().label("found");
    plot::widths(&[("median and quartiles over the seeds", excess)])
        .horizontal(FOUND, threshold)
        .y_label("(F − F*) / R(0)")
        .title(title)
}

fn main() -> Result<(), Failure> {
    let options = Args::read(HELP, options);
    let Options { seeds, seed, steps } = options;
    println!(
        "Teacher   h(x) = sum_k a_k (b_k.x)_+ of {TEACHER} neurons, a = 1, -1, 1, -1, the b_k drawn from the unit circle\n\
         Students  m neurons, h = (1/m) sum_i a_i (b_i.x)_+, both layers are trained; start |a| = |b| = {RADIUS},\n          \
         b on the circle, a half or a tenth of it\n\
         Loss      square on y = h(x), logistic on y = sign h(x); weight decay {LAMBDA}\n\
         Steps     {steps} of Euler, dt = {DT}, each on {BATCH} fresh samples of the circle; seeds {seed} to {}\n\
         Found     F - F* <= {FOUND:e} R(0), F on {GRID} points of the circle, F* from below by a certificate; interval 95 %\n\n\
         {:>8}  {:>6}  {:>4}  {:>13}  {:>6}  {:>12}",
        seed + seeds - 1,
        "loss",
        "start",
        "m",
        "(F - F*)/R(0)",
        "found",
        "interval",
    );
    let square = Task {
        loss: Square,
        label: Teacher::predict,
    }
    .rows("square", &options)?;
    let sign = |teacher: &Teacher, x: &[f64]| if teacher.predict(x) > 0.0 { 1.0 } else { -1.0 };
    let logistic = Task {
        loss: Logistic,
        label: sign,
    }
    .rows("logistic", &options)?;
    std::fs::create_dir_all("target")?;
    panel("Square loss", &square)
        .beside(panel("Logistic loss", &logistic))
        .heading("Stochastic gradient descent on fresh samples, a teacher of 4")
        .save("target/fresh_samples.svg")?;
    println!("\nFigure: target/fresh_samples.svg");
    Ok(())
}
