//! Blob energies: the entropy and powers of a density that is a sum of Gaussians at the particles.

use nalgebra::DMatrix;

use super::pairs::Rows;
use super::{Energy, assert_dim, assert_first_variation, assert_velocity};
use crate::error::{ParameterError, assert_size};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::column;
use crate::real::{Real, real, to_f64};

mod row;

use row::{Cloud, Mass};

/// The energy of the blob method for diffusion, `F(mu) = int f(phi * mu) dmu`, with a Gaussian
/// mollifier `phi` of a given variance in each coordinate.
///
/// - [`entropy`](Self::entropy): `f(r) = log r`. In the limit of a small variance F is the entropy
///   `int rho log rho`, and its flow the heat equation `d_t rho = Lap rho`.
/// - [`porous_medium`](Self::porous_medium): `f(r) = r^(m-1) / (m-1)`, m > 1. In the limit
///   `int rho^m / (m-1)`, and `d_t rho = Lap rho^m`.
///
/// With `rho = phi * mu = sum_j c_j phi(. - w_j)`, the first variation and the velocity are
///
/// `F'(mu)(w) = f(rho(w)) + (phi * (f'(rho) mu))(w)`,
/// `v_i = (1/variance) sum_j c_j (f'(rho(w_i)) + f'(rho(w_j))) phi(w_i - w_j) (w_i - w_j)`.
///
/// Sums contain the diagonal, so that F is a function of the measure and the law of copies holds. F
/// is convex in the measure for m = 2; the entropy and other powers need not be. A single particle
/// does not move. Add the drift of a potential by [`Sum`](super::Sum).
///
/// # The variance
/// The variance is that of `phi` in one coordinate, not a bandwidth. The density has an error of the
/// order of the variance, if the standard deviation exceeds the distance h of neighbouring
/// particles, as for `variance = h^1.9`: the measured orders are in the book. For a fixed variance
/// the flow of particles does not converge to diffusion as m grows. Explicit steps of the entropy
/// require `dt` of at most about `variance / 2`.
///
/// # Underflow
/// `phi(0) = (2 pi variance)^(-p/2)` and the density at a point may be outside of the range of the
/// scalar; the logarithm of the density is used. A particle of positive weight always contributes
/// to its own density, so that the entropy and the velocity of isolated particles are finite, and
/// their velocity is 0 if the Gaussians between them underflow. At a point far from all particles,
/// such as a probe of weight 0, sums are relative to the largest term; only if
/// `|w - w_j|^2 / (2 variance)` overflows for all j is `log rho = -inf` there, and the entropy does
/// not contribute to the velocity. `rho^(m-1)` that overflows makes F infinite, which a flow reports
/// as [`NonFinite`](crate::flow::StartError::NonFinite).
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // Two particles at +-r: r' = (4 r / e) / (1 + exp(2 r^2 / e)) for the variance e.
/// let mut energy = Blob::entropy(1, 0.5)?;
/// let pair = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[-0.1, 0.1]))?;
/// let mut v = pair.points().clone();
/// energy.velocity(&pair, &mut v);
/// assert!((v[1] - 0.8 / (1.0 + f64::exp(0.04))).abs() < 1e-15);
/// assert!(Blob::entropy(1, 0.0).is_err() && Blob::porous_medium(1, 1.0, 0.5).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: `m^2` Gaussians for a value, `2 m^2` for a velocity, vectorised in `f32` and `f64`, on all
/// threads; memory `m p` after the first call. On ranks: [`Gathered`](super::Gathered). Accuracy:
/// sums of m terms in the precision of the scalar.
///
/// Source: J. A. Carrillo, K. Craig and F. S. Patacchini, A blob method for diffusion, 2019
/// (arXiv:1709.09195).
#[derive(Debug, Clone)]
pub struct Blob<T> {
    particle_dim: usize,
    /// m - 1, 0 for the entropy.
    power: T,
    variance: T,
    /// The coordinates of the particles, one after the other.
    coordinates: Vec<T>,
    /// `c_j f'(rho_j) rho_j / sum_i c_i k_ij`, times a power of two.
    shares: Vec<T>,
    rows: Rows<T>,
}

