//! Kernels for general activations: preactivations of a tile in the L1 cache, a pointwise map, and
//! products with its values and derivatives.
//!
//! The kernels do not depend on the activation, which is applied to slices between them and
//! compiled for each instruction set in the crate that defines it.

use super::blocking::SAMPLES;
use super::microkernel::{add_weighted_features, combine, preactivations};
use super::operands::{Operands, Panel};
use crate::activation::Activation;
use crate::numeric::packed::line;
use crate::numeric::simd::{Multiversion, Simd, SimdKernel, SimdScalar, launch, multiversion};
use crate::real::Real;

/// `u[r][j] = b_(i + r) . x_j` for the samples of a panel.
pub(super) struct Preactivations<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The first particle of the tile.
    pub(super) i: usize,
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// Overwritten.
    pub(super) u: &'a mut [E],
}

launch!(Preactivations, Outputs, WeightedValues, WeightedFeatures);

impl<E: SimdScalar> SimdKernel for Preactivations<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let n = self.u.len() / R;
        let lines = n / line::<E>();
        let mut rows = self.u.chunks_exact_mut(n);
        let mut out: [_; R] = std::array::from_fn(|_| {
            let row = S::vectors_mut(rows.next().unwrap_or_default());
            &mut row.as_chunks_mut::<V>().0[..lines]
        });
        let b = self.operands.directions::<R>(self.i);
        preactivations::<E, S, R, V>(
            s,
            b,
            self.lines,
            lines,
            #[inline(always)]
            |l, u| {
                for r in 0..R {
                    out[r][l] = u[r];
                }
            },
        );
    }
}

/// `h_l(x_j) += sum_r c_i a_il values[r][j]`, i = `self.i` + r, for all outputs l.
pub(super) struct Outputs<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The first particle of the tile.
    pub(super) i: usize,
    /// The rows `sigma(b_i . x_j)` of the tile.
    pub(super) values: &'a [E],
    /// `k x samples` by rows.
    pub(super) h: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for Outputs<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let n = self.values.len() / R;
        for (l, h) in self.h.chunks_exact_mut(n).enumerate() {
            combine::<E, S, R>(s, self.operands.coefficients(self.i, l), self.values, h);
        }
    }
}

/// `S_il += sum_j g_jl values[r][j]` and `t[r][j] = <g_j, a_i> derivatives[r][j]` for the particles
/// i = `self.i` + r of a tile.
///
/// With one output `a_i` is omitted.
pub(super) struct WeightedValues<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The first particle of the tile.
    pub(super) i: usize,
    /// The rows `sigma(b_i . x_j)` of the tile.
    pub(super) values: &'a [E],
    /// The rows `sigma'(b_i . x_j)` of the tile.
    pub(super) derivatives: &'a [E],
    /// `k x samples` by rows, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// A row of the longest panel for each particle of the tile.
    pub(super) t: &'a mut [[E; SAMPLES]],
    /// Columns `(S_i, G_i)` of the particles of the tile.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for WeightedValues<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let Operands { k, w, .. } = self.operands;
        let (p, n) = (self.operands.p(), self.values.len() / R);
        let (values, ds) = (
            self.values.chunks_exact(n),
            self.derivatives.chunks_exact(n),
        );
        let (rows, w) = (values.zip(ds), w[self.i * p..].chunks_exact(p));
        let particles = self.out.chunks_exact_mut(p).zip(w);
        for (((out, w), (values, ds)), t) in particles.zip(rows).zip(self.t) {
            for (sum, g) in out.iter_mut().zip(self.g.chunks_exact(n)) {
                *sum += dot::<E, S, V>(s, values, g);
            }
            let mut products;
            let q = if k == 1 {
                self.g
            } else {
                products = [E::zero(); SAMPLES]; // <g_j, a_i>
                for (&a, g) in w[..k].iter().zip(self.g.chunks_exact(n)) {
                    for (q, &g) in products.iter_mut().zip(g) {
                        *q += a * g;
                    }
                }
                &products
            };
            for ((t, &ds), &q) in t.iter_mut().zip(ds).zip(q) {
                *t = ds * q;
            }
        }
    }
}

/// `G_i += sum_j t[r][j] x_j` for the particles of some tiles.
pub(super) struct WeightedFeatures<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) panel: Panel<'a, E>,
    /// A row of the longest panel for each particle, whole tiles.
    pub(super) t: &'a [[E; SAMPLES]],
    /// Columns `(., G_i)` of the particles.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for WeightedFeatures<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let (d, p) = (self.operands.d, self.operands.p());
        let (tiles, _) = self.t.as_chunks();
        add_weighted_features::<E, S, R, V>(s, tiles, self.panel, [d, p], self.out);
    }
}

/// `u <- sigma(u)`.
pub(super) fn values<T: Real, A: Activation<T>>(sigma: &A, u: &mut [T]) {
    multiversion(Apply { sigma, u });
}

/// `(u, ds) <- (sigma(u), sigma'(u))`.
pub(super) fn values_and_derivatives<T: Real, A: Activation<T>>(
    sigma: &A,
    u: &mut [T],
    ds: &mut [T],
) {
    multiversion(ApplyWithDerivative { sigma, u, ds });
}

struct Apply<'a, T, A> {
    sigma: &'a A,
    u: &'a mut [T],
}

impl<T: Real, A: Activation<T>> Multiversion for Apply<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        self.sigma.apply(self.u);
    }
}

struct ApplyWithDerivative<'a, T, A> {
    sigma: &'a A,
    u: &'a mut [T],
    ds: &'a mut [T],
}

impl<T: Real, A: Activation<T>> Multiversion for ApplyWithDerivative<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        self.sigma.apply_with_derivative(self.u, self.ds);
    }
}

/// `<x, y>`, both in whole lines of `V` vectors.
#[inline(always)]
pub(super) fn dot<E: SimdScalar, S: Simd<E>, const V: usize>(s: S, x: &[E], y: &[E]) -> E {
    // At least four independent sums hide the latency of a multiply-add.
    if V < 4 {
        independent_sums::<E, S, 4>(s, x, y)
    } else {
        independent_sums::<E, S, V>(s, x, y)
    }
}

/// `<x, y>` as `N` independent sums.
#[inline(always)]
fn independent_sums<E: SimdScalar, S: Simd<E>, const N: usize>(s: S, x: &[E], y: &[E]) -> E {
    let (x, x_rest) = S::vectors(x).as_chunks::<N>();
    let (y, y_rest) = S::vectors(y).as_chunks::<N>();
    let mut sums = [s.zero(); N];
    for (x, y) in x.iter().zip(y) {
        for v in 0..N {
            sums[v] = s.mul_add(x[v], y[v], sums[v]);
        }
    }
    let mut sum = s.zero();
    for (&x, &y) in x_rest.iter().zip(y_rest) {
        sum = s.mul_add(x, y, sum);
    }
    for v in 0..N {
        sum = s.add(sum, sums[v]);
    }
    s.reduce_sum(sum)
}
