//! The arc-cosine kernel of few neurons: each pair is evaluated once for both neurons, and all
//! pairs together, because a block of sources would be mostly empty.

use nalgebra::DMatrix;

use super::Rows;
use crate::measure::EmpiricalMeasure;
use crate::numeric::elementary::arc_cosines;
use crate::numeric::packed::line;
use crate::numeric::pair_blocks::padded;
use crate::numeric::simd::{
    Simd, SimdKernel, SimdScalar, dispatch, same, same_mut, with_simd_scalar,
};
use crate::numeric::vector::{axpy, column, columns, columns_mut, norm};
use crate::real::{Real, real};

/// The number of pairs up to which they are evaluated together.
const FEW: usize = 2048;

/// The number of pairs of m particles with each other, and with the `others`.
fn pairs(m: usize, others: usize) -> usize {
    let partners = m.saturating_sub(1).saturating_add(others.saturating_mul(2));
    m.saturating_mul(partners) / 2
}

/// True if `Rows::few_neurons` is faster than the sums by blocks of sources.
pub(crate) fn few_pairs<T: Real>(mu: &EmpiricalMeasure<T>, nu: &EmpiricalMeasure<T>) -> bool {
    pairs(mu.len(), nu.len()) <= FEW
}

impl<T: Real> Rows<T> {
    /// `[int int K dmu dmu, int int K dmu dnu]` for the arc-cosine kernel of the coordinates from
    /// `first` on, times the output weights before them (`first` is 0 or 1); subtracts the gradients
    /// of `int K(w, .) d(mu - nu)` from the columns of `out`.
    ///
    /// # Panics
    /// If `T` is neither `f32` nor `f64`.
    pub(crate) fn few_neurons(
        &mut self,
        first: usize,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        out: Option<&mut DMatrix<T>>,
    ) -> [T; 2] {
        let (m, len, d) = (mu.len(), mu.len() + nu.len(), mu.dim() - first);
        let (stride, pairs) = (
            d.max(1).next_multiple_of(line::<T>()),
            padded::<T>(pairs(mu.len(), nu.len())),
        );
        let sizes = [len * stride, m * stride, 3 * len, pairs, pairs, pairs];
        self.scratch.resize(sizes.iter().sum(), T::zero());
        let mut rest = &mut self.scratch[..];
        let [units, sums, scalars, kernel, supplement, sin] =
            sizes.map(|size| rest.split_off_mut(..size).expect("a buffer of all parts"));
        let (strengths, scalars) = scalars.split_at_mut(len);
        let (values, along) = scalars.split_at_mut(len);

        let particles = columns(mu.points().as_slice(), mu.dim()).zip(mu.weights());
        let target = columns(nu.points().as_slice(), nu.dim()).zip(nu.weights());
        let particles = particles.map(|(w, &c)| (w, c));
        let neurons = particles.chain(target.map(|(w, &c)| (w, -c)));
        let to = units.chunks_exact_mut(stride).zip(&mut *strengths);
        units_and_strengths(first, neurons, to);

        let integrals = with_simd_scalar!(T as E => {
            let neurons = Neurons { m, stride, units: same::<T, E>(units) };
            let (minus, plus) = (same_mut(&mut *kernel), same_mut(&mut *supplement));
            dispatch(Squares { neurons, minus, plus });
            arc_cosines(kernel, supplement, sin);
            for sums in [&mut *sums, values, along] {
                sums.fill(T::zero());
            }
            let [strengths, kernel, supplement, sin] =
                [strengths, kernel, supplement, sin].map(|x| same(&*x));
            let angles = [kernel, supplement, sin];
            let [sums, values, along] =
                [&mut *sums, &mut *values, &mut *along].map(same_mut);
            let [within, cross] =
                dispatch(Sums { neurons, strengths, angles, sums, values, along });
            [same(&[within])[0], same(&[cross])[0]]
        });
        if let Some(out) = out {
            for (i, out) in columns_mut(out.as_mut_slice(), mu.dim()).enumerate() {
                let (a, b) = column(mu.points(), i).split_at(first);
                let (out_a, out_b) = out.split_at_mut(first);
                let size = norm(b);
                if size == T::zero() {
                    continue;
                }
                let factor = a.first().map_or_else(T::one, |&a| a);
                axpy(-factor * along[i], &units[i * stride..][..d], out_b);
                axpy(-factor, &sums[i * stride..][..d], out_b);
                for out in out_a {
                    *out -= size * values[i];
                }
            }
        }
        integrals
    }
}

