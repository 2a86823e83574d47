//! The energy distance and other distances of conditionally positive definite kernels.

use nalgebra::DMatrix;

use super::interaction::ByDifference;
use super::pairs::{Rows, Sources, fill};
use super::{Energy, Interaction, PowerLaw, assert_dim, assert_first_variation, assert_velocity};
use crate::error::{EnergyError, ParameterError, ShapeError};
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::pair_blocks::Blocks;
use crate::real::{Real, epsilon, real, to_f64};

/// An even function W for which `K(w, v) = W(w - v)` is a conditionally positive definite kernel.
///
/// # Laws
/// `sum_ij c_i c_j W(w_i - w_j) >= 0` for all points and all weights of either sign *of sum 0*, and
/// `W(0)` is finite. Without the condition on the sum it is a positive definite
/// [`Kernel`](super::Kernel), which [`Mmd`](super::Mmd) uses.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// The multiquadric W(z) = -(1 + |z|^2)^(1/2).
/// struct Multiquadric;
/// impl<T: Real> Interaction<T> for Multiquadric {
///     fn value(&self, z: &[T]) -> T {
///         -z.iter().fold(T::one(), |sum, &z| sum + z * z).sqrt()
///     }
///     fn gradient(&self, z: &[T], scale: T, out: &mut [T]) {
///         let scale = scale / Interaction::<T>::value(self, z);
///         for (out, &z) in out.iter_mut().zip(z) {
///             *out += scale * z;
///         }
///     }
/// }
/// impl<T: Real> ConditionallyPositive<T> for Multiquadric {}
///
/// let target = init::circle::<f64>(8, 1.0)?;
/// assert!(EnergyDistance::new(Multiquadric, target)?.value(&init::circle(5, 1.0)?) >= 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ConditionallyPositive<T: Real>: Interaction<T> {}

forward! {
    impl[T: Real, W: ConditionallyPositive<T> + ?Sized] ConditionallyPositive<T>;
    for &W, &mut W, Box<W>; {}
}

/// The Riesz kernel `W(z) = -|z|^r` of exponent `0 < r < 2`; r = 1 is that of the energy distance.
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(Riesz::new(1.0)?.value(&[3.0, 4.0]), -5.0);
/// assert!(Riesz::new(2.0).is_err()); // its distance is that of the means
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Riesz {
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "exponent",
            serialize_with = "encode_exponent",
            deserialize_with = "decode_exponent"
        )
    )]
    power: PowerLaw,
}

#[cfg(feature = "serde")]
fn encode_exponent<S: serde::Serializer>(power: &PowerLaw, encoder: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&power.exponent(), encoder)
}

#[cfg(feature = "serde")]
fn decode_exponent<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<PowerLaw, D::Error> {
    let exponent: f64 = serde::Deserialize::deserialize(decoder)?;
    let riesz = Riesz::new(exponent).map_err(serde::de::Error::custom)?;
    Ok(riesz.power)
}

impl Riesz {
    /// The kernel of exponent r.
    ///
    /// # Errors
    /// [`ParameterError`] unless `0 < r < 2`.
    pub fn new(exponent: f64) -> Result<Self, ParameterError> {
        let holds = exponent > 0.0 && exponent < 2.0;
        ParameterError::check(holds, "exponent", "between 0 and 2", exponent)?;
        let power = PowerLaw::new(exponent, -exponent)?;
        Ok(Self { power })
    }

    /// The exponent r.
    pub fn exponent(&self) -> f64 {
        self.power.exponent()
    }
}

impl<T: Real> Interaction<T> for Riesz {
    fn value(&self, z: &[T]) -> T {
        self.power.value(z)
    }
    fn gradient(&self, z: &[T], scale: T, out: &mut [T]) {
        self.power.gradient(z, scale, out);
    }
    #[inline]
    fn value_and_gradient(&self, z: &[T], scale: T, out: &mut [T]) -> T {
        self.power.value_and_gradient(z, scale, out)
    }
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        self.power.radial(s, d)
    }
    fn radial_range(&self) -> [T; 2] {
        self.power.radial_range()
    }
}

impl<T: Real> ConditionallyPositive<T> for Riesz {}

