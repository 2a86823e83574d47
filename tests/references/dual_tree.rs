//! The dual tree of ridge maps on `R^3`, `R^4` and `R^5` equals sums over all pairs, on degenerate
//! clouds too.
//!
//! All shapes are large enough for the tree: `n m >= N (n + 2 m)` with N of `dual_tree.rs`, which is
//! smallest for two outputs, and for one if the slope at 0 is neither of the others.

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::ProvidedBatches;

use crate::pairs::{ABS, Draw, LEAKY, PiecewiseLinear, Problem, RELU, to_f64};

/// The slopes of `-(-u)_+`, for which the half spaces are the negative ones.
const NEGATIVE: [f64; 3] = [1.0, 0.0, 0.0];

/// A coordinate r of d of one point.
type Cloud = fn(&mut Draw, usize, usize) -> f64;

/// Clouds of points, most of them hard.
const CLOUDS: [(&str, Cloud); 9] = [
    ("random", |draw, _, _| draw.unit()),
    (
        "bias",
        |draw, r, d| if r + 1 == d { 1.0 } else { draw.unit() },
    ),
    ("grid", |draw, _, _| draw.below(5) as f64 - 2.0),
    ("decimal grid", |draw, _, _| {
        0.1 * (draw.below(3) as f64 - 1.0)
    }),
    ("one point", |_, r, _| [1.0, -1.0, 0.5, 0.25, 2.0][r]),
    (
        "hyperplane",
        |draw, r, _| if r == 0 { 0.0 } else { draw.unit() },
    ),
    (
        "its normal",
        |draw, r, _| if r == 0 { draw.unit() } else { 0.0 },
    ),
    ("narrow", |draw, r, _| {
        f64::from(r == 1) + 1e-7 * draw.unit()
    }),
    ("mostly zeros", |draw, _, _| {
        [0.0, 0.0, 1.0, -0.0][draw.below(4) as usize]
    }),
];

/// `len` points of a cloud, multiplied by `scale`.
fn points<T: Real>(draw: &mut Draw, d: usize, len: usize, cloud: Cloud, scale: f64) -> Vec<T> {
    (0..len * d)
        .map(|q| real(scale * cloud(draw, q % d, d)))
        .collect()
}

/// Numbers of samples and particles that select the tree for two outputs; not d = 5 in `f32`.
fn sizes<T>(d: usize) -> (usize, usize) {
    match (d, size_of::<T>()) {
        (3, 8) => (330, 310),
        (3, _) => (430, 410),
        (4, 8) => (530, 510),
        _ => (930, 910),
    }
}

/// All pairs of the clouds, or of every second one.
fn over_clouds<T: Real>(d: usize, every: usize, scales: &[(f64, f64)]) {
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    let (n, m) = sizes::<T>(d);
    for (x_name, x_cloud) in CLOUDS.into_iter().step_by(every) {
        for (b_name, b_cloud) in CLOUDS.into_iter().step_by(every) {
            for &(x_scale, b_scale) in scales {
                let x = points(&mut draw, d, n, x_cloud, x_scale);
                let b: Vec<T> = points(&mut draw, d, m, b_cloud, b_scale);
                let what = format!("x {x_name} * {x_scale:e}, b {b_name} * {b_scale:e}, d = {d}");
                Problem::new(&mut draw, [d, 2], x.clone(), &b).check(RELU, &what);
                Problem::new(&mut draw, [d, 1], x, &b).check(ABS, &what);
            }
        }
    }
}

#[test]
fn is_the_sum_over_pairs_on_every_cloud() {
    over_clouds::<f64>(3, 1, &[(1.0, 1.0)]);
    over_clouds::<f32>(3, 1, &[(1.0, 1.0)]);
    over_clouds::<f64>(4, 1, &[(1.0, 1.0)]);
}

/// At some scales all products underflow or overflow, and the tree must not be used.
#[test]
fn is_the_sum_over_pairs_at_every_scale() {
    over_clouds::<f64>(3, 2, &[(1e300, 1e-300), (1e-154, 1e-154), (1e-160, 3e-162)]);
    over_clouds::<f32>(3, 2, &[(1e30, 1e-30), (1e-19, 1e-19), (1e-38, 1e-6)]);
}

