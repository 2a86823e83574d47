//! One activation and one loss type that stand for all built-in ones, so that the network code is
//! compiled once for each precision.

use wasserflow::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sigma {
    Relu,
    Leaky(f64),
    Abs,
    Identity,
    Power(u32),
}

macro_rules! each_sigma {
    ($self:expr, $sigma:ident => $body:expr) => {
        match $self {
            Sigma::Relu => {
                let $sigma = Relu;
                $body
            }
            Sigma::Leaky(s) => {
                let $sigma = LeakyRelu(*s);
                $body
            }
            Sigma::Abs => {
                let $sigma = Abs;
                $body
            }
            Sigma::Identity => {
                let $sigma = Identity;
                $body
            }
            Sigma::Power(r) => {
                let $sigma = ReluPower(*r);
                $body
            }
        }
    };
}

impl<T: Real> Activation<T> for Sigma {
    #[inline]
    fn value(&self, u: T) -> T {
        each_sigma!(self, sigma => sigma.value(u))
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        each_sigma!(self, sigma => sigma.derivative(u))
    }
    fn slopes(&self) -> Option<Slopes<T>> {
        each_sigma!(self, sigma => sigma.slopes())
    }
}

impl Homogeneous for Sigma {
    fn degree(&self) -> u32 {
        each_sigma!(self, sigma => sigma.degree())
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AnyLoss {
    Square,
    Huber(f64),
    Quantile(f64),
    /// A user-defined loss `s |h - y|`.
    Absolute(f64),
    Hinge,
    SmoothHinge(f64),
    Logistic,
    Exponential,
}

impl AnyLoss {
    /// Returns true if the targets are labels -1 and 1.
    pub fn is_classification(self) -> bool {
        use AnyLoss::{Exponential, Hinge, Logistic, SmoothHinge};
        matches!(self, Hinge | SmoothHinge(_) | Logistic | Exponential)
    }
}

/// `s |h - y|`, with the subgradient s at the kink.
struct AbsoluteError(f64);

impl<T: Real> Loss<T> for AbsoluteError {
    fn value(&self, y: T, h: T) -> T {
        (h - y).abs() * real(self.0)
    }
    fn derivative(&self, y: T, h: T) -> T {
        let s = real::<T>(self.0);
        if h < y { -s } else { s }
    }
    fn conjugate(&self, y: T, u: T) -> Option<T> {
        let inside = u.abs() <= real(self.0);
        Some(if inside { u * y } else { real(f64::INFINITY) })
    }
}

macro_rules! each_loss {
    ($self:expr, $loss:ident => $body:expr) => {
        match $self {
            AnyLoss::Square => {
                let $loss = Square;
                $body
            }
            AnyLoss::Huber(t) => {
                let $loss = Huber(*t);
                $body
            }
            AnyLoss::Quantile(q) => {
                let $loss = Quantile(*q);
                $body
            }
            AnyLoss::Absolute(s) => {
                let $loss = AbsoluteError(*s);
                $body
            }
            AnyLoss::Hinge => {
                let $loss = Hinge;
                $body
            }
            AnyLoss::SmoothHinge(s) => {
                let $loss = SmoothHinge(*s);
                $body
            }
            AnyLoss::Logistic => {
                let $loss = Logistic;
                $body
            }
            AnyLoss::Exponential => {
                let $loss = Exponential;
                $body
            }
        }
    };
}

impl<T: Real> Loss<T> for AnyLoss {
    fn value(&self, y: T, h: T) -> T {
        each_loss!(self, loss => loss.value(y, h))
    }
    fn derivative(&self, y: T, h: T) -> T {
        each_loss!(self, loss => loss.derivative(y, h))
    }
    fn conjugate(&self, y: T, u: T) -> Option<T> {
        each_loss!(self, loss => loss.conjugate(y, u))
    }
}
