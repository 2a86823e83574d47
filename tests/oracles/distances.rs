//! Transport distances as energies, against closed forms.

use wasserflow::flow::StartError;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;
use wasserflow::transport::{SinkhornEnergy, SlicedW2Energy, W2Energy, gaussian_w2_squared};

fn uniform(p: usize, points: &[f64]) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_column_slice(p, points.len() / p, points)).unwrap()
}

fn random(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    EmpiricalMeasure::uniform(DMatrix::from_fn(p, m, |_, _| rng.uniform(-1.0, 1.0))).unwrap()
}

/// m quantiles of N(mean, deviation^2).
fn normal(m: usize, mean: f64, deviation: f64) -> EmpiricalMeasure<f64> {
    let distribution = |x: f64| 0.5 * (1.0 + Activation::value(&Erf, x / 2.0_f64.sqrt()));
    let quantile = |i: usize| {
        let (mut low, mut high) = (-9.0, 9.0);
        for _ in 0..70 {
            let middle = 0.5 * (low + high);
            if distribution(middle) < (i as f64 + 0.5) / m as f64 {
                low = middle;
            } else {
                high = middle;
            }
        }
        mean + deviation * 0.5 * (low + high)
    };
    uniform(1, &(0..m).map(quantile).collect::<Vec<_>>())
}

fn run(
    energy: impl Energy<f64>,
    mu: &EmpiricalMeasure<f64>,
    time: f64,
    dt: f64,
) -> EmpiricalMeasure<f64> {
    let mut flow = ParticleFlow::new(energy, Rk4, dt).unwrap();
    let mut state = flow.start(mu.clone()).unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    state.into_measure()
}

/// `|F(mu_1) - F(mu_0) + int_0^1 sum_i c_i <v_i(mu_t), u_i> dt|` along random directions of length
/// `size`, by Simpson's rule.
fn error_along_a_path(energy: &mut dyn Energy<f64>, mu: &EmpiricalMeasure<f64>, size: f64) -> f64 {
    let mut rng = CaseRng::new(5);
    let u = DMatrix::from_fn(mu.dim(), mu.len(), |_, _| rng.uniform(-size, size));
    let mut at = |t: f64| {
        let mut moved = mu.clone();
        moved.displace(t, &u);
        let mut v = u.clone();
        let value = energy.velocity(&moved, &mut v);
        (value, energy.inner(&moved, &v, &u))
    };
    let [(start, a), (_, b), (end, c)] = [at(0.0), at(0.5), at(1.0)];
    (end - start + (a + 4.0 * b + c) / 6.0).abs()
}

/// D1: .516685226, and the flow of D2: Sigma and `W_2^2` at t = .5.
#[test]
fn the_bures_distance() {
    let (zero, two) = (DVector::<f64>::zeros(2), DVector::from_vec(vec![3.0, 4.0]));
    let a = DMatrix::from_row_slice(2, 2, &[2.0, 1.0, 1.0, 2.0]);
    let b = DMatrix::from_diagonal(&DVector::from_vec(vec![1.0, 3.0]));
    let exact = 0.516_685_226;
    let found = gaussian_w2_squared((&zero, &a), (&zero, &b)).unwrap();
    assert!((found - exact).abs() < 5e-10, "{found}");
    let shifted = gaussian_w2_squared((&zero, &b), (&two, &a)).unwrap();
    assert!((shifted - exact - 25.0).abs() < 1e-8, "{shifted}");
    let middle = DMatrix::from_row_slice(
        2,
        2,
        &[1.528_399_21, 0.623_008_33, 0.623_008_33, 2.348_293_23],
    );
    let left = gaussian_w2_squared((&zero, &middle), (&zero, &b)).unwrap();
    assert!((left - 0.190_077_872).abs() < 1e-7, "{left}");
    // Singular covariances, and the same law.
    let point = DMatrix::zeros(2, 2);
    assert_eq!(
        gaussian_w2_squared((&zero, &point), (&zero, &b)).unwrap(),
        4.0
    );
    assert!(gaussian_w2_squared((&zero, &a), (&zero, &a)).unwrap() < 1e-14);
    let indefinite = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
    for wrong in [
        indefinite,
        DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 0.0, 1.0]),
    ] {
        gaussian_w2_squared((&zero, &wrong), (&zero, &b)).unwrap_err();
    }
}

