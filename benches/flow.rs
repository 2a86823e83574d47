//! The whole step of a `ParticleFlow` beside the velocity alone, the angular sweep for n = m from
//! 10^3 to 10^6, and the dual tree up to 10^5.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::Trace;
use wasserflow::prelude::*;

struct Problem<T: Real> {
    mu: EmpiricalMeasure<T>,
    x: DMatrix<T>,
    y: DVector<T>,
}

fn problem<T: Real>([n, d, m]: [usize; 3]) -> Problem<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut uniform = |_: usize, _: usize| real::<T>(rng.random_range(-1.0..1.0));
    let mu =
        EmpiricalMeasure::uniform(DMatrix::from_fn(1 + d, m, &mut uniform)).expect("a measure");
    let x = DMatrix::from_fn(d, n, &mut uniform);
    Problem {
        mu,
        x,
        y: DVector::from_fn(n, |j, _| uniform(j, 0)),
    }
}

/// One velocity with the gradient of the square loss, as a closure.
fn velocity<T: Real>(Problem { mu, x, y }: &Problem<T>) -> impl FnMut() {
    let (inputs, map) = (
        Inputs::new(x.clone()).expect("samples"),
        Ridge::new(Relu, x.nrows()),
    );
    let (scale, mut out) = (
        real::<T>(1.0 / x.ncols() as f64),
        DMatrix::zeros(1 + x.nrows(), mu.len()),
    );
    let mut ws = Workspace::default();
    move || {
        let mut gradient = |_: Range<usize>, h: &[T], g: &mut [T]| {
            let mut sum = T::zero();
            for ((g, &h), &y) in g.iter_mut().zip(h).zip(y.as_slice()) {
                sum += (h - y) * (h - y);
                *g = scale * (h - y);
            }
            sum
        };
        let gradient = &mut PredictionGradient::new(false, &mut gradient);
        black_box(map.velocity(mu, &inputs, gradient, &mut out, &mut ws));
    }
}

fn step<T: Real + Send + Sync>(c: &mut Criterion, scalar: &str) {
    let pool = ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread pool");
    for shape in [[500, 2, 100], [1797, 65, 4096]] {
        let Problem { mu, x, y } = problem::<T>(shape);
        let [n, d, m] = shape;
        let mut group = c.benchmark_group(format!("step/{n}_{d}_{m}/{scalar}"));
        let bare = Problem {
            mu: mu.clone(),
            x: x.clone(),
            y: y.clone(),
        };
        group.bench_function("velocity", |b| pool.install(|| b.iter(velocity(&bare))));
        let risk = EmpiricalRisk::new(Square, x, y).expect("a risk");
        let energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).expect("an energy");
        let mut flow = ParticleFlow::new(energy, Euler, real(1e-6)).expect("a flow");
        let mut state = flow.start(mu).expect("a state");
        group.bench_function("flow", |b| {
            pool.install(|| b.iter(|| flow.run(&mut state, 1, &mut ())))
        });
        let once = |trace: &mut Trace<T>| flow.run(&mut state, 1, trace);
        let mut once = once;
        group.bench_function("flow with a trace", |b| {
            pool.install(|| b.iter_batched_ref(Trace::default, &mut once, BatchSize::SmallInput));
        });
        group.finish();
    }
}

fn planar<T: Real + Send + Sync>(c: &mut Criterion, scalar: &str) {
    let pool = ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread pool");
    let mut group = c.benchmark_group(format!("planar/{scalar}"));
    for size in [1_000, 10_000, 100_000, 1_000_000] {
        let all = problem::<T>([size, 2, size]);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            pool.install(|| b.iter(velocity(&all)))
        });
    }
    group.finish();
}

/// The dual tree; the last coordinate of the samples is that of the bias.
fn space<T: Real + Send + Sync>(c: &mut Criterion, scalar: &str) {
    let pool = ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("a thread pool");
    let mut group = c.benchmark_group(format!("space/{scalar}"));
    for [d, size] in [
        [3, 2_000],
        [3, 10_000],
        [3, 100_000],
        [4, 10_000],
        [4, 100_000],
    ] {
        let mut all = problem::<T>([size, d, size]);
        all.x.row_mut(d - 1).fill(T::one());
        group.bench_function(
            BenchmarkId::from_parameter(format!("{size}_{d}_{size}")),
            |b| pool.install(|| b.iter(velocity(&all))),
        );
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    step::<f32>(c, "f32");
    step::<f64>(c, "f64");
    planar::<f32>(c, "f32");
    planar::<f64>(c, "f64");
    space::<f32>(c, "f32");
    space::<f64>(c, "f64");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = all
}
criterion_main!(benches);
