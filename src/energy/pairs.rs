//! Sums over pairs of points, one row after the other, on all threads.

use nalgebra::DMatrix;

use crate::measure::EmpiricalMeasure;
use crate::numeric::parallel::{Parts, for_each};
use crate::real::Real;

mod few_neurons;
mod neurons;
mod radial;

pub(crate) use few_neurons::few_pairs;
pub(crate) use radial::{PairFunction, Sources, accurate_range, evaluate, fill, fill_for};

/// Rows of one task.
const ROWS: usize = 4;
/// The number of coordinate differences from which threads are used, about 50 microseconds of work.
const PARALLEL: usize = 1 << 16;

/// Buffers of the rows, kept from call to call so that steps do not allocate.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    /// The value of each row.
    pub(crate) values: Vec<T>,
    scratch: Vec<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            scratch: Vec::new(),
        }
    }
}

impl<T: Real> Rows<T> {
    /// Sets the values of `len` rows to 0.
    pub(crate) fn clear(&mut self, len: usize) {
        self.values.clear();
        self.values.resize(len, T::zero());
    }

    /// `sum_i c_i values[i]` over the rows of the particles; those of weight 0 may be infinite.
    pub(crate) fn integral(&self, mu: &EmpiricalMeasure<T>) -> T {
        let mut sum = T::zero();
        for (&c, &value) in mu.weights().iter().zip(&self.values) {
            if c != T::zero() {
                sum += c * value;
            }
        }
        sum
    }

    /// Sets `values[i] = row(i, scratch, out_i)` for `len` rows, each over `pairs` pairs of points
    /// in `R^p`.
    ///
    /// `out_i` is column i of `out`, or empty if `out` is `None`, and `scratch` has `width`
    /// coordinates of unspecified content. A row owns its results, so they do not depend on the
    /// number of threads.
    pub(crate) fn fill(
        &mut self,
        (p, len, pairs): (usize, usize, usize),
        width: usize,
        out: Option<&mut DMatrix<T>>,
        row: &(impl Fn(usize, &mut [T], &mut [T]) -> T + Sync),
    ) {
        self.values.resize(len, T::zero());
        self.scratch.resize(len * width, T::zero());
        let (out, stride) = match out {
            Some(out) => (out.as_mut_slice(), p),
            None => (&mut [][..], 0),
        };
        let tasks = (
            Parts::new(&mut self.values, ROWS),
            (
                Parts::new(out, ROWS * stride),
                Parts::new(&mut self.scratch, ROWS * width),
            ),
        );
        let work = len.saturating_mul(pairs).saturating_mul(p);
        for_each(
            tasks,
            work >= PARALLEL,
            &|task, (values, (out, scratch))| {
                let Parts { data: values, .. } = values;
                for (l, value) in values.iter_mut().enumerate() {
                    let scratch = &mut scratch.data[l * width..][..width];
                    let out = &mut out.data[l * stride..][..stride];
                    *value = row(task * ROWS + l, scratch, out);
                }
            },
        );
    }
}

/// Writes `w - v` to `z`.
#[inline]
pub(super) fn difference<T: Real>(w: &[T], v: &[T], z: &mut [T]) {
    for ((z, &w), &v) in z.iter_mut().zip(w).zip(v) {
        *z = w - v;
    }
}
