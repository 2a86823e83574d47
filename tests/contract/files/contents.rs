//! What is written comes back, to the bit.

use wasserflow::error::MeasureError;
use wasserflow::io::{self, Archive, Array, Elements};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{Checkpoint, Trace};
use wasserflow::prelude::*;
use wasserflow::state::StateError;

use super::*;

#[test]
fn all_bits_names_and_metadata_come_back() {
    let written = archive();
    for format in FORMATS {
        let bytes = written.to_bytes(format).unwrap();
        assert_eq!(
            bytes,
            written.to_bytes(format).unwrap(),
            "equal contents are equal files"
        );
        let read = Archive::from_bytes(&bytes).unwrap();
        assert!(read.metadata().eq(written.metadata()));
        assert_eq!(read.arrays().count(), written.arrays().count());
        for ((name, array), (found, read)) in written.arrays().zip(read.arrays()) {
            assert_eq!((name, array.shape()), (found, read.shape()));
            assert_eq!(bits(array), bits(read), "{name}");
            assert_eq!(
                std::mem::discriminant(array.elements()),
                std::mem::discriminant(read.elements())
            );
        }
    }
    let folder = Folder::new("npy");
    for (number, (_, array)) in written.arrays().enumerate() {
        let path = folder.join(&format!("{number}.npy"));
        io::write_npy(&path, array).unwrap();
        let read = io::read_npy(&path).unwrap();
        assert_eq!((bits(&read), read.shape()), (bits(array), array.shape()));
    }
    let empty = Archive::new();
    for format in FORMATS {
        assert_eq!(
            Archive::from_bytes(&empty.to_bytes(format).unwrap()),
            Ok(empty.clone())
        );
    }
}

