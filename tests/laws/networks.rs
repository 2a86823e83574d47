//! Laws of trained networks: predictions, classes, probabilities and scores.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::{Case, CaseRng};

fn matrix(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = CaseRng::new(seed);
    DMatrix::from_fn(rows, columns, |_, _| rng.uniform(-2.0, 2.0))
}

fn measure(p: usize, m: usize, seed: u64) -> EmpiricalMeasure<f64> {
    let case = Case {
        n: 1,
        m,
        d: 1,
        k: 1,
        seed,
    };
    case.measure(p)
}

/// A network predicts what its parts do one after the other, bit for bit.
#[test]
fn predictions_are_those_of_the_parts() {
    let (x, y) = (matrix(4, 30, 1) * 1e3, matrix(3, 30, 2) * 1e-3);
    let map = Ridge::with_outputs(Tanh, 5, 3);
    let mu = measure(8, 12, 3);
    let (input, target) = (
        Standardizer::fit(&x).unwrap(),
        Standardizer::fit(&y).unwrap(),
    );
    let network = Network::new(map, mu.clone()).unwrap().with_bias().unwrap();
    let network = network.with_input_scale(input.clone()).unwrap();
    let network = network.with_target_scale(target.clone()).unwrap();

    let inputs = Inputs::new(with_bias(input.transform(&x).unwrap())).unwrap();
    let h = predict(&map, &mu, &inputs).unwrap();
    assert_eq!(network.predict(&x).unwrap(), target.invert(&h).unwrap());
    assert_eq!((network.input_dim(), network.output_dim()), (4, 3));

    // A network that is built again from what it returns predicts the same.
    let copy = Network::new(*network.features(), network.measure().clone()).unwrap();
    assert!(network.has_bias());
    let copy = copy.with_bias().unwrap();
    let copy = copy
        .with_input_scale(network.input_scale().unwrap().clone())
        .unwrap();
    let copy = copy
        .with_target_scale(network.target_scale().unwrap().clone())
        .unwrap();
    assert_eq!(copy, network);

    // Any feature map, also behind a pointer.
    let boxed: Box<dyn FeatureMap<f64>> = Box::new(map);
    let network = Network::new(boxed, mu.clone()).unwrap();
    assert_eq!(network.predict(inputs.points()).unwrap(), h);
}

#[test]
fn probabilities_add_up_and_agree_with_the_classes() {
    for (k, classes, size) in [
        (1, 2, 1.0),
        (2, 2, 1.0),
        (5, 5, 1.0),
        (5, 5, 1e300),
        (1, 2, 1e300),
    ] {
        let names: Vec<String> = (0..classes).map(|c| c.to_string()).collect();
        let mut mu = measure(k + 3, 9, 4);
        // The output weights are multiplied: logits of size 1e300 do not overflow.
        for w in mu.points_mut().chunks_exact_mut(k + 3) {
            w[..k].iter_mut().for_each(|a| *a *= size);
        }
        let network = Network::new(Ridge::with_outputs(Relu, 3, k), mu).unwrap();
        let network = network.with_classes(&names).unwrap();
        let x = matrix(3, 50, 5);
        let (h, p) = (
            network.predict(&x).unwrap(),
            network.predict_probability(&x).unwrap(),
        );
        let predicted = network.predict_class(&x).unwrap();
        assert_eq!(p.shape(), (classes, 50));
        for j in 0..50 {
            let p = p.column(j);
            assert!((p.sum() - 1.0).abs() < 1e-15 && p.min() >= 0.0, "{p}");
            assert_eq!(p[predicted[j]], p.max());
            let log_odds = if k == 1 { h[j] } else { h[(1, j)] - h[(0, j)] };
            if size == 1.0 {
                assert!(((p[1] / p[0]).ln() - log_odds).abs() < 1e-13);
            }
        }
    }
}

