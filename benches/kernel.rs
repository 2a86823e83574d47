//! The fused passes of a ridge map: one velocity (predictions, gradient of the square loss, all
//! velocities), on 1 and 2 threads.
//!
//! Throughput counts `4 n m d` operations, so `Gelem/s` is GFLOP/s; `peak` is the rate of fused
//! multiply-adds alone. The size is in the id: `velocity/n_d_m/scalar/activation/threads`.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

mod peak;
use peak::{CHAINS, ROUNDS, chains};

/// Samples n, inputs d, particles m.
const SHAPES: [[usize; 3]; 9] = [
    [500, 2, 100],
    [1000, 2, 10000],
    [10000, 2, 10000],
    [1000, 10, 1000],
    [10000, 20, 2000],
    [2000, 100, 2000],
    [1797, 65, 4096],
    [10000, 100, 5000],
    [10000, 784, 2000],
];

/// A custom activation: softsign, `u / (1 + |u|)`.
#[derive(Debug, Clone, Copy)]
struct Softsign;

impl<T: Real> Activation<T> for Softsign {
    #[inline]
    fn value(&self, u: T) -> T {
        u / (T::one() + u.abs())
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        self.value_and_derivative(u).1
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        let r = T::one() / (T::one() + u.abs());
        (u * r, r * r)
    }
}

/// ReLU as a custom activation that declares its slopes.
#[derive(Debug, Clone, Copy)]
struct OwnRelu;

impl<T: Real> Activation<T> for OwnRelu {
    #[inline]
    fn value(&self, u: T) -> T {
        u.max(T::zero())
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        if u > T::zero() { T::one() } else { T::zero() }
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: T::zero(),
            zero: T::zero(),
            positive: T::one(),
        })
    }
}

fn pools() -> [(usize, ThreadPool); 2] {
    [1, 2].map(|threads| {
        (
            threads,
            ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a thread pool"),
        )
    })
}

fn velocity<T: Real + Send, A: Activation<T> + Copy + Send>(
    c: &mut Criterion,
    scalar: &str,
    name: &str,
    sigma: A,
) where
    Workspace<T>: Send,
{
    let mut group = c.benchmark_group("velocity");
    for [n, d, m] in SHAPES {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut uniform = |_: usize, _: usize| real::<T>(rng.random_range(-1.0..1.0));
        let mu =
            EmpiricalMeasure::uniform(DMatrix::from_fn(1 + d, m, &mut uniform)).expect("a measure");
        let x = Inputs::new(DMatrix::from_fn(d, n, &mut uniform)).expect("samples");
        let y: Vec<T> = (0..n).map(|j| uniform(j, 0)).collect();
        let (scale, mut out) = (real::<T>(1.0 / n as f64), DMatrix::zeros(1 + d, m));
        let mut ws = Workspace::default();
        group.throughput(Throughput::Elements(4 * (n * m * d) as u64));
        for (threads, pool) in pools() {
            let id = BenchmarkId::new(format!("{n}_{d}_{m}/{scalar}/{name}"), threads);
            group.bench_function(id, |b| {
                pool.install(|| {
                    b.iter(|| {
                        let mut gradient = |samples: Range<usize>, h: &[T], g: &mut [T]| {
                            let mut sum = T::zero();
                            for ((g, &h), &y) in g.iter_mut().zip(h).zip(&y[samples.start..]) {
                                sum += (h - y) * (h - y);
                                *g = scale * (h - y);
                            }
                            sum
                        };
                        let gradient = &mut PredictionGradient::new(true, &mut gradient);
                        black_box(
                            Ridge::new(sigma, d).velocity(&mu, &x, gradient, &mut out, &mut ws),
                        )
                    });
                });
            });
        }
    }
    group.finish();
}

/// The peak rate in `f64`; that of `f32` is twice as high.
fn peak(c: &mut Criterion) {
    let operations = (2 * CHAINS * ROUNDS * chains()) as u64;
    let mut group = c.benchmark_group("peak");
    for (threads, pool) in pools() {
        group.throughput(Throughput::Elements(operations * threads as u64));
        group.bench_function(BenchmarkId::new("f64", threads), |b| {
            pool.install(|| b.iter(|| rayon::broadcast(|_| chains())));
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    peak(c);
    velocity::<f32, _>(c, "f32", "relu", Relu);
    velocity::<f64, _>(c, "f64", "relu", Relu);
    velocity::<f32, _>(c, "f32", "own_relu", OwnRelu);
    velocity::<f32, _>(c, "f32", "tanh", Tanh);
    velocity::<f64, _>(c, "f64", "tanh", Tanh);
    velocity::<f32, _>(c, "f32", "softsign", Softsign);
    velocity::<f64, _>(c, "f64", "softsign", Softsign);
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
