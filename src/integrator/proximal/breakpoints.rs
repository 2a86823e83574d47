//! The breakpoints at which particles stop along a search direction.

use nalgebra::DMatrix;

use super::active_set::{ActiveSet, Kink};
use super::basis::column;
use super::objective::{Point, ProximalProblem};
use super::trust_region::Model;
use crate::numeric::vector::dot;
use crate::real::{Real, real};

/// The curvature along the step of a particle is at least this fraction of its slope, which bounds
/// the effect of directions in which the own curvature of the particle vanishes.
const LEAST_CURVATURE: f64 = 0.1;

/// The part of a search direction that a particle takes, and the kink on which it then lies.
pub(super) struct Limit<T> {
    pub fraction: T,
    pub kink: Option<Kink<T>>,
}

/// The limit of every particle along `d`: the first kink at which the slope of its own objective,
/// with the gradient of the risk fixed, turns positive.
///
/// The slope is `kappa (t - 1)` plus the jumps of the kinks before `t`: the Newton step ends at
/// `t = 1`. `z` is the subgradient at `x`.
pub(super) fn limits<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    x: &Point<T>,
    active: &ActiveSet<T>,
    model: &Model<T>,
    z: &DMatrix<T>,
    d: &DMatrix<T>,
) -> Vec<Limit<T>> {
    let (p, m) = d.shape();
    let mut met: Vec<Vec<(T, T, Kink<T>)>> = (0..m).map(|_| Vec::new()).collect();
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
        let none = Limit {
            fraction: T::one(),
            kink: None,
        };
        let (z, d) = (column(z, i), column(d, i));
        let kappa = model
            .curvature(i, d)
            .max(real::<T>(LEAST_CURVATURE) * dot(z, d).abs());
        if met.is_empty() || active.freedom(i, p) == 0 || kappa <= T::zero() {
            return none;
        }
        met.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        let mut jumps = T::zero();
        for (t, jump, kink) in met {
            let slope = kappa * (t - T::one()) + jumps;
            jumps += jump;
            if slope < T::zero() && slope + jump >= T::zero() {
                return Limit {
                    fraction: t,
                    kink: Some(kink),
                };
            }
        }
        none
    };
    met.into_iter().enumerate().map(limit).collect()
}
