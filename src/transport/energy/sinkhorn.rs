//! The debiased Sinkhorn divergence to a target.

use nalgebra::DMatrix;

use super::{check_measure, check_target};
use crate::energy::{Energy, fill};
use crate::error::{EnergyError, MeasureError, ParameterError, assert_size};
use crate::measure::EmpiricalMeasure;
use crate::numeric::pair_blocks::Blocks;
use crate::real::{Real, epsilon, real, to_f64};

mod relaxation;
mod soft_minimum;
mod solve;

use soft_minimum::{Cloud, SoftMinima};
use solve::Settings;

/// The default of the tolerance, on marginals of mass 1.
const TOLERANCE: f64 = 1e-9;
/// The default of the largest number of iterations at the final temperature.
const ITERATIONS: usize = 1000;

/// The debiased Sinkhorn divergence of `mu` and a target measure `nu` of the same mass, for the
/// cost `c(x, y) = |x - y|^2 / 2` and the temperature `epsilon`:
///
/// `F(mu) = OT(mu, nu) - OT(mu, mu) / 2 - OT(nu, nu) / 2`,
/// `OT(mu, nu) = min_pi int c dpi + epsilon KL(pi | mu x nu)`.
///
/// It is `W_2^2 / 2` in the limit `epsilon -> 0`, half the squared distance of the means for
/// `epsilon -> inf`, and `c(x, y)` for two unit masses at every epsilon. F >= 0, and 0 if `mu = nu`;
/// a negative result, which is due to rounding and the tolerance, is replaced by 0. The regulariser
/// is the relative entropy to the product measure. With the cost `|x - y|^2` of other libraries the
/// divergence at their temperature `e` is twice F at `epsilon = e / 2`. With total mass M it is M
/// times the divergence of the normalised measures.
///
/// With the potentials f of `OT(mu, nu)` and p of `OT(mu, mu)` the first variation is `f - p`, up to
/// the constant that equal masses leave free, and the velocity is the difference of two barycentric
/// projections, to `nu` and to `mu`. All points are allowed: equal clouds, a single point, and
/// particles at one point. A measure of other mass or dimension is an error of the flow.
///
/// # Accuracy
/// The iteration in the log domain stops at an error of the marginals of `tolerance` (of measures of
/// mass 1, in total variation), and [`marginal_error`](Self::marginal_error) is that of the last
/// evaluation: larger if the bound on the iterations was reached, as for small epsilon, or if the
/// rounding errors of the potentials divided by epsilon are. They are included, as a bound. Every
/// evaluation starts anew, with decreasing temperatures: F is a function of `mu` alone, so that runs
/// resume bit for bit. [`warm_started`](Self::warm_started) gives this up for speed.
///
/// The iterations for `OT(mu, nu)` are over-relaxed, with a factor that adapts to the observed rate;
/// those for `OT(mu, mu)` and `OT(nu, nu)` are accelerated by Chebyshev polynomials. `OT(nu, nu)` is
/// computed in the first evaluation only.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
/// use wasserflow::transport::SinkhornEnergy;
///
/// let pair = |a: f64, b| EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[a, b]));
/// let mut energy = SinkhornEnergy::half_square(pair(0.3, 2.0)?, 1.0)?;
/// assert!((energy.value(&pair(0.0, 1.0)?) - 0.259510873).abs() < 1e-8);
/// assert!(energy.marginal_error() <= 1e-9);
/// assert!(energy.value(&pair(2.0, 0.3)?) < 1e-8); // the target
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
/// An iteration evaluates `2 m m' + m^2` exponentials for m' points of the target, on all threads,
/// each once: the exponents are relative to the potentials of the previous iteration. The first
/// evaluation needs another `m'^2` an iteration. Nothing is allocated after it. On ranks:
/// [`Gathered`](crate::energy::Gathered).
///
/// Source: J. Feydy, T. Sejourne, F.-X. Vialard, S. Amari, A. Trouve and G. Peyre, Interpolating
/// between optimal transport and MMD using Sinkhorn divergences, 2019. Over-relaxation: T. Lehmann,
/// M.-K. von Renesse, A. Sambale and A. Uschmajew, A note on overrelaxation in the Sinkhorn
/// algorithm, 2021 (arXiv:2012.12562).
#[derive(Debug, Clone)]
pub struct SinkhornEnergy<T> {
    target: EmpiricalMeasure<T>,
    settings: Settings<T>,
    /// `OT(nu, nu)` of the normalised target and its marginal error, after the first evaluation.
    self_energy: Option<(T, T)>,
    marginal_error: T,
    /// The potentials f and g of the pair, p of `mu` alone, after the first evaluation.
    potentials: [Vec<T>; 3],
    is_warm: bool,
    previous: Vec<T>,
    rows: SoftMinima<T>,
    target_blocks: Blocks<T>,
    blocks: Blocks<T>,
    second: DMatrix<T>,
}

