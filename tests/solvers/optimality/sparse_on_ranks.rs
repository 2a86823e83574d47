//! Sparse methods on particles that are distributed over ranks, and on measures of a wrong
//! dimension.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::scope;

use wasserflow::nalgebra::DMatrix;
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, insert, merge, prune, reweigh};
use wasserflow::testing::Rank;

use super::common::{Network, network};

fn abs() -> Network<Relu, Square, f64> {
    let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
    network(Relu, Square, &x, &DMatrix::from_element(1, 2, 1.0), 0.1)
}

/// Runs `work` on every rank, in a thread each.
fn on_ranks<X: Send>(
    count: usize,
    work: impl Fn(usize, Network<Relu, Square, f64>) -> X + Sync,
) -> Vec<X> {
    let work = &work;
    scope(|scope| {
        let ranks = Rank::group(count).into_iter().enumerate();
        let threads: Vec<_> = ranks
            .map(|(i, rank)| scope.spawn(move || work(i, abs().distributed(rank))))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn part(points: &[f64], weight: f64) -> EmpiricalMeasure<f64> {
    let m = points.len() / 2;
    let points = DMatrix::from_column_slice(2, m, points);
    EmpiricalMeasure::weighted(points, vec![weight; m].into()).unwrap()
}

/// The part of rank i.
fn share(whole: &EmpiricalMeasure<f64>, i: usize, count: usize) -> EmpiricalMeasure<f64> {
    whole.share(&Rank::<f64>::group(count)[i])
}

#[test]
fn insertion_has_one_owner() {
    for count in [1, 2, 3, 5] {
        // Rank i holds one neuron on the right, (0.5, 0.1 i).
        let mu = |i: usize| part(&[0.5, 0.1 * i as f64], 1.0 / count as f64);
        let all: Vec<f64> = (0..count).flat_map(|i| [0.5, 0.1 * i as f64]).collect();
        let whole = part(&all, 1.0 / count as f64);
        let mut energy = abs();
        let w = certify(&mut energy, &whole).escape().unwrap().to_vec();
        let expected = insert(&mut energy, &whole, &w).unwrap();
        let value = energy.value(&expected);
        let results = on_ranks(count, |i, mut energy| {
            let certificate = certify(&mut energy, &mu(i));
            assert_eq!(certificate.escape(), Some(&w[..]));
            let next = insert(&mut energy, &mu(i), &w).unwrap();
            (next.len(), next.mass(), energy.value(&next))
        });
        let owners = results.iter().filter(|r| r.0 == 2).count();
        assert_eq!(owners, 1, "{count} ranks: {results:?}");
        let mass: f64 = results.iter().map(|r| r.1).sum();
        assert!((mass - expected.mass()).abs() < 1e-14);
        for result in &results {
            assert!((result.2 - value).abs() < 1e-14, "{value} {results:?}");
        }
    }
    // The first of the ranks with the fewest particles, also if the ranks have the same content.
    for (sizes, owner) in [([1, 1, 1], 0), ([2, 1, 1], 1), ([3, 2, 1], 2)] {
        let results = on_ranks(3, |i, mut energy| {
            let mu = part(&vec![0.0; 2 * sizes[i]], 0.5);
            let next = insert(&mut energy, &mu, &[1.0, 1.0]).unwrap();
            next.len() - mu.len()
        });
        let expected: Vec<usize> = (0..3).map(|i| usize::from(i == owner)).collect();
        assert_eq!(results, expected);
    }
    // No rank waits for one that refuses its measure.
    let refused = on_ranks(2, |i, mut energy| {
        let mut mu = part(&[0.5, 0.5], 0.5);
        mu.points_mut()[0] = if i == 1 { f64::NAN } else { 0.5 };
        insert(&mut energy, &mu, &[1.0, 1.0])
    });
    assert_eq!(refused, [None, None]);
}

/// Every rank gets its share of the result; a particle of weight -0 for an empty share.
#[test]
fn weights_of_distributed_particles_are_those_of_the_whole() {
    let whole = part(&[1.0, 1.0, 0.5, -0.5, 1.0, 1.0], 0.5);
    let best = reweigh(&mut abs(), &whole).unwrap();
    for count in [1, 2, 3, 5] {
        let results = on_ranks(count, |i, mut energy| {
            let mu = share(&whole, i, count);
            let found = reweigh(&mut energy, &mu).unwrap();
            let step = FrankWolfe::Corrective.step(&mut energy, &mu, &[-1.0, 1.0]);
            (found, step.unwrap().map(|mu| energy.value(&mu)))
        });
        let support = results
            .iter()
            .map(|(mu, _)| mu.weights().iter().filter(|c| **c > 0.0).count());
        assert_eq!(support.sum::<usize>(), best.len());
        let mass: f64 = results.iter().map(|(mu, _)| mu.mass()).sum();
        assert!((mass - best.mass()).abs() < 1e-12);
        assert!(results.iter().all(|result| result.1 == results[0].1));
    }
    on_ranks(1, |_, mut energy| {
        let mut mu = part(&[0.0, 0.0], 1.0);
        let run = FrankWolfe::Corrective.run(&mut energy, &mut mu, 1e-8, 10);
        assert!(matches!(run, Ok((StopReason::GloballyOptimal { .. }, _))));
    });
}

#[test]
fn a_wrong_dimension_panics_with_both_numbers() {
    let (mut energy, phi) = (abs(), Ridge::new(Relu, 1));
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, 1.0)).unwrap();
    let good = part(&[1.0, 1.0], 1.0);
    let mut check = |work: &mut dyn FnMut(&mut Network<Relu, Square, f64>)| {
        let panic = catch_unwind(AssertUnwindSafe(|| work(&mut energy))).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains('2') && message.contains('3'), "{message}");
    };
    check(&mut |energy| drop(insert(energy, &mu, &[1.0; 3])));
    check(&mut |energy| drop(insert(energy, &good, &[1.0; 3])));
    check(&mut |energy| drop(reweigh(energy, &mu)));
    check(&mut |_| drop(prune(&phi, &mu)));
    check(&mut |_| drop(merge(&phi, &mu, 0.0)));
    for method in [FrankWolfe::Plain, FrankWolfe::Corrective] {
        check(&mut |energy| drop(method.step(energy, &mu, &[1.0; 3])));
        check(&mut |energy| drop(method.step(energy, &good, &[1.0; 3])));
    }
}
