//! Random programs on random bits: what must hold for every input that is accepted.

use nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse;
use wasserflow::testing::proptest::prelude::*;
use wasserflow::testing::proptest::sample::select;
use wasserflow::testing::proptest::{prop_oneof, proptest};
use wasserflow::transport::{self, Coupling};

use crate::suite::NUMBERS;

/// Finite numbers: any bits, special values, small integers, near-duplicates of 1.
fn number() -> impl Strategy<Value = f64> {
    let finite = |x: f64| if x.is_finite() { x } else { 0.0 };
    prop_oneof![
        2 => any::<u64>().prop_map(move |bits| finite(f64::from_bits(bits))),
        1 => select(NUMBERS.to_vec()).prop_map(finite),
        3 => (-4..=4_i32).prop_map(f64::from),
        3 => -2.0..2.0,
        1 => (-12..-2_i32).prop_map(|exponent| 1.0 + 10_f64.powi(exponent)),
    ]
}

/// Numbers of one common size, so that a case is not decided by its largest number alone.
fn numbers(len: usize) -> impl Strategy<Value = Vec<f64>> {
    let scale = prop_oneof![
        4 => Just(1.0),
        2 => (-300..300_i32).prop_map(|exponent| 10_f64.powi(exponent)),
        1 => (-30..30_i32).prop_map(|exponent| 10_f64.powi(exponent)),
    ];
    (prop::collection::vec(number(), len), scale).prop_map(|(mut numbers, scale)| {
        for x in &mut numbers {
            let scaled = *x * scale;
            *x = if scaled.is_finite() { scaled } else { scale };
        }
        numbers
    })
}

/// Weights of mass 1, some of them 0 or tiny.
fn weights(len: usize) -> impl Strategy<Value = Vec<f64>> {
    let weight = prop_oneof![3 => Just(1.0), 2 => 0.0..1.0, 1 => Just(0.0), 1 => Just(1e-20)];
    prop::collection::vec(weight, len).prop_map(|mut weights| {
        let mass: f64 = weights.iter().sum();
        if mass > 0.0 {
            weights.iter_mut().for_each(|c| *c /= mass);
        } else {
            weights[0] = 1.0;
        }
        weights
    })
}

prop_compose! {
    fn measure_of(p: usize)(m in 1..8_usize)
        (points in numbers(p * m), weights in weights(m)) -> EmpiricalMeasure<f64> {
        let points = DMatrix::from_column_slice(p, weights.len(), &points);
        EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap()
    }
}

/// Three measures of one dimension.
fn measures() -> impl Strategy<Value = [EmpiricalMeasure<f64>; 3]> {
    (1..4_usize).prop_flat_map(|p| [measure_of(p), measure_of(p), measure_of(p)])
}

fn check_coupling(
    coupling: &Coupling<f64>,
    mu: &EmpiricalMeasure<f64>,
    nu: &EmpiricalMeasure<f64>,
) {
    assert!(coupling.gap() >= 0.0, "gap {}", coupling.gap());
    assert!(
        coupling.distance() >= 0.0,
        "distance {}",
        coupling.distance()
    );
    let (mut rows, mut columns) = (vec![0.0; mu.len()], vec![0.0; nu.len()]);
    for &(i, j, mass) in coupling.plan() {
        assert!(mass > 0.0, "mass {mass}");
        rows[i] += mass;
        columns[j] += mass;
    }
    for (sums, mu) in [(rows, mu), (columns, nu)] {
        for (i, sum) in sums.into_iter().enumerate() {
            let error = (sum - mu.weight(i)).abs();
            assert!(
                error <= 1e-14 * mu.mass(),
                "weight {}, marginal {sum}",
                mu.weight(i)
            );
        }
    }
}

type Network = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

fn network(x: &[f64], y: &[f64], d: usize, lambda: f64) -> Network {
    let x = DMatrix::from_column_slice(d, y.len(), x);
    let risk = EmpiricalRisk::new(Square, x, DVector::from_column_slice(y)).unwrap();
    let decay = WeightDecay::new(lambda).unwrap();
    MeanFieldRisk::new(Ridge::new(Relu, d), risk)
        .unwrap()
        .regularized(decay)
}

prop_compose! {
    fn problem()(d in 1..4_usize, n in 1..6_usize)
        (x in numbers(d * n), y in numbers(n), mu in measure_of(1 + d), d in Just(d),
         lambda in prop_oneof![Just(0.0), 1e-6..1.0, number().prop_map(f64::abs)])
        -> (Network, EmpiricalMeasure<f64>) {
        (network(&x, &y, d, lambda), mu)
    }
}

