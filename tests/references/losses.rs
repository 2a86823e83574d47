//! Errors of losses and of the softmax cross-entropy at arguments of every size: `f64` against
//! mpmath, `f32` against `f64`.

use wasserflow::nalgebra::DMatrix;
use wasserflow::optimality::DualRisk;
use wasserflow::prelude::*;

/// The documented error of a loss, in units of epsilon.
const BOUND: f64 = 4.0;

/// The error of the nearest `f64` in the table, in the same unit.
const TABLE: f64 = 0.5;

/// A result of a method, or `None` for a conjugate that is not implemented.
type Method<T> = fn(&dyn Loss<T>, T, T) -> Option<T>;

/// A loss in both precisions.
struct Both(Box<dyn Loss<f64>>, Box<dyn Loss<f32>>);

fn loss(name: &str) -> Both {
    fn both<L: Loss<f64> + Loss<f32> + Copy + 'static>(loss: L) -> Both {
        Both(Box::new(loss), Box::new(loss))
    }
    let (name, parameter) = name.split_once(':').unwrap();
    let parameter = parameter.parse().unwrap();
    match name {
        "square" => both(Square),
        "huber" => both(Huber(parameter)),
        "quantile" => both(Quantile(parameter)),
        "logistic" => both(Logistic),
        "exponential" => both(Exponential),
        "hinge" => both(Hinge),
        "smooth_hinge" => both(SmoothHinge(parameter)),
        _ => unreachable!("a loss of the table"),
    }
}

fn method<T: Real>(name: &str) -> Method<T> {
    match name {
        "value" => |loss, y, h| Some(loss.value(y, h)),
        "derivative" => |loss, y, h| Some(loss.derivative(y, h)),
        "second_derivative" => |loss, y, h| Some(loss.second_derivative(y, h)),
        "conjugate" => |loss, y, u| loss.conjugate(y, u),
        _ => unreachable!("a method of the table"),
    }
}

fn f64_of_bits(word: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(word, 16).unwrap())
}

/// The table, in words.
fn table() -> Vec<Vec<String>> {
    let table = std::fs::read_to_string("references/data/losses.txt").unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    table.lines().map(words).collect()
}

/// The scale of the documented error: `|l|`, or `|l*| + |u| (|u| + |y|)` for a conjugate.
fn scale(method: &str, y: f64, x: f64, expected: f64) -> f64 {
    if method == "conjugate" {
        expected.abs() + x.abs() * (x.abs() + y.abs())
    } else {
        expected.abs()
    }
}

/// Requires `|found - expected| <= bound scale`, up to four of the smallest numbers.
fn require(found: f64, expected: f64, scale: f64, [bound, smallest]: [f64; 2], at: &str) {
    let exact = found == expected; // also if both are infinite
    let error = (found - expected).abs();
    assert!(
        exact || error <= bound * scale + 4.0 * smallest,
        "{at}: {found:e}, not {expected:e}: error {error:e}, scale {scale:e}"
    );
}

#[test]
fn f64_against_mpmath() {
    let mut rows = 0;
    for words in table().iter().filter(|words| words[0] != "softmax") {
        let [name, of, numbers @ ..] = &words[..] else {
            unreachable!("a loss and a method")
        };
        let [y, x, expected] = [0, 1, 2].map(|i| f64_of_bits(&numbers[i]));
        let Both(loss, _) = loss(name);
        assert_eq!(loss.check(), Ok(()), "{name}");
        let found = method::<f64>(of)(&*loss, y, x).unwrap();
        let scale = scale(of, y, x, expected);
        let bound = (BOUND + TABLE) * f64::EPSILON;
        let at = format!("{name}, {of}, y = {y:e}, x = {x:e}");
        require(found, expected, scale, [bound, 5e-324], &at);
        rows += 1;
    }
    assert!(rows > 900, "{rows} rows");
}

