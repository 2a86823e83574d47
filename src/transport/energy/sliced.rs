//! Half the squared sliced 2-Wasserstein distance to a target.

use nalgebra::DMatrix;

use super::{check_measure, check_target};
use crate::energy::Energy;
use crate::error::{EnergyError, MeasureError, ParameterError, assert_size};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{axpy, column, column_mut, dot, norm};
use crate::real::{Real, real};
use crate::risk::SampleRng;

/// The stream of the directions, apart from samples and noise of the same seed.
const STREAM: u64 = 0x736c_6963_6564_7732;

/// Half the squared sliced 2-Wasserstein distance to a target measure `nu` of the same mass, over K
/// directions: `F(mu) = (1 / 2K) sum_k W_2^2(<t_k, .> mu, <t_k, .> nu)`.
///
/// The velocity is `v_i = (1/K) sum_k (T_k(x) - x) t_k`, `x = <t_k, w_i>`, with the monotone map
/// T_k to the projected target; the mass of a particle that covers several atoms moves to their
/// mean, and particles of equal projection move together. Over all directions
/// the mean of the squared distances of two unit masses is `|x - y|^2 / d`: the flow is slower than
/// that of [`W2Energy`](super::W2Energy) by the factor d.
///
/// The directions are random, independent and uniform on the sphere, a function of the seed and, if
/// [`resampled`](Self::resampled), of the step. F is then a stochastic energy: see
/// [`Energy::refresh`].
///
/// A measure of other mass or dimension is an error of the flow; [`value`](Energy::value) then is
/// that of normalised measures.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
/// use wasserflow::transport::SlicedW2Energy;
///
/// let target = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[0.0, 0.0]))?;
/// let start = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[3.0_f64, 4.0]))?;
/// let mut energy = SlicedW2Energy::new(target, 20_000, 1)?;
/// assert!((energy.value(&start) - 25.0 / 4.0).abs() < 0.1); // |x - y|^2 / (2 d)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
/// `K m (p + log m)`; nothing is allocated after the first call. On ranks:
/// [`Gathered`](crate::energy::Gathered).
///
/// Source: N. Bonneel, J. Rabin, G. Peyre and H. Pfister, Sliced and Radon Wasserstein barycenters
/// of measures, 2015.
#[derive(Debug, Clone)]
pub struct SlicedW2Energy<T> {
    target: EmpiricalMeasure<T>,
    /// Unit vectors, `d x K`.
    directions: DMatrix<T>,
    seed: u64,
    is_resampled: bool,
    buffers: [Projection<T>; 2],
    /// The displacement along one direction of each particle.
    shift: Vec<T>,
}

/// The projections of a measure, in increasing order.
#[derive(Debug, Clone)]
struct Projection<T> {
    values: Vec<T>,
    order: Vec<usize>,
}

impl<T: Real> Projection<T> {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            order: Vec::new(),
        }
    }

    fn set(&mut self, mu: &EmpiricalMeasure<T>, t: &[T]) {
        self.values.clear();
        self.values
            .extend((0..mu.len()).map(|i| dot(mu.particle(i), t)));
        self.order.clear();
        self.order.extend(0..mu.len());
        let values = &self.values;
        // Ties by index: the order is that of a stable sort, which would allocate.
        self.order.sort_unstable_by(|&a, &b| {
            let order = values[a].partial_cmp(&values[b]);
            order.unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b))
        });
    }
}

impl<T: Real> SlicedW2Energy<T> {
    /// The energy with the target measure `nu = target` over `count` fixed directions of `seed`.
    ///
    /// # Errors
    /// [`MeasureError`] if the target is not valid or has no mass, or the number of directions is 0
    /// or does not fit in memory.
    pub fn new(target: EmpiricalMeasure<T>, count: usize, seed: u64) -> Result<Self, MeasureError> {
        /// An array of more directions would not fit in memory.
        const LARGEST: usize = 1 << 32;
        check_target(&target)?;
        let requirement = "at least 1 and below 2^32 / d";
        let holds = count > 0 && count < LARGEST / target.dim().min(LARGEST);
        ParameterError::check(holds, "number of directions", requirement, count as f64)?;
        let mut energy = Self {
            directions: DMatrix::zeros(target.dim(), count),
            target,
            seed,
            is_resampled: false,
            buffers: [Projection::new(), Projection::new()],
            shift: Vec::new(),
        };
        energy.draw(0);
        Ok(energy)
    }