impl<T: Real> Blob<T> {
    /// The entropy `int log(phi * mu) dmu` of particles in `R^p`, `p = particle_dim`.
    ///
    /// # Errors
    /// [`ParameterError`] if the variance is not positive and finite, or its reciprocal is not
    /// finite in the precision of the scalar.
    pub fn entropy(particle_dim: usize, variance: T) -> Result<Self, ParameterError> {
        ParameterError::check_positive_in::<T>("variance", to_f64(variance))?;
        Ok(Self {
            particle_dim,
            power: T::zero(),
            variance,
            coordinates: Vec::new(),
            shares: Vec::new(),
            rows: Rows::default(),
        })
    }

    /// The energy `int (phi * mu)^(m-1) dmu / (m-1)` of the exponent m > 1, of particles in `R^p`,
    /// `p = particle_dim`.
    ///
    /// # Errors
    /// [`ParameterError`] as for [`entropy`](Self::entropy), and unless the exponent is finite and
    /// above 1.
    pub fn porous_medium(
        particle_dim: usize,
        exponent: T,
        variance: T,
    ) -> Result<Self, ParameterError> {
        let power = exponent - T::one();
        let holds = power > T::zero() && power.is_finite();
        let requirement = "above 1 and finite";
        ParameterError::check(holds, "exponent", requirement, to_f64(exponent))?;
        let entropy = Self::entropy(particle_dim, variance)?;
        Ok(Self { power, ..entropy })
    }

    /// The exponent m; 1 for the entropy.
    pub fn exponent(&self) -> T {
        self.power + T::one()
    }

    /// The variance of the mollifier in each coordinate.
    pub fn variance(&self) -> T {
        self.variance
    }

    /// The density `phi * mu` at the columns of `at` (`p x q`), written to `out`.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 0.5))?;
    /// let mut density = [0.0; 1];
    /// Blob::entropy(1, 0.25)?.density(&mu, &DMatrix::from_element(1, 1, 0.0), &mut density);
    /// assert!((density[0] - f64::exp(-0.5) / (0.5 * std::f64::consts::PI).sqrt()).abs() < 1e-15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension of `mu` or `at` is not `particle_dim`, or the length of `out` is not q.
    pub fn density(&mut self, mu: &EmpiricalMeasure<T>, at: &DMatrix<T>, out: &mut [T]) {
        assert_dim(self.particle_dim, mu);
        assert_size("dimension of the points", self.particle_dim, at.nrows());
        assert_size("number of values", at.ncols(), out.len());
        self.transpose(mu);
        self.fill_masses(mu, at);
        let log_peak = self.log_peak();
        for (out, &mass) in out.iter_mut().zip(&self.rows.values) {
            *out = (Mass(mass).log() + log_peak).exp();
        }
    }

    /// `log phi(0)`.
    fn log_peak(&self) -> T {
        (T::two_pi().ln() + self.variance.ln()) * real(-0.5 * self.particle_dim as f64)
    }

    /// `r^(m-1)` from `log r`: 1 for the entropy.
    fn power(&self, log_density: T) -> T {
        if self.power == T::zero() {
            T::one()
        } else {
            (self.power * log_density).exp()
        }
    }

    /// `f(r)` from `log r`.
    fn value_of(&self, log_density: T) -> T {
        if self.power == T::zero() {
            log_density
        } else {
            self.power(log_density) / self.power
        }
    }

