//! Two measures as a transportation problem in the solver's units: integer masses, coordinates at
//! most 2 in magnitude.

use super::TransportError;
use super::cloud::Cloud;
use super::cost::{power, squared_distance};
use super::cost_matrix::CostMatrix;
use super::plan::Solution;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real, to_f64};

/// Number of quanta in the total mass if the weights of a measure differ. It is the largest power
/// of two in an `i64`, so that sums of masses do not overflow.
const QUANTA: i64 = 1 << 62;

/// A transportation problem. Rows are the atoms of mu and columns those of nu, without the atoms of
/// weight zero.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) x: Cloud,
    pub(super) y: Cloud,
    /// The atom of mu of each row.
    pub(super) rows: Vec<usize>,
    /// The atom of nu of each column.
    pub(super) columns: Vec<usize>,
    /// The exponent p.
    pub(super) p: f64,
    /// The quantum of mass, in the unit of the measures.
    pub(super) quantum: f64,
    /// The unit of length, in that of the measures: a power of two, so that scaling is exact.
    pub(super) scale: f64,
    /// The point subtracted from the atoms of mu, and of nu. For p = 2 it is the mean of that
    /// measure, since squared distances between centred measures differ from the others by a
    /// function of x plus one of y.
    centre: [Vec<f64>; 2],
}

/// An approximate solution from which a problem is solved.
#[derive(Debug)]
pub(super) struct WarmStart {
    /// The column of each row, if each row has exactly one.
    pub(super) columns: Option<Vec<usize>>,
    /// Potentials of the rows.
    pub(super) u: Vec<f64>,
    /// Potentials of the columns.
    pub(super) v: Vec<f64>,
}

impl Problem {
    /// The transport of `mu` to `nu` at the cost `|x - y|^p`.
    pub(super) fn new<T: Real>(
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        p: f64,
    ) -> Result<Self, TransportError> {
        if mu.dim() != nu.dim() {
            return Err(TransportError::Dimension {
                mu: mu.dim(),
                nu: nu.dim(),
            });
        }
        mu.check()?;
        nu.check()?;
        let (a, b) = (weights(mu), weights(nu));
        let (mass, other): (f64, f64) = (a.iter().sum(), b.iter().sum());
        let tolerance = to_f64(epsilon::<T>()) * (mu.len() + nu.len()) as f64 * mass.max(other);
        if !(mass > 0.0 && other > 0.0 && (mass - other).abs() <= tolerance) || mass.is_infinite() {
            return Err(TransportError::Mass {
                mu: mass,
                nu: other,
            });
        }
        let masses = IntegerMasses::new(&a, &b);
        let mut centre = [
            mean(mu, &masses.a, masses.total),
            mean(nu, &masses.b, masses.total),
        ];
        if p != 2.0 {
            let means = centre[0].iter().zip(&centre[1]);
            let middle: Vec<f64> = means.map(|(x, y)| 0.5 * x + 0.5 * y).collect();
            centre = [middle.clone(), middle];
        }
        // The matrix method has no use for the order of a k-d tree.
        let by_cells = !CostMatrix::is_supported(mu.dim(), mu.len(), nu.len());
        let (mut x, rows) = Cloud::new(mu, &masses.a, &centre[0], by_cells);
        let (mut y, columns) = Cloud::new(nu, &masses.b, &centre[1], by_cells);
        let coordinates = x.points.iter().chain(&y.points);
        let size = coordinates.fold(0.0_f64, |size, z| size.max(z.abs()));
        let scale = if size > 0.0 {
            2.0_f64.powi(size.log2().floor() as i32)
        } else {
            1.0
        };
        let inverse = scale.recip();
        for z in x.points.iter_mut().chain(&mut y.points) {
            *z *= inverse;
        }
        Ok(Self {
            x,
            y,
            rows,
            columns,
            p,
            quantum: masses.quantum,
            scale,
            centre,
        })
    }

