//! Implicit bias (Chizat and Bach 2020): margins of wide networks, by certified minima and as the
//! limits of flows with scale-free steps.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Margin, f1_margin, f2_margin};
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

/// Samples in the plane and their labels.
type Data = (DMatrix<f64>, DVector<f64>);

fn data(x: &[f64], y: &[f64]) -> Data {
    let x = DMatrix::from_column_slice(2, y.len(), x);
    (x, DVector::from_column_slice(y))
}

fn xor() -> Data {
    let x = [1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0];
    data(&x, &[1.0, 1.0, -1.0, -1.0])
}

fn six_samples() -> Data {
    let x = [
        1.0, 0.2, 0.5, 1.0, -0.4, 0.9, -1.0, -0.3, -0.2, -1.2, 0.8, -0.7,
    ];
    data(&x, &[1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
}

fn on_a_line() -> Data {
    let x = [1.0, -1.0, 1.0, -0.5, 1.0, 0.0, 1.0, 0.4, 1.0, 1.0];
    data(&x, &[1.0, -1.0, 1.0, -1.0, 1.0])
}

/// The F1 margins of E1, E2 and E2b: networks with `int |a| |b| dmu <= 1`.
const XOR: f64 = 0.353_553_391;
const SIX: f64 = 0.127_811_971;
const LINE: f64 = 0.037_147_728_2;
/// The F2 margins of E3: `int a^2 <= 1`, b uniform on the circle.
const XOR_F2: f64 = 0.213_125_617;
const SIX_F2: f64 = 0.067_732_031_2;

fn risk<L: Loss<f64>>(loss: L, (x, y): Data) -> EmpiricalRisk<L, f64> {
    EmpiricalRisk::new(loss, x, y).unwrap()
}

/// The F1 margin with its bound by the weights `exp(-y h)`.
fn margin(mu: &EmpiricalMeasure<f64>, (x, y): &Data) -> Margin {
    f1_margin(&Ridge::new(Relu, 2), mu, x, y, None).unwrap()
}

/// E1, E2 and E2b: the least cost of `y h >= 1` is `1 / margin`, and for a small lambda the hinge
/// loss is an exact penalty: `F* = 2 lambda / margin`. Weight decay is `int |w|^2 >= 2 int |a| |b|`.
#[test]
fn f1_margins_by_certified_minima() {
    for (data, exact) in [(xor(), XOR), (six_samples(), SIX), (on_a_line(), LINE)] {
        let lambda = exact / (4.0 * data.1.len() as f64);
        let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk(Hinge, data.clone()))
            .unwrap()
            .regularized(WeightDecay::new(lambda).unwrap());
        let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
        let run = FrankWolfe::Sliding.run(&mut energy, &mut mu, 1e-11, 200);
        let (_, certificate) = run.unwrap();
        let found = 2.0 * lambda / certificate.energy();
        let gap = certificate.gap() / certificate.energy();
        println!("{found} exact {exact} relative gap {gap:e}");
        assert!(gap < 1e-8, "the gap {gap:e} of {exact}");
        let error = (found / exact - 1.0).abs();
        assert!(error < 1e-8, "{found}, {exact}: {error:e}");
        // The bound is tight at a network whose predictions are not large: samples of equal margin.
        let proved = margin(&mu, &data);
        println!("margin {proved:?}");
        for found in [proved.value(), proved.bound()] {
            let error = (found / exact - 1.0).abs();
            assert!(error < 1e-7, "{found}, {exact}: {error:e}");
        }
        assert!(proved.value() <= proved.bound());
        // The factor 1/2 of the normalisation int |w|^2 = 1: the neurons are balanced.
        let norm: f64 = (0..mu.len())
            .map(|i| {
                let [a, b, c] = [0, 1, 2].map(|l| mu.particle(i)[l]);
                mu.weight(i) * a.abs() * b.hypot(c)
            })
            .sum();
        assert!((mu.second_moment() / (2.0 * norm) - 1.0).abs() < 1e-7);
    }
}

/// Runs with the steps `eta / (sqrt(s + 1) F)` while `F > 1e-250`.
fn scale_free<E: Energy<f64>>(
    energy: E,
    start: EmpiricalMeasure<f64>,
    eta: f64,
) -> (EmpiricalMeasure<f64>, usize) {
    let mut flow = ParticleFlow::new(energy, Euler, 1.0).unwrap();
    let mut state = flow.start(start).unwrap();
    while state.energy() > 1e-250 && state.step() < 200_000 {
        let dt = eta / (state.step() as f64 + 1.0).sqrt();
        flow.set_dt(dt / state.energy()).unwrap();
        flow.advance(&mut state).unwrap();
    }
    let steps = state.step();
    (state.into_measure(), steps)
}

/// Balanced neurons of both signs: `|a| = |b| = r`, b on m / 2 equispaced directions.
fn circle(m: usize, r: f64) -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_fn(3, m, |l, i| {
        let angle = std::f64::consts::TAU * (i / 2) as f64 / (m / 2) as f64;
        r * [[1.0, -1.0][i % 2], angle.cos(), angle.sin()][l]
    });
    EmpiricalMeasure::uniform(points).unwrap()
}

