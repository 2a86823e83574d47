//! The exact minimum of a planar rectifier network with weight decay, as a finite convex program.
//!
//! On each of the arcs between the directions at which some `b.x_j` changes sign the network is
//! linear: with `v_c^+` and `v_c^-` in the cone of arc c, `h_j = sum_c 1[x_j active on c] (v_c^+ -
//! v_c^-).x_j` and the penalty is `2 lambda sum_c |v_c|`.

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettings, DefaultSolver, ExponentialConeT, IPSolver, NonnegativeConeT, SecondOrderConeT,
    SolverStatus, SupportedConeT, ZeroConeT,
};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// `F*` and a measure that attains it, up to the accuracy of the solver.
pub struct Optimum {
    pub value: f64,
    pub measure: EmpiricalMeasure<f64>,
}

/// Rows of constraints `s = b - A z` in cones.
#[derive(Default)]
struct Program {
    entries: Vec<(usize, usize, f64)>,
    b: Vec<f64>,
    cones: Vec<SupportedConeT<f64>>,
}

impl Program {
    /// One more row: `s = constant + sum coefficient z`.
    fn row(&mut self, constant: f64, terms: &[(usize, f64)]) {
        let row = self.b.len();
        self.b.push(constant);
        self.entries
            .extend(terms.iter().map(|&(column, c)| (row, column, -c)));
    }

    fn solve(self, p: &[f64], q: &[f64]) -> (f64, Vec<f64>) {
        let z = q.len();
        let (rows, columns, values) = split(&self.entries);
        let a = CscMatrix::new_from_triplets(self.b.len(), z, rows, columns, values);
        let diagonal: Vec<_> = (0..z).map(|i| (i, i, p[i])).collect();
        let (rows, columns, values) = split(&diagonal);
        let p = CscMatrix::new_from_triplets(z, z, rows, columns, values);
        let settings = DefaultSettings {
            verbose: false,
            tol_gap_abs: 1e-11,
            tol_gap_rel: 1e-11,
            tol_feas: 1e-11,
            ..DefaultSettings::default()
        };
        let mut solver = DefaultSolver::new(&p, q, &a, &self.b, &self.cones, settings).unwrap();
        solver.solve();
        let status = solver.solution.status;
        assert!(
            matches!(status, SolverStatus::Solved | SolverStatus::AlmostSolved),
            "{status:?}"
        );
        (solver.solution.obj_val, solver.solution.x)
    }
}

fn split(entries: &[(usize, usize, f64)]) -> (Vec<usize>, Vec<usize>, Vec<f64>) {
    (
        entries.iter().map(|e| e.0).collect(),
        entries.iter().map(|e| e.1).collect(),
        entries.iter().map(|e| e.2).collect(),
    )
}

/// The arcs of the circle, as pairs of angles: at most a quarter circle each.
fn arcs(x: &DMatrix<f64>) -> Vec<(f64, f64)> {
    use std::f64::consts::{FRAC_PI_2, PI, TAU};
    let mut angles: Vec<f64> = (0..4).map(|q| f64::from(q) * FRAC_PI_2).collect();
    for x in x.column_iter().filter(|x| x.norm() > 0.0) {
        let normal = x[1].atan2(x[0]) + FRAC_PI_2;
        angles.extend([normal.rem_euclid(TAU), (normal + PI).rem_euclid(TAU)]);
    }
    angles.sort_by(f64::total_cmp);
    angles.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
    let ends = angles.iter().skip(1).copied().chain([angles[0] + TAU]);
    angles
        .iter()
        .copied()
        .zip(ends)
        .filter(|(s, e)| e - s > 1e-12)
        .collect()
}

