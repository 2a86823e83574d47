//! Files, archives, checkpoints and the parts of states.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nalgebra::{DMatrix, DVector};
use wasserflow::io::{self, Archive, ArchiveError, Array, Element, Elements, Format};
use wasserflow::observe::{Checkpoint, Trace};
use wasserflow::prelude::*;
use wasserflow::state::{Evaluation, StateParts};

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    let folder = std::env::temp_dir().join(format!("wasserflow-hostile-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    arrays(suite);
    archives(suite);
    maps(suite);
    paths(suite, &folder);
    stored::<f32>(suite, &folder);
    stored::<f64>(suite, &folder);
    parts::<f32>(suite);
    parts::<f64>(suite);
    checkpoints(suite, &folder);
    fs::remove_dir_all(&folder).unwrap();
}

fn arrays(suite: &Suite<'_>) {
    let elements = [
        Elements::F32(vec![f32::NAN]),
        Elements::F64(Vec::new()),
        Elements::I64(vec![0, i64::MIN]),
    ];
    for a in COUNTS {
        for b in COUNTS {
            for elements in &elements {
                let shape = vec![a, b];
                let array = suite.call("Array::new", (&shape, elements), || {
                    Array::new(shape.clone(), elements.clone())
                });
                let Some(Ok(array)) = array else { continue };
                suite.call("Array::shape", &array, || array.shape().len());
                suite.call("Array::elements", &array, || array.elements().clone());
                suite.call("Array::to_matrix", &array, || array.to_matrix::<f64>());
                suite.call("Array::to_matrix", &array, || array.to_matrix::<f32>());
                suite.call("Array::to_vector", &array, || array.to_vector::<f64>());
                written(suite, "array", array);
            }
        }
    }
    suite.call("Array::new", "65 dimensions", || {
        Array::new(vec![1; 65], Elements::I64(vec![1]))
    });
    for x in NUMBERS {
        let array = suite.call("Array::from_scalar", x, || Array::from_scalar(x));
        written(suite, "scalar", array.unwrap());
        let array = suite.call("Array::from_vector", x, || Array::from_vector(vec![x; 2]));
        written(suite, "vector", array.unwrap());
        let matrix = DMatrix::from_element(2, 0, x as f32);
        let array = suite.call("Array::from_matrix", x, || Array::from_matrix(&matrix));
        written(suite, "matrix", array.unwrap());
    }
}

/// An array in a file of each format comes back.
fn written(suite: &Suite<'_>, name: &str, array: Array) {
    let mut archive = Archive::new();
    suite.call("Archive::insert", name, || {
        archive.insert(name, array.clone())
    });
    for format in [Format::Npz, Format::Safetensors] {
        let bytes = suite.call("Archive::to_bytes", (name, format), || {
            archive.to_bytes(format)
        });
        let Some(Ok(bytes)) = bytes else { continue };
        let read = suite.call("Archive::from_bytes", name, || Archive::from_bytes(&bytes));
        let shape = |archive: &Archive| archive.get(name).map(|array| array.shape().to_vec());
        let same = read.is_some_and(|read| {
            read.is_ok_and(|read| shape(&read) == Some(array.shape().to_vec()))
        });
        suite.check(same, "an array comes back", (&array, format));
    }
}

const NAMES: [&str; 8] = [
    "",
    "x",
    "__metadata__",
    "../x",
    "a\"b\\c\n\u{0}",
    "\u{1f600}",
    "metadata.json",
    "points",
];

fn archives(suite: &Suite<'_>) {
    let arrays = [
        Array::from_scalar(f64::NAN),
        Array::from_vector(vec![f32::INFINITY]),
        Array::from_matrix(&DMatrix::from_element(1, 2, 0.5)),
        Array::new(Vec::new(), Elements::I64(vec![-1])).unwrap(),
    ];
    for name in NAMES {
        for array in &arrays {
            let mut archive = suite.call("Archive::new", (), Archive::new).unwrap();
            suite.call("Archive::set_metadata", name, || {
                archive.set_metadata(name, name);
            });
            archive.insert(name, array.clone());
            for asked in NAMES {
                suite.call("Archive::get", asked, || archive.get(asked).is_some());
                suite.call("Archive::array", asked, || archive.array(asked).is_ok());
                suite.call("Archive::matrix", asked, || archive.matrix::<f64>(asked));
                suite.call("Archive::vector", asked, || archive.vector::<f32>(asked));
                suite.call("Archive::scalar", asked, || archive.scalar::<f64>(asked));
                suite.call("Archive::integer", asked, || archive.integer(asked));
                suite.call("Archive::require", asked, || archive.require(asked).is_ok());
                suite.call("Archive::expect", asked, || archive.expect(asked, name));
                suite.call("Archive::parse", asked, || {
                    archive.parse::<f64>(asked, "a number")
                });
            }
            suite.call("Archive::arrays", name, || archive.arrays().count());
            suite.call("Archive::metadata", name, || archive.metadata().count());
            suite.call("Archived::from_archive", name, || {
                EmpiricalMeasure::<f64>::from_archive(&archive).is_ok()
            });
            suite.call("Archived::from_archive", name, || {
                State::<f32>::from_archive(&archive).is_ok()
            });
            written(suite, name, array.clone());
        }
        suite.call("ArchiveError::invalid", name, || {
            ArchiveError::invalid(name, name, name).to_string()
        });
    }
    let headers: [&[u8]; 6] = [
        b"",
        b"PK\x03\x04",
        b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
        b"\x02\0\0\0\0\0\0\0{}",
        b"\x93NUMPY\x01\0\xff\xff",
    ];
    for bytes in headers {
        suite.call("Archive::from_bytes", bytes, || Archive::from_bytes(bytes));
    }
}

fn maps(suite: &Suite<'_>) {
    for x in NUMBERS {
        let name = suite.call("Named::to_name", x, || LeakyRelu(x).to_name());
        let Some(name) = name else { continue };
        let read = suite.call("Named::from_name", &name, || LeakyRelu::from_name(&name));
        let same = read
            .flatten()
            .is_some_and(|read| read.0.to_bits() == x.to_bits());
        suite.check(same || x.is_nan(), "an activation comes back", x);
    }
    for name in [
        "",
        "Relu",
        "LeakyRelu",
        "LeakyRelu()",
        "LeakyRelu(x)",
        "ReluPower(-1)",
    ] {
        suite.call("Named::from_name", name, || LeakyRelu::from_name(name));
        suite.call("Named::from_name", name, || ReluPower::from_name(name));
        for d in COUNTS {
            let mut archive = Ridge::with_outputs(Relu, d, d).to_archive().unwrap();
            archive.set_metadata("activation", name);
            let read = suite.call("Archived::from_archive", (name, d), || {
                Ridge::<Relu>::from_archive(&archive)
            });
            let expected = name == "Relu";
            let found = read.is_some_and(|read| read.is_ok());
            suite.check(found == expected, "a map of another activation", (name, d));
        }
    }
}

fn paths(suite: &Suite<'_>, folder: &Path) {
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
    let array = Array::from_scalar(1.0);
    let long = folder.join("x".repeat(300) + ".npz");
    let paths: Vec<PathBuf> = ["", ".", "..", "/", "/dev/null", "x\0.npz", ".npz"]
        .map(PathBuf::from)
        .into_iter()
        .chain([long, folder.join("none/x.npz"), folder.to_path_buf()])
        .collect();
    for path in &paths {
        suite.call("Format::of", path, || Format::of(path));
        if path != Path::new(".npz") {
            suite.call("io::write", path, || io::write(path, &mu).is_ok());
            suite.call("Archive::write", path, || {
                Archive::new().write(path).is_ok()
            });
        }
        let error = suite.call("io::read", path, || {
            io::read::<EmpiricalMeasure<f64>>(path).unwrap_err()
        });
        if let Some(error) = error {
            suite.call("FileError::path", path, || error.path().to_path_buf());
            suite.call("FileError::is_not_found", path, || error.is_not_found());
        }
        suite.call("Archive::read", path, || Archive::read(path).is_ok());
        suite.call("io::read_npy", path, || io::read_npy(path).is_ok());
        suite.call("Checkpoint::resume", path, || {
            Checkpoint::resume::<f64>(path).is_ok()
        });
    }
    for path in [folder.join("none/x"), folder.to_path_buf()] {
        let result = suite.call("io::write_npy", &path, || io::write_npy(&path, &array));
        suite.check(result.is_some_and(|r| r.is_err()), "no such path", &path);
        suite.call("Trace::write_csv", &path, || {
            Trace::<f64>::new().write_csv(&path).is_ok()
        });
    }
}

/// Measures with extreme numbers come back, invalid ones are refused.
fn stored<T: Element>(suite: &Suite<'_>, folder: &Path) {
    let path = folder.join("mu.npz");
    let valid = extreme_measures::<T>(2).into_iter().map(|mu| (mu, true));
    let invalid = invalid_measures::<T>(2).into_iter().map(|mu| (mu, false));
    for (mu, is_valid) in valid.chain(invalid).step_by(3) {
        let at = (mu.len(), mu.points()[0], mu.weight(0));
        let archive = suite.call("Archived::to_archive", at, || mu.to_archive());
        suite.call("io::write", at, || io::write(&path, &mu).is_ok());
        let read = suite.call("io::read", at, || io::read::<EmpiricalMeasure<T>>(&path));
        let Some(read) = read else { continue };
        let same = match read {
            Ok(read) => is_valid && read == mu,
            Err(_) => !is_valid,
        };
        suite.check(same && archive.is_some(), "a measure comes back", at);
    }
}

fn parts<T: Element>(suite: &Suite<'_>) {
    let mu = EmpiricalMeasure::<T>::uniform(DMatrix::from_element(1, 2, T::one())).unwrap();
    let valid = State::new(mu).to_parts();
    for a in NUMBERS {
        let x = real::<T>(a);
        let evaluation = |x: T, columns: usize| Evaluation {
            velocity: DMatrix::from_element(1, columns, x),
            energy: x,
            dissipation: x,
            slope: Some(x),
        };
        let mut weights = valid.measure.clone();
        weights.weights_mut()[0] = x;
        let mut memory = valid.memory.clone();
        memory.scalars = vec![x];
        memory.fields = vec![DMatrix::from_element(3, 1, x)];
        let changed: [StateParts<T>; 7] = [
            StateParts {
                time: x,
                ..valid.clone()
            },
            StateParts {
                lost: x,
                ..valid.clone()
            },
            StateParts {
                next: Some(x),
                ..valid.clone()
            },
            StateParts {
                measure: weights,
                ..valid.clone()
            },
            StateParts {
                memory,
                ..valid.clone()
            },
            StateParts {
                evaluation: Some(evaluation(x, 2)),
                ..valid.clone()
            },
            StateParts {
                evaluation: Some(evaluation(T::one(), 1)),
                step: usize::MAX,
                ..valid.clone()
            },
        ];
        for (part, parts) in changed.into_iter().enumerate() {
            let at = (part, a);
            let state = suite.call("State::from_parts", at, || State::from_parts(parts));
            let Some(Ok(state)) = state else { continue };
            suite.call("State::to_parts", at, || state.to_parts().step);
            let archive = suite.call("Archived::to_archive", at, || state.to_archive());
            let Some(Ok(archive)) = archive else { continue };
            let read = State::<T>::from_archive(&archive);
            suite.check(read.is_ok(), "a state comes back", (at, read));
            let decay = WeightDecay::new(real(0.5)).unwrap();
            let energy = PotentialEnergy::new(decay, 1);
            let integrators: [Box<dyn Integrator<T>>; 3] = [
                Box::new(Euler),
                Box::new(DormandPrince::default()),
                Box::new(Jko::default()),
            ];
            for integrator in integrators {
                let mut flow = ParticleFlow::new(energy, integrator, T::one()).unwrap();
                suite.call("ParticleFlow::advance", at, || {
                    flow.advance(&mut state.clone()).is_ok()
                });
            }
            suite.call("State::into_parts", at, || state.into_parts().step);
        }
    }
    let mut many = valid;
    many.step = usize::MAX;
    let state = State::from_parts(many).unwrap();
    let stored = suite.call("Archived::to_archive", "usize::MAX steps", || {
        state.to_archive()
    });
    suite.check(stored.is_some_and(|r| r.is_err()), "steps fit in int64", ());
}

fn checkpoints(suite: &Suite<'_>, folder: &Path) {
    let risk = EmpiricalRisk::new(
        Square,
        DMatrix::from_element(1, 1, 1.0),
        DVector::from_element(1, 1.0),
    );
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk.unwrap()).unwrap();
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0)).unwrap();
    let mut state = flow.start(mu).unwrap();
    let path = folder.join("state.safetensors");
    for k in COUNTS {
        let checkpoint = suite.call("Checkpoint::every_steps", k, || {
            Checkpoint::every_steps(&path, k)
        });
        let Some(Ok(mut checkpoint)) = checkpoint else {
            continue;
        };
        let run = suite.call("ParticleFlow::run", k, || {
            flow.run(&mut state, 3, &mut checkpoint)
        });
        suite.check(
            run == Some(Ok(StopReason::Steps)),
            "a run with checkpoints",
            k,
        );
        let folder = std::env::temp_dir();
        suite.call("Checkpoint::gathered", k, || {
            let alone = wasserflow::testing::Rank::<f64>::group(1).remove(0);
            let checkpoint = Checkpoint::every_steps(folder.join("none/x.npz"), k);
            let checkpoint = checkpoint.map(|checkpoint| checkpoint.gathered(alone));
            checkpoint.map(|mut checkpoint| checkpoint.save(&state).is_err())
        });
        suite.call("Checkpoint::save", k, || checkpoint.save(&state).is_ok());
        suite.call("Checkpoint::error", k, || checkpoint.error().is_none());
        suite.call("Checkpoint::path", k, || checkpoint.path().to_path_buf());
    }
    for period in [Duration::ZERO, Duration::MAX] {
        suite.call("Checkpoint::every_period", period, || {
            Checkpoint::every_period(&path, period).is_ok()
        });
    }
    let mut trace = Trace::new();
    flow.run(&mut state, 2, &mut trace).unwrap();
    suite.call("Trace::to_csv", (), || trace.to_csv().len());
}
