//! Comparison of trained and fixed features on real data: diagnosis of breast cancer from 30
//! measurements of cell nuclei.
//!
//! Three models minimise the same risk, the logistic loss with weight decay: a network of rectifier
//! neurons, the same neurons with only their output weights trained, and logistic regression.
//! Reports test accuracy over ten splits.
//!
//! ```sh
//! cargo run --release --example classify
//! ```

#[path = "common/args.rs"]
mod args;

use std::error::Error;
use std::io::Write;

use args::Args;
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

const HELP: &str = "\
Test accuracy of trained features, fixed features and logistic regression: breast cancer data.

Usage: cargo run --release --example classify -- [OPTIONS]

  --seed N      seed of the splits and starts (default 0)
  --neurons M   neurons of the network (default 20)
  --json        one JSON object on standard output, nothing else
  --smoke       one split and few steps, as a test of the program
  --help        this text
";

/// Rows of 30 measurements and `benign`, 0 or 1. Source and licence: data/README.md.
const WDBC: &str = include_str!("../data/wdbc.csv");

/// Strength of the weight decay, `lambda int |w|^2 dmu`.
const LAMBDA: f64 = 1e-3;
/// Step size of the Euler method.
const DT: f64 = 0.1;

#[derive(Debug)]
struct Options {
    seed: u64,
    neurons: usize,
    splits: usize,
    steps: usize,
    json: bool,
}

fn options(args: &mut Args) -> Result<Options, String> {
    let mut options = Options {
        seed: 0,
        neurons: 20,
        splits: 10,
        steps: 400,
        json: false,
    };
    while let Some(option) = args.option() {
        match option.as_str() {
            "--seed" => options.seed = args.value("a whole number", |_| true)?,
            "--neurons" => {
                options.neurons =
                    args.value("a whole number from 1 to 1000", |m| (1..=1000).contains(m))?
            }
            "--json" => options.json = true,
            "--smoke" => (options.splits, options.steps) = (1, 50),
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

/// Measurements `x` (30 x 569) and diagnoses `y`, 1 benign, -1 malignant.
fn read(csv: &str) -> Result<(DMatrix<f64>, DVector<f64>), Box<dyn Error>> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for line in csv.lines().skip(1) {
        let row = line
            .split(',')
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>()?;
        let (benign, measurements) = row.split_last().ok_or("an empty row")?;
        x.extend_from_slice(measurements);
        y.push(2.0 * benign - 1.0);
    }
    let n = y.len();
    Ok((
        DMatrix::from_vec(x.len() / n.max(1), n, x),
        DVector::from_vec(y),
    ))
}

/// The column indices of a stratified split: training set, and test set with a fifth of each class.
fn split(y: &DVector<f64>, rng: &mut ChaCha8Rng) -> [Vec<usize>; 2] {
    let [mut train, mut test] = [Vec::new(), Vec::new()];
    for class in [-1.0, 1.0] {
        let mut members: Vec<usize> = (0..y.len()).filter(|&j| y[j] == class).collect();
        members.shuffle(rng);
        let rest = members.split_off(members.len() / 5);
        test.extend(members);
        train.extend(rest);
    }
    [train, test]
}

/// Every measurement with mean 0 and standard deviation 1 over the columns `train`, and a
/// coordinate 1 for the bias.
fn standardised(x: &DMatrix<f64>, train: &[usize]) -> DMatrix<f64> {
    let sample = x.select_columns(train);
    let mean = sample.column_mean();
    // Two passes: the one-pass variance cancels to NaN or noise for a nearly constant measurement.
    let deviation = DVector::from_fn(x.nrows(), |l, _| {
        let variance = sample.row(l).add_scalar(-mean[l]).norm_squared() / train.len() as f64;
        let deviation = variance.sqrt();
        // The mean of a constant measurement is rounded: its deviation is that error, not 0.
        let constant = deviation <= 1e3 * f64::EPSILON * mean[l].abs();
        if constant { 1.0 } else { deviation }
    });
    with_bias(DMatrix::from_fn(x.nrows(), x.ncols(), |l, j| {
        (x[(l, j)] - mean[l]) / deviation[l]
    }))
}

/// An energy of neurons `(a, b)` of which only the output weights `a` are trained.
struct OutputOnly<E>(E);

impl<E: Energy<f64>> Energy<f64> for OutputOnly<E> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        self.0.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        let value = self.0.velocity(mu, out);
        out.rows_mut(1, mu.dim() - 1).fill(0.0);
        value
    }
}

/// The linear feature map `Phi(w)(x) = w.x`: logistic regression if the measure is one particle.
struct Linear(usize);

