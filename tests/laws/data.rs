//! Laws of standardisation, splits, labels and tables.

use wasserflow::data::CsvReader;
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;

/// A matrix of random coordinates whose rows have different sizes and offsets.
fn samples(d: usize, n: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = CaseRng::new(seed);
    DMatrix::from_fn(d, n, |l, _| {
        let size = [1.0, 1e-3, 1e4][l % 3];
        size * (rng.uniform::<f64>(-1.0, 1.0) + [0.0, 5.0, -100.0][(l / 3) % 3])
    })
}

/// `2^exponent`, also if it is subnormal.
fn power_of_two(exponent: i32) -> f64 {
    let half = exponent / 2;
    2_f64.powi(half) * 2_f64.powi(exponent - half)
}

#[test]
fn standardised_samples_have_mean_0_and_deviation_1() {
    for (seed, n) in [(1, 2), (2, 3), (3, 10), (4, 1000)] {
        let x = samples(9, n, seed);
        let z = Standardizer::fit(&x).unwrap().transform(&x).unwrap();
        for l in 0..9 {
            let mean = z.row(l).sum() / n as f64;
            let variance = z.row(l).map(|z| (z - mean) * (z - mean)).sum() / n as f64;
            // The samples of a row are rounded at 100 times the size of its deviation.
            assert!(mean.abs() < 1e-12, "row {l}, n = {n}: {mean}");
            assert!(
                (variance - 1.0).abs() < 1e-12,
                "row {l}, n = {n}: {variance}"
            );
        }
    }
}

/// Means and deviations of integers against exact sums, with offsets at which a one-pass variance
/// has no correct digit.
#[test]
fn means_and_deviations_of_integers_are_those_of_exact_arithmetic() {
    let mut rng = CaseRng::new(5);
    for (n, offset, range) in [
        (2, 0, 3),
        (3, 1 << 46, 7),
        (100, 1 << 50, 1000),
        (1000, -(1 << 51), 10),
        (1000, 0, 1 << 40),
        (4099, 1 << 45, 1 << 20),
    ] {
        let x: Vec<i128> = (0..n).map(|_| offset + rng.index(range) as i128).collect();
        let (sum, squares) = (
            x.iter().sum::<i128>(),
            x.iter().map(|x| x * x).sum::<i128>(),
        );
        let n = n as i128;
        let variance = (n * squares - sum * sum) as f64 / (n * n) as f64;
        let row = DMatrix::from_fn(1, n as usize, |_, j| x[j] as f64);
        let scale = Standardizer::fit(&row).unwrap();
        let (mean, deviation) = (scale.mean()[0], scale.deviation()[0]);
        // |n mean - sum| <= n eps |mean|, exactly.
        let error = (mean * n as f64 - sum as f64).abs() / n as f64;
        assert!(
            error <= 2.0 * f64::EPSILON * mean.abs(),
            "{offset} + {range}: {error}"
        );
        let error = (deviation / variance.sqrt() - 1.0).abs();
        assert!(
            error < 1e-14,
            "{offset} + {range}: deviation {deviation}, error {error}"
        );
    }
}

/// Scaling by a power of two scales the parts exactly and does not change `z`.
#[test]
fn standardisation_commutes_with_powers_of_two() {
    let x = samples(9, 25, 6);
    let scale = Standardizer::fit(&x).unwrap();
    let z = scale.transform(&x).unwrap();
    for exponent in (-900..=980).step_by(20) {
        let s = power_of_two(exponent);
        let scaled = Standardizer::fit(&(&x * s)).unwrap();
        for l in 0..9 {
            assert_eq!(scaled.mean()[l], s * scale.mean()[l], "2^{exponent}");
            assert_eq!(
                scaled.deviation()[l],
                s * scale.deviation()[l],
                "2^{exponent}"
            );
        }
        assert_eq!(scaled.transform(&(&x * s)).unwrap(), z, "2^{exponent}");
        assert_eq!(scaled.invert(&z).unwrap(), scale.invert(&z).unwrap() * s);
    }
}

