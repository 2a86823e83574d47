//! Labels of samples: class indices with the names of the classes.

use std::collections::BTreeSet;

use nalgebra::{DMatrix, DVector};

use super::DataError;
use crate::error::{ParameterError, ShapeError, is_allocatable};
use crate::real::{Real, real, to_f64};

/// The labels of n samples: class indices `y_j` in `0..k`, and the names of the `k >= 2` classes.
///
/// Classes are sorted: by their value if all names are numbers, otherwise as texts. Parts of the
/// samples ([`select`](Self::select)) keep all classes, so that indices mean the same in all parts.
///
/// ```
/// use wasserflow::data::Labels;
///
/// let y = Labels::new(["10", "9", "10"])?;
/// assert_eq!((y.classes(), y.indices()), (&["9".to_owned(), "10".to_owned()][..], &[1, 0, 1][..]));
/// assert_eq!(y.signs::<f64>()?.as_slice(), &[1.0, -1.0, 1.0]);
/// # Ok::<(), wasserflow::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    classes: Vec<String>,
    indices: Vec<usize>,
}

impl Labels {
    /// The labels of the samples, with their distinct texts as classes.
    ///
    /// # Errors
    /// [`DataError::Empty`] without labels, [`DataError::Classes`] if all are equal.
    pub fn new<S: AsRef<str>>(labels: impl IntoIterator<Item = S>) -> Result<Self, DataError> {
        let labels: Vec<S> = labels.into_iter().collect();
        let distinct: BTreeSet<&str> = labels.iter().map(AsRef::as_ref).collect();
        let mut classes: Vec<&str> = distinct.into_iter().collect();
        let number = |class: &str| class.parse().ok().filter(|x: &f64| x.is_finite());
        if classes.iter().all(|class| number(class).is_some()) {
            let value = |class: &str| number(class).unwrap_or(0.0);
            classes.sort_by(|a, b| value(a).total_cmp(&value(b))); // stable: ties as texts
        }
        Self::with_classes(&classes, &labels)
    }

    /// The labels of the samples, with classes in a given order.
    ///
    /// For labels of two classes, the first class is -1 and the second 1 in
    /// [`signs`](Self::signs).
    ///
    /// ```
    /// use wasserflow::data::Labels;
    ///
    /// let y = Labels::with_classes(&["low", "high"], &["high", "low"])?;
    /// assert_eq!(y.indices(), &[1, 0]);
    /// # Ok::<(), wasserflow::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Empty`] without labels, [`DataError::Classes`] for fewer than two classes,
    /// [`DataError::Twice`] for a repeated class, [`DataError::Label`] for the first label that is
    /// not a class.
    pub fn with_classes(
        classes: &[impl AsRef<str>],
        labels: &[impl AsRef<str>],
    ) -> Result<Self, DataError> {
        let index: std::collections::BTreeMap<&str, usize> = classes
            .iter()
            .enumerate()
            .map(|(c, class)| (class.as_ref(), c))
            .collect();
        let index = |(sample, label): (usize, &_)| {
            let label: &str = AsRef::<str>::as_ref(label);
            let unknown = || DataError::Label {
                sample,
                label: label.to_owned(),
            };
            index.get(label).copied().ok_or_else(unknown)
        };
        let indices: Result<Vec<usize>, DataError> = labels.iter().enumerate().map(index).collect();
        Self::from_indices(classes, indices?)
    }

    /// The labels with class indices `y_j` in `0..k` and the names of the k classes.
    ///
    /// # Errors
    /// [`DataError::Empty`] without labels, [`DataError::Classes`] for fewer than two classes,
    /// [`DataError::Twice`] for a repeated class, [`DataError::Index`] for an index that is not
    /// below k.
    pub fn from_indices(
        classes: &[impl AsRef<str>],
        indices: Vec<usize>,
    ) -> Result<Self, DataError> {
        let classes: Vec<String> = classes.iter().map(|c| c.as_ref().to_owned()).collect();
        check_classes(&classes)?;
        if indices.is_empty() {
            return Err(DataError::Empty { what: "the labels" });
        }
        if let Some(&found) = indices.iter().find(|&&y| y >= classes.len()) {
            return Err(DataError::Index {
                what: "class index",
                requirement: "below the number of classes",
                found,
            });
        }
        Ok(Self { classes, indices })
    }