/// The F1 margin of the flow, and the number of steps.
fn flow_margin(loss: impl Loss<f64>, data: &Data, eta: f64) -> (f64, usize) {
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk(loss, data.clone())).unwrap();
    let (mu, steps) = scale_free(energy, circle(400, 1e-4), eta);
    (margin(&mu, data).value(), steps)
}

/// Scale-free flows of both losses reach the F1 margin.
#[test]
fn flows_maximise_the_f1_margin() {
    for (data, exact, eta, tolerance) in [(xor(), XOR, 0.1, 2e-4), (six_samples(), SIX, 0.2, 1e-3)]
    {
        let margins = [
            flow_margin(Exponential, &data, eta),
            flow_margin(Logistic, &data, eta),
        ];
        for (found, steps) in margins {
            let error = 1.0 - found / exact;
            println!("{found} of {exact}: error {error:e}, {steps} steps");
            assert!((0.0..tolerance).contains(&error), "{found}: {error:e}");
        }
    }
}

/// `value <= F1 margin <= bound` along the flow of the exponential loss, and the bounds meet.
#[test]
fn certified_margins() {
    for (data, exact, tolerance) in [(xor(), XOR, 1e-3), (six_samples(), SIX, 1e-2)] {
        let risk = risk(Exponential, data.clone());
        let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap();
        let mut flow = ParticleFlow::new(energy, Euler, 1.0).unwrap();
        let mut state = flow.start(circle(400, 1e-4)).unwrap();
        let mut upper = f64::INFINITY;
        while state.energy() > 1e-250 {
            let dt = 0.2 / (state.step() as f64 + 1.0).sqrt();
            flow.set_dt(dt / state.energy()).unwrap();
            flow.advance(&mut state).unwrap();
            if state.step().is_multiple_of(50) {
                let bound = margin(state.measure(), &data).bound();
                assert!(bound > exact * (1.0 - 1e-8), "{bound}");
                upper = upper.min(bound);
            }
        }
        let lower = margin(state.measure(), &data).value();
        println!("{lower} <= {exact} <= {upper}");
        assert!(lower <= exact * (1.0 + 1e-8), "{lower}");
        let ratio = upper / lower; // negative if a sample is not separated
        assert!((1.0..1.0 + tolerance).contains(&ratio), "{lower}, {upper}");
    }
}

