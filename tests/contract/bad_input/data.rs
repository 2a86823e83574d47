//! Tables, labels, splits, standardisation and networks.

use wasserflow::data::CsvReader;
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

use super::{NOT_FINITE, contains, x};

#[test]
fn tables_name_the_line_and_the_column() {
    let read = |text: &str| data::read_csv(text.as_bytes());
    for (text, words) in [
        ("", &["0 columns and 0 rows"][..]),
        ("a,b\n", &["2 columns and 0 rows"]),
        ("a,a\n1,2\n", &["column 2", "unique", "\"a\""]),
        ("a,\n1,2\n", &["column 2", "not empty"]),
        ("a,b\n1,2\n3\n", &["line 3", "must be 2, found 1"]),
        ("a,b\n1,2,3\n", &["line 2", "must be 2, found 3"]),
    ] {
        contains(&read(text).unwrap_err(), words);
    }
    for (text, words) in [
        (
            "a,b\n1,2\n3,x\n",
            &["line 3", "column 2", "\"b\"", "number", "\"x\""][..],
        ),
        (
            "a,b\n1,inf\n",
            &["line 2", "column 2", "\"b\"", "finite", "\"inf\""],
        ),
        ("a,b\n1,1e999\n", &["line 2", "finite", "1e999"]),
        ("a,b\n1, NA \n", &["line 2", "column 2", "\"b\"", "missing"]),
        ("a,b\n\n1,\n", &["line 3", "column 2", "\"b\"", "missing"]),
        ("a,b\n?,1\n", &["line 2", "column 1", "\"a\"", "missing"]),
    ] {
        let table = read(text).unwrap();
        contains(&table.numbers::<f64>(&["a", "b"]).unwrap_err(), words);
    }
    let table = read("a,b\n1e300,x\n2,x\n").unwrap();
    contains(
        &table.numbers::<f64>(&["c"]).unwrap_err(),
        &["\"c\"", "columns"],
    );
    contains(&table.texts("A").unwrap_err(), &["\"A\""]);
    contains(
        &table.numbers::<f32>(&["a"]).unwrap_err(),
        &["line 2", "1e300"],
    );
    assert!(table.numbers::<f64>(&["a"]).is_ok());
    assert_eq!(table.labels("b"), Err(DataError::Classes { found: 1 }));
    let none: [&str; 0] = [];
    contains(&table.numbers::<f64>(&none).unwrap_err(), &["0 columns"]);
    contains(&CsvReader::new().open("/nowhere").unwrap_err(), &["line 0"]);
}

#[test]
fn labels_have_two_classes_and_known_names() {
    let none: [&str; 0] = [];
    assert_eq!(Labels::new(none), Err(DataError::Classes { found: 0 }));
    assert_eq!(Labels::new(["a"; 4]), Err(DataError::Classes { found: 1 }));
    contains(
        &Labels::with_classes(&["a", "b"], &none).unwrap_err(),
        &["labels", "one sample"],
    );
    contains(
        &Labels::with_classes(&["a", "a"], &["a"]).unwrap_err(),
        &["\"a\" twice"],
    );
    let error = Labels::with_classes(&["a", "b"], &["b", "c"]).unwrap_err();
    contains(&error, &["sample 1", "\"c\""]);
    contains(
        &Labels::from_indices(&["a", "b"], vec![0, 2]).unwrap_err(),
        &["below", "found 2"],
    );

    let three = Labels::new(["a", "b", "c"]).unwrap();
    contains(
        &three.signs::<f64>().unwrap_err(),
        &["classes must be 2, found 3"],
    );
    contains(
        &three.select(&[0, 3]).unwrap_err(),
        &["below the number of samples", "found 3"],
    );
    contains(&three.select(&[]).unwrap_err(), &["one sample"]);
    contains(
        &three.sample_weights(&[1.0; 2]).unwrap_err(),
        &["must be 3, found 2"],
    );
    for bad in NOT_FINITE.into_iter().chain([-1.0]) {
        contains(
            &three.sample_weights(&[1.0, bad, 1.0]).unwrap_err(),
            &["class weight"],
        );
    }
    let part = three.select(&[0, 2]).unwrap();
    let (class, required, found) = ("b".to_owned(), 1, 0);
    assert_eq!(
        part.balanced::<f64>(),
        Err(DataError::Class {
            class,
            required,
            found
        })
    );
}

