//! Failures of one rank: an error is an error on all, a panic or a signal ends the job.

use std::cell::Cell;
use std::process::Command;

use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;
use wasserflow::testing::Case;

const CASE: Case = Case {
    n: 20,
    m: 8,
    d: 2,
    k: 1,
    seed: 3,
};
/// The call of the potential at which a rank fails: in the middle of a step of Runge-Kutta.
const CALL: usize = 50;

/// A potential that calls `fail` once, on the last rank.
struct Failing<F> {
    last: bool,
    calls: Cell<usize>,
    fail: F,
}

impl<F: Fn() -> f64> Potential<f64> for Failing<F> {
    fn value(&self, _: &[f64]) -> f64 {
        0.0
    }

    fn gradient(&self, _: &[f64], _: f64, out: &mut [f64]) {
        self.calls.set(self.calls.get() + 1);
        if self.last && self.calls.get() == CALL {
            out[0] += (self.fail)();
        }
    }
}

fn run(ranks: MpiRanks<f64>, fail: impl Fn() -> f64) -> (Result<StopReason, StepError>, usize) {
    let last = ranks.rank() + 1 == ranks.size();
    let mu = CASE.measure(CASE.d + CASE.k).share(&ranks);
    let risk = EmpiricalRisk::with_outputs(Square, CASE.inputs(), CASE.targets()).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Tanh, CASE.d), risk)
        .unwrap()
        .regularized(Failing {
            last,
            calls: Cell::new(0),
            fail,
        })
        .distributed(ranks);
    let mut flow = ParticleFlow::new(energy, Rk4, 0.01).unwrap();
    let mut state = flow.start(mu).unwrap();
    let result = flow.run(&mut state, 1_000_000, &mut ());
    (result, state.step())
}

/// A velocity of one rank that is not a number is the same error on all ranks, after the same step.
pub fn not_finite(ranks: MpiRanks<f64>) {
    let world = wasserflow::mpi::topology::SimpleCommunicator::world();
    let mut all = MpiRanks::new(&world).unwrap();
    let (result, step) = run(ranks, || f64::NAN);
    let Err(StepError::NonFinite { step: failed, .. }) = result else {
        panic!("found {result:?}");
    };
    assert_eq!(step, failed);
    for other in all.gather(&[step as f64]) {
        assert_eq!(other, step as f64);
    }
}

/// One rank panics, and drops its ranks: the job is aborted.
pub fn panic_in_a_step(ranks: MpiRanks<f64>) {
    let result = run(ranks, || panic!("planted panic"));
    unreachable!("the run ended with {result:?}");
}

/// One rank is killed: the launcher ends the others.
pub fn killed_in_a_step(ranks: MpiRanks<f64>) {
    let result = run(ranks, || {
        let pid = std::process::id().to_string();
        Command::new("kill").args(["-9", &pid]).status().unwrap();
        unreachable!("the process was killed")
    });
    unreachable!("the run ended with {result:?}");
}
