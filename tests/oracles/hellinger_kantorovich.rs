//! Half the squared Hellinger-Kantorovich distance: closed forms, conic descent with the rates (1, 1)
//! as its flow; and closed forms of the maximum mean discrepancy.

use std::f64::consts::FRAC_PI_2;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;
use wasserflow::transport::HellingerKantorovichEnergy;

mod vertices;

fn measure(points: &[f64], weights: &[f64]) -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_row_slice(1, points.len(), points);
    EmpiricalMeasure::weighted(points, DVector::from_column_slice(weights)).unwrap()
}

fn energy(target: &EmpiricalMeasure<f64>) -> HellingerKantorovichEnergy<f64> {
    HellingerKantorovichEnergy::new(target.clone()).unwrap()
}

/// `HK^2`, and its Gaussian variant.
fn distances(mu: &EmpiricalMeasure<f64>, target: &EmpiricalMeasure<f64>) -> [f64; 2] {
    let gaussian = HellingerKantorovichEnergy::gaussian(target.clone());
    [energy(target), gaussian.unwrap()].map(|mut energy| 2.0 * energy.value(mu))
}

/// D14: unit masses at distance .8, and beyond pi / 2; D15: pairs, with their plan.
#[test]
fn values() {
    let (mu, nu) = (measure(&[0.0], &[1.0]), measure(&[0.8], &[2.0]));
    for (found, exact) in distances(&mu, &nu)
        .into_iter()
        .zip([1.029_415_85, 0.946_140_367])
    {
        assert!((found - exact).abs() < 5e-9, "{found}, {exact}");
    }
    let root = 2.0 * 2.0_f64.sqrt();
    let exact = [3.0 - root * 0.8_f64.cos(), 3.0 - root * f64::exp(-0.32)];
    for (found, exact) in distances(&mu, &nu).into_iter().zip(exact) {
        assert!((found - exact).abs() < 1e-14, "{found}, {exact}");
    }
    assert_eq!(distances(&mu, &measure(&[1.7], &[2.0]))[0], 3.0);

    let (mu, nu) = (
        measure(&[0.0, 1.0], &[1.0, 0.5]),
        measure(&[0.5, 2.2], &[0.7, 1.2]),
    );
    for (found, exact) in distances(&mu, &nu)
        .into_iter()
        .zip([1.355_490_90, 1.169_226_88])
    {
        assert!((found - exact).abs() < 5e-9, "{found}, {exact}");
    }
    let mut energy = energy(&nu);
    let plan = energy.plan(&mu);
    for (found, exact) in plan.iter().zip([0.681_503, 0.109_552, 0.0, 0.231_200]) {
        assert!((found - exact).abs() < 1e-6, "{found}, {exact}");
    }
    assert!(energy.gap() < 1e-13, "{:e}", energy.gap());
}

/// D16: along the flow from `a d_x` to `b d_y` the measure is the geodesic at `s = 1 - exp(-t)`, and
/// `HK^2` decays as `exp(-2 t)`. The method has order 1: Richardson's extrapolation of two runs.
#[test]
fn conic_descent_follows_the_geodesic() {
    let time = 2.0_f64.ln();
    let run = |steps: usize| {
        let dt = time / steps as f64;
        let energy = energy(&measure(&[0.8], &[2.0]));
        let mut flow = ParticleFlow::new(energy, Conic::new(1.0, 1.0), dt).unwrap();
        let mut state = flow.start(measure(&[0.0], &[1.0])).unwrap();
        let start = state.energy();
        flow.run_until(&mut state, time, &mut ()).unwrap();
        let mu = state.measure();
        [
            mu.weight(0),
            0.8 - mu.particle(0)[0],
            state.energy() / start,
        ]
    };
    let (coarse, fine, finest) = (run(1000), run(2000), run(4000));
    for (i, exact) in [1.242_646_04, 0.327_586_987, 0.25].into_iter().enumerate() {
        let extrapolated = 2.0 * finest[i] - fine[i];
        println!("{extrapolated} exact {exact}, at 4000 steps {}", finest[i]);
        assert!(
            (extrapolated - exact).abs() < 1e-7,
            "{extrapolated}, {exact}"
        );
        let order = (coarse[i] - exact) / (fine[i] - exact);
        assert!((1.9..2.1).contains(&order), "{order}");
    }
}

