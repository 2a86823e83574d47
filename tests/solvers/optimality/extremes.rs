//! Certificates where rounding, underflow or overflow decide.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, certify, certify_within};
use wasserflow::prelude::*;
use wasserflow::sparse::insert;

use super::common::{cast, network};

fn zero<T: Real>(p: usize) -> EmpiricalMeasure<T> {
    EmpiricalMeasure::uniform(DMatrix::zeros(p, 1)).unwrap()
}

fn measure(p: usize, points: &[f64]) -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_column_slice(p, points.len() / p, points);
    let m = points.ncols();
    EmpiricalMeasure::weighted(points, DVector::from_element(m, 1.0)).unwrap()
}

#[test]
fn near_duplicates_with_opposite_labels_are_not_certified() {
    // Three samples at a distance s with y = (-1, 2, -1): |g| is at most s / 3, although its terms
    // are of the order of 1. One neuron along the normal of the middle sample reduces F from 1.
    for d in [2, 3] {
        for s in [1e-12, 1e-9, 1e-6, 1e-3] {
            let x = DMatrix::from_fn(d, 3, |r, j| {
                let angle = 0.3 + s * (j as f64 - 1.0);
                [angle.cos(), angle.sin(), 0.0][r]
            });
            let y = DMatrix::from_row_slice(1, 3, &[-1.0, 2.0, -1.0]);
            let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.1 * s / 6.0);
            let certificate = certify(&mut energy, &zero(1 + d));
            let maximum = certificate.maximum_bounds().unwrap().1;
            // The samples are exact to 1e-16, relative to the distance.
            assert!(
                (maximum - s / 3.0).abs() <= 0.05 * s + 1e-14,
                "{d}, {s}: {certificate:?}"
            );
            if s >= 1e-9 {
                assert!(certificate.gap() >= 0.1333, "{d}, {s}: {certificate:?}");
                let w = certificate.escape().expect("a descent direction");
                let next = insert(&mut energy, &zero(1 + d), w);
                assert!(next.is_none_or(|next| energy.value(&next) < 1.0));
            }
        }
    }
}

#[test]
fn predictions_of_any_degree_carry_their_rounding() {
    // h - y = 1 is lost in (b + 1)^r - b^r, so that F = 1/2.
    let x = DMatrix::from_element(1, 1, 1.0);
    for (degree, b, y) in [(2, 1e8, 2e8), (3, 1e6, 3e12 + 3e6)] {
        let y = DMatrix::from_element(1, 1, y);
        let mut energy = network::<_, _, f64>(ReluPower(degree), Square, &x, &y, 0.0);
        let certificate = certify(&mut energy, &measure(2, &[1.0, b + 1.0, -1.0, b]));
        assert!(
            certificate.gap() >= 0.5 && certificate.energy() >= 0.5,
            "{certificate:?}"
        );
    }
    // b.x = 2^-60 - 2^-120 rounds to different signs with and without fused products.
    let e = 2.0_f64.powi(-60);
    let x = DMatrix::from_column_slice(2, 1, &[1.0 + e.sqrt(), 1.0]);
    let y = DMatrix::from_element(1, 1, 0.0);
    let mut energy = network::<_, _, f64>(ReluPower(0), Square, &x, &y, 0.0);
    let certificate = certify(&mut energy, &measure(3, &[1.0, 1.0 - e.sqrt(), -1.0]));
    assert!(certificate.energy() >= 0.5, "{certificate:?}");
}

#[test]
#[should_panic(expected = "the measure must have the dimension of the particles of the energy")]
fn a_measure_of_another_dimension_panics() {
    let (x, y) = (DMatrix::identity(2, 2), DMatrix::zeros(1, 2));
    certify(
        &mut network::<_, _, f64>(Relu, Square, &x, &y, 0.1),
        &zero(4),
    );
}

