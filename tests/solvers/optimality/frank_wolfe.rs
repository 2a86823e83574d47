//! Frank-Wolfe: gaps against a conic solver, the minimiser against that of the Wasserstein flow.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, Certifiable, Certificate, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, reweigh, run_until_optimal};

use super::common::{cast, matrix, measure, network, signs};
use super::convex;
use crate::counted::Counted;

/// The zero measure, as one particle at zero.
fn zero_network<T: Real>(p: usize) -> EmpiricalMeasure<T> {
    EmpiricalMeasure::uniform(DMatrix::zeros(p, 1)).unwrap()
}

/// `F` and the certificate of the start and after each of at most `steps` steps.
fn course<T: Real, E: Certifiable<T>>(
    method: FrankWolfe,
    energy: &mut E,
    mu: &mut EmpiricalMeasure<T>,
    steps: usize,
) -> Vec<(T, Certificate<T>)> {
    let mut course = Vec::new();
    loop {
        let certificate = certify(energy, mu);
        course.push((energy.value(mu), certificate.clone()));
        if course.len() > steps {
            return course;
        }
        let Some(w) = certificate.escape() else {
            return course;
        };
        match method.step(energy, mu, w).unwrap() {
            Some(next) => *mu = next,
            None => return course,
        }
    }
}

