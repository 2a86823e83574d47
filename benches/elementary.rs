//! The smooth activations on slices of 256 preactivations: the slice methods beside scalar loops
//! over the system's libm. Times are those of 256 elements.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use wasserflow::prelude::*;

/// Preactivations in `[-4, 4)`.
fn preactivations<T: Real>() -> Vec<T> {
    (0..256_u32)
        .map(|i| real(f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 21) - 4.0))
        .collect()
}

fn hook<T: Real>(c: &mut Criterion, name: &str, sigma: impl Activation<T>, libm: impl Fn(T) -> T) {
    let mut group = c.benchmark_group(format!("{name}/{}", std::any::type_name::<T>()));
    let u = preactivations::<T>();
    let (mut s, mut ds) = (u.clone(), u.clone());
    group.throughput(Throughput::Elements(u.len() as u64));
    group.bench_function(BenchmarkId::from_parameter("values"), |b| {
        b.iter(|| {
            s.copy_from_slice(black_box(&u));
            sigma.apply(black_box(&mut s));
        });
    });
    group.bench_function(BenchmarkId::from_parameter("values and derivatives"), |b| {
        b.iter(|| {
            s.copy_from_slice(black_box(&u));
            sigma.apply_with_derivative(black_box(&mut s), black_box(&mut ds));
        });
    });
    group.bench_function(BenchmarkId::from_parameter("libm"), |b| {
        b.iter(|| {
            s.copy_from_slice(black_box(&u));
            for s in black_box(&mut s) {
                *s = libm(*s);
            }
        });
    });
    group.finish();
}

/// `u` in `f64`, the precision of the error function of libm.
fn wide<T: Real>(u: T) -> f64 {
    u.to_f64().unwrap_or(f64::NAN)
}

fn both(c: &mut Criterion) {
    macro_rules! both {
        ($name:literal, $sigma:expr, |$u:ident| $libm:expr) => {
            hook::<f32>(c, $name, $sigma, |$u| $libm);
            hook::<f64>(c, $name, $sigma, |$u| $libm);
        };
    }
    both!("tanh", Tanh, |u| u.tanh());
    both!("sigmoid", Sigmoid, |u| 1.0 / (1.0 + (-u).exp()));
    both!("softplus", Softplus, |u| u.max(0.0)
        + (-u.abs()).exp().ln_1p());
    both!("erf", Erf, |u| real(libm::erf(wide(u))));
    both!("gelu", Gelu, |u| real(
        0.5 * wide(u) * libm::erfc(-wide(u) * std::f64::consts::FRAC_1_SQRT_2)
    ));
    both!("silu", Silu, |u| u / (1.0 + (-u).exp()));
    both!("sine", Sine, |u| u.sin());
}

criterion_group!(benches, both);
criterion_main!(benches);
