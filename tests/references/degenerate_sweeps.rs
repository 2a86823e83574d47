//! The angular sweep of ridge maps on the plane equals sums over all pairs, on degenerate clouds
//! too.
//!
//! All shapes are large enough for the sweep: `n m >= 64 (n + m)` in `f64`, twice that in `f32`.

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

use crate::pairs::{Draw, Problem, RELU, to_f64};

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
                    Problem::new(&mut draw, [2, 1], x, &b).check_all(&what);
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
            Problem::new(&mut draw, [2, 1], x, &b).check_all(&format!("mixed scales {round}"));
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
                Problem::new(&mut draw, [2, k], x, &b).check_all(&format!("{k} outputs, x {name}"));
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
        Problem::new(&mut draw, [2, 1], x, &b).check(RELU, name);
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
        Problem::new(&mut draw, [2, 1], x, &b).check_all("boundary");
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