/// Writes the directions `b/|b|` and the strengths `c a |b|` of neurons `(a, b)` with weights c. The
/// first unit vector stands for the direction of `b = 0`.
fn units_and_strengths<'a, T: Real>(
    first: usize,
    neurons: impl Iterator<Item = (&'a [T], T)>,
    to: impl Iterator<Item = (&'a mut [T], &'a mut T)>,
) {
    for ((w, c), (unit, strength)) in neurons.zip(to) {
        let (a, b) = w.split_at(first);
        let size = norm(b);
        unit.fill(T::zero());
        *strength = T::zero();
        if size == T::zero() {
            unit[0] = T::one(); // any direction: angles must be defined
            continue;
        }
        unit.iter_mut()
            .zip(b)
            .for_each(|(unit, &b)| *unit = b / size);
        if c != T::zero() {
            *strength = c * a.first().map_or(size, |&a| a * size);
        }
    }
}

/// The directions of m particles, and of the points of the target after them.
#[derive(Debug, Clone, Copy)]
struct Neurons<'a, T> {
    m: usize,
    stride: usize,
    units: &'a [T],
}

impl<'a, T> Neurons<'a, T> {
    #[inline(always)]
    fn unit(self, i: usize) -> &'a [T] {
        &self.units[i * self.stride..][..self.stride]
    }

    /// The partners of particle i, in the order of the pairs: particles before it, the target.
    #[inline(always)]
    fn partners(self, i: usize) -> [std::ops::Range<usize>; 2] {
        [0..i, self.m..self.units.len() / self.stride]
    }
}

/// The squares of the lengths of the differences and sums of all pairs of directions.
struct Squares<'a, T> {
    neurons: Neurons<'a, T>,
    minus: &'a mut [T],
    plus: &'a mut [T],
}

impl<E: SimdScalar> SimdKernel for Squares<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let mut to = self.minus.iter_mut().zip(self.plus);
        for i in 0..self.neurons.m {
            let unit = S::vectors(self.neurons.unit(i));
            for partners in self.neurons.partners(i) {
                for (j, (minus, plus)) in partners.zip(to.by_ref()) {
                    let (mut less, mut more) = (s.zero(), s.zero());
                    for (&u, &v) in unit.iter().zip(S::vectors(self.neurons.unit(j))) {
                        let (difference, sum) = (s.sub(u, v), s.add(u, v));
                        less = s.mul_add(difference, difference, less);
                        more = s.mul_add(sum, sum, more);
                    }
                    (*minus, *plus) = (s.reduce_sum(less), s.reduce_sum(more));
                }
            }
        }
    }
}

/// For each particle, sums over all other neurons with their strengths.
struct Sums<'a, T> {
    neurons: Neurons<'a, T>,
    strengths: &'a [T],
    /// Kernel, `pi - t` and `sin t` of the directions, all over `2 pi`.
    angles: [&'a [T]; 3],
    /// The sums of `(pi - t) u`.
    sums: &'a mut [T],
    /// The sums of the kernel.
    values: &'a mut [T],
    /// The sums of `sin t`.
    along: &'a mut [T],
}

impl<E: SimdScalar> SimdKernel for Sums<'_, E> {
    type Scalar = E;
    type Output = [E; 2];

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) -> [E; 2] {
        let Neurons { m, stride, .. } = self.neurons;
        let (mut within, mut cross) = (E::zero(), E::zero());
        let mut r = 0;
        for i in 0..m {
            let (unit, strength) = (self.neurons.unit(i), self.strengths[i]);
            let (before, from) = self.sums.split_at_mut(i * stride);
            let own = &mut from[..stride];
            let [particles, target] = self.neurons.partners(i);
            let (mut value, mut along) = (E::zero(), E::zero());
            for j in particles {
                let [kernel, supplement, sin] = self.angles.map(|angles| angles[r]);
                r += 1;
                let other = self.strengths[j];
                value += other * kernel;
                along += other * sin;
                self.values[j] += strength * kernel;
                self.along[j] += strength * sin;
                add(s, other * supplement, self.neurons.unit(j), own);
                add(
                    s,
                    strength * supplement,
                    unit,
                    &mut before[j * stride..][..stride],
                );
            }
            // The angle 0 of the particle with itself.
            let half = real::<E>(0.5) * strength;
            within += strength * (value + value + half);
            value += half;
            add(s, half, unit, own);
            let mut values = E::zero();
            for j in target {
                let [kernel, supplement, sin] = self.angles.map(|angles| angles[r]);
                r += 1;
                let other = self.strengths[j];
                values += other * kernel;
                along += other * sin;
                add(s, other * supplement, self.neurons.unit(j), own);
            }
            cross -= strength * values;
            self.values[i] += value + values;
            self.along[i] += along;
        }
        [within, cross]
    }
}

/// `y += a x`, by vectors.
#[inline(always)]
fn add<E: SimdScalar, S: Simd<E>>(s: S, a: E, x: &[E], y: &mut [E]) {
    let a = s.splat(a);
    for (&x, y) in S::vectors(x).iter().zip(S::vectors_mut(y)) {
        *y = s.mul_add(a, x, *y);
    }
}
