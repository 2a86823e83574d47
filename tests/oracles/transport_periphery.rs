//! Cone and sliced distances at all scales, normalised measures, interpolation of measures that
//! were not coupled, and the metric speed of long runs.

use nalgebra::{DMatrix, DVector};
use wasserflow::observe::from_fn;
use wasserflow::prelude::*;
use wasserflow::transport::{self, MetricSpeed, TransportError};

fn one<T: Real>(w: &[f64]) -> EmpiricalMeasure<T> {
    let w = w.iter().map(|&w| real(w));
    EmpiricalMeasure::uniform(DMatrix::from_iterator(w.len(), 1, w)).unwrap()
}

fn weighted<T: Real>(dim: usize, points: &[T], weights: &[T]) -> EmpiricalMeasure<T> {
    EmpiricalMeasure::weighted(
        DMatrix::from_column_slice(dim, weights.len(), points),
        DVector::from_column_slice(weights),
    )
    .unwrap()
}

/// `a sigma(b x)` with `|a| |b| = 1` is balanced to `|a| = |b| = 1`, at all scales: the square
/// of a norm leaves the range of the scalar, the norm does not.
#[test]
fn neurons_of_any_scale_are_balanced() {
    for k in 0..=1020 {
        // powers of two: the products are exact
        let s = 2.0_f64.powi(k);
        let balanced = transport::balanced(&one::<f64>(&[s, 1.0 / s]), 1).unwrap();
        assert_eq!(balanced.particle(0), &[1.0, 1.0], "2^{k}");
        let cone = transport::cone_w2(&one::<f64>(&[s, 1.0 / s]), &one(&[1.0, 1.0]), 1).unwrap();
        assert_eq!(cone.distance(), 0.0, "2^{k}");
    }
    for k in 0..=126 {
        let s = 2.0_f64.powi(k);
        let balanced = transport::balanced(&one::<f32>(&[1.0 / s, -s]), 1).unwrap();
        assert_eq!(balanced.particle(0), &[1.0, -1.0], "2^{k}");
    }
    let cone = |w: &[f64], z: &[f64]| transport::cone_w2(&one::<f64>(w), &one(z), 1).unwrap();
    assert_eq!(cone(&[1e200, 1e-200], &[1.0, 1.0]).distance(), 0.0);
    let single = transport::cone_w2(&one::<f32>(&[1e25, 1e-25]), &one(&[1.0, 1.0]), 1).unwrap();
    assert!(single.distance() <= 4.0 * f32::EPSILON);
    // a subnormal norm, the norm of a subnormal vector, a norm beyond the largest number
    let check = |w: &[f64], outputs: usize, expected: &[f64]| {
        let balanced = transport::balanced(&one::<f64>(w), outputs).unwrap();
        for (found, expected) in balanced.particle(0).iter().zip(expected) {
            let tolerance = 8.0 * f64::EPSILON * expected.abs();
            assert!(
                (found - expected).abs() <= tolerance,
                "{w:?}: {found} {expected}"
            );
        }
    };
    let tiny = f64::from_bits(1); // 2^-1074
    let root = 2.0_f64.powi(-537);
    check(&[tiny, 1.0], 1, &[root, root]);
    let r = root * 2.0_f64.powf(0.25);
    check(
        &[tiny, tiny, 1.0],
        2,
        &[r * 0.5_f64.sqrt(), r * 0.5_f64.sqrt(), r],
    );
    // |a| = 2 max, |b| = 1/2 max^-1: the balanced norms are 1
    check(
        &[f64::MAX, f64::MAX, f64::MAX, f64::MAX, 0.5 / f64::MAX],
        4,
        &[0.5, 0.5, 0.5, 0.5, 1.0],
    );
    assert_eq!(
        transport::balanced(&one::<f64>(&[0.0, 3.0]), 1)
            .unwrap()
            .particle(0),
        &[0.0, 0.0]
    );
    // the balanced neuron is (a, b) (|b| / |a|)^(+-1/2) with |a| = 2 |b|: 2^(1/2) max overflows
    let large = transport::balanced(
        &one::<f64>(&[f64::MAX, f64::MAX, f64::MAX, f64::MAX, f64::MAX]),
        4,
    );
    assert!(matches!(
        large,
        Err(TransportError::Measure(MeasureError::Point {
            coordinate: 4,
            ..
        }))
    ));
    let mut broken = one::<f64>(&[1.0, 1.0]);
    broken.points_mut()[0] = f64::NAN;
    let error = transport::balanced(&broken, 1).unwrap_err();
    assert!(matches!(
        error,
        TransportError::Measure(MeasureError::Point { coordinate: 0, .. })
    ));
}

