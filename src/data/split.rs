//! Splits of the samples into a training part and a test part.
//!
//! A permutation is that of Fisher and Yates (R. Durstenfeld, Algorithm 235, 1964): for i from the
//! last index down to 1, the entries i and j are exchanged, with j uniform in `0..=i`. The
//! generator is SplitMix64 from the state `seed xor STREAM`; j is the upper half of the product of
//! 64 random bits and `i + 1`, whose deviation from uniformity is below `n / 2^64`.

use nalgebra::DMatrix;

use super::labels::check_indices;
use super::{DataError, Labels};
use crate::error::{ParameterError, ShapeError, is_allocatable};
use crate::numeric::splitmix::SplitMix64;
use crate::real::Real;

/// Separates the sequence of splits from others that start from the same seed.
const STREAM: u64 = 0x5d2f_8a41_93c6_b70e;

/// A split of n samples: the indices of the training part and of the test part, both ascending.
///
/// # Laws
/// - The parts are not empty and disjoint; those of all constructors but [`new`](Self::new) cover
///   all samples.
/// - Equal arguments give equal splits, on all platforms and for any features.
///
/// ```
/// use wasserflow::data::Split;
///
/// let split = Split::random(10, 0.3, 7)?;
/// assert_eq!((split.train().len(), split.test().len()), (7, 3));
/// assert_eq!(split, Split::random(10, 0.3, 7)?);
/// # Ok::<(), wasserflow::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    samples: usize,
    train: Vec<usize>,
    test: Vec<usize>,
}

impl Split {
    /// The split of n `samples` into given parts, such as those of a published benchmark.
    ///
    /// The parts need not cover all samples.
    ///
    /// # Errors
    /// [`DataError::Empty`] for an empty part; [`DataError::Index`] for an index that is not below
    /// n or is listed twice.
    pub fn new(
        samples: usize,
        mut train: Vec<usize>,
        mut test: Vec<usize>,
    ) -> Result<Self, DataError> {
        for part in [&mut train, &mut test] {
            check_indices(part, samples)?;
            part.sort_unstable();
        }
        let mut all = [&train[..], &test[..]].concat();
        all.sort_unstable();
        if let Some(pair) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DataError::Index {
                what: "index of a sample",
                requirement: "listed once",
                found: pair[0],
            });
        }
        Ok(Self {
            samples,
            train,
            test,
        })
    }

    /// A random split of n `samples`, with the fraction `test` of them in the test part.
    ///
    /// The test part has `test n` samples, rounded to the nearest integer, ties upwards, and at
    /// least 1 and at most `n - 1`.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless `0 < test < 1` and `n >= 2` indices fit in memory.
    pub fn random(samples: usize, test: f64, seed: u64) -> Result<Self, DataError> {
        check_fraction(test)?;
        check_count("samples", samples, 2)?;
        let mut order: Vec<usize> = (0..samples).collect();
        shuffle(&mut order, &mut generator(seed));
        let train = order.split_off(test_count(samples, test));
        Self::new(samples, train, order)
    }

    /// A random split with the fraction `test` of every class in the test part.
    ///
    /// The test part has `test n_c` samples of class c, rounded as in [`random`](Self::random), so
    /// that both parts contain every class.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless `0 < test < 1`; [`DataError::Class`] for the first class
    /// with fewer than two samples.
    pub fn stratified(labels: &Labels, test: f64, seed: u64) -> Result<Self, DataError> {
        check_fraction(test)?;
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for mut members in shuffled_classes(labels, 2, seed)? {
            train.extend(members.split_off(test_count(members.len(), test)));
            held_out.extend(members);
        }
        Self::new(labels.len(), train, held_out)
    }

    /// The splits of a cross-validation of n `samples` with `folds` folds.
    ///
    /// Every sample is in the test part of one split. The sizes of the test parts differ by at most
    /// 1.
    ///
    /// ```
    /// use wasserflow::data::Split;
    ///
    /// let splits = Split::k_fold(10, 3, 7)?;
    /// let sizes: Vec<usize> = splits.iter().map(|split| split.test().len()).collect();
    /// assert_eq!(sizes, [4, 3, 3]);
    /// # Ok::<(), wasserflow::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless `2 <= folds <= n` and `folds n` indices fit in memory.
    pub fn k_fold(samples: usize, folds: usize, seed: u64) -> Result<Vec<Self>, DataError> {
        check_count("folds", folds, 2)?;
        let requirement = "at most the number of samples";
        ParameterError::check(folds <= samples, "folds", requirement, folds as f64)?;
        check_count("samples", samples.saturating_mul(folds), 2)?;
        let mut order: Vec<usize> = (0..samples).collect();
        shuffle(&mut order, &mut generator(seed));
        Self::dealt(samples, folds, order)
    }

    /// The splits of a cross-validation in which every fold has about the same number of samples of
    /// every class: they differ by at most 1, as do the sizes of the folds.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless `folds >= 2` and `folds n` indices fit in memory;
    /// [`DataError::Class`] for the first class with fewer than `folds` samples.
    pub fn stratified_k_fold(
        labels: &Labels,
        folds: usize,
        seed: u64,
    ) -> Result<Vec<Self>, DataError> {
        check_count("folds", folds, 2)?;
        check_count("samples", labels.len().saturating_mul(folds), 2)?;
        let classes = shuffled_classes(labels, folds, seed)?;
        Self::dealt(labels.len(), folds, classes.concat())
    }

    /// Deals the samples to the folds in turn.
    fn dealt(samples: usize, folds: usize, order: Vec<usize>) -> Result<Vec<Self>, DataError> {
        let split = |fold| {
            let (mut train, mut test) = (Vec::new(), Vec::new());
            for (position, &j) in order.iter().enumerate() {
                let part = if position % folds == fold {
                    &mut test
                } else {
                    &mut train
                };
                part.push(j);
            }
            Self::new(samples, train, test)
        };
        (0..folds).map(split).collect()
    }

    /// `n`, the number of samples that were split.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The indices of the training part, ascending.
    pub fn train(&self) -> &[usize] {
        &self.train
    }

    /// The indices of the test part, ascending.
    pub fn test(&self) -> &[usize] {
        &self.test
    }

    /// The columns of the training part and of the test part of a `d x n` matrix.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the number of columns is not n.
    pub fn columns<T: Real>(&self, x: &DMatrix<T>) -> Result<[DMatrix<T>; 2], DataError> {
        ShapeError::check("number of samples", self.samples, x.ncols())?;
        Ok([&self.train, &self.test].map(|part| x.select_columns(part)))
    }

    /// The labels of the training part and of the test part.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the number of labels is not n.
    pub fn labels(&self, labels: &Labels) -> Result<[Labels; 2], DataError> {
        ShapeError::check("number of labels", self.samples, labels.len())?;
        Ok([labels.select(&self.train)?, labels.select(&self.test)?])
    }
}

