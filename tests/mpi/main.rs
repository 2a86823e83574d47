//! Ranks on MPI: `mpirun -n 4 mpi_checks CHECK`. `.ci/mpi` runs all checks, with time limits.

mod failures;
mod flows;
mod methods;
mod sums;

use wasserflow::mpi::topology::SimpleCommunicator;
use wasserflow::mpi::traits::Communicator;
use wasserflow::mpi::{Threading, initialize_with_threading};
use wasserflow::ranks::{MpiRanks, MpiRanksError};

fn main() {
    let check = std::env::args().nth(1).unwrap_or_default();
    let world = SimpleCommunicator::world();
    let before = MpiRanks::<f64>::new(&world).map(drop);
    assert_eq!(before, Err(MpiRanksError::NotRunning), "before MPI runs");
    let level = match &check[..] {
        "level" => Threading::Funneled,
        _ => Threading::Serialized,
    };
    let (universe, supported) = initialize_with_threading(level).expect("MPI runs already");
    assert!(supported >= level, "{supported:?}");
    if !check.starts_with("failure") {
        end_job_at_panics();
    }
    let ranks = MpiRanks::new(&world);
    if check == "level" {
        let found = Threading::Funneled;
        assert_eq!(ranks.map(drop), Err(MpiRanksError::Threads { found }));
    } else {
        run(&check, ranks.unwrap());
    }
    if world.rank() == 0 {
        println!("ok: {check} on {} ranks", world.size());
    }
    // Ranks that are dropped after the end of MPI.
    let late = (level == Threading::Serialized).then(|| MpiRanks::<f64>::new(&world).unwrap());
    drop(universe);
    drop(late);
    let after = MpiRanks::<f64>::new(&world).map(drop);
    assert_eq!(after, Err(MpiRanksError::NotRunning), "after MPI has ended");
}

fn run(check: &str, ranks: MpiRanks<f64>) {
    let world = SimpleCommunicator::world();
    match check {
        "sums" => sums::laws(ranks, MpiRanks::new(&world).unwrap()),
        "explicit" => flows::explicit(ranks),
        "proximal" => flows::proximal(ranks),
        "methods" => methods::checks(ranks),
        "failure-nan" => failures::not_finite(ranks),
        "failure-panic" => failures::panic_in_a_step(ranks),
        "failure-kill" => failures::killed_in_a_step(ranks),
        _ => panic!("unknown check `{check}`"),
    }
}

/// A failed assertion on one rank ends all.
fn end_job_at_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        SimpleCommunicator::world().abort(1);
    }));
}
