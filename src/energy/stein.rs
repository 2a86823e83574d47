//! The kernel Stein discrepancy to a density of which only the score is available.

use nalgebra::DMatrix;

use super::interaction::gaussian;
use super::pairs::{Rows, difference, fill};
use super::{Energy, Gaussian, assert_dim, assert_first_variation, assert_velocity};
use crate::error::{EnergyError, ParameterError};
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::elementary::inverse_roots;
use crate::numeric::pair_blocks::Blocks;
use crate::numeric::simd::is_supported;
use crate::numeric::vector::{column, columns, columns_mut, dot};
use crate::real::{Real, real, to_f64};

mod by_blocks;

use by_blocks::SteinSum;

/// The score `s = grad log pi` of a density `pi` on `R^p`, which need not be normalised.
///
/// # Laws
/// - `score` overwrites `out` with `s(w)`.
/// - `hessian_product` overwrites `out` with `D s(w) v`, the product of the Hessian of `log pi`, a
///   symmetric matrix, and v.
///
/// # Panics
/// The methods panic if slices differ in length.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// The standard normal density: s(w) = -w.
/// struct Normal;
/// impl<T: Real> Score<T> for Normal {
///     fn score(&self, w: &[T], out: &mut [T]) {
///         out.iter_mut().zip(w).for_each(|(out, &w)| *out = -w);
///     }
///     fn hessian_product(&self, _: &[T], v: &[T], out: &mut [T]) {
///         out.iter_mut().zip(v).for_each(|(out, &v)| *out = -v);
///     }
/// }
/// let mut s = [0.0; 2];
/// Normal.score(&[1.0, -2.0], &mut s);
/// assert_eq!(s, [-1.0, 2.0]);
/// ```
pub trait Score<T: Real>: Sync {
    /// Writes `s(w) = grad log pi(w)` to `out`.
    fn score(&self, w: &[T], out: &mut [T]);

    /// Writes the product of the Hessian of `log pi` at w and `v` to `out`.
    fn hessian_product(&self, w: &[T], v: &[T], out: &mut [T]);
}

forward! {
    impl[T: Real, S: Score<T> + ?Sized] Score<T>; for &S, &mut S, Box<S>; {
        fn score(&self, w: &[T], out: &mut [T]);
        fn hessian_product(&self, w: &[T], v: &[T], out: &mut [T]);
    }
}

/// A radial function `k(w, v) = f(|w - v|^2)` that is a positive definite kernel in every dimension,
/// with three derivatives of f.
///
/// # Laws
/// `derivatives(s)` is `[f(s), f'(s), f''(s), f'''(s)]`, and `slice_derivatives` agrees with it up
/// to rounding.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let [f, df, ..] = Gaussian::new(1, 0.5)?.derivatives(0.5); // f(s) = exp(-2 s)
/// assert_eq!((f, df), (f64::exp(-1.0), -2.0 * f64::exp(-1.0)));
/// # Ok::<(), ParameterError>(())
/// ```
pub trait RadialKernel<T: Real>: Sync {
    /// f and its first three derivatives at `s = |w - v|^2 >= 0`.
    fn derivatives(&self, square: T) -> [T; 4];

    /// [`derivatives`](Self::derivatives) at many squares: replaces `s_r` by `f(s_r)` and writes the
    /// derivatives to the three slices of the same length. Override it with loops that are
    /// vectorised.
    fn slice_derivatives(&self, s: &mut [T], [d1, d2, d3]: [&mut [T]; 3]) {
        for (r, s) in s.iter_mut().enumerate() {
            [*s, d1[r], d2[r], d3[r]] = self.derivatives(*s);
        }
    }
}

forward! {
    impl[T: Real, K: RadialKernel<T> + ?Sized] RadialKernel<T>; for &K, &mut K, Box<K>; {
        fn derivatives(&self, square: T) -> [T; 4];
        fn slice_derivatives(&self, s: &mut [T], d: [&mut [T]; 3]);
    }
}

/// `f(s) = exp(-s / (2 h^2))` of the bandwidth h.
impl<T: Real> RadialKernel<T> for Gaussian<T> {
    #[inline]
    fn derivatives(&self, square: T) -> [T; 4] {
        let bandwidth = self.bandwidth();
        let rate = real::<T>(-0.5) / (bandwidth * bandwidth);
        let f = (rate * square).exp();
        [f, rate * f, rate * rate * f, rate * rate * rate * f]
    }

    fn slice_derivatives(&self, s: &mut [T], [d1, d2, d3]: [&mut [T]; 3]) {
        let bandwidth = self.bandwidth();
        let rate = real::<T>(-0.5) / (bandwidth * bandwidth);
        gaussian(T::one(), bandwidth, s, d1);
        for ((d1, d2), d3) in d1.iter().zip(d2).zip(d3) {
            *d2 = rate * *d1;
            *d3 = rate * *d2;
        }
    }
}