#[test]
fn inversion_is_exact_to_rounding_at_all_scales() {
    for (seed, exponent) in (-300..=300).step_by(25).enumerate() {
        let x = samples(9, 25, seed as u64) * 10_f64.powi(exponent);
        let scale = Standardizer::fit(&x).unwrap();
        let back = scale.invert(&scale.transform(&x).unwrap()).unwrap();
        for ((l, j), error) in (0..9)
            .flat_map(|l| (0..25).map(move |j| (l, j)))
            .map(|at| (at, (back[at] - x[at]).abs()))
        {
            let size = x[(l, j)].abs() + scale.mean()[l].abs();
            assert!(
                error <= 3.0 * f64::EPSILON * size,
                "1e{exponent}: {error} of {size}"
            );
        }
    }
    for exponent in -35..=35 {
        let x = samples(9, 25, 7).map(|x| (x * 10_f64.powi(exponent - 4)) as f32);
        let scale = Standardizer::fit(&x).unwrap();
        let back = scale.invert(&scale.transform(&x).unwrap()).unwrap();
        for l in 0..9 {
            for j in 0..25 {
                let size = x[(l, j)].abs() + scale.mean()[l].abs();
                let error = (back[(l, j)] - x[(l, j)]).abs();
                assert!(error <= 3.0 * f32::EPSILON * size, "f32, 1e{exponent}");
            }
        }
    }
}

#[test]
fn constant_and_extreme_coordinates_have_positive_finite_deviations() {
    let tiny = f64::from_bits(1);
    for row in [
        vec![0.0],
        vec![-3.5; 7],
        vec![0.1; 1000],
        vec![f64::MAX; 3],
        vec![-f64::MAX, f64::MAX],
        vec![f64::MAX, f64::MAX.next_down(), f64::MAX],
        vec![-f64::MAX, -f64::MAX, f64::MAX],
        vec![tiny, 0.0],
        vec![tiny; 2],
        vec![-tiny, 3.0 * tiny, 7.0 * tiny],
        vec![f64::MIN_POSITIVE, f64::MAX],
        vec![1.0, 1.0_f64.next_up()],
        vec![1e300, -1e-300, 0.0],
    ] {
        let x = DMatrix::from_row_slice(1, row.len(), &row);
        let scale = Standardizer::fit(&x).unwrap();
        let (mean, deviation) = (scale.mean()[0], scale.deviation()[0]);
        let (low, high) = (x.min(), x.max());
        assert!((low..=high).contains(&mean), "{row:?}: mean {mean}");
        assert!(
            deviation > 0.0 && deviation.is_finite(),
            "{row:?}: deviation {deviation}"
        );
        let z = scale.transform(&x).unwrap();
        assert!(z.iter().all(|z| z.abs() <= 1.5), "{row:?}: {z}");
        if low == high {
            assert_eq!((mean, z.amax()), (low, 0.0), "{row:?}");
            assert_eq!(deviation, if low == 0.0 { 1.0 } else { low.abs() });
        }
        let back = scale.invert(&z).unwrap();
        for (x, y) in x.iter().zip(back.iter()) {
            let error = (0.5 * x - 0.5 * y).abs();
            assert!(
                error <= 2.0 * f64::EPSILON * x.abs().max(mean.abs()) + 4.0 * tiny,
                "{row:?}: {back}"
            );
        }
    }
    // Values that differ by rounding only are not amplified.
    let noisy = DMatrix::from_fn(1, 50, |_, j| 1e10 * (1.0 + (j % 3) as f64 * f64::EPSILON));
    let z = Standardizer::fit(&noisy)
        .unwrap()
        .transform(&noisy)
        .unwrap();
    assert!(z.amax() < 1e-14, "{}", z.amax());
}

#[test]
fn a_standardisation_is_rebuilt_from_its_parts() {
    let x = samples(4, 11, 8);
    let scale = Standardizer::fit(&x).unwrap();
    let parts = (scale.mean().to_vec(), scale.deviation().to_vec());
    assert_eq!(Standardizer::from_parts(parts.0, parts.1).unwrap(), scale);
    // The test part does not change it, and is mapped by it.
    let other = samples(4, 3, 9);
    let z = scale.transform(&other).unwrap();
    for (l, j) in [(0, 0), (3, 2), (1, 1)] {
        let expected = (other[(l, j)] - scale.mean()[l]) / scale.deviation()[l];
        assert_eq!(z[(l, j)], expected);
    }
}

fn assert_partition(split: &Split, n: usize) {
    let mut all = [split.train(), split.test()].concat();
    assert!(split.train().is_sorted() && split.test().is_sorted());
    assert!(!split.train().is_empty() && !split.test().is_empty());
    all.sort_unstable();
    assert_eq!(all, (0..n).collect::<Vec<_>>());
    assert_eq!(split.samples(), n);
}

#[test]
fn splits_are_partitions_of_the_requested_sizes() {
    for n in (2..60).chain([997, 5000]) {
        for (test, seed) in [(0.001, 1), (0.2, 2), (0.5, 3), (0.97, 4)] {
            let split = Split::random(n, test, seed).unwrap();
            assert_partition(&split, n);
            let expected = (test * n as f64).round().clamp(1.0, (n - 1) as f64);
            assert_eq!(split.test().len() as f64, expected, "{test} of {n}");
        }
    }
}