/// Only the direction of a direction matters, from subnormal to the largest lengths.
#[test]
fn directions_of_any_length() {
    let mu = weighted(2, &[0.0, 1.0, 2.0, -1.0], &[0.5, 0.5]);
    let nu = weighted(2, &[4.0, 1.0, -3.0, 3.0], &[0.5, 0.5]);
    let along =
        |t: &[f64]| transport::sliced_w2(&mu, &nu, &DMatrix::from_column_slice(2, 1, t)).unwrap();
    let expected = along(&[3.0, 4.0]);
    for s in [1e-308, 1e-200, 1e-160, 1.0, 1e160, 1e200, 4e307] {
        let found = along(&[3.0 * s, 4.0 * s]);
        assert!(
            (found - expected).abs() <= 1e-14 * expected,
            "{s}: {found} {expected}"
        );
    }
    let tiny = f64::from_bits(1);
    let (found, expected) = (along(&[3.0 * tiny, 4.0 * tiny]), along(&[3.0, 4.0]));
    assert!(
        (found - expected).abs() <= 1e-14 * expected,
        "{found} {expected}"
    );
    let (found, expected) = (along(&[f64::MAX, f64::MAX]), along(&[1.0, 1.0]));
    assert!(
        (found - expected).abs() <= 1e-14 * expected,
        "{found} {expected}"
    );
    let single = |s: f32| {
        let (mu, nu) = (one::<f32>(&[1.0, 2.0]), one::<f32>(&[-1.0, 0.0]));
        let directions = DMatrix::from_column_slice(2, 1, &[s, s]);
        transport::sliced_w2(&mu, &nu, &directions).unwrap()
    };
    for s in [1e-45, 1e-30, 1e30, f32::MAX] {
        assert!(
            (single(s) - 8.0_f32.sqrt()).abs() <= 1e-6 * single(s),
            "{s}"
        );
    }
}

#[test]
fn invalid_directions_are_named() {
    let mu = one::<f64>(&[0.0, 1.0]);
    let error = |directions: DMatrix<f64>| transport::sliced_w2(&mu, &mu, &directions).unwrap_err();
    for (directions, value) in [
        (DMatrix::zeros(3, 1), 3.0),
        (DMatrix::zeros(2, 0), 0.0),
        (DMatrix::from_column_slice(2, 2, &[1.0, 0.0, 0.0, 0.0]), 1.0),
        (
            DMatrix::from_column_slice(2, 2, &[1.0, 0.0, 1.0, f64::NAN]),
            1.0,
        ),
        (DMatrix::from_column_slice(2, 1, &[f64::INFINITY, 1.0]), 0.0),
    ] {
        match error(directions) {
            TransportError::Parameter(error) => {
                assert_eq!((error.name, error.value), ("directions", value));
            }
            error => panic!("{error}"),
        }
    }
    let space = one::<f64>(&[0.0; 3]);
    let expected = TransportError::Dimension { mu: 2, nu: 3 };
    let identity = DMatrix::identity(2, 2);
    assert_eq!(
        transport::sliced_w2(&mu, &space, &identity).unwrap_err(),
        expected
    );
    assert_eq!(transport::cone_w2(&mu, &space, 1).unwrap_err(), expected);
}

/// `W_2^2` of points at 1e200 overflows, and at 1e-200 it underflows; `SW_2` does neither.
#[test]
fn sliced_distances_at_all_scales() {
    for s in [1e-300, 1e-200, 1e-160, 1e160, 1e200, 1e300] {
        let (mu, nu) = (one::<f64>(&[0.0, 0.0]), one::<f64>(&[3.0 * s, 4.0 * s]));
        let found = transport::sliced_w2(&mu, &nu, &DMatrix::identity(2, 2)).unwrap();
        let expected = s * 12.5_f64.sqrt(); // (9 + 16) / 2
        assert!((found - expected).abs() <= 1e-14 * expected, "{s}: {found}");
    }
}

