//! The first variation at a point: by the potentials, and at particles by the plan.

use super::vertex::UNITS;
use super::{HellingerKantorovichEnergy, Plan, Solution, distance};
use crate::real::{Real, real, to_f64};

impl<T: Real> HellingerKantorovichEnergy<T> {
    /// `e^(-phi(w))`, and minus the gradient of F' at w in `descent`. `row` is that of the plan, if w is
    /// a point of mass.
    ///
    /// The potential has a kink at each point whose mass is divided, as all receiving points of the
    /// target attain the minimum: the potentials do not determine the direction there, the plan does.
    pub(super) fn variation(
        &self,
        plan: &Plan<T>,
        w: &[T],
        row: Option<usize>,
        descent: &mut [T],
    ) -> f64 {
        descent.fill(T::zero());
        let Some(solution) = &plan.solution else {
            return if self.reaches(w) { f64::INFINITY } else { 0.0 };
        };
        let (density, nearest) = self.potential(plan, solution, w);
        if !(density > 0.0 && density.is_finite()) {
            return density;
        }
        // Divided by `sum_j P_ij e^phi` instead of the equal `c_i`: the plan is accurate at the scale of
        // the masses, not at that of small weights.
        let of_plan = row.map(|row| self.purified(plan, solution, row));
        let shares = of_plan.filter(|shares| density / shares.iter().sum::<f64>() < f64::INFINITY);
        let shares = shares.unwrap_or(nearest);
        let scale = density / shares.iter().sum::<f64>();
        let (mut z, mut sum) = (vec![0.0; w.len()], vec![0.0; w.len()]);
        for (&share, &j) in shares.iter().zip(&self.atoms) {
            if share > 0.0 {
                let distance = distance(w, self.target.particle(j), &mut z);
                let rate = -0.5 * share * self.cost.slope(distance);
                sum.iter_mut().zip(&z).for_each(|(sum, z)| *sum += rate * z);
            }
        }
        for (descent, sum) in descent.iter_mut().zip(sum) {
            *descent = real(scale * sum);
        }
        density
    }

    /// `e^(-phi(w))`, and the shares of the points of the target in the direction of descent: that of
    /// the minimum, or those of all minima up to rounding, in the ratio of the mass that they receive.
    fn potential(&self, plan: &Plan<T>, solution: &Solution, w: &[T]) -> (f64, Vec<f64>) {
        let mut z = vec![0.0; w.len()];
        let mut cost = |j: usize| {
            self.cost
                .value(distance(w, self.target.particle(j), &mut z))
        };
        let costs: Vec<f64> = self.atoms.iter().map(|&j| cost(j)).collect();
        let pairs = costs.iter().zip(&solution.psi);
        let terms: Vec<f64> = pairs
            .map(|(cost, psi)| {
                if cost.is_finite() {
                    cost - psi
                } else {
                    f64::INFINITY
                }
            })
            .collect();
        let phi = terms.iter().copied().fold(f64::INFINITY, f64::min);
        // Potentials of measures of mass 1: those of mu and nu differ by a constant.
        let density = (-phi).exp() * (plan.roots[1] / plan.roots[0]);
        let is_least = |l: usize| terms[l] - phi <= solution.error + 2.0 * UNITS * costs[l];
        let all = (0..costs.len()).filter(|&l| is_least(l));
        let least = all.map(|l| costs[l]).fold(f64::INFINITY, f64::min);
        let share = |l: usize| {
            if is_least(l) {
                // `e^(-psi_j)` is proportional to `e^(-c_j)` at the minima.
                to_f64(self.target.weight(self.atoms[l])) * (least - costs[l]).exp()
            } else {
                0.0
            }
        };
        (density, (0..costs.len()).map(share).collect())
    }

    /// Returns true if the cost from w to an atom is finite.
    fn reaches(&self, w: &[T]) -> bool {
        let mut z = vec![0.0; w.len()];
        let mut cost = |&j: &usize| {
            self.cost
                .value(distance(w, self.target.particle(j), &mut z))
        };
        self.atoms.iter().any(|j| cost(j).is_finite())
    }
}