fn random_labels(n: usize, classes: usize, seed: u64) -> Labels {
    let mut rng = CaseRng::new(seed);
    let indices = (0..n)
        .map(|_| rng.index(classes).min(rng.index(classes)))
        .collect();
    let names: Vec<String> = (0..classes).map(|c| format!("class {c}")).collect();
    Labels::from_indices(&names, indices).unwrap()
}

#[test]
fn stratified_splits_have_their_share_of_every_class() {
    for (n, classes, seed) in [(50, 2, 1), (300, 5, 2), (1000, 10, 3)] {
        let y = random_labels(n, classes, seed);
        for test in [0.1, 0.25, 0.5, 0.9] {
            let split = Split::stratified(&y, test, seed).unwrap();
            assert_partition(&split, n);
            let [train, held_out] = split.labels(&y).unwrap();
            for (c, &count) in y.counts().iter().enumerate() {
                let expected = (test * count as f64).round().clamp(1.0, (count - 1) as f64);
                // `round` and the rule of ties agree for positive numbers.
                assert_eq!(held_out.counts()[c] as f64, expected, "class {c}");
                assert_eq!(train.counts()[c] + held_out.counts()[c], count);
            }
        }
    }
}

#[test]
fn folds_cover_every_sample_once() {
    for (n, folds) in [(2, 2), (7, 3), (10, 10), (101, 5)] {
        let splits = Split::k_fold(n, folds, 9).unwrap();
        let mut times = vec![0; n];
        for split in &splits {
            assert_partition(split, n);
            assert!(split.test().len() == n / folds || split.test().len() == n / folds + 1);
            split.test().iter().for_each(|&j| times[j] += 1);
        }
        assert_eq!((splits.len(), times), (folds, vec![1; n]));
    }
    let y = random_labels(200, 4, 10);
    let splits = Split::stratified_k_fold(&y, 5, 11).unwrap();
    let mut times = [0; 200];
    for split in &splits {
        assert_partition(split, 200);
        assert_eq!(split.test().len(), 40);
        let [_, test] = split.labels(&y).unwrap();
        for (c, &count) in y.counts().iter().enumerate() {
            let share = test.counts()[c];
            assert!(
                share == count / 5 || share == count / 5 + 1,
                "{share} of {count}"
            );
        }
        split.test().iter().for_each(|&j| times[j] += 1);
    }
    assert_eq!(times, [1; 200]);
}

/// Every sample is in the test part with the requested frequency, and two samples are independent
/// up to their fixed number, over many seeds. Bounds of five standard deviations.
#[test]
fn splits_are_uniform_over_seeds() {
    let (n, test, seeds) = (12, 0.25, 20_000);
    let mut counts = vec![0; n];
    let mut pairs = DMatrix::<f64>::zeros(n, n);
    for seed in 0..seeds {
        let split = Split::random(n, test, seed).unwrap();
        for &i in split.test() {
            counts[i] += 1;
            split.test().iter().for_each(|&j| pairs[(i, j)] += 1.0);
        }
    }
    let bound = |p: f64| 5.0 * (seeds as f64 * p * (1.0 - p)).sqrt();
    for (i, &count) in counts.iter().enumerate() {
        assert!(
            (f64::from(count) - seeds as f64 * test).abs() < bound(test),
            "sample {i}: {count}"
        );
        for j in 0..i {
            let p = 3.0 * 2.0 / (12.0 * 11.0);
            let error = (pairs[(i, j)] - seeds as f64 * p).abs();
            assert!(error < bound(p), "samples {i} and {j}: {}", pairs[(i, j)]);
        }
    }
}

#[test]
fn equal_seeds_give_equal_splits_and_others_differ() {
    let y = random_labels(100, 3, 12);
    let all = |seed| {
        let mut splits = vec![
            Split::random(100, 0.3, seed).unwrap(),
            Split::stratified(&y, 0.3, seed).unwrap(),
        ];
        splits.extend(Split::k_fold(100, 4, seed).unwrap());
        splits.extend(Split::stratified_k_fold(&y, 4, seed).unwrap());
        splits
    };
    assert_eq!(all(3), all(3));
    for (one, other) in all(3).iter().zip(&all(4)) {
        assert_ne!(one, other);
    }
}

#[test]
fn parts_of_matrices_and_labels_are_those_of_the_indices() {
    let (x, y) = (samples(3, 20, 13), random_labels(20, 2, 14));
    let split = Split::new(20, vec![7, 3, 12], vec![0, 19]).unwrap();
    assert_eq!(
        (split.train(), split.test()),
        (&[3, 7, 12][..], &[0, 19][..])
    );
    let [train, test] = split.columns(&x).unwrap();
    assert_eq!(train, x.select_columns(&[3, 7, 12]));
    assert_eq!(test, x.select_columns(&[0, 19]));
    let [train, _] = split.labels(&y).unwrap();
    assert_eq!(
        train.indices(),
        [y.indices()[3], y.indices()[7], y.indices()[12]]
    );
    assert_eq!(train.classes(), y.classes());
}

