//! Stein variational gradient descent.

use super::{Integrator, Step};
use crate::energy::{Energy, Kernel, OfPair, Rows, accurate_range, evaluate};
use crate::error::{ParameterError, ShapeError, StepError};
use crate::numeric::pair_blocks::{BLOCK, Blocks};
use crate::numeric::simd::is_supported;
use crate::numeric::vector::{axpy, column};
use crate::real::{Real, real, to_f64};
use crate::state::State;

/// Stein variational gradient descent (SVGD) of the free energy `F(mu) + tau int log mu`, for any
/// energy F with the velocity `v = -grad F'(mu)`:
///
/// `w_i += dt sum_j c_j (K(w_j, w_i) v_j + tau grad_1 K(w_j, w_i))`. Order 1.
///
/// For `F = int V dmu` the velocities are the scores of the density `exp(-V / tau)`, times tau, and
/// with `tau = 1` this is the method of Liu and Wang. It is the gradient flow of the free energy in
/// the geometry of the kernel K, not in that of Wasserstein: the direction is not `-grad F'` of any
/// energy of particles. It is therefore an integrator, which applies the kernel to the velocities
/// of an energy, and not an energy. Unlike [`Langevin`](super::Langevin) it has no noise, and a
/// single particle performs gradient ascent of `log pi`.
///
/// The sums of the kernel contain the diagonal. A particle of weight 0 moves along the flow without
/// influence. A measure of another mass than 1 moves at a speed proportional to it.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // Two particles sample N(0, 1) with the kernel exp(-(w - v)^2 / 2).
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let svgd = Svgd::new(Gaussian::new(1, 1.0)?, 1.0)?;
/// let mut flow = ParticleFlow::new(energy, svgd, 0.1)?;
/// let start = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[-0.1, 0.1]))?;
/// let mut state = flow.start(start)?;
/// flow.run(&mut state, 400, &mut ())?;
/// let exact = f64::sqrt(3.0_f64.ln() / 2.0);
/// assert!((state.measure().particle(1)[0] - exact).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A step fails with [`StepError::Shape`] if the dimensions of kernel and energy differ, and with
/// [`StepError::Unsupported`] if the particles are distributed over ranks.
///
/// # Cost
/// `m^2` evaluations of the kernel and its gradient a step, on all threads, besides the velocity of
/// the state. They are vectorised for [radial](Kernel::radial) kernels.
///
/// Source: Q. Liu and D. Wang, Stein variational gradient descent: a general purpose Bayesian
/// inference algorithm, 2016.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "K: serde::Deserialize<'de>, T: Real + serde::Deserialize<'de>"))
)]
pub struct Svgd<K, T> {
    kernel: K,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_temperature"))]
    temperature: T,
    #[cfg_attr(feature = "serde", serde(skip))]
    rows: Rows<T>,
    #[cfg_attr(feature = "serde", serde(skip))]
    points: Blocks<T>,
    #[cfg_attr(feature = "serde", serde(skip))]
    velocities: Blocks<T>,
}

/// Equality of the kernels and the temperatures, without the buffers.
impl<K: PartialEq, T: PartialEq> PartialEq for Svgd<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.kernel == other.kernel && self.temperature == other.temperature
    }
}

#[cfg(feature = "serde")]
fn decode_temperature<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&temperature: &T| {
        Svgd::new((), temperature).map(drop)
    })
}

impl<K, T: Real> Svgd<K, T> {
    /// The method of a kernel K at the temperature `tau >= 0`.
    ///
    /// # Errors
    /// [`ParameterError`] if the temperature is negative or not finite.
    pub fn new(kernel: K, temperature: T) -> Result<Self, ParameterError> {
        ParameterError::check_nonnegative("temperature", to_f64(temperature))?;
        Ok(Self {
            kernel,
            temperature,
            rows: Rows::default(),
            points: Blocks::default(),
            velocities: Blocks::default(),
        })
    }

    /// The kernel K.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The order, 1.
    pub fn order(&self) -> u32 {
        1
    }
}

impl<K: Kernel<T>, T: Real> Integrator<T> for Svgd<K, T> {
    fn order(&self) -> u32 {
        1
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        let p = energy.particle_dim();
        ShapeError::check("dimension of the kernel", p, self.kernel.dim())?;
        if energy.ranks().is_some() {
            return Err(StepError::Unsupported {
                what: "all particles in one process",
            });
        }
        state.evaluate(energy);
        let mut stages = state.take_stages(state.measure().points().shape(), 1);
        let direction = &mut stages[0];
        direction.fill(T::zero());
        let (mu, v) = state.split_mut();
        let (kernel, temperature) = (OfPair(&self.kernel), self.temperature);
        let pair = |i: usize, j: usize, out: &mut [T]| {
            let c = mu.weight(j);
            if c != T::zero() {
                let (from, to) = (mu.particle(j), mu.particle(i));
                let k = (kernel.0).value_and_gradient(from, to, c * temperature, out);
                axpy(c * k, column(v, j), out);
            }
        };
        let is_radial = is_supported::<T>() && kernel.0.radial(&mut [], &mut []);
        let range = accurate_range(&kernel);
        if is_radial {
            self.points.fill(mu.points().as_slice(), mu.weights(), p);
            self.velocities.fill(v.as_slice(), mu.weights(), p);
        }
        let (points, velocities) = (&self.points, &self.velocities);
        let row = |i: usize, zeros: &mut [T], out: &mut [T]| {
            if !is_radial {
                (0..mu.len()).for_each(|j| pair(i, j, out));
                return T::zero();
            }
            zeros.fill(T::zero());
            let [mut k, mut dk] = [[T::zero(); BLOCK]; 2];
            let w = mu.particle(i);
            for (block, velocities) in points.iter().zip(velocities.iter()) {
                let (k, dk) = (&mut k[..block.width()], &mut dk[..block.width()]);
                evaluate((&kernel, range), block, w, k, dk, |j| pair(i, j, out));
                block.weigh(&[], k);
                block.weigh(&[], dk);
                velocities.add_differences(zeros, k, -T::one(), out);
                block.add_differences(w, dk, real::<T>(-2.0) * temperature, out);
            }
            T::zero()
        };
        let sizes = (p, mu.len(), mu.len());
        self.rows.fill(sizes, p, Some(direction), &row);
        mu.displace(dt, direction);
        state.give_stages(stages);
        Ok(Step::new(dt))
    }
}