/// Variables `h_1..h_n`, then `(v_0, v_1, t)` for each arc and sign, then those of the loss.
fn network(x: &DMatrix<f64>, program: &mut Program) -> Vec<(f64, usize)> {
    let n = x.ncols();
    let arcs = arcs(x);
    let pieces: Vec<(f64, usize)> = (0..2 * arcs.len())
        .map(|i| (if i % 2 == 0 { 1.0 } else { -1.0 }, n + 3 * i))
        .collect();
    for j in 0..n {
        let mut terms = vec![(j, 1.0)];
        for (i, &(sign, v)) in pieces.iter().enumerate() {
            let (start, end) = arcs[i / 2];
            let middle = 0.5 * (start + end);
            if middle.cos() * x[(0, j)] + middle.sin() * x[(1, j)] > 0.0 {
                terms.extend([(v, -sign * x[(0, j)]), (v + 1, -sign * x[(1, j)])]);
            }
        }
        program.row(0.0, &terms);
    }
    program.cones.push(ZeroConeT(n));
    for (i, &(_, v)) in pieces.iter().enumerate() {
        let (start, end) = arcs[i / 2];
        program.row(0.0, &[(v, -start.sin()), (v + 1, start.cos())]);
        program.row(0.0, &[(v, end.sin()), (v + 1, -end.cos())]);
        program.cones.push(NonnegativeConeT(2));
        for variable in [v + 2, v, v + 1] {
            program.row(0.0, &[(variable, 1.0)]);
        }
        program.cones.push(SecondOrderConeT(3));
    }
    pieces
}

fn optimum(value: f64, z: &[f64], pieces: &[(f64, usize)]) -> Optimum {
    let mut particles = Vec::new();
    for &(sign, v) in pieces {
        let length = z[v].hypot(z[v + 1]);
        if length > 1e-9 {
            let r = length.sqrt();
            particles.extend([sign * r, z[v] / r, z[v + 1] / r]);
        }
    }
    if particles.is_empty() {
        particles.extend([0.0; 3]);
    }
    let m = particles.len() / 3;
    let points = DMatrix::from_vec(3, m, particles);
    Optimum {
        value,
        measure: EmpiricalMeasure::weighted(points, DVector::from_element(m, 1.0)).unwrap(),
    }
}

/// `min (1/2n) |h - y|^2 + 2 lambda |nu|`.
pub fn square(x: &DMatrix<f64>, y: &[f64], lambda: f64) -> Optimum {
    let n = y.len();
    let mut program = Program::default();
    let pieces = network(x, &mut program);
    let z = n + 3 * pieces.len();
    let (mut p, mut q) = (vec![0.0; z], vec![0.0; z]);
    for j in 0..n {
        p[j] = 1.0 / n as f64;
        q[j] = -y[j] / n as f64;
    }
    for &(_, v) in &pieces {
        q[v + 2] = 2.0 * lambda;
    }
    let (value, z) = program.solve(&p, &q);
    let constant: f64 = y.iter().map(|y| y * y).sum::<f64>() / (2.0 * n as f64);
    optimum(value + constant, &z, &pieces)
}

/// `min (1/n) sum_j log(1 + exp(-y_j h_j)) + 2 lambda |nu|`.
///
/// `log(1 + e^{-y h}) <= t` is `e^{-t} + e^{-y h - t} <= 1`: two exponential cones and a sum.
pub fn logistic(x: &DMatrix<f64>, y: &[f64], lambda: f64) -> Optimum {
    let n = y.len();
    let mut program = Program::default();
    let pieces = network(x, &mut program);
    let first = n + 3 * pieces.len();
    let mut q = vec![0.0; first + 3 * n];
    for &(_, v) in &pieces {
        q[v + 2] = 2.0 * lambda;
    }
    for j in 0..n {
        let (t, r, s) = (first + 3 * j, first + 3 * j + 1, first + 3 * j + 2);
        q[t] = 1.0 / n as f64;
        program.row(1.0, &[(r, -1.0), (s, -1.0)]);
        program.cones.push(NonnegativeConeT(1));
        program.row(0.0, &[(t, -1.0)]);
        program.row(1.0, &[]);
        program.row(0.0, &[(r, 1.0)]);
        program.cones.push(ExponentialConeT());
        program.row(0.0, &[(t, -1.0), (j, -y[j])]);
        program.row(1.0, &[]);
        program.row(0.0, &[(s, 1.0)]);
        program.cones.push(ExponentialConeT());
    }
    let (value, z) = program.solve(&vec![0.0; q.len()], &q);
    optimum(value, &z, &pieces)
}