/// Dual weights of the optimum prove the margin at any network: p = 1/4 for exclusive or. In f32 the
/// data are the same. A network on the wrong side has a negative margin, and one of norm 0 the margin 0.
#[test]
fn margins_by_dual_weights() {
    let (x, y) = xor();
    let equal = vec![0.25; 4];
    let map = Ridge::new(Relu, 2);
    for mu in [circle(6, 1.0), circle(400, 1e-3)] {
        let proved = f1_margin(&map, &mu, &x, &y, Some(&equal)).unwrap();
        let error = proved.bound() / XOR - 1.0;
        assert!(error.abs() < 2e-9, "{}", proved.bound());
        assert!(proved.value() <= proved.bound());
        let points = mu.points().map(|w| w as f32);
        let single = EmpiricalMeasure::uniform(points).unwrap();
        let (x, y) = (x.map(|x| x as f32), y.map(|y| y as f32));
        let proved = f1_margin(&map, &single, &x, &y, Some(&[3.0; 4])).unwrap();
        assert!((proved.bound() / XOR - 1.0).abs() < 2e-9);
    }
    let one = |a: f64, b: f64, c: f64| {
        EmpiricalMeasure::uniform(DMatrix::from_row_slice(3, 1, &[a, b, c])).unwrap()
    };
    let wrong = f1_margin(&map, &one(-2.0, 0.6, 0.8), &x, &y, None).unwrap();
    // h = -2 (1.4, 0, 0, .2), and the norm is 2.
    assert!((wrong.value() + 1.4).abs() < 1e-12, "{}", wrong.value());
    let weightless = EmpiricalMeasure::weighted(circle(4, 1.0).points().clone(), DVector::zeros(4));
    for mu in [one(0.0, 0.6, 0.8), weightless.unwrap()] {
        for margin in [
            f1_margin(&map, &mu, &x, &y, None),
            f2_margin(&map, &mu, &x, &y, None),
        ] {
            assert_eq!(margin.unwrap().value(), 0.0);
        }
    }
    // Predictions of 1e300: weights of the exponential loss would underflow.
    let far = f1_margin(&map, &circle(400, 1e150), &x, &y, None).unwrap();
    assert!(far.bound() >= XOR * (1.0 - 1e-9) && far.value().abs() < 1e-10);
}

/// Arguments that do not fit are typed errors.
#[test]
fn margins_of_arguments_that_do_not_fit() {
    let (x, y) = xor();
    let (mu, map) = (circle(4, 1.0), Ridge::new(Relu, 2));
    let message = |result: Result<Margin, RiskError>| result.unwrap_err().to_string();
    let text = message(f1_margin(&Ridge::new(Relu, 3), &mu, &x, &y, None));
    assert!(text.contains("input dimension"), "{text}");
    let text = message(f1_margin(
        &Ridge::with_outputs(Relu, 2, 2),
        &mu,
        &x,
        &y,
        None,
    ));
    assert!(text.contains("number of outputs"), "{text}");
    let text = message(f2_margin(&Ridge::new(ReluPower(2), 2), &mu, &x, &y, None));
    assert!(text.contains("degree of the activation"), "{text}");
    let planar = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1)).unwrap();
    let text = message(f2_margin(&map, &planar, &x, &y, None));
    assert!(text.contains("particle dimension"), "{text}");
    let labels = DVector::from_vec(vec![1.0, 0.5, -1.0, -1.0]);
    let text = message(f1_margin(&map, &mu, &x, &labels, None));
    assert!(
        text.contains("sample 1") && text.contains("-1 or 1"),
        "{text}"
    );
    let text = message(f1_margin(
        &map,
        &mu,
        &x,
        &DVector::from_element(3, 1.0),
        None,
    ));
    assert!(text.contains("number of targets"), "{text}");
    for (dual, expected) in [
        (vec![1.0; 3], "number of dual weights"),
        (vec![1.0, -1.0, 1.0, 1.0], "weight of sample 1"),
        (vec![1.0, 1.0, f64::NAN, 1.0], "weight of sample 2"),
        (vec![0.0; 4], "sum of the dual weights"),
    ] {
        let text = message(f2_margin(&map, &mu, &x, &y, Some(&dual)));
        assert!(text.contains(expected), "{text}");
    }
}