#[test]
fn accuracy_is_the_fraction_of_correct_classes() {
    let network = Network::new(Ridge::with_outputs(Relu, 3, 4), measure(7, 9, 6)).unwrap();
    let network = network.with_classes(&["a", "b", "c", "d"]).unwrap();
    let x = matrix(3, 40, 7);
    let predicted = network.predict_class(&x).unwrap();
    let mut rng = CaseRng::new(8);
    let labels: Vec<&str> = (0..40)
        .map(|_| ["a", "b", "c", "d"][rng.index(4)])
        .collect();
    let correct = (0..40)
        .filter(|&j| network.classes()[predicted[j]] == labels[j])
        .count();
    assert!(correct > 0 && correct < 40);
    // Also if the labels list the classes in another order.
    for classes in [["a", "b", "c", "d"], ["d", "b", "a", "c"]] {
        let labels = Labels::with_classes(&classes, &labels).unwrap();
        assert_eq!(
            network.accuracy(&x, &labels).unwrap(),
            correct as f64 / 40.0
        );
    }
}

/// Scores against their definitions, and `R^2` at all scales.
#[test]
fn scores_of_a_regression_are_their_definitions() {
    let (x, y) = (matrix(2, 25, 9), matrix(2, 25, 10));
    let network = Network::new(Ridge::with_outputs(Relu, 2, 2), measure(4, 6, 11)).unwrap();
    let h = network.predict(&x).unwrap();
    let mean_squared_error = (&h - &y).norm_squared() / 50.0;
    let found = network.mean_squared_error(&x, &y).unwrap();
    assert!((found / mean_squared_error - 1.0).abs() < 1e-14);
    let r_squared = (0..2).map(|l| {
        let (h, y) = (h.row(l), y.row(l));
        let mean = y.mean();
        1.0 - (h - y).norm_squared() / y.map(|y| y - mean).norm_squared()
    });
    let r_squared = r_squared.sum::<f64>() / 2.0;
    assert!((network.r_squared(&x, &y).unwrap() - r_squared).abs() < 1e-14);

    for exponent in [-300, -160, 160, 300] {
        let s = 10_f64.powi(exponent);
        let scale = Standardizer::from_parts(vec![0.0; 2], vec![s; 2]).unwrap();
        let scaled = network.clone().with_target_scale(scale).unwrap();
        let found = scaled.r_squared(&x, &(&y * s)).unwrap();
        assert!((found - r_squared).abs() < 1e-13, "1e{exponent}: {found}");
        let found = scaled.mean_squared_error(&x, &(&y * s)).unwrap();
        let expected = mean_squared_error * s * s; // infinite for large s, subnormal or 0 for small s
        let difference = (found - expected).abs();
        assert!(
            found == expected || difference < 1e-13 * expected + 5e-323,
            "1e{exponent}: {found}"
        );
    }
    assert_eq!(network.r_squared(&x, &h).unwrap(), 1.0);
}

/// `|a| = |b| = radius`, with directions of mean 0 and covariance `I / size`.
#[test]
fn balanced_neurons_with_several_outputs() {
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    let (k, d, m, radius) = (4, 3, 20_000, 2.5);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mu = init::balanced_outputs::<f64>(k, d, m, radius, &mut rng).unwrap();
    assert_eq!((mu.dim(), mu.len()), (k + d, m));
    let w = mu.points();
    for w in w.column_iter() {
        assert!((w.rows(0, k).norm() - radius).abs() < 1e-14);
        assert!((w.rows(k, d).norm() - radius).abs() < 1e-14);
    }
    let second = w * w.transpose() / m as f64;
    let mean: DVector<f64> = w.column_mean();
    for l in 0..k + d {
        let variance = radius * radius / if l < k { k as f64 } else { d as f64 };
        let error = 5.0 * (variance / m as f64).sqrt();
        assert!(mean[l].abs() < error, "mean {}", mean[l]);
        for i in 0..k + d {
            let expected = if i == l { variance } else { 0.0 };
            assert!((second[(i, l)] - expected).abs() < 5.0 * radius * radius / (m as f64).sqrt());
        }
    }
    // One output: the signs of `init::balanced`.
    let one = init::balanced_outputs::<f32>(1, 2, 50, 3.0, &mut rng).unwrap();
    assert!((0..50).all(|i| one.particle(i)[0].abs() == 3.0));
}
