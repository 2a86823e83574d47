//! The work that a certificate may spend on the maximum over the sphere.

use std::time::{Duration, Instant};

use crate::error::ParameterError;

/// The relative tolerance by default: near the rounding error of the bounds. In branch and bound
/// the number of cells grows with the logarithm of its reciprocal, and 1e-6 saves a tenth.
const DEFAULT_TOLERANCE: f64 = 1e-14;

/// The inverse of the part of a time limit that is kept for the end of a search, in which its cells
/// are freed: 1.2 to 2.6 % were measured for 0.2 to 5 s in 5 and 6 dimensions.
const RESERVED: u32 = 50;

/// The cells by default: enough for 200 samples in 5 dimensions; a second for a thousand of them.
const DEFAULT_CELLS: usize = 1 << 16;

/// The limits of the proof behind a certificate: tolerance, cells, time.
///
/// The bounds `lower <= max |g| <= upper` are computed until
/// `upper <= (1 + tolerance) lower`, up to rounding, until branch and bound has processed `cells`
/// cells, or until the time limit. Every limit leaves the bounds valid.
///
/// The work of a relaxation is limited too, to `2^36` multiplications and additions for each bound:
/// some seconds to some tens of seconds of one thread. A Newton step takes about `25 n d^2`. The
/// limit ends the minimisation early; if `n d^2` is above about `2^32`, the bound is that by the sizes
/// of the terms.
///
/// Tolerance and cells are reproducible. The time limit is not: two runs may stop at different
/// bounds. It is ignored if particles are distributed over ranks, which must agree.
///
/// ```
/// use std::time::Duration;
/// use wasserflow::optimality::Effort;
///
/// let effort = Effort::new(1e-6, 10_000)?.with_time_limit(Duration::from_secs(1));
/// assert_eq!((effort.tolerance(), effort.cells()), (1e-6, 10_000));
/// assert_eq!(effort.time_limit(), Some(Duration::from_secs(1)));
/// assert_eq!(Effort::default().time_limit(), None);
/// assert!(Effort::new(-1.0, 10_000).is_err());
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Effort {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_tolerance"))]
    tolerance: f64,
    cells: usize,
    time_limit: Option<Duration>,
}

#[cfg(feature = "serde")]
fn decode_tolerance<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<f64, D::Error> {
    crate::encoding::checked(decoder, |&tolerance| Effort::new(tolerance, 0).map(drop))
}

impl Effort {
    /// The effort of the given relative tolerance, `0 <= tolerance < 1`, and number of cells.
    ///
    /// The tolerance 0 requests bounds that differ by rounding errors. With 0 cells the upper bound
    /// for d >= 3 is that of a relaxation.
    ///
    /// # Errors
    /// [`ParameterError`] unless `0 <= tolerance < 1`.
    pub fn new(tolerance: f64, cells: usize) -> Result<Self, ParameterError> {
        let holds = (0.0..1.0).contains(&tolerance);
        ParameterError::check(holds, "tolerance", ">= 0 and below 1", tolerance)?;
        Ok(Self {
            tolerance,
            cells,
            time_limit: None,
        })
    }

    /// The same effort with a time limit for each certificate.
    ///
    /// Results under a time limit depend on the speed of the machine. A fiftieth of the limit is kept
    /// for the end of the search; one cell or one Newton step is not interrupted.
    pub fn with_time_limit(self, limit: Duration) -> Self {
        Self {
            time_limit: Some(limit),
            ..self
        }
    }

    /// The relative tolerance of the bounds.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// The number of cells of branch and bound at most.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// The time limit, if one was set.
    pub fn time_limit(&self) -> Option<Duration> {
        self.time_limit
    }

    /// The limits of a computation that starts now.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            tolerance: self.tolerance,
            cells: self.cells,
            deadline: self
                .time_limit
                .and_then(|limit| Instant::now().checked_add(limit - limit / RESERVED)),
        }
    }
}

/// Tolerance `1e-14`, `2^16` cells, and no time limit.
impl Default for Effort {
    fn default() -> Self {
        Self {
            tolerance: DEFAULT_TOLERANCE,
            cells: DEFAULT_CELLS,
            time_limit: None,
        }
    }
}

/// The limits of one maximisation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The relative tolerance of the bounds.
    pub(super) tolerance: f64,
    /// The number of cells at most.
    pub(super) cells: usize,
    /// The time at which to stop.
    pub(super) deadline: Option<Instant>,
}

impl Limits {
    /// Returns true if the time limit is exceeded.
    pub(super) fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}
