//! The certificate of global optimality against exact oracles: closed forms, a conic solver, brute force.

mod convex;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, DualRisk, certify, certify_within, insert, merge, prune, run_until_optimal};
use wasserflow::{
    Abs, Activation, ArcCosine, EmpiricalMeasure, EmpiricalRisk, Energy, Exponential, Hinge, Homogeneous, Huber,
    Identity, LeakyRelu, Lifted, Logistic, Loss, MeanFieldRisk, Mmd, ParticleFlow, Quantile, Real, Reduce, Relu,
    ReluPower, Ridge, Risk, Rk4, SmoothHinge, SoftmaxCrossEntropy, Square, StopReason, WeightDecay, init, real,
};

/// A network energy on random data.
type Network<A, L, T> = MeanFieldRisk<Ridge<A>, EmpiricalRisk<L, T>, T, WeightDecay<T>>;

fn matrix(rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> DMatrix<f64> {
    DMatrix::from_fn(rows, cols, |_, _| rng.random_range(-1.0..1.0))
}

fn cast<T: Real>(x: &DMatrix<f64>) -> DMatrix<T> {
    x.map(real)
}

fn network<A, L, T>(sigma: A, loss: L, x: &DMatrix<f64>, y: &DMatrix<f64>, lambda: f64) -> Network<A, L, T>
where
    A: Activation<T>,
    L: Loss<T>,
    T: Real,
{
    let phi = Ridge::with_outputs(sigma, x.nrows(), y.nrows());
    let risk = EmpiricalRisk::with_outputs(loss, cast(x), cast(y)).unwrap();
    MeanFieldRisk::new(phi, risk).unwrap().regularized(WeightDecay::new(real(lambda)).unwrap())
}

/// Random particles of random weights.
fn measure<T: Real>(p: usize, m: usize, rng: &mut ChaCha8Rng) -> EmpiricalMeasure<T> {
    let weights = DVector::from_fn(m, |_, _| real(rng.random_range(0.0..2.0) / m as f64));
    EmpiricalMeasure::weighted(cast(&matrix(p, m, rng)), weights).unwrap()
}

/// Signs of numbers, as labels.
fn signs(y: &DMatrix<f64>) -> DMatrix<f64> {
    y.map(|y| if y > 0.0 { 1.0 } else { -1.0 })
}

#[test]
fn one_neuron_on_two_samples_is_certified() {
    // x = e_1, e_2 and y > 0: the best network is one neuron with h = y (1 - 4 lambda / |y|).
    fn run<T: Real>(tolerance: f64) {
        let (x, y, lambda) = (DMatrix::identity(2, 2), DMatrix::from_row_slice(1, 2, &[3.0, 2.0]), 0.125);
        let mut energy = network::<_, _, T>(Relu, Square, &x, &y, lambda);
        let length = 13.0_f64.sqrt();
        let (h, r) = (length - 4.0 * lambda, (length - 4.0 * lambda).sqrt());
        assert!(h > 0.0);
        let w = [r, r * 3.0 / length, r * 2.0 / length].map(real::<T>);
        let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &w)).unwrap();
        let certificate = certify(&mut energy, &mu);
        let gap = certificate.gap().to_f64().unwrap();
        assert!((0.0..tolerance).contains(&gap), "gap {gap}");
        assert_eq!(certificate.bound(), Bound::Certified);
    }
    run::<f64>(1e-13);
    run::<f32>(1e-6);
}

#[test]
fn the_gap_is_never_below_the_true_one_for_the_square_loss() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let (mut tight, mut problems) = (0, 0);
    for case in 0..60 {
        let n = 1 + case % 12;
        let (mut x, y) = (matrix(2, n, rng), matrix(1, n, rng));
        match case % 5 {
            1 => x.row_mut(1).fill(0.0),                                 // collinear
            2 => x.column_mut(n / 2).fill(0.0),                          // a zero input
            3 => x.set_column(0, &(2.0 * x.column(n - 1).into_owned())), // a tie
            4 => x.row_mut(1).fill(1.0),                                 // one dimension and a bias
            _ => {}
        }
        let lambda = [0.001, 0.01, 0.1][case % 3];
        let optimum = convex::square(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        for m in [1, 3, 8] {
            let mu = measure(3, m, rng);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(
                certificate.gap() >= value - optimum.value - 1e-8,
                "case {case}: F* {}, F {value}, {certificate:?}",
                optimum.value
            );
            assert!((certificate.energy() - value).abs() < 1e-12);
        }
        // The measure that the solver found is optimal, up to its own accuracy.
        let certificate = certify(&mut energy, &optimum.measure);
        assert!(certificate.gap() < 1e-5, "case {case}: {certificate:?}");
        problems += 1;
        tight += usize::from(certificate.gap() < 1e-7);
    }
    assert!(tight * 10 > problems * 9, "{tight} of {problems}");
}

