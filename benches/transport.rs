//! Exact W2 between two Gaussian clouds of m equal atoms in R^d, cold, and updated after a small
//! move; weighted clouds.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use wasserflow::nalgebra::DVector;
use wasserflow::prelude::*;

type Measure = EmpiricalMeasure<f64>;

fn clouds(m: usize, d: usize) -> (Measure, Measure) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (mu, mut nu) = (
        init::gaussian(d, m, 1.0, &mut rng).unwrap(),
        init::gaussian(d, m, 1.3, &mut rng).unwrap(),
    );
    nu.points_mut().iter_mut().for_each(|y| *y += 0.5);
    (mu, nu)
}

fn weighted(mu: &Measure, seed: u64) -> Measure {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let c = DVector::from_fn(mu.len(), |_, _| rng.random_range(0.1..1.0));
    Measure::weighted(mu.points().clone(), c.clone() / c.sum()).unwrap()
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("w2");
    group.sample_size(10);
    for d in [2, 10, 100] {
        for m in [500, 1000, 2000] {
            let (mu, nu) = clouds(m, d);
            let id = format!("m{m}_d{d}");
            group.bench_function(BenchmarkId::new("cold", &id), |b| {
                b.iter(|| transport::w2(black_box(&mu), black_box(&nu)).unwrap());
            });
            let near = transport::w2(&mu, &nu).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut moved = mu.clone();
            moved
                .points_mut()
                .iter_mut()
                .for_each(|x| *x += 1e-4 * rng.random_range(-1.0..1.0));
            group.bench_function(BenchmarkId::new("update", &id), |b| {
                b.iter(|| near.update(black_box(&moved), black_box(&nu)).unwrap());
            });
        }
        let (mu, nu) = clouds(1000, d);
        let (mu, nu) = (weighted(&mu, 1), weighted(&nu, 2));
        group.bench_function(BenchmarkId::new("weighted", format!("m1000_d{d}")), |b| {
            b.iter(|| transport::w2(black_box(&mu), black_box(&nu)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(transport_benches, benches);
criterion_main!(transport_benches);