/// D2: the flow is the geodesic at `s = 1 - e^{-t}`: `W_2^2 = e^{-2t} W_2^2(0)`, equal atoms move on
/// straight lines.
#[test]
fn the_flow_of_w2_is_a_geodesic() {
    let (mu, nu) = (random(1, 2, 12), random(2, 2, 12));
    let coupling = transport::w2(&mu, &nu).unwrap();
    let time = 0.5;
    let after = run(W2Energy::new(nu.clone()).unwrap(), &mu, time, 0.01);
    for &(i, j, _) in coupling.plan() {
        for (l, &w) in after.particle(i).iter().enumerate() {
            let target = nu.particle(j)[l];
            let exact = target + f64::exp(-time) * (mu.particle(i)[l] - target);
            assert!((w - exact).abs() < 1e-9, "{w}, {exact}");
        }
    }
    let left = transport::w2(&after, &nu).unwrap().squared_distance();
    let exact = coupling.squared_distance() * f64::exp(-2.0 * time);
    assert!((left / exact - 1.0).abs() < 1e-8, "{left}, {exact}");
}

/// Other weights: the velocity is the barycentric projection, and the gradient of F.
#[test]
fn the_velocity_of_w2_is_its_gradient() {
    let (mu, nu) = (random(3, 3, 7), random(4, 3, 11));
    let mut energy = W2Energy::new(nu).unwrap();
    let error = error_along_a_path(&mut energy, &mu, 1e-3);
    assert!(error < 1e-13, "{error:e}");
    // A warm start and a cold one.
    let (mut v, mut other) = (mu.points().clone(), mu.points().clone());
    energy.velocity(&mu, &mut v);
    let target = energy.target().clone();
    W2Energy::new(target).unwrap().velocity(&mu, &mut other);
    assert!((v - other).amax() < 1e-14);
}

/// D2 on the line with other weights, where plans split: `F = (1/2) int (Q_mu - Q_nu)^2` of the
/// quantile functions, the velocity is `T_i - w_i` with the mean T_i of `Q_nu` over the levels of
/// particle i, and along the flow `w_i = T_i + e^{-t} (w_i(0) - T_i)` and
/// `F(t) = F_inf + e^{-2t} (F(0) - F_inf)`, as long as the order remains.
#[test]
fn other_weights_on_the_line() {
    // In order, with sums of weights that interleave.
    let (w, c): (_, [f64; 4]) = ([-1.0, 0.25, 0.5, 2.0], [0.3, 0.2, 0.3, 0.2]);
    let (y, b) = ([-2.0, -0.5, 1.0, 1.5, 3.0], [0.1, 0.35, 0.25, 0.05, 0.25]);
    let weighted = |x: &[f64], c: &[f64]| {
        let points = DMatrix::from_row_slice(1, x.len(), x);
        EmpiricalMeasure::weighted(points, DVector::from_column_slice(c)).unwrap()
    };
    // The common refinement of the levels of both quantile functions.
    let (mut value, mut means, mut spread) = (0.0_f64, [0.0_f64; 4], 0.0_f64);
    let (mut i, mut j, mut left) = (0, 0, (c[0], b[0]));
    let mut pieces = Vec::new();
    while i < 4 && j < 5 {
        let mass = left.0.min(left.1);
        value += 0.5 * mass * (w[i] - y[j]) * (w[i] - y[j]);
        means[i] += mass * y[j] / c[i];
        pieces.push((i, y[j], mass));
        left = (left.0 - mass, left.1 - mass);
        if left.0 < 1e-12 {
            i += 1;
            left.0 = if i < 4 { c[i] } else { 0.0 };
        }
        if left.1 < 1e-12 {
            j += 1;
            left.1 = if j < 5 { b[j] } else { 0.0 };
        }
    }
    assert!(pieces.len() == 8, "the plan splits: {pieces:?}");
    for (i, y, mass) in pieces {
        spread += 0.5 * mass * (y - means[i]) * (y - means[i]); // F_inf
    }

    // In another order than that of the line.
    let (mu, nu) = (
        weighted(&[w[2], w[0], w[3], w[1]], &[c[2], c[0], c[3], c[1]]),
        weighted(
            &[y[4], y[2], y[0], y[3], y[1]],
            &[b[4], b[2], b[0], b[3], b[1]],
        ),
    );
    let order = [2, 0, 3, 1];
    let mut energy = W2Energy::new(nu.clone()).unwrap();
    let mut v = mu.points().clone();
    let found = energy.velocity(&mu, &mut v);
    assert!((found - value).abs() < 1e-13, "{found}, {value}");
    for (l, &i) in order.iter().enumerate() {
        assert!((v[l] - (means[i] - w[i])).abs() < 1e-13, "{v}");
    }
    let plan = energy.coupling().unwrap().plan();
    assert!(plan.len() >= 8, "{plan:?}");
    let time = 0.7;
    let after = run(&mut energy, &mu, time, 0.01);
    for (l, &i) in order.iter().enumerate() {
        let exact = means[i] + f64::exp(-time) * (w[i] - means[i]);
        let found = after.particle(l)[0];
        assert!((found - exact).abs() < 1e-9, "{found}, {exact}");
    }
    let exact = spread + f64::exp(-2.0 * time) * (value - spread);
    let found = energy.value(&after);
    assert!((found - exact).abs() < 1e-9, "{found}, {exact}");
}