#[test]
fn the_gap_is_never_below_the_true_one_for_the_logistic_loss() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    for case in 0..16 {
        let n = 1 + case % 8;
        let (x, y) = (matrix(2, n, rng), signs(&matrix(1, n, rng)));
        let lambda = [0.003, 0.03][case % 2];
        let optimum = convex::logistic(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Logistic, &x, &y, lambda);
        for m in [1, 3, 8] {
            let mu = measure(3, m, rng);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(certificate.gap() >= value - optimum.value - 1e-7, "case {case}");
        }
        let certificate = certify(&mut energy, &optimum.measure);
        assert!(certificate.gap() < 1e-5, "case {case}: {certificate:?}");
    }
}

/// `u = grad R(h_mu)` for the square loss, by plain loops.
fn residuals<A: Activation<f64>>(
    sigma: &A,
    mu: &EmpiricalMeasure<f64>,
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
) -> DMatrix<f64> {
    let (k, n) = y.shape();
    let mut h = DMatrix::zeros(k, n);
    for (i, w) in mu.points().column_iter().enumerate() {
        for j in 0..n {
            let s = mu.weight(i) * sigma.value(w.rows(k, x.nrows()).dot(&x.column(j)));
            for l in 0..k {
                h[(l, j)] += w[l] * s;
            }
        }
    }
    (h - y) / n as f64
}

/// `|g(b)|`, by plain loops.
fn form<A: Activation<f64>>(sigma: &A, u: &DMatrix<f64>, x: &DMatrix<f64>, b: &DVector<f64>) -> f64 {
    let s = DVector::from_fn(x.ncols(), |j, _| sigma.value(b.dot(&x.column(j))));
    (u * s).norm()
}

/// The maximum of the certificate against dense sampling of the sphere, which is below it by the spacing at most.
fn brute_force<A>(sigma: A, d: usize, k: usize, n: usize, rng: &mut ChaCha8Rng)
where
    A: Activation<f64> + Homogeneous + Copy,
{
    let (x, y) = (matrix(d, n, rng), matrix(k, n, rng));
    let mu = measure(k + d, 4, rng);
    let mut energy = network::<_, _, f64>(sigma, Square, &x, &y, 0.0);
    let certificate = certify(&mut energy, &mu);
    let found = certificate.maximum().unwrap();
    assert_eq!(certificate.bound(), Bound::Certified);
    let u = residuals(&sigma, &mu, &x, &y);
    let size: f64 = (0..n).map(|j| u.column(j).norm() * x.column(j).norm()).sum();
    let mut sampled = 0.0_f64;
    let steps = if d == 2 { 20_000 } else { 300 };
    let pi = std::f64::consts::PI;
    for s in 0..steps {
        let t = 2.0 * pi * s as f64 / steps as f64;
        for r in 0..if d == 2 { 1 } else { steps / 2 } {
            let f = pi * (r as f64 + 0.5) / (steps / 2) as f64;
            let b = match d {
                1 => vec![if s % 2 == 0 { 1.0 } else { -1.0 }],
                2 => vec![t.cos(), t.sin()],
                _ => vec![t.cos() * f.sin(), t.sin() * f.sin(), f.cos()],
            };
            sampled = sampled.max(form(&sigma, &u, &x, &DVector::from_vec(b)));
        }
    }
    assert!(sampled <= found * (1.0 + 1e-12), "sampled {sampled}, found {found}");
    let spacing = if d == 2 { 3e-4 } else { 0.03 };
    assert!(found <= sampled + spacing * size, "sampled {sampled}, found {found}");
    let b = DVector::from_column_slice(&certificate.escape().unwrap()[k..]);
    assert!((form(&sigma, &u, &x, &b) - found).abs() <= 1e-13 * size, "the maximum is attained");
}