    /// The names of the k classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class indices `y_j`, as [`SoftmaxCrossEntropy`](crate::risk::SoftmaxCrossEntropy) takes
    /// them.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// `n`, the number of samples.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one sample")]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// The number of samples of each class, `n_c`.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.indices.iter().for_each(|&y| counts[y] += 1);
        counts
    }

    /// The labels of the given samples, with all classes.
    ///
    /// # Errors
    /// [`DataError::Empty`] for an empty list, [`DataError::Index`] for an index that is not below
    /// n.
    pub fn select(&self, samples: &[usize]) -> Result<Self, DataError> {
        check_indices(samples, self.len())?;
        Ok(Self {
            classes: self.classes.clone(),
            indices: samples.iter().map(|&j| self.indices[j]).collect(),
        })
    }

    /// The targets -1 (first class) and 1 (second class) of a problem with two classes.
    ///
    /// # Errors
    /// [`DataError::Shape`] if `k > 2`.
    pub fn signs<T: Real>(&self) -> Result<DVector<T>, DataError> {
        ShapeError::check("number of classes", 2, self.classes.len())?;
        let sign = |j: usize, _| {
            if self.indices[j] == 0 {
                -T::one()
            } else {
                T::one()
            }
        };
        Ok(DVector::from_fn(self.len(), sign))
    }

    /// The one-hot targets, `k x n`: 1 at `(y_j, j)`, otherwise 0.
    ///
    /// ```
    /// use wasserflow::data::Labels;
    ///
    /// let y = Labels::new(["a", "c", "b"])?;
    /// assert_eq!(y.one_hot::<f64>()?.as_slice(), &[1., 0., 0., 0., 0., 1., 0., 1., 0.]);
    /// # Ok::<(), wasserflow::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Parameter`] if `k n` numbers do not fit in memory.
    pub fn one_hot<T: Real>(&self) -> Result<DMatrix<T>, DataError> {
        let (k, n) = (self.classes.len(), self.len());
        let requirement = "a number of one-hot targets that fits in memory";
        ParameterError::check(is_allocatable::<T>(k, n), "k", requirement, k as f64)?;
        let mut one_hot = DMatrix::zeros(k, n);
        for (j, &y) in self.indices.iter().enumerate() {
            one_hot[(y, j)] = T::one();
        }
        Ok(one_hot)
    }

    /// The balanced class weights `n / (k n_c)`.
    ///
    /// Every class then has the same total weight, `n / k`.
    ///
    /// Source: G. King and L. Zeng, Logistic regression in rare events data, 2001.
    ///
    /// # Errors
    /// [`DataError::Class`] for the first class without samples.
    pub fn balanced<T: Real>(&self) -> Result<Vec<T>, DataError> {
        let (n, k) = (self.len() as f64, self.classes.len() as f64);
        let weight = |(found, class): (usize, &String)| match found {
            0 => Err(DataError::Class {
                class: class.clone(),
                required: 1,
                found,
            }),
            _ => Ok(real(n / (k * found as f64))),
        };
        self.counts()
            .into_iter()
            .zip(&self.classes)
            .map(weight)
            .collect()
    }

    /// The sample weights `c_j = w_{y_j} / n` of class weights `w`, for
    /// [`EmpiricalRisk::sample_weights`](crate::risk::EmpiricalRisk::sample_weights).
    ///
    /// Class weights 1 give the default weights `1/n`; balanced ones have the sum 1.
    ///
    /// ```
    /// use wasserflow::data::Labels;
    ///
    /// let y = Labels::new(["a", "b", "b", "b"])?;
    /// let c = y.sample_weights(&y.balanced::<f64>()?)?;
    /// assert_eq!(c.as_slice(), &[1. / 2., 1. / 6., 1. / 6., 1. / 6.]);
    /// # Ok::<(), wasserflow::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Shape`] if the number of weights is not k; [`DataError::Parameter`] for a
    /// negative, infinite or NaN weight.
    pub fn sample_weights<T: Real>(&self, w: &[T]) -> Result<DVector<T>, DataError> {
        ShapeError::check("number of class weights", self.classes.len(), w.len())?;
        for &w in w {
            ParameterError::check_nonnegative("class weight", to_f64(w))?;
        }
        let n = real::<T>(self.len() as f64);
        Ok(DVector::from_fn(self.len(), |j, _| w[self.indices[j]] / n))
    }
}

/// Checks that there are at least two classes, with different names.
pub(crate) fn check_classes(classes: &[String]) -> Result<(), DataError> {
    if classes.len() < 2 {
        return Err(DataError::Classes {
            found: classes.len(),
        });
    }
    let mut unique = BTreeSet::new();
    match classes.iter().find(|class| !unique.insert(*class)) {
        Some(class) => Err(DataError::Twice {
            class: class.clone(),
        }),
        None => Ok(()),
    }
}

/// Checks a list of samples: not empty, and indices below n.
pub(super) fn check_indices(samples: &[usize], n: usize) -> Result<(), DataError> {
    if samples.is_empty() {
        return Err(DataError::Empty {
            what: "a part of the samples",
        });
    }
    match samples.iter().find(|&&j| j >= n) {
        Some(&found) => Err(DataError::Index {
            what: "index of a sample",
            requirement: "below the number of samples",
            found,
        }),
        None => Ok(()),
    }
}
