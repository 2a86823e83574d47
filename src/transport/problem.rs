//! Two measures as a transportation problem in the solver's units: integer masses, and coordinates
//! whose differences are about 1.

use super::TransportError;
use super::cloud::{Cloud, sort_by_cells};
use super::cost::{Cost, square_of_diameter};
use super::cost_matrix::CostMatrix;
use super::grid::{exponent, scaled};
use super::masses::{IntegerMasses, Mass};
use super::power::Power;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::norm;
use crate::real::{Real, epsilon, to_f64};

/// Scaled coordinates are at most this power of two, so that their differences are finite.
const MAX_EXPONENT: i32 = 1020;
/// A cost of the optimal plan below this power of two may suffer from underflow.
const UNDERFLOW: f64 = -300.0;

/// A transportation problem. Rows are the atoms of mu and columns those of nu, without the atoms of
/// mass zero.
///
/// Coordinates are multiplied by a power of two, which is exact, and not translated: differences of
/// translated coordinates would have errors relative to the whole cloud. The exception are clouds
/// that are far from each other, for p = 2. Squared distances between centred clouds differ from
/// the others by a function of x plus one of y, and are then more accurate.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) x: Cloud,
    pub(super) y: Cloud,
    /// The atom of mu of each row.
    pub(super) rows: Vec<usize>,
    /// The atom of nu of each column.
    pub(super) columns: Vec<usize>,
    pub(super) power: Power,
    /// The quantum of mass, in the unit of the measures.
    pub(super) quantum: f64,
    /// The total mass in quanta.
    pub(super) total: Mass,
    /// The given weights of mu, and of nu.
    pub(super) weights: [Vec<f64>; 2],
    /// Whether weights that are not exactly equal are considered equal.
    pub(super) is_equalised: bool,
    /// The unit of length is `2^scale`.
    pub(super) scale: i32,
    /// The coordinates of all atoms of mu, and of nu, in the unit of the measures.
    atoms: [Vec<f64>; 2],
    /// The points subtracted from the atoms of mu, and of nu.
    centre: [Vec<f64>; 2],
}

/// An approximate solution from which a problem is solved.
#[derive(Debug)]
pub(super) struct WarmStart {
    /// Row and column of the entries of a plan.
    pub(super) arcs: Vec<(usize, usize)>,
    /// Potentials of the rows.
    pub(super) u: Vec<f64>,
    /// Potentials of the columns.
    pub(super) v: Vec<f64>,
}

impl Problem {
    /// The transport of `mu` to `nu` at the cost `|x - y|^p`. Weights that differ by at most
    /// `equal` roundings are considered equal.
    pub(super) fn new<T: Real>(
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        p: f64,
        equal: f64,
    ) -> Result<Self, TransportError> {
        if mu.dim() != nu.dim() {
            return Err(TransportError::Dimension {
                mu: mu.dim(),
                nu: nu.dim(),
            });
        }
        mu.check()?;
        nu.check()?;
        let numbers = |values: &[T]| values.iter().map(|&z| to_f64(z)).collect::<Vec<f64>>();
        let (a, b) = (numbers(mu.weights()), numbers(nu.weights()));
        let (mass, other): (f64, f64) = (a.iter().sum(), b.iter().sum());
        let rounding = to_f64(epsilon::<T>());
        let tolerance = rounding * (mu.len() + nu.len()) as f64 * mass.max(other);
        let balanced = mass > 0.0 && other > 0.0 && (mass - other).abs() <= tolerance;
        if !balanced || mass.max(other).is_infinite() {
            return Err(TransportError::Mass {
                mu: mass,
                nu: other,
            });
        }
        let masses = IntegerMasses::new(&a, &b, equal * rounding);
        let atoms = [
            numbers(mu.points().as_slice()),
            numbers(nu.points().as_slice()),
        ];
        let positive = |c: &[f64]| (0..c.len()).filter(|&i| c[i] > 0.0).collect::<Vec<usize>>();
        let boxes = [
            Extent::new(mu.dim(), &atoms[0], &positive(&a)),
            Extent::new(mu.dim(), &atoms[1], &positive(&b)),
        ];
        let (centre, scale) = units(&boxes, p);
        let mut problem = Self {
            x: Cloud::empty(mu.dim()),
            y: Cloud::empty(mu.dim()),
            rows: (0..mu.len()).filter(|&i| masses.a[i] > 0).collect(),
            columns: (0..nu.len()).filter(|&j| masses.b[j] > 0).collect(),
            power: Power::new(p, 1.0),
            quantum: masses.quantum,
            total: masses.total,
            weights: [a, b],
            is_equalised: masses.is_equalised,
            scale,
            atoms,
            centre,
        };
        problem.fill(&masses);
        let diameter = square_of_diameter(mu.dim(), &problem.x.points, &problem.y.points).sqrt();
        problem.power = Power::new(p, diameter);
        Ok(problem)
    }