/// Half the squared distance of `mu` and a target measure `nu` of the same mass for a conditionally
/// positive definite kernel: `F(mu) = (1/2) int int W(w - v) d(mu - nu) d(mu - nu)`.
///
/// For [`Riesz`]`(1)` it is the energy distance
/// `E|X - Y| - E|X - X'| / 2 - E|Y - Y'| / 2`, of probability measures, and in one dimension
/// `int (F_mu - F_nu)^2` of the distribution functions. Its first variation is
/// `F'(mu)(w) = int W(w - .) d(mu - nu)`.
///
/// F is not negative if the masses are equal. Its value is not clamped: close to 0 it is a
/// difference of sums with an absolute error of the order of machine epsilon times `|W|`, of either
/// sign. With other masses the same formula is evaluated, and may be negative; a flow from there is
/// an error, [`check_measure`](Energy::check_measure).
///
/// Riesz kernels with r <= 1 have a kink or a cusp at 0: particles at one point have the velocity 0
/// against each other and remain together, although the Wasserstein flow spreads them. Start from
/// distinct points.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let dirac = |x| EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, x));
/// let energy = EnergyDistance::new(Riesz::new(1.0)?, dirac(0.0)?)?;
/// let mut flow = ParticleFlow::new(energy, Euler, 0.25)?;
/// let mut state = flow.start(dirac(1.0)?)?; // F = |w|: unit speed
/// flow.run_until(&mut state, 0.5, &mut ())?;
/// assert_eq!((state.measure().particle(0)[0], state.energy()), (0.5, 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: `m^2 + m m'` evaluations of W and its gradient for m' points of the target, on all threads.
/// On ranks: [`Gathered`](super::Gathered).
///
/// Source: G. J. Szekely and M. L. Rizzo, Energy statistics: a class of statistics based on
/// distances, 2013; J. Hertrich, C. Wald, F. Altekrueger and P. Hagemann, Generative sliced MMD
/// flows with Riesz kernels, 2024.
#[derive(Debug, Clone)]
pub struct EnergyDistance<W, T> {
    kernel: W,
    target: EmpiricalMeasure<T>,
    /// The constant `int int W dnu dnu`.
    self_energy: T,
    target_blocks: Blocks<T>,
    blocks: Blocks<T>,
    rows: Rows<T>,
}

impl<T: Real, W: ConditionallyPositive<T>> EnergyDistance<W, T> {
    /// The energy of `kernel` with the target measure `nu = target`.
    ///
    /// # Errors
    /// [`EnergyError`] if a coordinate or weight of the target is not valid, or `W(0)` is infinite.
    ///
    /// Cost: `m'^2` evaluations of the kernel.
    pub fn new(kernel: W, target: EmpiricalMeasure<T>) -> Result<Self, EnergyError> {
        let zero = kernel.value(&vec![T::zero(); target.dim()]);
        ParameterError::check(zero.is_finite(), "W(0)", "finite", to_f64(zero))?;
        let mut energy = Self {
            kernel,
            target: target.clone(),
            self_energy: T::zero(),
            target_blocks: Blocks::default(),
            blocks: Blocks::default(),
            rows: Rows::default(),
        };
        fill(&mut energy.target_blocks, &target);
        energy.rows_of(&target, target.points(), None, real(1.0), false);
        energy.self_energy = energy.rows.integral(&target);
        let requirement = "finite between the points of the target";
        let value = to_f64(energy.self_energy);
        ParameterError::check(energy.self_energy.is_finite(), "W", requirement, value)?;
        Ok(energy)
    }

    /// The kernel W.
    pub fn kernel(&self) -> &W {
        &self.kernel
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// `share int W(w - .) dmu - int W(w - .) dnu` at the columns w of `at`, in the values of the
    /// rows, and the descent directions of `int W(w - .) d(mu - nu)`. The integral over `nu` is left
    /// out unless `with_target`.
    fn rows_of(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        mut descent: Option<&mut DMatrix<T>>,
        share: T,
        with_target: bool,
    ) {
        if let Some(descent) = &mut descent {
            descent.fill(T::zero());
        }
        fill(&mut self.blocks, mu);
        let sources = |measure, blocks| Sources {
            measure,
            blocks,
            omits_own: false,
        };
        let (w, one) = (ByDifference(&self.kernel), T::one());
        self.rows.clear(at.ncols());
        let particles = sources(mu, &self.blocks);
        let out = descent.as_deref_mut();
        self.rows.add(&w, particles, at, [share, -one], out);
        if with_target {
            let target = sources(&self.target, &self.target_blocks);
            self.rows.add(&w, target, at, [-one, one], descent);
        }
    }

    /// F, from rows with the share 1/2 at the particles.
    fn energy(&self, mu: &EmpiricalMeasure<T>) -> T {
        self.rows.integral(mu) + self.self_energy * real(0.5)
    }
}

impl<T: Real, W: ConditionallyPositive<T>> Energy<T> for EnergyDistance<W, T> {
    fn particle_dim(&self) -> usize {
        self.target.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.target.dim(), mu);
        self.rows_of(mu, mu.points(), None, real(0.5), true);
        self.energy(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.target.dim(), mu, out);
        self.rows_of(mu, mu.points(), Some(out), real(0.5), true);
        self.energy(mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.target.dim(), mu, at, values, descent);
        self.rows_of(mu, at, Some(descent), T::one(), true);
        values.copy_from_slice(&self.rows.values);
        Some(self.value(mu))
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        ShapeError::check(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        )?;
        Ok(check_mass(mu, &self.target)?)
    }
}

/// Returns an error unless the masses of `mu` and the target are equal up to rounding.
pub(crate) fn check_mass<T: Real>(
    mu: &EmpiricalMeasure<T>,
    target: &EmpiricalMeasure<T>,
) -> Result<(), ParameterError> {
    let (mass, expected) = (mu.mass(), target.mass());
    let terms = real::<T>(4.0 * (mu.len() + target.len()) as f64);
    let holds = (mass - expected).abs() <= terms * epsilon::<T>() * expected;
    let requirement = "equal to the mass of the target";
    ParameterError::check(holds, "mass of the measure", requirement, to_f64(mass))
}
