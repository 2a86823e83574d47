//! Files: every bit comes back, invalid bytes are typed errors, and killed runs resume.

use std::fs;
use std::path::{Path, PathBuf};

use wasserflow::io::{Archive, Array, Elements, Format};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

mod contents;
mod damage;
mod killed;
mod networks;
mod python;
mod system;

const FORMATS: [Format; 2] = [Format::Safetensors, Format::Npz];

fn extension(format: Format) -> &'static str {
    match format {
        Format::Npz => "npz",
        _ => "safetensors",
    }
}

/// A directory that is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    /// A directory in memory if the system has one: waiting for a disk is not a part of the test.
    fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        Self::within(&root, name)
    }

    fn within(root: &Path, name: &str) -> Self {
        let path = root.join(format!("wasserflow-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Scalars whose bits are easily lost: 1 + eps, -0, subnormal, huge, not finite, NaN with a payload.
fn difficult_64() -> Vec<f64> {
    let nan = f64::from_bits(0x7FF8_0000_DEAD_BEEF);
    vec![
        1.0 + f64::EPSILON,
        -0.0,
        5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::NEG_INFINITY,
        nan,
        -nan,
        0.1,
        std::f64::consts::PI,
    ]
}

fn difficult_32() -> Vec<f32> {
    let nan = f32::from_bits(0x7FC0_BEEF);
    vec![
        1.0 + f32::EPSILON,
        -0.0,
        1e-45,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        nan,
        -nan,
        0.1,
    ]
}

/// The bits of all elements.
fn bits(array: &Array) -> Vec<u64> {
    match array.elements() {
        Elements::F32(x) => x.iter().map(|x| x.to_bits().into()).collect(),
        Elements::F64(x) => x.iter().map(|x| x.to_bits()).collect(),
        Elements::I64(x) => x.iter().map(|&x| x as u64).collect(),
        _ => unreachable!("a new type of elements"),
    }
}

/// An archive of arrays of all types and of 0 to 3 dimensions, with difficult names and metadata.
fn archive() -> Archive {
    let mut archive = Archive::new();
    let integers = Elements::I64(vec![i64::MIN, -1, 0, 1, i64::MAX, 42]);
    for (name, array) in [
        ("wide", Array::from_vector(difficult_64())),
        ("narrow", Array::from_vector(difficult_32())),
        ("integers", Array::new(vec![1, 3, 2], integers).unwrap()),
        ("scalar", Array::from_scalar(-0.0_f32)),
        (
            "empty",
            Array::new(vec![0, 3], Elements::F64(Vec::new())).unwrap(),
        ),
        (
            "matrix",
            Array::from_matrix(&DMatrix::from_fn(2, 3, |l, j| (l + 10 * j) as f32)),
        ),
        (
            "a \"name\"\\\n\u{1} \u{e9}\u{1f600}/x",
            Array::from_scalar(1.5_f64),
        ),
    ] {
        archive.insert(name, array);
    }
    archive.set_metadata("kind", "a test");
    archive.set_metadata("\"key\"\t", "value\\ \u{7f} \u{1f600}\r\n");
    archive.set_metadata("", "");
    archive
}

fn network() -> impl Energy<f64> {
    let x = DMatrix::from_fn(3, 40, |l, j| ((5 * l + 3 * j) as f64).sin());
    let y = DVector::from_fn(40, |j, _| ((2 * j) as f64).cos());
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let decay = WeightDecay::new(0.01).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 3), risk).unwrap();
    energy.regularized(decay)
}

fn neurons(m: usize) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_fn(4, m, |l, i| {
        ((7 * l + 11 * i) as f64).sin()
    }))
    .unwrap()
}

/// Momentum: a custom integrator with a field and two scalars in the state.
struct Momentum;

impl Integrator<f64> for Momentum {
    fn order(&self) -> u32 {
        1
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        state.evaluate(energy);
        let shape = state.measure().points().shape();
        let v = state.velocity().clone();
        let momentum = state.memory_mut().field(0, shape);
        *momentum *= 0.9;
        *momentum += v;
        let momentum = momentum.clone();
        state.memory_mut().scalars = vec![momentum.norm(), 0.1];
        state.measure_mut().displace(dt, &momentum);
        Ok(Step::new(dt))
    }
}

/// The integrators of the tests with a step size.
fn methods() -> Vec<(Box<dyn Integrator<f64>>, f64)> {
    vec![
        (Box::new(Euler), 0.05),
        (Box::new(DormandPrince::new(1e-6, 1e-9)), 0.01),
        (Box::new(Conic::new(0.5, 0.5)), 0.05),
        (Box::new(Momentum), 0.02),
        (Box::new(Jko::default()), 0.2),
    ]
}

/// The bytes of a state: equal bytes are equal bits of all parts.
fn bytes(state: &State<f64>) -> Vec<u8> {
    let archive = state.to_archive().unwrap();
    archive.to_bytes(Format::Safetensors).unwrap()
}

/// The files in a directory, in the order of their names.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
