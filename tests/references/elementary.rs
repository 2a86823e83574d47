//! Errors of the smooth activations in units in the last place: against mpmath, and `f32` against
//! `f64`.

use wasserflow::feature::PredictionGradient;
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

/// `|y - (z + e)|` in units in the last place of `z`.
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

/// The largest errors of one function, by `value` and by the slice method.
#[derive(Debug)]
struct Worst {
    name: &'static str,
    bound: f64,
    found: [(f64, f64); 2],
}

const BOUNDS: [(&str, f64); 14] = [
    ("tanh", 1.4),
    ("tanh'", 3.8),
    ("sigmoid'", 4.1),
    ("silu'", 3.5), // of 1 near its zero
    ("sigmoid", 2.0),
    ("softplus", 1.0),
    ("erf", 0.9),
    ("erf'", 1.5),
    ("gelu", 5.5),
    ("gelu'", 1.6), // of 1 near its zero
    ("silu", 2.5),
    ("sine", 0.9),
    ("cosine", 0.9),
    ("log", 0.8),
];

fn pair(name: &str, x: f64, slices: bool) -> f64 {
    fn of<A: Activation<f64>>(sigma: A, x: f64, slices: bool, derivative: bool) -> f64 {
        let (s, ds) = if slices {
            let (mut u, mut ds) = ([x; 5], [0.0; 5]);
            sigma.apply_with_derivative(&mut u, &mut ds);
            let mut v = [x; 3];
            sigma.apply(&mut v);
            assert!(
                v.iter().all(|&v| same(v, u[0])),
                "{x:e}: {v:?} and {}",
                u[0]
            );
            (u[4], ds[4])
        } else {
            let (s, ds) = sigma.value_and_derivative(x);
            assert!(
                same(s, sigma.value(x)) && same(ds, sigma.derivative(x)),
                "{x:e}"
            );
            (s, ds)
        };
        if derivative { ds } else { s }
    }
    match name {
        "tanh" | "tanh'" => of(Tanh, x, slices, name == "tanh'"),
        "sigmoid" | "sigmoid'" => of(Sigmoid, x, slices, name == "sigmoid'"),
        "softplus" => of(Softplus, x, slices, false),
        "erf" | "erf'" => of(Erf, x, slices, name == "erf'"),
        "gelu" | "gelu'" => of(Gelu, x, slices, name == "gelu'"),
        "silu" | "silu'" => of(Silu, x, slices, name == "silu'"),
        "log" => {
            // W(z) = log |z| for the exponent 0 is log(s) / 2 of the square s.
            let (mut s, mut d) = ([x; 5], [0.0; 5]);
            let logarithm = PowerLaw::new(0.0, 2.0).unwrap();
            assert!(Interaction::<f64>::radial(&logarithm, &mut s, &mut d));
            s[if slices { 0 } else { 4 }]
        }
        "sine" | "cosine" => of(Sine, x, slices, name == "cosine"),
        _ => unreachable!("a function of the table"),
    }
}

#[test]
fn f64_against_mpmath() {
    let path = std::env::var("ELEMENTARY_TABLE").unwrap_or("references/data/elementary.txt".into());
    let table = std::fs::read_to_string(path).unwrap();
    let mut worst = BOUNDS.map(|(name, bound)| Worst {
        name,
        bound,
        found: [(0.0, 0.0); 2],
    });
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
            let crosses = matches!(name, "gelu'" | "silu'") && (-2.0..0.0).contains(&x);
            let lost = matches!(name, "gelu" | "gelu'" | "silu" | "silu'") && y.abs() < 1e-300;
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
        assert!(
            worst.found.iter().all(|found| found.0 <= worst.bound),
            "{worst:?}"
        );
    }
}

