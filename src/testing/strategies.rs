//! Strategies of proptest for points, shapes and seeds, and the test runner of the macros.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::case::Case;
use super::violation::Violation;
use crate::real::{Real, real};

/// Checks a law for the values of a strategy, and panics with the smallest counterexample found.
///
/// The number of values is 256, or that of the environment variable `PROPTEST_CASES`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_activation;
/// use wasserflow::testing::strategies::{assert_law, intervals};
///
/// assert_law(intervals::<f64>(), |(a, b)| check_activation(&Tanh, a, b));
/// ```
///
/// # Panics
/// When the law does not hold.
pub fn assert_law<S: Strategy>(strategy: S, law: impl Fn(S::Value) -> Result<(), Violation>)
where
    S::Value: Debug,
{
    run(strategy, &law);
}

/// The runner, compiled once for each strategy instead of once for each law.
fn run<S: Strategy>(strategy: S, law: &dyn Fn(S::Value) -> Result<(), Violation>) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&strategy, |value| {
        law(value).map_err(|violation| TestCaseError::fail(violation.to_string()))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// A number with a random sign, of size `10^e` with e uniform in `[low, high)`.
fn signed_power(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (any::<bool>(), low..high).prop_map(|(positive, exponent)| {
        let size = 10_f64.powf(exponent);
        if positive { size } else { -size }
    })
}

/// A number: 0, a probable kink, uniform in `[-4, 4)`, or of any size between 1e-6 and 30.
fn number() -> impl Strategy<Value = f64> {
    let kinks = select(vec![-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]);
    prop_oneof![2 => Just(0.0), 2 => kinks, 6 => -4.0..4.0, 3 => signed_power(-6.0, 1.5)]
}

/// Intervals `(a, b)`, in either order, with a length between 1e-3 and 10.
pub fn intervals<T: Real>() -> impl Strategy<Value = (T, T)> {
    (number(), signed_power(-3.0, 1.0)).prop_map(|(a, length)| (real(a), real(a + length)))
}

/// Numbers, for targets and points.
pub fn numbers<T: Real>() -> impl Strategy<Value = T> {
    number().prop_map(real)
}

/// Scale factors between 1e-6 and 1e6.
pub fn scales<T: Real>() -> impl Strategy<Value = T> {
    (-6.0..6.0).prop_map(|exponent| real(10_f64.powf(exponent)))
}

/// Cases with sizes around the block sizes of the kernels: n in {1, 5, 8, 13, 257}, m in
/// {1, 2, 3, 8, 13}, d in {1, 2, 3, 8}, k in {1, 2, 3}.
///
/// The largest n comes with at most 3 particles, to limit the time of a test.
pub fn cases() -> impl Strategy<Value = Case> {
    let n = prop_oneof![15 => select(vec![1, 5, 8, 13]), 1 => Just(257)];
    let shapes = (
        n,
        select(vec![1, 2, 3, 8, 13]),
        select(vec![1, 2, 3, 8]),
        select(vec![1, 2, 3]),
    );
    (shapes, any::<u64>()).prop_map(|((n, m, d, k), seed)| {
        let m = if n > 13 { m.min(3) } else { m };
        Case { n, m, d, k, seed }
    })
}

/// Seeds.
pub fn seeds() -> impl Strategy<Value = u64> {
    any::<u64>()
}
