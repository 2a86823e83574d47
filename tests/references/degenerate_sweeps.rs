//! The angular sweep of ridge maps on the plane equals sums over all pairs, on degenerate clouds
//! too.
//!
//! All shapes are large enough for the sweep: `n m >= 64 (n + m)` in `f64`, twice that in `f32`.

use wasserflow::nalgebra::{self, DMatrix, DVector};
use wasserflow::prelude::*;

fn to_f64<T: Real>(x: T) -> f64 {
    nalgebra::try_convert(x).expect("a number")
}

/// A piecewise linear activation with the slopes `(negative, zero, positive)`.
#[derive(Debug, Clone, Copy)]
struct PiecewiseLinear([f64; 3]);

impl<T: Real> Activation<T> for PiecewiseLinear {
    fn value(&self, u: T) -> T {
        self.derivative(u) * u
    }
    fn derivative(&self, u: T) -> T {
        let [negative, zero, positive] = self.0;
        match u.partial_cmp(&T::zero()) {
            Some(std::cmp::Ordering::Greater) => real(positive),
            Some(std::cmp::Ordering::Equal) => real(zero),
            _ => real(negative),
        }
    }
    fn slopes(&self) -> Option<Slopes<T>> {
        let [negative, zero, positive] = self.0.map(real);
        Some(Slopes {
            negative,
            zero,
            positive,
        })
    }
}

const RELU: [f64; 3] = [0.0, 0.0, 1.0];
const LEAKY: [f64; 3] = [0.125, 0.125, 1.0];
const ABS: [f64; 3] = [-1.0, 0.0, 1.0];
const IDENTITY: [f64; 3] = [1.0, 1.0, 1.0];

/// A generator of 64 random bits (xorshift), enough for clouds of points.
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.bits() >> 11) % n
    }

    /// In `[-1, 1)`.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn fill<T: Real>(&mut self, len: usize, mut entry: impl FnMut(&mut Self) -> f64) -> Vec<T> {
        (0..len).map(|_| real(entry(self))).collect()
    }
}

/// Samples, particles with k outputs, weights and the gradient to pull back.
struct Problem<T> {
    k: usize,
    x: Vec<T>,
    w: Vec<T>,
    c: Vec<T>,
    g: Vec<T>,
}

impl<T: Real> Problem<T> {
    /// Random weights round points `x` and directions `b`, both `2 x .`.
    fn new(draw: &mut Draw, k: usize, x: Vec<T>, b: &[T]) -> Self {
        let c = draw.fill(b.len() / 2, |draw| draw.unit().abs());
        let g = draw.fill(x.len() / 2 * k, Draw::unit);
        let particle = |b: &[T]| -> Vec<T> {
            let mut w = draw.fill(k, Draw::unit);
            w.extend_from_slice(b);
            w
        };
        let w = b.chunks_exact(2).flat_map(particle).collect();
        Self { k, x, w, c, g }
    }

