//! Bytes that are not a valid file: typed errors, and no allocation beyond the size of the file.

use wasserflow::io::{self, Archive, Array};
use wasserflow::prelude::*;

use super::*;
use crate::allocation::counting_bytes;

/// Valid files of both formats.
fn valid() -> Vec<Vec<u8>> {
    let mut flow = ParticleFlow::new(network(), Momentum, 0.1).unwrap();
    let mut state = flow.start(neurons(3)).unwrap();
    flow.run(&mut state, 2, &mut ()).unwrap();
    let archives = [
        archive(),
        neurons(2).to_archive().unwrap(),
        state.to_archive().unwrap(),
    ];
    let encode = |archive: &Archive| FORMATS.map(|format| archive.to_bytes(format).unwrap());
    archives.iter().flat_map(encode).collect()
}

/// The splitmix generator of G. Steele, D. Lea and C. Flood, 2014.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// Changes bytes at random places.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let rest = bytes.len() - at;
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + random.below(rest.min(20) + 1))),
        2 => bytes.insert(at, random.below(256) as u8),
        3 if rest >= 8 => {
            let extreme = [0, 1, u64::MAX, u64::MAX / 2, 1 << 32, 1 << 40, 0xFFFF_FFFF];
            let number = extreme[random.below(extreme.len())];
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        4 if rest > 0 => {
            // Digits of sizes and offsets, quotes and brackets.
            let c = b"0123456789999,:[]{}()\"'\\ \n\xff"[random.below(27)];
            bytes[at] = c;
        }
        5 if rest > 0 => {
            // A copy of another part.
            let (from, length) = (random.below(bytes.len()), random.below(40));
            for k in 0..length {
                if at + k < bytes.len() && from + k < bytes.len() {
                    bytes[at + k] = bytes[from + k];
                }
            }
        }
        6 => {
            let digits = b"99999999999999999999"[..random.below(20)].to_vec();
            drop(bytes.splice(at..at, digits));
        }
        _ if rest > 0 => bytes[at] ^= 1 << random.below(8),
        _ => {}
    }
}

/// Reads the bytes as every kind of value; returns whether they are an archive.
fn read(bytes: &[u8]) -> bool {
    let archive = Archive::from_bytes(bytes);
    if let Ok(archive) = &archive {
        let mu = EmpiricalMeasure::<f64>::from_archive(archive);
        assert!(mu.is_err() || mu.is_ok_and(|mu| mu.check().is_ok()));
        let state = State::<f64>::from_archive(archive);
        assert!(state.is_err() || state.is_ok_and(|state| state.time().is_finite()));
        for format in FORMATS {
            // What can be read can be written, apart from the name of the metadata.
            let bytes = archive.to_bytes(format);
            assert!(bytes.is_ok() || archive.get("__metadata__").is_some());
        }
    }
    archive.is_ok()
}

const CASES: usize = 40_000;

/// The bytes that reading may request beyond this multiple of the size of the file: contents of
/// arrays, names, and copies of both.
const FACTOR: usize = 16;
const CONSTANT: usize = 1 << 14;

#[test]
fn damaged_bytes_are_typed_errors_without_large_allocations() {
    let (files, mut random, mut accepted) = (valid(), Random(7), 0);
    for case in 0..CASES {
        let mut bytes = files[case % files.len()].clone();
        for _ in 0..=random.below(4) {
            damage(&mut bytes, &mut random);
        }
        let (archive, requested) = counting_bytes(|| Archive::from_bytes(&bytes));
        let allowed = CONSTANT + FACTOR * bytes.len();
        assert!(
            requested <= allowed,
            "{requested} for {} bytes: {archive:?}",
            bytes.len()
        );
        accepted += usize::from(read(&bytes));
    }
    println!("{accepted} of {CASES} damaged files are valid");
    // Some changes are harmless: a bit of an element without a checksum, a date.
    assert!(accepted > CASES / 100 && accepted < CASES / 2, "{accepted}");
}

#[test]
fn every_truncated_file_is_refused() {
    for file in valid() {
        assert!(read(&file));
        for length in 0..file.len() {
            assert!(!read(&file[..length]), "{length} of {} bytes", file.len());
        }
        let longer = [&file[..], &[0]].concat();
        assert!(!read(&longer), "an additional byte");
    }
}