/// Particles at one point are coupled as one; one of weight 0 moves without influence.
#[test]
fn copies_of_a_particle_move_together() {
    let nu = uniform(1, &[0.0, 1.0, 2.0, 3.0]);
    let mut energy = W2Energy::new(nu.clone()).unwrap();
    let weights = DVector::from_vec(vec![0.25, 0.5, 0.25, 0.0]);
    let points = DMatrix::from_row_slice(1, 4, &[5.0, 4.0, 5.0, 4.5]);
    let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
    let mut v = mu.points().clone();
    let value = energy.velocity(&mu, &mut v);
    assert_eq!(&v.as_slice()[..3], &[2.5 - 5.0, 0.5 - 4.0, 2.5 - 5.0]);
    assert!(v[3] < 0.0);
    assert_eq!(value, 0.5 * 0.25 * (16.0 + 9.0 + 9.0 + 4.0));
    let mut sliced = SlicedW2Energy::new(nu, 3, 1).unwrap();
    let mut w = v.clone();
    assert!((sliced.velocity(&mu, &mut w) - value).abs() < 1e-14);
    assert!((w.columns(0, 3) - v.columns(0, 3)).amax() < 1e-14);
}

/// Masses or dimensions that differ are typed errors.
#[test]
fn masses_have_to_agree() {
    let heavy = EmpiricalMeasure::weighted(DMatrix::zeros(1, 1), DVector::from_element(1, 2.0));
    let nu = uniform(1, &[1.0]);
    let energies: [Box<dyn Energy<f64>>; 3] = [
        Box::new(W2Energy::new(nu.clone()).unwrap()),
        Box::new(SlicedW2Energy::new(nu.clone(), 2, 1).unwrap()),
        Box::new(SinkhornEnergy::half_square(nu.clone(), 1.0).unwrap()),
    ];
    for energy in energies {
        let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
        let error = flow.start(heavy.clone().unwrap()).unwrap_err();
        assert!(matches!(error, StartError::Parameter(_)), "{error}");
        flow.start(nu.clone()).unwrap();
    }
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-320] {
        SinkhornEnergy::half_square(nu.clone(), epsilon).unwrap_err();
    }
    SlicedW2Energy::new(nu, 0, 1).unwrap_err();
}

