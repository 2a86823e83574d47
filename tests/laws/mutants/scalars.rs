//! Mistakes in activations, losses, potentials and kernels.

use wasserflow::prelude::*;
use wasserflow::testing::strategies::{cases, intervals, numbers, scales};
use wasserflow::testing::{
    accepted_target, check_activation, check_homogeneous_activation, check_kernel, check_loss,
    check_potential,
};

use super::mutant;

/// The value of a scalar in double precision.
fn f<T: Real>(x: T) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

/// An activation from its value and derivative, with the claimed degree 1.
struct Sigma(fn(f64) -> f64, fn(f64) -> f64);

impl<T: Real> Activation<T> for Sigma {
    fn value(&self, u: T) -> T {
        real(self.0(f(u)))
    }
    fn derivative(&self, u: T) -> T {
        real(self.1(f(u)))
    }
}

impl Homogeneous for Sigma {
    fn degree(&self) -> u32 {
        1
    }
}

/// An activation whose `value_and_derivative` differs from `value` and `derivative`.
struct Pair;

impl<T: Real> Activation<T> for Pair {
    fn value(&self, u: T) -> T {
        u.tanh()
    }
    fn derivative(&self, u: T) -> T {
        T::one() - u.tanh() * u.tanh()
    }
    fn value_and_derivative(&self, u: T) -> (T, T) {
        (u.tanh(), T::one() - u.tanh())
    }
}

/// Softplus in the arithmetic of the scalar, which overflows.
struct Overflow;

impl<T: Real> Activation<T> for Overflow {
    fn value(&self, u: T) -> T {
        (T::one() + u.exp()).ln()
    }
    fn derivative(&self, u: T) -> T {
        T::one() / (T::one() + (-u).exp())
    }
}

/// SiLU by `exp(u)`, which is infinity over infinity.
struct NotANumber;

impl<T: Real> Activation<T> for NotANumber {
    fn value(&self, u: T) -> T {
        u * u.exp() / (T::one() + u.exp())
    }
    fn derivative(&self, u: T) -> T {
        let s = u.exp() / (T::one() + u.exp());
        s + u * s * (T::one() - s)
    }
}

/// Identity with a mistake in an optional method.
#[derive(Clone, Copy, PartialEq)]
enum Hook {
    TailOfSlices,
    Slopes,
}

impl<T: Real> Activation<T> for Hook {
    fn value(&self, u: T) -> T {
        u
    }
    fn derivative(&self, _: T) -> T {
        T::one()
    }
    fn apply_with_derivative(&self, u: &mut [T], ds: &mut [T]) {
        let len = if *self == Hook::TailOfSlices {
            u.len() / 8 * 8
        } else {
            u.len()
        };
        ds[..len].fill(T::one());
    }
    fn slopes(&self) -> Option<Slopes<T>> {
        let negative = if *self == Hook::Slopes {
            T::zero()
        } else {
            T::one()
        };
        Some(Slopes {
            negative,
            zero: T::one(),
            positive: T::one(),
        })
    }
}

/// Hyperbolic tangent with a mistake beyond 50.
#[derive(Clone, Copy, PartialEq)]
enum Tail {
    PairDerivative,
    SliceValue,
    Saturates,
}

impl<T: Real> Activation<T> for Tail {
    fn value(&self, u: T) -> T {
        u.tanh()
    }
    fn derivative(&self, u: T) -> T {
        let e = (-(u.abs() + u.abs())).exp();
        let s = T::one() + u.tanh().abs();
        e * s * s
    }
    fn value_and_derivative(&self, u: T) -> (T, T) {
        let wrong = *self == Tail::PairDerivative && u > real(50.0);
        let derivative = if wrong { T::one() } else { self.derivative(u) };
        let s = u.tanh();
        // 1 - s loses its digits where s rounds to 1.
        let saturates = *self == Tail::Saturates;
        let derivative = if saturates {
            (T::one() - s) * (T::one() + s)
        } else {
            derivative
        };
        (s, derivative)
    }
    fn apply(&self, u: &mut [T]) {
        for u in u {
            let wrong = *self == Tail::SliceValue && *u > real(50.0);
            *u = if wrong { T::zero() } else { u.tanh() };
        }
    }
}

/// Identity with a parameter that its check rejects.
struct Rejected;

impl<T: Real> Activation<T> for Rejected {
    fn value(&self, u: T) -> T {
        u
    }
    fn derivative(&self, _: T) -> T {
        T::one()
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check(false, "slope", "finite", f64::NAN)
    }
}

fn step(u: f64) -> f64 {
    if u > 0.0 { 1.0 } else { 0.0 }
}

