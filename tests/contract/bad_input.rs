//! Bad input is a typed error at construction that names the place, or a documented panic. A step
//! that fails, or in which a user-defined component panics, leaves the last finite state.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

mod construction;
mod data;
mod modification;
mod panics;
mod ranks;
mod shapes;
mod sizes;
mod steps;
mod times;

const NOT_FINITE: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// Asserts that the message contains each of the words.
fn contains(error: &impl Display, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is missing in: {message}");
    }
}

fn x(d: usize, n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(d, n, |l, j| ((3 * l + 2 * j) as f64).sin())
}

/// Asserts that a call panics, with a message that contains each of the words.
fn refuses<R>(call: impl FnOnce() -> R, words: &[&str]) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else {
        panic!("accepted, but {words:?} was expected")
    };
    let message = panic.downcast_ref::<String>().cloned().or_else(|| {
        panic
            .downcast_ref::<&str>()
            .map(|message| (*message).to_owned())
    });
    contains(&message.expect("a message"), words);
}

type Method = fn() -> Box<dyn Integrator<f64>>;

/// All integrators.
const INTEGRATORS: [Method; 6] = [
    || Box::new(Euler),
    || Box::new(Heun),
    || Box::new(Rk4),
    || Box::new(DormandPrince::new(1e-6, 1e-8)),
    || Box::new(Conic::new(0.5, 1.0)),
    || Box::new(Jko::default()),
];

/// The public contents of a state, as bits.
fn bits(state: &State<f64>) -> Vec<u64> {
    let mu = state.measure();
    let scalars = [
        state.energy(),
        state.dissipation(),
        state.time(),
        state.step() as f64,
        state.next().unwrap_or(-1.0),
    ];
    let fields = mu
        .points()
        .iter()
        .chain(mu.weights())
        .chain(state.velocity().iter());
    let memory = state.memory().fields.iter().flatten();
    let memory = memory.chain(&state.memory().scalars);
    let all = fields.chain(&scalars).chain(memory);
    all.map(|x| x.to_bits()).collect()
}

fn network() -> MeanFieldRisk<Ridge<Softplus>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>> {
    let risk = EmpiricalRisk::new(
        Square,
        x(2, 9) * 2.0,
        DVector::from_fn(9, |j, _| (j as f64).cos()),
    )
    .unwrap();
    MeanFieldRisk::new(Ridge::new(Softplus, 2), risk)
        .unwrap()
        .regularized(WeightDecay::new(0.01).unwrap())
}

fn students() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::weighted(x(3, 5), DVector::from_vec(vec![0.3, 0.0, 0.2, 0.1, 0.4])).unwrap()
}
