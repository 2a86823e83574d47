//! Width studies: how often, and how far, a flow of m particles succeeds, over many seeds.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What the runs of one width m came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Width {
    /// The number of particles, m.
    pub particles: usize,
    /// What each seed came to, in the order of the seeds: the excess energy of the run, say. NaN counts as a failure.
    pub values: Vec<f64>,
}

impl Width {
    /// The number of seeds whose value is at most `threshold`.
    pub fn successes(&self, threshold: f64) -> usize {
        self.values
            .iter()
            .filter(|&&value| value <= threshold)
            .count()
    }

    /// The success rate with its 95 % interval, `(rate, low, high)`, by [`wilson`].
    ///
    /// ```
    /// use wasserflow::study::Width;
    ///
    /// let width = Width { particles: 5, values: vec![0.0, 1.0, 0.0, f64::NAN] };
    /// let (rate, low, high) = width.success_rate(1e-3);
    /// assert_eq!(rate, 0.5);
    /// assert!(low < 0.2 && high > 0.8);
    /// ```
    pub fn success_rate(&self, threshold: f64) -> (f64, f64, f64) {
        let (successes, trials) = (self.successes(threshold), self.values.len());
        let (low, high) = wilson(successes, trials);
        (successes as f64 / trials as f64, low, high)
    }

    /// The lower median of the values; NaN sorts last.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
            .get(sorted.len().saturating_sub(1) / 2)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// Runs `run(m, seed)` for every width and seed, on all cores; the result does not depend on how many there are.
///
/// Returns each width with what its seeds came to, in their order.
///
/// ```
/// let runs = wasserflow::study::runs(&[5, 10], 0..3, |m, seed| Ok::<_, ()>((m, seed)))?;
/// assert_eq!(runs[1], (10, vec![(10, 0), (10, 1), (10, 2)]));
/// # Ok::<(), ()>(())
/// ```
///
/// # Errors
/// The first of `run`, in the order of widths and then seeds.
///
/// # Panics
/// When `run` does.
pub fn runs<R: Send, E: Send>(
    widths: &[usize],
    seeds: Range<u64>,
    run: impl Fn(usize, u64) -> Result<R, E> + Sync,
) -> Result<Vec<(usize, Vec<R>)>, E> {
    // Widths differ in cost: the last, as a rule the longest, are handed out first.
    let tasks: Vec<(usize, u64)> = widths
        .iter()
        .flat_map(|&m| seeds.clone().map(move |seed| (m, seed)))
        .collect();
    let results = Mutex::new(
        tasks
            .iter()
            .map(|_| None)
            .collect::<Vec<Option<Result<R, E>>>>(),
    );
    let taken = AtomicUsize::new(0);
    let work = || {
        while let Some(task) = tasks
            .len()
            .checked_sub(1 + taken.fetch_add(1, Ordering::Relaxed))
        {
            let (m, seed) = tasks[task];
            let result = run(m, seed);
            results.lock().unwrap_or_else(PoisonError::into_inner)[task] = Some(result);
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(tasks.len());
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));

    let mut results = results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .flatten();
    let each = seeds.count();
    widths
        .iter()
        .map(|&m| Ok((m, results.by_ref().take(each).collect::<Result<_, E>>()?)))
        .collect()
}

/// [`runs`] whose result is a number, such as the excess energy at the end.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // A rectifier network on the line learns |x|: one neuron cannot, 20 can.
/// let widths = study::width(&[1, 20], 0..8, |m, seed| -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
///     let x = DMatrix::from_row_slice(1, 4, &[-2.0, -1.0, 1.0, 2.0]);
///     let risk = EmpiricalRisk::new(Square, x.clone(), DVector::from_fn(4, |j, _| f64::abs(x[j])))?;
///     let mut flow = ParticleFlow::new(MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?, Euler, 0.1)?;
///     let mut state = flow.start(init::sphere(2, m, &mut ChaCha8Rng::seed_from_u64(seed))?)?;
///     flow.run(&mut state, 500, &mut ())?;
///     Ok(state.energy())
/// })?;
/// assert_eq!((widths[0].successes(1e-6), widths[1].successes(1e-6)), (0, 8));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// # Errors
/// As [`runs`].
pub fn width<E: Send>(
    widths: &[usize],
    seeds: Range<u64>,
    run: impl Fn(usize, u64) -> Result<f64, E> + Sync,
) -> Result<Vec<Width>, E> {
    let runs = runs(widths, seeds, run)?;
    Ok(runs
        .into_iter()
        .map(|(particles, values)| Width { particles, values })
        .collect())
}

/// The slope s of `mean value ~ m^s`: least squares of the logarithms, over widths whose mean is positive and finite. NaN below two widths.
///
/// With the distance to a run of many particles as the value, this is the rate of propagation of chaos.
///
/// ```
/// use wasserflow::study::{Width, self};
///
/// let width = |m: usize| Width { particles: m, values: vec![0.9 / (m as f64).sqrt(), 1.1 / (m as f64).sqrt()] };
/// assert!((study::slope(&[width(10), width(100), width(1000)]) + 0.5).abs() < 1e-12);
/// ```
pub fn slope(widths: &[Width]) -> f64 {
    let logarithms = |width: &Width| {
        let mean = width.values.iter().sum::<f64>() / width.values.len() as f64;
        (mean > 0.0 && mean.is_finite()).then(|| ((width.particles as f64).ln(), mean.ln()))
    };
    let points: Vec<(f64, f64)> = widths.iter().filter_map(logarithms).collect();
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| {
        (x + point.0 / n, y + point.1 / n)
    });
    let (xy, xx) = points.iter().fold((0.0, 0.0), |(xy, xx), p| {
        (xy + (p.0 - x) * (p.1 - y), xx + (p.0 - x).powi(2))
    });
    xy / xx
}

/// The 95 % interval of Wilson for a success rate, `(low, high)`, from `successes` of `trials`; `(0, 1)` without trials.
///
/// ```
/// let (low, high) = wasserflow::study::wilson(0, 20);
/// assert_eq!(low, 0.0);
/// assert!((high - 0.161).abs() < 1e-3);
/// ```
///
/// Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
pub fn wilson(successes: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    const Z: f64 = 1.959_963_984_540_054;
    let n = trials as f64;
    let rate = successes as f64 / n;
    let centre = rate + Z * Z / (2.0 * n);
    let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (
        ((centre - half) / scale).max(0.0),
        ((centre + half) / scale).min(1.0),
    )
}
