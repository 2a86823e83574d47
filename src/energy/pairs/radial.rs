//! Sums of functions of the distance, by blocks of sources.

use nalgebra::DMatrix;

use super::Rows;
use crate::measure::EmpiricalMeasure;
use crate::numeric::pair_blocks::{BLOCK, Block, Blocks};
use crate::numeric::parallel::{Parts, for_each};
use crate::numeric::simd::is_supported;
use crate::numeric::vector::column;
use crate::real::{Real, epsilon, real};

/// Points of one task, which share the blocks of sources in the cache.
pub(super) const POINTS: usize = 8;
/// The number of pairs from which threads are used, about 50 microseconds of work.
pub(super) const PARALLEL: usize = 1 << 15;

/// A function of pairs of points, summed by [`Rows::add`].
pub(crate) trait PairFunction<T: Real>: Sync {
    /// `(s_r, d_r) <- (f(s_r), f'(s_r))` for a function `f(|w - v|^2)`, values only if `d` is
    /// empty; returns false, and changes nothing, for other functions.
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool;

    /// The least and the largest square at which `radial` is accurate.
    fn radial_range(&self) -> [T; 2] {
        [T::zero(), real(f64::INFINITY)]
    }

    /// The first input weight, 0 or 1, of a function of neurons, see
    /// [`Kernel::arc_cosine`](crate::energy::Kernel::arc_cosine).
    fn neurons(&self) -> Option<usize> {
        None
    }

    /// Returns the value at `(w, v)` and adds `scale` times its gradient in w to `out` unless
    /// `out` is empty. `z` has p coordinates of unspecified content.
    fn pair(&self, w: &[T], v: &[T], scale: T, z: &mut [T], out: &mut [T]) -> T;
}

/// A measure as the sources of a sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a, T: Real> {
    /// The measure.
    pub(crate) measure: &'a EmpiricalMeasure<T>,
    /// Its points and weights, by [`fill`].
    pub(crate) blocks: &'a Blocks<T>,
    /// The points are the particles themselves, which do not act on themselves.
    pub(crate) omits_own: bool,
}

/// Copies a measure for [`Rows::add`] with a function that is not of neurons. Used if `T` has a SIMD
/// implementation.
pub(crate) fn fill<T: Real>(blocks: &mut Blocks<T>, mu: &EmpiricalMeasure<T>) {
    if is_supported::<T>() {
        blocks.fill(mu.points().as_slice(), mu.weights(), mu.dim());
    }
}

/// Copies a measure for [`Rows::add`] with f, as [`fill`].
pub(crate) fn fill_for<T: Real>(
    f: &impl PairFunction<T>,
    blocks: &mut Blocks<T>,
    mu: &EmpiricalMeasure<T>,
) {
    match f.neurons().filter(|_| is_supported::<T>()) {
        Some(first) => {
            blocks.fill_neurons(mu.points().as_slice(), mu.weights(), mu.dim(), first);
        }
        None => fill(blocks, mu),
    }
}

/// The least and the largest square that [`PairFunction::radial`] receives: the digits of others,
/// or those of the function at others, are lost to underflow or overflow.
pub(crate) fn accurate_range<T: Real>(f: &impl PairFunction<T>) -> [T; 2] {
    let (max, eps) = (T::max_value().unwrap_or_else(T::one), epsilon::<T>());
    let [least, largest] = f.radial_range();
    [least.max(T::one() / (max * eps * eps)), largest.min(max)]
}