/// `-dF/dt = int (|grad F'|^2 + 4 F'^2) dmu = 2 F`: the squared metric speed of a geodesic flow.
#[test]
fn the_dissipation_is_twice_the_energy() {
    let (mut energy, wide) = (energy(&measure(&[0.8], &[2.0])), cloud(1, 2, 8));
    for mu in [measure(&[0.0], &[1.0]), measure(&[1.9], &[0.3])] {
        let (mut value, mut descent) = (vec![0.0], DMatrix::zeros(1, 1));
        let points = mu.points().clone();
        let f = energy.first_variation(&mu, &points, &mut value, &mut descent);
        let found = mu.weight(0) * (descent[(0, 0)].powi(2) + 4.0 * value[0].powi(2));
        assert!((found - 2.0 * f.unwrap()).abs() < 1e-12, "{found}, {f:?}");
    }
    // Clouds whose mass does not split: the target is a deformation of the measure.
    let moved = wide.points().map(|w| 1.05 * w + 0.02);
    let heavier = DVector::from_fn(8, |i, _| wide.weight(i) * (1.0 + 0.1 * (i as f64).sin()));
    let nu = EmpiricalMeasure::weighted(moved, heavier).unwrap();
    let mut energy = HellingerKantorovichEnergy::new(nu).unwrap();
    let (mut values, mut v) = (vec![0.0; 8], wide.points().clone());
    let f = energy.velocity(&wide, &mut v);
    let mut descent = v.clone();
    energy.first_variation(&wide, wide.points(), &mut values, &mut descent);
    let masses = (0..8).map(|i| 4.0 * wide.weight(i) * values[i].powi(2));
    let found = energy.inner(&wide, &v, &v) + masses.sum::<f64>();
    println!("dissipation {found}, 2 F = {}", 2.0 * f);
    // Equality for plans that do not split mass on either side.
    assert!(found <= 2.0 * f * (1.0 + 1e-9), "{found}, {f}");
    assert!(found > 1.5 * f, "{found}, {f}");
}

/// m particles in `R^p` within a distance of about 1, with random weights.
fn cloud(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    let points = DMatrix::from_fn(p, m, |_, _| rng.uniform(-0.6, 0.6));
    let weights = DVector::from_fn(m, |_, _| rng.uniform(0.1, 1.0));
    EmpiricalMeasure::weighted(points, weights).unwrap()
}

fn scaled(mu: &EmpiricalMeasure<f64>, s: f64) -> EmpiricalMeasure<f64> {
    let weights = DVector::from_column_slice(mu.weights()) * s;
    EmpiricalMeasure::weighted(mu.points().clone(), weights).unwrap()
}

/// The laws of a distance: 0 at the target, symmetry, homogeneity, bounds, the triangle inequality.
#[test]
fn laws_of_a_distance() {
    let square =
        |mu: &EmpiricalMeasure<f64>, nu: &EmpiricalMeasure<f64>| 2.0 * energy(nu).value(mu);
    for seed in 0..60 {
        let p = 1 + seed as usize % 3;
        let [a, b, c] =
            [(3, 4), (4, 7), (5, 1 + seed as usize % 9)].map(|(s, m)| cloud(seed * 8 + s, p, m));
        let (ab, bc, ac) = (square(&a, &b), square(&b, &c), square(&a, &c));
        let size = a.mass() + b.mass();
        assert!(ab >= 0.0 && ab <= size, "seed {seed}: {ab}");
        assert!((square(&b, &a) - ab).abs() < 1e-12 * size, "seed {seed}");
        assert!(square(&a, &a) < 1e-12 * size, "seed {seed}");
        let twice = square(&scaled(&a, 3.0), &scaled(&b, 3.0));
        assert!((twice - 3.0 * ab).abs() < 1e-11 * size, "seed {seed}");
        assert!(ac.sqrt() <= ab.sqrt() + bc.sqrt() + 1e-9, "seed {seed}");
        // A shift by more than pi / 2: creation and removal of all mass.
        let far = EmpiricalMeasure::weighted(
            b.points().map(|w| w + 4.0),
            DVector::from_column_slice(b.weights()),
        );
        assert!((square(&a, &far.unwrap()) - size).abs() < 1e-13 * size);
    }
}

