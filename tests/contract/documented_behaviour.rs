//! Documented behaviour of single components that no law of their trait covers.

mod steps;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::Case;

#[test]
fn derivatives_at_kinks() {
    let at_zero = |sigma: &dyn Activation<f64>| sigma.derivative(0.0);
    assert_eq!(
        [
            at_zero(&Relu),
            at_zero(&ReluPower(0)),
            at_zero(&ReluPower(1)),
            at_zero(&ReluPower(2))
        ],
        [0.0; 4]
    );
    assert_eq!(
        (at_zero(&LeakyRelu(0.25)), at_zero(&Abs), at_zero(&Identity)),
        (0.25, 0.0, 1.0)
    );
    assert_eq!(
        (
            Activation::<f64>::value(&ReluPower(0), 2.0),
            Activation::<f64>::derivative(&ReluPower(0), 2.0)
        ),
        (1.0, 0.0)
    );
    for (loss, kinks) in [
        (&Hinge as &dyn Loss<f64>, [1.0, 1.0]),
        (&Quantile(0.75), [1.0, 1.0]),
        (&Huber(0.5), [0.5, 1.5]),
        (&SmoothHinge(0.5), [0.5, 1.0]),
    ] {
        assert!(
            kinks.iter().all(|&h| loss.second_derivative(1.0, h) == 0.0),
            "second derivative at a kink"
        );
    }
    assert_eq!(
        (
            Hinge.derivative(1.0, 1.0),
            Quantile(0.75).derivative(1.0, 1.0)
        ),
        (0.0, 0.0)
    );
}

/// Optional methods that the fused passes use: no law can require them.
#[test]
fn optional_methods_are_implemented() {
    let linear: [&dyn Activation<f64>; 4] = [&Relu, &LeakyRelu(0.1), &Abs, &Identity];
    assert!(linear.iter().all(|sigma| sigma.slopes().is_some()));
}

/// The conjugate of a loss is optional, so no law can require it. It is finite exactly on the
/// slopes of the loss, and at 0 it is minus the infimum of the loss.
#[test]
fn conjugates_of_the_losses() {
    let infinity = f64::INFINITY;
    let losses: [(&dyn Loss<f64>, [f64; 2]); 7] = [
        (&Square, [-infinity, infinity]),
        (&Huber(0.5), [-0.5, 0.5]),
        (&Quantile(0.75), [-0.75, 0.25]),
        (&Logistic, [-1.0, 0.0]),
        (&Exponential, [-infinity, 0.0]),
        (&Hinge, [-1.0, 0.0]),
        (&SmoothHinge(0.5), [-1.0, 0.0]),
    ];
    for (i, (loss, [low, high])) in losses.into_iter().enumerate() {
        assert_eq!(loss.conjugate(1.0, 0.0), Some(0.0), "loss {i}");
        for (u, inside) in [
            (low, true),
            (low - 0.01, false),
            (high, true),
            (high + 0.01, false),
        ] {
            let conjugate = loss.conjugate(1.0, u).unwrap();
            assert!(
                u.is_infinite()
                    || if inside {
                        conjugate.is_finite()
                    } else {
                        conjugate == infinity
                    },
                "loss {i}, u = {u}"
            );
        }
    }
    assert_eq!(Exponential.conjugate(1.0, -infinity), Some(infinity));
    assert_eq!(Logistic.conjugate(1.0, -1.0), Some(0.0));
}

/// A component that overrides no provided method.
struct RequiredMethodsOnly<P>(P);

impl Loss<f64> for RequiredMethodsOnly<Square> {
    fn value(&self, y: f64, h: f64) -> f64 {
        self.0.value(y, h)
    }
    fn derivative(&self, y: f64, h: f64) -> f64 {
        self.0.derivative(y, h)
    }
}

impl Risk<f64> for RequiredMethodsOnly<EmpiricalRisk<Logistic, f64>> {
    fn inputs(&self) -> &Inputs<f64> {
        self.0.inputs()
    }
    fn value(&self, h: &[f64]) -> f64 {
        self.0.value(h)
    }
    fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
        self.0.value_and_gradient(h, out)
    }
}

/// The step of the finite difference scales with `h` and `u`.
#[test]
fn provided_curvature_at_any_scale() {
    for h in [0.0, 1.0, -1.0, 1e4] {
        let curvature = RequiredMethodsOnly(Square).second_derivative(0.5, h);
        assert!((curvature - 1.0).abs() < 1e-8, "{curvature} at {h}");
    }
    let risk = EmpiricalRisk::new(
        Logistic,
        DMatrix::zeros(1, 2),
        DVector::from_vec(vec![1.0, -1.0]),
    )
    .unwrap();
    let bare = RequiredMethodsOnly(risk.clone());
    for h in [[0.0, 0.0], [1.0, -1.0], [3.0, 0.5]] {
        for scale in [1e-9, 1.0, 1e9] {
            let (u, mut exact, mut found) = ([scale, -0.5 * scale], [0.0; 2], [0.0; 2]);
            risk.curvature(&h, &u, &mut exact);
            bare.curvature(&h, &u, &mut found);
            for (found, exact) in found.into_iter().zip(exact) {
                assert!(
                    (found / exact - 1.0).abs() < 1e-8,
                    "{found:e} and {exact:e} at {h:?}"
                );
            }
        }
    }
}

