//! Inserting, merging and pruning particles, and runs that end with a certificate.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, DualRisk, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::{insert, merge, prune, run_until_optimal};

use super::common::{cast, matrix, measure, network};
use super::convex;

#[test]
fn inserting_escape_directions_leads_to_the_optimum() {
    let rng = &mut ChaCha8Rng::seed_from_u64(11);
    for k in [1, 3] {
        let (x, y) = (matrix(2, 10, rng), matrix(k, 10, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.02);
        let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(k + 2, 1)).unwrap();
        let start = certify(&mut energy, &mu).gap();
        let (mut value, mut certificate) = (energy.value(&mu), certify(&mut energy, &mu));
        for _ in 0..30 {
            let Some(inserted) = certificate
                .escape()
                .and_then(|w| insert(&mut energy, &mu, w))
            else {
                break;
            };
            let inserted = merge(energy.features(), &inserted, 0.0);
            // A decrease below the rounding of F may be proved as well.
            assert!(energy.value(&inserted) <= value * (1.0 + 4.0 * f64::EPSILON));
            value = energy.value(&inserted);
            mu = inserted;
            certificate = certify(&mut energy, &mu);
        }
        assert!(
            certificate.gap() < 0.3 * start,
            "k = {k}: {} of {start}",
            certificate.gap()
        );
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
            // 4..8 are parallel to 0..4; 8 is zero; 9 and 10 cancel.
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
        assert_eq!(
            merge(energy.features(), &nu, T::zero()),
            nu,
            "merging is idempotent"
        );
        assert_eq!(merge(energy.features(), &nu, real(4.0)).len(), 1);
    }
    run::<f64>(1e-14);
    run::<f32>(1e-5);
}

#[test]
fn opposite_directions_merge_if_the_activation_is_even_or_odd() {
    fn run<A: Activation<f64> + Homogeneous>(sigma: A, expected: usize) {
        let rng = &mut ChaCha8Rng::seed_from_u64(16);
        let (x, y) = (matrix(3, 20, rng), matrix(2, 20, rng));
        let mut energy = network(sigma, Square, &x, &y, 0.01);
        let mut points = matrix(5, 6, rng);
        for i in 0..3 {
            let b = -0.7 * points.column(i).rows(2, 3);
            points.column_mut(3 + i).rows_mut(2, 3).copy_from(&b);
        }
        let mu = EmpiricalMeasure::uniform(points).unwrap();
        let merged = merge(energy.features(), &mu, 0.0);
        assert_eq!(merged.len(), expected);
        let (mut before, mut after) = (vec![0.0; 40], vec![0.0; 40]);
        energy.predict(&mu, &mut before);
        energy.predict(&merged, &mut after);
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|(before, after)| (before - after).abs() < 1e-14)
        );
        assert!(energy.value(&merged) <= energy.value(&mu) + 1e-14);
    }
    run(Abs, 3);
    run(Identity, 3);
    run(Relu, 6);
    run(LeakyRelu(0.2), 6);
}

/// The minimum of Safran and Shamir (2018) with six neurons: neuron 1, then the others in the
/// pattern of neuron 2.
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
fn a_spurious_minimum_is_not_certified_and_has_an_escape_direction() {
    let teacher =
        EmpiricalMeasure::weighted(DMatrix::identity(6, 6), DVector::from_element(6, 1.0)).unwrap();
    let energy = Mmd::new(ArcCosine::new(6), teacher).unwrap();
    let mut flow = ParticleFlow::new(energy, Rk4, 1.0).unwrap();
    let mut state = flow.start(spurious()).unwrap();
    let (reason, certificate) =
        run_until_optimal(&mut flow, &mut state, 1e-6, 100, 20_000).unwrap();
    let StopReason::Trapped { gap } = reason else {
        panic!("{reason:?}: {certificate:?}")
    };
    assert!(!reason.converged());
    assert!((gap - 0.02508).abs() < 5e-6, "{gap}");
    assert!(gap >= state.energy() && state.dissipation() < 1e-16);
    assert_eq!(certificate.bound(), Some(Bound::Relaxed));
    // With the escape neuron inserted, the flow converges to the teacher.
    *state.measure_mut() = insert(
        flow.energy_mut(),
        state.measure(),
        certificate.escape().unwrap(),
    )
    .unwrap();
    let (reason, certificate) =
        run_until_optimal(&mut flow, &mut state, 1e-6, 1000, 20_000).unwrap();
    assert!(
        matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-6),
        "{reason:?} {certificate:?}"
    );
    assert!(reason.converged());
}

#[test]
fn signed_population_neurons_have_an_escape_direction() {
    let teacher =
        EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &[-2.0, 0.6, 0.8])).unwrap();
    let mut energy = Mmd::new(WithOutputWeight(ArcCosine::new(2)), teacher.clone()).unwrap();
    let nothing = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
    let certificate = certify(&mut energy, &nothing);
    assert!((certificate.gap() - 1.0_f64).abs() < 1e-12); // E[(2 (b.x)_+)^2] / 2
    let w = certificate.escape().unwrap();
    assert!(
        w.iter()
            .zip([-1.0_f64, 0.6, 0.8])
            .all(|(w, v)| (w - v).abs() < 1e-6),
        "{w:?}"
    );
    let certificate = certify(&mut energy, &teacher);
    assert!(certificate.gap() < 1e-12 && certificate.escape().is_none());
}

