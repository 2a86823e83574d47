//! Two measures in the solver's units: integer masses, atoms near each other side by side, coordinates of size 1.

use super::TransportError;
use super::auction::Cloud;
use super::cost::{power, squared_distance};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

/// Units that the total mass is divided into when the weights are not all equal.
const UNITS: i64 = 1 << 62;

/// `mu` and `nu`, ready to be coupled. Atom k of a side is atom `index[k]` of its measure; atoms without mass are absent.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) x: Cloud,
    pub(super) y: Cloud,
    pub(super) rows: Vec<usize>,
    pub(super) columns: Vec<usize>,
    /// The exponent p.
    pub(super) p: f64,
    /// A unit of mass in that of the measures.
    pub(super) unit: f64,
    /// A unit of length in that of the measures: a power of two, so that scaling is exact.
    pub(super) scale: f64,
    /// What was subtracted from the points of each side, for p = 2 the mean of that side (squared distances between
    /// centred measures differ from the others by a sum of functions of x and of y).
    pub(super) centre: [Vec<f64>; 2],
}

impl Problem {
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
        let (a, b, units, unit) = units(&a, mass, &b, other);
        let mut centre = [mean(mu, &a, units), mean(nu, &b, units)];
        if p != 2.0 {
            let middle: Vec<f64> = centre[0]
                .iter()
                .zip(&centre[1])
                .map(|(x, y)| 0.5 * x + 0.5 * y)
                .collect();
            centre = [middle.clone(), middle];
        }
        let by_cells = !super::dense::is_supported(mu.dim(), mu.len(), nu.len());
        let (mut x, rows) = cloud(mu, a, &centre[0], by_cells);
        let (mut y, columns) = cloud(nu, b, &centre[1], by_cells);
        let size = x
            .points
            .iter()
            .chain(&y.points)
            .fold(0.0_f64, |size, z| size.max(z.abs()));
        let scale = if size > 0.0 {
            2.0_f64.powi(size.log2().floor() as i32)
        } else {
            1.0
        };
        let inverse = scale.recip();
        x.points.iter_mut().for_each(|z| *z *= inverse);
        y.points.iter_mut().for_each(|z| *z *= inverse);
        Ok(Self {
            x,
            y,
            rows,
            columns,
            p,
            unit,
            scale,
            centre,
        })
    }

    /// `d`.
    pub(super) fn dim(&self) -> usize {
        self.x.dim
    }

    /// Whether all masses are equal, one to one.
    pub(super) fn is_assignment(&self) -> bool {
        self.x
            .mass
            .iter()
            .chain(&self.y.mass)
            .all(|&mass| mass == 1)
    }

    /// The point of row `r`.
    pub(super) fn row(&self, r: usize) -> &[f64] {
        &self.x.points[r * self.dim()..][..self.dim()]
    }

    /// The point of column `s`.
    pub(super) fn column(&self, s: usize) -> &[f64] {
        &self.y.points[s * self.dim()..][..self.dim()]
    }

    fn shift(&self) -> Vec<f64> {
        self.centre[0]
            .iter()
            .zip(&self.centre[1])
            .map(|(a, b)| (a - b) / self.scale)
            .collect()
    }

    /// Potentials of mu and nu as prices `(u, v)` of rows and columns: the inverse of [`potentials`](Self::potentials).
    pub(super) fn prices<T: Real>(&self, (phi, psi): (&[T], &[T])) -> (Vec<f64>, Vec<f64>) {
        let (shift, unit) = (self.shift(), self.scale.powf(self.p));
        let rows = self.rows.iter().enumerate();
        let u = rows.map(|(r, &i)| {
            to_f64(phi[i]) / unit - 2.0 * dot(&shift, self.row(r)) - dot(&shift, &shift)
        });
        let columns = self.columns.iter().enumerate();
        let v = columns.map(|(s, &j)| to_f64(psi[j]) / unit + 2.0 * dot(&shift, self.column(s)));
        (u.collect(), v.collect())
    }

    /// The column of each row in a plan, if the plan sends no row to more than one.
    pub(super) fn assignment<T: Real>(&self, plan: &[(usize, usize, T)]) -> Option<Vec<usize>> {
        let mut of_atom = vec![None; self.columns.iter().max()? + 1];
        for (s, &j) in self.columns.iter().enumerate() {
            of_atom[j] = Some(s);
        }
        let mut column =
            vec![None; self.rows.iter().chain(plan.iter().map(|(i, ..)| i)).max()? + 1];
        for &(i, j, _) in plan {
            if column[i]
                .replace(of_atom.get(j).copied().flatten()?)
                .is_some()
            {
                return None;
            }
        }
        self.rows.iter().map(|&i| column[i]).collect()
    }

    /// The potentials of all atoms of the measures, from prices in the solver's units; atoms without mass get the
    /// largest that is feasible.
    pub(super) fn potentials<T: Real>(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        u: &[f64],
        v: &[f64],
    ) -> (Vec<T>, Vec<T>) {
        let all = |mu: &EmpiricalMeasure<T>, side: usize| -> Vec<f64> {
            let (centre, inverse) = (&self.centre[side], self.scale.recip());
            let points = mu.points().as_slice().chunks_exact(self.dim());
            points
                .flat_map(|w| {
                    w.iter()
                        .zip(centre)
                        .map(|(&w, centre)| (to_f64(w) - centre) * inverse)
                })
                .collect()
        };
        let (x, y) = (all(mu, 0), all(nu, 1));
        let (mut phi, mut psi) = (vec![f64::NAN; mu.len()], vec![f64::NAN; nu.len()]);
        for (&i, &u) in self.rows.iter().zip(u) {
            phi[i] = u;
        }
        for (&j, &v) in self.columns.iter().zip(v) {
            psi[j] = v;
        }
        transform_missing(self.dim(), self.p, &x, &mut phi, &y, &psi);
        transform_missing(self.dim(), self.p, &y, &mut psi, &x, &phi);
        // |x - y|^2 = |x' - y'|^2 + 2 <x' - y', shift> + |shift|^2 for x = centre + x', y = centre + y'
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
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `u_i = min_j c_ij - v_j` where `u_i` is missing (NaN), over the `v_j` that are not.
fn transform_missing(dim: usize, p: f64, x: &[f64], u: &mut [f64], y: &[f64], v: &[f64]) {
    for (u, x) in u
        .iter_mut()
        .zip(x.chunks_exact(dim))
        .filter(|(u, _)| u.is_nan())
    {
        let reduced = y
            .chunks_exact(dim)
            .zip(v)
            .map(|(y, v)| power(squared_distance(x, y), p) - v);
        *u = reduced.fold(f64::INFINITY, f64::min);
    }
}

fn weights<T: Real>(mu: &EmpiricalMeasure<T>) -> Vec<f64> {
    mu.weights().iter().map(|&c| to_f64(c)).collect()
}

/// Both sides in the same whole number of units, that number, and the unit of mu. Exact when the positive weights of
/// each side are equal.
fn units(a: &[f64], mass: f64, b: &[f64], other: f64) -> (Vec<i64>, Vec<i64>, i64, f64) {
    if let (Some((n, weight)), Some((m, _))) = (equal(a), equal(b)) {
        let lcm = n / gcd(n, m) * m;
        let share = |c: &[f64], atoms: i64| {
            c.iter()
                .map(|&c| if c > 0.0 { lcm / atoms } else { 0 })
                .collect()
        };
        return (share(a, n), share(b, m), lcm, weight / (lcm / n) as f64);
    }
    let round = |c: &[f64], mass: f64| {
        let mut units: Vec<i64> = c
            .iter()
            .map(|&c| (c / mass * UNITS as f64) as i64)
            .collect();
        // what rounding left over goes to the heaviest atom, of which it is a tiny part
        let missing = UNITS - units.iter().sum::<i64>();
        if let Some(heaviest) = units.iter_mut().max() {
            *heaviest += missing;
        }
        units
    };
    (round(a, mass), round(b, other), UNITS, mass / UNITS as f64)
}

/// How many positive weights there are, and which, if they are all equal.
fn equal(c: &[f64]) -> Option<(i64, f64)> {
    let mut positive = c.iter().copied().filter(|&c| c > 0.0);
    let first = positive.next()?;
    let others = positive.clone().count() as i64;
    positive.all(|c| c == first).then_some((1 + others, first))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn mean<T: Real>(mu: &EmpiricalMeasure<T>, mass: &[i64], units: i64) -> Vec<f64> {
    let mut mean = vec![0.0; mu.dim()];
    for (i, &c) in mass.iter().enumerate() {
        let share = c as f64 / units as f64;
        for (mean, &w) in mean.iter_mut().zip(mu.particle(i)) {
            *mean += share * to_f64(w);
        }
    }
    mean
}

/// The atoms with mass, neighbours side by side, and which atoms they are.
fn cloud<T: Real>(
    mu: &EmpiricalMeasure<T>,
    mass: Vec<i64>,
    centre: &[f64],
    by_cells: bool,
) -> (Cloud, Vec<usize>) {
    let mut index: Vec<usize> = (0..mu.len()).filter(|&i| mass[i] > 0).collect();
    if by_cells {
        sort_by_cells(&mut index, &|i| mu.particle(i));
    }
    let mut points = Vec::with_capacity(index.len() * mu.dim());
    for &i in &index {
        points.extend(
            mu.particle(i)
                .iter()
                .zip(centre)
                .map(|(&w, centre)| to_f64(w) - centre),
        );
    }
    let mass = index.iter().map(|&i| mass[i]).collect();
    (
        Cloud {
            dim: mu.dim(),
            points,
            mass,
        },
        index,
    )
}

/// Orders points by the cells of a k-d tree: across the widest side, near the median, at a power of two, so that groups
/// of 4, 16, .. in a row are cells.
fn sort_by_cells<'a, T: Real>(index: &mut [usize], point: &impl Fn(usize) -> &'a [T]) {
    if index.len() < 2 {
        return;
    }
    let axis = widest(index, point);
    let half = 1 << (2 * index.len() / 3).ilog2();
    index.select_nth_unstable_by(half, |&i, &j| {
        let (x, y) = (point(i)[axis], point(j)[axis]);
        x.partial_cmp(&y)
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(i.cmp(&j))
    });
    let (left, right) = index.split_at_mut(half);
    sort_by_cells(left, point);
    sort_by_cells(right, point);
}

fn widest<'a, T: Real>(index: &[usize], point: &impl Fn(usize) -> &'a [T]) -> usize {
    let (mut low, mut high) = (point(index[0]).to_vec(), point(index[0]).to_vec());
    for &i in &index[1..] {
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(point(i)) {
            if x < *low {
                *low = x;
            }
            if x > *high {
                *high = x;
            }
        }
    }
    let mut axis = 0;
    for k in 1..low.len() {
        if high[k] - low[k] > high[axis] - low[axis] {
            axis = k;
        }
    }
    axis
}