/// The velocity and the first variation are derivatives of F, for both costs and weights of any ratio;
/// copies of a particle move as one; the gap is at the level of rounding.
#[test]
fn the_first_variation_is_a_derivative() {
    for seed in 0..40 {
        let p = 1 + seed as usize % 3;
        let (mu, nu) = (cloud(seed + 100, p, 5), cloud(seed + 200, p, 7));
        let make = if seed % 2 == 0 {
            HellingerKantorovichEnergy::new
        } else {
            HellingerKantorovichEnergy::gaussian
        };
        let mut energy = make(nu).unwrap();
        let (mut v, mut rng) = (mu.points().clone(), CaseRng::new(seed));
        let value = energy.velocity(&mu, &mut v);
        assert!(energy.gap() < 1e-12, "seed {seed}: {:e}", energy.gap());
        let u = DMatrix::from_fn(p, 5, |_, _| rng.uniform::<f64>(-1.0, 1.0));
        let h = 1e-5;
        let mut at = |s: f64, weight: f64| {
            let mut moved = mu.clone();
            moved.displace(s, &u);
            moved.weights_mut()[2] += weight;
            energy.value(&moved)
        };
        let slope = (at(h, 0.0) - at(-h, 0.0)) / (2.0 * h);
        let growth = (at(0.0, h) - at(0.0, -h)) / (2.0 * h);
        let exact = -energy.inner(&mu, &v, &u);
        assert!(
            (slope - exact).abs() < 1e-6,
            "seed {seed}: {slope}, {exact}"
        );
        let (mut values, mut descent) = (vec![0.0; 5], v.clone());
        energy.first_variation(&mu, mu.points(), &mut values, &mut descent);
        assert!(
            (growth - values[2]).abs() < 1e-6,
            "seed {seed}: {growth}, {values:?}"
        );

        // Particle 1 in three parts, and a probe of weight 0 at particle 0.
        let from = [0, 1, 2, 3, 4, 1, 1, 0];
        let share = [1.0, 0.2, 1.0, 1.0, 1.0, 0.3, 0.5, 0.0];
        let points = mu.points().select_columns(&from);
        let weights = DVector::from_fn(8, |i, _| share[i] * mu.weight(from[i]));
        let split = EmpiricalMeasure::weighted(points, weights).unwrap();
        let mut w = split.points().clone();
        let error = (energy.velocity(&split, &mut w) - value).abs();
        assert!(error < 1e-12, "seed {seed}: {error:e}");
        for (i, from) in from.into_iter().enumerate().take(7) {
            let error = (w.column(i) - v.column(from)).amax();
            assert!(error < 1e-6, "seed {seed}, particle {i}: {error:e}");
        }
    }
}

/// Far from the optimum of a closed form: weights in ratios of 1e12, points that coincide, 100 atoms.
#[test]
fn gaps_of_difficult_problems() {
    let mut rng = CaseRng::new(9);
    for (m, size, exponent) in [
        (40, 1.0, 12.0),
        (100, 0.5, 0.0),
        (60, 1e-6, 3.0),
        (30, 8.0, 6.0),
    ] {
        let mut cloud = |m: usize| {
            let points = DMatrix::from_fn(2, m, |_, _| size * rng.uniform::<f64>(-1.0, 1.0));
            let weights = DVector::from_fn(m, |_, _| {
                10.0_f64.powf(-rng.uniform::<f64>(0.0, 1.0) * exponent)
            });
            EmpiricalMeasure::weighted(points, weights).unwrap()
        };
        let (mu, nu) = (cloud(m), cloud(m + 3));
        for make in [
            HellingerKantorovichEnergy::new,
            HellingerKantorovichEnergy::gaussian,
        ] {
            let mut energy = make(nu.clone()).unwrap();
            let value = energy.value(&mu);
            let gap = energy.gap() / (mu.mass() + nu.mass());
            println!("m = {m}, size {size}: F = {value}, gap {gap:e} of the masses");
            assert!(gap < 1e-11, "m = {m}, size {size}: {gap:e}");
        }
    }
}

/// Targets without mass or of another dimension are typed errors, and a measure without mass has
/// `F = nu(R) / 2`.
#[test]
fn errors_and_measures_without_mass() {
    let empty = measure(&[0.0], &[0.0]);
    let error = HellingerKantorovichEnergy::new(empty.clone()).unwrap_err();
    assert!(error.to_string().contains("mass of the target"), "{error}");
    let mut energy = energy(&measure(&[0.5], &[2.0]));
    assert_eq!(energy.value(&empty), 1.0);
    let (mut values, mut descent) = (vec![0.0; 2], DMatrix::zeros(1, 2));
    let at = DMatrix::from_row_slice(1, 2, &[0.0, 5.0]);
    energy.first_variation(&empty, &at, &mut values, &mut descent);
    assert_eq!(values, [f64::NEG_INFINITY, 0.5]);
    let planar = EmpiricalMeasure::uniform(DMatrix::<f64>::zeros(2, 1)).unwrap();
    assert!(energy.check_measure(&planar).is_err());
    // Mass at pi / 2 and beyond is not transported.
    let mu = measure(&[0.0, 3.0], &[1.0, 4.0]);
    let value = energy.value(&mu);
    let exact = 0.5 * (7.0 - 2.0 * 2.0_f64.sqrt() * 0.5_f64.cos());
    assert!((value - exact).abs() < 1e-14, "{value}, {exact}");
}

