//! The fused passes equal the plain definition, on every shape around the edges of tiles, lines, panels and blocks.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::{
    Abs, Activation, EmpiricalMeasure, FeatureMap, Identity, Inputs, LeakyRelu, Real, Relu, Ridge, Softplus, Tanh,
    Workspace, real,
};

/// The map with the provided batch methods, which are the definition.
struct Plain<F>(F);

impl<T: Real, F: FeatureMap<T>> FeatureMap<T> for Plain<F> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn input_dim(&self) -> usize {
        self.0.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.0.output_dim()
    }
    fn accumulate(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        self.0.accumulate(w, x, scale, out);
    }
    fn pull_back(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        self.0.pull_back(w, x, g, out);
    }
    fn push_forward(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.0.push_forward(w, x, v, scale, out);
    }
}

/// One problem: particles with weights, samples, a field and a gradient `g = h - y`.
struct Problem<T> {
    mu: EmpiricalMeasure<T>,
    x: Inputs<T>,
    v: DMatrix<T>,
    y: Vec<T>,
}

/// What the four batch methods give.
#[derive(Debug, PartialEq)]
struct Outcome<T> {
    h: Vec<T>,
    risk: T,
    velocity: DMatrix<T>,
    values: Vec<T>,
    descent: DMatrix<T>,
    push: Vec<T>,
}

fn normal<T: Real>(rng: &mut ChaCha8Rng) -> T {
    let u: f64 = (0..4).map(|_| rng.random_range(-1.0..1.0)).sum();
    real(u)
}

impl<T: Real> Problem<T> {
    fn random([n, m, d, k]: [usize; 4]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64((n + 31 * m + 977 * d + 7919 * k) as u64);
        let w = DMatrix::from_fn(k + d, m, |_, _| normal(&mut rng));
        let c = DVector::from_fn(m, |i, _| if i % 5 == 3 { T::zero() } else { real(rng.random_range(0.0..2.0) / m as f64) });
        Self {
            mu: EmpiricalMeasure::weighted(w, c).unwrap(),
            x: Inputs::new(DMatrix::from_fn(d, n, |_, _| normal(&mut rng))).unwrap(),
            v: DMatrix::from_fn(k + d, m, |_, _| normal(&mut rng)),
            y: (0..k * n).map(|_| normal(&mut rng)).collect(),
        }
    }

    fn outcome(&self, map: &dyn FeatureMap<T>, ws: &mut Workspace<T>) -> Outcome<T> {
        let (kn, nan) = (self.y.len(), real::<T>(f64::NAN));
        let (p, m) = self.mu.points().shape();
        let mut out = Outcome {
            h: vec![nan; kn],
            risk: nan,
            velocity: DMatrix::from_element(p, m, nan),
            values: vec![nan; m],
            descent: DMatrix::from_element(p, m, nan),
            push: vec![nan; kn],
        };
        map.predict(&self.mu, &self.x, &mut out.h, ws);
        let half = real::<T>(0.5);
        let mut gradient = |h: &[T], g: &mut [T]| {
            let mut sum = T::zero();
            for ((g, &h), &y) in g.iter_mut().zip(h).zip(&self.y) {
                *g = h - y;
                sum += half * *g * *g;
            }
            sum
        };
        out.risk = map.velocity(&self.mu, &self.x, &mut gradient, &mut out.velocity, ws);
        map.variation(self.mu.points(), &self.x, &self.y, &mut out.values, &mut out.descent, ws);
        map.push_forward_all(&self.mu, &self.v, &self.x, &mut out.push, ws);
        out
    }
}

/// `|u - v| <= tolerance max |v|`, everywhere.
fn close<T: Real>(what: &str, u: &[T], v: &[T], tolerance: T) {
    assert_eq!(u.len(), v.len());
    let size = v.iter().fold(T::zero(), |size, &v| size.max(v.abs()));
    for (i, (&u, &v)) in u.iter().zip(v).enumerate() {
        assert!((u - v).abs() <= tolerance * size, "{what}[{i}]: {u} is not {v} (largest {size})");
    }
}

fn compare<T: Real, A: Activation<T> + Copy>(sigma: A, shape: [usize; 4], problem: &Problem<T>) {
    let [n, m, d, k] = shape;
    let map = Ridge::with_outputs(sigma, d, k);
    let mut ws = Workspace::default();
    let fused = problem.outcome(&map, &mut ws);
    let plain = problem.outcome(&Plain(map), &mut Workspace::default());
    let tolerance = T::default_epsilon() * real((64 + 4 * (n + m + d)) as f64);
    close(&format!("h {shape:?}"), &fused.h, &plain.h, tolerance);
    close(&format!("risk {shape:?}"), &[fused.risk], &[plain.risk], tolerance);
    close(&format!("velocity {shape:?}"), fused.velocity.as_slice(), plain.velocity.as_slice(), tolerance);
    close(&format!("values {shape:?}"), &fused.values, &plain.values, tolerance);
    close(&format!("descent {shape:?}"), fused.descent.as_slice(), plain.descent.as_slice(), tolerance);
    close(&format!("push {shape:?}"), &fused.push, &plain.push, tolerance);
    assert_eq!(problem.outcome(&map, &mut ws), fused, "depends on what the workspace held, {shape:?}");
}

/// A user's activation, with no hint for the kernels.
#[derive(Debug, Clone, Copy)]
struct Bent;

impl<T: Real> Activation<T> for Bent {
    #[inline]
    fn value(&self, u: T) -> T {
        u / (T::one() + u.abs())
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        let r = T::one() + u.abs();
        T::one() / (r * r)
    }
}

fn all<T: Real>(shape: [usize; 4]) {
    let problem = Problem::<T>::random(shape);
    compare(Relu, shape, &problem);
    compare(LeakyRelu(0.1), shape, &problem);
    compare(Abs, shape, &problem);
    compare(Identity, shape, &problem);
    compare(Tanh, shape, &problem);
    compare(Softplus, shape, &problem);
    compare(Bent, shape, &problem);
}

/// Around the edges of lines (8, 16), tiles (2, 6, 12), words of signs (30, 60), panels (256) and blocks (96).
#[test]
fn ragged_shapes() {
    for n in [1, 7, 8, 9, 15, 16, 17, 33, 255, 257, 600] {
        for (m, d, k) in [(1, 1, 1), (5, 2, 1), (6, 3, 1), (7, 4, 1), (13, 5, 1), (31, 9, 1), (97, 17, 1), (4, 6, 3)] {
            all::<f32>([n, m, d, k]);
            all::<f64>([n, m, d, k]);
        }
    }
}

#[test]
fn every_input_dimension() {
    for d in (1..=50).chain([63, 64, 65, 96, 100, 255, 256, 257, 300, 513]) {
        all::<f32>([21, 9, d, 1]);
        all::<f64>([21, 9, d, 1]);
    }
}

#[test]
fn every_number_of_particles() {
    for m in (1..=25).chain([29, 30, 31, 59, 60, 61, 95, 96, 97, 193]) {
        all::<f32>([40, m, 6, 1]);
        all::<f64>([40, m, 3, 1]);
    }
}

#[test]
fn several_outputs() {
    for k in [2, 3, 10] {
        for d in [1, 2, 5, 30] {
            all::<f32>([70, 20, d, k]);
            all::<f64>([70, 20, d, k]);
        }
    }
}