#[test]
fn the_maximum_agrees_with_brute_force() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for n in [1, 2, 7, 30] {
        for k in [1, 3] {
            for d in [1, 2, 3] {
                brute_force(Relu, d, k, n, rng);
                brute_force(LeakyRelu(0.3), d, k, n, rng);
                brute_force(Abs, d, k, n, rng);
                brute_force(Identity, d, k, n, rng);
            }
        }
    }
}

#[test]
fn single_precision_is_certified_as_well() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    for case in 0..10 {
        let (x, y) = (matrix(2, 1 + case, rng), matrix(1, 1 + case, rng));
        // What the single-precision problem is, in double precision.
        let (x, y) = (x.map(|x| f64::from(x as f32)), y.map(|y| f64::from(y as f32)));
        let lambda = 0.015625;
        let optimum = convex::square(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f32>(Relu, Square, &x, &y, lambda);
        let mut double = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        let mu = measure::<f32>(3, 5, rng);
        let value = double.value(&convert::<f32, f64>(&mu));
        let gap = f64::from(certify(&mut energy, &mu).gap());
        assert!(gap >= value - optimum.value - 1e-8, "case {case}");
        let best = convert::<f64, f32>(&optimum.measure);
        assert!(certify(&mut energy, &best).gap() < 1e-5, "case {case}");
    }
}

/// The same measure in another precision.
fn convert<S: Real, T: Real>(mu: &EmpiricalMeasure<S>) -> EmpiricalMeasure<T> {
    let number = |x: S| real::<T>(x.to_f64().unwrap());
    let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| number(c)));
    EmpiricalMeasure::weighted(mu.points().map(number), weights).unwrap()
}

/// `min R + 2 lambda sum_b |a_b|` over output weights `a_b` in `R^k` of fixed directions b, by accelerated proximal gradient.
fn group_lasso(x: &DMatrix<f64>, y: &DMatrix<f64>, directions: &[f64], lambda: f64) -> (f64, EmpiricalMeasure<f64>) {
    let ((k, n), m) = (y.shape(), directions.len());
    let features =
        DMatrix::from_fn(m, n, |i, j| (directions[i].cos() * x[(0, j)] + directions[i].sin() * x[(1, j)]).max(0.0));
    let smooth = features.norm_squared() / n as f64;
    let mut a = DMatrix::<f64>::zeros(k, m);
    let (mut z, mut t) = (a.clone(), 1.0_f64);
    let value = |a: &DMatrix<f64>| {
        (a * &features - y).norm_squared() / (2.0 * n as f64)
            + 2.0 * lambda * a.column_iter().map(|a| a.norm()).sum::<f64>()
    };
    let mut last = value(&a);
    for _ in 0..20_000 {
        let gradient = (&z * &features - y) * features.transpose() / n as f64;
        let mut next = &z - gradient / smooth;
        for mut column in next.column_iter_mut() {
            let length = column.norm();
            column *= if length > 0.0 { (1.0 - 2.0 * lambda / smooth / length).max(0.0) } else { 0.0 };
        }
        let now = value(&next);
        let s = if now > last { 1.0 } else { 0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt()) };
        z = if now > last { next.clone() } else { &next + (&next - &a) * ((t - 1.0) / s) };
        (a, t, last) = (next, s, now);
    }
    let kept: Vec<usize> = (0..m).filter(|&i| a.column(i).norm() > 0.0).collect();
    let points = DMatrix::from_fn(k + 2, kept.len(), |r, i| {
        let (a, b) = (a.column(kept[i]), directions[kept[i]]);
        let root = a.norm().sqrt();
        if r < k { a[r] / root } else { root * if r == k { b.cos() } else { b.sin() } }
    });
    (last, EmpiricalMeasure::weighted(points, DVector::from_element(kept.len(), 1.0)).unwrap())
}

