//! Ranks as threads of one process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::ranks::AllReduce;
use crate::real::Real;

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