#[test]
fn activations() {
    let relu = |u: f64| u.max(0.0);
    let leaky = |u: f64| if u > 0.0 { u } else { 0.1 * u };
    for (mistake, sigma) in [
        (
            "activation: derivative off by 1e-3",
            Sigma(f64::tanh, |u| 1.001 * (1.0 - u.tanh().powi(2))),
        ),
        (
            "activation: sign of the derivative, left",
            Sigma(f64::abs, |_| 1.0),
        ),
        (
            "activation: kink missed, the derivative switches at 0.1",
            Sigma(leaky, |u| if u > 0.1 { 1.0 } else { 0.1 }),
        ),
        (
            "activation: derivative 2 at the kink",
            Sigma(relu, |u| if u == 0.0 { 2.0 } else { step(u) }),
        ),
        (
            "activation: a jump of 1e-3, not in the derivative",
            Sigma(|u| u + 1e-3 * step(u), |_| 1.0),
        ),
        (
            "activation: derivative of another sigmoid",
            Sigma(|u| 1.0 / (1.0 + (-u).exp()), |u| u.tanh() / 2.0 + 0.5),
        ),
    ] {
        mutant!(mistake, intervals::<T>(), (a, b) => check_activation::<T>(&sigma, a, b));
    }
    mutant!("activation: value_and_derivative differs from its parts", intervals::<T>(), (a, b) => check_activation::<T>(&Pair, a, b));
    mutant!("activation: overflow", intervals::<T>(), (a, b) => check_activation::<T>(&Overflow, a, b));
    for (mistake, tail) in [
        (
            "activation: derivative of the pair wrong for u > 50",
            Tail::PairDerivative,
        ),
        ("activation: slices wrong for u > 50", Tail::SliceValue),
        (
            "activation: slope of the pair 0 where tanh rounds to 1",
            Tail::Saturates,
        ),
    ] {
        mutant!(mistake, intervals::<T>(), (a, b) => check_activation::<T>(&tail, a, b));
    }
    let stops = Sigma(
        |u| u.max(0.0) + (-u.abs()).exp().ln_1p(),
        |u| {
            if u > 50.0 {
                0.0
            } else {
                1.0 / (1.0 + (-u).exp())
            }
        },
    );
    mutant!("activation: derivative 0 for u > 50", intervals::<T>(), (a, b) => check_activation::<T>(&stops, a, b));
    mutant!("activation: a parameter out of range", intervals::<T>(), (a, b) => check_activation::<T>(&Rejected, a, b));
    mutant!("activation: NaN at infinity over infinity", intervals::<T>(), (a, b) => {
        check_activation::<T>(&NotANumber, a, b)
    });
    for (mistake, hook) in [
        (
            "activation: slices without the tail n mod 8",
            Hook::TailOfSlices,
        ),
        ("activation: slopes of another activation", Hook::Slopes),
    ] {
        mutant!(mistake, intervals::<T>(), (a, b) => check_activation::<T>(&hook, a, b));
    }
    let steep = Sigma(
        |u| u.max(0.0).powf(1.1),
        |u| if u > 0.0 { 1.1 * u.powf(0.1) } else { 0.0 },
    );
    mutant!("activation: degree off by 0.1", (intervals::<T>(), scales::<T>()), ((u, _), s) => {
        check_homogeneous_activation::<T>(&steep, u, s)
    });
}

/// A loss of the residual, from value, derivative and second derivative.
struct Residual(fn(f64) -> f64, fn(f64) -> f64, fn(f64) -> f64);

impl<T: Real> Loss<T> for Residual {
    fn value(&self, y: T, h: T) -> T {
        real(self.0(f(h - y)))
    }
    fn derivative(&self, y: T, h: T) -> T {
        real(self.1(f(h - y)))
    }
    fn second_derivative(&self, y: T, h: T) -> T {
        real(self.2(f(h - y)))
    }
}

/// Logistic loss with selectable mistakes.
struct Logistic {
    overflows: bool,
    any_target: bool,
}

impl<T: Real> Loss<T> for Logistic {
    fn value(&self, y: T, h: T) -> T {
        if self.overflows {
            return (T::one() + (-y * h).exp()).ln();
        }
        (-y * h).max(T::zero()) + (-(y * h).abs()).exp().ln_1p()
    }
    fn derivative(&self, y: T, h: T) -> T {
        -y / (T::one() + (y * h).exp())
    }
    fn second_derivative(&self, y: T, h: T) -> T {
        let s = T::one() / (T::one() + (y * h).exp());
        s * (T::one() - s)
    }
    fn check_target(&self, y: T) -> Result<(), &'static str> {
        if self.any_target && y.is_finite() || y.abs() == T::one() {
            Ok(())
        } else {
            Err("-1 or 1")
        }
    }
}

