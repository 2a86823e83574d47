//! Exchange with NumPy and the Python package `safetensors`. Ignored without them:
//! `WASSERFLOW_PYTHON=PYTHON cargo test -p wasserflow-tests --test contract python -- --ignored`.

use std::process::Command;

use wasserflow::io::{self, Archive, Array};
use wasserflow::prelude::*;

use super::*;

/// What Rust writes, Python reads; what Python writes, Rust reads; every bit is compared.
#[test]
#[ignore = "requires NumPy and safetensors for Python, named by WASSERFLOW_PYTHON"]
fn python_reads_and_writes_the_same_bits() {
    let python = std::env::var("WASSERFLOW_PYTHON").expect("the variable WASSERFLOW_PYTHON");
    let folder = Folder::new("python");
    let mut written = archive();
    written.insert("plain", Array::from_vector(vec![0.5_f64]));
    let mut flow = ParticleFlow::new(network(), Momentum, 0.1).unwrap();
    let mut state = flow.start(neurons(6)).unwrap();
    let mut trace = observe::Trace::new();
    flow.run(&mut state, 5, &mut trace).unwrap();
    trace.write_csv(folder.join("trace.csv")).unwrap();
    for format in FORMATS {
        let extension = extension(format);
        written
            .write(folder.join(&format!("all.{extension}")))
            .unwrap();
        io::write(folder.join(&format!("state.{extension}")), &state).unwrap();
        io::write(folder.join(&format!("mu.{extension}")), state.measure()).unwrap();
    }
    let wide = written.array("wide").unwrap();
    io::write_npy(folder.join("wide.npy"), wide).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/files/peer.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&folder.0)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{text}");

    // The bits that Python found.
    let mut compared = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("read\t")) {
        let [file, name, shape, found] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let archive = Archive::read(folder.join(file)).unwrap();
        let digits = |name: &str| name.bytes().map(|b| format!("{b:02x}")).collect::<String>();
        let found_array = archive.arrays().find(|(other, _)| digits(other) == name);
        let (_, array) = found_array.unwrap_or_else(|| panic!("{line}"));
        assert_eq!(shape, format!("{:?}", array.shape()), "{line}");
        let expected: Vec<_> = bits(array).iter().map(u64::to_string).collect();
        assert_eq!(found, expected.join(" "), "{line}");
        compared += 1;
    }
    assert!(
        compared > 30,
        "only {compared} arrays were compared:\n{text}"
    );

    // What Python wrote: the same arrays in C and in Fortran order.
    for file in ["numpy.npz", "python.safetensors"] {
        let read = Archive::read(folder.join(file)).unwrap();
        for name in ["wide", "narrow", "integers", "matrix", "scalar", "empty"] {
            let (found, expected) = (read.array(name).unwrap(), written.array(name).unwrap());
            assert_eq!(found.shape(), expected.shape(), "{file} {name}");
            assert_eq!(bits(found), bits(expected), "{file} {name}");
        }
    }
    for name in ["integers", "matrix"] {
        let found = io::read_npy(folder.join(&format!("fortran-{name}.npy"))).unwrap();
        assert_eq!(&found, written.array(name).unwrap());
    }
    let mu: EmpiricalMeasure<f64> = io::read(folder.join("python-measure.npz")).unwrap();
    assert_eq!((mu.dim(), mu.particle(1)), (2, &[3.0, 4.0][..]));
    for (file, reason) in [
        ("big-endian.npy", "found >f8"),
        ("half.npy", "found <f2"),
        ("object.npy", "found |O"),
        (
            "compressed.npz",
            "found deflate (save with numpy.savez, not savez_compressed)",
        ),
        ("half.safetensors", "found F16"),
    ] {
        let path = folder.join(file);
        let error = match file.ends_with(".npy") {
            true => io::read_npy(&path).unwrap_err().to_string(),
            false => Archive::read(&path).unwrap_err().to_string(),
        };
        assert!(error.contains(reason), "{error}");
    }
}
