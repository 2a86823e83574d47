//! Tables, labels, splits, standardisation, networks and frozen coordinates.

use std::io::{self, Read};

use nalgebra::DMatrix;
use wasserflow::data::{CsvReader, read_csv};
use wasserflow::feature::Breakpoint;
use wasserflow::prelude::*;

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    tables(suite);
    labels(suite);
    splits(suite);
    in_precision::<f32>(suite);
    in_precision::<f64>(suite);
}

fn in_precision<T: Real>(suite: &Suite<'_>) {
    standardisers::<T>(suite);
    networks::<T>(suite);
    frozen::<T>(suite);
}

/// Shapes of small matrices, empty ones included.
const SHAPES: [(usize, usize); 6] = [(0, 0), (0, 2), (2, 0), (1, 1), (1, 3), (2, 3)];

/// Texts of cells and names.
const TEXTS: [&str; 12] = [
    "",
    "?",
    "NaN",
    "inf",
    "1",
    "-1e400",
    "1e-400",
    "a",
    "\u{0}",
    "\u{feff}x",
    "１",
    "a,\"b\"\n",
];

/// Matrices of all shapes, with each of the numbers in the last entry.
fn matrices<T: Real>() -> impl Iterator<Item = DMatrix<T>> {
    SHAPES.into_iter().flat_map(|(rows, columns)| {
        NUMBERS.into_iter().map(move |x| {
            let mut matrix = DMatrix::from_fn(rows, columns, |l, j| real::<T>((l + 2 * j) as f64));
            if let Some(last) = matrix.as_mut_slice().last_mut() {
                *last = real(x);
            }
            matrix
        })
    })
}

/// A source that fails after some bytes.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("planted"));
        }
        let len = self.0.min(buffer.len());
        buffer[..len].fill(b'1');
        self.0 -= len;
        Ok(len)
    }
}

fn tables(suite: &Suite<'_>) {
    for name in TEXTS {
        for cell in TEXTS {
            for names in [vec![], vec![name], vec![name, name], vec![name, "x"]] {
                for rows in [
                    vec![],
                    vec![vec![]],
                    vec![vec![cell]],
                    vec![vec![cell, "2"]; 2],
                ] {
                    let at = (&names, &rows);
                    let table = suite.call("Table::new", at, || Table::new(&names, &rows));
                    if let Some(Ok(table)) = table {
                        one_table(suite, &table, name);
                    }
                }
            }
        }
    }
    let mut texts: Vec<Vec<u8>> = TEXTS.map(|text| text.as_bytes().to_vec()).to_vec();
    for text in [
        "a\n",
        "a,b\n1\n",
        "a,a\n1,2\n",
        "a,b\n1,2\n",
        "\n\n\r\n",
        "\"a\n",
        "a\r1\r2",
        ",\n,\n",
        "#\n#a\n1",
    ] {
        texts.push(text.as_bytes().to_vec());
    }
    texts.push(vec![0xff, 0xfe, b'\n', b'1']);
    texts.push((0..=255).collect());
    texts.push(vec![b'"'; 1000]);
    for text in &texts {
        let table = suite.call("data::read_csv", text, || read_csv(&text[..]));
        if let Some(Ok(table)) = table {
            one_table(suite, &table, "a");
        }
        for special in 0..=255 {
            let reader = suite.call("CsvReader::new", (), CsvReader::new).unwrap();
            let at = (text, special);
            let reader = suite.call("CsvReader::delimiter", at, || reader.delimiter(special));
            let reader = suite.call("CsvReader::header", at, || {
                reader.unwrap().header(special > 99)
            });
            let reader = reader.unwrap();
            suite.call("CsvReader::read", at, || reader.read(&text[..]));
            let reader = suite
                .call("CsvReader::comment", at, || reader.comment(special))
                .unwrap();
            suite.call("CsvReader::read", at, || reader.read(&text[..]));
        }
    }
    for len in [0, 1, 100_000] {
        let table = suite.call("CsvReader::read", len, || {
            CsvReader::new().read(Failing(len))
        });
        suite.check(
            table.is_some_and(|t| t.is_err()),
            "a source that fails",
            len,
        );
    }
    for path in ["", "/", "/nowhere/at/all", "\u{0}"] {
        let table = suite.call("CsvReader::open", path, || CsvReader::new().open(path));
        suite.check(
            table.is_some_and(|t| t.is_err()),
            "a file that cannot be read",
            path,
        );
    }
}

