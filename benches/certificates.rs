//! Certified gaps of trained networks on data of 11 to 53 coordinates.
//!
//! The data are the copies in scikit-learn (`sklearn/datasets/data`), in the folder of the first
//! argument: `breast_cancer.csv`, `wine_data.csv`, and, uncompressed, `diabetes_data_raw.csv`,
//! `diabetes_target.csv` and `digits.csv`. Inputs are standardised, without constant columns, and
//! have a bias coordinate. Networks are trained by `FrankWolfe::Sliding`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::Search;
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

/// Steps of Frank-Wolfe at most.
const STEPS: usize = 40;

/// Samples by rows, and targets.
struct Table {
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

fn numbers(path: &Path) -> Vec<Vec<f64>> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = |line: &str| {
        let fields = line.split([',', ' ']).filter(|field| !field.is_empty());
        fields.map(|field| field.trim().parse().ok()).collect()
    };
    text.lines().filter_map(line).collect()
}

/// The last column is the class; `positive` is the class of label 1, `others` those of label -1.
fn classes(path: &Path, positive: f64, others: &[f64]) -> Table {
    let mut table = Table {
        rows: Vec::new(),
        targets: Vec::new(),
    };
    let rows = numbers(path);
    let d = rows.last().map_or(0, Vec::len);
    for mut row in rows.into_iter().filter(|row| row.len() == d) {
        let class = row.pop().unwrap_or(f64::NAN);
        if class == positive || others.contains(&class) {
            table.rows.push(row);
            table
                .targets
                .push(if class == positive { 1.0 } else { -1.0 });
        }
    }
    table
}

fn standardise(values: &mut [f64]) -> bool {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    values
        .iter_mut()
        .for_each(|x| *x = (*x - mean) / variance.sqrt());
    variance > 0.0
}

impl Table {
    /// Standardised inputs with a bias coordinate, `d x n`.
    fn inputs(&self) -> DMatrix<f64> {
        let mut columns = Vec::new();
        for r in 0..self.rows[0].len() {
            let mut column: Vec<f64> = self.rows.iter().map(|row| row[r]).collect();
            if standardise(&mut column) {
                columns.push(column);
            }
        }
        columns.push(vec![1.0; self.rows.len()]);
        DMatrix::from_fn(columns.len(), self.rows.len(), |r, j| columns[r][j])
    }
}

fn row<L: Loss<f64> + Copy>(name: &str, table: &Table, loss: L, label: &str, lambda: f64) {
    let x = table.inputs();
    let (d, n) = x.shape();
    let y = DVector::from_column_slice(&table.targets);
    let risk = EmpiricalRisk::new(loss, x, y).expect("valid data");
    let map = Ridge::new(Relu, d);
    let decay = WeightDecay::new(lambda).expect("a valid strength");
    let mut energy = MeanFieldRisk::new(map, risk)
        .expect("valid shapes")
        .regularized(decay);
    let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(1 + d, 1)).expect("a valid measure");
    let start = Instant::now();
    let mut search = Search::new();
    let run = FrankWolfe::Sliding.run_with(&mut search, &mut energy, &mut mu, 1e-6, STEPS);
    let training = start.elapsed();
    let reason = run.map(|(reason, _)| reason);
    let start = Instant::now();
    let certificate = Search::new().certify(&mut energy, &mu);
    let cold = start.elapsed();
    let start = Instant::now();
    search.certify(&mut energy, &mu);
    let warm = start.elapsed();
    let (lower, upper) = certificate.maximum_bounds().expect("bounds");
    println!(
        "| {name} | {label} | {lambda:e} | {d}, {n} | {} | {:.5} | {:.4} | {:.4} | {:.4} | {:.2} | {:.2} | {:.1} | {reason:?}",
        mu.len(),
        certificate.energy(),
        lower / (2.0 * lambda),
        upper / lower,
        certificate.gap() / certificate.energy(),
        cold.as_secs_f64(),
        warm.as_secs_f64(),
        training.as_secs_f64(),
    );
}

/// The bounds of `max |g|` for rows `(u_j, x_j)`: u is the gradient at the zero network for the
/// targets `-n u`.
fn form(path: &str) {
    let rows = numbers(Path::new(path));
    let (n, d) = (rows.len(), rows[0].len() - 1);
    let x = DMatrix::from_fn(d, n, |r, j| rows[j][r + 1]);
    let y = DVector::from_fn(n, |j, _| -(n as f64) * rows[j][0]);
    let risk = EmpiricalRisk::new(Square, x, y).expect("valid data");
    let decay = WeightDecay::new(1e-3).expect("a valid strength");
    let map = Ridge::new(Relu, d);
    let mut energy = MeanFieldRisk::new(map, risk)
        .expect("valid shapes")
        .regularized(decay);
    let zero = EmpiricalMeasure::uniform(DMatrix::zeros(1 + d, 1)).expect("a valid measure");
    let start = Instant::now();
    let certificate = Search::new().certify(&mut energy, &zero);
    println!(
        "{path}: {:?}, {:.3} s",
        certificate.maximum_bounds(),
        start.elapsed().as_secs_f64()
    );
}

fn main() {
    let folder = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let Some(folder) = folder else {
        println!("usage: cargo bench --bench certificates -- FOLDER");
        return;
    };
    if Path::new(&folder).is_file() {
        return form(&folder);
    }
    let only = std::env::args().nth(2).unwrap_or_default();
    let file = |name: &str| Path::new(&folder).join(name);
    let digits = |positive: f64, other: f64| classes(&file("digits.csv"), positive, &[other]);
    let wine = classes(&file("wine_data.csv"), 0.0, &[1.0, 2.0]);
    let cancer = classes(&file("breast_cancer.csv"), 1.0, &[0.0]);
    let mut diabetes = Table {
        rows: numbers(&file("diabetes_data_raw.csv")),
        targets: numbers(&file("diabetes_target.csv")).concat(),
    };
    standardise(&mut diabetes.targets);
    println!(
        "| data | loss | lambda | d, n | m | F | lower / 2 lambda | upper / lower | gap / F | s | s, warm | s, training |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let [zero_six, zero_one] = [digits(0.0, 6.0), digits(0.0, 1.0)];
    let run = |name: &str, table: &Table, loss: &str, lambda: f64| {
        if !format!("{name} {loss} {lambda:e}").contains(&only) {
            return;
        }
        match loss {
            "logistic" => row(name, table, Logistic, loss, lambda),
            _ => row(name, table, Square, loss, lambda),
        }
    };
    run("digits 0, 6", &zero_six, "logistic", 1e-2);
    run("digits 0, 6", &zero_six, "logistic", 1e-3);
    run("cancer", &cancer, "logistic", 1e-1);
    run("digits 0, 1", &zero_one, "square", 1e-1);
    run("wine", &wine, "logistic", 1e-2);
    run("wine", &wine, "logistic", 1e-3);
    run("cancer", &cancer, "logistic", 1e-2);
    run("cancer", &cancer, "logistic", 1e-3);
    run("diabetes", &diabetes, "square", 1e-1);
    run("cancer", &cancer, "square", 1e-2);
    run("wine", &wine, "square", 1e-2);
    run("diabetes", &diabetes, "square", 1e-2);
}