#[test]
fn a_wide_flow_is_certified() {
    let rng = &mut ChaCha8Rng::seed_from_u64(13);
    let (x, y) = (matrix(2, 8, rng), matrix(1, 8, rng));
    let mut flow =
        ParticleFlow::new(network::<_, _, f64>(Relu, Square, &x, &y, 0.01), Rk4, 0.5).unwrap();
    let mut state = flow.start(init::sphere(3, 60, rng).unwrap()).unwrap();
    let (reason, certificate) =
        run_until_optimal(&mut flow, &mut state, 1e-3, 200, 40_000).unwrap();
    assert!(
        matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-3),
        "{reason:?} {certificate:?}"
    );
    let optimum = convex::square(&x, y.as_slice(), 0.01);
    assert!(state.energy() - optimum.value <= certificate.gap() + 1e-9);
    assert_eq!(certificate, certify(flow.energy_mut(), state.measure()));
    assert!(run_until_optimal(&mut flow, &mut state, f64::NAN, 1, 1).is_err());
}

/// Insertion and a flow decrease the gap; F minus the gap never exceeds the best known value.
fn gap_bounds_the_best_value<R: Risk<f64> + DualRisk>(
    risk: R,
    sigma: impl Activation<f64> + Homogeneous,
    k: usize,
    lambda: f64,
) {
    let rng = &mut ChaCha8Rng::seed_from_u64(14);
    let d = risk.inputs().dim();
    let energy = MeanFieldRisk::new(Ridge::with_outputs(sigma, d, k), risk).unwrap();
    let mut energy = energy.regularized(WeightDecay::new(lambda).unwrap());
    let mut mu = measure(k + d, 6, rng);
    let mut bounds = Vec::new();
    for _ in 0..15 {
        let certificate = certify(&mut energy, &mu);
        assert!(certificate.gap() >= 0.0 && certificate.gap().is_finite());
        assert_eq!(certificate.bound(), Some(Bound::Exact));
        bounds.push((energy.value(&mu), certificate.gap()));
        let inserted = certificate
            .escape()
            .and_then(|w| insert(&mut energy, &mu, w))
            .unwrap_or(mu);
        let mut flow = ParticleFlow::new(&mut energy, Rk4, 0.2).unwrap();
        let mut state = flow.start(inserted).unwrap();
        flow.run(&mut state, 100, &mut ()).unwrap();
        mu = state.into_measure();
    }
    let best = bounds.iter().map(|b| b.0).fold(f64::INFINITY, f64::min);
    assert!(
        bounds
            .iter()
            .all(|(value, gap)| value - gap <= best + 1e-12),
        "{bounds:?}"
    );
    let last = bounds.last().unwrap();
    assert!(last.1 < 0.2 * bounds[0].1, "{bounds:?}");
}

#[test]
fn the_gap_bounds_the_best_value_for_every_loss_and_activation() {
    let rng = &mut ChaCha8Rng::seed_from_u64(15);
    for d in [1, 2, 3] {
        let (x, y) = (matrix(d, 12, rng), matrix(1, 12, rng).row(0).transpose());
        let s = y.map(|y| if y > 0.0 { 1.0 } else { -1.0 });
        let weights: Vec<f64> = (0..12)
            .map(|j| if j == 3 { 0.0 } else { 0.02 * j as f64 })
            .collect();
        let weighted = EmpiricalRisk::new(Square, x.clone(), y.clone())
            .unwrap()
            .sample_weights(weights)
            .unwrap();
        gap_bounds_the_best_value(weighted, Relu, 1, 0.01);
        gap_bounds_the_best_value(
            EmpiricalRisk::new(Square, x.clone(), y.clone()).unwrap(),
            LeakyRelu(0.2),
            1,
            0.01,
        );
        gap_bounds_the_best_value(
            EmpiricalRisk::new(Huber(0.3), x.clone(), y.clone()).unwrap(),
            Abs,
            1,
            0.01,
        );
        gap_bounds_the_best_value(
            EmpiricalRisk::new(Square, x.clone(), y.clone()).unwrap(),
            Identity,
            1,
            0.003,
        );
        gap_bounds_the_best_value(
            EmpiricalRisk::new(Logistic, x.clone(), s.clone()).unwrap(),
            Relu,
            1,
            0.01,
        );
        gap_bounds_the_best_value(
            EmpiricalRisk::new(Exponential, x.clone(), s.clone()).unwrap(),
            Relu,
            1,
            0.03,
        );
        gap_bounds_the_best_value(
            EmpiricalRisk::new(SmoothHinge(0.5), x.clone(), s.clone()).unwrap(),
            Relu,
            1,
            0.01,
        );
        let labels = (0..12).map(|j| j % 3).collect();
        gap_bounds_the_best_value(
            SoftmaxCrossEntropy::new(x, labels, 3).unwrap(),
            Relu,
            3,
            0.01,
        );
    }
}