fn one_table(suite: &Suite<'_>, table: &Table, name: &str) {
    suite.call("Table::len", name, || table.len());
    let names = suite
        .call("Table::names", name, || table.names().to_vec())
        .unwrap();
    for columns in [
        vec![],
        vec![name.to_owned()],
        vec!["other".to_owned()],
        names,
    ] {
        for column in &columns {
            suite.call("Table::texts", column, || {
                table.texts(column).map(|t| t.len())
            });
            suite.call("Table::labels", column, || table.labels(column));
        }
        let numbers = suite.call("Table::numbers", &columns, || {
            table.numbers::<f32>(&columns)
        });
        suite.call("Table::numbers_except", &columns, || {
            table.numbers_except::<f64>(&columns)
        });
        suite.call("Table::complete", &columns, || table.complete(&columns));
        if let Some(Ok(x)) = numbers {
            suite.check(
                x.iter().all(|x| x.is_finite()),
                "numbers of a table are finite",
                &x,
            );
        }
    }
}

fn labels(suite: &Suite<'_>) {
    let lists: [&[&str]; 7] = [
        &[],
        &[""],
        &["a"],
        &["a", "b"],
        &["1", "1.0"],
        &["nan", "inf", "1"],
        &TEXTS,
    ];
    for list in lists {
        let all = suite.call("Labels::new", list, || Labels::new(list));
        if let Some(Ok(labels)) = all {
            one_labels(suite, &labels);
        }
        for classes in lists {
            suite.call("Labels::with_classes", (list, classes), || {
                Labels::with_classes(classes, list)
            });
        }
        for index in COUNTS {
            for indices in [vec![], vec![index], vec![0, index]] {
                let labels = suite.call("Labels::from_indices", (list, &indices), || {
                    Labels::from_indices(list, indices.clone())
                });
                if let Some(Ok(labels)) = labels {
                    one_labels(suite, &labels);
                }
            }
        }
    }
}

fn one_labels(suite: &Suite<'_>, labels: &Labels) {
    let n = labels.len();
    suite.call("Labels::len", n, || labels.len());
    suite.call("Labels::classes", n, || labels.classes().len());
    suite.call("Labels::indices", n, || labels.indices().len());
    suite.call("Labels::counts", n, || labels.counts());
    suite.call("Labels::signs", n, || labels.signs::<f32>());
    suite.call("Labels::one_hot", n, || labels.one_hot::<f64>());
    suite.call("Labels::balanced", n, || labels.balanced::<f64>());
    for index in COUNTS {
        suite.call("Labels::select", index, || labels.select(&[index]));
        suite.call("Labels::select", index, || labels.select(&[0, index, 0]));
    }
    suite.call("Labels::select", "none", || labels.select(&[]));
    for w in NUMBERS {
        for len in [0, 1, labels.classes().len()] {
            let c = suite.call("Labels::sample_weights", (w, len), || {
                labels.sample_weights(&vec![w; len])
            });
            let valid =
                c.is_some_and(|c| c.is_ok_and(|c| c.iter().all(|c| c.is_finite() && *c >= 0.0)));
            let expected = len == labels.classes().len() && (0.0..f64::INFINITY).contains(&w);
            suite.check(valid == expected, "sample weights", (w, len));
        }
    }
    for seed in [0, u64::MAX] {
        for x in NUMBERS {
            suite.call("Split::stratified", (n, x, seed), || {
                Split::stratified(labels, x, seed)
            });
        }
        for folds in COUNTS {
            suite.call("Split::stratified_k_fold", (n, folds, seed), || {
                Split::stratified_k_fold(labels, folds, seed)
            });
        }
    }
    if let Ok(split) = Split::new(n, vec![0], vec![n - 1]) {
        suite.call("Split::labels", n, || split.labels(labels));
    }
}

