//! Proximal steps on data: work and CPU seconds, beside L-BFGS and Adam by `peers/proximal.py`.
//!
//! `F(mu) = R(h) + lambda int |w|^2 dmu` of 50 rectifier neurons with a bias: the square loss on
//! auto_mpg, the logistic loss on wdbc, the softmax cross-entropy on digits. Inputs are
//! standardised, and so are the targets of auto_mpg.
//!
//!     proximal_data DIR SECONDS GAMMA    also writes x, y and the start of each problem to DIR
//!
//! A run ends when the slope of F is at most `TOLERANCE` times that at the start, or after SECONDS
//! of CPU time. It prints one row of a table for each problem, after one for each of its first
//! steps, whose results are written to DIR, too.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::{create_dir_all, read_to_string, write};
use std::path::Path;
use std::rc::Rc;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::feature::Breakpoint;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// The weight decay lambda, the neurons and the radius of the start.
const LAMBDA: f64 = 1e-3;
const NEURONS: usize = 50;
const RADIUS: f64 = 1.0;

/// The slope at the end, relative to that at the start.
const TOLERANCE: f64 = 1e-6;

/// The steps at the start that are printed and written one by one.
const FIRST_STEPS: usize = 5;

/// The CPU times at which F is printed, in seconds.
const TIMES: [f64; 3] = [1.0, 3.0, 10.0];

/// Counts velocities, products with the curvature and Hessians.
struct Counted {
    energy: Box<dyn Energy<f64>>,
    counts: Rc<Cell<[usize; 3]>>,
}

impl Counted {
    fn add(&self, kind: usize) {
        let mut counts = self.counts.get();
        counts[kind] += 1;
        self.counts.set(counts);
    }
}

impl Energy<f64> for Counted {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        self.energy.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        self.add(0);
        self.energy.velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        self.add(0);
        self.energy.first_variation(mu, at, values, descent)
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        out: &mut DMatrix<f64>,
    ) -> Option<()> {
        self.add(1);
        self.energy.curvature(mu, v, out)
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        remainder: &mut [f64],
        included: &mut [f64],
    ) -> Option<()> {
        self.add(2);
        self.energy.hessians(mu, remainder, included)
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        margin: f64,
        visit: &mut dyn FnMut(&Breakpoint<'_, f64>),
    ) {
        self.energy.breakpoints(mu, v, margin, visit);
    }
}

fn regularized<R: Risk<f64> + 'static>(k: usize, risk: R) -> Box<dyn Energy<f64>> {
    let map = Ridge::with_outputs(Relu, risk.inputs().dim(), k);
    let energy = MeanFieldRisk::new(map, risk).expect("an energy");
    Box::new(energy.regularized(WeightDecay::new(LAMBDA).expect("a weight decay")))
}

/// The table without the columns `excluded`, standardised and with a bias.
fn inputs(table: &Table, excluded: &[&str]) -> DMatrix<f64> {
    let x = table.numbers_except(excluded).expect("numbers");
    let scale = Standardizer::fit(&x).expect("a scale");
    with_bias(scale.transform(&x).expect("inputs"))
}

/// Inputs, targets or labels, outputs and energy.
type Problem = (DMatrix<f64>, DVector<f64>, usize, Box<dyn Energy<f64>>);

fn problem(name: &str) -> Problem {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../data/{name}.csv"));
    let text = read_to_string(file).expect("the data");
    let table = data::read_csv(text.as_bytes()).expect("a table");
    if name == "auto_mpg" {
        let x = inputs(&table, &["mpg", "name"]);
        let y = table.numbers(&["mpg"]).expect("targets");
        let y = Standardizer::fit(&y).and_then(|scale| scale.transform(&y));
        let y = y.expect("targets").row(0).transpose();
        let risk = EmpiricalRisk::new(Square, x.clone(), y.clone()).expect("a risk");
        return (x, y, 1, regularized(1, risk));
    }
    let column = if name == "wdbc" { "benign" } else { "digit" };
    let (x, labels) = (inputs(&table, &[column]), table.labels(column));
    let labels = labels.expect("labels");
    if name == "wdbc" {
        let y = labels.signs().expect("two classes");
        let risk = EmpiricalRisk::new(Logistic, x.clone(), y.clone()).expect("a risk");
        return (x, y, 1, regularized(1, risk));
    }
    let (k, indices) = (labels.classes().len(), labels.indices().to_vec());
    let y = DVector::from_iterator(indices.len(), indices.iter().map(|&l| l as f64));
    let risk = SoftmaxCrossEntropy::new(x.clone(), indices, k).expect("a risk");
    (x, y, k, regularized(k, risk))
}

