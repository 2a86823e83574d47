//! The fused passes of ridge and radial maps equal the plain definition, on shapes around every
//! block size.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::ProvidedBatches;

/// One problem: particles with weights, samples, a field and a gradient `g = h - y`.
struct Problem<T> {
    mu: EmpiricalMeasure<T>,
    x: Inputs<T>,
    v: DMatrix<T>,
    y: Vec<T>,
}

/// The results of the batch methods; `velocity` with a separable risk and with one that is not.
#[derive(Debug, PartialEq)]
struct Outcome<T> {
    h: Vec<T>,
    risk: T,
    velocity: DMatrix<T>,
    separable_risk: T,
    separable_velocity: DMatrix<T>,
    values: Vec<T>,
    descent: DMatrix<T>,
    jvp: Vec<T>,
}

fn normal<T: Real>(rng: &mut ChaCha8Rng) -> T {
    let u: f64 = (0..4).map(|_| rng.random_range(-1.0..1.0)).sum();
    real(u)
}

impl<T: Real> Problem<T> {
    fn random([n, m, d, k]: [usize; 4]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64((n + 31 * m + 977 * d + 7919 * k) as u64);
        let w = DMatrix::from_fn(k + d, m, |_, _| normal(&mut rng));
        let c = DVector::from_fn(m, |i, _| {
            if i % 5 == 3 {
                T::zero()
            } else {
                real(rng.random_range(0.0..2.0) / m as f64)
            }
        });
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
            separable_risk: nan,
            separable_velocity: DMatrix::from_element(p, m, nan),
            values: vec![nan; m],
            descent: DMatrix::from_element(p, m, nan),
            jvp: vec![nan; kn],
        };
        map.predict(&self.mu, &self.x, &mut out.h, ws);
        let half = real::<T>(0.5);
        let k = map.output_dim();
        let mut gradient = |samples: Range<usize>, h: &[T], g: &mut [T]| {
            let mut sum = T::zero();
            for ((g, &h), &y) in g.iter_mut().zip(h).zip(&self.y[samples.start * k..]) {
                *g = h - y;
                sum += half * *g * *g;
            }
            sum
        };
        for (separable, risk, velocity) in [
            (false, &mut out.risk, &mut out.velocity),
            (true, &mut out.separable_risk, &mut out.separable_velocity),
        ] {
            let gradient = &mut PredictionGradient::new(separable, &mut gradient);
            *risk = map.velocity(&self.mu, &self.x, gradient, velocity, ws);
        }
        map.variation(
            self.mu.points(),
            &self.x,
            &self.y,
            &mut out.values,
            &mut out.descent,
            ws,
        );
        map.jvp(&self.mu, &self.v, &self.x, &mut out.jvp, ws);
        out
    }
}

/// `|u - v| <= tolerance max |v|`, everywhere.
fn close<T: Real>(what: &str, u: &[T], v: &[T], tolerance: T) {
    assert_eq!(u.len(), v.len());
    let size = v.iter().fold(T::zero(), |size, &v| size.max(v.abs()));
    for (i, (&u, &v)) in u.iter().zip(v).enumerate() {
        assert!(
            (u - v).abs() <= tolerance * size,
            "{what}[{i}]: {u} is not {v} (largest {size})"
        );
    }
}

fn compare<T: Real>(map: impl FeatureMap<T> + Copy, problem: &Problem<T>) {
    let shape = [
        problem.x.len(),
        problem.mu.len(),
        map.input_dim(),
        map.output_dim(),
    ];
    let [n, m, d, _] = shape;
    let mut ws = Workspace::default();
    let fused = problem.outcome(&map, &mut ws);
    let plain = problem.outcome(&ProvidedBatches(map), &mut Workspace::default());
    let tolerance = T::default_epsilon() * real((64 + 4 * (n + m + d)) as f64);
    close(&format!("h {shape:?}"), &fused.h, &plain.h, tolerance);
    close(
        &format!("risk {shape:?}"),
        &[fused.risk],
        &[plain.risk],
        tolerance,
    );
    close(
        &format!("velocity {shape:?}"),
        fused.velocity.as_slice(),
        plain.velocity.as_slice(),
        tolerance,
    );
    close(
        &format!("separable risk {shape:?}"),
        &[fused.separable_risk],
        &[plain.risk],
        tolerance,
    );
    close(
        &format!("separable velocity {shape:?}"),
        fused.separable_velocity.as_slice(),
        plain.velocity.as_slice(),
        tolerance,
    );
    close(
        &format!("values {shape:?}"),
        &fused.values,
        &plain.values,
        tolerance,
    );
    close(
        &format!("descent {shape:?}"),
        fused.descent.as_slice(),
        plain.descent.as_slice(),
        tolerance,
    );
    close(&format!("jvp {shape:?}"), &fused.jvp, &plain.jvp, tolerance);
    assert_eq!(
        problem.outcome(&map, &mut ws),
        fused,
        "depends on the contents of the workspace, {shape:?}"
    );
}