fn splits(suite: &Suite<'_>) {
    let other = Labels::new(["a", "b"]).unwrap();
    for samples in COUNTS.into_iter().chain([10]) {
        for x in NUMBERS.into_iter().chain([0.5, 1e-17, 1.0_f64.next_down()]) {
            let split = suite.call("Split::random", (samples, x), || {
                Split::random(samples, x, 1)
            });
            let Some(Ok(split)) = split else { continue };
            suite.call("Split::samples", samples, || split.samples());
            suite.call("Split::train", samples, || split.train().len());
            suite.call("Split::test", samples, || split.test().len());
            suite.call("Split::labels", samples, || split.labels(&other));
            for (rows, columns) in SHAPES.into_iter().chain([(0, samples), (3, samples)]) {
                let x = DMatrix::<f32>::zeros(rows, columns);
                suite.call("Split::columns", (rows, columns), || split.columns(&x));
            }
        }
        for folds in COUNTS {
            suite.call("Split::k_fold", (samples, folds), || {
                Split::k_fold(samples, folds, 1)
            });
        }
        for j in COUNTS {
            for (train, test) in [
                (vec![], vec![j]),
                (vec![j], vec![]),
                (vec![0], vec![j]),
                (vec![j, 1], vec![0]),
            ] {
                let split = suite.call("Split::new", (samples, &train, &test), || {
                    Split::new(samples, train.clone(), test.clone())
                });
                if let Some(Ok(split)) = split {
                    // A split of more samples than there is memory for.
                    suite.call("Split::columns", samples, || {
                        split.columns(&DMatrix::<f64>::zeros(1, 2))
                    });
                    suite.call("Split::labels", samples, || split.labels(&other));
                }
            }
        }
    }
}

fn standardisers<T: Real>(suite: &Suite<'_>) {
    let mut scales = Vec::new();
    for x in matrices::<T>() {
        let valid = !x.is_empty() && x.iter().all(|x| x.is_finite());
        let scale = suite.call("Standardizer::fit", &x, || Standardizer::fit(&x));
        suite.check(
            scale.as_ref().is_some_and(|s| s.is_ok() == valid),
            "finite samples",
            &x,
        );
        if let Some(Ok(scale)) = scale {
            let positive = scale
                .deviation()
                .iter()
                .all(|&s| s > T::zero() && s.is_finite());
            suite.check(
                positive && scale.mean().iter().all(|m| m.is_finite()),
                "parts",
                &scale,
            );
            scales.push(scale);
        }
    }
    for m in NUMBERS.map(real::<T>) {
        for s in NUMBERS.map(real::<T>) {
            for (means, deviations) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 1)] {
                let scale = suite.call(
                    "Standardizer::from_parts",
                    (m, s, means, deviations),
                    || Standardizer::from_parts(vec![m; means], vec![s; deviations]),
                );
                scales.extend(scale.and_then(Result::ok));
            }
        }
    }
    for scale in &scales {
        suite.call("Standardizer::dim", scale, || scale.dim());
        suite.call("Standardizer::mean", scale, || scale.mean().len());
        suite.call("Standardizer::deviation", scale, || scale.deviation().len());
        for x in matrices::<T>() {
            let z = suite.call("Standardizer::transform", (scale, &x), || {
                scale.transform(&x)
            });
            let back = suite.call("Standardizer::invert", (scale, &x), || scale.invert(&x));
            for z in [z, back] {
                let finite = z.is_some_and(|z| {
                    z.is_err() || z.is_ok_and(|z| z.iter().all(|z| z.is_finite()))
                });
                suite.check(finite, "standardised samples are finite", (scale, &x));
            }
        }
    }
}

