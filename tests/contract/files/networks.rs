//! Networks in files.

use wasserflow::io::{self, Archive, ArchiveError, Archived, Array};
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

use super::{FORMATS, Folder, extension};

type Classifier<T> = Network<Ridge<LeakyRelu>, T>;

fn measure<T: Real>(p: usize) -> EmpiricalMeasure<T> {
    let entry = |i: usize, j: usize| real::<T>(0.1 + (i * i + 3 * j) as f64 / 7.0);
    EmpiricalMeasure::uniform(DMatrix::from_fn(p, 3, entry)).unwrap()
}

fn samples<T: Real>(d: usize) -> DMatrix<T> {
    DMatrix::from_fn(d, 5, |l, j| real((l + 1) as f64 * (j as f64 - 1.5)))
}

/// Networks with each of the optional parts, and without.
fn networks<T: Real>() -> Vec<Classifier<T>> {
    let map = |d, k| Ridge::with_outputs(LeakyRelu(0.1), d, k);
    let plain = |d, k| Network::new(map(d, k), measure(d + k)).unwrap();
    let scale = |d| Standardizer::fit(&samples::<T>(d)).unwrap();
    let regression = plain(3, 2).with_bias().unwrap();
    let regression = regression.with_input_scale(scale(2)).unwrap();
    vec![
        plain(2, 1),
        regression.with_target_scale(scale(2)).unwrap(),
        plain(1, 1)
            .with_classes(&["a \"quoted\"\nname", ""])
            .unwrap(),
        plain(2, 3).with_classes(&["x", "y", "\u{1f600}"]).unwrap(),
    ]
}

fn come_back<T: io::Element>() {
    let folder = Folder::new("networks");
    for network in networks::<T>() {
        for format in FORMATS {
            let path = folder.join(&format!("network.{}", extension(format)));
            io::write(&path, &network).unwrap();
            let read: Classifier<T> = io::read(&path).unwrap();
            assert_eq!(read, network);
            let x = samples(network.input_dim());
            assert_eq!(read.predict(&x), network.predict(&x));
            // The file is also that of its parts.
            let mu: EmpiricalMeasure<T> = io::read(&path).unwrap();
            let map: Ridge<LeakyRelu> = io::read(&path).unwrap();
            let inputs = network.input_dim() + usize::from(map.input_dim() > network.input_dim());
            assert_eq!((mu.len(), map.input_dim()), (3, inputs));
        }
    }
}

#[test]
fn networks_come_back_in_both_precisions() {
    come_back::<f32>();
    come_back::<f64>();
}

#[test]
fn an_invalid_network_is_an_error_that_names_the_part() {
    let valid = networks::<f64>()[1].to_archive().unwrap();
    let read = |change: &dyn Fn(&mut Archive)| {
        let mut archive = valid.clone();
        change(&mut archive);
        Classifier::<f64>::from_archive(&archive)
            .unwrap_err()
            .to_string()
    };
    type Change<'a> = &'a dyn Fn(&mut Archive);
    let cases: [(Change<'_>, &str); 6] = [
        (&|a| a.set_metadata("bias", "maybe"), "metadata `bias`"),
        (
            &|a| a.set_metadata("classes", u64::MAX),
            "metadata `class_0`",
        ),
        (&|a| a.set_metadata("d", 4), "dimension of the particles"),
        (
            &|a| a.set_metadata("activation", "Relu"),
            "metadata `activation`",
        ),
        (
            &|a| drop(a.insert("input_mean", Array::from_vector(vec![0.0_f64; 3]))),
            "number of deviations",
        ),
        (
            &|a| drop(a.insert("target_deviation", Array::from_vector(vec![1.0, -1.0]))),
            "deviation",
        ),
    ];
    for (change, part) in cases {
        let message = read(change);
        assert!(message.contains(part), "{message}");
    }
    let bare = measure::<f64>(2).to_archive().unwrap();
    let error = Classifier::<f64>::from_archive(&bare).unwrap_err();
    assert_eq!(
        error,
        ArchiveError::invalid("metadata `map`", "in the file", "no such entry")
    );
}