#[test]
fn every_gap_bounds_the_true_gap_and_the_last_is_small() {
    let rng = &mut ChaCha8Rng::seed_from_u64(31);
    for case in 0..60 {
        let n = 2 + case % 14;
        let (x, y, lambda) = (
            matrix(2, n, rng),
            matrix(1, n, rng),
            [0.003, 0.01, 0.03][case % 3],
        );
        let optimum = convex::square(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        for method in [
            FrankWolfe::Plain,
            FrankWolfe::Corrective,
            FrankWolfe::Sliding,
        ] {
            if method == FrankWolfe::Sliding && case % 4 > 0 {
                continue;
            }
            let mut mu = zero_network(3);
            let course = course(method, &mut energy, &mut mu, 200);
            for (step, (value, certificate)) in course.iter().enumerate() {
                assert!(
                    certificate.gap() >= value - optimum.value - 1e-8,
                    "case {case}, {method:?}, step {step}"
                );
            }
            assert!(
                course.windows(2).all(|pair| pair[1].0 < pair[0].0),
                "case {case}, {method:?}: F rises"
            );
            let (first, last) = (course[0].1.gap(), course[course.len() - 1].1.gap());
            match method {
                FrankWolfe::Plain => assert!(
                    last <= f64::max(0.5 * first, 1e-8),
                    "case {case}: {first} to {last}"
                ),
                _ => assert!(
                    last <= 1e-8,
                    "case {case}, {method:?}: {last} after {} steps",
                    course.len()
                ),
            }
            if method == FrankWolfe::Sliding {
                assert!(course.len() <= 20, "case {case}: {} steps", course.len());
            }
        }
    }
}

/// The flow of particles and the insertion of atoms have the same limit: energy and predictions.
#[test]
fn both_geometries_find_the_same_optimum() {
    let rng = &mut ChaCha8Rng::seed_from_u64(32);
    for case in 0..3 {
        let (x, y) = (matrix(2, 12, rng), matrix(1, 12, rng));
        let mut flow =
            ParticleFlow::new(network::<_, _, f64>(Relu, Square, &x, &y, 0.01), Rk4, 0.5).unwrap();
        let mut state = flow.start(init::sphere(3, 60, rng).unwrap()).unwrap();
        let (reason, slow) = run_until_optimal(&mut flow, &mut state, 1e-4, 1000, 40_000).unwrap();
        assert!(
            matches!(reason, StopReason::GloballyOptimal { .. }),
            "case {case}: the flow {reason:?} {}",
            slow.gap()
        );

        let mut mu = zero_network(3);
        let (reason, fast) = FrankWolfe::Corrective
            .run(flow.energy_mut(), &mut mu, 1e-9, 200)
            .unwrap();
        assert!(
            matches!(reason, StopReason::GloballyOptimal { .. }),
            "case {case}: the atoms {reason:?}"
        );
        let energy = flow.energy_mut();
        assert!(
            energy.value(&mu) <= state.energy() + fast.gap()
                && state.energy() <= energy.value(&mu) + slow.gap()
        );
        // R is strongly convex in h with modulus 1/n: |h - h*|^2 / (2 n) <= F - F*.
        let (mut h, mut g) = ([0.0; 12], [0.0; 12]);
        energy.predict(&mu, &mut h);
        energy.predict(state.measure(), &mut g);
        let distance = h
            .iter()
            .zip(&g)
            .map(|(h, g)| (h - g).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(
            distance <= (24.0 * slow.gap()).sqrt() + (24.0 * fast.gap()).sqrt(),
            "case {case}: {distance}"
        );
    }
}

#[test]
fn every_loss_activation_dimension_and_number_of_outputs() {
    fn run<E: Certifiable<f64>>(name: &str, mut energy: E) {
        for (method, steps) in [(FrankWolfe::Corrective, 300), (FrankWolfe::Sliding, 60)] {
            let mut mu = zero_network(energy.particle_dim());
            let (reason, certificate) = method.run(&mut energy, &mut mu, 1e-8, steps).unwrap();
            assert_eq!(certificate.bound(), Some(Bound::Exact));
            assert!(
                matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-8),
                "{name}, {method:?}: {reason:?}, {} atoms, gap {}",
                mu.len(),
                certificate.gap()
            );
        }
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(33);
    for d in [1, 2, 3] {
        let (x, y, z) = (matrix(d, 10, rng), matrix(1, 10, rng), matrix(2, 10, rng));
        run(
            &format!("square, d = {d}"),
            network::<_, _, f64>(Relu, Square, &x, &y, 0.01),
        );
        run(
            &format!("two outputs, d = {d}"),
            network::<_, _, f64>(Relu, Square, &x, &z, 0.01),
        );
        run(
            &format!("leaky, d = {d}"),
            network::<_, _, f64>(LeakyRelu(0.2), Square, &x, &y, 0.01),
        );
        run(
            &format!("abs, d = {d}"),
            network::<_, _, f64>(Abs, Square, &x, &y, 0.01),
        );
        run(
            &format!("logistic, d = {d}"),
            network::<_, _, f64>(Relu, Logistic, &x, &signs(&y), 0.01),
        );
        let risk = SoftmaxCrossEntropy::new(x, (0..10).map(|j| j % 3).collect(), 3).unwrap();
        let softmax = MeanFieldRisk::new(Ridge::with_outputs(Relu, d, 3), risk).unwrap();
        run(
            &format!("softmax, d = {d}"),
            softmax.regularized(WeightDecay::new(0.01).unwrap()),
        );
    }
}

#[test]
fn single_precision() {
    let rng = &mut ChaCha8Rng::seed_from_u64(34);
    for _ in 0..10 {
        let (x, y) = (matrix(2, 12, rng), matrix(1, 12, rng));
        let mut energy = network::<_, _, f32>(Relu, Square, &x, &y, 0.01);
        for method in [FrankWolfe::Corrective, FrankWolfe::Sliding] {
            let mut mu = zero_network(3);
            let (_, certificate) = method.run(&mut energy, &mut mu, 1e-7, 100).unwrap();
            assert!(
                certificate.gap() < 1e-4,
                "{method:?}: {}",
                certificate.gap()
            );
        }
    }
}

/// Beyond three dimensions the final gap is an estimate, and reported as one.
#[test]
fn in_high_dimension_the_gap_is_an_estimate() {
    let rng = &mut ChaCha8Rng::seed_from_u64(35);
    let (x, y) = (matrix(7, 30, rng), matrix(1, 30, rng));
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
    let mut mu = zero_network(8);
    let (reason, certificate) = FrankWolfe::Sliding
        .run(&mut energy, &mut mu, 1e-8, 60)
        .unwrap();
    assert_eq!(
        (reason, certificate.bound()),
        (StopReason::Stationary, Some(Bound::Relaxed))
    );
    assert!(
        certificate.optimistic_gap() < 1e-7 && certificate.gap() > 1e-3,
        "{certificate:?}"
    );
    // The flow of many particles does not reach a lower energy.
    let mut flow = ParticleFlow::new(&mut energy, Rk4, 0.5).unwrap();
    let mut state = flow
        .start(init::balanced(7, 60, 0.5, rng).unwrap())
        .unwrap();
    flow.run(&mut state, 4000, &mut ()).unwrap();
    let excess = state.energy() - certificate.energy();
    assert!(
        (-1e-6..1e-3).contains(&excess),
        "{excess} {} and {} atoms",
        state.energy(),
        mu.len()
    );
}

#[test]
fn population_risks_are_solved() {
    let teacher = EmpiricalMeasure::weighted(
        matrix(3, 3, &mut ChaCha8Rng::seed_from_u64(36)),
        DVector::from_element(3, 1.0),
    );
    let mut energy = Mmd::new(WithOutputWeight(ArcCosine::new(2)), teacher.unwrap()).unwrap();
    let mut mu = zero_network(3);
    let (reason, _) = FrankWolfe::Sliding
        .run(&mut energy, &mut mu, 1e-10, 20)
        .unwrap();
    assert!(
        matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-10),
        "{reason:?}"
    );
}

/// At the best weights no `F'(mu)(w_i)` is negative, nor any `c_i F'(mu)(w_i)` positive.
#[test]
fn reweighed_measures_are_optimal() {
    fn run<T: Real>(tolerance: f64, product: f64) {
        let rng = &mut ChaCha8Rng::seed_from_u64(37);
        for m in [1, 5, 40] {
            let (x, y) = (matrix(3, 25, rng), matrix(1, 25, rng));
            let mut energy = network::<_, _, T>(Relu, Square, &x, &y, 0.003);
            let mu = measure::<T>(4, m, rng);
            let best = reweigh(&mut energy, &mu).unwrap();
            let (mut slopes, mut descent) = (vec![T::zero(); m], DMatrix::zeros(4, m));
            energy
                .first_variation(&best, mu.points(), &mut slopes, &mut descent)
                .unwrap();
            for i in 0..m {
                let slope = slopes[i].to_f64().unwrap();
                let weight = (0..best.len())
                    .find(|&l| best.particle(l) == mu.particle(i))
                    .map(|l| best.weight(l));
                let growth = slope * weight.and_then(|c| c.to_f64()).unwrap_or(0.0);
                assert!(
                    slope > -tolerance && growth < product,
                    "m = {m}: F' = {slope}, c F' = {growth}, {tolerance}"
                );
            }
            assert!(energy.value(&best) <= energy.value(&mu));
        }
    }
    run::<f64>(1e-7, 1e-9);
    run::<f32>(1e-2, 1e-5);
}

#[test]
fn invalid_problems_are_errors() {
    let mut energy = network::<_, _, f64>(
        Relu,
        Square,
        &DMatrix::identity(2, 2),
        &DMatrix::zeros(1, 2),
        0.1,
    );
    let refused = FrankWolfe::Plain
        .run(&mut energy, &mut zero_network(3), f64::NAN, 1)
        .map(|_| ());
    assert!(matches!(
        refused,
        Err(StepError::Parameter(ParameterError { name: "gap", .. }))
    ));

    let mut mu = measure::<f64>(3, 4, &mut ChaCha8Rng::seed_from_u64(38));
    mu.points_mut()[0] = f64::INFINITY;
    assert!(matches!(
        FrankWolfe::Corrective.run(&mut energy, &mut mu, 0.0, 5),
        Err(_) | Ok((StopReason::Stationary, _))
    ));
    assert!(reweigh(&mut energy, &mu).is_err());

    /// An energy without the first variation.
    struct Flat;
    impl Energy<f64> for Flat {
        fn particle_dim(&self) -> usize {
            3
        }
        fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
            0.0
        }
        fn velocity(&mut self, _: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
            out.fill(0.0);
            0.0
        }
    }
    let unsupported = Err(StepError::Unsupported {
        what: "the first variation",
    });
    assert_eq!(
        FrankWolfe::Sliding.step(&mut Flat, &zero_network(3), &[1.0; 3]),
        unsupported
    );
}