/// D7: half the squared discrepancy of unit masses at distance r, and the distance along its flow.
#[test]
fn a_unit_mass_in_the_flow_of_the_discrepancy() {
    let energy = || Mmd::new(Gaussian::new(1, 1.0).unwrap(), measure(&[0.0], &[1.0])).unwrap();
    let value = energy().value(&measure(&[1.0], &[1.0]));
    assert!((value - 0.393_469_340).abs() < 5e-10, "{value}");
    for (start, time, exact) in [(1.0, 1.0, 0.463_016_936), (3.0, 10.0, 2.309_813_31)] {
        let mut flow = ParticleFlow::new(energy(), Rk4, 0.005).unwrap();
        let mut state = flow.start(measure(&[start], &[1.0])).unwrap();
        flow.run_until(&mut state, time, &mut ()).unwrap();
        let found = state.measure().particle(0)[0];
        assert!((found - exact).abs() < 5e-9, "{found}, {exact}");
    }
}

/// D8: half the squared discrepancy of N(0, 1) and N(1, 1/4), sigma = 1: by midpoints of a grid,
/// on which Gaussian integrals converge faster than any power.
#[test]
fn the_discrepancy_of_normal_laws() {
    let normal = |mean: f64, deviation: f64| {
        let z: Vec<f64> = (-80..=80).map(|i| 0.1 * f64::from(i)).collect();
        let density = |z: &f64| 0.1 * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let points: Vec<f64> = z.iter().map(|z| mean + deviation * z).collect();
        measure(&points, &z.iter().map(density).collect::<Vec<_>>())
    };
    let kernel = Gaussian::new(1, 1.0).unwrap();
    let value = Mmd::new(kernel, normal(1.0, 0.5))
        .unwrap()
        .value(&normal(0.0, 1.0));
    assert!((value - 0.163_098_490).abs() < 5e-10, "{value}");
}

/// Distances next to `pi / 2`, where `1 - sin^2` would lose all digits of the affinity.
#[test]
fn unit_masses_almost_out_of_reach() {
    for distance in [0.1, 1e-3, 1e-6, 2e-8, 1e-9, 1e-15].map(|e| FRAC_PI_2 - e) {
        let mu = measure(&[0.0], &[1.0]);
        let mut energy = energy(&measure(&[distance], &[1.0]));
        let (value, exact) = (energy.value(&mu), 1.0 - distance.cos());
        assert!(
            (value - exact).abs() < 1e-14,
            "{distance}: {value}, {exact}"
        );
        let mut v = DMatrix::zeros(1, 1);
        energy.velocity(&mu, &mut v);
        let exact = distance.sin();
        assert!((v[0] - exact).abs() < 1e-12, "{distance}: {}", v[0]);
    }
}