#[test]
fn several_outputs_are_certified() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let directions: Vec<f64> = (0..200).map(|i| std::f64::consts::TAU * f64::from(i) / 200.0).collect();
    for n in [1, 4, 9] {
        let (x, y) = (matrix(2, n, rng), matrix(3, n, rng));
        let lambda = 0.02;
        // The best network of fixed directions is above the best of all, and not far.
        let (value, best) = group_lasso(&x, &y, &directions, lambda);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        let certificate = certify(&mut energy, &best);
        assert!((certificate.energy() - value).abs() < 1e-10);
        assert!(certificate.gap() < 5e-3, "n = {n}: {certificate:?}");
        for m in [1, 5] {
            let mu = measure(5, m, rng);
            let gap = certify(&mut energy, &mu).gap();
            assert!(gap >= energy.value(&mu) - value, "n = {n}");
            assert!(gap <= energy.value(&mu), "F* >= 0");
        }
    }
}

#[test]
fn without_weight_decay_the_energy_itself_is_the_bound() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    for d in [1, 2, 3, 7] {
        let (x, y) = (matrix(d, 12, rng), matrix(1, 12, rng));
        let mu = measure(1 + d, 6, rng);
        let risk = EmpiricalRisk::new(Square, x.clone(), y.row(0).transpose()).unwrap();
        let mut energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).unwrap();
        let (value, gap) = (energy.value(&mu), certify(&mut energy, &mu).gap());
        assert!(gap >= value && gap <= value * (1.0 + 1e-12) + 1e-15, "d = {d}: F {value}, gap {gap}");
    }
}

#[test]
fn a_norm_budget_bounds_what_a_teacher_of_that_norm_reaches() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    for d in [1, 2, 3] {
        for k in [1, 3] {
            let (x, y) = (matrix(d, 10, rng), matrix(k, 10, rng));
            let risk = EmpiricalRisk::with_outputs(Square, x, 3.0 * y).unwrap();
            let mut energy = MeanFieldRisk::new(Ridge::with_outputs(Relu, d, k), risk).unwrap();
            let norm = |nu: &EmpiricalMeasure<f64>| -> f64 {
                let neurons = nu.points().column_iter().zip(nu.weights());
                neurons.map(|(w, c)| c * w.rows(0, k).norm() * w.rows(k, d).norm()).sum()
            };
            let mu = measure(k + d, 3, rng);
            let value = energy.value(&mu);
            let mut bounds = Vec::new();
            for budget in [0.0, 0.01, 0.1, 1.0, 10.0, 1e6] {
                let gap = certify_within(&mut energy, &mu, budget).gap();
                for _ in 0..20 {
                    let mut nu = measure(k + d, 3, rng);
                    let scale = (budget / norm(&nu)).min(1e6);
                    nu.weights_mut().iter_mut().for_each(|c| *c *= scale);
                    assert!(gap >= value - energy.value(&nu) - 1e-12, "d = {d}, k = {k}, budget {budget}");
                }
                bounds.push(gap);
            }
            // The zero network is always within the budget; more budget, more competitors; F* >= 0 in the end.
            let zero = EmpiricalMeasure::uniform(DMatrix::zeros(k + d, 1)).unwrap();
            assert!(bounds[0] >= value - energy.value(&zero), "{bounds:?}");
            assert!(bounds.windows(2).all(|b| b[0] <= b[1] + 1e-6 * value), "{bounds:?}");
            assert!(bounds[5] <= value * (1.0 + 1e-12));
        }
    }
}

#[test]
fn beyond_three_dimensions_the_search_is_an_estimate() {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let (x, y) = (matrix(6, 20, rng), matrix(1, 20, rng));
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.001);
    let mu = measure(7, 4, rng);
    let certificate = certify(&mut energy, &mu);
    assert_eq!(certificate.bound(), Bound::Estimate);
    // The proved part only knows that F* >= 0, or little more.
    let value = energy.value(&mu);
    assert!(certificate.gap() <= value * (1.0 + 1e-12) && certificate.gap() > 0.9 * value);
    assert!(certificate.estimated_gap() <= certificate.gap());
    // The search is good: no random direction, and none of the data's, is better than what it found.
    let u = residuals(&Relu, &mu, &x, &y);
    let found = certificate.maximum().unwrap();
    for i in 0..2000 {
        let b = if i < 20 { x.column(i).into_owned() } else { matrix(6, 1, rng).column(0).into_owned() };
        assert!(form(&Relu, &u, &x, &b.normalize()) <= found * (1.0 + 1e-12));
    }
    assert_eq!(certificate.escape().unwrap().len(), 7);
}