/// The inverse multiquadric kernel `k(w, v) = (1 + |w - v|^2 / l^2)^(-1/2)` of the length l.
///
/// Its Stein discrepancy controls tightness, which that of the Gaussian kernel does not in more than
/// two dimensions (J. Gorham and L. Mackey, 2017).
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(InverseMultiquadric::new(1.0)?.derivatives(3.0)[0], 0.5);
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct InverseMultiquadric<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_length"))]
    length: T,
}

#[cfg(feature = "serde")]
fn decode_length<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&length: &T| {
        InverseMultiquadric::new(length).map(drop)
    })
}

impl<T: Real> InverseMultiquadric<T> {
    /// The kernel of the length `l > 0`.
    ///
    /// # Errors
    /// [`ParameterError`] if the length is not positive and finite, or `1 / l^2` overflows.
    pub fn new(length: T) -> Result<Self, ParameterError> {
        ParameterError::check_positive("length", to_f64(length))?;
        let holds = (T::one() / (length * length)).is_finite();
        let requirement = "large enough for a finite 1 / length^2";
        ParameterError::check(holds, "length", requirement, to_f64(length))?;
        Ok(Self { length })
    }

    /// The length l.
    pub fn length(&self) -> T {
        self.length
    }
}

impl<T: Real> RadialKernel<T> for InverseMultiquadric<T> {
    #[inline]
    fn derivatives(&self, square: T) -> [T; 4] {
        let rate = T::one() / (self.length * self.length);
        let base = T::one() + square * rate;
        let f = T::one() / base.sqrt();
        let ratio = rate / base;
        let first = real::<T>(-0.5) * ratio * f;
        let second = real::<T>(-1.5) * ratio * first;
        [f, first, second, real::<T>(-2.5) * ratio * second]
    }

    fn slice_derivatives(&self, s: &mut [T], [d1, d2, d3]: [&mut [T]; 3]) {
        let rate = T::one() / (self.length * self.length);
        if !inverse_roots(to_f64(rate), s, [d1, d2, d3]) {
            for (r, s) in s.iter_mut().enumerate() {
                [*s, d1[r], d2[r], d3[r]] = self.derivatives(*s);
            }
        }
    }
}

/// Half the squared kernel Stein discrepancy of `mu` and a density `pi` with the score s:
/// `F(mu) = (1/2) int int K dmu dmu` with the Stein kernel, for `z = w - v` and `k = f(|z|^2)`,
///
/// `K(w, v) = k s(w).s(v) + 2 f' (s(v) - s(w)).z - 2 p f' - 4 |z|^2 f''`.
///
/// `int K(w, .) dpi = 0`, so that F is the [`Mmd`](super::Mmd) of K to `pi`, without samples of `pi`
/// and without its normalisation. The energy is convex in the measure and F >= 0, up to rounding.
/// Its flow moves samples to `pi`; on an axis of symmetry of a mixture it stays there, a spurious
/// minimum. The first variation at w of the unit mass at v is `K(w, v)`.
///
/// The third derivative of f at 0 is `-1 / (8 h^6)` for the Gaussian of bandwidth h. If it overflows,
/// for h below about 1e-51 in `f64` and 3e-7 in `f32`, values and velocities are NaN, and a flow
/// returns [`StartError::Parameter`](crate::flow::StartError::Parameter) at its start.
///
/// A score that is NaN or infinite at a particle is reported by the flow, as
/// [`StartError::NonFinite`](crate::flow::StartError::NonFinite) or
/// [`StepError::NonFinite`](crate::error::StepError::NonFinite).
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
/// # struct Normal;
/// # impl<T: Real> Score<T> for Normal {
/// #     fn score(&self, w: &[T], out: &mut [T]) {
/// #         out.iter_mut().zip(w).for_each(|(out, &w)| *out = -w);
/// #     }
/// #     fn hessian_product(&self, _: &[T], v: &[T], out: &mut [T]) {
/// #         out.iter_mut().zip(v).for_each(|(out, &v)| *out = -v);
/// #     }
/// # }
///
/// // `Normal` is the example of [`Score`]. A unit mass at a: F = (|a|^2 + p / h^2) / 2.
/// let kernel = Gaussian::new(2, f64::sqrt(0.5))?;
/// let mut energy = SteinDiscrepancy::new(Normal, kernel, 2);
/// let dirac = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.5, 0.0]))?;
/// assert!((energy.value(&dirac) - (2.25 + 4.0) / 2.0).abs() < 1e-14);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: `m^2` evaluations of f, and `2 m` scores and m Hessian products for a velocity, the latter
/// because the products are linear. On ranks: [`Gathered`](super::Gathered).
///
/// Source: Q. Liu, J. Lee and M. Jordan, A kernelized Stein discrepancy for goodness-of-fit tests,
/// 2016; A. Korba, P.-C. Aubin-Frankowski, S. Majewski and P. Ablin, Kernel Stein discrepancy
/// descent, 2021.
#[derive(Debug, Clone)]
pub struct SteinDiscrepancy<S, K, T> {
    score: S,
    kernel: K,
    particle_dim: usize,
    /// The scores at the particles, one after the other.
    scores: Vec<T>,
    blocks: Blocks<T>,
    score_blocks: Blocks<T>,
    rows: Rows<T>,
}