/// A user-defined activation without the optional methods.
#[derive(Debug, Clone, Copy)]
struct SoftSign;

impl<T: Real> Activation<T> for SoftSign {
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

/// Piecewise linear with the slopes -1/4 and 3, and the left one at 0.
#[derive(Debug, Clone, Copy)]
struct TwoSlopes;

impl<T: Real> Activation<T> for TwoSlopes {
    #[inline]
    fn value(&self, u: T) -> T {
        u * Activation::derivative(self, u)
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        real(if u > T::zero() { 3.0 } else { -0.25 })
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: real(-0.25),
            zero: real(-0.25),
            positive: real(3.0),
        })
    }
}

fn all<T: Real>(shape: [usize; 4]) {
    let (problem, [_, _, d, k]) = (Problem::<T>::random(shape), shape);
    compare(Ridge::with_outputs(Relu, d, k), &problem);
    compare(Ridge::with_outputs(LeakyRelu(0.1), d, k), &problem);
    compare(Ridge::with_outputs(Abs, d, k), &problem);
    compare(Ridge::with_outputs(Identity, d, k), &problem);
    compare(Ridge::with_outputs(Tanh, d, k), &problem);
    compare(Ridge::with_outputs(Softplus, d, k), &problem);
    compare(Ridge::with_outputs(SoftSign, d, k), &problem);
    compare(Ridge::with_outputs(TwoSlopes, d, k), &problem);
    compare(Radial::with_outputs(Tanh, d, k), &problem);
    compare(Radial::with_outputs(Relu, d, k), &problem);
}

/// More values and derivatives than are stored for a panel, and several slabs of samples.
#[test]
fn slabs_of_samples() {
    compare::<f64>(Ridge::new(Softplus, 3), &Problem::random([523, 2501, 3, 1]));
    compare::<f64>(Ridge::new(Tanh, 2), &Problem::random([523, 8201, 2, 1]));
    compare::<f32>(
        Ridge::with_outputs(SoftSign, 1, 2),
        &Problem::random([530, 4203, 1, 2]),
    );
}

/// A backward pass divides more than 2048 samples into parts.
#[test]
fn parts_of_samples() {
    for [n, m, d] in [
        [2049, 35, 5],
        [4200, 20, 3],
        [4097, 17, 26],
        [2300, 11, 150],
    ] {
        all::<f32>([n, m, d, 1]);
        all::<f64>([n, m, d, 1]);
    }
}