/// The checksums of `.npz` detect every changed byte of an array.
#[test]
fn a_changed_element_of_an_npz_file_is_detected() {
    let array = Array::from_vector(vec![1.0, 2.0, 3.0]);
    let mut archive = Archive::new();
    archive.insert("x", array);
    let file = archive.to_bytes(Format::Npz).unwrap();
    let start = file
        .windows(8)
        .position(|bytes| bytes == 1.0_f64.to_le_bytes())
        .unwrap();
    for at in start..start + 24 {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let error = Archive::from_bytes(&damaged).unwrap_err().to_string();
            assert!(
                error.starts_with("the checksum of `x.npy` must be"),
                "{error}"
            );
        }
    }
}

/// The error of a `.safetensors` file with a header, and data of 8 zeros.
fn header_error(header: &str) -> String {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0; 8]);
    let (error, requested) = counting_bytes(|| Archive::from_bytes(&bytes).unwrap_err());
    assert!(requested < 1 << 13, "{requested} bytes for {header}");
    error.to_string()
}

#[test]
fn hostile_headers_are_named() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!("{{\"x\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
    };
    for (header, message) in [
        (
            entry("BF16", "[4]", "[0,8]"),
            "array `x` must be F32, F64 or I64, found BF16",
        ),
        (
            entry("F64", "[2]", "[0,8]"),
            "array `x` must be float64 of shape [2], found 8 bytes",
        ),
        (
            entry("F64", "[4294967296,4294967296]", "[0,8]"),
            "array `x` must be float64 of shape",
        ),
        (
            entry("F64", "[99999999999999999999]", "[0,8]"),
            "byte 29 of the header must be a number",
        ),
        (
            entry("F64", "[1]", "[0,16]"),
            "array `x` must be within the 8 bytes of data",
        ),
        (
            entry("F64", "[1]", "[8,0]"),
            "array `x` must be at byte 0 of the data, found 8",
        ),
        (
            entry("F32", "[1]", "[4,8]"),
            "array `x` must be at byte 0 of the data, found 4",
        ),
        (
            entry("F32", "[1]", "[0,4]"),
            "the size of the data must be 4 bytes, found 8",
        ),
        (
            entry("F64", "[1]", "[0]"),
            "data_offsets of array `x` must be a pair, found 1 numbers",
        ),
        (
            entry("F64", "[-1]", "[0,8]"),
            "byte 29 of the header must be a number below 2^64",
        ),
        (
            entry("F64", "[1.0]", "[0,8]"),
            "byte 30 of the header must be `]`, found `.0],",
        ),
        (
            format!(
                "{{\"x\":{{\"shape\":[{}],\"dtype\":\"F64\",\"data_offsets\":[0,8]}}}}",
                { "1,".repeat(64) + "1" }
            ),
            "array `x` must be an array, found number of dimensions must be 64, found 65",
        ),
        (
            "{\"x\":{\"dtype\":\"F64\"}}".into(),
            "array `x` must be of a dtype, a shape and",
        ),
        (
            "{\"x\":{\"kind\":1}}".into(),
            "byte 13 of the header must be the value of dtype",
        ),
        (
            "{\"__metadata__\":{\"a\":1}}".into(),
            "byte 21 of the header must be a string",
        ),
        (
            "{\"__metadata__\":{\"a\":\"\\ud800\"}}".into(),
            "byte 22 of the header must be an escape",
        ),
        (
            "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}".into(),
            "the keys of the metadata must be",
        ),
        (
            "{".repeat(100_000),
            "byte 1 of the header must be a string, found `{{{{{{{{{{`",
        ),
        ("[]".into(), "byte 0 of the header must be `{`, found `[]`"),
        (
            "{} x".into(),
            "byte 3 of the header must be the end, found `x`",
        ),
        (
            "{\"\u{1}\":{}}".into(),
            "byte 2 of the header must be a character of a string",
        ),
        (
            String::new(),
            "byte 0 of the header must be `{`, found the end",
        ),
    ] {
        let error = header_error(&header);
        assert!(error.starts_with(message), "{error}\nfor {:.100}", header);
    }
    let mut bytes = u64::MAX.to_le_bytes().to_vec();
    bytes.push(b'{');
    let error = Archive::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.starts_with("the size of the file must be at least 8 + 18446744073709551615"));
}