impl<S: Score<T>, K: RadialKernel<T>, T: Real> SteinDiscrepancy<S, K, T> {
    /// The energy of a score and a radial kernel on particles in `R^p`, `p = particle_dim`.
    pub fn new(score: S, kernel: K, particle_dim: usize) -> Self {
        Self {
            score,
            kernel,
            particle_dim,
            scores: Vec::new(),
            blocks: Blocks::default(),
            score_blocks: Blocks::default(),
            rows: Rows::default(),
        }
    }

    /// `int K(w, .) dmu` at the columns w of `at`, in the values of the rows, and minus its
    /// gradient.
    fn rows_of(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        mut descent: Option<&mut DMatrix<T>>,
    ) {
        let (score, kernel, p) = (&self.score, &self.kernel, self.particle_dim);
        self.scores.resize(mu.points().len(), T::zero());
        let points = columns(mu.points().as_slice(), p);
        for ((w, s), &c) in points
            .zip(columns_mut(&mut self.scores, p))
            .zip(mu.weights())
        {
            score.score(w, s);
            if c == T::zero() {
                s.fill(T::zero()); // not used, and possibly not finite
            }
        }
        fill(&mut self.blocks, mu);
        if is_supported::<T>() {
            self.score_blocks.fill(&self.scores, mu.weights(), p);
        }
        if let Some(descent) = &mut descent {
            descent.fill(T::zero());
        }
        let (scores, dim) = (&self.scores, real::<T>(p as f64));
        let (blocks, score_blocks) = (&self.blocks, &self.score_blocks);
        let [two, four, eight] = [2.0, 4.0, 8.0].map(real::<T>);
        let row = |i: usize, scratch: &mut [T], out: &mut [T]| {
            let w = column(at, i);
            let (own, rest) = scratch.split_at_mut(p);
            let (z, rest) = rest.split_at_mut(p);
            let (transported, product) = rest.split_at_mut(p);
            score.score(w, own);
            transported.fill(T::zero());
            let mut sum = T::zero();
            let is_supported = is_supported::<T>();
            if is_supported {
                z.fill(T::zero());
                let mut sums = SteinSum {
                    kernel,
                    w,
                    score: own,
                    zeros: z,
                    out,
                    transported,
                };
                for (points, scores) in blocks.iter().zip(score_blocks.iter()) {
                    sum += sums.add_block(points, scores);
                }
            }
            let pairs = if is_supported { 0 } else { mu.len() };
            for (j, s) in columns(scores, p).enumerate().take(pairs) {
                let c = mu.weight(j);
                if c == T::zero() {
                    continue;
                }
                difference(w, mu.particle(j), z);
                let square = dot(z, z);
                let [f, df, ddf, dddf] = kernel.derivatives(square);
                let scores = dot(own, s);
                let along = dot(s, z) - dot(own, z);
                let trace = two * dim * df + four * square * ddf;
                sum += c * (f * scores + two * df * along - trace);
                if out.is_empty() {
                    continue;
                }
                let radial = two * df * scores + four * ddf * along
                    - (four * dim + eight) * ddf
                    - eight * square * dddf;
                for l in 0..p {
                    out[l] -= c * (radial * z[l] + two * df * (s[l] - own[l]));
                    transported[l] += c * (f * s[l] - two * df * z[l]);
                }
            }
            if !out.is_empty() {
                score.hessian_product(w, transported, product);
                out.iter_mut()
                    .zip(&*product)
                    .for_each(|(out, &h)| *out -= h);
            }
            sum
        };
        let sizes = (p, at.ncols(), mu.len());
        self.rows.fill(sizes, 4 * p, descent, &row);
    }

    /// `F = (1/2) int F'(mu) dmu` from the rows at the particles.
    fn energy(&self, mu: &EmpiricalMeasure<T>) -> T {
        self.rows.integral(mu) * real(0.5)
    }
}

impl<S: Score<T>, K: RadialKernel<T>, T: Real> Energy<T> for SteinDiscrepancy<S, K, T> {
    fn particle_dim(&self) -> usize {
        self.particle_dim
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim, mu);
        self.rows_of(mu, mu.points(), None);
        self.energy(mu)
    }

    fn check(&self) -> Result<(), EnergyError> {
        let derivatives = self.kernel.derivatives(T::zero()).map(to_f64);
        let other = derivatives.iter().find(|f| !f.is_finite());
        let name = "every derivative of the radial kernel at 0, up to the third,";
        let requirement = "finite, as for a longer bandwidth";
        let value = other.copied().unwrap_or(0.0);
        Ok(ParameterError::check(
            other.is_none(),
            name,
            requirement,
            value,
        )?)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim, mu, out);
        self.rows_of(mu, mu.points(), Some(out));
        self.energy(mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.particle_dim, mu, at, values, descent);
        self.rows_of(mu, at, Some(descent));
        values.copy_from_slice(&self.rows.values);
        Some(self.value(mu))
    }
}
