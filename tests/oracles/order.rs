//! Observed order of every integrator on smooth energies, against a reference trajectory with small
//! steps.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// Numbers in (-scale, scale), the same in both precisions.
fn numbers<T: Real>(seed: u64, rows: usize, columns: usize, scale: f64) -> DMatrix<T> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    DMatrix::from_fn(rows, columns, |_, _| {
        real(scale * f64::from(rng.random_range(-1.0_f32..1.0)))
    })
}

fn measure<T: Real>(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<T> {
    let weights = DVector::from_fn(m, |i, _| real([0.5, 0.25, 0.0, 0.375][i % 4]));
    EmpiricalMeasure::weighted(numbers(seed, p, m, 1.5), weights).unwrap()
}

type Problem<T> = (&'static str, Box<dyn Energy<T>>, EmpiricalMeasure<T>);

/// Smooth energies, each with a start.
fn problems<T: Real>() -> Vec<Problem<T>> {
    let (x, n) = (numbers::<T>(1, 2, 11, 2.0), 11);
    let square = EmpiricalRisk::new(
        Square,
        x.clone(),
        numbers::<T>(2, n, 1, 2.0).column(0).into_owned(),
    )
    .unwrap();
    let labels = DVector::from_fn(n, |j, _| if j % 3 == 0 { -T::one() } else { T::one() });
    let logistic = EmpiricalRisk::new(Logistic, x, labels).unwrap();
    let decay = || WeightDecay::new(real::<T>(0.0625)).unwrap();
    let ridge = MeanFieldRisk::new(Ridge::new(Tanh, 2), square)
        .unwrap()
        .regularized(decay());
    let radial = MeanFieldRisk::new(Radial::new(Softplus, 2), logistic)
        .unwrap()
        .regularized(decay());
    let mmd = Mmd::new(Gaussian::new(2, T::one()).unwrap(), measure(3, 2, 6)).unwrap();
    vec![
        ("a tanh(b.x), square", Box::new(ridge), measure(4, 3, 7)),
        (
            "a |b| softplus(b.x/|b|), logistic",
            Box::new(radial),
            measure(5, 3, 7),
        ),
        ("Gaussian MMD", Box::new(mmd), measure(6, 2, 7)),
    ]
}

const TIME: f64 = 2.0;

/// The points at `TIME`, by the classical Runge-Kutta method with `steps` steps.
fn reference(
    energy: &mut dyn Energy<f64>,
    mu: &EmpiricalMeasure<f64>,
    steps: usize,
) -> DMatrix<f64> {
    let mut mu = mu.clone();
    let (dt, (p, m)) = (TIME / steps as f64, mu.points().shape());
    for _ in 0..steps {
        let start = mu.points().clone();
        let mut k = vec![DMatrix::zeros(p, m); 4];
        for (r, shift) in [0.0, 0.5, 0.5, 1.0].into_iter().enumerate() {
            let at = if r == 0 {
                start.clone()
            } else {
                &start + &k[r - 1] * (shift * dt)
            };
            mu.points_mut().copy_from_slice(at.as_slice());
            energy.velocity(&mu, &mut k[r]);
        }
        let end = start + (&k[0] + (&k[1] + &k[2]) * 2.0 + &k[3]) * (dt / 6.0);
        mu.points_mut().copy_from_slice(end.as_slice());
    }
    mu.points().clone()
}

/// The largest error at `TIME` after `steps` equal steps, without a driver.
fn error<T: Real>(
    integrator: &mut dyn Integrator<T>,
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    exact: &DMatrix<f64>,
    steps: usize,
) -> f64 {
    let dt = real::<T>(TIME / steps as f64);
    let mut state = State::new(mu.clone());
    for _ in 0..steps {
        let step = integrator.step(energy, &mut state, dt).unwrap();
        assert_eq!(step.taken, dt, "a tolerance of 1e6 accepts every step");
    }
    let points = state.measure().points();
    points
        .iter()
        .zip(exact.iter())
        .map(|(w, exact)| (w.to_f64().unwrap() - exact).abs())
        .fold(0.0, f64::max)
}

/// `log2` of the ratio of the errors with `steps` and `2 steps`.
fn observed<T: Real>(integrator: &mut dyn Integrator<T>, problem: usize, steps: usize) -> f64 {
    // The trajectory is that of the f64 problem; its numbers are exact in f32.
    let (_, mut energy, mu) = problems::<f64>().swap_remove(problem);
    let exact = reference(&mut *energy, &mu, 2000);
    let (_, mut energy, mu) = problems::<T>().swap_remove(problem);
    let coarse = error(integrator, &mut *energy, &mu, &exact, steps);
    let fine = error(integrator, &mut *energy, &mu, &exact, 2 * steps);
    (coarse / fine).log2()
}

#[test]
fn fixed_steps_have_the_stated_order() {
    let integrators: [(Box<dyn Integrator<f64>>, u32, usize); 4] = [
        (Box::new(Euler), 1, 200),
        (Box::new(Heun), 2, 64),
        (Box::new(Rk4), 4, 32),
        (Box::new(DormandPrince::new(1e6, 1e6)), 5, 16),
    ];
    for (mut integrator, order, steps) in integrators {
        assert_eq!(integrator.order(), order);
        // The least order over the problems: a method may have a higher one if an error term
        // vanishes.
        let mut least = f64::INFINITY;
        for (problem, (name, ..)) in problems::<f64>().into_iter().enumerate() {
            let observed = observed(&mut *integrator, problem, steps);
            assert!(
                observed > f64::from(order) - 0.25,
                "order {order} on {name}: observed {observed:.3}"
            );
            least = least.min(observed);
        }
        assert!(
            least < f64::from(order) + 0.25,
            "order {order}: observed {least:.3} or more everywhere"
        );
    }
}

#[test]
fn order_in_single_precision() {
    for (problem, (name, ..)) in problems::<f32>().into_iter().enumerate() {
        let euler = observed::<f32>(&mut Euler, problem, 50);
        let heun = observed::<f32>(&mut Heun, problem, 16);
        assert!(
            (euler - 1.0).abs() < 0.2 && (heun - 2.0).abs() < 0.4,
            "{name}: observed {euler:.3}, {heun:.3}"
        );
    }
}

/// The error at a fixed time is proportional to `rtol`: slope 1 in logarithms over five decades.
#[test]
fn the_error_of_an_adaptive_run_follows_the_tolerance() {
    for (problem, (name, ..)) in problems::<f64>().into_iter().enumerate() {
        let (_, mut energy, mu) = problems::<f64>().swap_remove(problem);
        let exact = reference(&mut *energy, &mu, 4000);
        let mut errors = Vec::new();
        let mut steps = Vec::new();
        for rtol in [1e-4, 1e-9] {
            let mut flow =
                ParticleFlow::new(&mut *energy, DormandPrince::new(rtol, 0.0), 1e-2).unwrap();
            let mut state = flow.start(mu.clone()).unwrap();
            flow.run_until(&mut state, TIME, &mut ()).unwrap();
            let error = (state.measure().points() - &exact).amax();
            let size = exact.amax();
            assert!(
                error < 30.0 * rtol * size,
                "{name}: error {error:e} at rtol {rtol:e}"
            );
            errors.push(error);
            steps.push(state.step() as f64);
        }
        let slope = (errors[0] / errors[1]).log10() / 5.0;
        assert!(
            (0.75..1.25).contains(&slope),
            "{name}: errors {errors:?}, slope {slope:.3}"
        );
        // Order 5: five decades of tolerance are one decade of steps.
        let growth = steps[1] / steps[0];
        assert!((3.0..14.0).contains(&growth), "{name}: steps {steps:?}");
    }
}

/// A step is accepted exactly when `(int |e|^2 dmu)^(1/2) <= atol`, `e` the difference of the
/// embedded methods. The methods are applied here to `dw/dt = -w`, where a method is a polynomial
/// of `dt`.
#[test]
fn the_tolerance_bounds_the_difference_of_the_embedded_methods() {
    // Tableau of Dormand and Prince (1980): c, the rows of a, and the weights of order 4.
    let a: [&[f64]; 7] = [
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[
            19372.0 / 6561.0,
            -25360.0 / 2187.0,
            64448.0 / 6561.0,
            -212.0 / 729.0,
        ],
        &[
            9017.0 / 3168.0,
            -355.0 / 33.0,
            46732.0 / 5247.0,
            49.0 / 176.0,
            -5103.0 / 18656.0,
        ],
        &[
            35.0 / 384.0,
            0.0,
            500.0 / 1113.0,
            125.0 / 192.0,
            -2187.0 / 6784.0,
            11.0 / 84.0,
        ],
    ];
    let fourth = [
        5179.0 / 57600.0,
        0.0,
        7571.0 / 16695.0,
        393.0 / 640.0,
        -92097.0 / 339200.0,
        187.0 / 2100.0,
        1.0 / 40.0,
    ];
    let dt = 0.5;
    let mut k: Vec<f64> = Vec::new();
    for row in a {
        k.push(-(1.0 + dt * row.iter().zip(&k).map(|(a, k)| a * k).sum::<f64>()));
    }
    let fifth = dt * a[6].iter().zip(&k).map(|(a, k)| a * k).sum::<f64>();
    let fourth = dt * fourth.iter().zip(&k).map(|(b, k)| b * k).sum::<f64>();
    assert!((1.0 + fifth - f64::exp(-0.5)).abs() < 1e-5);

    // Two particles of positive weight and one of weight zero.
    let points = DMatrix::from_row_slice(1, 3, &[2.0, -1.0, 1e4]);
    let mu = EmpiricalMeasure::weighted(points, DVector::from_vec(vec![0.25, 3.0, 0.0])).unwrap();
    let estimate = (fifth - fourth).abs() * (0.25 * 4.0 + 3.0_f64).sqrt();
    let mut energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    for (atol, accepted) in [
        (estimate * (1.0 + 1e-9), true),
        (estimate * (1.0 - 1e-9), false),
    ] {
        let mut state = State::new(mu.clone());
        let step = DormandPrince::new(0.0, atol)
            .step(&mut energy, &mut state, dt)
            .unwrap();
        assert_eq!(
            step.taken == dt,
            accepted,
            "atol {atol:e}, estimate {estimate:e}, taken {}",
            step.taken
        );
    }
    // The relative part: rtol times the second moment of the larger side, here the start.
    let scale = (0.25 * 4.0 + 3.0_f64).sqrt();
    for (rtol, accepted) in [
        (estimate / scale * (1.0 + 1e-9), true),
        (estimate / scale * (1.0 - 1e-9), false),
    ] {
        let mut state = State::new(mu.clone());
        let step = DormandPrince::new(rtol, 0.0)
            .step(&mut energy, &mut state, dt)
            .unwrap();
        assert_eq!(step.taken == dt, accepted, "rtol {rtol:e}");
    }
}
