//! Problems with known solutions, for tests, benchmarks and documentation.

use nalgebra::{DMatrix, DVector};

use super::case::{Case, CaseRng};
use crate::activation::{Relu, Tanh};
use crate::energy::{ArcCosine, MeanFieldRisk, Mmd, Potential};
use crate::error::{RiskError, assert_size};
use crate::feature::{FeatureMap, Ridge, Workspace};
use crate::inputs::Inputs;
use crate::loss::Square;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::real::{Real, real};
use crate::risk::EmpiricalRisk;

/// The energy of a network of rectifier neurons `a (b.x)_+` with the square loss.
pub type Network<T> = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, T>, T>;

/// The energy of a smooth network: `tanh` neurons with the square loss.
pub type SmoothNetwork<T> = MeanFieldRisk<Ridge<Tanh>, EmpiricalRisk<Square, T>, T>;

/// A teacher-student problem: n samples on the unit sphere of `R^d`, labelled by a teacher network
/// of `teachers` rectifier neurons.
///
/// Returns the energy and the teacher `nu`, a measure of weights `1/teachers`. It is a global
/// minimum, `F(nu) = 0`. Output weights are -1 or 1, and `b` lies on the unit sphere.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::teacher_student;
///
/// let (mut f, teacher) = teacher_student::<f64>(2, 5, 100, 1)?;
/// assert_eq!((f.particle_dim(), teacher.len()), (3, 5));
/// assert!(f.value(&teacher) < 1e-30);
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
///
/// # Errors
/// [`RiskError`] if d, n or `teachers` is 0.
pub fn teacher_student<T: Real>(
    d: usize,
    teachers: usize,
    n: usize,
    seed: u64,
) -> Result<(Network<T>, EmpiricalMeasure<T>), RiskError> {
    if d == 0 || n == 0 || teachers == 0 {
        return Err(RiskError::Empty {
            dim: d,
            len: n.min(teachers),
        });
    }
    let mut rng = CaseRng::new(seed);
    let mut sphere = |columns: usize| {
        let mut points: DMatrix<T> = DMatrix::from_fn(d, columns, |_, _| normal(&mut rng));
        for mut x in points.column_iter_mut() {
            x.normalize_mut();
        }
        points
    };
    let (x, b) = (sphere(n), sphere(teachers));
    let sign = |l| if l % 2 == 0 { T::one() } else { -T::one() };
    let points = DMatrix::from_fn(1 + d, teachers, |c, l| {
        if c == 0 { sign(l) } else { b[(c - 1, l)] }
    });
    let teacher = EmpiricalMeasure::uniform(points).unwrap_or_else(|e| unreachable!("{e}"));

    let phi = Ridge::new(Relu, d);
    let mut y = DVector::zeros(n);
    let inputs = Inputs::new(x.clone())?;
    phi.predict(
        &teacher,
        &inputs,
        y.as_mut_slice(),
        &mut Workspace::default(),
    );
    let risk = EmpiricalRisk::new(Square, x, y)?;
    Ok((MeanFieldRisk::new(phi, risk)?, teacher))
}

/// A smooth network: `tanh` neurons with the square loss, on the inputs and targets of the case.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::Case;
/// use wasserflow::testing::problems::smooth_network;
///
/// let f = smooth_network::<f64>(Case { n: 5, m: 3, d: 2, k: 1, seed: 1 });
/// assert_eq!(f.particle_dim(), 3);
/// ```
///
/// # Panics
/// If n, d or k is 0.
///
/// # Panics
/// If a size of the case is 0.
pub fn smooth_network<T: Real>(case: Case) -> SmoothNetwork<T> {
    case.assert_sizes();
    let risk = EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets())
        .expect("n, d and k are at least 1");
    MeanFieldRisk::new(Ridge::with_outputs(Tanh, case.d, case.k), risk)
        .expect("the map and the risk have the sizes of the case")
}

/// An approximately standard normal number: the sum of twelve uniform ones of variance 1/12.
fn normal<T: Real>(rng: &mut CaseRng) -> T {
    (0..12).fold(T::zero(), |sum, _| sum + rng.uniform(-0.5, 0.5))
}

/// The quadratic potential `V(w) = (s/2) |w - c|^2`.
///
/// Its flow is linear: `w(t) = c + e^{-s t} (w(0) - c)`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::Quadratic;
///
/// let v = Quadratic { rate: 2.0, centre: vec![1.0] };
/// assert_eq!(v.value(&[3.0]), 4.0);
/// assert_eq!(v.flow(&[3.0], 0.5), [1.0 + 2.0 * f64::exp(-1.0)]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Quadratic<T> {
    /// The rate `s > 0`.
    pub rate: T,
    /// The minimiser c.
    pub centre: Vec<T>,
}

impl<T: Real> Quadratic<T> {
    /// `w(t)` from `w(0)`.
    pub fn flow(&self, w: &[T], t: T) -> Vec<T> {
        let decay = (-self.rate * t).exp();
        let pairs = w.iter().zip(&self.centre);
        pairs.map(|(&w, &c)| c + decay * (w - c)).collect()
    }
}