impl<T: Real> SinkhornEnergy<T> {
    /// The energy with the target measure `nu = target`, the cost `|x - y|^2 / 2` and the
    /// temperature `epsilon > 0`, in units of the cost.
    ///
    /// # Errors
    /// [`MeasureError`] if the target is not valid or has no mass, if epsilon is not positive, or if
    /// epsilon or its reciprocal is not finite in the precision of the scalar.
    pub fn half_square(target: EmpiricalMeasure<T>, epsilon: T) -> Result<Self, MeasureError> {
        check_target(&target)?;
        ParameterError::check_positive_in::<T>("epsilon", to_f64(epsilon))?;
        let settings = Settings {
            epsilon,
            tolerance: lowest_tolerance::<T>().max(real(TOLERANCE)),
            iterations: ITERATIONS,
        };
        let mut energy = Self {
            target,
            settings,
            self_energy: None,
            marginal_error: real(f64::INFINITY),
            potentials: Default::default(),
            is_warm: false,
            previous: Vec::new(),
            rows: SoftMinima::default(),
            target_blocks: Blocks::default(),
            blocks: Blocks::default(),
            second: DMatrix::zeros(0, 0),
        };
        fill(&mut energy.target_blocks, &energy.target);
        Ok(energy)
    }

    /// Sets the error of the marginals at which iterations stop, and the largest number of
    /// iterations at the final temperature. The defaults are 1e-9 and 1000.
    ///
    /// # Errors
    /// [`ParameterError`] if the tolerance is below 16 roundings of the scalar or not finite, or the
    /// number of iterations is 0.
    pub fn accuracy(mut self, tolerance: T, iterations: usize) -> Result<Self, ParameterError> {
        let holds = tolerance >= lowest_tolerance() && tolerance.is_finite();
        let requirement = "at least 16 roundings of the scalar, and finite";
        ParameterError::check(holds, "tolerance", requirement, to_f64(tolerance))?;
        let (name, requirement) = ("number of iterations", "at least 1");
        ParameterError::check(iterations > 0, name, requirement, iterations as f64)?;
        self.settings.tolerance = tolerance;
        self.settings.iterations = iterations;
        self.self_energy = None;
        Ok(self)
    }

    /// Starts each evaluation from the potentials of the previous one, if the numbers of points are
    /// equal and the error of the marginals at this start is at most 1: after a small step a few
    /// iterations suffice.
    ///
    /// F then depends on the previous evaluation, within the tolerance, so that a resumed run equals
    /// an uninterrupted one up to the tolerance and not bit for bit.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::transport::SinkhornEnergy;
    ///
    /// let pair = |a: f64, b| EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[a, b]));
    /// let mut energy = SinkhornEnergy::half_square(pair(0.3, 2.0)?, 1.0)?.warm_started();
    /// energy.value(&pair(0.01, 1.0)?);
    /// assert!((energy.value(&pair(0.0, 1.0)?) - 0.259510873).abs() < 1e-8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn warm_started(mut self) -> Self {
        self.is_warm = true;
        self
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// The temperature `epsilon`, in units of the cost `|x - y|^2 / 2`.
    pub fn epsilon(&self) -> T {
        self.settings.epsilon
    }

    /// The largest error of the marginals in the last evaluation, in total variation for measures of
    /// mass 1, with a bound of the rounding errors; infinite before the first one, and if a potential
    /// is not finite.
    pub fn marginal_error(&self) -> T {
        self.marginal_error
    }

