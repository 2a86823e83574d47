//! The vectorised sums of the arc-cosine kernel against the kernel of each pair.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

fn to_f64<T: Real>(x: T) -> f64 {
    x.to_f64().unwrap()
}

fn norm<T: Real>(v: &[T]) -> f64 {
    let largest = v.iter().map(|&x| to_f64(x).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return 0.0;
    }
    let sum: f64 = v.iter().map(|&x| (to_f64(x) / largest).powi(2)).sum();
    largest * sum.sqrt()
}

/// `-f` and `grad f` of the witness function of `delta_0 - delta_v`: K(w, v) and its gradient, which
/// is also the velocity of a particle w of weight 0.
fn vectorised<T: Real, K: Kernel<T>>(kernel: K, w: &[T], v: &[T]) -> (T, [Vec<T>; 2]) {
    let point = |w: &[T]| DMatrix::from_column_slice(w.len(), 1, w);
    let zero = EmpiricalMeasure::uniform(DMatrix::zeros(w.len(), 1)).unwrap();
    let nu = EmpiricalMeasure::uniform(point(v)).unwrap();
    let mut energy = Mmd::new(kernel, nu).unwrap();
    let (mut values, mut descent) = ([T::zero()], DMatrix::zeros(w.len(), 1));
    energy
        .first_variation(&zero, &point(w), &mut values, &mut descent)
        .unwrap();
    let p = w.len();
    let points = DMatrix::from_fn(p, 2, |l, i| if i == 0 { w[l] } else { T::zero() });
    let weights = DVector::from_vec(vec![T::zero(), T::one()]);
    let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
    let mut velocity = DMatrix::zeros(p, 2);
    energy.velocity(&mu, &mut velocity);
    let velocity = velocity.as_slice()[..p].to_vec();
    (-values[0], [descent.as_slice().to_vec(), velocity])
}