/// The weights have the given ratios and the sum 1, although their own sum may overflow.
#[test]
fn normalised_weights() {
    for s in [f64::from_bits(1), 1e-300, 1.0, 1e300] {
        let mu = weighted(1, &[1.0, 2.0, 3.0], &[2.0 * s, 0.0, 6.0 * s]);
        assert_eq!(
            mu.normalised().unwrap().weights(),
            &[0.25, 0.0, 0.75],
            "{s}"
        );
        assert_eq!(mu.normalised().unwrap().points(), mu.points());
    }
    let heavy = weighted(1, &[1.0; 4], &[f64::MAX; 4]);
    assert!(heavy.mass().is_infinite());
    assert_eq!(heavy.normalised().unwrap().weights(), &[0.25; 4]);
    // 10^5 equal weights in f32, whose sum in f32 is off by many roundings
    let many = weighted(1, &[0.0_f32; 100_000], &[0.1; 100_000])
        .normalised()
        .unwrap();
    assert_eq!(many.weight(0), 1e-5);

    let empty = weighted(1, &[1.0, 2.0], &[0.0, 0.0]);
    let error = empty.normalised().unwrap_err();
    assert_eq!(
        error.to_string(),
        "total mass must be positive and finite, found 0"
    );
    let mut broken = weighted(1, &[1.0, 2.0], &[0.5, 0.5]);
    broken.weights_mut()[1] = -1.0;
    let error = broken.normalised().unwrap_err();
    assert_eq!(
        error,
        MeasureError::Weight {
            particle: 1,
            value: -1.0
        }
    );
}

/// Weights that were normalised in f32 have a sum that differs from 1 in f64: they are refused, and
/// the error names the method that makes the masses equal.
#[test]
fn weights_normalised_in_another_precision() {
    let single = |c: &[f32]| {
        let sum: f32 = c.iter().sum();
        let weights: Vec<f64> = c.iter().map(|c| f64::from(c / sum)).collect();
        weighted(1, &[0.0, 1.0, 2.0], &weights)
    };
    let (mu, nu) = (single(&[0.3, 0.7, 0.9]), single(&[0.11, 0.5, 0.77]));
    assert!((mu.mass() - nu.mass()).abs() > 1e-9);
    let error = transport::w2(&mu, &nu).unwrap_err();
    assert!(matches!(error, TransportError::Mass { .. }));
    assert!(error.to_string().contains("`normalised`"), "{error}");
    let (mu, nu) = (mu.normalised().unwrap(), nu.normalised().unwrap());
    let cost = transport::w2(&mu, &nu).unwrap().cost();
    // on the line, masses of 3/19 - 11/138 and 10/19 - 61/138 move by 1
    let expected = (3.0 / 19.0 - 11.0 / 138.0) + (10.0 / 19.0 - 61.0 / 138.0);
    assert!(
        (cost - expected).abs() <= 1e-6 * expected,
        "{cost} {expected}"
    );
}

/// Measures other than the coupled ones: an error, which names what differs.
#[test]
fn interpolation_of_uncoupled_measures() {
    let mu = weighted(2, &[0.0, 0.0, 1.0, 1.0], &[0.25, 0.75]);
    let nu = weighted(2, &[2.0, 0.0, 1.0, 5.0, 3.0, 3.0], &[0.5, 0.25, 0.25]);
    let coupling = transport::w2(&mu, &nu).unwrap();
    let space = |n: usize| EmpiricalMeasure::uniform(DMatrix::zeros(3, n)).unwrap();
    for (a, b, dims) in [(&mu, &space(3), (2, 3)), (&space(2), &nu, (3, 2))] {
        let error = coupling.interpolate(a, b, 0.5).unwrap_err();
        assert_eq!(
            error,
            TransportError::Dimension {
                mu: dims.0,
                nu: dims.1
            }
        );
    }
    for t in [f64::NAN, f64::INFINITY] {
        let error = coupling.interpolate(&mu, &nu, t).unwrap_err();
        assert!(matches!(error, TransportError::Parameter(error) if error.name == "t"));
    }
    let error = |a, b| coupling.interpolate(a, b, 0.5).unwrap_err().to_string();
    assert_eq!(
        error(&nu, &mu),
        "the number of atoms of mu must be 2 as in the coupling, found 3"
    );
    let other = weighted(2, mu.points().as_slice(), &[0.75, 0.25]);
    assert_eq!(
        error(&other, &nu),
        "the weight of an atom of mu must be 0.25 as in the coupling, found 0.75"
    );
    let heavy = weighted(2, nu.points().as_slice(), &[1.0, 0.5, 0.5]);
    assert_eq!(
        error(&mu, &heavy),
        "the weight of an atom of nu must be 0.5 as in the coupling, found 1"
    );
    let mut broken = mu.clone();
    broken.weights_mut()[0] = f64::NAN;
    assert!(error(&broken, &nu).contains("found NaN"));
    let mut broken = mu.clone();
    broken.points_mut()[0] = f64::NAN;
    assert!(error(&broken, &nu).contains("must be finite, found NaN"));
}

