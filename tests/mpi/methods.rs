//! Certificates, sparse methods, observers and checkpoints on ranks of MPI.

use std::cell::Cell;
use std::ops::ControlFlow;

use wasserflow::mpi::topology::SimpleCommunicator;
use wasserflow::observe::from_fn;
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;
use wasserflow::sparse::{FrankWolfe, insert, reweigh, run_until_optimal};
use wasserflow::testing::Case;

type Network = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

/// A rectifier network with weight decay, on one process or on ranks.
fn network(case: Case, ranks: Option<MpiRanks<f64>>) -> Network {
    let risk = EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, case.d), risk).unwrap();
    let energy = energy.regularized(WeightDecay::new(0.05).unwrap());
    match ranks {
        Some(ranks) => energy.distributed(ranks),
        None => energy,
    }
}

fn world() -> MpiRanks<f64> {
    MpiRanks::new(&SimpleCommunicator::world()).unwrap()
}

/// Every rank has the same bits as the first.
fn assert_same(what: &str, x: &[f64]) {
    for other in world().gather(x).chunks(x.len()) {
        let same = x.iter().zip(other).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{what}: {x:?} and {other:?} on different ranks");
    }
}

fn close(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
        "{what}: {found}, {expected}"
    );
}

pub fn checks(mut all: MpiRanks<f64>) {
    for d in [2, 3, 5] {
        let case = Case {
            n: 20,
            m: 9,
            d,
            k: 1,
            seed: 7,
        };
        let (mut single, mut distributed) = (network(case, None), network(case, Some(world())));
        let whole = case.measure(case.d + case.k);
        let part = whole.share(&all);
        let expected = certify(&mut single, &whole);
        let found = certify(&mut distributed, &part);
        assert_same("certificate", &[found.gap(), found.threshold()]);
        close("gap", found.gap(), expected.gap());

        let w = vec![0.5; whole.dim()];
        let expected = insert(&mut single, &whole, &w).map(|mu| (mu.len(), single.value(&mu)));
        let found = insert(&mut distributed, &part, &w);
        assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some((len, value))) = (found, expected) {
            assert_eq!(found.collect(&mut all).len(), len, "one owner");
            close("F after insertion", distributed.value(&found), value);
        }

        let expected = reweigh(&mut single, &whole).unwrap();
        let expected = single.value(&expected);
        let found = reweigh(&mut distributed, &part).unwrap();
        close("F at optimal weights", distributed.value(&found), expected);
    }
    planar(&mut all);
    stop_of_one_rank(&all);
    checkpoint(&mut all);
}

/// Methods that end at a certified minimum of a problem in the plane.
fn planar(all: &mut MpiRanks<f64>) {
    let case = Case {
        n: 12,
        m: 8,
        d: 2,
        k: 1,
        seed: 3,
    };
    let mut part = case.measure(case.d + case.k).share(all);
    let method = FrankWolfe::Corrective;
    let (reason, certificate) = method
        .run(&mut network(case, Some(world())), &mut part, 1e-8, 100)
        .unwrap();
    assert!(
        matches!(reason, StopReason::GloballyOptimal { .. }),
        "{reason:?}"
    );
    let minimum = network(case, Some(world())).value(&part);
    assert_same("conditional gradients", &[minimum, certificate.gap()]);

    let run = |ranks: Option<MpiRanks<f64>>, mu| {
        let mut flow = ParticleFlow::new(network(case, ranks), Jko::default(), 1.0).unwrap();
        let mut state = flow.start(mu).unwrap();
        let (_, certificate) = run_until_optimal(&mut flow, &mut state, 1e-3, 5, 20).unwrap();
        [state.energy(), certificate.gap(), state.step() as f64]
    };
    let whole = case.measure(case.d + case.k);
    let found = run(Some(world()), whole.share(all));
    assert_same("flow with certificates", &found);
    for (found, expected) in found.into_iter().zip(run(None, whole)) {
        close(
            "F, gap and steps of a flow with certificates",
            found,
            expected,
        );
    }
}

/// An observer that stops one rank stops all of them after the same step.
fn stop_of_one_rank(all: &MpiRanks<f64>) {
    let case = Case {
        n: 10,
        m: 9,
        d: 2,
        k: 1,
        seed: 4,
    };
    let mut flow = ParticleFlow::new(network(case, Some(world())), Euler, 0.1).unwrap();
    let mut state = flow
        .start(case.measure(case.d + case.k).share(all))
        .unwrap();
    let last = all.rank() + 1 == all.size();
    let calls = Cell::new(0);
    let mut observer = from_fn(|_: &State<f64>| {
        calls.set(calls.get() + 1);
        match last && calls.get() == 4 {
            true => ControlFlow::Break(StopReason::Requested),
            false => ControlFlow::Continue(()),
        }
    });
    let reason = flow.run(&mut state, 100, &mut observer).unwrap();
    assert_eq!(reason, StopReason::Requested);
    assert_same("steps before the stop", &[state.step() as f64]);
    assert!(state.step() < 10);
}

/// A run resumes from the state of all ranks in one file, on another number of ranks.
fn checkpoint(all: &mut MpiRanks<f64>) {
    let case = Case {
        n: 10,
        m: 9,
        d: 2,
        k: 1,
        seed: 4,
    };
    let run = |ranks: Option<MpiRanks<f64>>, state: &mut State<f64>| {
        let method = HeavyBall::new(0.5).unwrap();
        let mut flow = ParticleFlow::new(network(case, ranks), method, 0.1).unwrap();
        flow.run(state, 10, &mut ()).unwrap();
    };
    let mut state = State::new(case.measure(case.d + case.k).share(all));
    run(Some(world()), &mut state);
    let mut whole = state.collect(all); // that of a single process
    run(Some(world()), &mut state);
    run(None, &mut whole);
    close("F of the resumed run", whole.energy(), state.energy());
    assert_eq!(whole.step(), 20);
}