/// The first index varies fastest in Fortran order; Python is not needed to check that.
#[test]
fn fortran_order_is_read_as_c_order() {
    let folder = Folder::new("fortran");
    let path = folder.join("x.npy");
    for (shape, order, expected) in [
        ("(2, 3)", "True", [0, 2, 4, 1, 3, 5]),
        ("(2, 3)", "False", [0, 1, 2, 3, 4, 5]),
        ("(1, 3, 1, 2)", "True", [0, 3, 1, 4, 2, 5]),
        ("(6,)", "True", [0, 1, 2, 3, 4, 5]),
    ] {
        let header = format!("{{'descr':\"<i8\",'shape':{shape},'fortran_order':{order}}}\n");
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        for x in 0..6_i64 {
            bytes.extend_from_slice(&x.to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
        let array = io::read_npy(&path).unwrap();
        assert_eq!(array.elements(), &Elements::I64(expected.to_vec()));
    }
}

fn measures_come_back<T: io::Element>(tiny: T) {
    let weights = vec![real(0.25), T::zero(), tiny];
    let points = DMatrix::from_fn(2, 3, |l, i| real::<T>(0.1) * real((l + 2 * i) as f64));
    let mu = EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap();
    let folder = Folder::new(&format!("measures-{}", size_of::<T>()));
    for format in FORMATS {
        let path = folder.join(&format!("mu.{}", extension(format)));
        io::write(&path, &mu).unwrap();
        assert_eq!(io::read::<EmpiricalMeasure<T>>(&path).unwrap(), mu);
    }
}

#[test]
fn measures_come_back_in_both_precisions() {
    measures_come_back::<f32>(1e-45);
    measures_come_back::<f64>(5e-324);
}

/// From `f32` to `f64` is exact, the reverse is refused; a file without weights is uniform.
#[test]
fn measures_of_other_programs_are_read() {
    let mut archive = Archive::new();
    archive.insert(
        "points",
        Array::from_matrix(&DMatrix::from_element(3, 2, 0.1_f32)),
    );
    let mu = EmpiricalMeasure::<f64>::from_archive(&archive).unwrap();
    assert_eq!((mu.dim(), mu.len(), mu.weights()), (3, 2, &[0.5, 0.5][..]));
    assert_eq!(mu.particle(1), &[f64::from(0.1_f32); 3]);

    archive.insert(
        "points",
        Array::from_matrix(&DMatrix::from_element(3, 2, 0.1_f64)),
    );
    let error = EmpiricalMeasure::<f32>::from_archive(&archive).unwrap_err();
    assert_eq!(
        error.to_string(),
        "array `points` must be float32, found float64"
    );
}

#[test]
fn invalid_measures_are_typed_errors() {
    let read = |points: Array, weights: Option<Array>| {
        let mut archive = Archive::new();
        archive.insert("points", points);
        weights.map(|weights| archive.insert("weights", weights));
        EmpiricalMeasure::<f64>::from_archive(&archive).unwrap_err()
    };
    let points = |x: f64| Array::from_matrix(&DMatrix::from_element(2, 2, x));
    assert_eq!(
        read(points(1.0), Some(Array::from_vector(vec![1.0, -1.0]))),
        MeasureError::Weight {
            particle: 1,
            value: -1.0
        }
        .into()
    );
    assert!(matches!(
        read(points(f64::NAN), None),
        ArchiveError::Measure(MeasureError::Point {
            particle: 0,
            coordinate: 0,
            ..
        })
    ));
    let empty = Array::new(vec![2, 0], Elements::F64(Vec::new())).unwrap();
    assert_eq!(
        read(empty, None),
        MeasureError::Empty { dim: 0, len: 2 }.into()
    );
    assert_eq!(
        read(points(1.0), Some(Array::from_vector(vec![1.0]))),
        MeasureError::Weights {
            expected: 2,
            found: 1
        }
        .into()
    );
    for (points, message) in [
        (
            Array::from_vector(vec![1.0]),
            "array `points` must be of 2 dimensions",
        ),
        (
            Array::new(vec![1, 1], Elements::I64(vec![1])).unwrap(),
            "array `points` must be float64, found int64",
        ),
    ] {
        let error = read(points, None).to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = EmpiricalMeasure::<f64>::from_archive(&archive()).unwrap_err();
    let start = "array `points` must be in the file, found only a ?name?";
    assert!(
        error
            .to_string()
            .starts_with(&start.replace("?name?", "\"name\"")),
        "{error}"
    );
}

/// run(30) = run(k), a file, run(30 - k), in all parts and all bits.
#[test]
fn states_resume_from_files_bit_for_bit() {
    let folder = Folder::new("states");
    for (method, (integrator, dt)) in methods().into_iter().enumerate() {
        let mut flow = ParticleFlow::new(network(), integrator, dt).unwrap();
        let mut state = flow.start(neurons(12)).unwrap();
        let mut states = vec![state.clone()];
        for _ in 0..30 {
            flow.advance(&mut state).unwrap();
            states.push(state.clone());
        }
        for (format, k) in [
            (FORMATS[0], 0),
            (FORMATS[1], 1),
            (FORMATS[0], 13),
            (FORMATS[1], 29),
        ] {
            let path = folder.join(&format!("{method}.{}", extension(format)));
            io::write(&path, &states[k]).unwrap();
            let mut resumed = Checkpoint::resume(&path).unwrap();
            assert_eq!(bytes(&resumed), bytes(&states[k]));
            flow.run(&mut resumed, 30 - k, &mut ()).unwrap();
            assert_eq!(
                bytes(&resumed),
                bytes(&state),
                "method {method} from step {k}"
            );
        }
    }
}

/// The compensation of the clock is a part: without it the time differs at some later step.
#[test]
fn the_lost_part_of_the_time_comes_back() {
    let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 4);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let mut state = flow.start(neurons(2)).unwrap();
    flow.run(&mut state, 500, &mut ()).unwrap();
    let mut parts = state.to_parts();
    assert_ne!(parts.lost, 0.0);
    let mut copy = State::from_archive(&state.to_archive().unwrap()).unwrap();
    parts.lost = 0.0;
    let (mut without, mut differs) = (State::from_parts(parts).unwrap(), false);
    for _ in 0..500 {
        for state in [&mut state, &mut copy, &mut without] {
            flow.advance(state).unwrap();
        }
        assert_eq!(copy.time(), state.time());
        differs |= without.time() != state.time();
    }
    assert!(differs, "the test does not depend on the compensation");
}

#[test]
fn a_stale_state_is_evaluated_anew() {
    let mut flow = ParticleFlow::new(network(), Euler, 0.1).unwrap();
    let mut state = flow.start(neurons(3)).unwrap();
    state.measure_mut().points_mut()[0] = 0.5;
    let mut copy = State::from_archive(&state.to_archive().unwrap()).unwrap();
    assert!(copy.is_stale() && copy.to_parts().evaluation.is_none());
    flow.run(&mut state, 2, &mut ()).unwrap();
    flow.run(&mut copy, 2, &mut ()).unwrap();
    assert_eq!(bytes(&state), bytes(&copy));
}

#[test]
fn invalid_states_are_typed_errors() {
    let mut flow = ParticleFlow::new(network(), Momentum, 0.1).unwrap();
    let mut state = flow.start(neurons(3)).unwrap();
    flow.run(&mut state, 2, &mut ()).unwrap();
    let valid = state.to_archive().unwrap();
    type Change = fn(&mut Archive);
    let changes: [(Change, &str); 12] = [
        (
            |a| a.set_metadata("kind", "measure"),
            "metadata `kind` must be `state`, found measure",
        ),
        (
            |a| a.set_metadata("scalar", "float32"),
            "metadata `scalar` must be `float64`",
        ),
        (
            |a| a.set_metadata("wasserflow", 2),
            "metadata `wasserflow` must be `1`, found 2",
        ),
        (
            |a| drop(a.insert("time", Array::from_scalar(f64::NAN))),
            "time of the state must be finite, found NaN",
        ),
        (
            |a| drop(a.insert("next", Array::from_scalar(-1.0))),
            "size of the next step must be positive and finite, found -1",
        ),
        (
            |a| drop(a.insert("energy", Array::from_scalar(f64::INFINITY))),
            "energy of the state must be finite, found inf",
        ),
        (
            |a| {
                drop(a.insert(
                    "velocity",
                    Array::from_matrix(&DMatrix::from_element(3, 3, 0.0)),
                ))
            },
            "rows of the velocities must be 4, found 3",
        ),
        (
            |a| drop(a.insert("step", Array::new(vec![], Elements::I64(vec![-1])).unwrap())),
            "array `step` must be a number of steps, found -1",
        ),
        (
            |a| drop(a.insert("step", Array::from_scalar(1.0))),
            "array `step` must be int64 of 0 dimensions",
        ),
        (
            |a| drop(a.insert("memory_field_2", Array::from_scalar(1.0))),
            "the arrays of a state must be its parts, found memory_field_2",
        ),
        (
            |a| drop(a.insert("slope", Array::from_scalar(-1.0))),
            "slope of the state must be >= 0, found -1",
        ),
        (
            |a| drop(a.insert("weights", Array::from_vector(vec![1.0, f64::NAN, 1.0]))),
            "the weight of particle 1 must be finite and >= 0, found NaN",
        ),
    ];
    for (change, message) in changes {
        let mut archive = valid.clone();
        change(&mut archive);
        let error = State::<f64>::from_archive(&archive)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(message), "{error}");
    }
    for (name, _) in valid.arrays() {
        let mut archive = Archive::new();
        for (key, value) in valid.metadata() {
            archive.set_metadata(key, value);
        }
        for (other, array) in valid.arrays().filter(|(other, _)| *other != name) {
            archive.insert(other, array.clone());
        }
        let read = State::<f64>::from_archive(&archive);
        // Weights, slope and fields are optional; a custom integrator without its field restarts.
        let optional = ["weights", "slope", "memory_field_0"].contains(&name);
        assert_eq!(read.is_ok(), optional, "without {name}");
    }
    let mut parts = state.to_parts();
    parts.measure.weights_mut()[0] = -1.0;
    let error = State::from_parts(parts).unwrap_err();
    assert!(matches!(
        error,
        StateError::Measure(MeasureError::Weight { particle: 0, .. })
    ));
}

/// A map is stored with the name of its activation, and refuses another one.
#[test]
fn feature_maps_come_back() {
    fn comes_back<A: Named + PartialEq + std::fmt::Debug + Copy>(activation: A, name: &str) {
        assert_eq!(activation.to_name(), name);
        let map = Ridge::with_outputs(activation, 3, 2);
        let archive = map.to_archive().unwrap();
        assert_eq!(archive.require("activation").unwrap(), name);
        assert_eq!(Ridge::from_archive(&archive).unwrap(), map);
        assert!(Radial::<A>::from_archive(&archive).is_err());
        let radial = Radial::new(activation, 5);
        let archive = radial.to_archive().unwrap();
        assert_eq!(Radial::from_archive(&archive).unwrap(), radial);
    }
    comes_back(Relu, "Relu");
    comes_back(
        LeakyRelu(1.0 + f64::EPSILON),
        "LeakyRelu(1.0000000000000002)",
    );
    comes_back(LeakyRelu(5e-324), "LeakyRelu(5e-324)");
    comes_back(ReluPower(3), "ReluPower(3)");
    comes_back(Abs, "Abs");
    comes_back(Identity, "Identity");
    comes_back(Softplus, "Softplus");
    comes_back(Tanh, "Tanh");
    comes_back(Sigmoid, "Sigmoid");
    comes_back(Erf, "Erf");
    comes_back(Gelu, "Gelu");
    comes_back(Silu, "Silu");
    comes_back(Sine, "Sine");
    let archive = Ridge::new(Tanh, 2).to_archive().unwrap();
    let error = Ridge::<Relu>::from_archive(&archive).unwrap_err();
    let message = "metadata `activation` must be Relu, found Tanh";
    assert_eq!(error.to_string(), message);
}

#[test]
fn traces_are_tables() {
    let mut flow = ParticleFlow::new(network(), Rk4, 0.1).unwrap();
    let mut state = flow.start(neurons(5)).unwrap();
    let mut trace = Trace::new();
    flow.run(&mut state, 20, &mut trace).unwrap();
    let folder = Folder::new("trace");
    let path = folder.join("trace.csv");
    trace.write_csv(&path).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("step,time,energy,dissipation"));
    for record in trace.records() {
        let line = lines.next().unwrap();
        let values: Vec<f64> = line
            .split(',')
            .map(|value| value.parse().unwrap())
            .collect();
        let expected = [
            record.step as f64,
            record.time,
            record.energy,
            record.dissipation,
        ];
        assert_eq!(values, expected);
    }
    assert_eq!(lines.next(), None);
}