#[test]
#[should_panic(expected = "the measure must have the dimension of the particles of the energy")]
fn a_measure_of_another_dimension_panics_for_population_risks() {
    let mut energy = Mmd::new(ArcCosine::new(2), zero::<f64>(2)).unwrap();
    certify(&mut energy, &zero(3));
}

#[test]
fn budgets_that_are_no_numbers_or_negative() {
    let (x, y) = (
        DMatrix::from_element(1, 1, 1.0),
        DMatrix::from_element(1, 1, 3.0),
    );
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.0);
    let unknown = certify_within(&mut energy, &zero(2), f64::NAN);
    assert_eq!(
        (unknown.gap(), unknown.optimistic_gap()),
        (f64::INFINITY, f64::INFINITY)
    );
    assert!((unknown.energy() - 4.5).abs() < 1e-12);
    let [none, negative] = [0.0, -1.0].map(|budget| certify_within(&mut energy, &zero(2), budget));
    assert_eq!(none, negative);
    assert!(
        (0.0..1e-12).contains(&none.gap()),
        "zero is the only network: {none:?}"
    );
}

#[test]
fn logistic_margins_with_subnormal_slopes() {
    // u = -exp(-m), |g| = |u| at x = 1.
    for margin in [700.0, 712.0, 740.0] {
        let x = DMatrix::from_element(1, 1, 1.0);
        let y = DMatrix::from_element(1, 1, 1.0);
        let mut energy = network::<_, _, f64>(Relu, Logistic, &x, &y, 1e-3);
        let certificate = certify(&mut energy, &measure(2, &[1.0, margin]));
        let (maximum, slope) = (certificate.maximum_bounds().unwrap().1, f64::exp(-margin));
        assert!(
            maximum >= slope.next_down() && maximum <= 1.01 * slope + 1e-322,
            "{certificate:?}"
        );
        assert_eq!(
            (certificate.bound(), certificate.escape()),
            (Some(Bound::Exact), None)
        );
        assert!(certificate.gap() >= 0.0 && certificate.gap().is_finite());
    }
}

#[test]
fn the_gap_is_relative_at_any_scale_of_targets() {
    // x = 1: the optimum is a b = y - 2 lambda, F* = 2 lambda y - 2 lambda^2.
    for scale in [1e-100, 1e-30, 1.0, 1e30, 1e100] {
        let (y, lambda) = (3.0 * scale, 0.5 * scale);
        let x = DMatrix::from_element(1, 1, 1.0);
        let r = f64::sqrt(2.0 * scale);
        let best = measure(2, &[r, r]);
        let optimum = 2.5 * scale * scale;
        let target = DMatrix::from_element(1, 1, y);
        let mut square = network::<_, _, f64>(Relu, Square, &x, &target, lambda);
        let mut huber = network::<_, _, f64>(Relu, Huber(2.0 * scale), &x, &target, lambda);
        for certificate in [certify(&mut square, &best), certify(&mut huber, &best)] {
            assert!((certificate.energy() / optimum - 1.0).abs() < 1e-13);
            assert!(
                (0.0..=1e-13 * optimum).contains(&certificate.gap()),
                "{certificate:?}"
            );
        }
        // Zero is optimal for 2 lambda >= y, where F* = y^2 / 2.
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &target, 2.0 * scale);
        let gap = certify(&mut energy, &zero(2)).gap();
        assert!((0.0..=1e-13 * y * y).contains(&gap), "{gap}");
    }
}