    /// The dimension d of the points.
    pub(super) fn dim(&self) -> usize {
        self.x.dim
    }

    /// Whether this is an assignment problem: all masses are one quantum.
    pub(super) fn is_assignment(&self) -> bool {
        let mut masses = self.x.mass.iter().chain(&self.y.mass);
        masses.all(|&mass| mass == 1)
    }

    /// The difference of the two centres, in the solver's units.
    fn shift(&self) -> Vec<f64> {
        let centres = self.centre[0].iter().zip(&self.centre[1]);
        centres.map(|(a, b)| (a - b) / self.scale).collect()
    }

    /// An approximate solution from a plan and potentials of the measures' atoms: the inverse of
    /// [`potentials`](Self::potentials).
    pub(super) fn warm_start<T: Real>(
        &self,
        plan: &[(usize, usize, T)],
        (phi, psi): (&[T], &[T]),
    ) -> WarmStart {
        let (shift, unit) = (self.shift(), self.scale.powf(self.p));
        let rows = self.rows.iter().enumerate();
        let u = rows.map(|(r, &i)| {
            to_f64(phi[i]) / unit - 2.0 * dot(&shift, self.x.point(r)) - dot(&shift, &shift)
        });
        let columns = self.columns.iter().enumerate();
        let v = columns.map(|(s, &j)| to_f64(psi[j]) / unit + 2.0 * dot(&shift, self.y.point(s)));
        WarmStart {
            columns: self.column_of_each_row(plan),
            u: u.collect(),
            v: v.collect(),
        }
    }

    /// The column of each row in a plan of the measures' atoms, if each row has exactly one.
    fn column_of_each_row<T: Real>(&self, plan: &[(usize, usize, T)]) -> Option<Vec<usize>> {
        let mut column_of_atom = vec![None; self.columns.iter().max()? + 1];
        for (s, &j) in self.columns.iter().enumerate() {
            column_of_atom[j] = Some(s);
        }
        let atoms = self.rows.iter().chain(plan.iter().map(|(i, ..)| i));
        let mut column = vec![None; atoms.max()? + 1];
        for &(i, j, _) in plan {
            let s = column_of_atom.get(j).copied().flatten()?;
            if column[i].replace(s).is_some() {
                return None;
            }
        }
        self.rows.iter().map(|&i| column[i]).collect()
    }

    /// The potentials of all atoms of the measures from those of rows and columns.
    ///
    /// An atom of weight zero has the largest feasible potential.
    pub(super) fn potentials<T: Real>(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        solution: &Solution,
    ) -> (Vec<T>, Vec<T>) {
        let (x, y) = (self.to_units(mu, 0), self.to_units(nu, 1));
        let (mut phi, mut psi) = (vec![f64::NAN; mu.len()], vec![f64::NAN; nu.len()]);
        for (&i, &u) in self.rows.iter().zip(&solution.u) {
            phi[i] = u;
        }
        for (&j, &v) in self.columns.iter().zip(&solution.v) {
            psi[j] = v;
        }
        transform_missing(self.dim(), self.p, &x, &mut phi, &y, &psi);
        transform_missing(self.dim(), self.p, &y, &mut psi, &x, &phi);
        // |x - y|^2 = |x' - y'|^2 + 2 <x' - y', shift> + |shift|^2, where x' and y' are centred.
        let shift = self.shift();
        let unit = self.scale.powf(self.p);
        for (phi, x) in phi.iter_mut().zip(x.chunks_exact(self.dim())) {
            *phi = (*phi + 2.0 * dot(&shift, x) + dot(&shift, &shift)) * unit;
        }
        for (psi, y) in psi.iter_mut().zip(y.chunks_exact(self.dim())) {
            *psi = (*psi - 2.0 * dot(&shift, y)) * unit;
        }
        (
            phi.into_iter().map(real).collect(),
            psi.into_iter().map(real).collect(),
        )
    }