/// Pairs of vectors in `R^d`: generic, nearly parallel, nearly opposite, equal, opposite and zero.
fn pairs<T: Real>(d: usize, seed: u64) -> Vec<(Vec<T>, Vec<T>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut vector = || -> Vec<f64> { (0..d).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let mut list = Vec::new();
    for _ in 0..20 {
        let (w, z) = (vector(), vector());
        list.push((w.clone(), z.clone()));
        for sign in [1.0, -1.0] {
            for distance in [
                0.0, 1e-16, 1e-12, 1e-8, 1e-5, 1e-3, 0.03, 0.2, 0.45, 0.5, 0.7,
            ] {
                let v = w
                    .iter()
                    .zip(&z)
                    .map(|(w, z)| sign * w + distance * z)
                    .collect();
                list.push((w.clone(), v));
            }
        }
        list.push((w.clone(), vec![0.0; d]));
        list.push((vec![0.0; d], z));
    }
    let scaled = |v: Vec<f64>, scale: f64| v.iter().map(|&x| real(scale * x)).collect();
    // A power of ten as far as squares are normal numbers.
    let largest = if T::default_epsilon() > real(1e-10) {
        1e15
    } else {
        1e150
    };
    let scales = [1.0, largest, 1.0 / largest, 3.0, 1e-3];
    let count = scales.len();
    let pair = |(l, (w, v)): (usize, (Vec<f64>, Vec<f64>))| {
        (
            scaled(w, scales[l % count]),
            scaled(v, scales[l / count % count]),
        )
    };
    list.into_iter().enumerate().map(pair).collect()
}

fn check<T: Real>(d: usize, output_weight: bool) {
    let epsilon = to_f64(T::default_epsilon());
    let underflow = 8.0 / to_f64(T::max_value().unwrap());
    for (l, (b, c)) in pairs::<T>(d, 7 + d as u64).into_iter().enumerate() {
        let plain = ArcCosine::new(d);
        let (size, other) = (norm(&b), norm(&c));
        let mut gradient = vec![T::zero(); d];
        let k = plain.value_and_gradient(&b, &c, T::one(), &mut gradient);
        let (found, gradients) = if output_weight {
            let [a, e] = [real::<T>(-0.5), real(4.0)];
            let neuron = |a: T, b: &[T]| -> Vec<T> { [&[a], b].concat() };
            let (value, all) = vectorised(WithOutputWeight(plain), &neuron(a, &b), &neuron(e, &c));
            // K = a e k: exact factors.
            // By the same sum as the value, and by the pairs of few neurons.
            let [first, second] = [0, 1].map(|l| (to_f64(all[l][0] * a - value)).abs());
            let least = 4.0 * epsilon * to_f64(value).abs() + underflow;
            assert!(first <= least, "the derivative in the output weight");
            let (relative, ae) = (
                to_f64(k) / (size * other).max(underflow),
                to_f64(a * e).abs(),
            );
            let angle = (relative + epsilon * epsilon).powf(2.0 / 3.0);
            let bound = 80.0 * epsilon * size * other * angle * ae + 8.0 * underflow;
            assert!(
                second <= bound,
                "{l}, d = {d}, output weight: {second:e} > {bound:e}"
            );
            let gradients = all.map(|all| all[1..].iter().map(|&x| x / (a * e)).collect());
            (value / (a * e), gradients)
        } else {
            vectorised(plain, &b, &c)
        };
        // With r = pi - t: k / (|w| |v|) is r^3 / (6 pi) for small r, and an error of epsilon of r
        // changes it by epsilon r^2 / (2 pi), and the gradient by |v| epsilon r.
        let k = to_f64(k);
        let relative = if k == 0.0 { 0.0 } else { k / size / other };
        let error = (to_f64(found) - k).abs();
        let bound = 40.0 * epsilon * size * other * (relative + epsilon * epsilon).powf(2.0 / 3.0)
            + underflow;
        assert!(
            error <= bound,
            "{l}, d = {d}: {found} and {k:e}: {error:e} > {bound:e}"
        );
        let bound =
            40.0 * epsilon * other * (relative + epsilon * epsilon).powf(1.0 / 3.0) + underflow;
        for (found, method) in gradients.iter().zip(["first variation", "velocity"]) {
            let pairs = found.iter().zip(&gradient);
            let difference: Vec<T> = pairs.map(|(&x, &y): (&T, &T)| x - y).collect();
            let error = norm(&difference);
            assert!(
                error <= bound,
                "{l}, d = {d}, gradient by {method}: {error:e} > {bound:e}"
            );
        }
    }
}

#[test]
fn pairs_agree_with_the_kernel() {
    for d in [1, 2, 3, 10] {
        for output_weight in [false, true] {
            check::<f64>(d, output_weight);
            check::<f32>(d, output_weight);
        }
    }
}

/// Many sources, blocks that are not full, weights of 0 and sources that are 0 or not finite.
#[test]
fn sums_agree_with_the_kernel() {
    for (m, targets) in [(1, 1), (7, 31), (20, 12), (33, 300), (200, 257)] {
        let mut rng = ChaCha8Rng::seed_from_u64(m as u64);
        let mut points = DMatrix::from_fn(4, targets, |_, _| rng.random_range(-1.0..1.0));
        let mut weights: Vec<f64> = (0..targets).map(|_| rng.random_range(0.0..1.0)).collect();
        if targets > 10 {
            weights[3] = 0.0;
            points.column_mut(5).fill(0.0);
        }
        let nu = EmpiricalMeasure::weighted(points, DVector::from_vec(weights.clone())).unwrap();
        let at = DMatrix::from_fn(4, m, |_, _| rng.random_range(-1.0..1.0));
        let mu = EmpiricalMeasure::uniform(at.clone()).unwrap();
        let kernel = WithOutputWeight(ArcCosine::new(3));
        let mut energy = Mmd::new(kernel, nu.clone()).unwrap();
        let (mut values, mut descent) = (vec![0.0_f64; m], DMatrix::<f64>::zeros(4, m));
        energy
            .first_variation(&mu, &at, &mut values, &mut descent)
            .unwrap();
        let mut velocity = DMatrix::<f64>::zeros(4, m);
        energy.velocity(&mu, &mut velocity);
        for i in 0..m {
            let w = at.column(i).as_slice().to_vec();
            let (mut value, mut size, mut gradient) = (0.0_f64, 0.0_f64, vec![0.0_f64; 4]);
            for (measure, sign) in [(&mu, 1.0), (&nu, -1.0)] {
                for j in 0..measure.len() {
                    let c = sign * measure.weight(j);
                    let k = kernel.value_and_gradient(&w, measure.particle(j), c, &mut gradient);
                    value += c * k;
                    size += (c * k).abs();
                }
            }
            assert!(
                (values[i] - value).abs() <= 1e-14 * size,
                "{m}, {targets}, {i}"
            );
            for (l, &g) in gradient.iter().enumerate() {
                let error = (descent[(l, i)] + g)
                    .abs()
                    .max((velocity[(l, i)] + g).abs());
                let total: f64 = 1.0 + weights.iter().sum::<f64>();
                assert!(error <= 1e-14 * total, "{m}, {targets}, {i}: {error:e}");
            }
        }
        // The value equals the plain double sum.
        let mut expected = 0.0_f64;
        for (first, s) in [(&mu, 1.0), (&nu, -1.0)] {
            for (second, t) in [(&mu, 1.0), (&nu, -1.0)] {
                for i in 0..first.len() {
                    for j in 0..second.len() {
                        let c = s * t * first.weight(i) * second.weight(j);
                        expected += 0.5 * c * kernel.value(first.particle(i), second.particle(j));
                    }
                }
            }
        }
        let error = (energy.value(&mu) - expected).abs();
        let total: f64 = 1.0 + weights.iter().sum::<f64>();
        assert!(error <= 1e-14 * total * total, "{m}, {targets}: {error:e}");
    }
}

/// Few neurons at a scale t of the input weights and 1/t of the output weights, far beyond the range
/// of squares: F is the same, the velocities scale by t and 1/t.
#[test]
fn few_neurons_at_extreme_scales() {
    fn check<T: Real>(exponent: i32) {
        let neurons = |m: usize, seed: u64, d: usize, scale: i32| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let points = DMatrix::from_fn(1 + d, m, |l, _| {
                let factor = 2.0_f64.powi(if l == 0 { -scale } else { scale });
                real::<T>(factor * rng.random_range(-1.0..1.0))
            });
            EmpiricalMeasure::uniform(points).unwrap()
        };
        for (m, targets, d) in [(1, 1, 1), (1, 3, 2), (5, 4, 3), (9, 30, 10)] {
            let solve = |scale: i32| {
                let nu = neurons(targets, 2, d, scale);
                let mut energy = Mmd::new(WithOutputWeight(ArcCosine::new(d)), nu).unwrap();
                let mu = neurons(m, 1, d, scale);
                let mut velocity = DMatrix::zeros(1 + d, m);
                let value = energy.velocity(&mu, &mut velocity);
                assert_eq!(to_f64(value), to_f64(energy.value(&mu)));
                (to_f64(value), velocity.map(to_f64))
            };
            let (value, velocity) = solve(0);
            let tolerance = 64.0 * to_f64(T::default_epsilon());
            for scale in [exponent, -exponent] {
                let (found, mut scaled) = solve(scale);
                let factor = 2.0_f64.powi(scale);
                for mut v in scaled.column_iter_mut() {
                    v[0] /= factor;
                    v.rows_mut(1, d).apply(|v| *v *= factor);
                }
                let at = format!("{m}, {targets}, d = {d}, 2^{scale}");
                let error = (found / value - 1.0).abs();
                assert!(error <= tolerance, "{at}: {found:e}, {value:e}");
                let error = (scaled - &velocity).norm() / velocity.norm();
                assert!(error <= tolerance, "{at}: velocity, {error:e}");
            }
        }
    }
    check::<f64>(664); // 1e200
    check::<f32>(100); // 1e30
}