/// First variations and certificates of a run from the zero network.
fn work<L: Loss<f64>>(loss: L) -> [usize; 2] {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let (x, y) = (matrix(2, 30, rng), signs(&matrix(1, 30, rng)));
    let mut energy = Counted::new(network::<_, _, f64>(Relu, loss, &x, &y, 1e-3));
    let mut mu = zero_network(3);
    let run = FrankWolfe::Corrective.run(&mut energy, &mut mu, 1e-6, 100);
    let (reason, certificate) = run.unwrap();
    assert!(matches!(reason, StopReason::GloballyOptimal { .. }));
    assert!(mu.len() > 2 && certificate.gap() <= 1e-6);
    let counts = &energy.counts;
    [counts.variations.get(), counts.certificates.get()]
}

/// The Hessian of a quadratic F in the weights costs one difference of gradients for each atom, which
/// is kept; that of another F two for each atom and step.
#[test]
fn a_quadratic_energy_costs_one_difference_an_atom() {
    let [square, logistic] = [work(Square), work(Logistic)];
    println!("square {square:?}, logistic {logistic:?}");
    // A step takes the column of its atom, the gradient at its start and those of its Newton steps.
    assert!(square[0] <= 4 * square[1] + 12, "{square:?}");
    assert!(logistic[0] > 8 * logistic[1], "{logistic:?}");
}