/// E3: `min_p (p' K p)^(1/2)` over probability vectors p, `K = E_b[y (b.x)_+ y' (b.x')_+]`, as the
/// stationary point of birth and death on the weights of the samples.
#[test]
fn f2_margins_by_birth_and_death() {
    for ((x, y), exact) in [(xor(), XOR_F2), (six_samples(), SIX_F2)] {
        let n = y.len();
        let points = DMatrix::from_fn(3, n, |l, j| if l == 0 { y[j] } else { x[(l - 1, j)] });
        let zero = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
        // Half the square of the kernel of normal b, which is 2 K in the plane.
        let energy = Mmd::new(WithOutputWeight(ArcCosine::new(2)), zero).unwrap();
        let mut flow = ParticleFlow::new(energy, BirthDeath::new(1.0, 0.0), 1.0).unwrap();
        let weights = DVector::from_fn(n, |j, _| (j + 1) as f64);
        let start = EmpiricalMeasure::weighted(points, weights)
            .unwrap()
            .normalised()
            .unwrap();
        let mut state = flow.start(start).unwrap();
        flow.run(&mut state, 20_000, &mut ()).unwrap();
        let found = state.energy().sqrt();
        println!("{found} exact {exact}");
        assert!((found - exact).abs() < 5e-10, "{found}, {exact}");
    }
}

/// E3: the flow of the output weights alone reaches the F2 margin `min y h / (int a^2)^(1/2)`. The
/// 2000 directions integrate the kernel with the relative error 3e-6.
#[test]
fn output_weights_maximise_the_f2_margin() {
    let data = xor();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk(Exponential, data.clone()));
    let frozen = Frozen::new(energy.unwrap(), 1..3).unwrap();
    let points = DMatrix::from_fn(3, 2000, |l, i| {
        let angle = std::f64::consts::TAU * i as f64 / 2000.0;
        [0.0, angle.cos(), angle.sin()][l]
    });
    let (mu, steps) = scale_free(frozen, EmpiricalMeasure::uniform(points).unwrap(), 50.0);
    let (x, y) = &data;
    let margin = f2_margin(&Ridge::new(Relu, 2), &mu, x, y, None).unwrap();
    for found in [margin.value(), margin.bound()] {
        let error = found / XOR_F2 - 1.0;
        println!("{found} of {XOR_F2}: error {error:e}, {steps} steps");
        assert!(error.abs() < 5e-6, "{found}: {error:e}");
    }
    assert!(margin.value() <= margin.bound());
    let equal = f2_margin(&Ridge::new(Relu, 2), &circle(4, 1.0), x, y, Some(&[1.0; 4]));
    // Four directions along the axes: K_jk = y_j y_k (b.x)_+ (b.x')_+ has p' K p = 0 at equal p.
    assert!(equal.unwrap().bound() < 1e-12);
}

/// `argmin_p p' K p` over probability vectors, by all supports.
fn least_form(k: &DMatrix<f64>) -> DVector<f64> {
    let n = k.nrows();
    let mut best = (f64::INFINITY, DVector::zeros(n));
    for support in 1..1_u32 << n {
        let of: Vec<usize> = (0..n).filter(|j| support >> j & 1 == 1).collect();
        let part = DMatrix::from_fn(of.len(), of.len(), |i, j| k[(of[i], of[j])]);
        let Some(p) = part.lu().solve(&DVector::from_element(of.len(), 1.0)) else {
            continue;
        };
        let sum = p.sum();
        if p.iter().all(|&p| p > 0.0) && 1.0 / sum < best.0 {
            let mut all = DVector::zeros(n);
            of.iter().zip(&p).for_each(|(&j, &p)| all[j] = p / sum);
            best = (1.0 / sum, all);
        }
    }
    best.1
}

