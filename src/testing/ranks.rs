//! Ranks in threads, and the laws of a sum over ranks.

use std::sync::{Arc, Barrier, Mutex};

use nalgebra::{DMatrix, DVector};

use super::case::{Case, Draws};
use super::energy::{evaluate, natural_scale, velocity_scale};
use super::slope::rounding;
use super::violation::{Violation, holds, within};
use crate::energy::{AllReduce, Energy};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};

/// A rank among threads of one process: a [`AllReduce`] for tests of code that runs on many machines.
///
/// Sums are made in the order of the ranks, so every rank gets the same bits. Every rank must call `sum` equally often.
#[derive(Debug, Clone)]
pub struct Rank<T> {
    shared: Arc<(Barrier, Mutex<Vec<Vec<T>>>)>,
    index: usize,
}

impl<T: Real> Rank<T> {
    /// All ranks of a group of `size`.
    pub fn group(size: usize) -> Vec<Self> {
        let shared = Arc::new((Barrier::new(size), Mutex::new(vec![Vec::new(); size])));
        (0..size)
            .map(|index| Self {
                shared: Arc::clone(&shared),
                index,
            })
            .collect()
    }
}

impl<T: Real> AllReduce<T> for Rank<T> {
    fn sum(&mut self, x: &mut [T]) {
        let (barrier, parts) = &*self.shared;
        let lock = || {
            parts
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        lock()[self.index] = x.to_vec();
        barrier.wait();
        x.fill(T::zero());
        for part in lock().iter() {
            for (x, &part) in x.iter_mut().zip(part) {
                *x += part;
            }
        }
        barrier.wait();
    }
}

/// Runs `work` on every rank at once, one thread each.
fn on_every_rank<R: Send, X: Send>(ranks: Vec<R>, work: impl Fn(usize, R) -> X + Sync) -> Vec<X> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = ranks
            .into_iter()
            .enumerate()
            .map(|(i, rank)| scope.spawn(move || work(i, rank)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, X>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Checks a sum over ranks: each result is the sum of what the ranks held, the same bits on all of them, call after call.
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
    const LENGTHS: [usize; 4] = [1, 7, 0, 64];
    let size = ranks.len();
    let held = |rank: usize, call: usize| -> Vec<T> {
        Draws::new(seed.wrapping_add((rank * LENGTHS.len() + call) as u64))
            .direction(LENGTHS[call].max(1))
    };
    let sums = on_every_rank(ranks, |rank, mut reduce| {
        let sum = |call: usize| {
            let mut x = held(rank, call);
            x.truncate(LENGTHS[call]);
            reduce.sum(&mut x);
            x
        };
        (0..LENGTHS.len()).map(sum).collect::<Vec<_>>()
    });
    for (call, &len) in LENGTHS.iter().enumerate() {
        for (rank, results) in sums.iter().enumerate() {
            let at = || format!("rank {rank} of {size}, call {call}, {len} numbers, seed = {seed}");
            holds(
                "every rank gets the same bits",
                results[call] == sums[0][call],
                at,
            )?;
            for l in 0..len {
                let terms = (0..size).map(|rank| to_f64(held(rank, call)[l]));
                let (sum, scale) =
                    terms.fold((0.0, 0.0), |(sum, scale), x| (sum + x, scale + x.abs()));
                let error = (to_f64(results[call][l]) - sum).abs();
                within(
                    "x_l = sum over ranks of x_l",
                    error,
                    rounding::<T>() * scale,
                    at,
                )?;
            }
        }
    }
    Ok(())
}

/// Checks an energy that is distributed over ranks against the same energy of the whole measure, at a measure drawn from the
/// case: `F`, the velocities of the particles that a rank holds, `F'`, the curvature and `inner` agree.
///
/// `parts` are the energies of the ranks, each with its own handle; rank r of s holds the particles `r, r + s, r + 2 s, ..`.
/// Particles of weight 0 fill up the ranks that would hold none.
///
/// ```
/// use wasserflow::testing::{Case, Rank, check_distributed};
/// use wasserflow::testing::problems::teacher_student;
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
pub fn check_distributed<T: Real, E: Energy<T> + Send>(
    whole: &mut dyn Energy<T>,
    parts: Vec<E>,
    case: Case,
) -> Result<(), Violation> {
    let (ranks, p) = (parts.len().max(1), whole.particle_dim());
    let mut draws = case.draws(15);
    let mu = draws.measure::<T>(p, case.m);
    // The particles of a rank, and where they sit in the whole.
    let share =
        |rank: usize| -> Vec<usize> { (0..case.m.max(ranks)).skip(rank).step_by(ranks).collect() };
    let point = |i: usize| mu.particle(i.min(case.m - 1));
    let part = |rank: usize| {
        let here = share(rank);
        let points = DMatrix::from_fn(p, here.len(), |c, i| point(here[i])[c]);
        let weight = |i: usize| if i < case.m { mu.weight(i) } else { T::zero() };
        let weights = DVector::from_fn(here.len(), |i, _| weight(here[i]));
        EmpiricalMeasure::weighted(points, weights).unwrap_or_else(|e| unreachable!("{e}"))
    };

    let total = ask(whole, &mu);
    let results = on_every_rank(parts, |rank, mut energy| ask(&mut energy, &part(rank)));
    let (scale, size) = (natural_scale(whole, &mu), velocity_scale(whole, &mu));
    for (rank, result) in results.iter().enumerate() {
        let at = || format!("rank {rank} of {ranks}, {case:?}");
        within(
            "every rank sees F of the whole",
            (result.value - total.value).abs(),
            rounding::<T>() * scale,
            at,
        )?;
        let tolerance = rounding::<T>() * (total.inner.abs() + total.square);
        within(
            "every rank sees `inner` of the whole",
            (result.inner - total.inner).abs(),
            tolerance,
            at,
        )?;
        let law = "first variation and curvature exist on a rank as for the whole";
        holds(
            law,
            [result.fields[1].is_some(), result.fields[2].is_some()]
                == [total.fields[1].is_some(), total.fields[2].is_some()],
            at,
        )?;
        for (law, found, expected) in [
            (
                "velocities on a rank are those of the whole",
                &result.fields[0],
                &total.fields[0],
            ),
            (
                "first variations on a rank are those of the whole",
                &result.fields[1],
                &total.fields[1],
            ),
            (
                "curvatures on a rank are those of the whole",
                &result.fields[2],
                &total.fields[2],
            ),
        ] {
            let (Some(found), Some(expected)) = (found, expected) else {
                continue;
            };
            let tolerance =
                rounding::<T>() * (size + to_f64(expected.amax()) * p as f64 * case.m as f64);
            for (i, &from) in share(rank).iter().enumerate() {
                let error = (found.column(i) - expected.column(from.min(case.m - 1))).amax();
                within(law, to_f64(error), tolerance, at)?;
            }
        }
    }
    Ok(())
}

/// What an energy says at the particles of a rank.
struct Answers<T> {
    value: f64,
    inner: f64,
    /// `int |w|^2 dmu` as this rank sees it.
    square: f64,
    /// Velocities, descent directions of the first variation, curvature along the particles.
    fields: [Option<DMatrix<T>>; 3],
}

fn ask<T: Real>(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>) -> Answers<T> {
    let (value, velocity) = evaluate(energy, mu);
    let inner = to_f64(energy.inner(mu, &velocity, mu.points()));
    let square = to_f64(energy.inner(mu, mu.points(), mu.points()));
    let (mut values, mut descent) = (vec![T::zero(); mu.len()], velocity.clone());
    let descent = energy
        .first_variation(mu, mu.points(), &mut values, &mut descent)
        .map(|_| descent);
    let mut bent = velocity.clone();
    let bent = energy.curvature(mu, mu.points(), &mut bent).map(|()| bent);
    Answers {
        value,
        inner,
        square,
        fields: [Some(velocity), descent, bent],
    }
}