#[test]
fn splits_have_two_parts() {
    for bad in NOT_FINITE.into_iter().chain([0.0, 1.0, -0.2]) {
        contains(
            &Split::random(10, bad, 1).unwrap_err(),
            &["test fraction", "between 0 and 1"],
        );
        let labels = Labels::new(["a", "a", "b", "b"]).unwrap();
        contains(
            &Split::stratified(&labels, bad, 1).unwrap_err(),
            &["test fraction"],
        );
    }
    for n in [0, 1, usize::MAX] {
        contains(
            &Split::random(n, 0.5, 1).unwrap_err(),
            &["samples", "at least 2"],
        );
    }
    for (n, folds) in [(10, 0), (10, 1), (2, 3), (1 << 33, 1 << 33)] {
        contains(&Split::k_fold(n, folds, 1).unwrap_err(), &["must be"]);
    }
    let labels = Labels::new(["a", "a", "a", "b"]).unwrap();
    contains(
        &Split::stratified(&labels, 0.5, 1).unwrap_err(),
        &["\"b\"", "at least 2", "found 1"],
    );
    let error = Split::stratified_k_fold(&labels, 3, 1).unwrap_err();
    contains(&error, &["\"b\"", "at least 3", "found 1"]);
    for (train, test, word) in [
        (vec![], vec![0], "one sample"),
        (vec![0], vec![], "one sample"),
        (vec![0, 4], vec![1], "found 4"),
        (vec![0, 1], vec![1], "listed once, found 1"),
        (vec![2, 0, 2], vec![1], "listed once, found 2"),
    ] {
        contains(&Split::new(4, train, test).unwrap_err(), &[word]);
    }
    let split = Split::random(4, 0.5, 1).unwrap();
    contains(
        &split.columns(&x(2, 5)).unwrap_err(),
        &["samples must be 4, found 5"],
    );
    let labels = labels.select(&[0, 1, 3]).unwrap();
    contains(
        &split.labels(&labels).unwrap_err(),
        &["labels must be 4, found 3"],
    );
}

#[test]
fn standardisation_needs_finite_samples() {
    for (rows, columns) in [(0, 0), (0, 3), (3, 0)] {
        contains(
            &Standardizer::fit(&x(rows, columns)).unwrap_err(),
            &["one sample"],
        );
    }
    let scale = Standardizer::fit(&x(3, 4)).unwrap();
    for bad in NOT_FINITE {
        let mut x = x(3, 4);
        x[(2, 1)] = bad;
        for error in [
            Standardizer::fit(&x).unwrap_err(),
            scale.transform(&x).unwrap_err(),
            scale.invert(&x).unwrap_err(),
        ] {
            contains(&error, &["sample 1", "coordinate 2", "finite"]);
        }
    }
    contains(
        &scale.transform(&x(2, 4)).unwrap_err(),
        &["coordinates must be 3, found 2"],
    );
    for (mean, deviation, word) in [
        (vec![], vec![], "one sample"),
        (vec![0.0], vec![1.0, 1.0], "must be 1, found 2"),
        (vec![f64::NAN], vec![1.0], "mean"),
        (vec![0.0], vec![0.0], "deviation"),
        (vec![0.0], vec![f64::INFINITY], "deviation"),
        (vec![0.0], vec![-1.0], "deviation"),
    ] {
        contains(
            &Standardizer::from_parts(mean, deviation).unwrap_err(),
            &[word],
        );
    }
    let scale = Standardizer::from_parts(vec![0.0], vec![1e-300]).unwrap();
    let error = scale
        .transform(&DMatrix::from_element(1, 1, 1e300))
        .unwrap_err();
    contains(&error, &["finite, found inf"]);
}