    /// Sorts the atoms of positive mass, and computes their coordinates in the solver's units.
    fn fill(&mut self, masses: &IntegerMasses) {
        let (x, y) = (&self.atoms[0], &self.atoms[1]);
        let dim = self.dim();
        // The matrix method has no use for the order of a k-d tree.
        let is_assignment = self.rows.iter().all(|&i| masses.a[i] == 1)
            && self.columns.iter().all(|&j| masses.b[j] == 1);
        let (n, m) = (self.rows.len(), self.columns.len());
        if !(is_assignment && CostMatrix::is_supported(dim, n, m)) {
            sort_by_cells(&mut self.rows, &|i| &x[i * dim..][..dim]);
            sort_by_cells(&mut self.columns, &|j| &y[j * dim..][..dim]);
        }
        self.x.mass = self.rows.iter().map(|&i| masses.a[i]).collect();
        self.y.mass = self.columns.iter().map(|&j| masses.b[j]).collect();
        self.set_points();
    }

    fn set_points(&mut self) {
        let points = |side: usize, atoms: &[usize]| {
            let points = atoms.iter().flat_map(|&i| self.coordinates(side, i));
            points.collect()
        };
        let (x, y) = (points(0, &self.rows), points(1, &self.columns));
        (self.x.points, self.y.points) = (x, y);
    }

    /// The numbers of atoms of mu and nu, including those of mass zero.
    pub(super) fn atoms(&self) -> [usize; 2] {
        [0, 1].map(|side| self.atoms[side].len() / self.dim())
    }

    /// The dimension d of the points.
    pub(super) fn dim(&self) -> usize {
        self.x.dim
    }

    /// The ground cost.
    pub(super) fn cost(&self) -> Cost<'_> {
        Cost::new(self.dim(), &self.x.points, &self.y.points, self.power)
    }

    /// Whether this is an assignment problem: all masses are one quantum.
    pub(super) fn is_assignment(&self) -> bool {
        let mut masses = self.x.mass.iter().chain(&self.y.mass);
        masses.all(|&mass| mass == 1)
    }

    /// Reduces the unit of length to the longest distance of the plan of `arcs`, if the costs of
    /// such a plan may underflow. Returns true if so.
    pub(super) fn refine(&mut self, arcs: impl Iterator<Item = (usize, usize)>) -> bool {
        if self.is_centred() {
            return false;
        }
        let longest = self.longest(arcs);
        let cost = self.power.cost(longest * longest);
        let underflows = cost.log2() < UNDERFLOW || longest.log2() < UNDERFLOW;
        if longest > 0.0 && underflows {
            self.set_unit(longest);
        }
        longest > 0.0 && underflows
    }

    /// Sets the unit of length to about the longest distance of the plan of `arcs`. Longer ones may
    /// have costs that are capped.
    pub(super) fn fit(&mut self, arcs: impl Iterator<Item = (usize, usize)>) {
        let longest = self.longest(arcs);
        if longest > 0.0 && !self.is_centred() {
            self.set_unit(longest);
        }
    }

    /// Whether the clouds are centred. The distance of the centres then exceeds all others, so that
    /// costs that underflow in the unit of the clouds are negligible.
    fn is_centred(&self) -> bool {
        self.centre.iter().flatten().any(|z| *z != 0.0)
    }

    fn longest(&self, arcs: impl Iterator<Item = (usize, usize)>) -> f64 {
        let mut longest = 0.0_f64;
        let mut difference = vec![0.0; self.dim()];
        for (i, j) in arcs {
            let points = self.x.point(i).iter().zip(self.y.point(j));
            for (z, (x, y)) in difference.iter_mut().zip(points) {
                *z = x - y;
            }
            longest = longest.max(norm(&difference));
        }
        longest
    }

    fn set_unit(&mut self, length: f64) {
        let e = exponent(length);
        self.scale += e;
        self.set_points();
        self.power = Power::new(self.power.p, scaled(length, -e));
    }

    /// The difference of the two centres, in the solver's units.
    pub(super) fn shift(&self) -> Vec<f64> {
        let centres = self.centre[0].iter().zip(&self.centre[1]);
        let difference = |(a, b): (&f64, &f64)| scaled(*a, -self.scale) - scaled(*b, -self.scale);
        centres.map(difference).collect()
    }

    /// Rows and columns of the entries of a plan between the measures' atoms, if all of them have
    /// positive mass.
    pub(super) fn arcs<T: Real>(&self, plan: &[(usize, usize, T)]) -> Vec<(usize, usize)> {
        let (row, column) = (inverse(&self.rows), inverse(&self.columns));
        let entries = plan.iter().filter_map(|&(i, j, _)| {
            let (i, j) = (row.get(i)?.as_ref()?, column.get(j)?.as_ref()?);
            Some((*i, *j))
        });
        entries.collect()
    }

    /// The coordinates of atom `i` of mu (`side` 0) or nu (1) in the solver's units.
    pub(super) fn coordinates(&self, side: usize, i: usize) -> impl Iterator<Item = f64> + '_ {
        let largest = scaled(1.0, MAX_EXPONENT);
        let atom = &self.atoms[side][i * self.dim()..][..self.dim()];
        atom.iter().zip(&self.centre[side]).map(move |(z, centre)| {
            let z = scaled(*z, -self.scale) - scaled(*centre, -self.scale);
            z.clamp(-largest, largest)
        })
    }

    /// The differences of the coordinates of atom `i` of mu and atom `j` of nu, in the unit `2^e`
    /// of length.
    pub(super) fn differences(&self, i: usize, j: usize, e: i32) -> impl Iterator<Item = f64> + '_ {
        let d = self.dim();
        let (x, y) = (&self.atoms[0][i * d..][..d], &self.atoms[1][j * d..][..d]);
        x.iter().zip(y).map(move |(x, y)| {
            let z = x - y;
            if z.is_finite() {
                scaled(z, -e)
            } else {
                scaled(0.5 * x - 0.5 * y, 1 - e)
            }
        })
    }

    /// The exponent of the largest of the [`differences`](Self::differences) of the given pairs of
    /// atoms; `None` if all are 0.
    pub(super) fn exponent_of_differences(
        &self,
        atoms: impl Iterator<Item = (usize, usize)>,
    ) -> Option<i32> {
        let differences = atoms.flat_map(|(i, j)| self.differences(i, j, 0));
        let largest = differences.fold(0.0, |largest: f64, z| largest.max(z.abs()));
        match largest {
            0.0 => None,
            f64::INFINITY => Some(f64::MAX_EXP),
            _ => Some(exponent(largest)),
        }
    }
}