#[test]
fn labels_are_ordered_as_numbers_or_texts() {
    let order = |labels: &[&str]| Labels::new(labels).unwrap().classes().join(" ");
    assert_eq!(order(&["10", "9", "-1", "9"]), "-1 9 10");
    assert_eq!(order(&["1e2", "20", "3.5"]), "3.5 20 1e2");
    assert_eq!(order(&["b", "10", "9"]), "10 9 b");
    assert_eq!(order(&["inf", "1", "nan"]), "1 inf nan");
}

#[test]
fn targets_of_labels() {
    let y = random_labels(60, 4, 15);
    let one_hot = y.one_hot::<f32>().unwrap();
    for (j, &c) in y.indices().iter().enumerate() {
        assert_eq!((one_hot[(c, j)], one_hot.column(j).sum()), (1.0, 1.0));
    }
    let two = random_labels(40, 2, 16);
    let signs = two.signs::<f64>().unwrap();
    for (j, &c) in two.indices().iter().enumerate() {
        assert_eq!(signs[j], [-1.0, 1.0][c]);
    }
    // Balanced weights: every class has the same total weight, and all have the sum 1.
    let c = y.sample_weights(&y.balanced::<f64>().unwrap()).unwrap();
    let mut totals = [0.0; 4];
    y.indices()
        .iter()
        .zip(c.iter())
        .for_each(|(&y, &c)| totals[y] += c);
    for total in totals {
        assert!((total - 0.25).abs() < 1e-15, "{totals:?}");
    }
    // Class weights 1 are the default weights of a risk.
    let x = samples(2, 60, 17);
    let risk = SoftmaxCrossEntropy::new(x, y.indices().to_vec(), 4).unwrap();
    assert_eq!(
        y.sample_weights(&[1.0; 4]).unwrap().as_slice(),
        risk.weights()
    );
}

/// Numbers survive being written and read, and every format of a line is accepted.
#[test]
fn tables_are_read_as_written() {
    let x = samples(3, 40, 18) * 1e-200;
    let mut text = String::from("\u{feff}a, b ,c\r\n");
    for column in x.column_iter() {
        text += &format!("{}, {:e} ,\"{}\"\r\n", column[0], column[1], column[2]);
    }
    let table = data::read_csv(text.as_bytes()).unwrap();
    assert_eq!(table.names(), ["a", "b", "c"]);
    assert_eq!(table.numbers::<f64>(&["a", "b", "c"]).unwrap(), x);
    assert_eq!(
        table.numbers_except::<f64>(&["b"]).unwrap(),
        x.select_rows(&[0, 2])
    );

    let text = "# a comment\n1;\"a;\"\"b\"\"\"\n\n2;\"two\nlines\"\n";
    let reader = CsvReader::new().delimiter(b';').header(false).comment(b'#');
    let table = reader.read(text.as_bytes()).unwrap();
    assert_eq!(table.texts("2").unwrap(), ["a;\"b\"", "two\nlines"]);
    assert_eq!(table.numbers::<f32>(&["1"]).unwrap().as_slice(), [1.0, 2.0]);
}

#[test]
fn rows_with_missing_values_are_left_out_on_request() {
    let text = "x,y,name\n1,2,a\n,3,b\n4,NA,c\n5,?,d\n6,7,\n8,9,null\n";
    let table = data::read_csv(text.as_bytes()).unwrap();
    let complete = table.complete(&["x", "y"]).unwrap();
    assert_eq!(complete.texts("name").unwrap(), ["a", "", "null"]);
    assert_eq!(
        complete.numbers::<f64>(&["x", "y"]).unwrap().as_slice(),
        [1.0, 2.0, 6.0, 7.0, 8.0, 9.0]
    );
    let text = "a;b\r\n\r\n# comment\r\n\r\n1;2\r\n\"x\ny\";4\r\n# more\r\n\r\n5;6;7\r\n";
    let reader = CsvReader::new().delimiter(b';').comment(b'#');
    let error = reader.read(text.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 10: the number of values must be 2, found 3"
    );
    let error = reader.read(&b"a;b\n1;2\r3;\xff\n"[..]).unwrap_err();
    assert!(
        error.to_string().starts_with("line 3: invalid utf-8"),
        "{error}"
    );
    // The lines are those of the file.
    let error = complete.labels("name").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 6, column 3 \"name\": the value is missing"
    );
}