/// At the arguments of the table rounded to `f32`, against the results in `f64`.
#[test]
fn f32_against_f64() {
    let mut rows = 0;
    for words in table().iter().filter(|words| words[0] != "softmax") {
        let (name, of) = (&words[0], &words[1]);
        let [y, x] = [2, 3].map(|i| f64_of_bits(&words[i]) as f32);
        let Both(double, single) = loss(name);
        if single.check().is_err() || !(y.abs() < f32::MAX / 2.0 && x.abs() < f32::MAX / 2.0) {
            continue;
        }
        let found = method::<f32>(of)(&*single, y, x).unwrap();
        let (y, x) = (f64::from(y), f64::from(x));
        let expected = method::<f64>(of)(&*double, y, x).unwrap();
        if expected.is_infinite() || expected.abs() > f64::from(f32::MAX) {
            // Outside of a domain, or of the range. Rounding may leave a domain by an ulp.
            assert!(
                found.is_infinite() || of == "conjugate",
                "{name}, {of}: {found}"
            );
            continue;
        }
        // The parameter is rounded to f32, too.
        let scale = scale(of, y, x, expected);
        let bound = (BOUND + 2.0) * f64::from(f32::EPSILON);
        let at = format!("{name} in f32, {of}, y = {y:e}, x = {x:e}");
        require(f64::from(found), expected, scale, [bound, 1e-45], &at);
        rows += 1;
    }
    assert!(rows > 500, "{rows} rows");
}

fn softmax<T: Real>() -> SoftmaxCrossEntropy<T> {
    SoftmaxCrossEntropy::new(DMatrix::from_element(1, 1, T::one()), vec![0], 3).unwrap()
}

/// Value and gradient at 3 logits, relative to their own size.
#[test]
fn softmax_at_every_margin() {
    const EPSILONS: f64 = 8.0;
    for words in table().iter().filter(|words| words[0] == "softmax") {
        let numbers: Vec<f64> = words[1..].iter().map(|word| f64_of_bits(word)).collect();
        let (h, expected) = numbers.split_at(3);
        let mut g = [0.0; 3];
        let value = softmax::<f64>().value_and_gradient(h, &mut g);
        assert_eq!(value, softmax::<f64>().value(h));
        for (found, &expected) in [value, g[0], g[1], g[2]].into_iter().zip(expected) {
            let bound = [EPSILONS * f64::EPSILON, 5e-324];
            require(
                found,
                expected,
                expected.abs(),
                bound,
                &format!("h = {h:?}"),
            );
        }
        let h: Vec<f32> = h.iter().map(|&h| h as f32).collect();
        let wide: Vec<f64> = h.iter().map(|&h| f64::from(h)).collect();
        let (mut g, mut exact) = ([0.0_f32; 3], [0.0; 3]);
        let value = softmax::<f32>().value_and_gradient(&h, &mut g);
        let exact_value = softmax::<f64>().value_and_gradient(&wide, &mut exact);
        let pairs = [
            (value, exact_value),
            (g[0], exact[0]),
            (g[1], exact[1]),
            (g[2], exact[2]),
        ];
        for (found, expected) in pairs {
            let bound = [EPSILONS * f64::from(f32::EPSILON), 1e-45];
            let at = format!("f32, h = {h:?}");
            require(f64::from(found), expected, expected.abs(), bound, &at);
        }
    }
}