    /// Compares the sweep with sums over all pairs in `f64`, in units of the sums of the sizes of
    /// an output's terms.
    fn check(&self, [negative, zero, positive]: [f64; 3], what: &str) {
        let Self { k, x, w, c, g } = self;
        let (k, p, n, m) = (*k, k + 2, x.len() / 2, c.len());
        let slope = |b: &[T], x: &[T]| {
            let u = b[0] * x[0] + b[1] * x[1]; // as rounded in T
            match u.partial_cmp(&T::zero()) {
                Some(std::cmp::Ordering::Greater) => positive,
                Some(std::cmp::Ordering::Equal) => zero,
                _ => negative,
            }
        };
        let wide = |v: &[T]| -> Vec<f64> { v.iter().map(|&s| to_f64(s)).collect() };
        let (fx, fw, fc, fg) = (wide(x), wide(w), wide(c), wide(g));
        // Outputs, the sums of their terms' sizes, and those with every member active.
        let (mut h, mut h_size, mut h_all) = (vec![0.0; n * k], vec![0.0; n * k], vec![0.0; n * k]);
        let (mut v, mut v_size, mut v_all) = (vec![0.0; m * p], vec![0.0; m * p], vec![0.0; m * p]);
        for j in 0..n {
            for i in 0..m {
                let (xj, wi) = (&fx[2 * j..][..2], &fw[i * p..][..p]);
                let s = slope(&w[i * p + k..], &x[2 * j..]);
                let u = wi[k] * xj[0] + wi[k + 1] * xj[1];
                let u_size = (wi[k] * xj[0]).abs() + (wi[k + 1] * xj[1]).abs();
                let mut add = |q: usize, r: usize, term: [f64; 2], size: [f64; 2]| {
                    h[q] += s * term[0];
                    h_size[q] += (s * size[0]).abs();
                    h_all[q] += size[0];
                    v[r] -= s * term[1];
                    v_size[r] += (s * size[1]).abs();
                    v_all[r] += size[1];
                };
                for l in 0..k {
                    let (ca, g) = (fc[i] * wi[l], fg[j * k + l]);
                    let size = [ca.abs() * u_size, g.abs() * u_size];
                    add(j * k + l, i * p + l, [ca * u, g * u], size);
                    for r in 0..2 {
                        let term = g * wi[l] * xj[r];
                        add(j * k + l, i * p + k + r, [0.0, term], [0.0, term.abs()]);
                    }
                }
            }
        }
        let map = Ridge::with_outputs(PiecewiseLinear([negative, zero, positive]), 2, k);
        let points = DMatrix::from_column_slice(p, m, w);
        let weights = DVector::from_column_slice(c);
        let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
        let inputs = Inputs::new(DMatrix::from_column_slice(2, n, x)).unwrap();
        let mut ws = Workspace::default();
        let (mut out, mut values) = (vec![T::zero(); n * k], vec![T::zero(); m]);
        let mut descent = DMatrix::from_element(p, m, T::one());
        map.predict(&mu, &inputs, &mut out, &mut ws);
        map.variation(mu.points(), &inputs, g, &mut values, &mut descent, &mut ws);
        let descent = descent.as_slice();

        let unit = to_f64(T::default_epsilon());
        let count = n.max(m) as f64;
        let terms = count.sqrt() * f64::EPSILON; // of the sums here
        let close = |found: T, exact: f64, size: f64, all: f64| {
            let least = if size_of::<T>() == 4 {
                f32::from_bits(1).into()
            } else {
                f64::from_bits(1)
            };
            let bound =
                (4.0 * unit + 4.0 * terms) * size + 2_f64.powi(-100) * all + 4.0 * count * least;
            (to_f64(found) - exact).abs() <= bound
        };
        for q in 0..n * k {
            assert!(
                close(out[q], h[q], h_size[q], h_all[q]),
                "{what}: h[{q}] = {:e} instead of {:e} of {:e} of {:e}",
                to_f64(out[q]),
                h[q],
                h_size[q],
                h_all[q]
            );
        }
        for q in 0..m * p {
            assert!(
                close(descent[q], v[q], v_size[q], v_all[q]),
                "{what}: v[{q}] = {:e} instead of {:e} of {:e} of {:e}",
                to_f64(descent[q]),
                v[q],
                v_size[q],
                v_all[q]
            );
        }
        for i in 0..m {
            let product =
                |u: &[f64], v: &[f64]| -> f64 { u[..k].iter().zip(v).map(|(a, b)| a * b).sum() };
            let value = -product(&fw[i * p..], &v[i * p..]);
            let absolute: Vec<f64> = fw[i * p..][..k].iter().map(|a| a.abs()).collect();
            let size = product(&absolute, &v_size[i * p..]);
            let all = product(&absolute, &v_all[i * p..]);
            assert!(close(values[i], value, size, all), "{what}: value {i}");
        }
    }

    fn check_all(&self, what: &str) {
        for (slopes, name) in [
            (RELU, "relu"),
            (LEAKY, "leaky"),
            (ABS, "abs"),
            (IDENTITY, "identity"),
        ] {
            self.check(
                slopes,
                &format!("{what}, {name}, {}", std::any::type_name::<T>()),
            );
        }
    }
}

type Cloud = fn(&mut Draw) -> [f64; 2];