/// `min (1/n) sum_j (1 - y_j h_j)_+ + 2 lambda |nu|`.
pub fn hinge(x: &DMatrix<f64>, y: &[f64], lambda: f64) -> Optimum {
    let n = y.len();
    let mut program = Program::default();
    let pieces = network(x, &mut program);
    let first = n + 3 * pieces.len();
    let mut q = vec![0.0; first + n];
    for &(_, v) in &pieces {
        q[v + 2] = 2.0 * lambda;
    }
    for j in 0..n {
        q[first + j] = 1.0 / n as f64;
        program.row(0.0, &[(first + j, 1.0)]);
        program.row(-1.0, &[(first + j, 1.0), (j, y[j])]);
        program.cones.push(NonnegativeConeT(2));
    }
    let (value, z) = program.solve(&vec![0.0; q.len()], &q);
    optimum(value, &z, &pieces)
}

/// A loss as a convex program.
#[derive(Clone, Copy, Debug)]
pub enum ProgramLoss {
    Square,
    Huber(f64),
    SmoothHinge(f64),
    Hinge,
    Quantile(f64),
}

/// `min_{c >= 0} (1/n) sum_j l(y_j, sum_i phi_ji c_i) + v.c`.
///
/// Every loss is `min |s|^2 / (2 width) + slope_+ p + slope_- q` over `s + p - q = r`, `p, q >= 0`,
/// with a residual r; the square part s is absent for width 0.
pub fn weights(phi: &DMatrix<f64>, y: &[f64], v: &[f64], loss: ProgramLoss) -> f64 {
    let (n, m) = phi.shape();
    let mut program = Program::default();
    let z = m + 3 * n;
    let (mut p, mut q) = (vec![0.0; z], vec![0.0; z]);
    q[..m].copy_from_slice(v);
    let mut bounds: Vec<usize> = (0..m).collect();
    for j in 0..n {
        let (square, plus, minus) = (m + 3 * j, m + 3 * j + 1, m + 3 * j + 2);
        // r = y - h for regression, 1 - y h for classification.
        let (target, sign, width, slopes) = match loss {
            ProgramLoss::Square => (y[j], 1.0, 1.0, [f64::NAN; 2]),
            ProgramLoss::Huber(t) => (y[j], 1.0, 1.0, [t, t]),
            ProgramLoss::SmoothHinge(s) => (1.0, y[j], s, [1.0, 0.0]),
            ProgramLoss::Hinge => (1.0, y[j], 0.0, [1.0, 0.0]),
            ProgramLoss::Quantile(level) => (y[j], 1.0, 0.0, [level, 1.0 - level]),
        };
        let mut terms = vec![];
        if width > 0.0 {
            p[square] = 1.0 / (width * n as f64);
            terms.push((square, -1.0));
        }
        if slopes[0].is_finite() {
            (q[plus], q[minus]) = (slopes[0] / n as f64, slopes[1] / n as f64);
            terms.extend([(plus, -1.0), (minus, 1.0)]);
            bounds.extend([plus, minus]);
        }
        terms.extend((0..m).map(|i| (i, -sign * phi[(j, i)])));
        program.row(target, &terms);
    }
    program.cones.push(ZeroConeT(n));
    for &variable in &bounds {
        program.row(0.0, &[(variable, 1.0)]);
    }
    program.cones.push(NonnegativeConeT(bounds.len()));
    program.solve(&p, &q).0
}