#[test]
fn networks_refuse_parts_that_do_not_fit() {
    let mu = EmpiricalMeasure::uniform(x(4, 3)).unwrap();
    contains(
        &Network::new(Ridge::new(Relu, 2), mu.clone()).unwrap_err(),
        &["must be 3, found 4"],
    );
    contains(
        &Network::new(Ridge::with_outputs(Relu, 4, 0), mu.clone()).unwrap_err(),
        &["outputs"],
    );
    contains(
        &Network::new(Ridge::new(LeakyRelu(f64::NAN), 3), mu.clone()).unwrap_err(),
        &["found NaN"],
    );
    let mut bad = mu.clone();
    bad.points_mut()[5] = f64::NAN;
    contains(
        &Network::new(Ridge::new(Relu, 3), bad.clone()).unwrap_err(),
        &["particle 1", "finite"],
    );

    let network = Network::new(Ridge::new(Relu, 3), mu).unwrap();
    contains(
        &network.clone().set_measure(bad).unwrap_err(),
        &["particle 1"],
    );
    let two = Standardizer::fit(&x(2, 4)).unwrap();
    contains(
        &network.clone().with_input_scale(two.clone()).unwrap_err(),
        &["must be 3, found 2"],
    );
    contains(
        &network.clone().with_target_scale(two.clone()).unwrap_err(),
        &["must be 1, found 2"],
    );
    let three = network
        .clone()
        .with_input_scale(Standardizer::fit(&x(3, 4)).unwrap())
        .unwrap();
    contains(&three.with_bias().unwrap_err(), &["must be 2, found 3"]);
    let biased = network
        .clone()
        .with_bias()
        .unwrap()
        .with_input_scale(two)
        .unwrap();
    contains(
        &biased.predict(&x(3, 5)).unwrap_err(),
        &["must be 2, found 3"],
    );
    contains(&biased.predict(&x(2, 0)).unwrap_err(), &["one sample"]);
    for bad in NOT_FINITE {
        let mut x = x(2, 5);
        x[(1, 4)] = bad;
        contains(
            &biased.predict(&x).unwrap_err(),
            &["sample 4", "coordinate 1"],
        );
    }
    for (classes, word) in [
        (&["a"][..], "2 classes"),
        (&["a", "b", "c"], "must be 2, found 3"),
        (&["a", "a"], "twice"),
    ] {
        contains(&network.clone().with_classes(classes).unwrap_err(), &[word]);
    }
    assert_eq!(
        network.predict_class(&x(3, 5)),
        Err(DataError::Classes { found: 0 })
    );
    let named = network.clone().with_classes(&["a", "b"]).unwrap();
    let labels = Labels::new(["a", "c", "a"]).unwrap();
    contains(
        &named.accuracy(&x(3, 3), &labels).unwrap_err(),
        &["sample 1", "\"c\""],
    );
    contains(
        &named.accuracy(&x(3, 4), &labels).unwrap_err(),
        &["must be 4, found 3"],
    );
    let one = Standardizer::fit(&x(1, 4)).unwrap();
    contains(
        &named.with_target_scale(one.clone()).unwrap_err(),
        &["classes"],
    );
    let scaled = network.clone().with_target_scale(one).unwrap();
    contains(
        &scaled.with_classes(&["a", "b"]).unwrap_err(),
        &["standardisations"],
    );
    let equal = DMatrix::from_element(1, 5, 2.0);
    contains(
        &network.r_squared(&x(3, 5), &equal).unwrap_err(),
        &["target", "different"],
    );
    contains(
        &network.r_squared(&x(3, 5), &x(1, 4)).unwrap_err(),
        &["must be 5, found 4"],
    );
    contains(
        &network.mean_squared_error(&x(3, 5), &x(2, 5)).unwrap_err(),
        &["must be 1, found 2"],
    );
}

#[test]
fn frozen_coordinates_are_below_p_and_listed_once() {
    let energy = || PotentialEnergy::new(WeightDecay::new(1.0).unwrap(), 3);
    let new = |coordinates: Vec<usize>| Frozen::<_, f64>::new(energy(), coordinates);
    for bad in [vec![3], vec![0, 0], vec![usize::MAX]] {
        contains(
            &new(bad).unwrap_err(),
            &["frozen coordinate", "below", "once"],
        );
    }
    let mut frozen = new(vec![2, 0]).unwrap();
    assert!(frozen.is_frozen(0) && !frozen.is_frozen(1) && frozen.is_frozen(2));
    *frozen.energy_mut() = PotentialEnergy::new(WeightDecay::new(1.0).unwrap(), 4);
    contains(&frozen.check().unwrap_err(), &["must be 3, found 4"]);
}
