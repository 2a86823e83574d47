//! The plan of particles of small weights that the optimal forest does not determine.

use super::interior_point::ACCURACY;
use super::{HellingerKantorovichEnergy, Plan, Solution, distance};
use crate::real::{Real, to_f64};

/// The weight relative to the mass up to which the plan of a particle is purified. The plan of a larger
/// weight is accurate to 1e-9 for clouds of diameter 0.1, and that of a smaller one to
/// `1e-14 (mass / weight)^(1/2)` over the differences of the costs.
const SMALL: f64 = 1e-6;
/// The change of a potential of the target by a mass, in units of its share of the marginal, with a
/// reserve: it is 1 to first order.
const REACH: f64 = 4.0;

impl<T: Real> HellingerKantorovichEnergy<T> {
    /// The plan of a distinct point, without the entries of a small weight that are 0 at the optimum.
    ///
    /// The interior-point method ends where `P_ij s_ij = m (a_i b_j)^(1/2)` for a small m. The slack
    /// `s_ij = c_ij - phi_i - psi_j` is 0 at the optimum where P is not, and of the size S of the
    /// others elsewhere, where `P_ij / a_i` is then about `m (b_j / a_i)^(1/2) / S`. That is not small if
    /// weights or distances are. Entries of a larger slack than of this share are removed; so are those
    /// of slacks that the mass of the point cannot change to 0, as its share of the atom is too small.
    pub(super) fn purified(&self, plan: &Plan<T>, solution: &Solution, row: usize) -> Vec<f64> {
        let mut entries: Vec<f64> = solution.plan.column(row).iter().copied().collect();
        let nu = &plan.distinct.measure;
        let i = plan.points[row];
        if solution.accurate[row] || to_f64(nu.weight(i)) > SMALL * plan.roots[0].powi(2) {
            return entries;
        }
        let mut z = vec![0.0; nu.dim()];
        let mut reduced: Vec<f64> = self
            .atoms
            .iter()
            .zip(&solution.psi)
            .map(|(&j, psi)| {
                let cost =
                    self.cost
                        .value(distance(nu.particle(i), self.target.particle(j), &mut z));
                if cost.is_finite() {
                    cost - psi
                } else {
                    f64::INFINITY
                }
            })
            .collect();
        let least = reduced.iter().copied().fold(f64::INFINITY, f64::min);
        reduced.iter_mut().for_each(|s| *s -= least);
        let finite = reduced.iter().copied().filter(|s| s.is_finite());
        let size = finite.fold(0.0, f64::max);
        let total: f64 = entries.iter().sum();
        let received = solution.plan.column_sum();
        for ((mass, s), received) in entries.iter_mut().zip(reduced).zip(&received) {
            let reach = REACH * total / received + ACCURACY;
            if s > ACCURACY && (*mass * size < s * total || s > reach) {
                *mass = 0.0;
            }
        }
        entries
    }
}
