//! Measures whose particles are dealt out to ranks.

use nalgebra::{DMatrix, DVector};

use super::EmpiricalMeasure;
use crate::error::assert_size;
use crate::numeric::vector::column;
use crate::ranks::AllReduce;
use crate::real::Real;

impl<T: Real> EmpiricalMeasure<T> {
    /// The part of the measure on a rank: the particles of [`AllReduce::share`] with their weights.
    ///
    /// The weights are those of the whole, so that the masses of the parts have its mass as their
    /// sum. A measure has at least one particle: with more ranks than particles, a rank without a
    /// share holds a copy of a particle with the weight -0, which [`collect`](Self::collect) omits.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 4, &[1.0, 2.0, 3.0, 4.0]))?;
    /// let ranks = Rank::group(2).into_iter();
    /// let parts: Vec<_> = ranks.map(|mut rank| (mu.share(&rank), rank)).collect();
    /// assert_eq!(parts[1].0.points().as_slice(), &[3.0, 4.0]);
    /// assert_eq!(parts[1].0.weights(), &[0.25, 0.25]);
    ///
    /// let collect = |(part, mut rank): (EmpiricalMeasure<f64>, _)| part.collect(&mut rank);
    /// let threads: Vec<_> = parts
    ///     .into_iter()
    ///     .map(|part| std::thread::spawn(move || collect(part)))
    ///     .collect();
    /// for thread in threads {
    ///     assert_eq!(thread.join().unwrap(), mu);
    /// }
    /// # Ok::<(), wasserflow::prelude::MeasureError>(())
    /// ```
    #[must_use]
    pub fn share(&self, ranks: &(impl AllReduce<T> + ?Sized)) -> Self {
        let share = ranks.share(self.len());
        if share.is_empty() {
            let copy = share.start.min(self.len() - 1);
            return Self {
                points: self.points.columns(copy, 1).into_owned(),
                weights: DVector::from_element(1, -T::zero()),
            };
        }
        // A weight -0 of the whole becomes 0: the particle is not a placeholder.
        let weights = self.weights.rows(share.start, share.len());
        Self {
            points: self.points.columns(share.start, share.len()).into_owned(),
            weights: weights.map(|c| c + T::zero()),
        }
    }

    /// The whole measure on every rank: the particles of all ranks in their order, bit for bit.
    ///
    /// All ranks call it. It is the inverse of [`share`](Self::share), and the way to methods that
    /// need all particles, such as [`transport`](crate::transport), [`sparse::merge`] and files.
    ///
    /// [`sparse::merge`]: crate::sparse::merge()
    ///
    /// Cost: an all-gather of `(p + 1) m` numbers, and their memory on every rank.
    ///
    /// # Panics
    /// If the particles of another rank have another dimension.
    #[must_use]
    pub fn collect(&self, ranks: &mut (impl AllReduce<T> + ?Sized)) -> Self {
        if ranks.size() <= 1 {
            return self.clone();
        }
        let (weights, points) = gather_columns(ranks, self.weights(), &[&self.points]);
        match <[DMatrix<T>; 1]>::try_from(points) {
            Ok([points]) if points.ncols() > 0 => Self {
                points,
                weights: DVector::from_vec(weights),
            },
            _ => self.clone(), // no rank holds a particle
        }
    }

    /// The measure of gathered particles, which are not validated.
    pub(crate) fn gathered(points: DMatrix<T>, weights: DVector<T>) -> Self {
        Self { points, weights }
    }
}

/// Returns true if the particle of this weight stands for an empty share.
fn is_placeholder<T: Real>(weight: T) -> bool {
    weight == T::zero() && weight.is_sign_negative()
}

/// The weights of the particles of all ranks, and the columns of matrices with one column for each
/// particle, without placeholders.
///
/// # Panics
/// If the numbers of rows differ from rank to rank.
pub(crate) fn gather_columns<T: Real>(
    ranks: &mut (impl AllReduce<T> + ?Sized),
    weights: &[T],
    matrices: &[&DMatrix<T>],
) -> (Vec<T>, Vec<DMatrix<T>>) {
    let width = 1 + matrices.iter().map(|x| x.nrows()).sum::<usize>();
    let mut local = Vec::with_capacity(width * weights.len());
    for (i, &c) in weights.iter().enumerate() {
        if !is_placeholder(c) {
            local.push(c);
            for x in matrices {
                local.extend_from_slice(column(x, i));
            }
        }
    }
    let all = ranks.gather(&local);
    let rest = all.len() % width;
    assert_size("remainder of the numbers gathered from all ranks", 0, rest);
    let m = all.len() / width;
    let mut row = 1;
    let part = |x: &&DMatrix<T>| {
        let p = x.nrows();
        let columns = all.chunks_exact(width).flat_map(|all| &all[row..row + p]);
        let part = DMatrix::from_iterator(p, m, columns.copied());
        row += p;
        part
    };
    let matrices = matrices.iter().map(part).collect();
    (all.iter().step_by(width).copied().collect(), matrices)
}