fn check_fraction(test: f64) -> Result<(), ParameterError> {
    let inside = 0.0 < test && test < 1.0;
    ParameterError::check(inside, "test fraction", "between 0 and 1", test)
}

/// Checks a number of indices: at least `least`, and such that they fit in memory.
fn check_count(name: &'static str, count: usize, least: usize) -> Result<(), ParameterError> {
    let requirement = "at least 2, and a number that fits in memory";
    let holds = count >= least && is_allocatable::<usize>(count, 1);
    ParameterError::check(holds, name, requirement, count as f64)
}

/// The number of test samples among `n >= 2`.
fn test_count(n: usize, test: f64) -> usize {
    ((test * n as f64 + 0.5).floor() as usize).clamp(1, n - 1)
}

/// The members of every class in random order; an error if a class has fewer than `required`.
fn shuffled_classes(
    labels: &Labels,
    required: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>, DataError> {
    let mut members = vec![Vec::new(); labels.classes().len()];
    for (j, &y) in labels.indices().iter().enumerate() {
        members[y].push(j);
    }
    let mut rng = generator(seed);
    for (members, class) in members.iter_mut().zip(labels.classes()) {
        let found = members.len();
        if found < required {
            return Err(DataError::Class {
                class: class.clone(),
                required,
                found,
            });
        }
        shuffle(members, &mut rng);
    }
    Ok(members)
}

fn generator(seed: u64) -> SplitMix64 {
    SplitMix64::new(seed ^ STREAM)
}

/// A random permutation (Fisher and Yates).
fn shuffle(indices: &mut [usize], rng: &mut SplitMix64) {
    for i in (1..indices.len()).rev() {
        let product = u128::from(rng.next_u64()) * (i as u128 + 1);
        indices.swap(i, (product >> 64) as usize);
    }
}
