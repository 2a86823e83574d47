//! The smooth activations in the last place: against values of mpmath, and `f32` against `f64`.

use wasserflow::{Activation, Erf, Gelu, Logistic, Loss, Sigmoid, Silu, Sine, Softplus, Tanh};

/// `|y - (z + e)|` in units in the last place of `z`, subnormal ones where it is subnormal.
fn ulps(y: f64, z: f64, e: f64) -> f64 {
    if y == z || (y.is_nan() && z.is_nan()) {
        return e.abs();
    }
    let unit = f64::from_bits(z.abs().to_bits() + 1) - z.abs();
    ((y - z) / unit - e).abs()
}

/// Equal with the sign of zero, or both NaN.
fn same(y: f64, z: f64) -> bool {
    y.to_bits() == z.to_bits() || (y.is_nan() && z.is_nan())
}

/// The largest errors of one function, by `value` and by the slice hook.
#[derive(Debug)]
struct Worst {
    name: &'static str,
    bound: f64,
    found: [(f64, f64); 2],
}

const BOUNDS: [(&str, f64); 10] = [
    ("tanh", 2.0),
    ("sigmoid", 2.0),
    ("softplus", 2.0),
    ("erf", 2.0),
    ("erf'", 2.0),
    ("gelu", 6.0),
    ("gelu'", 6.0), // of 1 where it crosses 0
    ("silu", 3.0),
    ("sine", 2.0),
    ("cosine", 2.0),
];

fn pair(name: &str, x: f64, slices: bool) -> f64 {
    fn of<A: Activation<f64>>(sigma: A, x: f64, slices: bool, derivative: bool) -> f64 {
        let (s, ds) = if slices {
            let (mut u, mut ds) = ([x; 5], [0.0; 5]);
            sigma.apply_with_derivative(&mut u, &mut ds);
            let mut v = [x; 3];
            sigma.apply(&mut v);
            assert!(v.iter().all(|&v| same(v, u[0])), "{x:e}: {v:?} and {}", u[0]);
            (u[4], ds[4])
        } else {
            let (s, ds) = sigma.value_and_derivative(x);
            assert!(same(s, sigma.value(x)) && same(ds, sigma.derivative(x)), "{x:e}");
            (s, ds)
        };
        if derivative { ds } else { s }
    }
    match name {
        "tanh" => of(Tanh, x, slices, false),
        "sigmoid" => of(Sigmoid, x, slices, false),
        "softplus" => of(Softplus, x, slices, false),
        "erf" | "erf'" => of(Erf, x, slices, name == "erf'"),
        "gelu" | "gelu'" => of(Gelu, x, slices, name == "gelu'"),
        "silu" => of(Silu, x, slices, false),
        "sine" | "cosine" => of(Sine, x, slices, name == "cosine"),
        _ => unreachable!("a function of the table"),
    }
}

#[test]
fn f64_against_mpmath() {
    let path = std::env::var("ELEMENTARY_TABLE").unwrap_or("tests/data/elementary.txt".into());
    let table = std::fs::read_to_string(path).unwrap();
    let mut worst = BOUNDS.map(|(name, bound)| Worst { name, bound, found: [(0.0, 0.0); 2] });
    let mut lines = 0;
    for line in table.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let mut bits = || f64::from_bits(u64::from_str_radix(words.next().unwrap(), 16).unwrap());
        let (x, y) = (bits(), bits());
        let e = words.next().unwrap().parse::<f64>().unwrap() / 4096.0;
        let worst = worst.iter_mut().find(|worst| worst.name == name).unwrap();
        for (slices, found) in worst.found.iter_mut().enumerate() {
            let computed = pair(name, x, slices == 1);
            let crosses = name == "gelu'" && (-2.0..0.0).contains(&x);
            let lost = matches!(name, "gelu" | "gelu'" | "silu") && y.abs() < 1e-300;
            let error = if lost {
                ulps(computed, y, e).min((computed - y).abs() / 1e-320) // u times a subnormal number
            } else if crosses {
                (computed - y).abs() / f64::EPSILON
            } else {
                ulps(computed, y, e)
            };
            if error > found.0 {
                *found = (error, x);
            }
        }
        lines += 1;
    }
    assert!(lines > 1000);
    println!("{worst:#?}");
    for worst in worst {
        assert!(worst.found.iter().all(|found| found.0 <= worst.bound), "{worst:?}");
    }
}

#[test]
fn limits_and_special_values() {
    let (infinity, nan) = (f64::INFINITY, f64::NAN);
    let cases: [(&str, [(f64, f64); 6]); 7] = [
        ("tanh", [(infinity, 1.0), (-infinity, -1.0), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (5e-324, 5e-324)]),
        ("sigmoid", [(infinity, 1.0), (-infinity, 0.0), (0.0, 0.5), (-0.0, 0.5), (nan, nan), (5e-324, 0.5)]),
        (
            "softplus",
            [(infinity, infinity), (-infinity, 0.0), (1e300, 1e300), (-1e300, 0.0), (nan, nan), (-745.2, 0.0)],
        ),
        ("erf", [(infinity, 1.0), (-infinity, -1.0), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (5e-324, 5e-324)]),
        ("gelu", [(infinity, infinity), (-infinity, -0.0), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (1e300, 1e300)]),
        ("silu", [(infinity, infinity), (-infinity, -0.0), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (1e300, 1e300)]),
        ("sine", [(infinity, nan), (-infinity, nan), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (5e-324, 5e-324)]),
    ];
    for (name, cases) in cases {
        for (x, y) in cases {
            for slices in [false, true] {
                let z = pair(name, x, slices);
                assert!(same(z, y), "{name}({x}) = {z}, not {y}");
            }
        }
    }
}