/// Square loss that accepts NaN.
struct AcceptsNan;

impl<T: Real> Loss<T> for AcceptsNan {
    fn value(&self, y: T, h: T) -> T {
        (h - y) * (h - y) * real(0.5)
    }
    fn derivative(&self, y: T, h: T) -> T {
        h - y
    }
    fn check_target(&self, _: T) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Square loss with the wrong sign of the target in the conjugate.
struct Mirrored;

impl<T: Real> Loss<T> for Mirrored {
    fn value(&self, y: T, h: T) -> T {
        (h - y) * (h - y) * real(0.5)
    }
    fn derivative(&self, y: T, h: T) -> T {
        h - y
    }
    fn conjugate(&self, y: T, u: T) -> Option<T> {
        Some(u * (u * real(0.5) - y))
    }
}

/// Logistic loss whose slices ignore the target in the derivative.
struct Slices;

impl<T: Real> Loss<T> for Slices {
    fn value(&self, y: T, h: T) -> T {
        Logistic.value(y, h)
    }
    fn derivative(&self, y: T, h: T) -> T {
        Logistic.derivative(y, h)
    }
    fn values_and_derivatives(&self, y: &[T], h: &[T], values: &mut [T], derivatives: &mut [T]) {
        for (j, (&y, &h)) in y.iter().zip(h).enumerate() {
            (values[j], derivatives[j]) = (self.value(y, h), y * self.derivative(y, h));
        }
    }
    fn check_target(&self, y: T) -> Result<(), &'static str> {
        if y.abs() == T::one() {
            Ok(())
        } else {
            Err("-1 or 1")
        }
    }
}

/// Square loss whose pair is wrong for large predictions.
struct LargePredictions;

impl<T: Real> Loss<T> for LargePredictions {
    fn value(&self, y: T, h: T) -> T {
        (h - y) * (h - y) * real(0.5)
    }
    fn derivative(&self, y: T, h: T) -> T {
        h - y
    }
    fn value_and_derivative(&self, y: T, h: T) -> (T, T) {
        let derivative = if h.abs() > real(1e4) {
            T::zero()
        } else {
            h - y
        };
        (self.value(y, h), derivative)
    }
}

#[test]
fn losses() {
    mutant!("loss: pair wrong for |h| > 1e4", (numbers::<T>(), intervals::<T>()), (y, (a, b)) => {
        check_loss::<T>(&LargePredictions, y, a, b)
    });
    let square = |r: f64| r * r / 2.0;
    let dip = |r: f64| r * r / 2.0 - 1e-2 * (-200.0 * (r - 1.0).powi(2)).exp();
    let slope = |r: f64| r + 4.0 * (r - 1.0) * (-200.0 * (r - 1.0).powi(2)).exp();
    let second_derivative = |r: f64| {
        (1.0 + 4.0 * (1.0 - 400.0 * (r - 1.0).powi(2)) * (-200.0 * (r - 1.0).powi(2)).exp())
            .max(0.0)
    };
    for (mistake, loss) in [
        (
            "loss: derivative off by 1e-3",
            Residual(square, |r| 1.001 * r, |_| 1.0),
        ),
        (
            "loss: sign of the derivative",
            Residual(square, |r| -r, |_| 1.0),
        ),
        (
            "loss: the 1/2 dropped in the value",
            Residual(|r| r * r, |r| r, |_| 1.0),
        ),
        (
            "loss: a dip of depth 1e-2",
            Residual(dip, slope, second_derivative),
        ),
        (
            "loss: concave beyond 2",
            Residual(|r| (1.0 + r * r).ln(), |r| 2.0 * r / (1.0 + r * r), |_| 0.0),
        ),
        (
            "loss: second derivative doubled",
            Residual(square, |r| r, |_| 2.0),
        ),
        (
            "loss: negative second derivative",
            Residual(square, |r| r, |_| -1.0),
        ),
    ] {
        mutant!(mistake, (numbers::<T>(), intervals::<T>()), (y, (a, b)) => check_loss::<T>(&loss, y, a, b));
    }
    for (mistake, loss) in [
        (
            "loss: overflow",
            Logistic {
                overflows: true,
                any_target: false,
            },
        ),
        (
            "loss: invalid targets are accepted",
            Logistic {
                overflows: false,
                any_target: true,
            },
        ),
    ] {
        mutant!(mistake, (numbers::<T>(), intervals::<T>()), (y, (a, b)) => {
            check_loss::<T>(&loss, accepted_target(&loss, y)?, a, b)
        });
    }
    mutant!("loss: NaN accepted as a target", (numbers::<T>(), intervals::<T>()), (y, (a, b)) => {
        check_loss::<T>(&AcceptsNan, y, a, b)
    });
    mutant!("loss: slices ignore the target", (numbers::<T>(), intervals::<T>()), (y, (a, b)) => {
        check_loss::<T>(&Slices, accepted_target(&Slices, y)?, a, b)
    });
    mutant!("loss: wrong conjugate", (numbers::<T>(), intervals::<T>()), (y, (a, b)) => {
        check_loss::<T>(&Mirrored, y, a, b)
    });
}