proptest! {
    #[test]
    fn plans_have_their_marginals_and_gaps_are_not_negative([mu, nu, rho] in measures(), p in 1..5_u8) {
        let coupling = transport::wp(&mu, &nu, f64::from(p)).unwrap();
        check_coupling(&coupling, &mu, &nu);
        // From one pair of measures to others, of other sizes.
        let next = coupling.update(&nu, &rho).unwrap();
        check_coupling(&next, &nu, &rho);
        let back = next.update(&mu, &nu).unwrap();
        check_coupling(&back, &mu, &nu);
        // Two bounds of one number.
        let lower = coupling.cost() - coupling.gap();
        prop_assert!(back.cost() >= lower || lower.is_nan(), "cost {} < {lower}", back.cost());
    }

    #[test]
    fn certificates_bound_every_other_measure((mut energy, mu) in problem(), scale in 0.0..2.0) {
        let certificate = certify(&mut energy, &mu);
        let gap = certificate.gap();
        prop_assert!(gap >= 0.0);
        let value = certificate.energy();
        let mut nu = mu.clone();
        nu.points_mut().iter_mut().for_each(|w| *w *= scale);
        // A network of another scale, evaluated with an error of some units of its terms.
        let other = certify(&mut energy, &nu).energy();
        if value.is_finite() && other.is_finite() {
            prop_assert!(value - other <= gap * (1.0 + 1e-9) + 1e-12 * value);
        }
        if let Some(w) = certificate.escape()
            && let Some(lower) = sparse::insert(&mut energy, &mu, w)
        {
            // The decrease may be below the rounding of F.
            prop_assert!(energy.value(&lower) <= energy.value(&mu) * (1.0 + 1e-15));
        }
    }

    #[test]
    fn flows_end_in_finite_states((energy, mu) in problem(), which in 0..6_usize, dt in number()) {
        let integrator: Box<dyn Integrator<f64>> = match which {
            0 => Box::new(Euler),
            1 => Box::new(Heun),
            2 => Box::new(Rk4),
            3 => Box::new(DormandPrince::default()),
            4 => Box::new(Conic::new(1.0, 1.0)),
            _ => Box::new(Jko::default()),
        };
        let Ok(mut flow) = ParticleFlow::new(energy, integrator, dt.abs()) else {
            return Ok(());
        };
        let Ok(mut state) = flow.start(mu) else {
            return Ok(());
        };
        for step in 0..5 {
            let before = (state.measure().clone(), state.time(), state.step());
            let result = flow.advance(&mut state);
            prop_assert!(state.measure().check().is_ok());
            prop_assert!(state.energy().is_finite() && state.time().is_finite());
            match result {
                Ok(taken) => prop_assert!(taken.taken > 0.0 && state.step() == step + 1),
                Err(_) => {
                    let after = (state.measure().clone(), state.time(), state.step());
                    prop_assert!(before == after);
                    break;
                }
            }
        }
    }

    #[test]
    fn fewer_neurons_predict_the_same((energy, mu) in problem()) {
        let x = energy.risk().inputs();
        let h = predict(energy.features(), &mu, x).unwrap();
        for nu in [sparse::prune(energy.features(), &mu), sparse::merge(energy.features(), &mu, 0.0)] {
            prop_assert!(nu.len() <= mu.len());
            let g = predict(energy.features(), &nu, x).unwrap();
            for (j, (h, g)) in h.iter().zip(g.iter()).enumerate() {
                // Neurons whose share of the path norm is below its rounding are removed.
                let length = |v: &[f64]| v.iter().fold(0.0_f64, |norm, v| norm.hypot(*v));
                let share = |i: usize| {
                    let (a, b) = mu.particle(i).split_at(1);
                    let factors = [mu.weight(i), a[0].abs(), length(b), length(x.point(j))];
                    factors.iter().map(|factor| factor.ln()).sum::<f64>().exp()
                };
                let size: f64 = (0..mu.len()).map(share).sum();
                if size < 1e290 && h.is_finite() {
                    let error = (h - g).abs();
                    // Products b.x that are subnormal have an absolute error, times c |a|.
                    let factor = |nu: &EmpiricalMeasure<f64>| -> f64 {
                        (0..nu.len()).map(|i| nu.weight(i) * nu.particle(i)[0].abs()).sum()
                    };
                    // And so have products c a, times |b| |x|.
                    let products = |nu: &EmpiricalMeasure<f64>| -> f64 {
                        let b = (0..nu.len()).map(|i| length(&nu.particle(i)[1..]));
                        b.map(|b| length(x.point(j)) * b.min(f64::MAX)).sum()
                    };
                    let products = products(&mu) + products(&nu);
                    let units = factor(&mu) + factor(&nu) + products;
                    let underflow = 16.0 * f64::from_bits(1) * units;
                    let tolerance = 1e-13 * size + underflow + 1e-300;
                    prop_assert!(error <= tolerance, "{h} became {g}, terms {size}");
                }
            }
        }
    }

    #[test]
    fn softmax_is_a_loss(h in numbers(6), labels in prop::collection::vec(0..3_usize, 2)) {
        let x = DMatrix::from_element(1, 2, 1.0);
        let risk = SoftmaxCrossEntropy::new(x, labels.clone(), 3).unwrap();
        let mut g = [0.0; 6];
        let value = risk.value_and_gradient(&h, &mut g);
        prop_assert!(value >= 0.0 && value == risk.value(&h));
        for (j, &y) in labels.iter().enumerate() {
            let g = &g[3 * j..3 * j + 3];
            let others: f64 = (0..3).filter(|&l| l != y).map(|l| g[l]).sum();
            prop_assert!(g.iter().all(|g| g.abs() <= 0.5 + 1e-15), "{g:?}");
            prop_assert!((g[y] + others).abs() <= 4.0 * f64::EPSILON * others);
        }
    }
}

/// A case of `fewer_neurons_predict_the_same`: `c a` underflows, and the merged neuron is the exact
/// one.
#[test]
fn a_subnormal_output_weight_is_merged_exactly() {
    let points = DMatrix::from_column_slice(2, 2, &[0.0, -1.125, 5e-324, -1.0]);
    let mu = EmpiricalMeasure::uniform(points).unwrap();
    let merged = sparse::merge(&Ridge::new(Relu, 1), &mu, 0.0);
    assert_eq!(merged.len(), 1);
    let x = Inputs::new(DMatrix::from_element(1, 1, -1e298)).unwrap();
    let h = predict(&Ridge::new(Relu, 1), &merged, &x).unwrap()[0];
    // The mean of 0 and 5e-324 |x|.
    let exact = 0.5 * (f64::from_bits(1) * 1e298);
    assert!((h / exact - 1.0).abs() < 1e-14, "{h:e}, {exact:e}");
}