#[test]
fn has_any_slopes_and_outputs() {
    fn check<T: Real>(dims: &[usize]) {
        let mut draw = Draw(11);
        for &d in dims {
            let (n, m) = sizes::<T>(d);
            let x: Vec<T> = points(&mut draw, d, n, CLOUDS[1].1, 1.0);
            let b: Vec<T> = points(&mut draw, d, m, CLOUDS[0].1, 1.0);
            for k in [2, 5] {
                for slopes in [RELU, LEAKY, ABS, NEGATIVE, [0.5, -1.0, 0.25]] {
                    let what = format!("d = {d}, k = {k}, slopes {slopes:?}");
                    Problem::new(&mut draw, [d, k], x.clone(), &b).check(slopes, &what);
                }
            }
        }
    }
    check::<f32>(&[3, 4]);
    check::<f64>(&[3, 4, 5]);
}

#[test]
fn has_one_output_and_few_particles_or_samples() {
    let mut draw = Draw(13);
    for (n, m) in [(2500, 2450), (1800, 10000), (10000, 1000)] {
        let x: Vec<f64> = points(&mut draw, 3, n, CLOUDS[1].1, 1.0);
        let b: Vec<f64> = points(&mut draw, 3, m, CLOUDS[0].1, 1.0);
        for slopes in [RELU, LEAKY, NEGATIVE] {
            Problem::new(&mut draw, [3, 1], x.clone(), &b).check(slopes, &format!("{n} x {m}"));
        }
    }
}

/// Norms from the smallest to the largest numbers: few vectors are regular, or all but a few.
#[test]
fn is_the_sum_over_pairs_with_mixed_scales() {
    fn check<T: Real>(exponents: u64, every: usize) {
        let mut draw = Draw(7);
        let (n, m) = sizes::<T>(3);
        let mut points = |len: usize| -> Vec<T> {
            let point = |draw: &mut Draw, i: usize| {
                let exponent = if i.is_multiple_of(every) {
                    draw.below(exponents)
                } else {
                    0
                };
                let scale = 2_f64.powi(-(exponent as i32));
                [draw.unit(), draw.unit(), draw.unit()].map(|s| real(s * scale))
            };
            (0..len).flat_map(|i| point(&mut draw, i)).collect()
        };
        let (x, b) = (points(n), points(m));
        let mut draw = Draw(8);
        let what = format!("mixed scales, {every}");
        Problem::new(&mut draw, [3, 2], x.clone(), &b).check(RELU, &what);
        Problem::new(&mut draw, [3, 1], x, &b).check(ABS, &what);
    }
    for every in [1, 30] {
        check::<f32>(150, every);
        check::<f64>(1076, every);
    }
}

/// Neighbours of hyperplanes through samples, where rounding decides: the computed sign must be
/// used.
#[test]
fn uses_the_computed_sign_at_the_boundary() {
    fn check<T: Real>(step: f64) {
        let mut draw = Draw(17);
        let (n, _) = sizes::<T>(3);
        let x: Vec<T> = draw.fill(3 * n, Draw::unit);
        let b: Vec<T> = x
            .chunks_exact(3)
            .flat_map(|x| {
                let turn = step * (draw.below(9) as f64 - 4.0);
                let [u, v, w] = [0, 1, 2].map(|r| to_f64(x[r]));
                [real(v + turn * u), real(-u + turn * v), real(turn * w)]
            })
            .collect();
        Problem::new(&mut draw, [3, 2], x.clone(), &b).check(RELU, "boundary");
        Problem::new(&mut draw, [3, 1], x, &b).check(ABS, "boundary");
    }
    check::<f32>(f64::from(f32::EPSILON) / 8.0);
    check::<f64>(f64::EPSILON / 2.0);
}

