//! Ranks as threads, and the laws of an all-reduce and of a distributed energy.

use std::thread::{ScopedJoinHandle, scope};

use nalgebra::DMatrix;

use super::case::{Case, CaseRng};
use super::evaluation::{evaluate, value_scale, velocity_scale};
use super::rounding::{Computed, rounding};
use super::violation::{Violation, identical, require, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::ranks::AllReduce;
use crate::real::{Real, real, to_f64};

mod dealing;
mod flow;
mod threads;

pub(super) use dealing::Dealing;
pub use flow::check_distributed_flow;
pub use threads::Rank;

/// Runs `work(index, rank)` on every rank at once, in one thread each.
pub(super) fn on_every_rank<R: Send, X: Send>(
    ranks: Vec<R>,
    work: impl Fn(usize, R) -> X + Sync,
) -> Vec<X> {
    let work = &work;
    scope(|scope| {
        let spawn = |(i, rank)| scope.spawn(move || work(i, rank));
        let threads: Vec<_> = ranks.into_iter().enumerate().map(spawn).collect();
        let join = |thread: ScopedJoinHandle<'_, X>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Checks an all-reduce, in consecutive calls of different lengths: the ranks are numbered in the
/// order of the vector; every result is the sum over the ranks, the same on all ranks bit for bit;
/// `gather` returns the numbers of all ranks, bit for bit, -0 and infinite ones included.
///
/// ```
/// use wasserflow::testing::{Rank, check_all_reduce};
///
/// assert_eq!(check_all_reduce::<f64, _>(Rank::group(3), 1), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_all_reduce<T: Real, R: AllReduce<T> + Send>(
    ranks: Vec<R>,
    seed: u64,
) -> Result<(), Violation> {
    /// The length of the vector of each call.
    const LENGTHS: [usize; 4] = [1, 7, 0, 64];
    let size = ranks.len();
    let term = |rank: usize, call: usize| -> Vec<T> {
        let seed = seed.wrapping_add((rank * LENGTHS.len() + call) as u64);
        let mut x = CaseRng::new(seed).direction(LENGTHS[call].max(1));
        x.truncate(LENGTHS[call]);
        x
    };
    // Of another length on each rank, or on none.
    let gathered = |rank: usize| -> Vec<T> {
        let mut x = CaseRng::new(seed ^ rank as u64).direction((rank * 5 + seed as usize % 3) % 8);
        let special = [-T::zero(), real(f64::INFINITY), T::default_epsilon()];
        x.extend(&special[..rank % 4]);
        x
    };
    let numbers = on_every_rank(ranks, |rank, mut all_reduce| {
        let found = (all_reduce.rank(), all_reduce.size());
        let gathered = all_reduce.gather(&gathered(rank));
        let sum = |call: usize| {
            let mut x = term(rank, call);
            all_reduce.sum(&mut x);
            x
        };
        let sums: Vec<_> = (0..LENGTHS.len()).map(sum).collect();
        (found, gathered, sums)
    });
    let expected: Vec<T> = (0..size).flat_map(gathered).collect();
    let bits = |x: &[T]| -> Vec<_> { x.iter().map(|x| (*x, x.is_sign_negative())).collect() };
    for (rank, (found, gathered, _)) in numbers.iter().enumerate() {
        let at = || format!("rank {rank} of {size}, seed = {seed}");
        let law = "rank() and size() are the number of this rank and of all ranks";
        identical(law, &[*found], &[(rank, size)], at)?;
        let law = "gather returns the numbers of all ranks in their order, bit for bit";
        identical(law, &bits(gathered), &bits(&expected), at)?;
    }
    let sums: Vec<_> = numbers.into_iter().map(|(_, _, sums)| sums).collect();
    for (call, &len) in LENGTHS.iter().enumerate() {
        let terms: Vec<Vec<T>> = (0..size).map(|rank| term(rank, call)).collect();
        for (rank, results) in sums.iter().enumerate() {
            let at = || format!("rank {rank} of {size}, call {call}, length {len}, seed = {seed}");
            let law = "every rank gets the same sum, bit for bit";
            identical(law, &results[call], &sums[0][call], at)?;
            for l in 0..len {
                let sum = Computed::sum(terms.iter().map(|term| to_f64(term[l])));
                let error = (to_f64(results[call][l]) - sum.value).abs();
                let law = "sum replaces x_l by the sum of x_l over the ranks";
                within(law, error, rounding::<T>() * sum.scale, at)?;
            }
        }
    }
    Ok(())
}

/// Checks a distributed energy against the same energy of the whole measure, drawn from the case.
///
/// The results agree on every rank: `F`, `inner`, and for the particles of the rank the velocities,
/// the first variation and the curvature.
///
/// `parts` are the energies of the ranks, each with its own [`AllReduce`]. The particles are dealt out
/// as by [`EmpiricalMeasure::share`], one by one in turn, and all but one of each rank to the first
/// rank. A rank without particles gets one of weight 0.
///
/// ```
/// use wasserflow::testing::problems::teacher_student;
/// use wasserflow::testing::{Case, Rank, check_distributed};
///
/// let (mut whole, _) = teacher_student::<f64>(2, 3, 10, 1)?;
/// let mut parts = Vec::new();
/// for rank in Rank::group(3) {
///     parts.push(teacher_student(2, 3, 10, 1)?.0.distributed(rank));
/// }
/// let case = Case { n: 10, m: 7, d: 2, k: 1, seed: 1 };
/// assert_eq!(check_distributed(&mut whole, parts, case), Ok(()));
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0, or a rank panics.
pub fn check_distributed<T: Real, E: Energy<T> + Send>(
    whole: &mut dyn Energy<T>,
    parts: Vec<E>,
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    let (ranks, p, m) = (parts.len().max(1), whole.particle_dim(), case.m);
    let mu = case.rng(15).measure::<T>(p, m);
    let expected = Results::new(whole, &mu);
    let value_tolerance = rounding::<T>() * value_scale(whole, &mu);
    let velocity_scale = velocity_scale(whole, &mu);
    let results = on_every_rank(parts, |rank, mut energy| {
        Dealing::ALL.map(|dealing| Results::new(&mut energy, &dealing.part(&mu, rank, ranks)))
    });
    let results = results.iter().enumerate();
    let results =
        results.flat_map(|(rank, all)| Dealing::ALL.into_iter().zip(all).map(move |x| (rank, x)));
    for (rank, (dealing, found)) in results {
        let at = || format!("rank {rank} of {ranks}, {dealing:?}, {case:?}");
        let law = "F on a rank is F of the whole measure";
        let error = (found.value - expected.value).abs();
        within(law, error, value_tolerance, at)?;
        let law = "inner on a rank is inner of the whole measure";
        let error = (found.inner - expected.inner).abs();
        let tolerance = rounding::<T>() * (expected.inner.abs() + expected.square);
        within(law, error, tolerance, at)?;
        let laws = [
            "velocities on a rank are those of the whole measure",
            "first variations on a rank are those of the whole measure",
            "curvatures on a rank are those of the whole measure",
        ];
        for ((law, found), expected) in laws.into_iter().zip(&found.fields).zip(&expected.fields) {
            let implemented = || format!("implemented on the rank: {}", found.is_some());
            require(law, found.is_some() == expected.is_some(), implemented, at)?;
            let (Some(found), Some(expected)) = (found, expected) else {
                continue;
            };
            let scale = velocity_scale + to_f64(expected.amax()) * p as f64 * m as f64;
            for (i, origin) in dealing.indices(m, rank, ranks).into_iter().enumerate() {
                let error = (found.column(i) - expected.column(origin)).amax();
                within(law, to_f64(error), rounding::<T>() * scale, at)?;
            }
        }
    }
    Ok(())
}

/// The results of an energy on one rank.
struct Results<T: Real> {
    /// `F(mu)`.
    value: f64,
    /// `int <v, w> dmu`.
    inner: f64,
    /// `int |w|^2 dmu`.
    square: f64,
    /// The velocities, the descent direction of the first variation at the particles, and the
    /// curvature along the particles.
    fields: [Option<DMatrix<T>>; 3],
}

impl<T: Real> Results<T> {
    fn new(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>) -> Self {
        let (value, velocity) = evaluate(energy, mu);
        let w = mu.points();
        let inner = to_f64(energy.inner(mu, &velocity, w));
        let square = to_f64(energy.inner(mu, w, w));
        let (mut values, mut descent) = (vec![T::zero(); mu.len()], velocity.clone());
        let descent = energy
            .first_variation(mu, w, &mut values, &mut descent)
            .map(|_| descent);
        let mut curvature = velocity.clone();
        let curvature = energy.curvature(mu, w, &mut curvature).map(|()| curvature);
        Self {
            value,
            inner,
            square,
            fields: [Some(velocity), descent, curvature],
        }
    }
}
