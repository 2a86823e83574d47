//! Checkpoints: the state of a run in a file, from which it resumes.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Observer, StopReason};
use crate::io::{self, Element, FileError, Format};
use crate::ranks::{AllReduce, indicator};
use crate::real::Real;
use crate::span::span;
use crate::state::State;

/// Writes the state to a file every k steps, or whenever a time has passed.
///
/// A run that is killed at any moment resumes from its file, and ends with the bits of the
/// uninterrupted run: the state contains all that varies, and results do not depend on the number
/// of threads. The energy has to be deterministic, or its samples a function of the step.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::Checkpoint;
/// use wasserflow::prelude::*;
///
/// let path = std::env::temp_dir().join(format!("wasserflow-doc-{}.safetensors", std::process::id()));
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
///
/// let mut state = match Checkpoint::resume(&path) {
///     Err(error) if error.is_not_found() => {
///         flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?
///     }
///     resumed => resumed?,
/// };
/// let rest = 100 - state.step();
/// flow.run(&mut state, rest, &mut Checkpoint::every_steps(&path, 10)?)?;
/// assert_eq!(Checkpoint::resume::<f64>(&path)?.to_parts(), state.to_parts());
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The first state of a run is written too, so that a path that is not writable is reported at
/// once. The file is replaced as by [`io::write`](crate::io::write): it is complete at every moment.
/// One run writes to a path at a time: the temporary files of killed runs are removed.
///
/// If a file cannot be written, the run stops with [`StopReason::NotSaved`], and
/// [`error`](Self::error) is the reason. The state in memory is then that of the last step.
///
/// # Ranks
/// If the particles are distributed over ranks, [`gathered`](Self::gathered) writes the whole state
/// to one file, from which a run resumes on any number of ranks.
///
/// Cost: a copy of the state, its file, and waiting for the disk.
#[derive(Debug)]
pub struct Checkpoint<R = ()> {
    path: PathBuf,
    period: Period,
    ranks: R,
    /// The time of the last file of this observer.
    written: Option<Instant>,
    error: Option<FileError>,
}

/// When to write.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Period {
    Steps(usize),
    Time(Duration),
}

/// The path and the period are stored, not what the observer has written.
#[cfg(feature = "serde")]
mod encoded {
    use std::path::{Path, PathBuf};

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Checkpoint, Period};

    #[derive(Serialize, Deserialize)]
    #[serde(rename = "Checkpoint")]
    struct Settings<P> {
        path: P,
        period: Period,
    }

    impl Serialize for Checkpoint {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let (path, period): (&Path, _) = (&self.path, self.period);
            Settings { path, period }.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Checkpoint {
        fn deserialize<D: Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
            let Settings::<PathBuf> { path, period } = Settings::deserialize(decoder)?;
            if matches!(period, Period::Steps(0)) {
                return Err(D::Error::custom("the period must be at least 1, found 0"));
            }
            Self::new(&path, period).map_err(D::Error::custom)
        }
    }
}

impl Checkpoint {
    /// Writes the states of the steps k, 2k, .. to `path`, `.safetensors` or `.npz`. A period of 0
    /// is replaced by 1.
    ///
    /// # Errors
    /// [`FileError::Content`] if the path has another extension.
    pub fn every_steps(path: impl AsRef<Path>, k: usize) -> Result<Self, FileError> {
        Self::new(path.as_ref(), Period::Steps(k.max(1)))
    }

    /// Writes a state to `path`, `.safetensors` or `.npz`, after the first step that ends at least
    /// `period` after the last file.
    ///
    /// # Errors
    /// [`FileError::Content`] if the path has another extension.
    pub fn every_period(path: impl AsRef<Path>, period: Duration) -> Result<Self, FileError> {
        Self::new(path.as_ref(), Period::Time(period))
    }

