//! The angular sweep of planar ridge maps equals the plain definition.

use std::ops::Range;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::ProvidedBatches;

/// Predictions, velocities, and values and descent directions of a fixed linear form.
fn batch<T: Real>(map: &dyn FeatureMap<T>, mu: &EmpiricalMeasure<T>, x: &Inputs<T>) -> Vec<T> {
    let (mut ws, kn, p, m) = (
        Workspace::default(),
        map.output_dim() * x.len(),
        map.particle_dim(),
        mu.len(),
    );
    let mut h = vec![T::zero(); kn];
    let (mut v, mut descent, mut values) = (
        DMatrix::zeros(p, m),
        DMatrix::zeros(p, m),
        vec![T::zero(); m],
    );
    map.predict(mu, x, &mut h, &mut ws);
    let form: Vec<T> = (0..kn)
        .map(|j| real(f64::from(j as u32 % 7) - 3.0))
        .collect();
    let mut gradient = |_: Range<usize>, _: &[T], g: &mut [T]| {
        g.copy_from_slice(&form);
        T::zero()
    };
    let gradient = &mut PredictionGradient::new(false, &mut gradient);
    map.velocity(mu, x, gradient, &mut v, &mut ws);
    map.variation(mu.points(), x, &form, &mut values, &mut descent, &mut ws);
    [&h[..], v.as_slice(), &values, descent.as_slice()].concat()
}

fn check<T: Real, A: Activation<T> + Copy>(sigma: A, k: usize, x: &[f64], w: &[f64]) {
    let narrow = |v: &[f64]| -> Vec<T> { v.iter().map(|&s| real(s)).collect() };
    let (n, m) = (x.len() / 2, w.len() / (k + 2));
    let x = Inputs::from_slice(2, &narrow(x)).unwrap();
    let c = DVector::from_fn(m, |i, _| real::<T>((i % 3) as f64 / m as f64));
    let mu = EmpiricalMeasure::weighted(DMatrix::from_vec(k + 2, m, narrow(w)), c).unwrap();
    let map = Ridge::with_outputs(sigma, 2, k);
    let (found, plain) = (batch(&map, &mu, &x), batch(&ProvidedBatches(map), &mu, &x));
    let scale = plain.iter().fold(T::one(), |max, s| max.max(s.abs()));
    // Terms are at most about 10, and the plain sums round each of them.
    let bound = (scale + real(10.0 * n.max(m) as f64)) * T::default_epsilon() * real(4.0);
    for (q, (&s, &t)) in found.iter().zip(&plain).enumerate() {
        assert!(
            (s - t).abs() <= bound,
            "entry {q} of {n} x {m}: {s} and {t}"
        );
    }
}

/// Piecewise linear with the slopes 0 and 2, and 1/2 at 0.
#[derive(Debug, Clone, Copy)]
struct Middle;

impl<T: Real> Activation<T> for Middle {
    fn value(&self, u: T) -> T {
        if u > T::zero() { u + u } else { T::zero() }
    }
    fn derivative(&self, u: T) -> T {
        real(if u > T::zero() {
            2.0
        } else if u == T::zero() {
            0.5
        } else {
            0.0
        })
    }
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: T::zero(),
            zero: real(0.5),
            positive: real(2.0),
        })
    }
}

/// Points of the plane of one kind: irregular, an integer grid with its zero, a line with a bias,
/// one ray.
fn points(kind: usize, len: usize, shift: usize) -> Vec<f64> {
    let t = |j: usize| ((j + shift) as f64 * 0.618_033_988_749_895).fract() * 2.0 - 1.0;
    (0..len)
        .flat_map(|j| match kind {
            0 => [t(j), t(3 * j + 1)],
            1 => [((j + shift) % 5) as f64 - 2.0, (j / 5 % 5) as f64 - 2.0],
            2 => [t(j), 1.0],
            _ => [t(j), 2.0 * t(j)],
        })
        .collect()
}

#[test]
fn the_batches_are_the_plain_ones() {
    for (x_kind, b_kind) in (0..4).flat_map(|x| (0..4).map(move |b| (x, b))) {
        for (n, m, k) in [(1, 1, 1), (40, 90, 1), (700, 650, 1), (90, 70, 3)] {
            let (x, b) = (points(x_kind, n, 0), points(b_kind, m, 7));
            let a = points(0, m * k, 3);
            let particle = |i: usize| [&a[i * k..(i + 1) * k], &b[2 * i..2 * i + 2]].concat();
            let w: Vec<f64> = (0..m).flat_map(particle).collect();
            check::<f64, _>(Relu, k, &x, &w);
            check::<f64, _>(LeakyRelu(0.125), k, &x, &w);
            check::<f64, _>(Abs, k, &x, &w);
            check::<f64, _>(Identity, k, &x, &w);
            check::<f64, _>(Middle, k, &x, &w);
            check::<f32, _>(Relu, k, &x, &w);
            check::<f32, _>(Abs, k, &x, &w);
        }
    }
}

/// More samples and particles than one task takes.
#[test]
fn several_tasks() {
    for (n, m) in [(150, 1100), (1100, 150)] {
        let (a, b) = (points(0, m, 3), points(0, m, 7));
        let w: Vec<f64> = (0..m)
            .flat_map(|i| [a[i], b[2 * i], b[2 * i + 1]])
            .collect();
        check::<f64, _>(Relu, 1, &points(0, n, 0), &w);
        check::<f64, _>(Abs, 1, &points(0, n, 0), &w);
    }
}