/// A convex loss that does not know its conjugate.
#[derive(Clone, Copy)]
struct Quartic;
impl<T: Real> Loss<T> for Quartic {
    fn value(&self, y: T, h: T) -> T {
        (h - y).powi(4)
    }
    fn derivative(&self, y: T, h: T) -> T {
        (h - y).powi(3) * real(4.0)
    }
}

#[test]
fn without_a_conjugate_there_is_no_bound_but_a_way_on() {
    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    let (x, y) = (matrix(2, 9, rng), matrix(1, 9, rng));
    let mut energy = network::<_, _, f64>(Relu, Quartic, &x, &y, 1e-4);
    let mu = measure(3, 3, rng);
    let certificate = certify(&mut energy, &mu);
    assert_eq!(certificate.gap(), f64::INFINITY);
    assert_eq!(certificate.bound(), Bound::Certified);
    let born = insert(&mut energy, &mu, certificate.escape().unwrap()).unwrap();
    assert!(energy.value(&born) < energy.value(&mu));
}

#[test]
fn a_degree_other_than_one_is_not_certified() {
    let rng = &mut ChaCha8Rng::seed_from_u64(10);
    let (x, y) = (matrix(2, 9, rng), matrix(1, 9, rng));
    let mut energy = network::<_, _, f64>(ReluPower(2), Square, &x, &y, 0.01);
    let mu = measure(3, 3, rng);
    let certificate = certify(&mut energy, &mu);
    assert_eq!((certificate.maximum(), certificate.escape(), certificate.bound()), (None, None, Bound::Estimate));
    assert!(certificate.gap() >= energy.value(&mu), "F* >= 0 is all that is known");
}

#[test]
fn births_along_the_escape_direction_lead_to_the_optimum() {
    let rng = &mut ChaCha8Rng::seed_from_u64(11);
    for k in [1, 3] {
        let (x, y) = (matrix(2, 10, rng), matrix(k, 10, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.02);
        let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(k + 2, 1)).unwrap();
        let start = certify(&mut energy, &mu).gap();
        let (mut value, mut certificate) = (energy.value(&mu), certify(&mut energy, &mu));
        for _ in 0..30 {
            let Some(born) = certificate.escape().and_then(|w| insert(&mut energy, &mu, w)) else { break };
            let born = merge(energy.features(), &born, 0.0);
            assert!(energy.value(&born) < value);
            value = energy.value(&born);
            mu = born;
            certificate = certify(&mut energy, &mu);
        }
        assert!(certificate.gap() < 0.3 * start, "k = {k}: {} of {start}", certificate.gap());
    }
}

#[test]
fn merging_and_pruning_keep_the_predictions() {
    fn run<T: Real>(tolerance: f64) {
        let rng = &mut ChaCha8Rng::seed_from_u64(12);
        let (x, y) = (matrix(3, 20, rng), matrix(2, 20, rng));
        let mut energy = network::<_, _, T>(Relu, Square, &x, &y, 0.01);
        let mut points = matrix(5, 12, rng);
        for i in 0..4 {
            // 4..8 are parallel to 0..4; 8 is nothing; 9 and 10 cancel.
            let b = 0.3 * (i + 1) as f64 * points.column(i).rows(2, 3);
            points.column_mut(4 + i).rows_mut(2, 3).copy_from(&b);
        }
        points.column_mut(8).rows_mut(0, 2).fill(0.0);
        let minus = -points.column(9).rows(0, 2);
        points.column_mut(10).rows_mut(0, 2).copy_from(&minus);
        let b = points.column(9).rows(2, 3).into_owned();
        points.column_mut(10).rows_mut(2, 3).copy_from(&b);
        let mu = EmpiricalMeasure::<T>::uniform(cast(&points)).unwrap();
        let (mut before, mut after) = (vec![T::zero(); 40], vec![T::zero(); 40]);
        energy.predict(&mu, &mut before);
        let merged = merge(energy.features(), &mu, T::zero());
        let nu = prune(energy.features(), &merged);
        assert_eq!((mu.len(), merged.len(), nu.len()), (12, 7, 5));
        energy.predict(&nu, &mut after);
        for (before, after) in before.iter().zip(&after) {
            assert!((*before - *after).abs().to_f64().unwrap() < tolerance);
        }
        assert!(energy.value(&nu) <= energy.value(&mu) * (T::one() + real(tolerance)));
        assert_eq!(merge(energy.features(), &nu, T::zero()), nu, "what is merged stays as it is");
        assert_eq!(merge(energy.features(), &nu, real(4.0)).len(), 1);
    }
    run::<f64>(1e-14);
    run::<f32>(1e-5);
}