/// The F2 bound is tight at a network of the largest margin whose predictions are small, where the
/// weights of the exponential loss are equal: for all samples and for a part of them at the margin.
#[test]
fn f2_margins_at_ties() {
    let mut parts = [0; 2];
    for ((x, y), turn) in [(six_samples(), 0.0), (on_a_line(), 0.0), (on_a_line(), 1.0)] {
        // A neuron at each of m directions, of the output weight `a = sum_j p_j y_j (b.x_j)_+`.
        let m = 400;
        let b = DMatrix::from_fn(2, m, |l, i| {
            let angle = turn + std::f64::consts::TAU * i as f64 / m as f64;
            [angle.cos(), angle.sin()][l]
        });
        let phi = (b.transpose() * &x).map(|s| s.max(0.0));
        let phi = DMatrix::from_fn(m, y.len(), |i, j| phi[(i, j)] * y[j]);
        let k = phi.tr_mul(&phi) / m as f64;
        let p = least_form(&k);
        let exact = p.dot(&(&k * &p)).sqrt();
        let zeros = p.iter().filter(|&&p| p == 0.0).count();
        parts[usize::from(zeros > 0)] += 1;
        let a = &phi * &p;
        for (outer, inner) in [
            (1e-3, 1.0),
            (1.0, 1.0),
            (1e3, 1.0),
            (2.0_f64.powi(-500), 1.0),
            (1.0, 2.0_f64.powi(-600)),
            (2.0_f64.powi(-600), 2.0_f64.powi(600)),
        ] {
            let point = |l: usize, i: usize| match l {
                0 => outer * a[i],
                l => inner * b[(l - 1, i)],
            };
            let mu = EmpiricalMeasure::uniform(DMatrix::from_fn(3, m, point)).unwrap();
            let margin = f2_margin(&Ridge::new(Relu, 2), &mu, &x, &y, None).unwrap();
            let at = format!("{outer:e}, {inner:e}, {zeros} zeros: {margin:?}, exact {exact}");
            for found in [margin.value(), margin.bound()] {
                assert!((found / (inner * exact) - 1.0).abs() < 1e-9, "{at}");
            }
            assert!(margin.value() <= margin.bound(), "{at}");
        }
        // Near the optimum the bound holds, and is near it.
        let point = |l: usize, i: usize| match l {
            0 => a[i] * (1.0 + 1e-4 * (i as f64).sin()),
            l => b[(l - 1, i)],
        };
        let mu = EmpiricalMeasure::uniform(DMatrix::from_fn(3, m, point)).unwrap();
        let margin = f2_margin(&Ridge::new(Relu, 2), &mu, &x, &y, None).unwrap();
        println!("near {margin:?}, exact {exact}, {zeros} zeros");
        assert!(
            margin.value() <= exact * (1.0 + 1e-12),
            "{margin:?}, {exact}"
        );
        assert!(
            margin.bound() >= exact * (1.0 - 1e-12),
            "{margin:?}, {exact}"
        );
        assert!(
            margin.bound() <= exact * (1.0 + 1e-3),
            "{margin:?}, {exact}"
        );
    }
    assert!(parts[0] > 0 && parts[1] > 0, "{parts:?}");
}

