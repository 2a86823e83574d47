//! Sums of the arc-cosine kernel of neurons, by blocks of sources.
//!
//! With the direction `u = b/|b|` and the factor `q = a |b|` of a neuron `(a, b)` (a = 1 without
//! output weight), `K = q_i q_j k(t)`, where t is the angle of the directions. The blocks contain
//! the directions `u_j`, with the weights `c_j q_j`.

use nalgebra::DMatrix;

use super::Rows;
use super::radial::{PARALLEL, POINTS, Sources};
use crate::numeric::elementary::arc_cosines;
use crate::numeric::pair_blocks::BLOCK;
use crate::numeric::parallel::{Parts, for_each};
use crate::numeric::vector::{axpy, column, norm};
use crate::real::Real;

impl<T: Real> Rows<T> {
    /// [`Rows::add`] for the arc-cosine kernel of the coordinates from `first` on, times the output
    /// weights before them (`first` is 0 or 1).
    pub(super) fn add_neurons(
        &mut self,
        first: usize,
        sources: Sources<'_, T>,
        at: &DMatrix<T>,
        scales: [T; 2],
        out: Option<&mut DMatrix<T>>,
    ) {
        let (p, len) = at.shape();
        let width = 2 * (p - first);
        self.scratch.resize(len * width, T::zero());
        let (out, stride) = match out {
            Some(out) => (out.as_mut_slice(), p),
            None => (&mut [][..], 0),
        };
        let tasks = (
            Parts::new(&mut self.values[..len], POINTS),
            (
                Parts::new(out, POINTS * stride),
                Parts::new(&mut self.scratch, POINTS * width),
            ),
        );
        let pairs = len.saturating_mul(sources.measure.len());
        for_each(
            tasks,
            pairs >= PARALLEL,
            &|task, (values, (out, scratch))| {
                let mut buffers = [[T::zero(); BLOCK]; 3];
                for (i, value) in values.data.iter_mut().enumerate() {
                    let w = column(at, task * POINTS + i);
                    let out = &mut out.data[i * stride..][..stride];
                    let scratch = &mut scratch.data[i * width..][..width];
                    let neuron = Neuron { first, w, scratch };
                    neuron.add(sources, scales, &mut buffers, value, out);
                }
            },
        );
    }
}

/// A neuron `(a, b)`.
struct Neuron<'a, T> {
    first: usize,
    w: &'a [T],
    /// The direction of b and its negative.
    scratch: &'a mut [T],
}

impl<T: Real> Neuron<'_, T> {
    /// Adds the integral to `value`, and its gradient to `out` unless it is empty.
    fn add(
        self,
        sources: Sources<'_, T>,
        scales: [T; 2],
        [kernel, supplement, sin]: &mut [[T; BLOCK]; 3],
        value: &mut T,
        out: &mut [T],
    ) {
        let (weights, inputs) = self.w.split_at(self.first);
        let (size, output) = (norm(inputs), weights.first().copied());
        if size == T::zero() {
            return;
        }
        let (unit, minus) = self.scratch.split_at_mut(inputs.len());
        for ((unit, minus), &x) in unit.iter_mut().zip(minus.iter_mut()).zip(inputs) {
            *unit = x / size;
            *minus = -*unit;
        }
        let (unit, minus) = (&*unit, &*minus);
        let [scale, scale_out] = scales;
        let factor = output.unwrap_or_else(T::one);
        let (mut sum, mut along) = (T::zero(), T::zero());
        let (out_weights, gradient) = out.split_at_mut(self.first.min(out.len()));
        for block in sources.blocks.iter() {
            let width = block.width();
            let (kernel, sin) = (&mut kernel[..width], &mut sin[..width]);
            let supplement = &mut supplement[..width];
            block.squares(unit, kernel);
            block.squares(minus, supplement);
            arc_cosines(kernel, supplement, sin);
            if gradient.is_empty() {
                sum += block.weigh(kernel, &mut []);
            } else {
                // sin t u + (pi - t) v = (sin t + pi - t) u - (pi - t) (u - v)
                along += block.weigh(sin, &mut []) + block.weigh(supplement, &mut []);
                sum += block.weigh(kernel, supplement); // c (pi - t) replaces pi - t
                block.add_differences(unit, supplement, -scale_out * factor, gradient);
            }
        }
        *value += scale * (factor * (size * sum));
        axpy(scale_out * factor * along, unit, gradient);
        for out in out_weights {
            *out += scale_out * (size * sum);
        }
    }
}
