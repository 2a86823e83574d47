//! The sum of the Stein kernel over a block of sources.

use super::RadialKernel;
use crate::numeric::pair_blocks::{BLOCK, Block, Products};
use crate::numeric::simd::{Multiversion, multiversion};
use crate::real::{Real, real};

/// The sums at a point w.
pub(super) struct SteinSum<'a, K, T> {
    pub(super) kernel: &'a K,
    pub(super) w: &'a [T],
    /// The score at w.
    pub(super) score: &'a [T],
    /// p zeros.
    pub(super) zeros: &'a [T],
    /// Minus the gradient of the sum, without the share of the derivative of the score; empty if
    /// it is not required.
    pub(super) out: &'a mut [T],
    /// The vector that the derivative of the score multiplies in the gradient.
    pub(super) transported: &'a mut [T],
}

impl<T: Real, K: RadialKernel<T>> SteinSum<'_, K, T> {
    /// Adds the sources of a block, of which `scores` are the scores; returns its sum.
    pub(super) fn add_block(&mut self, points: Block<'_, T>, scores: Block<'_, T>) -> T {
        let width = points.width();
        let mut buffers = [[T::zero(); BLOCK]; 7];
        let [squares, f, df, ddf, dddf, products, along] =
            buffers.each_mut().map(|x| &mut x[..width]);
        points.squares(self.w, squares);
        f.copy_from_slice(squares);
        self.kernel.slice_derivatives(f, [df, ddf, dddf]);
        Products {
            w: self.w,
            points: points.points,
            u: self.score,
            vectors: scores.points,
            products,
            along,
        }
        .compute();
        multiversion(Combine {
            dim: real(self.w.len() as f64),
            weights: points.weights,
            squares,
            f,
            df,
            ddf,
            dddf,
            products,
            along,
        });
        if !self.out.is_empty() {
            let one = T::one();
            points.add_differences(self.w, ddf, -one, self.out);
            scores.add_differences(self.score, df, one, self.out);
            scores.add_differences(self.zeros, f, -one, self.transported);
            points.add_differences(self.w, df, -one, self.transported);
        }
        points.weigh(along, &mut [])
    }
}

/// Replaces `along` by the kernel, `ddf` by `c` times the factor of `w - v` in its gradient, `df` by
/// `2 c f'` and `f` by `c f`.
struct Combine<'a, T> {
    dim: T,
    weights: &'a [T],
    squares: &'a [T],
    f: &'a mut [T],
    df: &'a mut [T],
    ddf: &'a mut [T],
    dddf: &'a [T],
    products: &'a [T],
    along: &'a mut [T],
}

impl<T: Real> Multiversion for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let [two, four, eight] = [2.0, 4.0, 8.0].map(real::<T>);
        let (traced, constant) = (two * self.dim, four * self.dim + eight);
        let width = self.weights.len();
        let (c, s, products) = (
            self.weights,
            &self.squares[..width],
            &self.products[..width],
        );
        let (f, df) = (&mut self.f[..width], &mut self.df[..width]);
        let (ddf, dddf) = (&mut self.ddf[..width], &self.dddf[..width]);
        let along = &mut self.along[..width];
        for r in 0..width {
            let (first, second, product) = (two * df[r], four * ddf[r], products[r]);
            let radial =
                first * product + second * along[r] - constant * ddf[r] - eight * s[r] * dddf[r];
            along[r] = f[r] * product + first * along[r] - traced * df[r] - s[r] * second;
            f[r] *= c[r];
            df[r] = c[r] * first;
            ddf[r] = c[r] * radial;
        }
    }
}
