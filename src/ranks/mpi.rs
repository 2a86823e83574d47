//! Ranks that are processes of MPI, by the crate `mpi` (rsmpi).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::{fmt, thread};

use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AnyCommunicator, CommAttribute, Communicator, CommunicatorCollectives};
use mpi::{Count, Threading};
use thiserror::Error;

use super::AllReduce;
use crate::real::Real;

/// Scalars of a buffer for messages (8 MiB in double precision). Longer vectors are sent in parts,
/// so that the memory of buffers is bounded, and counts are far below the limit `2^31` of MPI.
const BUFFER: usize = 1 << 20;

/// The exit code of a job that ends because of a panic: that of a panic in Rust.
const PANICKED: i32 = 101;

/// The ranks of a communicator of MPI, which sum by its all-reduce.
///
/// ```no_run
/// use wasserflow::mpi::{Threading, initialize_with_threading};
/// use wasserflow::prelude::*;
/// use wasserflow::ranks::MpiRanks;
///
/// // The program starts and ends MPI. The universe is dropped last.
/// let (universe, _) = initialize_with_threading(Threading::Serialized).ok_or("MPI runs already")?;
/// let mut ranks = MpiRanks::new(&universe.world())?;
/// let mut x = [1.0];
/// ranks.sum(&mut x);
/// assert_eq!(x[0], ranks.size() as f64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The communicator is duplicated, so that messages of the program are never confused with those of
/// the ranks. MPI is neither initialised nor finalised. All calls, and the drop, are collective: all
/// ranks make them in the same order. Values can be sent to other threads, of which one at a time
/// may call MPI, unless the level of threads is `Multiple`.
///
/// # Laws
/// - `sum` has the same bits on all ranks: MPI requires it of its all-reduce (MPI 3.1, section
///   5.9.6), and `.ci/mpi` tests it on Open MPI. They may depend on the number of ranks, their
///   placement and the library. [`in_rank_order`](Self::in_rank_order) removes all of this but the
///   first.
/// - A panic on one rank ends the job: the drop of a value during a panic aborts it, with exit code
///   101. A caught panic does not: the other ranks then wait.
///
/// # Cost
/// For n scalars on P ranks: one copy of the vector, and the all-reduce of the library, usually
/// `O(alpha log P + beta n)` with latency `alpha` and `beta` seconds a scalar. `gather` sends every
/// number once.
///
/// Source: Message Passing Interface Forum, *MPI: A Message-Passing Interface Standard*.
pub struct MpiRanks<T> {
    /// The number of the communicator in [`Communicators`].
    key: usize,
    rank: usize,
    size: usize,
    in_rank_order: bool,
    send: Vec<T>,
    receive: Vec<T>,
}

/// The reason why ranks on MPI are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MpiRanksError {
    /// MPI is not initialised, or already finalised.
    #[error("MPI must be initialised and not finalised: keep the universe until the end")]
    NotRunning,
    /// A rank does not allow calls of MPI from several threads, one at a time.
    #[error(
        "level of threads must be at least Serialized on all ranks, found {found:?}: \
         use mpi::initialize_with_threading"
    )]
    Threads {
        /// The lowest level of all ranks.
        found: Threading,
    },
}

impl<T> MpiRanks<T> {
    /// The ranks of `communicator`, which is duplicated. A collective call.
    ///
    /// T is `f64` or `f32`.
    ///
    /// # Errors
    /// [`MpiRanksError`]: MPI is not running, or the level of threads of a rank is below
    /// `Serialized`, which is the same error on all ranks. That level is required because threads of
    /// a pool, such as that of `rayon`, may run a flow.
    pub fn new(communicator: &SimpleCommunicator) -> Result<Self, MpiRanksError> {
        const LEVELS: [Threading; 4] = [
            Threading::Single,
            Threading::Funneled,
            Threading::Serialized,
            Threading::Multiple,
        ];
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        if !is_running() {
            return Err(MpiRanksError::NotRunning);
        }
        let duplicate = communicator.duplicate();
        let supported = mpi::environment::threading_support();
        let level = LEVELS.iter().filter(|&&level| level < supported).count() as i32;
        let mut lowest = level;
        duplicate.all_reduce_into(&level, &mut lowest, SystemOperation::min());
        let found = LEVELS[lowest as usize];
        if found < Threading::Serialized {
            return Err(MpiRanksError::Threads { found });
        }
        let (rank, size) = (duplicate.rank() as usize, duplicate.size() as usize);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        Communicators::insert(key, duplicate);
        Ok(Self {
            key,
            rank,
            size,
            in_rank_order: false,
            send: Vec::new(),
            receive: Vec::new(),
        })
    }

    /// Adds the terms of every sum in the order of the ranks: `((x_0 + x_1) + x_2) + ..`.
    ///
    /// The result then depends on the number of ranks only, and not on the library or the placement
    /// of the ranks. To be set on all ranks alike.
    ///
    /// Every rank receives its section of the vectors of all ranks, adds them, and sends the sums to
    /// all. For n scalars on P ranks it sends `2 n (P - 1) / P` scalars in two collective calls. An
    /// all-reduce sends as many, in one.
    #[must_use]
    pub fn in_rank_order(mut self) -> Self {
        self.in_rank_order = true;
        self
    }
}

/// Scalars of which MPI has a type and a sum.
trait Scalar: Real + mpi::traits::Equivalence {}
impl Scalar for f32 {}
impl Scalar for f64 {}