    /// The potentials `[f, g, p]` of the last evaluation; empty before the first one. The means of f
    /// and g are nearly equal.
    ///
    /// The plan of `OT(mu, nu)` is `a_i b_j exp((f_i + g_j - c(x_i, y_j)) / epsilon) / M` for the
    /// weights `a_i` of `mu` and `b_j` of `nu`, with an error of the marginals of at most
    /// [`marginal_error`](Self::marginal_error). That of `OT(mu, mu)` has `p` in place of f and g.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::transport::SinkhornEnergy;
    ///
    /// let point = |x: f64| EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, x));
    /// let mut energy = SinkhornEnergy::half_square(point(3.0)?, 0.1)?;
    /// energy.value(&point(1.0)?);
    /// let [f, g, p] = energy.potentials();
    /// assert!((f[0] + g[0] - 2.0).abs() < 1e-9); // |1 - 3|^2 / 2
    /// assert!(p[0].abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn potentials(&self) -> [&[T]; 3] {
        self.potentials.each_ref().map(Vec::as_slice)
    }

    /// Computes the potentials at `mu`; returns F.
    fn solve(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let (settings, rows, is_warm) = (self.settings, &mut self.rows, self.is_warm);
        let [f, g, p] = &mut self.potentials;
        let previous = &mut self.previous;
        fill(&mut self.blocks, mu);
        let target = Cloud {
            measure: &self.target,
            blocks: &self.target_blocks,
        };
        let mu = Cloud {
            measure: mu,
            blocks: &self.blocks,
        };
        let (of_target, target_error) = *self.self_energy.get_or_insert_with(|| {
            let potential = &mut Vec::new();
            settings.symmetric(target, [potential, &mut *previous], rows, false)
        });
        let (cross, error) = settings.pair([mu, target], [f, g], rows, is_warm);
        let (within, own_error) = settings.symmetric(mu, [p, previous], rows, is_warm);
        let infinite = real::<T>(f64::INFINITY);
        let known = |error: T| if error.is_finite() { error } else { infinite }; // NaN is not known
        self.marginal_error = known(error).max(known(own_error)).max(known(target_error));
        let half = real::<T>(0.5);
        let divergence = cross - half * within - half * of_target;
        if divergence < T::zero() {
            return T::zero();
        }
        mu.measure.mass() * divergence
    }

    /// `f - p` at the columns of `at`, in `values`, and minus its gradient.
    fn variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: Option<&mut [T]>,
        descent: &mut DMatrix<T>,
    ) {
        if self.second.shape() != at.shape() {
            self.second = DMatrix::zeros(at.nrows(), at.ncols());
        }
        let epsilon = self.settings.epsilon;
        let [_, g, p] = &self.potentials;
        let target = Cloud {
            measure: &self.target,
            blocks: &self.target_blocks,
        };
        let own = Cloud {
            measure: mu,
            blocks: &self.blocks,
        };
        let rows = &mut self.rows;
        rows.compute_with_means(target, g, epsilon, at, descent);
        let Some(values) = values else {
            rows.compute_with_means(own, p, epsilon, at, &mut self.second);
            *descent -= &self.second;
            return;
        };
        values.copy_from_slice(rows.values());
        rows.compute_with_means(own, p, epsilon, at, &mut self.second);
        *descent -= &self.second;
        for (value, &own) in values.iter_mut().zip(rows.values()) {
            *value -= own;
        }
    }
}

/// The least tolerance: sums have rounding errors.
fn lowest_tolerance<T: Real>() -> T {
    epsilon::<T>() * real(16.0)
}

impl<T: Real> Energy<T> for SinkhornEnergy<T> {
    fn particle_dim(&self) -> usize {
        self.target.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        self.solve(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        assert_size("shape of the velocities", mu.points().shape(), out.shape());
        let value = self.solve(mu);
        self.variation(mu, mu.points(), None, out);
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        assert_size("dimension of the points", self.target.dim(), at.nrows());
        assert_size("number of values", at.ncols(), values.len());
        assert_size(
            "shape of the descent directions",
            at.shape(),
            descent.shape(),
        );
        let value = self.solve(mu);
        self.variation(mu, at, Some(values), descent);
        Some(value)
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        check_measure(mu, &self.target)
    }
}
