//! Every public function of the library on invalid and extreme arguments.
//!
//! A call may return a value, return a typed error, or panic as documented. [`api`] reads the list
//! of public functions from the sources; the test fails if one of them is never called.

#![expect(clippy::eq_op, reason = "x == x is false for NaN, in any scalar type")]
#![expect(
    clippy::reversed_empty_ranges,
    reason = "an argument of a hostile call"
)]

mod api;
mod components;
mod data;
mod drivers;
mod files;
mod fuzz;
mod kit;
mod measures;
mod problems;
mod suite;
mod transport;

use std::collections::BTreeSet;

use api::Api;
use suite::Suite;

/// Public functions that macros generate, or that are in another file than their type.
const GENERATED: [&str; 11] = [
    "EmpiricalMeasure::collect",
    "EmpiricalMeasure::share",
    "Radial::new",
    "Ridge::activation",
    "Ridge::input_dim",
    "Ridge::new",
    "Ridge::output_dim",
    "Ridge::particle_dim",
    "Ridge::with_outputs",
    "State::collect",
    "State::share",
];

/// Public functions that need a running MPI: `tests/mpi` calls them on invalid arguments.
const ON_MPI: [&str; 2] = ["MpiRanks::in_rank_order", "MpiRanks::new"];

#[test]
fn every_public_function_survives_invalid_and_extreme_arguments() {
    let api = Api::read();
    let suite = Suite::new(&api);
    suite.run(&[
        measures::calls,
        components::calls,
        data::calls,
        problems::calls,
        drivers::calls,
        files::calls,
        transport::calls,
        kit::calls,
    ]);
    let called = suite.called();
    let mut public = api.functions();
    for name in ON_MPI {
        assert!(public.remove(name), "{name} is not public");
    }
    let missing: Vec<_> = public.difference(&called).collect();
    assert!(missing.is_empty(), "no calls of {missing:#?}");
    let known = |name: &&String| public.contains(*name) || GENERATED.contains(&name.as_str());
    let unknown: BTreeSet<_> = called.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "not public functions: {unknown:#?}");
    suite.assert_no_failures();
}