impl<T: Scalar> AllReduce<T> for MpiRanks<T> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&mut self, x: &mut [T]) {
        if self.size == 1 || x.is_empty() {
            return;
        }
        let communicator = Communicators::get(self.key);
        if self.in_rank_order {
            sum_in_rank_order(self, &communicator, x);
            return;
        }
        for x in x.chunks_mut(BUFFER) {
            self.send.clear();
            self.send.extend_from_slice(x);
            communicator.all_reduce_into(&self.send[..], x, SystemOperation::sum());
        }
    }

    fn gather(&mut self, x: &[T]) -> Vec<T> {
        if self.size == 1 {
            return x.to_vec();
        }
        let communicator = Communicators::get(self.key);
        let mut lengths = vec![0_u64; self.size];
        communicator.all_gather_into(&(x.len() as u64), &mut lengths[..]);
        let lengths: Vec<_> = lengths.into_iter().map(|length| length as usize).collect();
        let mut all = vec![T::zero(); lengths.iter().sum()];
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let part = (BUFFER / self.size).max(1);
        for first in (0..longest).step_by(part) {
            // The part of a vector of this length that is sent in this round.
            let range = |length: usize| first.min(length)..(first + part).min(length);
            let counts: Vec<_> = lengths.iter().map(|&n| range(n).len() as Count).collect();
            let starts: Vec<_> = prefix_sums(&counts).collect();
            let total = counts.iter().sum::<Count>() as usize;
            self.receive.resize(total, T::zero());
            let mut sections = PartitionMut::new(&mut self.receive[..], &counts[..], &starts[..]);
            communicator.all_gather_varcount_into(&x[range(x.len())], &mut sections);
            for ((origin, &n), &start) in prefix_sums(&lengths).zip(&lengths).zip(&starts) {
                let range = range(n);
                let section = &self.receive[start as usize..][..range.len()];
                all[origin..][range].copy_from_slice(section);
            }
        }
        all
    }
}

/// Replaces `x[l]` by its sum over the ranks in their order.
fn sum_in_rank_order<T: Scalar>(
    ranks: &mut MpiRanks<T>,
    communicator: &SimpleCommunicator,
    x: &mut [T],
) {
    let (send, receive) = (&mut ranks.send, &mut ranks.receive);
    for x in x.chunks_mut((BUFFER / ranks.size).max(1) * ranks.size) {
        // Rank r adds section r of the vectors, which are filled up to equal sections.
        let section = x.len().div_ceil(ranks.size);
        send.clear();
        send.extend_from_slice(x);
        send.resize(section * ranks.size, T::zero());
        receive.resize(send.len(), T::zero());
        communicator.all_to_all_into(&send[..], &mut receive[..]);
        let (sums, others) = receive.split_at_mut(section);
        for terms in others.chunks_exact(section) {
            for (sum, &term) in sums.iter_mut().zip(terms) {
                *sum += term;
            }
        }
        communicator.all_gather_into(&*sums, &mut send[..]);
        x.copy_from_slice(&send[..x.len()]);
    }
}

/// The sum of all preceding lengths, for every length.
fn prefix_sums<N: Copy + Default + std::ops::Add<Output = N>>(
    lengths: &[N],
) -> impl Iterator<Item = N> {
    lengths.iter().scan(N::default(), |sum, &length| {
        let start = *sum;
        *sum = start + length;
        Some(start)
    })
}

impl<T> Drop for MpiRanks<T> {
    fn drop(&mut self) {
        if !is_running() {
            return; // MPI has freed the communicator
        }
        if thread::panicking() {
            Communicators::get(self.key).abort(PANICKED);
        }
        Communicators::remove(self.key);
    }
}

impl<T> fmt::Debug for MpiRanks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MpiRanks")
            .field("rank", &self.rank)
            .field("size", &self.size)
            .field("in_rank_order", &self.in_rank_order)
            .finish_non_exhaustive()
    }
}

fn is_running() -> bool {
    mpi::is_initialized() && !mpi::is_finalized()
}

/// The communicators of all [`MpiRanks`] of this process, by their numbers.
///
/// They are an attribute of `MPI_COMM_SELF`, by which a library keeps its communicators on any
/// thread. MPI deletes attributes of `MPI_COMM_SELF` when it is finalised (MPI 3.1, section 8.7.1),
/// so that values of `MpiRanks` that are dropped later have nothing to free. The handle of Open MPI
/// is a pointer, and its Rust type is not `Send`.
#[derive(Default)]
struct Communicators(Mutex<HashMap<usize, Arc<SimpleCommunicator>>>);

/// A copy is required by the trait of attributes. It is never made, because duplicates of a
/// communicator do not receive the attribute.
impl Clone for Communicators {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl CommAttribute for Communicators {}

impl Communicators {
    fn with<R>(f: impl FnOnce(MutexGuard<'_, HashMap<usize, Arc<SimpleCommunicator>>>) -> R) -> R {
        static SET: Once = Once::new();
        let mut this_process = SimpleCommunicator::self_comm();
        SET.call_once(|| this_process.set_attr(Self::default()));
        let communicators = this_process.get_attr::<Self>().expect("it was set");
        f(communicators
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn insert(key: usize, communicator: SimpleCommunicator) {
        #[expect(
            clippy::arc_with_non_send_sync,
            reason = "MPI allows calls on any thread"
        )]
        let communicator = Arc::new(communicator);
        Self::with(|mut communicators| communicators.insert(key, communicator));
    }

    fn get(key: usize) -> Arc<SimpleCommunicator> {
        Self::with(|communicators| Arc::clone(&communicators[&key]))
    }

    fn remove(key: usize) {
        // Freed after the lock is released: the call is collective, and may wait for other ranks.
        drop(Self::with(|mut communicators| communicators.remove(&key)));
    }
}
