//! Strategies of proptest for points, shapes and seeds, and the runner of the macros.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::{Case, Violation};
use crate::real::{Real, real};

/// Runs a law on values of a strategy, and panics with the smallest counterexample found.
///
/// 256 values, or as many as the environment variable `PROPTEST_CASES` says.
///
/// ```
/// use wasserflow::testing::check_activation;
/// use wasserflow::testing::strategies::{intervals, prove};
///
/// prove(intervals::<f64>(), |(a, b)| check_activation(&wasserflow::prelude::Tanh, a, b));
/// ```
///
/// # Panics
/// When the law does not hold.
pub fn prove<S: Strategy>(strategy: S, law: impl Fn(S::Value) -> Result<(), Violation>)
where
    S::Value: Debug,
{
    run(strategy, &law);
}

/// One copy of the runner a strategy, not one a law.
fn run<S: Strategy>(strategy: S, law: &dyn Fn(S::Value) -> Result<(), Violation>) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let verdict = TestRunner::new(config).run(&strategy, |value| {
        law(value).map_err(|violation| TestCaseError::fail(violation.to_string()))
    });
    if let Err(error) = verdict {
        panic!("{error}");
    }
}

/// A number: 0, a likely kink, of size 1, or of any size between 1e-6 and 30.
fn number() -> impl Strategy<Value = f64> {
    let kinks = select(vec![-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]);
    let sizes = (any::<bool>(), -6.0..1.5).prop_map(|(sign, size)| {
        if sign {
            10_f64.powf(size)
        } else {
            -(10_f64.powf(size))
        }
    });
    prop_oneof![2 => Just(0.0), 2 => kinks, 6 => -4.0..4.0, 3 => sizes]
}

/// Intervals `(a, b)`, in either order, with a length between 1e-3 and 10.
pub fn intervals<T: Real>() -> impl Strategy<Value = (T, T)> {
    let length = (any::<bool>(), -3.0..1.0).prop_map(|(sign, size)| {
        if sign {
            10_f64.powf(size)
        } else {
            -(10_f64.powf(size))
        }
    });
    (number(), length).prop_map(|(a, length)| (real(a), real(a + length)))
}

/// Numbers, for targets and for points.
pub fn numbers<T: Real>() -> impl Strategy<Value = T> {
    number().prop_map(real)
}

/// Scale factors between 1e-6 and 1e6.
pub fn scales<T: Real>() -> impl Strategy<Value = T> {
    (-6.0..6.0).prop_map(|size| real(10_f64.powf(size)))
}

/// Shapes around the block sizes of a kernel, with a seed: n in {1, 5, 8, 13, 257}, m in {1, 2, 3, 8, 13}, d in {1, 2, 3, 8},
/// k in {1, 2, 3}; the largest n comes with few particles.
pub fn cases() -> impl Strategy<Value = Case> {
    let n = prop_oneof![15 => select(vec![1, 5, 8, 13]), 1 => Just(257)];
    let shapes = (
        n,
        select(vec![1, 2, 3, 8, 13]),
        select(vec![1, 2, 3, 8]),
        select(vec![1, 2, 3]),
    );
    (shapes, any::<u64>()).prop_map(|((n, m, d, k), seed)| Case {
        n,
        m: if n > 13 { m.min(3) } else { m },
        d,
        k,
        seed,
    })
}

/// Seeds.
pub fn seeds() -> impl Strategy<Value = u64> {
    any::<u64>()
}