#[test]
fn limits_and_special_values() {
    let (infinity, nan) = (f64::INFINITY, f64::NAN);
    let cases: [(&str, [(f64, f64); 6]); 7] = [
        (
            "tanh",
            [
                (infinity, 1.0),
                (-infinity, -1.0),
                (0.0, 0.0),
                (-0.0, -0.0),
                (nan, nan),
                (5e-324, 5e-324),
            ],
        ),
        (
            "sigmoid",
            [
                (infinity, 1.0),
                (-infinity, 0.0),
                (0.0, 0.5),
                (-0.0, 0.5),
                (nan, nan),
                (5e-324, 0.5),
            ],
        ),
        (
            "softplus",
            [
                (infinity, infinity),
                (-infinity, 0.0),
                (1e300, 1e300),
                (-1e300, 0.0),
                (nan, nan),
                (-745.2, 0.0),
            ],
        ),
        (
            "erf",
            [
                (infinity, 1.0),
                (-infinity, -1.0),
                (0.0, 0.0),
                (-0.0, -0.0),
                (nan, nan),
                (5e-324, 5e-324),
            ],
        ),
        (
            "gelu",
            [
                (infinity, infinity),
                (-infinity, -0.0),
                (0.0, 0.0),
                (-0.0, -0.0),
                (nan, nan),
                (1e300, 1e300),
            ],
        ),
        (
            "silu",
            [
                (infinity, infinity),
                (-infinity, -0.0),
                (0.0, 0.0),
                (-0.0, -0.0),
                (nan, nan),
                (1e300, 1e300),
            ],
        ),
        (
            "sine",
            [
                (infinity, nan),
                (-infinity, nan),
                (0.0, 0.0),
                (-0.0, -0.0),
                (nan, nan),
                (5e-324, 5e-324),
            ],
        ),
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

/// Lanes that are far from the table of gelu take another way than their neighbours.
#[test]
fn lanes_do_not_depend_on_their_neighbours() {
    let special = [
        9.0,
        -9.5,
        7.99609375,
        1e300,
        f64::INFINITY,
        -f64::INFINITY,
        f64::NAN,
    ];
    for (far, at) in special
        .iter()
        .flat_map(|&far| (0..37).map(move |at| (far, at)))
    {
        let mut u: Vec<f64> = (0..37).map(|l| 0.43 * (l as f64 - 18.0)).collect();
        u[at] = far;
        let (mut values, mut ds, mut alone) = (u.clone(), u.clone(), u.clone());
        Gelu.apply_with_derivative(&mut values, &mut ds);
        Gelu.apply(&mut alone);
        for (l, &u) in u.iter().enumerate() {
            let (value, derivative) = Gelu.value_and_derivative(u);
            assert!(
                same(values[l], value) && same(ds[l], derivative) && same(alone[l], value),
                "{u:e} beside {far:e}"
            );
        }
    }
}

/// Next to a multiple of `pi/2`, the smaller of sine and cosine is the distance from it, up to
/// multiples of `2^-107`.
#[test]
fn next_to_multiples_of_half_pi() {
    const QUARTER: i128 = 254876276031724631276054471292942;
    for k in (1..330_000_i128).step_by(7) {
        let x = k as f64 * std::f64::consts::FRAC_PI_2;
        let (mantissa, exponent) = (
            i128::from(x.to_bits() << 12 >> 12 | 1 << 52),
            (x.to_bits() >> 52) as i32 - 1075,
        );
        let distance = ((mantissa << (107 + exponent)) - k * QUARTER) as f64 * 2.0_f64.powi(-107);
        let expected =
            if k % 4 < 2 { 1.0 } else { -1.0 } * if k % 2 == 0 { distance } else { -distance };
        for slices in [false, true] {
            let found = pair(if k % 2 == 0 { "sine" } else { "cosine" }, x, slices);
            let known = (found - expected).abs() <= k as f64 * 2.0_f64.powi(-107); // of pi/2 itself
            assert!(
                known || ulps(found, expected, 0.0) <= 2.0,
                "{x:e}: {found:e} and {expected:e}"
            );
        }
    }
}

/// Every 9973rd `f32`.
fn singles() -> impl Iterator<Item = f32> {
    (0..=u32::MAX)
        .step_by(9973)
        .map(f32::from_bits)
        .filter(|x| x.is_finite())
}

/// The largest error of `sigma` in `f32`, in units in the last place, against `exact` on `f64`.
fn worst_single<A: Activation<f32> + Activation<f64>>(
    sigma: A,
    derivative: bool,
    limit: f32,
) -> [(f64, f32); 2] {
    let mut worst = [(0.0, 0.0); 2];
    let all: Vec<f32> = singles().filter(|x| x.abs() <= limit).collect();
    for block in all.chunks(509) {
        let (mut s, mut ds) = (block.to_vec(), block.to_vec());
        sigma.apply_with_derivative(&mut s, &mut ds);
        for (r, &x) in block.iter().enumerate() {
            let scalar: (f32, f32) = sigma.value_and_derivative(x);
            let exact: (f64, f64) = sigma.value_and_derivative(f64::from(x));
            let (found, exact) = if derivative {
                ([scalar.1, ds[r]], exact.1)
            } else {
                ([scalar.0, s[r]], exact.0)
            };
            let nearest = exact as f32;
            let unit =
                f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
            for (found, worst) in found.into_iter().zip(&mut worst) {
                let error = (f64::from(found) - exact).abs() / unit;
                if error > worst.0 || error.is_nan() {
                    *worst = (error, x);
                }
            }
        }
    }
    worst
}

#[test]
fn f32_against_f64() {
    let cases = [
        ("tanh", worst_single(Tanh, false, f32::MAX), 2.1),
        ("tanh'", worst_single(Tanh, true, f32::MAX), 4.8),
        ("sigmoid'", worst_single(Sigmoid, true, f32::MAX), 4.6),
        ("sigmoid", worst_single(Sigmoid, false, f32::MAX), 2.4),
        ("softplus", worst_single(Softplus, false, f32::MAX), 1.7),
        ("erf", worst_single(Erf, false, f32::MAX), 1.2),
        ("erf'", worst_single(Erf, true, f32::MAX), 2.4),
        ("gelu", worst_single(Gelu, false, 13.0), 7.0), // beyond, u times a subnormal number
        ("silu", worst_single(Silu, false, 87.0), 3.0),
        ("sine", worst_single(Sine, false, f32::MAX), 0.7),
        ("cosine", worst_single(Sine, true, f32::MAX), 0.7),
    ];
    println!("{cases:#?}");
    for (name, worst, bound) in cases {
        assert!(
            worst.iter().all(|worst| worst.0 <= bound),
            "{name}: {worst:?}"
        );
    }
}

#[test]
fn f32_limits() {
    let (infinity, nan) = (f32::INFINITY, f32::NAN);
    let mut u = [infinity, -infinity, 0.0, -0.0, nan, 1e-45];
    Tanh.apply(&mut u);
    assert_eq!(u[..4], [1.0, -1.0, 0.0, -0.0]);
    assert!(u[3].is_sign_negative() && u[4].is_nan() && u[5] == 1e-45);
    let (mut u, mut ds) = ([infinity, -infinity, 104.5, -104.5, nan], [1.0; 5]);
    Silu.apply_with_derivative(&mut u, &mut ds);
    assert_eq!(
        (&u[..4], &ds[..4]),
        (
            &[infinity, -0.0, 104.5, -0.0][..],
            &[1.0, 0.0, 1.0, 0.0][..]
        )
    );
    assert!(u[4].is_nan() && ds[4].is_nan());
}

/// NaN with any digits is NaN, in values and derivatives.
#[test]
fn digits_of_nan() {
    fn check<A: Activation<f32> + Activation<f64>>(sigma: A) {
        for digits in [0, 1, 0x5a5, 0xfff] {
            let x = f64::from_bits(f64::NAN.to_bits() | digits);
            let (mut u, mut ds) = ([x; 5], [0.0; 5]);
            sigma.apply_with_derivative(&mut u, &mut ds);
            let (s, d): (f64, f64) = sigma.value_and_derivative(x);
            assert!([s, d, u[0], ds[0], u[4], ds[4]].iter().all(|x| x.is_nan()));
            let x = f32::from_bits(f32::NAN.to_bits() | digits as u32);
            let (mut u, mut ds) = ([x; 5], [0.0; 5]);
            sigma.apply_with_derivative(&mut u, &mut ds);
            let (s, d): (f32, f32) = sigma.value_and_derivative(x);
            assert!([s, d, u[0], ds[0], u[4], ds[4]].iter().all(|x| x.is_nan()));
        }
    }
    check(Tanh);
    check(Sigmoid);
    check(Softplus);
    check(Erf);
    check(Gelu);
    check(Silu);
}

#[test]
fn slices_of_the_logistic_loss_agree_with_its_values() {
    let h: Vec<f64> = (0..1001).map(|j| 0.37 * (f64::from(j) - 500.0)).collect();
    let y: Vec<f64> = (0..1001).map(|j| [1.0, -1.0][j % 2]).collect();
    let (mut values, mut derivatives) = (vec![0.0; 1001], vec![0.0; 1001]);
    Logistic.values_and_derivatives(&y, &h, &mut values, &mut derivatives);
    for j in 0..1001 {
        let (value, derivative) = Logistic.value_and_derivative(y[j], h[j]);
        assert!(
            ulps(values[j], value, 0.0) <= 4.0,
            "{j}: {} and {value}",
            values[j]
        );
        assert!(
            ulps(derivatives[j], derivative, 0.0) <= 4.0,
            "{j}: {} and {derivative}",
            derivatives[j]
        );
    }
}

/// The slopes of the fused passes equal those of `derivative` over the whole range: a slope from the
/// value, such as `s (1 - s)`, is 0 at 17.5 in `f32` and at 40 in `f64`.
#[test]
fn slopes_of_the_fused_passes() {
    fn check<T: Real, A: Activation<T> + Copy>(name: &str, sigma: A, limit: f64) {
        /// Particles, more than a tile.
        const M: usize = 37;
        let mut sizes: Vec<f64> = (0..M).map(|i| limit * i as f64 / M as f64).collect();
        sizes.extend((0..M).map(|i| 10.0_f64.powi(-(i as i32))));
        let inputs: Vec<T> = sizes.iter().flat_map(|&u| [real(u), real(-u)]).collect();
        // One sample x = 1 and particles (a, b) = (1, u): with g = 1 the velocity of b is -sigma'(u).
        let x = Inputs::from_slice(1, &[T::one()]).unwrap();
        let particles: Vec<T> = inputs.iter().flat_map(|&u| [T::one(), u]).collect();
        let points = DMatrix::from_vec(2, inputs.len(), particles);
        let mu = EmpiricalMeasure::uniform(points).unwrap();
        for separable in [true, false] {
            let mut evaluate = |_, _: &[T], g: &mut [T]| {
                g.fill(T::one());
                T::zero()
            };
            let gradient = &mut PredictionGradient::new(separable, &mut evaluate);
            let mut v = DMatrix::zeros(2, inputs.len());
            Ridge::new(sigma, 1).velocity(&mu, &x, gradient, &mut v, &mut Workspace::default());
            for (i, &u) in inputs.iter().enumerate() {
                let (s, ds) = sigma.value_and_derivative(u);
                // The zero of the derivative is known to the rounding of 1.
                let crosses = matches!(name, "silu" | "gelu") && u < T::zero() && u > real(-2.0);
                for (found, expected) in [(-v[(0, i)], s), (-v[(1, i)], ds)] {
                    let [found, expected] = [found, expected].map(|x| x.to_f64().unwrap());
                    let epsilon = T::default_epsilon().to_f64().unwrap();
                    let smallest = 4.0 / T::max_value().unwrap().to_f64().unwrap();
                    let error = (found - expected).abs();
                    let size = if crosses { 1.0 } else { expected.abs() };
                    assert!(
                        error <= 4.0 * epsilon * size + smallest,
                        "{name}, u = {u}: {found:e}, not {expected:e}"
                    );
                }
            }
        }
    }
    fn both<A: Activation<f32> + Activation<f64> + Copy>(name: &str, sigma: A) {
        check::<f32, A>(name, sigma, 110.0);
        check::<f64, A>(name, sigma, 760.0);
    }
    both("tanh", Tanh);
    both("sigmoid", Sigmoid);
    both("softplus", Softplus);
    both("erf", Erf);
    both("silu", Silu);
    both("gelu", Gelu);
}

/// Powers with exponents that are not multiples of 1/2, over the whole range of squares.
#[test]
fn powers_of_squares() {
    fn check<T: Real>(exponents: [f64; 8], range: i32) {
        let epsilon = T::default_epsilon().to_f64().unwrap();
        for a in exponents {
            let power = PowerLaw::new(a, a).unwrap();
            for e in -range..=range {
                let base = 2.0_f64.powi(e);
                let mut s: Vec<T> = (0..67)
                    .map(|r| real(base * (1.0 + r as f64 / 67.0)))
                    .collect();
                let squares = s.clone();
                let mut d = s.clone();
                assert!(Interaction::<T>::radial(&power, &mut s, &mut d));
                for ((&square, value), slope) in squares.iter().zip(s).zip(d) {
                    let square = square.to_f64().unwrap();
                    let bound = (8.0 + square.ln().abs() / 2.0 + 2.0 * a.abs()) * epsilon;
                    // The exponent a/2 - 1 would be rounded.
                    let power = square.powf(0.5 * a);
                    let expected = [power, 0.5 * a * power / square];
                    for (x, expected) in [value, slope].into_iter().zip(expected) {
                        let is_normal = expected.abs() * 1e-3
                            > 1.0 / T::max_value().unwrap().to_f64().unwrap()
                            && expected.abs() * 1e3 < T::max_value().unwrap().to_f64().unwrap();
                        let error = (x.to_f64().unwrap() - expected).abs() / expected.abs();
                        assert!(
                            !is_normal || !power.is_normal() || error <= bound,
                            "{square:e}^({a}/2): {error:e} > {bound:e}"
                        );
                    }
                }
            }
        }
    }
    let exponents = [0.7, -0.3, 1.9, 3.13, -2.6, 0.5, 7.77, -15.9];
    check::<f64>(exponents, 1000);
    check::<f32>(exponents, 120);
}