#[test]
fn results_do_not_depend_on_the_threads_or_previous_calls() {
    fn check<T: Real + Send + Sync>(d: usize, k: usize) {
        let mut draw = Draw(23);
        let (n, m) = (11_000, 9001);
        let x = DMatrix::from_fn(d, n, |_, _| real::<T>(draw.unit()));
        let w = DMatrix::from_fn(k + d, m, |_, _| real::<T>(draw.unit()));
        let g = DMatrix::from_fn(k, n, |_, _| real::<T>(draw.unit()));
        let (x, mu) = (
            Inputs::new(x).unwrap(),
            EmpiricalMeasure::uniform(w).unwrap(),
        );
        let map = Ridge::with_outputs(PiecewiseLinear(ABS), d, k);
        let run = |ws: &mut Workspace<T>| {
            let (mut out, mut values) = (vec![T::zero(); k * n], vec![T::zero(); m]);
            let mut descent = DMatrix::zeros(k + d, m);
            map.predict(&mu, &x, &mut out, ws);
            map.variation(mu.points(), &x, g.as_slice(), &mut values, &mut descent, ws);
            (out, values, descent)
        };
        let (mut ws, mut first) = (Workspace::default(), None);
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let found = pool.unwrap().install(|| run(&mut Workspace::default()));
            assert!(
                first.get_or_insert_with(|| found.clone()) == &found,
                "{threads} threads"
            );
        }
        // A workspace that served another shape.
        let small = Inputs::from_slice(d, &x.points().as_slice()[..1300 * d]).unwrap();
        map.predict(&mu, &small, &mut vec![T::zero(); 1300 * k], &mut ws);
        assert!(
            Some(run(&mut ws)) == first,
            "a workspace that was used before"
        );
    }
    check::<f32>(3, 1);
    check::<f64>(3, 2);
}

/// Equal directions cannot be split; the depth of the trees depends on their number only.
#[test]
fn equal_directions_end() {
    let (n, m) = (20_000, 20_000);
    let x = Inputs::new(DMatrix::from_element(3, n, 1.0)).unwrap();
    let w = DMatrix::from_fn(4, m, |r, _| [1.0, 1.0, -1.0, 0.0][r]);
    let mu = EmpiricalMeasure::uniform(w).unwrap();
    let (map, mut ws, mut out) = (Ridge::new(Relu, 3), Workspace::default(), vec![1.0; n]);
    let (mut values, mut descent) = (vec![1.0; m], DMatrix::from_element(4, m, 1.0));
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

/// The errors of predictions and velocities in `f32` are below those of the plain loop.
#[test]
fn is_more_accurate_than_the_plain_loop() {
    fn run<T: Real>(map: &dyn FeatureMap<T>, [n, m]: [usize; 2]) -> [Vec<f64>; 2] {
        let mut draw = Draw(29);
        let d = map.input_dim();
        // The same numbers in both precisions.
        let mut number = || real::<T>(f64::from(draw.unit() as f32));
        let mut x = DMatrix::from_fn(d, n, |_, _| number());
        x.row_mut(d - 1).fill(T::one());
        let w = DMatrix::from_fn(d + 1, m, |_, _| number());
        let g: Vec<T> = (0..n).map(|_| number()).collect();
        let (x, mu) = (
            Inputs::new(x).unwrap(),
            EmpiricalMeasure::uniform(w).unwrap(),
        );
        let (mut h, mut values, mut ws) =
            (vec![T::zero(); n], vec![T::zero(); m], Workspace::default());
        let mut v = DMatrix::zeros(d + 1, m);
        map.predict(&mu, &x, &mut h, &mut ws);
        map.variation(mu.points(), &x, &g, &mut values, &mut v, &mut ws);
        [&h[..], v.as_slice()].map(|s| s.iter().map(|&s| to_f64(s)).collect())
    }
    let (map, shape) = (Ridge::new(Relu, 3), [3000, 2500]);
    let exact = run::<f64>(&ProvidedBatches(map), shape);
    let (plain, found) = (
        run::<f32>(&ProvidedBatches(map), shape),
        run::<f32>(&map, shape),
    );
    for (which, exact) in exact.iter().enumerate() {
        let error = |found: &[f64]| -> f64 {
            let squares = found.iter().zip(exact).map(|(s, t)| (s - t).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let (plain, found) = (error(&plain[which]), error(&found[which]));
        assert!(found < plain, "{found:e}, plain loop {plain:e}");
    }
}
