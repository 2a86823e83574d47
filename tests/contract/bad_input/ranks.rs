//! Ranks: all of them return an error if one has a reason, and none waits for it.

use std::thread::scope;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::Rank;

use super::{contains, network, students, x};

/// Runs `work(index, rank)` on each of `count` ranks and returns the results.
fn on_ranks<X: Send>(count: usize, work: impl Fn(usize, Rank<f64>) -> X + Sync) -> Vec<X> {
    let work = &work;
    scope(|scope| {
        let ranks = Rank::group(count).into_iter().enumerate();
        let threads: Vec<_> = ranks
            .map(|(i, rank)| scope.spawn(move || work(i, rank)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// Measures that are refused.
fn refused() -> [EmpiricalMeasure<f64>; 3] {
    let mut infinite = students();
    infinite.points_mut()[1] = f64::INFINITY;
    let mut negative = students();
    negative.weights_mut()[0] = -1.0;
    [
        EmpiricalMeasure::uniform(x(2, 5)).unwrap(),
        infinite,
        negative,
    ]
}

#[test]
fn a_start_that_one_rank_refuses_is_refused_by_all() {
    for count in [1, 2, 3] {
        for bad in refused() {
            let errors = on_ranks(count, |i, rank| {
                let energy = network().distributed(rank);
                let mut flow = ParticleFlow::new(energy, Euler, 0.01).unwrap();
                let mu = if i + 1 == count {
                    bad.clone()
                } else {
                    students()
                };
                flow.start(mu).unwrap_err()
            });
            for (i, error) in errors.iter().enumerate() {
                assert_eq!(
                    *error == StartError::Rank { rank: count - 1 },
                    i + 1 < count,
                    "{error}"
                );
            }
            contains(&StartError::Rank { rank: 1 }, &["rank 1"]);
        }
    }
}

#[test]
fn a_measure_that_one_rank_makes_invalid_is_refused_by_all() {
    for bad in refused() {
        let results = on_ranks(2, |i, rank| {
            let energy = network().distributed(rank);
            let mut flow = ParticleFlow::new(energy, Heun, 0.01).unwrap();
            let mut state = flow.start(students()).unwrap();
            flow.run(&mut state, 2, &mut ()).unwrap();
            let good = state.measure().clone();
            *state.measure_mut() = if i == 1 { bad.clone() } else { good.clone() };
            let error = flow.advance(&mut state).unwrap_err();
            assert_eq!(error == StepError::Rank { rank: 1 }, i == 0, "{error}");
            // Repaired, all continue.
            *state.measure_mut() = good;
            flow.run(&mut state, 2, &mut ()).unwrap();
            (state.step(), state.energy())
        });
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0].0, 4);
    }
}

/// A local term counts the particles of one rank only.
#[test]
fn a_sum_of_a_local_and_a_distributed_energy_is_refused() {
    let decay = || PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 3);
    on_ranks(2, |_, rank| {
        let distributed = || network().distributed(rank.clone());
        let words = ["number of ranks of the second energy"];
        contains(&Sum::new(distributed(), decay()).unwrap_err(), &words);
        contains(&Sum::new(decay(), distributed()).unwrap_err(), &words);
        let local: Box<dyn Energy<f64>> = Box::new(network());
        let error = Sum::new(distributed(), local).err().unwrap();
        contains(&error, &words);
        let both: Box<dyn Energy<f64>> = Box::new(distributed());
        let mut sum = Sum::new(distributed(), both).unwrap();
        assert!(sum.ranks().is_some());
        // 2 F of all particles: every rank holds half of the mass.
        let value = sum.value(&students());
        let mut whole = students();
        whole.weights_mut().iter_mut().for_each(|c| *c *= 2.0);
        let expected = 2.0 * network().value(&whole);
        assert!((value - expected).abs() <= 1e-14 * expected);
        let ones = DMatrix::from_element(3, 5, 1.0);
        let inner = sum.inner(&students(), &ones, &ones);
        assert!((inner - 6.0 * students().mass()).abs() <= 1e-14 * inner);
    });
}