/// Weights of any ratio: the gap is small, also if that of the first iterate already is, and
/// particles of very small weight have the velocity of particles of weight 0.
#[test]
fn small_weights() {
    for w in [1e-3, 1e-6, 1e-9, 1e-12, 1e-40, 1e-310, 5e-324] {
        // A light pair beside a heavy one. Both transport their mass by themselves up to 1e-12, and
        // a light particle counts as one of weight 0 from 1e-32 on.
        let (mu, nu) = (
            measure(&[0.0, 1.0], &[1.0, w]),
            measure(&[0.2, 1.1], &[1.0, w]),
        );
        let mut energy = energy(&nu);
        let mut v = DMatrix::zeros(1, 2);
        let value = energy.velocity(&mu, &mut v);
        let exact = 1.0 - 0.2_f64.cos() + w * (1.0 - 0.1_f64.cos());
        assert!((value - exact).abs() < 1e-14, "{w:e}: {value}, {exact}");
        assert!(energy.gap() < 1e-14, "{w:e}: {:e}", energy.gap());
        assert!((v[0] - 0.2_f64.sin()).abs() < 1e-12, "{w:e}: {v}");
        // By e^(-phi) = cos^2(.8) / cos(.2) towards the heavy point.
        let light = 0.8_f64.cos() * 0.8_f64.sin() / 0.2_f64.cos();
        let exact = if w < 1e-32 { -light } else { 0.1_f64.sin() };
        assert!((v[1] - exact).abs() < 1e-3, "{w:e}: {v}, {exact}");
    }
    let mut rng = CaseRng::new(4);
    for (m, orders) in [(20, 12.0), (20, 40.0), (40, 100.0), (40, 300.0)] {
        let mut cloud = |m: usize| {
            let points = DMatrix::from_fn(1, m, |_, _| rng.uniform::<f64>(0.0, 4.0));
            let weight = |_, _| 10.0_f64.powf(-orders * rng.uniform::<f64>(0.0, 1.0));
            EmpiricalMeasure::weighted(points, DVector::from_fn(m, weight)).unwrap()
        };
        let (mu, nu) = (cloud(m), cloud(m + 3));
        let mut energy = energy(&nu);
        let mut v = DMatrix::zeros(1, m);
        let value = energy.velocity(&mu, &mut v);
        let gap = energy.gap() / (mu.mass() + nu.mass());
        assert!(gap < 1e-13, "{orders} orders: F = {value}, {gap:e}");
        // Without e^(-phi) >> 1, particles do not move faster than e^(-phi) tan.
        let mut values = vec![0.0; m];
        let mut descent = v.clone();
        energy.first_variation(&mu, mu.points(), &mut values, &mut descent);
        for i in 0..m {
            let density = 1.0 - 2.0 * values[i];
            let is_far = |x: f64| (x - mu.particle(i)[0]).abs() > FRAC_PI_2 - 1e-2;
            if density.is_finite() && !nu.points().iter().any(|&x| is_far(x)) {
                let bound = density * (FRAC_PI_2 - 1e-2).tan() + 1e-12;
                assert!(v[i].abs() <= bound, "{orders}: {}, {bound}", v[i]);
            }
        }
    }
}

/// The velocity of a small weight is that of the potential, minus the gradient of F' at the point,
/// for clouds of any diameter. The plan alone determines it up to 5 % for weights of 1e-12 in a cloud
/// of diameter 0.002.
#[test]
fn velocities_of_small_weights() {
    for diameter in [2.0, 0.2, 0.02, 0.002] {
        for weight in [1e-8, 1e-10, 1e-12, 1e-14, 1e-16] {
            let (mut errors, mut rng) = (Vec::new(), CaseRng::new(9));
            for case in 0..40 {
                let mut points = |m: usize| {
                    let coordinate = |_, _| 0.5 * diameter * rng.uniform::<f64>(-1.0, 1.0);
                    DMatrix::from_fn(2, m, coordinate)
                };
                let (nu, points) = (points(7), points(8));
                let weights = DVector::from_fn(8, |i, _| if i < 3 { weight } else { 0.2 });
                let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
                let nu = EmpiricalMeasure::uniform(nu).unwrap();
                let mut energy = match case % 2 {
                    0 => HellingerKantorovichEnergy::new(nu).unwrap(),
                    _ => HellingerKantorovichEnergy::gaussian(nu).unwrap(),
                };
                let (mut v, mut values) = (mu.points().clone(), [0.0; 8]);
                energy.velocity(&mu, &mut v);
                let mut exact = v.clone();
                energy.first_variation(&mu, mu.points(), &mut values, &mut exact);
                for i in 0..3 {
                    let error = (v.column(i) - exact.column(i)).norm();
                    errors.push(error / exact.column(i).norm());
                }
            }
            errors.sort_by(f64::total_cmp);
            let (median, high) = (errors[60], errors[113]);
            println!("{diameter}, {weight:e}: median {median:e}, 95 % {high:e}");
            assert!(high < 1e-12, "{diameter}, {weight:e}: {high:e}");
        }
    }
}

/// A small weight between two points of the target moves to neither, by symmetry.
#[test]
fn a_small_weight_on_an_axis_of_symmetry() {
    let nu = measure(&[-0.5, 0.5], &[1.0, 1.0]);
    for weight in [1e-7, 1e-9, 1e-12, 1e-15] {
        let mu = measure(&[-0.4, 0.0, 0.4], &[1.0, weight, 1.0]);
        let mut v = mu.points().clone();
        energy(&nu).velocity(&mu, &mut v);
        // One point of the target alone would cause tan(0.5) e^(-phi).
        assert!(v[1].abs() < 1e-5, "{weight:e}: {v}");
    }
}