/// The error of a `.npy` file with a header, and data of 8 zeros.
fn npy_error(version: u8, header: &str) -> String {
    let folder = Folder::new("npy-headers");
    let path = folder.join("x.npy");
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend_from_slice(&[version, 0]);
    match version {
        1 => bytes.extend_from_slice(&(header.len() as u16).to_le_bytes()),
        _ => bytes.extend_from_slice(&(header.len() as u32).to_le_bytes()),
    }
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0; 8]);
    fs::write(&path, bytes).unwrap();
    let error = io::read_npy(&path).unwrap_err().to_string();
    let path = format!("{}: ", path.display());
    error.strip_prefix(&path).unwrap().to_owned()
}

#[test]
fn arrays_of_other_types_are_named() {
    let header = |descr: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
    };
    let types = "the file must be of type <f4, <f8 or <i8 (little-endian), found";
    for (version, header, message) in [
        (1, header("'>f8'", "(1,)"), format!("{types} >f8")),
        (2, header("'<c16'", "(1,)"), format!("{types} <c16")),
        (3, header("'|O'", "(1,)"), format!("{types} |O")),
        (
            1,
            header("[('a', '<f8')]", "(1,)"),
            "byte 10 of the header of the file must be".into(),
        ),
        (
            4,
            header("'<f8'", "(1,)"),
            "the file must be of version 1.0 to 3.0, found 4.0".into(),
        ),
        (
            1,
            header("'<f8'", "(2,)"),
            "the file must be float64 of shape [2], found 8 bytes".into(),
        ),
        (
            1,
            header("'<f8'", "(4294967296, 4294967296)"),
            "the file must be float64 of shape [4294967296, 4294967296]".into(),
        ),
        (
            1,
            "{'descr': '<f8'}".into(),
            "the header of the file must be a dictionary of".into(),
        ),
        (
            1,
            "{'descr': __import__('os')}".into(),
            "byte 10 of the header of the file must".into(),
        ),
    ] {
        let error = npy_error(version, &header);
        assert!(error.starts_with(&message), "{error}\nfor {header}");
    }
}

/// A member that many entries of the directory share would be as large as all of them together.
#[test]
fn overlapping_zip_members_are_refused() {
    let mut archive = Archive::new();
    archive.insert("x", Array::from_vector(vec![0.0; 1000]));
    let file = archive.to_bytes(Format::Npz).unwrap();
    let directory = file
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    let end = file
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x05\x06")
        .unwrap();
    let copies = 1000_u16;
    let entries = file[directory..end].repeat(copies.into());
    let mut bomb = [&file[..directory], &entries, &file[end..]].concat();
    let end = bomb.len() - 22;
    bomb[end + 8..end + 10].copy_from_slice(&copies.to_le_bytes());
    bomb[end + 10..end + 12].copy_from_slice(&copies.to_le_bytes());
    bomb[end + 12..end + 16].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    let (error, requested) = counting_bytes(|| Archive::from_bytes(&bomb).unwrap_err());
    assert_eq!(
        error.to_string(),
        "the ZIP members must be disjoint, found x.npy"
    );
    assert!(requested < bomb.len(), "{requested} of {}", bomb.len());
}

#[test]
fn formats_that_cannot_store_an_archive_refuse_it() {
    let mut archive = Archive::new();
    archive.insert("__metadata__", Array::from_scalar(1.0));
    assert!(archive.to_bytes(Format::Npz).is_ok());
    let error = archive
        .to_bytes(Format::Safetensors)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the name of an array must be different"),
        "{error}"
    );

    let mut archive = Archive::new();
    archive.insert("x".repeat(1 << 16), Array::from_scalar(1.0));
    let error = archive.to_bytes(Format::Npz).unwrap_err().to_string();
    assert!(error.contains("within the limits of .npz"), "{error}");
    assert!(error.len() < 1 << 17, "{error}");
    assert!(Format::of("x").is_err());
}
