//! One gradient of the ReLU mean-field network at a time, on request: the least time of many calls.
//!
//! `benches/peers/gradient.py` runs it beside other libraries. Each line of the standard input is
//! a request, each line of the output its answer:
//!
//! | request | answer |
//! |---|---|
//! | `step n d m f32 threads seconds` | ms of an Euler step of a flow, by `ParticleFlow::run` |
//! | `velocity n d m f64 threads seconds` | ms of `FeatureMap::velocity` with the square loss |
//! | `predict n d m f64 threads seconds` | ms of `FeatureMap::predict`, the forward pass |
//! | the same with `cpu` appended | CPU time of all threads, which is reproducible on a loaded machine |
//! | `peak f32 threads` | GFLOP/s of fused multiply-adds alone |

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

mod peak;
use peak::{CHAINS, ROUNDS, chains};

/// What is measured: wall time, or the CPU time of all threads.
type Clock = fn() -> Duration;

fn wall() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[expect(
    unsafe_code,
    reason = "the CPU time of a process is not in the standard library"
)]
fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the function writes to a value of its type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The least time of a call in milliseconds, of calls for `seconds`, three at least.
fn least(seconds: f64, clock: Clock, mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    let mut calls = 0;
    while calls < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = clock();
        work();
        best = best.min(clock() - start);
        calls += 1;
    }
    best.as_secs_f64() * 1e3
}

fn pool(threads: usize) -> ThreadPool {
    let builder = ThreadPoolBuilder::new().num_threads(threads);
    builder.build().expect("a thread pool")
}

fn gradient<T: Real + Send + Sync>(
    what: &str,
    [n, d, m]: [usize; 3],
    seconds: f64,
    clock: Clock,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut uniform = |_: usize, _: usize| real::<T>(rng.random_range(-1.0..1.0));
    let mu = EmpiricalMeasure::uniform(DMatrix::from_fn(1 + d, m, &mut uniform));
    let (mu, x) = (mu.expect("a measure"), DMatrix::from_fn(d, n, &mut uniform));
    let y = DVector::from_fn(n, |j, _| uniform(j, 0));
    let map = Ridge::new(Relu, d);
    if what == "step" {
        let risk = EmpiricalRisk::new(Square, x, y).expect("a risk");
        let energy = MeanFieldRisk::new(map, risk).expect("an energy");
        let mut flow = ParticleFlow::new(energy, Euler, real(1e-6)).expect("a flow");
        let mut state = flow.start(mu).expect("a state");
        return least(seconds, clock, || {
            flow.run(&mut state, 1, &mut ()).expect("a step");
        });
    }
    let inputs = Inputs::new(x).expect("samples");
    let mut ws = Workspace::default();
    if what == "predict" {
        let mut h = vec![T::zero(); n];
        return least(seconds, clock, || {
            map.predict(&mu, &inputs, black_box(&mut h), &mut ws)
        });
    }
    let (scale, mut out) = (real::<T>(1.0 / n as f64), DMatrix::zeros(1 + d, m));
    least(seconds, clock, || {
        let mut gradient = |samples: Range<usize>, h: &[T], g: &mut [T]| {
            let mut sum = T::zero();
            for ((g, &h), &y) in g.iter_mut().zip(h).zip(&y.as_slice()[samples.start..]) {
                sum += (h - y) * (h - y);
                *g = scale * (h - y);
            }
            sum
        };
        let gradient = &mut PredictionGradient::new(true, &mut gradient);
        black_box(map.velocity(&mu, &inputs, gradient, &mut out, &mut ws));
    })
}

/// The rate of fused multiply-adds in GFLOP/s; that of `f32` is twice that of `f64`.
fn peak(scalar: &str, threads: usize) -> f64 {
    let lanes = if scalar == "f32" { 2 } else { 1 } * chains();
    let operations = (2 * CHAINS * ROUNDS * lanes * threads) as f64;
    let ms = pool(threads).install(|| least(0.3, wall, || drop(rayon::broadcast(|_| chains()))));
    operations / ms * 1e-6
}

fn answer(request: &str) -> Option<f64> {
    let words: Vec<_> = request.split_whitespace().collect();
    let count = |i: usize| words.get(i)?.parse::<usize>().ok();
    if words.first() == Some(&"peak") {
        return Some(peak(words.get(1)?, count(2)?));
    }
    let shape = [count(1)?, count(2)?, count(3)?];
    let (scalar, threads) = (*words.get(4)?, count(5)?);
    let seconds = words.get(6)?.parse().ok()?;
    let clock: Clock = if words.get(7) == Some(&"cpu") {
        cpu
    } else {
        wall
    };
    let pool = pool(threads);
    Some(pool.install(|| match scalar {
        "f32" => gradient::<f32>(words[0], shape, seconds, clock),
        _ => gradient::<f64>(words[0], shape, seconds, clock),
    }))
}

fn main() {
    for request in std::io::stdin().lock().lines().map_while(Result::ok) {
        match answer(&request) {
            Some(value) => println!("{value}"),
            None => println!("invalid request: {request}"),
        }
        std::io::stdout().flush().expect("an output");
    }
}