/// Almost equal neurons: the Hessian in the weights is singular to rounding. Mass moves between them
/// in few steps, and the run ends with a proof, or where lambda = 0 with a small F.
#[test]
fn almost_equal_neurons_do_not_slow_down_a_run() {
    for (difference, lambda) in [1e-8, 1e-10, 1e-12, 1e-15]
        .into_iter()
        .flat_map(|difference| [(difference, 1e-3), (difference, 0.0)])
    {
        let (mut most, mut lowest) = (0, f64::INFINITY);
        for seed in 0..10 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let (x, y) = (matrix(2, 15, rng), matrix(1, 15, rng));
            let few: EmpiricalMeasure<f64> = measure(3, 6, rng);
            let points = DMatrix::from_fn(3, 18, |l, i| {
                few.points()[(l, i % 6)] * (1.0 + difference * rng.random_range(-1.0..1.0))
            });
            let weights = DVector::from_element(18, 0.05);
            let mut mu = EmpiricalMeasure::weighted(points, weights).unwrap();
            let mut energy = Counted::new(network::<_, _, f64>(Relu, Square, &x, &y, lambda));
            let start = energy.value(&mu);
            let run = FrankWolfe::Corrective.run(&mut energy, &mut mu, 1e-7, 60);
            let (reason, certificate) = run.unwrap();
            let at = format!("{difference:e}, lambda {lambda}, seed {seed}: {reason:?}");
            let gap = certificate.gap();
            assert!(energy.value(&mu) < start, "{at}");
            if lambda > 0.0 {
                assert!(matches!(reason, StopReason::GloballyOptimal { .. }), "{at}");
            } else {
                assert!(gap < 0.1 * start, "{at}, {gap:e} of {start}");
            }
            let counts = &energy.counts;
            let each = counts.variations.get() / counts.certificates.get();
            most = most.max(each);
            lowest = f64::min(lowest, gap);
        }
        println!("{difference:e}, lambda {lambda}: {most} a certificate, least gap {lowest:e}");
        let bound = if lambda > 0.0 { 12 } else { 36 };
        assert!(most <= bound, "{difference:e}, lambda {lambda}: {most}");
    }
}

/// A run optimises the weights in full after its last certificate: `reweigh` does not
/// decrease F further.
#[test]
fn the_weights_of_a_result_are_optimal() {
    let rng = &mut ChaCha8Rng::seed_from_u64(40);
    for case in 0..20 {
        let (x, y) = (matrix(2, 12, rng), matrix(1, 12, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let gap = [1e-3, 1e-6][case % 2];
        let mut mu = zero_network(3);
        let run = FrankWolfe::Corrective.run(&mut energy, &mut mu, gap, 100);
        let (reason, certificate) = run.unwrap();
        assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap == certificate.gap()));
        let proof = certify(&mut energy, &mu).gap();
        assert!(
            certificate.gap() <= gap && proof <= gap * (1.0 + 1e-6),
            "case {case}"
        );
        let (value, best) = (energy.value(&mu), reweigh(&mut energy, &mu).unwrap());
        let decrease = value - energy.value(&best);
        assert!(decrease <= 1e-14 * value, "case {case}: {decrease:e}");
    }
}

/// A run ends as globally optimal if and only if its certificate proves the gap, for any number of
/// steps: the last optimisation of the weights may be what proves it.
#[test]
fn the_reason_is_that_of_the_certificate() {
    let rng = &mut ChaCha8Rng::seed_from_u64(42);
    let mut ends = [0; 2];
    for case in 0..40 {
        let (x, y) = (matrix(2, 12, rng), matrix(1, 12, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        for (steps, gap) in (1..8).flat_map(|steps| [1e-1, 1e-2, 1e-3].map(|gap| (steps, gap))) {
            let mut mu = zero_network(3);
            let run = FrankWolfe::Corrective.run(&mut energy, &mut mu, gap, steps);
            let (reason, certificate) = run.unwrap();
            let is_proved = certificate.gap() <= gap;
            let is_optimal = matches!(reason, StopReason::GloballyOptimal { .. });
            assert_eq!(
                is_optimal, is_proved,
                "case {case}, {steps} steps, gap {gap:e}: {reason:?}, {certificate:?}"
            );
            ends[usize::from(is_optimal)] += 1;
        }
    }
    assert!(ends.iter().all(|&count| count > 100), "{ends:?}");
}

/// Two runs agree bit for bit, for any number of threads.
#[test]
fn runs_are_deterministic() {
    let rng = &mut ChaCha8Rng::seed_from_u64(39);
    let (x, y) = (matrix(5, 40, rng), matrix(2, 40, rng));
    let run = || {
        let risk = EmpiricalRisk::with_outputs(Square, cast(&x), cast(&y)).unwrap();
        let energy = MeanFieldRisk::new(Ridge::with_outputs(Relu, 5, 2), risk).unwrap();
        let mut energy = energy.regularized(WeightDecay::new(real(0.01)).unwrap());
        let mut mu = zero_network::<f64>(7);
        FrankWolfe::Sliding
            .run(&mut energy, &mut mu, 0.0, 6)
            .unwrap();
        mu
    };
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap()
        .install(run);
    assert_eq!(one, run());
}