#[test]
fn a_confident_softmax_has_a_relative_gap() {
    // Without decay the gap is F - 0, here log(1 + exp(-m)).
    for margin in [10.0, 70.0, 300.0] {
        let x = DMatrix::from_element(1, 1, 1.0);
        let risk = SoftmaxCrossEntropy::new(x, vec![0], 2).unwrap();
        let mut energy = MeanFieldRisk::new(Ridge::with_outputs(Relu, 1, 2), risk).unwrap();
        let certificate = certify(&mut energy, &measure(3, &[margin, 0.0, 1.0]));
        let value = f64::exp(-margin).ln_1p();
        for bound in [certificate.energy(), certificate.gap()] {
            assert!(
                bound >= value && bound <= value * (1.0 + 1e-11),
                "{margin}: {certificate:?}"
            );
        }
        // At its optimum: with a decay the dual point has probabilities of the same size.
        let risk = SoftmaxCrossEntropy::new(DMatrix::from_element(1, 1, 1.0), vec![0], 2).unwrap();
        let decay = WeightDecay::new(0.25 * f64::exp(-margin)).unwrap();
        let map = Ridge::with_outputs(Relu, 1, 2);
        let mut energy = MeanFieldRisk::new(map, risk).unwrap().regularized(decay);
        let certificate = certify(&mut energy, &measure(3, &[margin, 0.0, 1.0]));
        assert!(certificate.gap() >= 0.0 && certificate.gap() <= certificate.energy());
    }
}

#[test]
fn sums_that_overflow_have_no_bound() {
    let x = DMatrix::from_element(1, 4, 1.0);
    let y = DMatrix::from_row_slice(1, 4, &[1e200, -1e200, 1e200, -1e200]);
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.1);
    let certificate = certify(&mut energy, &zero(2));
    assert_eq!(
        (certificate.gap(), certificate.energy()),
        (f64::INFINITY, f64::INFINITY)
    );
    // -R* = sum u y overflows, while F is finite.
    let y = DMatrix::from_element(1, 4, 1.5e308);
    let risk = EmpiricalRisk::with_outputs(Quantile(0.5), x, y).unwrap();
    let risk = risk.sample_weights(vec![1.0; 4]).unwrap();
    let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
    let certificate = certify(&mut energy, &zero(2));
    assert_eq!(
        (certificate.gap(), certificate.energy()),
        (f64::INFINITY, f64::INFINITY)
    );
}

#[test]
fn single_precision_is_rounded_outward() {
    // The same data in both precisions: the bounds of single precision enclose those of double.
    for seed in 0..50 {
        let number = |j: usize| f64::from(((seed * 31 + j * 17) % 23) as f32 / 7.0 - 1.5);
        let x = DMatrix::from_fn(2, 5, |r, j| number(2 * j + r));
        let y = DMatrix::from_fn(1, 5, |_, j| number(j + 40));
        let lambda = f64::from(0.013_f32 * (1 + seed) as f32);
        let mut single = network::<_, _, f32>(Relu, Square, &x, &y, lambda);
        let mut double = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        // The weights 1/5 are rounded in single precision.
        let s = f64::from(0.2_f32) / 0.2;
        let points = DMatrix::from_fn(3, 4, |r, j| number(3 * j + r + 80));
        let narrow = certify(
            &mut single,
            &EmpiricalMeasure::uniform(cast(&points)).unwrap(),
        );
        let wide = certify(&mut double, &EmpiricalMeasure::uniform(points).unwrap());
        let maximum =
            f64::from(narrow.maximum_bounds().unwrap().1) / wide.maximum_bounds().unwrap().1 / s;
        assert!((1.0 - 1e-12..1.0 + 1.2e-7).contains(&maximum), "{maximum}");
        assert!(f64::from(narrow.threshold()) <= 2.0 * lambda);
    }
}

#[test]
fn samples_of_weight_zero_and_of_large_weight() {
    let x = DMatrix::from_row_slice(1, 3, &[1.0, 1e-300, 1.0]);
    let y = DVector::from_vec(vec![3.0, 5.0, 1e300]);
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let risk = risk.sample_weights(vec![1e250, 1e-250, 0.0]).unwrap();
    let decay = WeightDecay::new(0.5e250).unwrap();
    let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)
        .unwrap()
        .regularized(decay);
    let r = 2.0_f64.sqrt();
    let certificate = certify(&mut energy, &measure(2, &[r, r]));
    assert!(
        (0.0..=1e-13 * 2.5e250).contains(&certificate.gap()),
        "{certificate:?}"
    );
}
