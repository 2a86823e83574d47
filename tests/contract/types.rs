//! Misuse that the types exclude at compile time. Each negative case has a positive twin, so that
//! none can hold vacuously.

use std::marker::PhantomData;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::Certifiable;
use wasserflow::prelude::*;

/// Whether a type implements a trait: an inherent constant with that bound hides the trait's
/// constant.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        struct Probe<T>(PhantomData<T>);
        #[allow(dead_code, reason = "unused exactly if the trait is implemented")]
        trait Otherwise {
            const FOUND: bool = false;
        }
        impl<T> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "unused exactly if the trait is not implemented")]
        impl<T: $($bound)+> Probe<T> {
            const FOUND: bool = true;
        }
        <Probe<$type>>::FOUND
    }};
}

type Network<A> = MeanFieldRisk<Ridge<A>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

#[test]
fn a_ridge_map_is_homogeneous_only_if_its_activation_is() {
    const { assert!(implements!(Ridge<Relu>: Homogeneous)) };
    const { assert!(!implements!(Ridge<Softplus>: Homogeneous)) };
    const { assert!(implements!(Radial<Softplus>: Homogeneous)) };
}

#[test]
fn only_homogeneous_activations_are_certifiable() {
    const { assert!(implements!(Network<Relu>: Certifiable<f64>)) };
    const { assert!(implements!(Network<Softplus>: Energy<f64>)) };
    const { assert!(!implements!(Network<Softplus>: Certifiable<f64>)) };
}

/// `ParticleFlow::start` as a function of a measure with scalar `S`.
struct Start<F, S>(F, PhantomData<S>);

type Flow = ParticleFlow<PotentialEnergy<WeightDecay<f64>>, Euler, f64>;

impl<F, S, R> Start<F, S>
where
    F: Fn(&mut Flow, EmpiricalMeasure<S>) -> R,
{
    fn is_accepted(&self) -> bool {
        true
    }
}

trait NotAccepted {
    fn is_accepted(&self) -> bool {
        false
    }
}

impl<F, S> NotAccepted for Start<F, S> {}

#[test]
fn a_flow_in_double_precision_refuses_a_measure_in_single_precision() {
    assert!(Start::<_, f64>(Flow::start, PhantomData).is_accepted());
    assert!(!Start::<_, f32>(Flow::start, PhantomData).is_accepted());
}

/// Stands for a method that an energy does not have: an inherent method hides it.
trait Regularized: Sized {
    fn regularized<V>(self, _: V) -> Refused {
        Refused
    }
}

impl<E> Regularized for E {}

#[derive(Debug)]
struct Refused;

/// A second potential must not silently replace the first: several are given as a pair.
#[test]
fn an_energy_is_regularized_once() {
    let risk = EmpiricalRisk::new(
        Square,
        DMatrix::from_element(1, 1, 1.0),
        DVector::from_element(1, 1.0),
    );
    let decay = WeightDecay::new(0.5).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk.unwrap()).unwrap();
    let once: Network<Relu> = energy.regularized(decay);
    let Refused = once.regularized(decay);
}
