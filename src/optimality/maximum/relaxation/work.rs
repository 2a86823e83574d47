//! The work of a relaxation, in multiplications and additions.

/// The operations of one bound at most, some seconds to some tens of seconds of one thread.
const OPERATIONS: f64 = (1_u64 << 36) as f64;

/// The operations of a factorisation relative to `d^3`.
const FACTORISATION: f64 = 1.0 / 3.0;

/// The operations that remain.
#[derive(Debug, Clone, Copy)]
pub(in crate::optimality) struct Work {
    left: f64,
}

impl Work {
    /// The work of one bound, or of bounds that share it.
    pub(in crate::optimality) fn new() -> Self {
        Self { left: OPERATIONS }
    }

    #[cfg(test)]
    pub(super) fn with_operations(left: f64) -> Self {
        Self { left }
    }

    #[cfg(test)]
    pub(super) fn left(self) -> f64 {
        self.left
    }

    /// Takes operations; returns false, and takes none, if fewer are left.
    pub(super) fn take(&mut self, operations: f64) -> bool {
        let enough = operations <= self.left;
        if enough {
            self.left -= operations;
        }
        enough
    }

    /// Takes a half, to be returned by [`add`](Self::add).
    pub(super) fn split(&mut self) -> Self {
        self.left *= 0.5;
        *self
    }

    /// Returns what a part did not need.
    pub(super) fn add(&mut self, part: Self) {
        self.left += part.left;
    }
}

/// The sizes of a relaxation, and the operations of its parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) d: f64,
    pub(super) n: f64,
    pub(super) k: f64,
}

impl Sizes {
    pub(super) fn new(d: usize, n: usize, k: usize) -> Self {
        let [d, n, k] = [d, n, k].map(|size| size as f64);
        Self { d, n, k }
    }

    /// S, its factorisation, and the solution for L.
    pub(super) fn point(self) -> f64 {
        let Self { d, n, k } = self;
        d * d * (2.0 * n + FACTORISATION * d + 4.0 * k) + 4.0 * d * n * k
    }

    /// The gradient and the preconditioner.
    pub(super) fn model(self) -> f64 {
        let Self { d, n, k } = self;
        d * d * (3.0 * n + FACTORISATION * d + k) + 6.0 * d * n * k
    }

    /// One product with the Hessian, and one with its preconditioner.
    pub(super) fn product(self) -> f64 {
        let Self { d, n, k } = self;
        4.0 * d * d * n + 8.0 * d * n * k
    }

    /// The bound with its rounding errors, for one factorisation and up to `trials` more.
    pub(super) fn proof(self, trials: usize) -> f64 {
        let Self { d, n, k } = self;
        self.point() + trials as f64 * FACTORISATION * d * d * d + d * d * 8.0 * k + 2.0 * n * k * k
    }

    /// An orthonormal basis of n samples, `n < d`, and the coordinates of all of them.
    pub(super) fn basis(self) -> f64 {
        let Self { d, n, k } = self;
        8.0 * d * n * n + 2.0 * d * n * k
    }
}