    /// Copies the particles, so that one coordinate of all of them is contiguous.
    fn transpose(&mut self, mu: &EmpiricalMeasure<T>) {
        let (p, m) = mu.points().shape();
        self.coordinates.resize(p * m, T::zero());
        for (l, row) in self.coordinates.chunks_exact_mut(m).enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x = mu.particle(j)[l];
            }
        }
        self.shares.clear();
    }

    /// A power of two near the inverse deviation `variance^(-1/2)`, if that is above 1, by which
    /// `r^(m-1)` is multiplied: `r^(m-1) (w_j - w)` would underflow for small deviations although its
    /// product with the inverse variance does not. 1 if its product with `largest` overflows.
    fn unit(&self, largest: T) -> T {
        let exponent = (-0.5 * to_f64(self.variance).log2()).round().max(0.0);
        let unit = real::<T>(exponent.exp2());
        if (largest * unit).is_finite() {
            unit
        } else {
            T::one()
        }
    }

    /// The particles with their shares.
    fn cloud<'a>(&'a self, mu: &'a EmpiricalMeasure<T>) -> Cloud<'a, T> {
        Cloud {
            coordinates: &self.coordinates,
            weights: mu.weights(),
            shares: &self.shares,
            rate: real::<T>(std::f64::consts::FRAC_1_SQRT_2) / self.variance.sqrt(),
        }
    }

    /// Sets the values of the rows to the masses of the density at the columns of `at`.
    fn fill_masses(&mut self, mu: &EmpiricalMeasure<T>, at: &DMatrix<T>) {
        let mut rows = std::mem::take(&mut self.rows);
        let cloud = self.cloud(mu);
        let row =
            |i: usize, _: &mut [T], _: &mut [T]| cloud.sums(column(at, i), &mut [], &mut []).0.0;
        rows.fill((at.nrows(), at.ncols(), mu.len()), 0, None, &row);
        self.rows = rows;
    }

    /// Computes the density at the particles; returns F.
    fn energy(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim, mu);
        self.transpose(mu);
        self.fill_masses(mu, mu.points());
        let log_peak = self.log_peak();
        let mut sum = T::zero();
        for (&c, &mass) in mu.weights().iter().zip(&self.rows.values) {
            if c > T::zero() {
                sum += c * self.value_of(Mass(mass).log() + log_peak);
            }
        }
        sum
    }

    /// The first variation at the columns of `at`, in the values of the rows, and minus its
    /// gradient in `descent`, after [`energy`](Self::energy).
    fn variation(&mut self, mu: &EmpiricalMeasure<T>, at: &DMatrix<T>, descent: &mut DMatrix<T>) {
        let log_peak = self.log_peak();
        let powers = mu.weights().iter().zip(&self.rows.values);
        let powers = powers.filter(|&(&c, _)| c > T::zero());
        let largest = powers.fold(T::zero(), |largest: T, (_, &mass)| {
            largest.max(self.power(Mass(mass).log() + log_peak))
        });
        let unit = self.unit(largest * real(mu.len() as f64));
        let mut shares = std::mem::take(&mut self.shares);
        for (&c, &mass) in mu.weights().iter().zip(&self.rows.values) {
            let mass = Mass(mass);
            shares.push(if c > T::zero() {
                mass.share(c) * (unit * self.power(mass.log() + log_peak))
            } else {
                T::zero()
            });
        }
        self.shares = shares;
        let mut rows = std::mem::take(&mut self.rows);
        let (this, cloud) = (&*self, self.cloud(mu));
        let rate = T::one() / this.variance / unit;
        let row = |i: usize, means: &mut [T], out: &mut [T]| {
            let (mass, share) = cloud.sums(column(at, i), means, out);
            let log_density = mass.log() + log_peak;
            let power = unit * this.power(log_density);
            for (out, &mean) in out.iter_mut().zip(&*means) {
                *out = -rate * (power * mean + *out);
            }
            this.value_of(log_density) + share / unit
        };
        let p = at.nrows();
        rows.fill((p, at.ncols(), mu.len()), p, Some(descent), &row);
        self.rows = rows;
    }
}

impl<T: Real> Energy<T> for Blob<T> {
    fn particle_dim(&self) -> usize {
        self.particle_dim
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.energy(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim, mu, out);
        let value = self.energy(mu);
        self.variation(mu, mu.points(), out);
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.particle_dim, mu, at, values, descent);
        let value = self.energy(mu);
        self.variation(mu, at, descent);
        values.copy_from_slice(&self.rows.values);
        Some(value)
    }
}