impl<T: Real> Rows<T> {
    /// Adds `a sum_j c_j f(w_i, v_j)` to the value of row i and `b sum_j c_j grad f(w_i, v_j)` to
    /// column i of `out`, `[a, b] = scales`, for the columns `w_i` of `at`.
    ///
    /// The function is not evaluated at sources of weight 0. Pairs at distances whose square is not
    /// accurate, 0 among them, are evaluated by [`PairFunction::pair`]. A row owns its results, so
    /// they do not depend on the number of threads.
    pub(crate) fn add(
        &mut self,
        f: &impl PairFunction<T>,
        sources: Sources<'_, T>,
        at: &DMatrix<T>,
        scales: [T; 2],
        out: Option<&mut DMatrix<T>>,
    ) {
        if let Some(first) = f.neurons().filter(|_| is_supported::<T>()) {
            return self.add_neurons(first, sources, at, scales, out);
        }
        let (p, len) = at.shape();
        self.scratch.resize(len * p, T::zero());
        let (out, stride) = match out {
            Some(out) => (out.as_mut_slice(), p),
            None => (&mut [][..], 0),
        };
        let tasks = (
            Parts::new(&mut self.values[..len], POINTS),
            (
                Parts::new(out, POINTS * stride),
                Parts::new(&mut self.scratch, POINTS * p),
            ),
        );
        let is_radial = is_supported::<T>() && f.radial(&mut [], &mut []);
        let range = accurate_range(f);
        let pairs = len.saturating_mul(sources.measure.len());
        for_each(
            tasks,
            pairs >= PARALLEL,
            &|task, (values, (out, scratch))| {
                let (values, out, z) = (values.data, out.data, &mut scratch.data[..p]);
                let mut task = Task {
                    f,
                    range,
                    sources,
                    first: task * POINTS,
                    scales,
                    z,
                };
                if is_radial {
                    let mut block_values = [T::zero(); BLOCK];
                    let mut derivatives = [T::zero(); BLOCK];
                    for block in sources.blocks.iter() {
                        for (i, value) in values.iter_mut().enumerate() {
                            let w = column(at, task.first + i);
                            let buffers = [&mut block_values, &mut derivatives];
                            let out = &mut out[i * stride..][..stride];
                            task.add_block(block, i, w, buffers, value, out);
                        }
                    }
                } else {
                    for (i, value) in values.iter_mut().enumerate() {
                        let out = &mut out[i * stride..][..stride];
                        task.add_pairs(i, column(at, task.first + i), value, out);
                    }
                }
            },
        );
    }
}

/// The sums at a few points.
struct Task<'a, T: Real, F> {
    f: &'a F,
    /// The squares that `f.radial` receives.
    range: [T; 2],
    sources: Sources<'a, T>,
    /// The index of the first point.
    first: usize,
    scales: [T; 2],
    z: &'a mut [T],
}

impl<T: Real, F: PairFunction<T>> Task<'_, T, F> {
    /// The share of source j in `[a sum, out]` at point i, by [`PairFunction::pair`].
    fn add_pair(&mut self, i: usize, j: usize, w: &[T], value: &mut T, out: &mut [T]) {
        let Sources {
            measure, omits_own, ..
        } = self.sources;
        let c = measure.weight(j);
        if c == T::zero() || (omits_own && self.first + i == j) {
            return;
        }
        let [a, b] = self.scales;
        *value += a * c * self.f.pair(w, measure.particle(j), b * c, self.z, out);
    }

    /// All sources, one after the other.
    fn add_pairs(&mut self, i: usize, w: &[T], value: &mut T, out: &mut [T]) {
        for j in 0..self.sources.measure.len() {
            self.add_pair(i, j, w, value, out);
        }
    }

    /// The sources of a block.
    fn add_block(
        &mut self,
        block: Block<'_, T>,
        i: usize,
        w: &[T],
        [s, d]: [&mut [T; BLOCK]; 2],
        value: &mut T,
        out: &mut [T],
    ) {
        let (s, d) = (&mut s[..block.width()], &mut d[..block.width()]);
        let d = if out.is_empty() { &mut [][..] } else { d };
        let f = (self.f, self.range);
        evaluate(f, block, w, s, d, |j| self.add_pair(i, j, w, value, out));
        let [a, b] = self.scales;
        *value += a * block.weigh(s, d);
        if !out.is_empty() {
            block.add_differences(w, d, b * real(2.0), out);
        }
    }
}

/// Writes the values and derivatives of a radial function at the sources of a block.
///
/// They are 0 for sources of weight 0 and for those whose squares are outside the
/// [`accurate_range`] of f: `pair` is called with the indices of the latter.
pub(crate) fn evaluate<T: Real>(
    (f, [least, largest]): (&impl PairFunction<T>, [T; 2]),
    block: Block<'_, T>,
    w: &[T],
    s: &mut [T],
    d: &mut [T],
    mut pair: impl FnMut(usize),
) {
    let range = block.squares(w, s);
    let mut excluded = [0_u64; BLOCK / 64];
    let mut is_excluded = block.has_zeros;
    if !(least <= range[0] && range[1] <= largest) {
        for (r, s) in s[..block.len].iter_mut().enumerate() {
            if !(least <= *s && *s <= largest) {
                pair(block.first + r);
                *s = T::one();
                excluded[r / 64] |= 1 << (r % 64);
                is_excluded = true;
            }
        }
    }
    f.radial(s, d);
    if is_excluded {
        for (r, (s, &c)) in s.iter_mut().zip(block.weights).enumerate() {
            if excluded[r / 64] >> (r % 64) & 1 == 1 || c == T::zero() {
                *s = T::zero();
                if let Some(d) = d.get_mut(r) {
                    *d = T::zero();
                }
            }
        }
    }
}