    /// All atoms of a measure in the solver's units; `side` is 0 for mu and 1 for nu.
    fn to_units<T: Real>(&self, mu: &EmpiricalMeasure<T>, side: usize) -> Vec<f64> {
        let (centre, inverse) = (&self.centre[side], self.scale.recip());
        let atoms = mu.points().as_slice().chunks_exact(self.dim());
        let coordinates = atoms.flat_map(|w| w.iter().zip(centre));
        coordinates
            .map(|(&w, centre)| (to_f64(w) - centre) * inverse)
            .collect()
    }
}

/// Replaces the `u_i` that are NaN by the c-transform `min_j c_ij - v_j` over the `v_j` that are
/// not.
fn transform_missing(dim: usize, p: f64, x: &[f64], u: &mut [f64], y: &[f64], v: &[f64]) {
    let rows = u.iter_mut().zip(x.chunks_exact(dim));
    for (u, x) in rows.filter(|(u, _)| u.is_nan()) {
        let columns = y.chunks_exact(dim).zip(v);
        let reduced = columns.map(|(y, v)| power(squared_distance(x, y), p) - v);
        *u = reduced.fold(f64::INFINITY, f64::min);
    }
}

fn weights<T: Real>(mu: &EmpiricalMeasure<T>) -> Vec<f64> {
    mu.weights().iter().map(|&c| to_f64(c)).collect()
}

/// The weights of two measures as multiples of one quantum of mass.
#[derive(Debug)]
struct IntegerMasses {
    a: Vec<i64>,
    b: Vec<i64>,
    /// The sum of each side.
    total: i64,
    /// The quantum, in the unit of the weights `a`.
    quantum: f64,
}

impl IntegerMasses {
    /// Exact if the positive weights of each side are equal; otherwise rounded to 2^-62 of the
    /// total mass.
    fn new(a: &[f64], b: &[f64]) -> Self {
        if let (Some((n, weight)), Some((m, _))) = (equal_weights(a), equal_weights(b)) {
            let total = n / gcd(n, m) * m;
            let divide = |c: &[f64], atoms: i64| {
                let mass = |&c: &f64| if c > 0.0 { total / atoms } else { 0 };
                c.iter().map(mass).collect()
            };
            return Self {
                a: divide(a, n),
                b: divide(b, m),
                total,
                quantum: weight / (total / n) as f64,
            };
        }
        Self {
            a: Self::round(a),
            b: Self::round(b),
            total: QUANTA,
            quantum: a.iter().sum::<f64>() / QUANTA as f64,
        }
    }

    /// The weights rounded down to quanta; the heaviest atom, whose relative change is least,
    /// receives the remainder.
    fn round(c: &[f64]) -> Vec<i64> {
        let mass: f64 = c.iter().sum();
        let quanta = |&c: &f64| (c / mass * QUANTA as f64) as i64;
        let mut masses: Vec<i64> = c.iter().map(quanta).collect();
        let remainder = QUANTA - masses.iter().sum::<i64>();
        if let Some(heaviest) = masses.iter_mut().max() {
            *heaviest += remainder;
        }
        masses
    }
}

/// The number of positive weights and their common value, if they are equal.
fn equal_weights(c: &[f64]) -> Option<(i64, f64)> {
    let mut positive = c.iter().copied().filter(|&c| c > 0.0);
    let first = positive.next()?;
    let others = positive.clone().count() as i64;
    positive.all(|c| c == first).then_some((1 + others, first))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The mean of a measure whose atoms have the integer masses `mass`, of sum `total`.
fn mean<T: Real>(mu: &EmpiricalMeasure<T>, mass: &[i64], total: i64) -> Vec<f64> {
    let mut mean = vec![0.0; mu.dim()];
    for (i, &c) in mass.iter().enumerate() {
        let share = c as f64 / total as f64;
        for (mean, &w) in mean.iter_mut().zip(mu.particle(i)) {
            *mean += share * to_f64(w);
        }
    }
    mean
}
