//! A custom loss, activation and feature map in a crate that depends on `wasserflow`.
//!
//! One line each generates the property tests of the trait's laws.

use wasserflow::prelude::*;

/// The log-cosh loss `l(y, h) = log cosh(h - y)`: smooth, quadratic near 0, and asymptotically
/// absolute.
#[derive(Debug, Clone, Copy)]
pub struct LogCosh;

impl<T: Real> Loss<T> for LogCosh {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        let r = (prediction - target).abs();
        if r < T::one() {
            // cosh r - 1 = 2 sinh^2(r/2). Near 0 the form below would cancel, which the law kit
            // detects.
            let s = (r * real(0.5)).sinh();
            ((s + s) * s).ln_1p()
        } else {
            // For large r, cosh overflows although its logarithm does not.
            r + (-(r + r)).exp().ln_1p() - T::ln_2()
        }
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        (prediction - target).tanh()
    }
    #[inline]
    fn second_derivative(&self, target: T, prediction: T) -> T {
        let t = (prediction - target).tanh();
        (T::one() - t) * (T::one() + t)
    }
}

/// The exponential linear unit: `sigma(u) = u` if `u > 0`, and `exp(u) - 1` otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Elu;

impl<T: Real> Activation<T> for Elu {
    #[inline]
    fn value(&self, u: T) -> T {
        if u > T::zero() { u } else { u.exp_m1() }
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        if u > T::zero() { T::one() } else { u.exp() }
    }
}

/// Gaussian radial basis functions in `R^d`: `Phi(a, c)(x) = a exp(-|x - c|^2 / 2)` for particles
/// `(a, c_1, .., c_d)`.
#[derive(Debug, Clone, Copy)]
pub struct Bumps {
    /// The number of coordinates d.
    pub dim: usize,
}

/// `exp(-|x - c|^2 / 2)`.
fn bump<T: Real>(c: &[T], x: &[T]) -> T {
    let square = c
        .iter()
        .zip(x)
        .fold(T::zero(), |sum, (&c, &x)| sum + (x - c) * (x - c));
    (square * real(-0.5)).exp()
}

impl<T: Real> FeatureMap<T> for Bumps {
    fn particle_dim(&self) -> usize {
        1 + self.dim
    }
    fn input_dim(&self) -> usize {
        self.dim
    }
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        out[0] += scale * w[0] * bump(&w[1..], x);
    }
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        let s = g[0] * bump(&w[1..], x);
        out[0] += s;
        for ((out, &c), &x) in out[1..].iter_mut().zip(&w[1..]).zip(x) {
            *out += s * w[0] * (x - c);
        }
    }
    /// A custom batch method that skips particles with `c a = 0`. The law kit compares it with the
    /// sum over all particles.
    fn predict(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        out: &mut [T],
        _: &mut Workspace<T>,
    ) {
        out.fill(T::zero());
        for i in 0..mu.len() {
            let (w, c) = (mu.particle(i), mu.weight(i));
            if c * w[0] == T::zero() {
                continue;
            }
            for (j, h) in out.iter_mut().enumerate() {
                *h += c * w[0] * bump(&w[1..], x.point(j));
            }
        }
    }
}

#[cfg(test)]
mod laws {
    use super::*;
    use wasserflow::{activation_laws, energy_laws, feature_map_laws, loss_laws};

    loss_laws!(log_cosh: LogCosh);
    activation_laws!(elu: Elu);
    feature_map_laws!(bumps: |case| Bumps { dim: case.d });
    feature_map_laws!(elu_neurons: |case| Ridge::with_outputs(Elu, case.d, case.k));
    energy_laws!(robust_bumps: |case| {
        let case = wasserflow::testing::Case { k: 1, ..case };
        let risk = EmpiricalRisk::with_outputs(LogCosh, case.inputs::<T>(), case.targets()).unwrap();
        MeanFieldRisk::new(Bumps { dim: case.d }, risk).unwrap()
    }, convex);
}

#[cfg(test)]
mod fit {
    use super::*;
    use wasserflow::nalgebra::{DMatrix, DVector};

    /// Ten bumps are fitted to a sine with the loss of this crate.
    #[test]
    fn bumps_fit_a_sine() {
        let x = DMatrix::from_fn(1, 40, |_, j| j as f64 / 8.0);
        let y = DVector::from_fn(40, |j, _| x[j].sin());
        let energy =
            MeanFieldRisk::new(Bumps { dim: 1 }, EmpiricalRisk::new(LogCosh, x, y).unwrap())
                .unwrap();
        let mut flow = ParticleFlow::new(energy, Rk4, 0.2).unwrap();
        let start = DMatrix::from_fn(2, 10, |c, i| if c == 0 { 0.1 } else { i as f64 / 2.0 });
        let mut state = flow
            .start(EmpiricalMeasure::uniform(start).unwrap())
            .unwrap();
        let before = state.energy();
        flow.run_until(&mut state, 200.0, &mut ()).unwrap();
        assert!(
            state.energy() < 0.01 * before,
            "{} of {before}",
            state.energy()
        );
    }
}