/// [SS18], six neurons: neuron 1, then the others in the pattern of neuron 2.
fn spurious() -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_fn(6, 6, |r, i| match (i, r) {
        (0, 0) => -0.6015119,
        (0, _) => 0.2245158,
        (_, 0) => 0.3080110,
        _ if i == r => 0.9867038,
        _ => -0.0504134,
    });
    EmpiricalMeasure::weighted(points, DVector::from_element(6, 1.0)).unwrap()
}

#[test]
fn the_spurious_minimum_is_refused_with_a_way_out() {
    let teacher = EmpiricalMeasure::weighted(DMatrix::identity(6, 6), DVector::from_element(6, 1.0)).unwrap();
    let energy = Mmd::new(ArcCosine::new(6), teacher).unwrap();
    let mut flow = ParticleFlow::new(energy, Rk4, 1.0).unwrap();
    let mut state = flow.start(spurious()).unwrap();
    let (reason, certificate) = run_until_optimal(&mut flow, &mut state, 1e-6, 100, 20_000).unwrap();
    let StopReason::Trapped { gap } = reason else { panic!("{reason:?}: {certificate:?}") };
    assert!(!reason.converged());
    assert!((gap - 0.02508).abs() < 5e-6, "{gap}");
    assert!(gap >= state.energy() && state.dissipation() < 1e-16);
    assert_eq!(certificate.bound(), Bound::Estimate);
    // The way out works: with one more neuron the flow goes on, to the teacher.
    *state.measure_mut() = insert(flow.energy_mut(), state.measure(), certificate.escape().unwrap()).unwrap();
    let (reason, certificate) = run_until_optimal(&mut flow, &mut state, 1e-6, 1000, 20_000).unwrap();
    assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-6), "{reason:?} {certificate:?}");
    assert!(reason.converged());
}

#[test]
fn signed_population_neurons_are_searched_as_well() {
    let teacher = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &[-2.0, 0.6, 0.8])).unwrap();
    let mut energy = Mmd::new(Lifted(ArcCosine::new(2)), teacher.clone()).unwrap();
    let nothing = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
    let certificate = certify(&mut energy, &nothing);
    assert!((certificate.gap() - 1.0_f64).abs() < 1e-12); // E[(2 (b.x)_+)^2] / 2
    let w = certificate.escape().unwrap();
    assert!(w.iter().zip([-1.0_f64, 0.6, 0.8]).all(|(w, v)| (w - v).abs() < 1e-6), "{w:?}");
    let certificate = certify(&mut energy, &teacher);
    assert!(certificate.gap() < 1e-12 && certificate.escape().is_none());
}

#[test]
fn a_wide_flow_is_proved_optimal() {
    let rng = &mut ChaCha8Rng::seed_from_u64(13);
    let (x, y) = (matrix(2, 8, rng), matrix(1, 8, rng));
    let mut flow = ParticleFlow::new(network::<_, _, f64>(Relu, Square, &x, &y, 0.01), Rk4, 0.5).unwrap();
    let mut state = flow.start(init::sphere(3, 60, rng).unwrap()).unwrap();
    let (reason, certificate) = run_until_optimal(&mut flow, &mut state, 1e-3, 200, 40_000).unwrap();
    assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-3), "{reason:?} {certificate:?}");
    let optimum = convex::square(&x, y.as_slice(), 0.01);
    assert!(state.energy() - optimum.value <= certificate.gap() + 1e-9);
    assert_eq!(certificate, certify(flow.energy_mut(), state.measure()));
    assert!(run_until_optimal(&mut flow, &mut state, f64::NAN, 1, 1).is_err());
}