/// Mistakes in `V(w) = |w|^2 / 2`.
#[derive(Clone, Copy, PartialEq)]
enum Bowl {
    GradientDoubled,
    ScaleIgnored,
    Overwrites,
    LastCoordinateDropped,
    CurvatureNotSymmetric,
    CurvatureNegative,
}

impl<T: Real> Potential<T> for Bowl {
    fn value(&self, w: &[T]) -> T {
        w.iter().fold(T::zero(), |sum, &w| sum + w * w) * real(0.5)
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        let scale = match self {
            Bowl::GradientDoubled => scale + scale,
            Bowl::ScaleIgnored => T::one(),
            _ => scale,
        };
        let len = if *self == Bowl::LastCoordinateDropped {
            w.len() - 1
        } else {
            w.len()
        };
        for (out, &w) in out.iter_mut().zip(&w[..len]) {
            *out = if *self == Bowl::Overwrites {
                scale * w
            } else {
                *out + scale * w
            };
        }
    }
    fn curvature(&self, w: &[T], v: &[T], out: &mut [T]) {
        for (c, (out, &v)) in out.iter_mut().zip(v).enumerate() {
            match self {
                Bowl::CurvatureNotSymmetric if c > 0 => *out += v + w[0],
                Bowl::CurvatureNegative => *out -= v,
                _ => *out += v,
            }
        }
    }
}

#[test]
fn potentials() {
    for (mistake, potential) in [
        ("potential: gradient doubled", Bowl::GradientDoubled),
        ("potential: scale ignored", Bowl::ScaleIgnored),
        ("potential: overwrites instead of adding", Bowl::Overwrites),
        (
            "potential: last coordinate dropped",
            Bowl::LastCoordinateDropped,
        ),
        (
            "potential: curvature not linear and symmetric",
            Bowl::CurvatureNotSymmetric,
        ),
        ("potential: curvature negative", Bowl::CurvatureNegative),
    ] {
        mutant!(mistake, cases(), case => check_potential::<T>(&potential, case.d, case.seed));
    }
}

/// Mistakes in a kernel of the sums `s = sum_c w_c`.
#[derive(Clone, Copy, PartialEq)]
enum Sums {
    NotSymmetric,
    Indefinite,
    GradientOfTheSecond,
    FusedWithoutScale,
    FusedSwapped,
}

impl<T: Real> Kernel<T> for Sums {
    fn dim(&self) -> usize {
        2
    }
    fn value(&self, w: &[T], v: &[T]) -> T {
        let (s, t) = (w[0] + w[1], v[0] + v[1]);
        match self {
            Sums::NotSymmetric => s * t + s,
            Sums::Indefinite => s * t + (s * s + t * t) * real(0.1),
            _ => s * t,
        }
    }
    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        let (s, t) = (w[0] + w[1], v[0] + v[1]);
        let slope = match self {
            Sums::NotSymmetric => t + T::one(),
            Sums::Indefinite => t + s * real(0.2),
            Sums::GradientOfTheSecond => s,
            _ => t,
        };
        out.iter_mut().for_each(|out| *out += scale * slope);
    }
    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        self.gradient(
            w,
            v,
            if *self == Sums::FusedWithoutScale {
                T::one()
            } else {
                scale
            },
            out,
        );
        self.value(w, v)
    }
    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        at_w: &mut [T],
        at_v: &mut [T],
    ) -> T {
        let [s, t] = if *self == Sums::FusedSwapped {
            [scales[1], scales[0]]
        } else {
            scales
        };
        self.gradient(w, v, s, at_w);
        self.gradient(v, w, t, at_v);
        self.value(w, v)
    }
}

#[test]
fn kernels() {
    for (mistake, kernel) in [
        ("kernel: not symmetric", Sums::NotSymmetric),
        ("kernel: indefinite", Sums::Indefinite),
        (
            "kernel: gradient in the second argument",
            Sums::GradientOfTheSecond,
        ),
        (
            "kernel: fused gradient without its scale",
            Sums::FusedWithoutScale,
        ),
        ("kernel: scales of a pair swapped", Sums::FusedSwapped),
    ] {
        mutant!(mistake, cases(), case => check_kernel::<T>(&kernel, case.m, case.seed));
    }
}
