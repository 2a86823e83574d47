//! Sparse optimisation over measures: conditional gradients, optimal weights, and changes of the
//! particle number.
//!
//! A flow moves particles of fixed weights. The methods here add, remove and reweight particles, so
//! that an optimal measure is represented by few of them.
//!
//! | method | result | requires |
//! |---|---|---|
//! | [`FrankWolfe`] | atoms added one by one (plain, fully corrective or with sliding) | [`Certifiable`] or a descent direction |
//! | [`reweigh`] | optimal weights `c >= 0` of the given particles | the first variation |
//! | [`insert()`] | one more particle along a descent direction, F decreases | any energy |
//! | [`merge()`] | one neuron for each direction of the input weights | [`Ridge`](crate::Ridge), homogeneous |
//! | [`prune()`] | without the neurons that do not change the predictions | [`Ridge`](crate::Ridge), homogeneous |
//! | [`run_and_correct()`] | a flow, then new atoms and optimal weights, until a certificate proves a gap | [`Certifiable`] |
//! | [`run_until_optimal()`] | a flow until a certificate proves a gap, or until it is trapped | [`Certifiable`] |
//!
//! To a certified minimum of a rectifier network with the square loss, [`FrankWolfe::Corrective`] is
//! the fastest method in the plane; for d = 3 [`FrankWolfe::Sliding`] is as fast. They need no start, and
//! take less time than a proximal flow with [`run_until_optimal()`]. From a given start,
//! [`run_and_correct()`] takes about as many evaluations as `Corrective` from the zero measure.
//!
//! [`Certifiable`]: crate::optimality::Certifiable
//!
//! Particles that are distributed over ranks: [`insert()`] gives the new particle to one rank,
//! [`run_until_optimal()`] needs no change. [`reweigh()`], [`FrankWolfe`] and [`run_and_correct()`]
//! collect the measure, do the same work on every rank, and deal out the result. [`merge()`] and
//! [`prune()`] act on the measure that they get: `merge(&phi, &mu.collect(ranks), 0.0).share(ranks)` is that of all ranks.
//!
//! ```
//! use wasserflow::nalgebra::{DMatrix, DVector};
//! use wasserflow::prelude::*;
//!
//! // y = |x| at x = -1 and 1, from four neurons: two are parallel, one does nothing.
//! let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
//! let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
//! let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
//! let points = DMatrix::from_column_slice(2, 4, &[1.0, 1.0, 1.0, 2.0, 0.0, 1.0, 1.0, -1.0]);
//! let mu = EmpiricalMeasure::uniform(points)?;
//!
//! let pruned = sparse::prune(energy.features(), &mu);
//! let merged = sparse::merge(energy.features(), &pruned, 0.0);
//! assert_eq!((mu.len(), pruned.len(), merged.len()), (4, 3, 2));
//!
//! let best = sparse::reweigh(&mut energy, &merged)?;
//! assert!(energy.value(&mu) > 0.1 && energy.value(&best) < 1e-12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod examined;
mod frank_wolfe;
mod insert;
mod merge;
mod prune;
mod ranks;
mod reweight;
mod run_and_correct;
mod run_until_optimal;
mod weights;

/// Asserts that particles have the dimension `p` that an energy or a feature map requires.
#[track_caller]
fn check_dim(p: usize, found: usize) {
    assert!(
        p == found,
        "the dimension of the particles must be {p}, found {found}"
    );
}

pub use frank_wolfe::FrankWolfe;
pub use insert::insert;
pub use merge::merge;
pub use prune::prune;
pub use reweight::reweigh;
pub use run_and_correct::{run_and_correct, run_and_correct_with};
pub use run_until_optimal::{run_until_optimal, run_until_optimal_with};
