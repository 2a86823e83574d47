//! Potentials of all atoms, in the units of the measures.

use super::cost::{Rounding, squared_distance};
use super::evaluation::rounded_down;
use super::plan::Solution;
use super::power::Power;
use super::problem::Problem;
use crate::real::{Real, to_f64};

/// The potentials of all atoms of mu and of nu, rounded down so that they remain feasible.
///
/// An atom of mass zero has the largest feasible potential.
pub(super) fn potentials<T: Real>(problem: &Problem, solution: &Solution) -> (Vec<T>, Vec<T>) {
    let [n, m] = problem.atoms();
    let (mut phi, mut psi) = (vec![f64::NAN; n], vec![f64::NAN; m]);
    for (&i, &u) in problem.rows.iter().zip(&solution.u) {
        phi[i] = u;
    }
    for (&j, &v) in problem.columns.iter().zip(&solution.v) {
        psi[j] = v;
    }
    transform_missing(problem, [0, 1], &mut phi, &psi);
    transform_missing(problem, [1, 0], &mut psi, &phi);
    let units = Units::new(problem);
    let phi = phi
        .iter()
        .enumerate()
        .map(|(i, u)| units.phi(problem, i, *u))
        .collect();
    let psi = psi
        .iter()
        .enumerate()
        .map(|(j, v)| units.psi(problem, j, *v))
        .collect();
    (phi, psi)
}

/// Potentials of the rows and columns of `problem` from those of the atoms of mu and nu.
pub(super) fn in_units_of<T: Real>(
    problem: &Problem,
    phi: &[T],
    psi: &[T],
) -> (Vec<f64>, Vec<f64>) {
    let units = Units::new(problem);
    let u = problem.rows.iter().map(|&i| {
        let (shift, _) = units.shift_of(problem.coordinates(0, i));
        units.power.in_units(to_f64(phi[i]), units.scale, -1.0) - shift - units.square_of_shift
    });
    let v = problem.columns.iter().map(|&j| {
        let (shift, _) = units.shift_of(problem.coordinates(1, j));
        units.power.in_units(to_f64(psi[j]), units.scale, -1.0) + shift
    });
    (u.collect(), v.collect())
}

/// Replaces the `u_i` that are NaN by lower bounds of `min_j c_ij - v_j`, over the `v_j` that are
/// not NaN.
fn transform_missing(problem: &Problem, sides: [usize; 2], u: &mut [f64], v: &[f64]) {
    if !u.iter().any(|u| u.is_nan()) {
        return;
    }
    let cost = problem.cost();
    let (rounding, power) = (Rounding::of(&cost), cost.power());
    let point = |side: usize, i: usize| problem.coordinates(sides[side], i).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..v.len()).map(|j| point(1, j)).collect();
    for (i, u) in u.iter_mut().enumerate().filter(|(_, u)| u.is_nan()) {
        let x = point(0, i);
        let present = columns.iter().zip(v).filter(|(_, v)| !v.is_nan());
        let reduced = present.map(|(y, v)| {
            let c = power.cost(squared_distance(&x, y));
            rounding.lower(c, c - v)
        });
        *u = reduced.fold(f64::INFINITY, f64::min);
    }
}

/// The conversion of potentials to the units of the measures:
/// `|x - y|^2 = |x' - y'|^2 + 2 <x' - y', s> + |s|^2`, where x' and y' are centred and s is the
/// difference of the centres.
struct Units {
    power: Power,
    scale: i32,
    shift: Vec<f64>,
    square_of_shift: f64,
    /// The rounding error of a potential relative to its terms.
    rounding: f64,
}

impl Units {
    fn new(problem: &Problem) -> Self {
        let shift = problem.shift();
        Self {
            power: problem.power,
            scale: problem.scale,
            square_of_shift: shift.iter().map(|s| s * s).sum(),
            // The clouds are centred only if |s| >= 2, which exceeds their coordinates. The error
            // of a centred coordinate is at most EPSILON / 2.
            rounding: (8.0 + problem.dim() as f64) * f64::EPSILON,
            shift,
        }
    }

    /// `2 <z, s>` and the sum of the magnitudes of its terms.
    fn shift_of(&self, z: impl Iterator<Item = f64>) -> (f64, f64) {
        let terms = self.shift.iter().zip(z).map(|(s, z)| 2.0 * s * z);
        terms.fold((0.0, 0.0), |(sum, magnitude), term| {
            (sum + term, magnitude + term.abs())
        })
    }

    fn phi<T: Real>(&self, problem: &Problem, i: usize, u: f64) -> T {
        let (shift, magnitude) = self.shift_of(problem.coordinates(0, i));
        self.in_unit(
            u,
            shift + self.square_of_shift,
            magnitude + self.square_of_shift,
        )
    }

    fn psi<T: Real>(&self, problem: &Problem, j: usize, v: f64) -> T {
        let (shift, magnitude) = self.shift_of(problem.coordinates(1, j));
        self.in_unit(v, -shift, magnitude + self.square_of_shift)
    }

    /// At most `(u + shift)` in the units of the measures, for a shift that is the sum of terms of
    /// the given magnitude.
    fn in_unit<T: Real>(&self, u: f64, shift: f64, magnitude: f64) -> T {
        let u = if self.square_of_shift > 0.0 {
            u + shift - self.rounding * (u.abs() + magnitude)
        } else {
            u
        };
        let product = self.power.in_units(u, self.scale, 1.0);
        let is_exact = u == 0.0
            || product.is_infinite()
            || product.is_normal() && self.power.is_exact(self.scale);
        let low = if is_exact {
            product
        } else {
            let error = self.power.rounding_of_units(self.scale) * product.abs();
            let low = (product - error).next_down();
            if u >= 0.0 { low.max(0.0) } else { low }
        };
        rounded_down(low)
    }
}