/// Clouds of points of the plane, most of them hard.
const CLOUDS: [(&str, Cloud); 11] = [
    ("random", |draw| [draw.unit(), draw.unit()]),
    ("line and bias", |draw| [draw.unit(), 1.0]),
    ("grid", |draw| {
        [draw.below(7) as f64 - 3.0, draw.below(7) as f64 - 3.0]
    }),
    ("decimal grid", |draw| {
        [
            0.1 * (draw.below(7) as f64 - 3.0),
            0.3 * (draw.below(7) as f64 - 3.0),
        ]
    }),
    ("one ray", |draw| {
        let t = draw.unit().abs();
        [t, 3.0 * t]
    }),
    ("one line", |draw| {
        let t = draw.unit();
        [0.7 * t, -0.3 * t]
    }),
    ("its normal", |draw| {
        let t = draw.unit();
        [0.3 * t, 0.7 * t]
    }),
    ("one point", |_| [1.0, 1.0]),
    ("axes", |draw| {
        [[draw.unit(), 0.0], [-0.0, draw.unit()]][draw.below(2) as usize]
    }),
    ("two points and zeros", |draw| {
        [[0.0, -0.0], [1.0, -1.0], [-0.3, 0.9]][draw.below(3) as usize]
    }),
    ("narrow", |draw| {
        [1.0 + 1e-7 * draw.unit(), 1e-7 * draw.unit()]
    }),
];

fn over_clouds<T: Real>(sizes: &[(usize, usize)], scales: &[(f64, f64)]) {
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    for (x_name, x_cloud) in CLOUDS {
        for (b_name, b_cloud) in CLOUDS {
            for &(n, m) in sizes {
                for &(x_scale, b_scale) in scales {
                    let mut points = |len: usize, cloud: Cloud, scale: f64| -> Vec<T> {
                        (0..len)
                            .flat_map(|_| cloud(&mut draw))
                            .map(|s| real(s * scale))
                            .collect()
                    };
                    let (x, b) = (points(n, x_cloud, x_scale), points(m, b_cloud, b_scale));
                    let what =
                        format!("x {x_name} * {x_scale:e}, b {b_name} * {b_scale:e}, {n} x {m}");
                    Problem::new(&mut draw, 1, x, &b).check_all(&what);
                }
            }
        }
    }
}

#[test]
fn is_the_sum_over_pairs_on_every_cloud() {
    over_clouds::<f64>(&[(130, 140)], &[(1.0, 1.0)]);
    over_clouds::<f32>(&[(260, 270)], &[(1.0, 1.0)]);
}

#[test]
fn is_the_sum_over_pairs_at_every_scale() {
    let scales = [
        (1e100, 1e-100),
        (1e-160, 1e-160),
        (1e-162, 3e-162),
        (1e-290, 1e140),
    ];
    over_clouds::<f64>(&[(130, 130)], &scales);
    let scales = [
        (1e18, 1e17),
        (1e-20, 1e-20),
        (1e-23, 2e-23),
        (1e-42, 1.0),
        (1e-38, 1e-6),
    ];
    over_clouds::<f32>(&[(257, 257)], &scales);
}

#[test]
fn is_the_sum_over_pairs_with_mixed_scales() {
    fn check<T: Real>(exponents: u64, len: usize) {
        let mut draw = Draw(7);
        for round in 0..10 {
            let mut points = || -> Vec<T> {
                let cloud = |draw: &mut Draw| {
                    let scale = 2_f64.powi(-(draw.below(exponents) as i32));
                    [draw.unit() * scale, draw.unit() * scale]
                };
                (0..len).flat_map(|_| cloud(&mut draw)).map(real).collect()
            };
            let (x, b) = (points(), points());
            Problem::new(&mut draw, 1, x, &b).check_all(&format!("mixed scales {round}"));
        }
    }
    check::<f32>(150, 257);
    check::<f64>(1076, 129);
}

#[test]
fn has_k_outputs() {
    fn check<T: Real>(len: usize) {
        let mut draw = Draw(11);
        for k in [2, 3, 5] {
            for (name, cloud) in CLOUDS {
                let x = (0..len).flat_map(|_| cloud(&mut draw)).map(real).collect();
                let b: Vec<T> = draw.fill(2 * len, Draw::unit);
                Problem::new(&mut draw, k, x, &b).check_all(&format!("{k} outputs, x {name}"));
            }
        }
    }
    check::<f32>(257);
    check::<f64>(130);
}

