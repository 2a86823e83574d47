//! The breakpoints at which particles stop along a search direction.

use nalgebra::DMatrix;

use super::active_set::{ActiveSet, Kink};
use super::objective::{Point, ProximalProblem};
use crate::numeric::vector::{column, dot};
use crate::real::Real;

/// The limit of every particle along `d`, as fraction of `d` and kink: the first kink at which the
/// slope of its own objective, with the gradient of the risk fixed, turns positive.
///
/// The slope is `|<z, d>| (t - 1)` plus the jumps of the kinks before `t`: the step ends at `t = 1`.
/// `z` is the subgradient at `x`.
pub(super) fn limits<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    x: &Point<T>,
    active: &ActiveSet<T>,
    z: &DMatrix<T>,
    d: &DMatrix<T>,
) -> Vec<Option<(T, Kink<T>)>> {
    let (p, m) = d.shape();
    let mut met: Vec<Vec<(T, T, Kink<T>)>> = vec![Vec::new(); m];
    problem.move_to(&x.v);
    problem
        .energy
        .breakpoints(problem.mu, d, T::zero(), &mut |b| {
            let t = -b.offset / b.rate;
            if t >= T::zero() && t < T::one() && !active.contains(b) {
                let jump = (b.jump + t * b.jump_rate) * b.rate.abs();
                met[b.particle].push((t, jump, Kink::new(b, column(&x.v, b.particle))));
            }
        });
    let limit = |(i, mut met): (usize, Vec<(T, T, Kink<T>)>)| {
        let slope = dot(column(z, i), column(d, i)).abs();
        if active.freedom(i, p) == 0 || slope == T::zero() {
            met.clear();
        }
        met.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        let mut jumps = T::zero();
        for (t, jump, kink) in met {
            let before = slope * (t - T::one()) + jumps;
            jumps += jump;
            if before < T::zero() && before + jump >= T::zero() {
                return Some((t, kink));
            }
        }
        None
    };
    met.into_iter().enumerate().map(limit).collect()
}