/// Writes the columns of a matrix as the rows of a CSV file.
fn write_rows(folder: &Path, name: &str, matrix: &DMatrix<f64>) {
    let mut text = String::new();
    for column in matrix.column_iter() {
        let row: Vec<String> = column.iter().map(|x| format!("{x:e}")).collect();
        let _ = writeln!(text, "{}", row.join(","));
    }
    write(folder.join(name), text).expect("a written file");
}

/// CPU seconds of this process, of all threads (Linux; in ticks of a hundredth of a second).
fn cpu_seconds() -> f64 {
    let stat = read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn run(name: &str, folder: &Path, seconds: f64, gamma: f64) {
    let (x, y, k, energy) = problem(name);
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let start = init::balanced_outputs(k, x.nrows(), NEURONS, RADIUS, rng).expect("a start");
    write_rows(folder, &format!("{name}_x.csv"), &x);
    write_rows(
        folder,
        &format!("{name}_y.csv"),
        &DMatrix::from_row_slice(1, y.len(), y.as_slice()),
    );
    write_rows(folder, &format!("{name}_start.csv"), start.points());
    let counts = Rc::new(Cell::new([0; 3]));
    let energy = Counted {
        energy,
        counts: counts.clone(),
    };
    let mut flow = ParticleFlow::new(energy, Jko::default(), gamma).expect("a flow");
    let mut state = flow.start(start).expect("a state");
    let (begin, first) = (cpu_seconds(), state.slope());
    let mut at_times = [f64::NAN; 3];
    let mut time = 0.0;
    let mut error = None;
    while error.is_none() && time < seconds && state.slope() > TOLERANCE * first {
        let (before, counts_before, speed) = (cpu_seconds(), counts.get(), state.slope());
        error = flow.advance(&mut state).err();
        let step = state.step();
        if step <= FIRST_STEPS {
            write_rows(
                folder,
                &format!("{name}_step_{step}.csv"),
                state.measure().points(),
            );
            let [velocities, products, hessians] =
                std::array::from_fn(|kind| counts.get()[kind] - counts_before[kind]);
            println!(
                "| {name} | step {step} of Jko | {velocities} + {products} + {hessians} | {:.2} | {:.1e} |",
                cpu_seconds() - before,
                Jko::residual(&state).expect("a proximal step") / speed,
            );
        }
        time = cpu_seconds() - begin;
        for (value, at) in at_times.iter_mut().zip(TIMES) {
            if value.is_nan() && time >= at {
                *value = state.energy();
            }
        }
    }
    let [velocities, products, hessians] = counts.get();
    println!(
        "| {name} | Jko, gamma = {gamma} | {} steps | {velocities} + {products} + {hessians} | {time:.1} | {:.6} | {:.1e} | {at_times:.6?} |",
        state.step(),
        state.energy(),
        state.slope() / first,
    );
    if let Some(error) = error {
        println!("{name}: {error}");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [folder, seconds, gamma] = &arguments[..] else {
        println!("usage: proximal_data DIR SECONDS GAMMA");
        return;
    };
    let folder = Path::new(folder);
    create_dir_all(folder).expect("a folder");
    let number = |text: &String| text.parse().expect("a number");
    for name in ["auto_mpg", "wdbc", "digits"] {
        run(name, folder, number(seconds), number(gamma));
    }
}