fn networks<T: Real>(suite: &Suite<'_>) {
    let scales: Vec<Standardizer<T>> = [1, 2, 3]
        .into_iter()
        .flat_map(|d| {
            [1e-300, 1.0, 1e300]
                .map(|s| Standardizer::from_parts(vec![T::one(); d], vec![real(s); d]).ok())
        })
        .flatten()
        .collect();
    let labels = Labels::new(["a", "b", "a"]).unwrap();
    for (d, k) in [(0, 1), (1, 0), (1, 1), (2, 1), (1, 2), (1, 3)] {
        for p in [d + k, d + k + 1] {
            if p == 0 {
                continue;
            }
            let all = extreme_measures::<T>(p)
                .into_iter()
                .step_by(29)
                .chain(invalid_measures(p));
            for (i, mu) in all.enumerate() {
                let at = (d, k, i);
                let map = Ridge::with_outputs(Relu, d, k);
                let network = suite.call("Network::new", at, || Network::new(map, mu.clone()));
                let Some(Ok(network)) = network else { continue };
                suite.call("Network::features", at, || *network.features());
                suite.call("Network::measure", at, || network.measure().len());
                suite.call("Network::has_bias", at, || network.has_bias());
                suite.call("Network::input_scale", at, || {
                    network.input_scale().is_some()
                });
                suite.call("Network::target_scale", at, || {
                    network.target_scale().is_some()
                });
                suite.call("Network::classes", at, || network.classes().len());
                suite.call("Network::input_dim", at, || network.input_dim());
                suite.call("Network::output_dim", at, || network.output_dim());
                let mut all = vec![network.clone()];
                let mut other = network.clone();
                for mu in extreme_measures::<T>(2)
                    .into_iter()
                    .chain(invalid_measures(p))
                {
                    let set = suite.call("Network::set_measure", at, || other.set_measure(mu));
                    let unchanged = set.is_some_and(|set| set.is_ok()) || other == network;
                    suite.check(unchanged, "a refused measure changes nothing", at);
                    other = network.clone();
                }
                let biased = suite.call("Network::with_bias", at, || network.clone().with_bias());
                all.extend(biased.and_then(Result::ok));
                for scale in &scales {
                    for network in all.clone() {
                        let scaled = suite.call("Network::with_input_scale", at, || {
                            network.clone().with_input_scale(scale.clone())
                        });
                        if let Some(Ok(scaled)) = scaled {
                            suite.call("Network::with_bias", at, || scaled.clone().with_bias());
                            let scaled = suite.call("Network::with_target_scale", at, || {
                                scaled.clone().with_target_scale(scale.clone())
                            });
                            all.extend(scaled.and_then(Result::ok));
                        }
                    }
                }
                for classes in [
                    &[][..],
                    &["a"],
                    &["a", "a"],
                    &["a", "b"],
                    &["b", "c"],
                    &["a", "b", "c"],
                ] {
                    for network in [network.clone(), all[all.len() - 1].clone()] {
                        let named = suite.call("Network::with_classes", (at, classes), || {
                            network.clone().with_classes(classes)
                        });
                        if let Some(Ok(named)) = named {
                            suite.call("Network::with_target_scale", at, || {
                                named.clone().with_target_scale(scales[0].clone())
                            });
                            all.push(named);
                        }
                    }
                }
                all.truncate(12);
                all.iter()
                    .for_each(|network| one_network(suite, network, &labels, at));
            }
        }
    }
}

