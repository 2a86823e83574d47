//! Push forward: `u_l(x_j) = sum_i c_i (alpha_il sigma(b_i . x_j) + a_il sigma'(b_i . x_j) beta_i . x_j)` along `(alpha, beta)`.

use pulp::Simd;

use super::forward::store;
use super::lanes::{Kernel, Lane};
use super::layer::{Layer, Rows};
use super::tile::combine;
use crate::activation::Activation;

/// The samples of one panel.
pub(super) struct Push<'a, E, A> {
    pub(super) layer: Layer<'a, E, A>,
    /// The field `(alpha_i, beta_i)`, `p x m`.
    pub(super) v: &'a [E],
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// The derivatives of the panel, `k x samples` by rows, overwritten.
    pub(super) u: &'a mut [E],
}

impl<E: Lane, A: Activation<E>> Kernel for Push<'_, E, A> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, s: S) {
        let Self { layer, v, lines, u } = self;
        let field = Layer { w: v, ..layer };
        let n = u.len() / layer.k;
        let (mut partial, mut values, mut slopes) = (Rows::<E, R>::new(), Rows::<E, R>::new(), Rows::<E, R>::new());
        let (partial, values, slopes) = (partial.of(n), values.of(n), slopes.of(n));
        u.fill(E::zero());
        for i in (0..layer.particles()).step_by(R) {
            store::<E, S, R, V>(s, layer.directions(i), lines, partial, values);
            store::<E, S, R, V>(s, field.directions(i), lines, partial, slopes);
            for (value, slope) in values.iter_mut().zip(slopes.iter_mut()) {
                let (s, ds) = layer.sigma.value_and_derivative(*value);
                (*value, *slope) = (s, ds * *slope);
            }
            for (l, u) in u.chunks_exact_mut(n).enumerate() {
                combine::<E, S, R>(s, field.coefficients(i, l), values, u);
                combine::<E, S, R>(s, layer.coefficients(i, l), slopes, u);
            }
        }
    }
}