/// The F2 margin is homogeneous of degree 1 in b and in the samples, at all scales.
#[test]
fn f2_margins_at_all_scales() {
    let (x, y) = xor();
    let of = |inner: f64, outer: f64, samples: f64| {
        let mut points = circle(400, 1.0).into_points();
        for mut w in points.column_iter_mut() {
            let h = |w: &[f64]| {
                let terms = (0..4).map(|j| y[j] * (w[1] * x[(0, j)] + w[2] * x[(1, j)]).max(0.0));
                terms.sum::<f64>()
            };
            w[0] = outer * h(w.as_slice());
            w[1] *= inner;
            w[2] *= inner;
        }
        let mu = EmpiricalMeasure::uniform(points).unwrap();
        f2_margin(
            &Ridge::new(Relu, 2),
            &mu,
            &(&x * samples),
            &y,
            Some(&[1.0; 4]),
        )
        .unwrap()
    };
    let one = of(1.0, 1.0, 1.0);
    assert!(one.bound() < one.value() * (1.0 + 1e-12));
    for (inner, outer, samples) in [
        (2.0_f64.powi(-600), 1.0, 1.0),
        (1.0, 1.0, 2.0_f64.powi(-600)),
        (2.0_f64.powi(600), 1.0, 1.0),
        (1.0, 1.0, 2.0_f64.powi(600)),
        (2.0_f64.powi(-300), 1.0, 2.0_f64.powi(-300)),
        (2.0_f64.powi(600), 1.0, 2.0_f64.powi(-500)),
        (1.0, 2.0_f64.powi(-600), 1.0),
        (1.0, 2.0_f64.powi(600), 1.0),
    ] {
        let found = of(inner, outer, samples);
        let at = format!("{inner:e}, {outer:e}, {samples:e}: {found:?}");
        let expected = one.bound() * inner * samples;
        assert!((found.bound() / expected - 1.0).abs() < 1e-12, "{at}");
        assert!(found.value() <= found.bound(), "{at}");
        assert!(
            (found.value() / (one.value() * inner * samples) - 1.0).abs() < 1e-9,
            "{at}"
        );
    }
}

/// Margins do not depend on the scale of the output weights, nor F1 on that of the input weights:
/// also if `|a| |b|` and the predictions overflow or underflow.
#[test]
fn margins_of_products_outside_the_range() {
    let (x, y) = xor();
    let map = Ridge::new(Relu, 2);
    let of = |[outer, inner, mass, samples]: [f64; 4]| {
        let neuron = |l: usize, j: usize| [outer * y[j], inner * x[(0, j)], inner * x[(1, j)]][l];
        let points = DMatrix::from_fn(3, 4, neuron);
        let mu = EmpiricalMeasure::weighted(points, DVector::from_element(4, mass)).unwrap();
        let x = &x * samples;
        let one = f1_margin(&map, &mu, &x, &y, Some(&[1.0; 4])).unwrap();
        let two = f2_margin(&map, &mu, &x, &y, Some(&[1.0; 4])).unwrap();
        (one, two)
    };
    let exact = of([1.0; 4]);
    assert!(exact.0.value() > 0.0 && exact.1.value() > 0.0);
    for scales in [
        [1e-200, 1e-200, 1.0, 1.0],
        [1e-300, 1e-300, 1.0, 1.0],
        [1e200, 1e200, 1.0, 1.0],
        [1e-160, 1e-160, 1e-100, 1e-10],
        [1e-250, 1e100, 1e-250, 1e-100],
        [1e200, 1.0, 1.0, 1e200],
        [1.0, 1e-300, 1e-10, 1.0],
    ] {
        let (one, two) = of(scales);
        let [_, inner, mass, samples] = scales;
        for (found, exact, unit) in [
            (one, exact.0, samples),
            (two, exact.1, inner * samples * mass.sqrt()),
        ] {
            let at = format!("{scales:?}: {found:?}, {exact:?}");
            for (found, exact) in [
                (found.value(), exact.value()),
                (found.bound(), exact.bound()),
            ] {
                assert!((found / unit / exact - 1.0).abs() < 1e-9, "{at}");
            }
            assert!(found.value() <= found.bound(), "{at}");
        }
    }
    // A neuron of no effect, at another scale.
    let points = DMatrix::from_row_slice(3, 1, &[1e-200, 0.0, 0.0]);
    let mu = EmpiricalMeasure::uniform(points).unwrap();
    for margin in [
        f1_margin(&map, &mu, &x, &y, None),
        f2_margin(&map, &mu, &x, &y, None),
    ] {
        assert_eq!(margin.unwrap().value(), 0.0);
    }
}