/// D3, D3b: unit masses, points in the plane and the rate 1/d; the standard error of K directions.
#[test]
fn the_sliced_distance() {
    const K: usize = 200_000;
    let mu = uniform(2, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    let nu = uniform(2, &[2.0, 0.0, 0.0, 2.0, -1.0, -1.0]);
    let found = 2.0 * SlicedW2Energy::new(nu, K, 1).unwrap().value(&mu);
    assert!((found - 0.659_292_841).abs() < 5e-3, "{found}");

    let origin = uniform(2, &[0.0, 0.0]);
    let dirac = uniform(2, &[1.0, 2.0]);
    let mut energy = SlicedW2Energy::new(origin, K, 2).unwrap();
    let value = energy.value(&dirac);
    assert!((2.0 * value - 2.5).abs() < 0.02, "{value}");
    let after = run(&mut energy, &dirac, 1.0, 0.1);
    let decay = after.particle(0)[1] / 2.0;
    assert!((decay - f64::exp(-0.5)).abs() < 5e-3, "{decay}");

    let (mu, nu) = (random(3, 3, 9), random(4, 3, 14));
    let mut energy = SlicedW2Energy::new(nu.clone(), 7, 3).unwrap();
    let error = error_along_a_path(&mut energy, &mu, 1e-4);
    assert!(error < 1e-13, "{error:e}");
    // The same as the distance of this crate over the same directions.
    let directions = energy.directions().clone();
    let distance = transport::sliced_w2(&mu, &nu, &directions).unwrap();
    assert!((2.0 * energy.value(&mu) / distance.powi(2) - 1.0).abs() < 1e-13);
    // New directions for every step, by the step.
    let mut energy = SlicedW2Energy::new(nu, 7, 3).unwrap().resampled();
    let mut value = |step| {
        energy.refresh(step);
        energy.value(&mu)
    };
    let values = [value(0), value(1), value(0)];
    assert!(
        values[0] != values[1] && values[0] == values[2],
        "{values:?}"
    );
}

fn sinkhorn(target: EmpiricalMeasure<f64>, epsilon: f64) -> SinkhornEnergy<f64> {
    let energy = SinkhornEnergy::half_square(target, epsilon).unwrap();
    energy.accuracy(1e-13, 20_000).unwrap()
}

/// D5: two points against two, in closed form, and unit masses: the cost for every epsilon.
#[test]
fn values_of_the_sinkhorn_divergence() {
    for (epsilon, exact) in [(0.1, 0.272_815_449), (1.0, 0.259_510_873)] {
        let mut energy = sinkhorn(uniform(1, &[0.3, 2.0]), epsilon);
        let value = energy.value(&uniform(1, &[0.0, 1.0]));
        assert!((value - exact).abs() < 1e-9, "{value}, {exact}");
        assert!(
            energy.marginal_error() < 1e-12,
            "{:e}",
            energy.marginal_error()
        );
        // Twice the masses: twice the divergence.
        let twice = |mu: &EmpiricalMeasure<f64>| {
            let weights = DVector::from_column_slice(mu.weights()) * 2.0;
            EmpiricalMeasure::weighted(mu.points().clone(), weights).unwrap()
        };
        let mut energy = sinkhorn(twice(&uniform(1, &[0.3, 2.0])), epsilon);
        let value = energy.value(&twice(&uniform(1, &[0.0, 1.0])));
        assert!((value - 2.0 * exact).abs() < 2e-9, "{value}");
    }
    for epsilon in [1e-3, 0.1, 1.0, 1e3] {
        let value = sinkhorn(uniform(2, &[0.0, 0.0]), epsilon).value(&uniform(2, &[3.0, 4.0]));
        assert!((value - 12.5).abs() < 1e-12, "{value}");
        for m in [1, 2, 20] {
            let mu = random(7, 2, m);
            let mut v = mu.points().clone();
            let value = sinkhorn(mu.clone(), epsilon).velocity(&mu, &mut v);
            // At the lowest temperature the iterations end at their bound.
            let bound = if epsilon < 0.01 { 1e-6 } else { 1e-9 };
            assert!((0.0..1e-9).contains(&value), "{epsilon}: {value:e}");
            assert!(v.amax() < bound, "{epsilon}: {:e}", v.amax());
            let shifted = random(8, 2, m);
            assert!(sinkhorn(mu, epsilon).value(&shifted) > 0.0);
        }
    }
}

/// D4: Gaussian laws on 200 quantiles, at two temperatures.
#[test]
fn the_sinkhorn_divergence_of_normal_laws() {
    for (epsilon, exact) in [(0.5, 0.612_345_854), (2.0, 0.560_053_404)] {
        let mut energy = SinkhornEnergy::half_square(normal(200, 1.0, 0.5), epsilon).unwrap();
        let value = energy.value(&normal(200, 0.0, 1.0));
        assert!((value - exact).abs() < 3e-3, "{value}, {exact}");
    }
}

/// D6, D6b: the variance along the flow between centred Gaussians, and a pair, in closed form.
#[test]
fn flows_of_the_sinkhorn_divergence() {
    let mut energy = sinkhorn(uniform(1, &[-1.0, 1.0]), 0.5);
    let start = uniform(1, &[-0.3, 0.3]);
    assert!((energy.value(&start) - 0.250_211_361).abs() < 1e-9);
    let after = run(&mut energy, &start, 1.0, 0.02);
    assert!((after.particle(1)[0] - 0.757_535_728).abs() < 1e-8);

    // Quantiles with the exact variance.
    let with_variance = |v: f64| {
        let mut mu = normal(100, 0.0, 1.0);
        let scale = (v / mu.second_moment()).sqrt();
        mu.points_mut().iter_mut().for_each(|w| *w *= scale);
        mu
    };
    let energy = SinkhornEnergy::half_square(with_variance(1.0), 0.5).unwrap();
    let variance = run(energy, &with_variance(0.25), 1.0, 0.1).second_moment();
    assert!((variance - 0.635_844_205).abs() < 5e-4, "{variance}");
}

/// The velocity is the gradient, and the first variation has it.
#[test]
fn the_velocity_of_the_sinkhorn_divergence_is_its_gradient() {
    let (mu, nu) = (random(3, 2, 6), random(4, 2, 9));
    let mut energy = sinkhorn(nu, 0.2);
    let error = error_along_a_path(&mut energy, &mu, 1e-2);
    assert!(error < 1e-9, "{error:e}");
    let (mut v, mut descent) = (mu.points().clone(), mu.points().clone());
    energy.velocity(&mu, &mut v);
    let mut values = vec![0.0; 6];
    energy.first_variation(&mu, mu.points(), &mut values, &mut descent);
    assert!((&v - descent).amax() < 1e-13);
    // F(mu) along a change of the weights of sum 0: dF = int F' d(nu - mu).
    let changed = |h: f64| {
        let mut mu = mu.clone();
        mu.weights_mut()[0] += h;
        mu.weights_mut()[1] -= h;
        mu
    };
    let h = 1e-4;
    let slope = (energy.value(&changed(h)) - energy.value(&changed(-h))) / (2.0 * h);
    assert!(
        (slope - (values[0] - values[1])).abs() < 1e-6,
        "{slope}, {values:?}"
    );
}