    /// Draws new directions for every step.
    #[must_use]
    pub fn resampled(mut self) -> Self {
        self.is_resampled = true;
        self
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// The directions, unit vectors, `d x K`.
    pub fn directions(&self) -> &DMatrix<T> {
        &self.directions
    }

    fn draw(&mut self, step: usize) {
        for k in 0..self.directions.ncols() {
            let mut rng = SampleRng::new(self.seed, STREAM, step, k);
            let t = column_mut(&mut self.directions, k);
            loop {
                t.fill_with(|| real(rng.normal()));
                let length = norm(t);
                if length > T::zero() {
                    t.iter_mut().for_each(|t| *t /= length);
                    break;
                }
            }
        }
    }

    /// F, and the velocities in `out`.
    fn evaluate(&mut self, mu: &EmpiricalMeasure<T>, mut out: Option<&mut DMatrix<T>>) -> T {
        let Self {
            target,
            directions,
            buffers: [from, to],
            shift,
            ..
        } = self;
        let count = real::<T>(directions.ncols() as f64);
        let mass = mu.mass();
        shift.resize(mu.len(), T::zero());
        let mut sum = T::zero();
        if let Some(out) = &mut out {
            out.fill(T::zero());
        }
        for k in 0..directions.ncols() {
            let t = column(directions, k);
            from.set(mu, t);
            to.set(target, t);
            let scale = mass / target.mass();
            sum += transport(mu, from, target, to, scale, shift);
            if let Some(out) = &mut out {
                for (i, &shift) in shift.iter().enumerate() {
                    axpy(shift / count, t, column_mut(out, i));
                }
            }
        }
        sum / (count + count)
    }
}

/// The cost `sum pi |x - y|^2` of the monotone coupling, and the mean displacement of each particle.
fn transport<T: Real>(
    mu: &EmpiricalMeasure<T>,
    from: &Projection<T>,
    nu: &EmpiricalMeasure<T>,
    to: &Projection<T>,
    scale: T,
    shift: &mut [T],
) -> T {
    let last = to.order.len() - 1;
    let weight = |s: usize| nu.weight(to.order[s]) * scale;
    let position = |s: usize| to.values[to.order[s]];
    let (mut s, mut left, mut cost) = (0, weight(0), T::zero());
    let mut start = 0;
    while start < from.order.len() {
        // The particles of one projection.
        let x = from.values[from.order[start]];
        let mut end = start;
        let mut mass = T::zero();
        while end < from.order.len() && from.values[from.order[end]] == x {
            mass += mu.weight(from.order[end]);
            end += 1;
        }
        end = end.max(start + 1); // a projection that is NaN
        let (mut remaining, mut moved) = (mass, T::zero());
        loop {
            let step = position(s) - x;
            if left < remaining && s < last {
                moved += left * step;
                cost += left * step * step;
                remaining -= left;
                s += 1;
                left = weight(s);
            } else {
                // The rest: the last atom receives the rounding errors of the masses.
                moved += remaining * step;
                cost += remaining * step * step;
                left -= remaining;
                break;
            }
        }
        let mean = if mass > T::zero() {
            moved / mass
        } else {
            position(s) - x
        };
        from.order[start..end].iter().for_each(|&i| shift[i] = mean);
        start = end;
    }
    cost
}

impl<T: Real> Energy<T> for SlicedW2Energy<T> {
    fn particle_dim(&self) -> usize {
        self.target.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        self.evaluate(mu, None)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        assert_size("shape of the velocities", mu.points().shape(), out.shape());
        self.evaluate(mu, Some(out))
    }

    fn refresh(&mut self, step: usize) -> bool {
        if self.is_resampled {
            self.draw(step);
        }
        self.is_resampled
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        check_measure(mu, &self.target)
    }
}
