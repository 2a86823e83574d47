//! Planted mistakes: the law kit must detect each of them within 256 cases. `--nocapture` prints
//! the table.

use wasserflow::testing::Violation;
use wasserflow::testing::proptest::strategy::{Strategy, ValueTree};
use wasserflow::testing::proptest::test_runner::TestRunner;

mod energies;
mod integrators;
mod maps;
mod risks;
mod scalars;

/// The number of cases until the first violation, and the violated law.
type Verdict = Option<(usize, &'static str)>;

/// Checks a law on up to 256 values of a strategy, the same ones in every run.
fn detect<S: Strategy>(strategy: S, law: &dyn Fn(S::Value) -> Result<(), Violation>) -> Verdict {
    let mut runner = TestRunner::deterministic();
    (1..=256).find_map(|case| {
        let value = strategy
            .new_tree(&mut runner)
            .expect("strategies do not reject")
            .current();
        law(value).err().map(|violation| (case, violation.law))
    })
}

/// Prints one row of the table and fails unless the mistake is detected in one of the two
/// precisions.
fn record(mistake: &str, single: Verdict, double: Verdict) {
    let count = |verdict: Verdict| verdict.map_or("-".to_owned(), |(case, _)| case.to_string());
    let law = double.or(single).map_or("not detected", |(_, law)| law);
    println!(
        "{mistake:60} f32 {:>4} f64 {:>4}  {law}",
        count(single),
        count(double)
    );
    assert!(single.or(double).is_some(), "not detected: {mistake}");
}

/// A mistake, the strategy and the law that a macro of the kit would apply to it. `T` is the
/// scalar.
macro_rules! mutant {
    ($mistake:expr, $strategy:expr, $values:pat => $law:expr) => {{
        let single = {
            #[allow(dead_code)]
            type T = f32;
            $crate::mutants::detect($strategy, &|$values| $law)
        };
        let double = {
            #[allow(dead_code)]
            type T = f64;
            $crate::mutants::detect($strategy, &|$values| $law)
        };
        $crate::mutants::record($mistake, single, double);
    }};
}
use mutant;
