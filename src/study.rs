//! Width studies: success rates and values of flows of m particles, over many seeds.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The results of the runs of one width m.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Width {
    /// The number of particles, m.
    pub particles: usize,
    /// The value of each seed, for instance the excess energy at the end of its run, in the order
    /// of the seeds. NaN counts as a failure.
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

    /// The success rate with its 95 % confidence interval, `(rate, low, high)`, by [`wilson`].
    ///
    /// A run is successful if its value is at most `threshold`. Without runs the rate is NaN.
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

    /// The lower median of the values, with NaN above all numbers; NaN without values.
    ///
    /// ```
    /// use wasserflow::study::Width;
    ///
    /// let width = Width { particles: 5, values: vec![-f64::NAN, 2.0, 1.0] };
    /// assert_eq!(width.median(), 2.0); // whatever the sign of NaN
    /// ```
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
        let middle = sorted.len().saturating_sub(1) / 2;
        sorted.get(middle).copied().unwrap_or(f64::NAN)
    }
}

/// Runs `run(m, seed)` for every width and seed, on all cores.
///
/// Returns each width with the results of its seeds, in their order, whatever the number of cores.
///
/// ```
/// let runs = wasserflow::study::runs(&[5, 10], 0..3, |m, seed| Ok::<_, ()>((m, seed)))?;
/// assert_eq!(runs[1], (10, vec![(10, 0), (10, 1), (10, 2)]));
/// # Ok::<(), ()>(())
/// ```
///
/// # Errors
/// The first error of `run`, in the order of widths and then seeds.
///
/// # Panics
/// If `run` panics.
pub fn runs<R: Send, E: Send>(
    widths: &[usize],
    seeds: Range<u64>,
    run: impl Fn(usize, u64) -> Result<R, E> + Sync,
) -> Result<Vec<(usize, Vec<R>)>, E> {
    let of_width = |&m: &usize| seeds.clone().map(move |seed| (m, seed));
    let tasks: Vec<(usize, u64)> = widths.iter().flat_map(of_width).collect();
    let results: Mutex<Vec<Option<Result<R, E>>>> =
        Mutex::new(tasks.iter().map(|_| None).collect());
    let started = AtomicUsize::new(0);
    // The last tasks start first: widths usually ascend, and a long run that starts last would
    // leave the other cores idle.
    let next = || {
        let started = started.fetch_add(1, Ordering::Relaxed);
        tasks.len().checked_sub(1 + started)
    };
    let work = || {
        while let Some(task) = next() {
            let (m, seed) = tasks[task];
            let result = run(m, seed);
            results.lock().unwrap_or_else(PoisonError::into_inner)[task] = Some(result);
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(tasks.len());
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));

    let results = results.into_inner();
    let results = results.unwrap_or_else(PoisonError::into_inner);
    let mut results = results.into_iter().flatten();
    let count = seeds.count();
    let of_width = |&m: &usize| Ok((m, results.by_ref().take(count).collect::<Result<_, E>>()?));
    widths.iter().map(of_width).collect()
}

/// A study of [`runs`] whose result is a number, such as the excess energy at the end.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// type Error = Box<dyn std::error::Error + Send + Sync>;
///
/// // Rectifier networks on the line fit |x|: networks of one neuron fail, those of 20 succeed.
/// let widths = study::width(&[1, 20], 0..8, |m, seed| -> Result<f64, Error> {
///     let x = DMatrix::from_row_slice(1, 4, &[-2.0, -1.0, 1.0, 2.0]);
///     let y = DVector::from_fn(4, |j, _| f64::abs(x[j]));
///     let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), EmpiricalRisk::new(Square, x, y)?)?;
///     let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
///     let mut state = flow.start(init::sphere(2, m, &mut ChaCha8Rng::seed_from_u64(seed))?)?;
///     flow.run(&mut state, 500, &mut ())?;
///     Ok(state.energy())
/// })?;
/// assert_eq!((widths[0].successes(1e-6), widths[1].successes(1e-6)), (0, 8));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Those of [`runs`].
///
/// # Panics
/// If `run` panics.
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

/// The slope s of `mean value ~ m^s`, by least squares of the logarithms.
///
/// Widths whose mean is not positive and finite are omitted; NaN with fewer than two widths. If the
/// value is the distance to a run of many particles, the slope is the rate of propagation of chaos.
///
/// ```
/// use wasserflow::study::{self, Width};
///
/// let width = |m: usize| {
///     let rate = (m as f64).powf(-0.5);
///     Width { particles: m, values: vec![0.9 * rate, 1.1 * rate] }
/// };
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

/// The Wilson score interval `(low, high)` at 95 % for a success rate; `(0, 1)` without trials.
///
/// With z = 1.96, rate r and n trials:
/// `(r + z^2 / 2n -+ z (r (1 - r) / n + z^2 / 4n^2)^(1/2)) / (1 + z^2 / n)`.
///
/// ```
/// let (low, high) = wasserflow::study::wilson(0, 20);
/// assert_eq!(low, 0.0);
/// assert!((high - 0.161).abs() < 1e-3);
/// ```
///
/// # Panics
/// If `successes > trials`.
///
/// Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, J.
/// Am. Stat. Assoc. 22 (1927).
pub fn wilson(successes: usize, trials: usize) -> (f64, f64) {
    assert!(
        successes <= trials,
        "successes must be at most trials = {trials}, found {successes}"
    );
    if trials == 0 {
        return (0.0, 1.0);
    }
    // The 97.5 % quantile of the standard normal distribution.
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