impl Quadratic<f64> {
    /// The damped oscillation `w'' = -friction w' - s (w - c)` from rest: `w(t)` from `w(0)`.
    ///
    /// With `a = friction / 2`, `w(t) = c + (w(0) - c) e^{-a t} (C(t) + a S(t))`. Here `C, S` are
    /// `cos(b t), sin(b t) / b` with `b = sqrt(s - a^2)` if `s > a^2`, `cosh(b t), sinh(b t) / b`
    /// with `b = sqrt(a^2 - s)` if `s < a^2`, and `1, t` if `s = a^2`.
    ///
    /// ```
    /// use wasserflow::testing::problems::Quadratic;
    ///
    /// let v = Quadratic { rate: 4.0, centre: vec![1.0] };
    /// assert_eq!(v.oscillation(&[3.0], 0.0, 0.5), [1.0 + 2.0 * f64::cos(1.0)]);
    /// assert_eq!(v.oscillation(&[3.0], 4.0, 0.5), [1.0 + 2.0 * f64::exp(-1.0) * 2.0]);
    /// ```
    pub fn oscillation(&self, w: &[f64], friction: f64, t: f64) -> Vec<f64> {
        let a = 0.5 * friction;
        let b = (self.rate - a * a).abs().sqrt();
        let (c, s) = if b == 0.0 {
            (1.0, t)
        } else if self.rate > a * a {
            ((b * t).cos(), (b * t).sin() / b)
        } else {
            ((b * t).cosh(), (b * t).sinh() / b)
        };
        let factor = (-a * t).exp() * (c + a * s);
        let pairs = w.iter().zip(&self.centre);
        pairs.map(|(&w, &c)| c + factor * (w - c)).collect()
    }
}

impl<T: Real> Potential<T> for Quadratic<T> {
    fn value(&self, w: &[T]) -> T {
        let pairs = w.iter().zip(&self.centre);
        let square = pairs.fold(T::zero(), |sum, (&w, &c)| sum + (w - c) * (w - c));
        self.rate * square * real(0.5)
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        for ((out, &w), &c) in out.iter_mut().zip(w).zip(&self.centre) {
            *out += scale * self.rate * (w - c);
        }
    }
    fn curvature(&self, _: &[T], v: &[T], out: &mut [T]) {
        for (out, &v) in out.iter_mut().zip(v) {
            *out += self.rate * v;
        }
    }
}

/// The quartic potential `V(w) = |w|^4 / 4`.
///
/// Its flow `dw/dt = -|w|^2 w` is nonlinear: `w(t) = w(0) / sqrt(1 + 2 |w(0)|^2 t)`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::Quartic;
///
/// assert_eq!(Quartic.value(&[1.0, 1.0]), 1.0);
/// assert_eq!(Quartic::flow(&[2.0], 1.0), [2.0 / 3.0]);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quartic;

impl Quartic {
    /// `w(t)` from `w(0)`.
    pub fn flow<T: Real>(w: &[T], t: T) -> Vec<T> {
        let shrink = (T::one() + real::<T>(2.0) * dot(w, w) * t).sqrt();
        w.iter().map(|&w| w / shrink).collect()
    }
}

impl<T: Real> Potential<T> for Quartic {
    fn value(&self, w: &[T]) -> T {
        dot(w, w) * dot(w, w) * real(0.25)
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        let s = scale * dot(w, w);
        for (out, &w) in out.iter_mut().zip(w) {
            *out += s * w;
        }
    }
    fn curvature(&self, w: &[T], v: &[T], out: &mut [T]) {
        let (square, slope) = (dot(w, w), real::<T>(2.0) * dot(w, v));
        for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
            *out += square * v + slope * w;
        }
    }
}

/// The prediction `u(t)` of one balanced neuron at one sample, from `u(0) = u0 > 0`, for
/// `y != 2 lambda`.
///
/// The neuron is `Phi(a, b)(x) = a (b x)_+` at `x = 1`, with target `y` and weight decay `lambda`.
/// From `a = b` the prediction `u = a^2` satisfies `u' = 2 u (y - 2 lambda - u)`: a logistic curve
/// with the limit `y - 2 lambda`.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::one_neuron;
///
/// let (y, lambda) = (3.0_f64, 0.5);
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, y))?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let energy = energy.regularized(WeightDecay::new(lambda)?);
/// let mut flow = ParticleFlow::new(energy, Rk4, 0.01)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 0.1))?)?;
/// flow.run_until(&mut state, 1.0, &mut ())?;
/// let a = state.measure().particle(0)[0];
/// assert!((a * a - one_neuron(0.01, y, lambda, 1.0)).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn one_neuron<T: Real>(u0: T, y: T, lambda: T, t: T) -> T {
    let two = real::<T>(2.0);
    let limit = y - two * lambda;
    let growth = (two * limit * t).exp();
    limit * u0 * growth / (limit + u0 * (growth - T::one()))
}