fn one_network<T: Real>(
    suite: &Suite<'_>,
    network: &Network<Ridge<Relu>, T>,
    labels: &Labels,
    at: (usize, usize, usize),
) {
    for x in matrices::<T>().step_by(3) {
        let h = suite.call("Network::predict", (at, &x), || network.predict(&x));
        let p = suite.call("Network::predict_probability", (at, &x), || {
            network.predict_probability(&x)
        });
        for values in [h, p] {
            let finite = values
                .is_some_and(|v| v.is_err() || v.is_ok_and(|v| v.iter().all(|v| v.is_finite())));
            suite.check(finite, "predictions are finite", (at, &x));
        }
        suite.call("Network::predict_class", (at, &x), || {
            network.predict_class(&x)
        });
        suite.call("Network::accuracy", (at, &x), || {
            network.accuracy(&x, labels)
        });
        for y in [1.0, 1e-300, f64::MAX] {
            let y = DMatrix::from_fn(at.1, x.ncols(), |l, j| {
                real::<T>(y) * real((l + j) as f64 * 0.25)
            });
            let error = suite.call("Network::mean_squared_error", (at, &x, &y), || {
                network.mean_squared_error(&x, &y)
            });
            let score = suite.call("Network::r_squared", (at, &x, &y), || {
                network.r_squared(&x, &y)
            });
            for score in [error, score] {
                let number = score.is_some_and(|s| s.is_err() || s.is_ok_and(|s| s == s));
                suite.check(number, "scores are numbers", (at, &x, &y));
            }
        }
    }
}

fn frozen<T: Real>(suite: &Suite<'_>) {
    for p in COUNTS {
        for l in COUNTS {
            suite.call("Frozen::new", (p, l), || {
                Frozen::<_, T>::new(PotentialEnergy::new((), p), [l]).is_ok()
            });
            suite.call("Frozen::new", (p, l), || {
                Frozen::<_, T>::new(PotentialEnergy::new((), p), l..usize::MAX).is_ok()
            });
        }
    }
    let decay = PotentialEnergy::new(WeightDecay::new(T::one()).unwrap(), 3);
    let endless = std::iter::repeat(1);
    suite.call("Frozen::new", "endless", || {
        Frozen::<_, T>::new(&mut decay.clone(), endless).is_ok()
    });
    let mut energy = Frozen::<_, T>::new(decay, 1..3).unwrap();
    suite.call("Frozen::energy", 3, || *energy.energy());
    suite.call("Frozen::energy_mut", 3, || *energy.energy_mut());
    for l in COUNTS {
        suite.call("Frozen::is_frozen", l, || energy.is_frozen(l));
    }
    for mu in extreme_measures::<T>(3)
        .into_iter()
        .chain(invalid_measures(3))
        .chain(extreme_measures(2))
    {
        for (rows, columns) in [mu.points().shape(), (3, 0), (2, 2)] {
            let at = (&mu, rows, columns);
            let v = DMatrix::from_element(rows, columns, T::one());
            let mut out = v.clone();
            let mut values = vec![T::zero(); columns];
            let mut blocks = [(); 2].map(|()| vec![T::zero(); 9 * columns]);
            let [remainder, included] = &mut blocks;
            suite.call("Energy::value", at, || energy.value(&mu));
            suite.call("Energy::velocity", at, || energy.velocity(&mu, &mut out));
            suite.call("Energy::first_variation", at, || {
                energy.first_variation(&mu, &v, &mut values, &mut out)
            });
            suite.call("Energy::curvature", at, || {
                energy.curvature(&mu, &v, &mut out)
            });
            suite.call("Energy::hessians", at, || {
                energy.hessians(&mu, remainder, included)
            });
            suite.call("Energy::breakpoints", at, || {
                energy.breakpoints(&mu, &v, T::one(), &mut |_: &Breakpoint<'_, T>| {});
            });
            suite.call("Energy::inner", at, || energy.inner(&mu, &v, &v));
        }
    }
    // The energy is replaced by one on particles of another dimension.
    *energy.energy_mut() = PotentialEnergy::new(WeightDecay::new(T::one()).unwrap(), 5);
    let checked = suite.call("Energy::check", "another dimension", || energy.check());
    suite.check(
        checked.is_some_and(|c| c.is_err()),
        "another dimension is refused",
        5,
    );
    for mu in [extreme_measures::<T>(3), extreme_measures(5)]
        .into_iter()
        .flatten()
        .take(3)
    {
        let mut out = mu.points().clone();
        suite.call("Energy::velocity", &mu, || energy.velocity(&mu, &mut out));
    }
}