/// The rows of the fault: ties of huge logits are `log 2`, and margins have the loss `exp(-m)`.
#[test]
fn softmax_of_ties_and_margins() {
    let pair = |h: [f64; 2]| {
        let risk = SoftmaxCrossEntropy::new(DMatrix::from_element(1, 1, 1.0), vec![0], 2).unwrap();
        let mut g = [0.0; 2];
        let value = risk.value_and_gradient(&h, &mut g);
        let (u, mut product) = ([1.0, 0.0], [0.0; 2]);
        risk.curvature(&h, &u, &mut product);
        (value, g, product)
    };
    assert_eq!(pair([1e17, 1e17]).0, f64::ln(2.0));
    for margin in [10.0, 17.0, 37.0, 100.0, 700.0] {
        let (value, g, product) = pair([margin, 0.0]);
        let e = f64::exp(-margin);
        let p = e / (1.0 + e);
        let curvature = p / (1.0 + e);
        let found = [value, -g[0], g[1], product[0], -product[1]];
        for (found, expected) in found
            .into_iter()
            .zip([e.ln_1p(), p, p, curvature, curvature])
        {
            let bound = [8.0 * f64::EPSILON, 5e-324];
            require(
                found,
                expected,
                expected,
                bound,
                &format!("margin {margin}"),
            );
        }
    }
    let risk = SoftmaxCrossEntropy::new(DMatrix::from_element(1, 1, 1.0_f32), vec![0], 2).unwrap();
    assert_eq!(risk.value(&[1e8, 1e8]), f32::ln(2.0));
    let relative = |h: [f32; 2], expected: f64| (f64::from(risk.value(&h)) / expected - 1.0).abs();
    assert!(relative([10.0, 0.0], 4.539_889_921_686_465e-5) < 4e-7);
    assert!(relative([17.0, 0.0], 4.139_937_633_089_748e-8) < 4e-7);
}

/// Weights 2 and 1 are two copies of the first sample and one of the second, in value, gradient,
/// ranges and curvature; a sample of weight 0 is ignored even if its loss overflows.
#[test]
fn softmax_with_sample_weights() {
    let risk = |labels: Vec<usize>| {
        SoftmaxCrossEntropy::new(DMatrix::zeros(1, labels.len()), labels, 3).unwrap()
    };
    let weighted = risk(vec![1, 2, 0])
        .sample_weights(vec![2.0, 1.0, 0.0])
        .unwrap();
    let copies = risk(vec![1, 1, 2]).sample_weights(vec![1.0; 3]).unwrap();
    let (a, b) = ([0.5, -1.0, 2.0], [3.0, 0.25, -0.75]);
    let h = [a, b, [f64::MAX, -f64::MAX, -f64::MAX]].concat();
    let of_copies = [a, a, b].concat();
    let (mut g, mut g_copies) = ([0.0; 9], [0.0; 9]);
    let value = weighted.value_and_gradient(&h, &mut g);
    let expected = copies.value_and_gradient(&of_copies, &mut g_copies);
    let near = |x: f64, y: f64| (x - y).abs() <= 8.0 * f64::EPSILON * y.abs();
    assert!(near(value, expected) && near(weighted.value(&h), expected));
    let mut part = [0.0; 6];
    let first = weighted.value_and_gradient_range(0..1, &h[..3], &mut part[..3]);
    let second = weighted.value_and_gradient_range(1..2, &h[3..6], &mut part[3..]);
    assert!(near(first + second, expected));
    let (mut product, mut of_the_copies) = ([0.0; 9], [0.0; 9]);
    let u = [1.0, -2.0, 0.5, 0.25, 4.0, -1.0, 1.0, 1.0, 1.0];
    let u_copies = [1.0, -2.0, 0.5, 1.0, -2.0, 0.5, 0.25, 4.0, -1.0];
    weighted.curvature(&h, &u, &mut product);
    copies.curvature(&of_copies, &u_copies, &mut of_the_copies);
    for l in 0..3 {
        assert!(near(g[l], 2.0 * g_copies[l]) && near(part[l], g[l]));
        assert!(near(g[3 + l], g_copies[6 + l]) && near(part[3 + l], g[3 + l]));
        assert!(near(product[l], 2.0 * of_the_copies[l]));
        assert!(near(product[3 + l], of_the_copies[6 + l]));
    }
    assert_eq!((&g[6..], &product[6..]), (&[0.0; 3][..], &[0.0; 3][..]));

    // The dual: slope, upper bound and conjugate of the weighted risk are those of the copies.
    let (mut u, mut u_copies) = ([0.0; 9], [0.0; 9]);
    weighted.slope(&h, &mut u);
    copies.slope(&of_copies, &mut u_copies);
    assert_eq!(u[6..], [0.0; 3]);
    let close = |x: f64, y: f64| (x - y).abs() <= 1e-14 * y.abs();
    assert!(close(
        weighted.upper(&h, &[0.0; 3]),
        copies.upper(&of_copies, &[0.0; 3])
    ));
    let conjugates = (
        weighted.conjugate(&u, 1.0),
        copies.conjugate(&u_copies, 1.0),
    );
    assert!(
        close(conjugates.0.unwrap(), conjugates.1.unwrap()),
        "{conjugates:?}"
    );

    let error = risk(vec![0]).sample_weights(vec![1.0, 2.0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "number of sample weights must be 1, found 2"
    );
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let error = risk(vec![0, 1]).sample_weights(vec![1.0, bad]).unwrap_err();
        assert!(
            matches!(error, RiskError::Weight { sample: 1, .. }),
            "{error}"
        );
    }
}