impl FeatureMap<f64> for Linear {
    fn particle_dim(&self) -> usize {
        self.0
    }
    fn input_dim(&self) -> usize {
        self.0
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        out[0] += scale * w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    }
    fn add_vjp(&self, _: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(x).for_each(|(out, x)| *out += g[0] * x);
    }
}

/// The measure after `steps` steps of the flow from `start`.
fn fit(
    energy: impl Energy<f64>,
    start: &EmpiricalMeasure<f64>,
    steps: usize,
) -> Result<EmpiricalMeasure<f64>, Box<dyn Error>> {
    let mut flow = ParticleFlow::new(energy, Euler, DT)?;
    let mut state = flow.start(start.clone())?;
    flow.run(&mut state, steps, &mut ())?;
    Ok(state.into_measure())
}

/// The fraction of samples whose prediction has the sign of their label.
fn accuracy(
    map: &impl FeatureMap<f64>,
    mu: &EmpiricalMeasure<f64>,
    x: DMatrix<f64>,
    y: &DVector<f64>,
) -> Result<f64, Box<dyn Error>> {
    let h = predict(map, mu, &Inputs::new(x)?)?;
    Ok(h.iter().zip(y.iter()).filter(|&(h, y)| h * y > 0.0).count() as f64 / y.len() as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Args::read(HELP, options);
    let (x, y) = read(WDBC)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut accuracies = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..options.splits {
        let [train, test] = split(&y, &mut rng);
        let x = standardised(&x, &train);
        let d = x.nrows();
        let risk = EmpiricalRisk::new(Logistic, x.select_columns(&train), y.select_rows(&train))?;
        let (x, y) = (x.select_columns(&test), y.select_rows(&test));

        let (neurons, decay) = (Ridge::new(Relu, d), WeightDecay::new(LAMBDA)?);
        let start = init::balanced(d, options.neurons, 1.0, &mut rng)?;
        let energy = || {
            Ok::<_, Box<dyn Error>>(MeanFieldRisk::new(neurons, risk.clone())?.regularized(decay))
        };
        let trained = fit(energy()?, &start, options.steps)?;
        let fixed = fit(OutputOnly(energy()?), &start, options.steps)?;
        let zero = EmpiricalMeasure::uniform(DMatrix::zeros(d, 1))?;
        let linear = fit(
            MeanFieldRisk::new(Linear(d), risk.clone())?.regularized(decay),
            &zero,
            options.steps,
        )?;

        accuracies[0].push(accuracy(&neurons, &trained, x.clone(), &y)?);
        accuracies[1].push(accuracy(&neurons, &fixed, x.clone(), &y)?);
        accuracies[2].push(accuracy(&Linear(d), &linear, x, &y)?);
    }
    write!(
        std::io::stdout().lock(),
        "{}",
        report(&options, &accuracies)
    )?;
    Ok(())
}

fn report(options: &Options, accuracies: &[Vec<f64>; 3]) -> String {
    let Options {
        seed,
        neurons,
        splits,
        steps,
        json,
    } = options;
    let statistics = accuracies.each_ref().map(|accuracies| {
        let accuracies = DVector::from_column_slice(accuracies);
        (accuracies.mean(), accuracies.variance().sqrt())
    });
    let [trained, fixed, linear] = statistics;
    if *json {
        let models = [
            ("trained", trained),
            ("fixed", fixed),
            ("logistic_regression", linear),
        ];
        let models = models.map(|(name, (mean, deviation))| {
            format!("\"{name}\": {{\"mean\": {mean:.4}, \"deviation\": {deviation:.4}}}")
        });
        return format!(
            "{{\"data\": \"wdbc\", \"seed\": {seed}, \"neurons\": {neurons}, \"splits\": {splits}, \"steps\": {steps}, \
             \"dt\": {DT}, \"lambda\": {LAMBDA}, {}}}\n",
            models.join(", ")
        );
    }
    let line = |name: &str, (mean, deviation): (f64, f64)| {
        format!(
            "  {name:<34}{:>5.1} +- {:.1} %\n",
            100.0 * mean,
            100.0 * deviation
        )
    };
    format!(
        "Breast cancer Wisconsin, 569 x 30: logistic loss, weight decay {LAMBDA}, {steps} Euler steps of {DT}.\n\
         Test accuracy, mean and standard deviation over {splits} stratified splits with 80 % for training:\n\n{}{}{}",
        line(&format!("{neurons} rectifier neurons"), trained),
        line("the same neurons, output layer only", fixed),
        line("logistic regression", linear),
    )
}