    fn new(path: &Path, period: Period) -> Result<Self, FileError> {
        Format::of(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            period,
            ranks: (),
            written: None,
            error: None,
        })
    }

    /// The observer of a run whose particles are distributed over ranks. The states of all ranks are
    /// [collected](State::collect), and rank 0 writes one file.
    ///
    /// All ranks construct it with the same period, and observe the same states. A run resumes on any
    /// number of ranks by [`State::share`]. The clock of rank 0 decides when a period has passed,
    /// which takes a message a step; a period in steps takes none. If rank 0 cannot write the file,
    /// it stops the run of all ranks.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::observe::Checkpoint;
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let path = std::env::temp_dir().join(format!("wasserflow-ranks-{}.npz", std::process::id()));
    /// let energy = || PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    /// let whole = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 2.0]))?;
    /// let run = |rank: Rank<f64>| {
    ///     let mut flow = ParticleFlow::new(energy().distributed(rank.clone()), Euler, 0.5).unwrap();
    ///     let mut state = flow.start(whole.share(&rank)).unwrap();
    ///     let mut checkpoint = Checkpoint::every_steps(&path, 2).unwrap().gathered(rank);
    ///     flow.run(&mut state, 2, &mut checkpoint).unwrap();
    /// };
    /// std::thread::scope(|scope| {
    ///     Rank::group(2).into_iter().for_each(|rank| drop(scope.spawn(|| run(rank))));
    /// });
    /// let resumed = Checkpoint::resume::<f64>(&path)?;
    /// assert_eq!(resumed.measure().points().as_slice(), &[0.25, 0.5]);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn gathered<R>(self, ranks: R) -> Checkpoint<R> {
        Checkpoint {
            path: self.path,
            period: self.period,
            ranks,
            written: self.written,
            error: self.error,
        }
    }

    /// The state of a file.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read, or is not a state of the scalar type T;
    /// [`FileError::is_not_found`] is true before the first file.
    pub fn resume<T: Element>(path: impl AsRef<Path>) -> Result<State<T>, FileError> {
        io::read(path)
    }
}

impl<R> Checkpoint<R> {
    /// Writes a state now, for example the last one of a run. All ranks call it.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be written.
    pub fn save<T: Element>(&mut self, state: &State<T>) -> Result<(), FileError>
    where
        R: AllReduce<T>,
    {
        span!(
            DEBUG,
            "checkpoint",
            path = tracing::field::debug(&self.path),
            step = state.step()
        );
        let is_first = self.written.is_none();
        let write = |state: &State<T>| {
            if is_first {
                io::remove_leftovers(&self.path);
            }
            io::write(&self.path, state)
        };
        if self.ranks.size() > 1 {
            let whole = state.collect(&mut self.ranks);
            // Also after a failure: the next file has to be due on all ranks at once.
            self.written = Some(Instant::now());
            return match self.ranks.rank() {
                0 => write(&whole),
                _ => Ok(()),
            };
        }
        write(state)?;
        self.written = Some(Instant::now());
        Ok(())
    }

    /// Returns true if a file is due, the same on all ranks.
    fn is_due<T: Real>(&mut self, step: usize) -> bool
    where
        R: AllReduce<T>,
    {
        match (self.written, self.period) {
            (None, _) => true,
            (Some(_), Period::Steps(k)) => step.is_multiple_of(k),
            (Some(written), Period::Time(period)) => {
                let own = self.ranks.rank() == 0 && written.elapsed() >= period;
                let mut due = [indicator::<T>(own)];
                self.ranks.sum(&mut due);
                due[0] > T::zero()
            }
        }
    }

    /// The error that stopped the last run, if there is one.
    pub fn error(&self) -> Option<&FileError> {
        self.error.as_ref()
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<T: Element, R: AllReduce<T>> Observer<T> for Checkpoint<R> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        self.error = if self.is_due(state.step()) {
            self.save(state).err()
        } else {
            None
        };
        match self.error {
            Some(_) => ControlFlow::Break(StopReason::NotSaved),
            None => ControlFlow::Continue(()),
        }
    }
}
