//! Ranks as threads, and the laws of an all-reduce and of a distributed energy.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{ScopedJoinHandle, scope};

use nalgebra::DMatrix;

use super::case::{Case, CaseRng};
use super::evaluation::{evaluate, measure, value_scale, velocity_scale};
use super::rounding::{Computed, rounding};
use super::violation::{Violation, identical, require, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::ranks::AllReduce;
use crate::real::{Real, to_f64};

/// A rank among threads of one process: an [`AllReduce`] for tests of distributed code.
///
/// Terms are added in the order of the ranks, so every rank gets the same result, bit for bit. A
/// clone is the same rank: all calls of a rank and its clones are in one thread.
///
/// # Panics
/// `sum` and `gather` panic instead of waiting for a rank that has ended, by a panic or an early
/// return, and if the vectors of a sum differ in length.
#[derive(Debug)]
pub struct Rank<T> {
    shared: Arc<Shared<T>>,
    index: usize,
}

#[derive(Debug)]
struct Shared<T> {
    exchange: Mutex<Exchange<T>>,
    changed: Condvar,
}

/// The vectors of all ranks during an exchange.
#[derive(Debug)]
struct Exchange<T> {
    /// The number of completed exchanges.
    round: usize,
    /// The vectors of the current exchange.
    parts: Vec<Option<Vec<T>>>,
    /// The vectors of the last completed exchange.
    complete: Arc<Vec<Vec<T>>>,
    /// The number of handles of each rank: 0 if it has ended.
    handles: Vec<usize>,
}

impl<T> Rank<T> {
    /// All ranks of a group of `size`.
    pub fn group(size: usize) -> Vec<Self> {
        let exchange = Exchange {
            round: 0,
            parts: (0..size).map(|_| None).collect(),
            complete: Arc::default(),
            handles: vec![1; size],
        };
        let shared = Arc::new(Shared {
            exchange: Mutex::new(exchange),
            changed: Condvar::new(),
        });
        let rank = |index| Self {
            shared: Arc::clone(&shared),
            index,
        };
        (0..size).map(rank).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Exchange<T>> {
        let exchange = self.shared.exchange.lock();
        exchange.unwrap_or_else(PoisonError::into_inner)
    }

    /// The vectors of all ranks.
    ///
    /// # Panics
    /// If another rank has ended before it took part.
    fn exchange(&self, part: Vec<T>) -> Arc<Vec<Vec<T>>> {
        let mut exchange = self.lock();
        let round = exchange.round;
        exchange.parts[self.index] = Some(part);
        if exchange.parts.iter().all(Option::is_some) {
            exchange.complete =
                Arc::new(exchange.parts.iter_mut().filter_map(Option::take).collect());
            exchange.round += 1;
            self.shared.changed.notify_all();
        }
        while exchange.round == round {
            let ended =
                |rank: &usize| exchange.parts[*rank].is_none() && exchange.handles[*rank] == 0;
            if let Some(rank) = (0..exchange.parts.len()).find(ended) {
                drop(exchange);
                panic!(
                    "rank {rank} has ended, and rank {} waits for it",
                    self.index
                );
            }
            let next = self.shared.changed.wait(exchange);
            exchange = next.unwrap_or_else(PoisonError::into_inner);
        }
        Arc::clone(&exchange.complete)
    }
}

impl<T> Clone for Rank<T> {
    fn clone(&self) -> Self {
        self.lock().handles[self.index] += 1;
        Self {
            shared: Arc::clone(&self.shared),
            index: self.index,
        }
    }
}

impl<T> Drop for Rank<T> {
    fn drop(&mut self) {
        self.lock().handles[self.index] -= 1;
        self.shared.changed.notify_all();
    }
}

impl<T: Real> AllReduce<T> for Rank<T> {
    fn rank(&self) -> usize {
        self.index
    }

    fn size(&self) -> usize {
        self.lock().handles.len()
    }

    fn sum(&mut self, x: &mut [T]) {
        let parts = self.exchange(x.to_vec());
        let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert!(
            lengths.iter().all(|&len| len == x.len()),
            "the vectors of a sum must have the same length, found {lengths:?}"
        );
        x.fill(T::zero());
        for part in &*parts {
            for (x, &part) in x.iter_mut().zip(part) {
                *x += part;
            }
        }
    }

    fn gather(&mut self, x: &[T]) -> Vec<T> {
        self.exchange(x.to_vec()).concat()
    }
}

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

/// Checks an all-reduce: every result is the sum over the ranks, the same on all ranks bit for bit,
/// in consecutive calls of different lengths.
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
    let sums = on_every_rank(ranks, |rank, mut all_reduce| {
        let sum = |call: usize| {
            let mut x = term(rank, call);
            all_reduce.sum(&mut x);
            x
        };
        (0..LENGTHS.len()).map(sum).collect::<Vec<_>>()
    });
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
/// `parts` are the energies of the ranks, each with its own [`AllReduce`]. Rank r of s holds the
/// particles `r, r + s, r + 2 s, ..`. A rank without particles gets one of weight 0.
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
    // The indices of the particles of a rank; those from m on are particles of weight 0.
    let indices = |rank: usize| (rank..m.max(ranks)).step_by(ranks);
    let point = |i: usize| mu.particle(i.min(m - 1)).to_vec();
    let weight = |i: usize| if i < m { mu.weight(i) } else { T::zero() };
    let part = |rank: usize| {
        let points = indices(rank).flat_map(point).collect();
        measure(p, points, indices(rank).map(weight).collect())
    };

    let expected = Results::new(whole, &mu);
    let results = on_every_rank(parts, |rank, mut energy| {
        Results::new(&mut energy, &part(rank))
    });
    let value_tolerance = rounding::<T>() * value_scale(whole, &mu);
    let velocity_scale = velocity_scale(whole, &mu);
    for (rank, found) in results.iter().enumerate() {
        let at = || format!("rank {rank} of {ranks}, {case:?}");
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
            for (i, origin) in indices(rank).enumerate() {
                let error = (found.column(i) - expected.column(origin.min(m - 1))).amax();
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