/// The row of each atom, from the atom of each row.
fn inverse(atoms: &[usize]) -> Vec<Option<usize>> {
    let len = atoms.iter().max().map_or(0, |last| last + 1);
    let mut row = vec![None; len];
    for (r, &i) in atoms.iter().enumerate() {
        row[i] = Some(r);
    }
    row
}

/// The bounding box of points.
#[derive(Debug)]
struct Extent {
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Extent {
    fn new(dim: usize, points: &[f64], index: &[usize]) -> Self {
        let (mut low, mut high) = (vec![f64::INFINITY; dim], vec![f64::NEG_INFINITY; dim]);
        for &i in index {
            let point = &points[i * dim..][..dim];
            for ((low, high), z) in low.iter_mut().zip(&mut high).zip(point) {
                *low = low.min(*z);
                *high = high.max(*z);
            }
        }
        Self { low, high }
    }

    /// The centre of the box.
    fn centre(&self) -> Vec<f64> {
        let sides = self.low.iter().zip(&self.high);
        sides.map(|(low, high)| 0.5 * low + 0.5 * high).collect()
    }

    /// Half of the widest side.
    fn radius(&self) -> f64 {
        let sides = self.low.iter().zip(&self.high);
        sides.fold(0.0, |radius: f64, (low, high)| {
            radius.max(half_difference(*high, *low))
        })
    }

    /// The bounding box of both.
    fn union(&self, other: &Self) -> Self {
        let bound = |a: &[f64], b: &[f64], f: fn(f64, f64) -> f64| {
            a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
        };
        Self {
            low: bound(&self.low, &other.low, f64::min),
            high: bound(&self.high, &other.high, f64::max),
        }
    }
}

/// `(a - b) / 2` without overflow, and rounded up if it is subnormal.
fn half_difference(a: f64, b: f64) -> f64 {
    let half = 0.5 * a - 0.5 * b;
    if half < f64::MIN_POSITIVE {
        a - b
    } else {
        half
    }
}

/// The centres of the two clouds, and the exponent of the unit of length.
fn units(boxes: &[Extent; 2], p: f64) -> ([Vec<f64>; 2], i32) {
    let dim = boxes[0].low.len();
    let centre = [boxes[0].centre(), boxes[1].centre()];
    let sides = centre[0].iter().zip(&centre[1]);
    let offset = sides.fold(0.0, |offset: f64, (a, b)| {
        offset.max((0.5 * a - 0.5 * b).abs())
    });
    let radius = boxes[0].radius().max(boxes[1].radius());
    // On the line the monotone plan is optimal for all costs.
    if p == 2.0 && dim > 1 && offset > 2.0 * radius {
        // Smaller clouds are points up to rounding.
        let size = radius.max(scaled(offset, -60));
        return (centre, exponent(size) + 1);
    }
    let radius = boxes[0].union(&boxes[1]).radius();
    // Points that coincide have their own size as unit, so that sums of coordinates are finite.
    let coordinates = boxes[0].low.iter().chain(&boxes[0].high);
    let size = coordinates.fold(0.0, |size: f64, z| size.max(z.abs()));
    let scale = match (radius > 0.0, size > 0.0) {
        (true, _) => exponent(radius) + 1,
        (false, true) => exponent(size),
        (false, false) => 0,
    };
    ([vec![0.0; dim], vec![0.0; dim]], scale)
}