/// The ends of a geodesic have the weights of the measures at their points, up to the quanta of
/// mass: atoms are split, and an atom of 1e-25 of the mass has no quantum.
#[test]
fn the_ends_of_an_interpolation() {
    let mu = weighted(1, &[0.0, 1.0, 7.0], &[0.5, 0.5, 1e-25]);
    let nu = weighted(1, &[0.5, 2.0, 3.0], &[0.25, 0.25, 0.5]);
    let coupling = transport::w2(&mu, &nu).unwrap();
    for (t, end) in [(0.0, &mu), (1.0, &nu)] {
        let found = coupling.interpolate(&mu, &nu, t).unwrap();
        let mut rest: Vec<f64> = end.weights().to_vec();
        for (w, &c) in found.points().iter().zip(found.weights()) {
            let atom = end
                .points()
                .iter()
                .position(|x| x == w)
                .expect("an atom of the end");
            rest[atom] -= c;
        }
        assert!(
            rest.iter().all(|rest| rest.abs() <= 4.0 * f64::EPSILON),
            "t = {t}: {rest:?}"
        );
    }
    // neither underflow nor overflow at the ends: 0 times a coordinate is 0
    let (mu, nu) = (one::<f64>(&[1e300, 5e-324]), one::<f64>(&[-1e300, 1e-320]));
    let coupling = transport::w2(&mu, &nu).unwrap();
    assert_eq!(
        coupling.interpolate(&mu, &nu, 0.0).unwrap().particle(0),
        mu.particle(0)
    );
    assert_eq!(
        coupling.interpolate(&mu, &nu, 1.0).unwrap().particle(0),
        nu.particle(0)
    );
}

/// `w' = -w` by Euler steps of 0.1: after 3600 steps the particles are at 1e-165, where squares of
/// distances underflow. The speed `W_2 / dt` remains the root mean square of `w`.
#[test]
fn the_metric_speed_of_a_long_run() {
    let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 2);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let points = DMatrix::from_row_slice(2, 2, &[1.0_f64, 2.0, 3.0, 5.0]);
    let mut state = flow
        .start(EmpiricalMeasure::uniform(points).unwrap())
        .unwrap();
    let mut speed = MetricSpeed::new();
    let mut size = Vec::new();
    let norm = |state: &State<f64>| {
        let w = state.measure().points();
        let largest = w.amax();
        largest * (w / largest).norm() / 2.0_f64.sqrt()
    };
    let mut sizes = from_fn(|state: &State<f64>| {
        size.push(norm(state));
        std::ops::ControlFlow::Continue(())
    });
    flow.run(&mut state, 3600, &mut (&mut speed, &mut sizes))
        .unwrap();
    assert_eq!(speed.records().len(), 3600);
    for (record, size) in speed.records().iter().zip(&size) {
        let error = (record.metric / size - 1.0).abs();
        assert!(
            error <= 1e-9,
            "time {}: {} {size}",
            record.time,
            record.metric
        );
    }
}

/// Two runs with one observer, a second dimension, and a mass that changes: each step has a record,
/// and none compares the end of one run with the start of another.
#[test]
fn runs_that_share_an_observer_of_the_speed() {
    let mut speed = MetricSpeed::new();
    for dim in [2, 3] {
        for _ in 0..2 {
            let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), dim);
            let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
            let points = DMatrix::from_fn(dim, 4, |k, i| (1 + k + i * i) as f64);
            let mut state = flow
                .start(EmpiricalMeasure::uniform(points).unwrap())
                .unwrap();
            // the second part continues the first
            flow.run(&mut state, 3, &mut speed).unwrap();
            flow.run(&mut state, 2, &mut speed).unwrap();
        }
    }
    assert_eq!(speed.records().len(), 20);
    for record in speed.records() {
        assert!(
            (record.metric / record.velocity - 1.0).abs() <= 1e-12,
            "{record:?}"
        );
    }

    let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let mut state = flow.start(one(&[1.0])).unwrap();
    let mut speed = MetricSpeed::new();
    flow.run(&mut state, 1, &mut speed).unwrap();
    state.measure_mut().weights_mut()[0] = 2.0;
    flow.run(&mut state, 2, &mut speed).unwrap();
    let distances: Vec<f64> = speed
        .records()
        .iter()
        .map(|record| record.distance)
        .collect();
    assert!((distances[0] - 0.1).abs() <= 1e-15, "{distances:?}");
    assert_eq!(distances.len(), 3);

    // conic descent changes the mass: measures of different masses have no coupling
    let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    let mut flow = ParticleFlow::new(energy, Conic::new(1.0, 1.0), 0.1).unwrap();
    let mut state = flow.start(one(&[1.0])).unwrap();
    let mut speed = MetricSpeed::new();
    flow.run(&mut state, 2, &mut speed).unwrap();
    assert_eq!(speed.records().len(), 2);
    assert!(
        speed
            .records()
            .iter()
            .all(|record| record.distance == f64::INFINITY)
    );
}