/// Parameters are checked in the precision in which they are used.
#[test]
fn parameters_in_each_precision() {
    fn accepted<L: Loss<f32> + Loss<f64>>(loss: &L) -> [bool; 2] {
        [
            Loss::<f32>::check(loss).is_ok(),
            Loss::<f64>::check(loss).is_ok(),
        ]
    }
    assert_eq!(accepted(&SmoothHinge(1e-300)), [false, true]);
    assert_eq!(accepted(&SmoothHinge(1e300)), [false, true]);
    assert_eq!(accepted(&SmoothHinge(5e-324)), [false; 2]); // 1/s is infinite
    assert_eq!(accepted(&Huber(1e-300)), [false, true]);
    assert_eq!(accepted(&Huber(f64::INFINITY)), [false; 2]);
    assert_eq!(accepted(&Huber(f64::NAN)), [false; 2]);
    assert_eq!(accepted(&Quantile(1e-300)), [false, true]);
    assert_eq!(accepted(&Quantile(1.0 - 1e-12)), [true; 2]); // 1 - q is 1e-12, not 0, in f32
    assert_eq!(accepted(&Quantile(1.0)), [false; 2]);

    fn valid<A: Activation<f32> + Activation<f64>>(sigma: &A) -> [bool; 2] {
        let results = [
            Activation::<f32>::check(sigma),
            Activation::<f64>::check(sigma),
        ];
        let boxed: Box<dyn Activation<f64> + '_> = Box::new(sigma);
        assert_eq!(boxed.check().is_ok(), results[1].is_ok());
        results.map(|result| result.is_ok())
    }
    assert_eq!(valid(&LeakyRelu(1e300)), [false, true]);
    assert_eq!(valid(&LeakyRelu(f64::NAN)), [false; 2]);
    assert_eq!(valid(&ReluPower(ReluPower::MAX)), [true; 2]);
    assert_eq!(valid(&ReluPower(u32::MAX)), [false; 2]);
    assert_eq!(Ridge::new(ReluPower(u32::MAX), 1).degree(), u32::MAX); // no wrap to 0

    let map = |sigma| Ridge::new(sigma, 2);
    assert!(FeatureMap::<f64>::check(&map(LeakyRelu(f64::NAN))).is_err());
    assert!(FeatureMap::<f64>::check(&Radial::new(LeakyRelu(f64::NAN), 2)).is_err());
    let boxed: Box<dyn FeatureMap<f32>> = Box::new(map(LeakyRelu(1e300)));
    assert!(boxed.check().is_err());
    let error = Activation::<f64>::check(&ReluPower(5000))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the exponent of the rectifier must be at most 1024, found 5000"
    );
}