#[test]
fn sorts_long_clouds_by_radix() {
    let mut draw = Draw(13);
    for (name, cloud) in CLOUDS {
        let points = |draw: &mut Draw, len: usize| -> Vec<f64> {
            (0..len).flat_map(|_| cloud(draw)).collect()
        };
        let (x, b) = (points(&mut draw, 1500), points(&mut draw, 900));
        Problem::new(&mut draw, 1, x, &b).check(RELU, name);
    }
}

/// Neighbours of the normal of a sample, where rounding decides: the computed sign must be used.
#[test]
fn uses_the_computed_sign_at_the_boundary() {
    fn check<T: Real>(step: f64) {
        let mut draw = Draw(17);
        let x: Vec<T> = draw.fill(600, Draw::unit);
        let b: Vec<T> = x
            .chunks_exact(2)
            .flat_map(|x| {
                let turn = step * (draw.below(9) as f64 - 4.0);
                let [u, v] = [to_f64(x[0]), to_f64(x[1])];
                [real(-v + turn * u), real(u + turn * v)]
            })
            .collect();
        let sign = |b: &[T], x: &[T]| (b[0] * x[0] + b[1] * x[1]).partial_cmp(&T::zero());
        let pairs = b.chunks_exact(2).zip(x.chunks_exact(2));
        let exact = pairs.clone().filter(|(b, x)| {
            let u = to_f64(b[0]) * to_f64(x[0]) + to_f64(b[1]) * to_f64(x[1]);
            sign(b, x) == u.partial_cmp(&0.0)
        });
        if size_of::<T>() == 4 {
            assert!(exact.count() < 300, "rounding must decide some signs");
        }
        Problem::new(&mut draw, 1, x, &b).check_all("boundary");
    }
    check::<f32>(f64::from(f32::EPSILON) / 8.0);
    check::<f64>(f64::EPSILON / 2.0);
}

#[test]
fn ties_cost_no_more_than_their_number() {
    // All samples on one point and all particles on its normal: no pair is decided by its angles.
    // The 4e10 pairs one by one would take hours in a debug build.
    let (n, m) = (200_000, 200_000);
    let x = Inputs::new(DMatrix::from_element(2, n, 1.0)).unwrap();
    let w = DMatrix::from_fn(3, m, |r, _| if r == 2 { -1.0 } else { 1.0 });
    let (mut out, mut values) = (vec![1.0; n], vec![1.0; m]);
    let (mut descent, mut ws) = (DMatrix::from_element(3, m, 1.0), Workspace::default());
    let mu = EmpiricalMeasure::uniform(w).unwrap();
    let map = Ridge::new(Relu, 2);
    map.predict(&mu, &x, &mut out, &mut ws);
    map.variation(
        mu.points(),
        &x,
        &vec![1.0; n],
        &mut values,
        &mut descent,
        &mut ws,
    );
    assert!(out.iter().chain(&values).chain(&descent).all(|&s| s == 0.0));
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let mut draw = Draw(23);
    let (n, m, k) = (9000, 7001, 2);
    let mut matrix = |rows: usize, len: usize| DMatrix::from_fn(rows, len, |_, _| draw.unit());
    let x = Inputs::new(matrix(2, n)).unwrap();
    let mu = EmpiricalMeasure::uniform(matrix(k + 2, m)).unwrap();
    let g = matrix(k, n);
    let map = Ridge::with_outputs(LeakyRelu(0.125), 2, k);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let (mut out, mut values) = (vec![0.0; k * n], vec![0.0; m]);
            let (mut descent, mut ws) = (DMatrix::zeros(k + 2, m), Workspace::default());
            map.predict(&mu, &x, &mut out, &mut ws);
            map.variation(
                mu.points(),
                &x,
                g.as_slice(),
                &mut values,
                &mut descent,
                &mut ws,
            );
            (out, values, descent)
        })
    };
    let serial = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == serial, "{threads} threads");
    }
}