/// If the probability of one class is nearly 1, the curvature is small and accurate: `R'' u = p q
/// (u_1 - u_2)` of two classes.
#[test]
fn curvature_of_a_nearly_certain_class() {
    for h in [[0.0, -30.0], [-30.0, 0.0]] {
        let risk = SoftmaxCrossEntropy::new(DMatrix::zeros(1, 1), vec![0], 2).unwrap();
        let mut out = [0.0_f64; 2];
        risk.curvature(&h, &[1.0, 0.0], &mut out);
        let q = f64::exp(-30.0);
        let exact = q / ((1.0 + q) * (1.0 + q));
        assert!(
            (out[0] / exact - 1.0).abs() < 1e-14 && (out[1] / exact + 1.0).abs() < 1e-14,
            "{out:?}, {exact:e}"
        );
    }
}

/// The curvature of a potential is optional, so no law can require it: weight decay adds `2 lambda
/// v` to every energy.
#[test]
fn weight_decay_adds_curvature_to_every_energy() {
    let case = Case {
        n: 5,
        m: 4,
        d: 2,
        k: 1,
        seed: 1,
    };
    let (mu, v) = (case.measure::<f64>(3), case.rng(23).matrix::<f64>(3, 4));
    let decay = |lambda| WeightDecay::new(lambda).unwrap();
    let network = || {
        let risk = EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap();
        MeanFieldRisk::new(Ridge::new(Tanh, 2), risk).unwrap()
    };
    let curved = |energy: &mut dyn Energy<f64>| {
        let mut out = DMatrix::from_element(3, 4, f64::NAN);
        energy.curvature(&mu, &v, &mut out).unwrap();
        out
    };
    let alone = curved(&mut network());
    let potential = || PotentialEnergy::new((decay(0.25), decay(0.5)), 3);
    for (energy, base) in [
        (
            &mut potential() as &mut dyn Energy<f64>,
            &DMatrix::zeros(3, 4),
        ),
        (
            &mut network().regularized((decay(0.25), decay(0.5))),
            &alone,
        ),
        (&mut Sum::new(network(), potential()).unwrap(), &alone),
    ] {
        let error = (curved(energy) - base - &v * 1.5).amax();
        assert!(error < 1e-14, "{error:e}");
        let (mut values, mut descent) = ([0.0; 4], v.clone());
        assert!(
            energy
                .first_variation(&mu, &v, &mut values, &mut descent)
                .is_some()
        );
    }
}

/// The discrepancy of a measure and a permutation of it is a rounding error, and returned as 0 if
/// negative.
#[test]
fn a_discrepancy_is_not_negative() {
    let mut zeros = 0;
    for seed in 0..50 {
        let nu = Case {
            n: 1,
            m: 13,
            d: 3,
            k: 1,
            seed,
        }
        .measure::<f64>(3);
        let order = |i: usize| (5 * i + 3) % nu.len();
        let points = DMatrix::from_fn(3, nu.len(), |c, i| nu.particle(order(i))[c]);
        let mu = EmpiricalMeasure::weighted(
            points,
            DVector::from_fn(nu.len(), |i, _| nu.weight(order(i))),
        )
        .unwrap();
        let value = Mmd::new(Gaussian::new(3, 0.75).unwrap(), nu)
            .unwrap()
            .value(&mu);
        assert!((0.0..1e-15).contains(&value), "{value:e}");
        zeros += u32::from(value == 0.0);
    }
    assert!(zeros > 0);
    assert_eq!(ArcCosine::new(3).dim(), 3);
}

/// A stochastic energy, or a deterministic one.
struct Draws(bool);

impl Energy<f64> for Draws {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
        0.0
    }
    fn velocity(&mut self, _: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(0.0);
        0.0
    }
    fn refresh(&mut self, _: usize) -> bool {
        self.0
    }
}

#[test]
fn a_sum_changes_when_one_of_its_energies_does() {
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        assert_eq!(Sum::new(Draws(a), Draws(b)).unwrap().refresh(1), a || b);
    }
}

#[test]
fn predictions_in_a_matrix() {
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
    let x = Inputs::from_slice(1, &[2.0, 3.0]).unwrap();
    assert!(predict(&Ridge::new(Identity, 1), &mu, &x).is_err());
    let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[5.0, 1.0])).unwrap();
    assert_eq!(
        predict(&Ridge::new(Identity, 1), &mu, &x),
        Ok(DMatrix::from_row_slice(1, 2, &[10.0, 15.0]))
    );
}

#[test]
fn a_borrowed_loss_is_checked() {
    let (x, y) = (
        DMatrix::from_element(1, 1, 1.0),
        DVector::from_element(1, 1.0),
    );
    assert!(EmpiricalRisk::new(&Huber(-1.0), x.clone(), y.clone()).is_err());
    assert!(EmpiricalRisk::new(&Logistic, x.clone(), y.clone() * 0.5).is_err());
    let risk = EmpiricalRisk::new(Square, x.clone(), y)
        .unwrap()
        .sample_weights(vec![0.25])
        .unwrap();
    assert_eq!((risk.weights(), risk.targets()[0]), (&[0.25][..], 1.0));
    assert_eq!(
        SoftmaxCrossEntropy::new(x, vec![2], 3).unwrap().labels(),
        &[2]
    );
}