/// Spikes on the circle after a low-pass filter: `Phi(a, s)(x) = a D(x - s)`, with the Dirichlet
/// kernel `D(r) = 1 + 2 sum_{l=1}^order cos(2 pi l r)`.
///
/// A particle `(a, s)` is a spike of mass `a` at `s` in `[0, 1)`. With the square loss,
/// n > 2 order samples and the penalty `lambda |a|` the problem is sparse deconvolution.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::Dirichlet;
///
/// let phi = Dirichlet { order: 7 };
/// let mut h = [0.0];
/// phi.add_value(&[2.0, 0.25], &[0.25], 1.0, &mut h);
/// assert_eq!(h, [2.0 * 15.0]);
/// ```
///
/// Source: L. Chizat and F. Bach, On the global convergence of gradient descent for
/// over-parameterized models using optimal transport, 2018.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirichlet {
    /// The order: the highest frequency that the filter passes.
    pub order: u32,
}

impl Dirichlet {
    /// `(D(r), D'(r))`.
    fn kernel<T: Real>(&self, r: T) -> (T, T) {
        let (mut value, mut derivative) = (T::one(), T::zero());
        for l in 1..=self.order {
            let frequency = T::two_pi() * real(f64::from(l));
            let (sin, cos) = (frequency * r).sin_cos();
            value += cos + cos;
            derivative -= (sin + sin) * frequency;
        }
        (value, derivative)
    }
}

impl<T: Real> FeatureMap<T> for Dirichlet {
    fn particle_dim(&self) -> usize {
        2
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        assert_size("length of the particle", 2, w.len());
        assert_size("length of the sample", 1, x.len());
        assert_size("length of the output", 1, out.len());
        out[0] += scale * w[0] * self.kernel(x[0] - w[1]).0;
    }
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        assert_size("length of the particle", 2, w.len());
        assert_size("length of the sample", 1, x.len());
        assert_size("length of the output", 1, g.len());
        assert_size("length of the gradient", 2, out.len());
        let (value, derivative) = self.kernel(x[0] - w[1]);
        out[0] += g[0] * value;
        out[1] -= g[0] * w[0] * derivative;
    }
}

/// The energy of sparse deconvolution without its penalty.
///
/// It has the map [`Dirichlet`] of order 7, the square loss, and n samples at `j/n`. The targets
/// are the signal of the `spikes` `(a_l, s_l)`.
///
/// # Errors
/// [`RiskError`] if `n = 0` or a spike is not finite.
pub fn deconvolution<T: Real>(
    spikes: &[(T, T)],
    n: usize,
) -> Result<MeanFieldRisk<Dirichlet, EmpiricalRisk<Square, T>, T>, RiskError> {
    let phi = Dirichlet { order: 7 };
    let x = DMatrix::from_fn(1, n, |_, j| real(j as f64 / n as f64));
    let y = DVector::from_fn(n, |j, _| {
        let mut h = [T::zero()];
        for &(a, s) in spikes {
            phi.add_value(&[a, s], &[x[j]], T::one(), &mut h);
        }
        h[0]
    });
    Ok(MeanFieldRisk::new(phi, EmpiricalRisk::new(Square, x, y)?)?)
}

/// A spurious local minimum, `F = 0.02508`, of six rectifier neurons with output weights 1 against
/// the teacher `e_1, .., e_6`, for `x ~ N(0, I)`.
///
/// The first neuron is `(-0.6015119, 0.2245158, ..)`. Neuron j has 0.3080110 in coordinate 1,
/// 0.9867038 in coordinate j and -0.0504134 elsewhere. The numbers are rounded to seven decimals.
/// A network is the *sum* of its neurons, so the weights are 1.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::safran_shamir;
///
/// let (mut f, minimum) = safran_shamir::<f64>();
/// assert!((f.value(&minimum) - 0.02508).abs() < 1e-5);
/// ```
///
/// Source: I. Safran and O. Shamir, Spurious local minima are common in two-layer ReLU neural
/// networks, 2018.
pub fn safran_shamir<T: Real>() -> (Mmd<ArcCosine, T>, EmpiricalMeasure<T>) {
    const K: usize = 6;
    let network = |points| {
        let weights = DVector::from_element(K, T::one());
        EmpiricalMeasure::weighted(points, weights).unwrap_or_else(|e| unreachable!("{e}"))
    };
    let minimum = DMatrix::from_fn(K, K, |c, j| {
        real(match (c, j) {
            (0, 0) => -0.601_511_9,
            (_, 0) => 0.224_515_8,
            (0, _) => 0.308_011_0,
            (c, j) if c == j => 0.986_703_8,
            _ => -0.050_413_4,
        })
    });
    let energy = Mmd::new(ArcCosine::new(K), network(DMatrix::identity(K, K)))
        .unwrap_or_else(|e| unreachable!("{e}"));
    (energy, network(minimum))
}