/// Fenchel-Young, with equality at the slope, and the supremum by brute force.
fn conjugate<L: Loss<f64> + Loss<f32>>(loss: L, targets: &[f64]) {
    let grid: Vec<f64> = (-400..=400).map(|i| f64::from(i) / 50.0).collect();
    for &y in targets {
        for &h in &grid {
            let (l, u): (f64, f64) = loss.value_and_derivative(y, h);
            let s = Loss::<f64>::conjugate(&loss, y, u).unwrap();
            assert!(
                (l + s - u * h).abs() <= 1e-13 * (1.0 + l.abs() + (u * h).abs()),
                "y {y}, h {h}: l {l}, u {u}, l* {s}"
            );
            let (l, u): (f32, f32) = loss.value_and_derivative(y as f32, h as f32);
            let s = Loss::<f32>::conjugate(&loss, y as f32, u).unwrap();
            assert!((l + s - u * h as f32).abs() <= 1e-5 * (1.0 + l.abs() + (u * h as f32).abs()), "y {y}, h {h}");
        }
        for u in (-40..=40).map(|i| f64::from(i) / 10.0) {
            let s = Loss::<f64>::conjugate(&loss, y, u).unwrap();
            let sup = grid.iter().map(|&h| u * h - Loss::<f64>::value(&loss, y, h)).fold(f64::NEG_INFINITY, f64::max);
            assert!(s >= sup - 1e-12, "y {y}, u {u}: l* {s}, sup {sup}");
            // Where the supremum is attained inside the grid it is that; outside the domain it grows without end.
            let far = [-1e6, 1e6].map(|h| u * h - Loss::<f64>::value(&loss, y, h));
            assert_eq!(s == f64::INFINITY, far[0].max(far[1]) > 1e3, "y {y}, u {u}: l* {s}, far {far:?}");
        }
    }
}

#[test]
fn conjugates_are_conjugates() {
    conjugate(Square, &[-1.0, 0.0, 2.5]);
    conjugate(Huber(0.7), &[-1.0, 0.0, 2.5]);
    conjugate(Quantile(0.3), &[-1.0, 0.0, 2.5]);
    conjugate(Logistic, &[-1.0, 1.0]);
    conjugate(Exponential, &[-1.0, 1.0]);
    conjugate(Hinge, &[-1.0, 1.0]);
    conjugate(SmoothHinge(0.5), &[-1.0, 1.0]);
}

/// A few steps of birth and a flow bring the gap down, and it never crosses the best value seen.
fn sandwich<R: Risk<f64> + DualRisk>(risk: R, sigma: impl Activation<f64> + Homogeneous, k: usize, lambda: f64) {
    let rng = &mut ChaCha8Rng::seed_from_u64(14);
    let d = risk.inputs().dim();
    let energy = MeanFieldRisk::new(Ridge::with_outputs(sigma, d, k), risk).unwrap();
    let mut energy = energy.regularized(WeightDecay::new(lambda).unwrap());
    let mut mu = measure(k + d, 6, rng);
    let mut bounds = Vec::new();
    for _ in 0..15 {
        let certificate = certify(&mut energy, &mu);
        assert!(certificate.gap() >= 0.0 && certificate.gap().is_finite());
        assert_eq!(certificate.bound(), Bound::Certified);
        bounds.push((energy.value(&mu), certificate.gap()));
        let born = certificate.escape().and_then(|w| insert(&mut energy, &mu, w)).unwrap_or(mu);
        let mut flow = ParticleFlow::new(&mut energy, Rk4, 0.2).unwrap();
        let mut state = flow.start(born).unwrap();
        flow.run(&mut state, 100, &mut ()).unwrap();
        mu = state.into_measure();
    }
    let best = bounds.iter().map(|b| b.0).fold(f64::INFINITY, f64::min);
    assert!(bounds.iter().all(|(value, gap)| value - gap <= best + 1e-12), "{bounds:?}");
    let last = bounds.last().unwrap();
    assert!(last.1 < 0.2 * bounds[0].1, "{bounds:?}");
}