/// Shapes around the SIMD widths (8, 16), microkernels (2, 6, 12, 16), words of signs (30, 32, 60, 64), panels
/// (256), blocks (96).
#[test]
fn ragged_shapes() {
    for n in [1, 7, 8, 9, 15, 16, 17, 33, 255, 257, 600] {
        for (m, d, k) in [
            (1, 1, 1),
            (5, 2, 1),
            (6, 3, 1),
            (7, 4, 1),
            (13, 5, 1),
            (31, 9, 1),
            (97, 17, 1),
            (4, 6, 3),
        ] {
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

/// Velocities with enough samples have particles in the lanes; one panel, several, and several with
/// a last one that is not a whole line.
#[test]
fn many_samples_with_particles_in_the_lanes() {
    fn smooth<T: Real>(shape: [usize; 4]) {
        let problem = Problem::<T>::random(shape);
        compare(Ridge::new(Tanh, shape[2]), &problem);
        compare(Ridge::new(SoftSign, shape[2]), &problem);
    }
    for d in 1..=25 {
        smooth::<f32>([131, 37, d, 1]);
        smooth::<f64>([131, 37, d, 1]);
    }
    for n in [127, 128, 129, 192, 193, 321] {
        for m in [1, 8, 15, 16, 17, 64, 65, 129] {
            smooth::<f32>([n, m, 3, 1]);
            smooth::<f64>([n, m, 6, 1]);
        }
    }
    for d in [24, 65, 257] {
        smooth::<f32>([1001, 9, d, 1]);
        smooth::<f64>([1001, 9, d, 1]);
    }
    // Panels of 32 and of 16 samples.
    for m in [9000, 17_000] {
        smooth::<f64>([130, m, 1, 1]);
    }
}

#[test]
fn every_number_of_particles() {
    for m in (1..=25).chain([29, 30, 31, 59, 60, 61, 95, 96, 97, 193]) {
        all::<f32>([40, m, 6, 1]);
        all::<f64>([40, m, 3, 1]);
    }
}

/// More particles than one task has in the blocks that share a panel.
#[test]
fn many_particles() {
    for d in [3, 9] {
        all::<f32>([20, 800, d, 1]);
        all::<f64>([20, 800, d, 1]);
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

/// The velocity of the particle `(1, e_1)`, for samples `x_j e_1` and a given g.
fn velocity_of_one<T: Real>(sigma: impl Activation<T>, d: usize, x: &[f64], g: &[f64]) -> Vec<T> {
    let points = |rows, x: &[f64]| {
        DMatrix::from_fn(rows, x.len(), |f, j| {
            real::<T>(if f == 0 { x[j] } else { 0.0 })
        })
    };
    let x = Inputs::new(points(d, x)).unwrap();
    let mut w = DMatrix::zeros(1 + d, 1);
    (w[(0, 0)], w[(1, 0)]) = (T::one(), T::one());
    let mu = EmpiricalMeasure::uniform(w).unwrap();
    let mut gradient = |samples: Range<usize>, _: &[T], to: &mut [T]| {
        for (to, &g) in to.iter_mut().zip(&g[samples]) {
            *to = real(g);
        }
        T::zero()
    };
    let gradient = &mut PredictionGradient::new(true, &mut gradient);
    let mut v = DMatrix::zeros(1 + d, 1);
    let ws = &mut Workspace::default();
    Ridge::new(sigma, d).velocity(&mu, &x, gradient, &mut v, ws);
    v.as_slice().to_vec()
}

/// The slope of the inactive side has no influence on the sum of the active one.
#[test]
fn slopes_of_different_sizes() {
    fn check<T: Real>(slope: f64) {
        for d in [3, 4, 20, 40] {
            let [x, g] = [[1.0, 0.75, 0.25], [1.0, 0.5, 0.25]];
            let v = velocity_of_one::<T>(LeakyRelu(slope), d, &x, &g);
            assert_eq!([v[0], v[1]], [real(-1.4375); 2], "slope {slope}, d = {d}");
        }
    }
    for slope in [1e30, -1e30, 1e-30] {
        check::<f32>(slope);
        check::<f64>(slope);
    }
    // The slope of the inactive side times the sum over all samples is infinite.
    check::<f32>(-3e38);
    check::<f64>(-f64::MAX);
}

/// `g_j x_j` exceeds the range, `g_j sigma'(b . x_j) x_j = 0` does not.
#[test]
fn saturated_activations_of_huge_samples() {
    for d in [1, 3, 30] {
        for n in [1, 130, 1001] {
            let mut x = vec![1e20; n];
            x[n - 1] = 0.0;
            let v = velocity_of_one::<f32>(Tanh, d, &x, &vec![1e20; n]);
            assert_eq!(v[1], 0.0, "d = {d}, n = {n}");
            x[n - 1] = 1e200;
            let v = velocity_of_one::<f64>(Tanh, d, &x, &vec![1e200; n]);
            assert_eq!(v[1], 0.0, "d = {d}, n = {n}");
        }
    }
}

/// Preactivations that are exactly 0. Integers make every sum exact in any order, so the results
/// agree bit for bit.
#[test]
fn zero_preactivations_are_exact() {
    fn exact<T: Real, A: Activation<T> + Copy>(sigma: A) {
        for (n, m, d) in [
            (50, 40, 1),
            (70, 33, 2),
            (300, 65, 3),
            (64, 64, 4),
            (40, 100, 5),
            (33, 20, 30),
        ] {
            let mut rng = ChaCha8Rng::seed_from_u64((n + m + d) as u64);
            let mut integer =
                |_: usize, _: usize| real::<T>(f64::from(rng.random_range(-2_i32..=2)));
            let problem = Problem {
                mu: EmpiricalMeasure::weighted(
                    DMatrix::from_fn(1 + d, m, &mut integer),
                    DVector::from_element(m, real(0.5)),
                )
                .unwrap(),
                x: Inputs::new(DMatrix::from_fn(d, n, &mut integer)).unwrap(),
                v: DMatrix::from_fn(1 + d, m, &mut integer),
                y: (0..n).map(|j| integer(0, j)).collect(),
            };
            let map = Ridge::new(sigma, d);
            let zeros = (0..n * m).filter(|ij| {
                let (x, w) = (problem.x.point(ij / m), problem.mu.particle(ij % m));
                x.iter()
                    .zip(&w[1..])
                    .fold(T::zero(), |u, (&x, &b)| u + x * b)
                    == T::zero()
            });
            assert!(zeros.count() > n * m / 50, "some preactivations are zero");
            let fused = problem.outcome(&map, &mut Workspace::default());
            assert_eq!(
                fused,
                problem.outcome(&ProvidedBatches(map), &mut Workspace::default())
            );
        }
    }
    exact::<f64, _>(Relu);
    exact::<f64, _>(LeakyRelu(0.5));
    exact::<f64, _>(Abs);
    exact::<f64, _>(Identity);
    exact::<f32, _>(Relu);
    exact::<f32, _>(LeakyRelu(0.5));
}

/// Particles and samples of very different scales, zeros of both signs, inactive particles,
/// particles of weight zero.
#[test]
fn extreme_scales() {
    fn scaled<T: Real>(b: f64, x: f64) {
        for d in [2, 3, 7, 40] {
            let shape = [37, 23, d, 1];
            let mut problem = Problem::<T>::random(shape);
            let mut w = problem.mu.points().clone();
            let mut points = problem.x.points().clone();
            w.rows_mut(1, d).iter_mut().for_each(|w| *w *= real(b));
            points.iter_mut().for_each(|w| *w *= real(x));
            w[(1, 4)] = -T::zero();
            w.column_mut(5).fill(-T::zero());
            w.column_mut(6).fill(T::zero());
            w[(0, 7)] = T::zero();
            points.column_mut(3).fill(T::zero());
            points.column_mut(8).fill(-T::zero());
            problem.mu =
                EmpiricalMeasure::weighted(w, problem.mu.weights().to_vec().into()).unwrap();
            problem.x = Inputs::new(points).unwrap();
            problem.v *= real::<T>(1e-3);
            compare(Ridge::new(Relu, d), &problem);
            compare(Ridge::new(Abs, d), &problem);
            compare(Ridge::new(Tanh, d), &problem);
        }
    }
    for (b, x) in [
        (1e10, 1e-10),
        (1e-10, 1e10),
        (1e8, 1e8),
        (1e-12, 1e-3),
        (1e12, 1.0),
    ] {
        scaled::<f32>(b, x);
        scaled::<f64>(b, x);
    }
    for (b, x) in [
        (1e150, 1e-150),
        (1e-150, 1e150),
        (1e100, 1e50),
        (1e-100, 1e-50),
    ] {
        scaled::<f64>(b, x);
    }
}

/// Preactivations and sums below the smallest normal number agree up to the resolution of subnormal
/// numbers.
#[test]
fn subnormal_numbers() {
    for d in [2, 7, 40] {
        let mut problem = Problem::<f64>::random([50, 20, d, 1]);
        let tiny = problem.x.points() * 1e-310;
        problem.x = Inputs::new(tiny).unwrap();
        for map in [
            &Ridge::new(Relu, d) as &dyn FeatureMap<f64>,
            &Ridge::new(Tanh, d),
        ] {
            let fused = problem.outcome(map, &mut Workspace::default());
            let plain = problem.outcome(&ProvidedBatches(map), &mut Workspace::default());
            let slack = 1e4 * f64::from_bits(1);
            let near = |u: &[f64], v: &[f64]| {
                u.iter()
                    .zip(v)
                    .all(|(u, v)| (u - v).abs() <= slack + 1e-13 * v.abs())
            };
            assert!(near(&fused.h, &plain.h));
            assert!(near(&fused.jvp, &plain.jvp));
            assert!(near(&fused.values, &plain.values));
            assert!(near(fused.velocity.as_slice(), plain.velocity.as_slice()));
            assert!(
                plain.h.iter().any(|&h| h != 0.0),
                "some predictions are not zero"
            );
        }
    }
}

/// The same bits on 1, 2, 3 and 7 threads, and outside any pool.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    fn bits<T: Real + Send>(map: impl FeatureMap<T> + Copy + Sync, [n, m, d, k]: [usize; 4])
    where
        Outcome<T>: Send,
    {
        let problem = Problem::<T>::random([n, m, d, k]);
        let alone = problem.outcome(&map, &mut Workspace::default());
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let outcome = pool.install(|| problem.outcome(&map, &mut Workspace::default()));
            assert_eq!(outcome, alone, "{threads} threads, {:?}", [n, m, d, k]);
        }
    }
    bits::<f32>(Ridge::new(Relu, 2), [1500, 1100, 2, 1]);
    bits::<f64>(Ridge::new(LeakyRelu(0.1), 9), [900, 403, 9, 1]);
    bits::<f32>(Ridge::new(Relu, 70), [333, 511, 70, 1]);
    // Minibatches: chunks of particles; blocks of features forward and backward; more threads
    // than tasks.
    bits::<f32>(Ridge::new(Relu, 300), [130, 257, 300, 1]);
    bits::<f64>(Ridge::new(LeakyRelu(0.1), 600), [100, 131, 600, 1]);
    bits::<f64>(Ridge::new(Tanh, 30), [500, 301, 30, 1]);
    bits::<f32>(Ridge::with_outputs(Tanh, 11, 3), [700, 302, 11, 3]);
    bits::<f64>(Radial::new(Softplus, 6), [1001, 507, 6, 1]);
    bits::<f64>(Ridge::new(Softplus, 3), [700, 2500, 3, 1]); // more than is stored for a panel, several slabs
}