#[test]
fn every_loss_and_activation_is_sandwiched() {
    let rng = &mut ChaCha8Rng::seed_from_u64(15);
    for d in [1, 2, 3] {
        let (x, y) = (matrix(d, 12, rng), matrix(1, 12, rng).row(0).transpose());
        let s = y.map(|y| if y > 0.0 { 1.0 } else { -1.0 });
        let weights: Vec<f64> = (0..12).map(|j| if j == 3 { 0.0 } else { 0.02 * j as f64 }).collect();
        let weighted = EmpiricalRisk::new(Square, x.clone(), y.clone()).unwrap().sample_weights(weights).unwrap();
        sandwich(weighted, Relu, 1, 0.01);
        sandwich(EmpiricalRisk::new(Square, x.clone(), y.clone()).unwrap(), LeakyRelu(0.2), 1, 0.01);
        sandwich(EmpiricalRisk::new(Huber(0.3), x.clone(), y.clone()).unwrap(), Abs, 1, 0.01);
        sandwich(EmpiricalRisk::new(Square, x.clone(), y.clone()).unwrap(), Identity, 1, 0.003);
        sandwich(EmpiricalRisk::new(Logistic, x.clone(), s.clone()).unwrap(), Relu, 1, 0.01);
        sandwich(EmpiricalRisk::new(Exponential, x.clone(), s.clone()).unwrap(), Relu, 1, 0.03);
        sandwich(EmpiricalRisk::new(SmoothHinge(0.5), x.clone(), s.clone()).unwrap(), Relu, 1, 0.01);
        let labels = (0..12).map(|j| j % 3).collect();
        sandwich(SoftmaxCrossEntropy::new(x, labels, 3).unwrap(), Relu, 3, 0.01);
    }
}

/// As many ranks, all holding the same.
struct Copies(f64);
impl<T: Real> Reduce<T> for Copies {
    fn sum(&mut self, x: &mut [T]) {
        x.iter_mut().for_each(|x| *x *= real(self.0));
    }
}

#[test]
fn ranks_certify_the_whole_measure() {
    let rng = &mut ChaCha8Rng::seed_from_u64(16);
    for d in [2, 5] {
        let (x, y) = (matrix(d, 10, rng), matrix(1, 10, rng));
        let mu = measure::<f64>(1 + d, 4, rng);
        let mut part = mu.clone();
        part.weights_mut().iter_mut().for_each(|c| *c *= 0.25);
        let mut whole = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let mut ranks = network::<_, _, f64>(Relu, Square, &x, &y, 0.01).distributed(Copies(4.0));
        let (one, all) = (certify(&mut whole, &mu), certify(&mut ranks, &part));
        assert!((one.gap() - all.gap()).abs() < 1e-12, "{one:?} {all:?}");
        assert!((one.maximum().unwrap() - all.maximum().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn extreme_scales_and_degenerate_data_are_harmless() {
    let rng = &mut ChaCha8Rng::seed_from_u64(17);
    for d in [1, 2, 3, 4] {
        for scale in [1e-150, 1e150] {
            let (x, y) = (scale * matrix(d, 5, rng), matrix(1, 5, rng));
            let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
            let mut mu = measure(1 + d, 3, rng);
            mu.points_mut().iter_mut().for_each(|w| *w *= 1e-80);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(certificate.gap() >= 0.0 && certificate.gap() <= value * (1.0 + 1e-10), "{certificate:?}");
        }
        // No data but zeros: the zero network is optimal.
        let (x, y) = (DMatrix::zeros(d, 3), matrix(1, 3, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let zero = EmpiricalMeasure::uniform(DMatrix::zeros(1 + d, 1)).unwrap();
        let certificate = certify(&mut energy, &zero);
        assert!(certificate.gap() < 1e-14 && certificate.escape().is_none(), "{certificate:?}");
        // A grid with many collinear points and shared great circles.
        let x = DMatrix::from_fn(d, 40, |r, j| ((j / 3_usize.pow(r as u32)) % 3) as f64 - 1.0);
        let y = matrix(1, 40, rng);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.001);
        let mu = measure(1 + d, 3, rng);
        let u = residuals(&Relu, &mu, &x, &y);
        let found = certify(&mut energy, &mu).maximum().unwrap();
        for _ in 0..2000 {
            let b = matrix(d, 1, rng).column(0).normalize();
            assert!(form(&Relu, &u, &x, &b) <= found * (1.0 + 1e-12));
        }
    }
}
