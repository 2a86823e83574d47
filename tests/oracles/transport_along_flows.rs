//! Transport along flows: metric speed, proximal steps, geodesics, convergence of empirical
//! measures.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::prelude::*;
use wasserflow::transport::{self, MetricSpeed};

fn cloud(rng: &mut ChaCha8Rng, dim: usize, m: usize) -> EmpiricalMeasure<f64> {
    init::gaussian(dim, m, 1.0, rng).unwrap()
}

/// On smooth features, `W_2(mu_t, mu_{t+dt}) / dt` tends to the root of the dissipation, at first
/// order in dt.
#[test]
fn metric_speed_is_the_root_of_the_dissipation() {
    let error = |dt: f64| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let x = DMatrix::from_fn(2, 30, |_, _| rng.random_range(-1.0..1.0));
        let y = DVector::from_fn(30, |j, _| x[(0, j)] * x[(1, j)]);
        let risk = EmpiricalRisk::new(Square, x, y).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Tanh, 2), risk).unwrap();
        let mut flow = ParticleFlow::new(energy, Rk4, dt).unwrap();
        let mut state = flow.start(cloud(&mut rng, 3, 40)).unwrap();
        let mut speed = MetricSpeed::new();
        flow.run(&mut state, 8, &mut speed).unwrap();
        assert_eq!(speed.records().len(), 8);
        speed
            .records()
            .iter()
            .map(|r| (r.metric / r.velocity - 1.0).abs())
            .fold(0.0, f64::max)
    };
    let (coarse, fine) = (error(0.1), error(0.05));
    assert!(
        coarse < 0.1 && fine < 0.6 * coarse && fine > 0.4 * coarse,
        "{coarse} {fine}"
    );
}

/// The proximal step of `F = int lambda |w|^2 dmu` in closed form: `w+ = w / (1 + 2 lambda gamma)`.
#[test]
fn a_proximal_step_moves_along_the_optimal_coupling() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mu = cloud(&mut rng, 2, 50);
    let lambda = 0.7;
    let energy = |mu: &EmpiricalMeasure<f64>| lambda * mu.second_moment();
    for gamma in [1e-3, 0.1, 1.0, 10.0, 1e3] {
        let shrink = 1.0 / (1.0 + 2.0 * lambda * gamma);
        let next = EmpiricalMeasure::uniform(mu.points() * shrink).unwrap();
        let coupling = transport::w2(&mu, &next).unwrap();
        let moved: f64 = (mu.points() - next.points()).norm_squared() / 50.0;
        assert!(
            (coupling.squared_distance() - moved).abs() <= 1e-13 * moved,
            "gamma {gamma}"
        );
        assert!(energy(&next) + coupling.squared_distance() / (2.0 * gamma) <= energy(&mu));
        // the stationarity of a proximal point: the displacement is gamma times the velocity at its
        // end
        let flow = ParticleFlow::new(
            PotentialEnergy::new(WeightDecay::new(lambda).unwrap(), 2),
            Rk4,
            0.1,
        );
        let state = flow.unwrap().start(next.clone()).unwrap();
        let residual = (next.points() - mu.points() - state.velocity() * gamma).norm();
        assert!(residual <= 1e-12 * mu.points().norm() * (1.0 + gamma));
    }
}

/// Steps of `Jko` on a rectifier network: `F + W2^2 / (2 gamma)`, with W2 by assignment, does not
/// increase for any gamma. For short steps the particles move along the optimal coupling.
#[test]
fn the_proximal_integrator_moves_along_the_optimal_coupling() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let x = DMatrix::from_fn(2, 30, |_, _| rng.random_range(-1.0..1.0));
    let y = DVector::from_fn(30, |j, _| f64::abs(x[(0, j)]));
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let mu = cloud(&mut rng, 3, 40);
    for gamma in [1e-4, 1e-2, 0.1, 1.0, 10.0] {
        let decay = WeightDecay::new(1e-3).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk.clone())
            .unwrap()
            .regularized(decay);
        let mut flow = ParticleFlow::new(energy, Jko::default(), gamma).unwrap();
        let mut state = flow.start(mu.clone()).unwrap();
        let before = state.energy();
        flow.advance(&mut state).unwrap();
        let squared = transport::w2(&mu, state.measure())
            .unwrap()
            .squared_distance();
        let moved = (state.measure().points() - mu.points()).norm_squared() / 40.0;
        assert!(
            state.energy() + squared / (2.0 * gamma) <= before,
            "gamma {gamma}"
        );
        assert!(squared <= moved * (1.0 + 1e-12), "gamma {gamma}");
        if gamma <= 0.1 {
            assert!(
                (squared - moved).abs() <= 1e-12 * moved,
                "gamma {gamma}: {squared} {moved}"
            );
        }
    }
}

#[test]
fn displacement_interpolation_is_a_geodesic() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mu = cloud(&mut rng, 3, 40);
    let weights: Vec<f64> = (0..60)
        .map(|k| if k == 7 { 0.0 } else { 1.0 / 59.0 })
        .collect();
    let nu = EmpiricalMeasure::weighted(
        cloud(&mut rng, 3, 60).points().clone(),
        DVector::from_vec(weights),
    )
    .unwrap();
    let coupling = transport::w2(&mu, &nu).unwrap();
    let at = |t: f64| coupling.interpolate(&mu, &nu, t).unwrap();
    for (s, t) in [(0.0, 0.5), (0.25, 1.0), (0.3, 0.4)] {
        let distance = transport::w2(&at(s), &at(t)).unwrap().distance();
        assert!((distance - (t - s) * coupling.distance()).abs() <= 1e-12 * coupling.distance());
    }
    assert!(transport::w2(&mu, &at(0.0)).unwrap().distance() <= 1e-7);
    assert!(coupling.interpolate(&nu, &mu, 0.5).is_err());
    assert!(coupling.interpolate(&mu, &nu, f64::NAN).is_err());
}

#[test]
fn an_updated_coupling_is_exact_near_and_far() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for (m, equal) in [(120, true), (90, false)] {
        let (mut mu, mut nu) = (cloud(&mut rng, 2, 120), cloud(&mut rng, 2, m));
        if !equal {
            let c = DVector::from_fn(m, |j, _| (1 + j % 3) as f64);
            nu = EmpiricalMeasure::weighted(nu.points().clone(), c.clone() / c.sum()).unwrap();
        }
        for p in [1.0, 2.0] {
            let mut coupling = transport::wp(&mu, &nu, p).unwrap();
            for step in [1e-6, 1e-3, 0.1, 10.0] {
                mu.points_mut()
                    .iter_mut()
                    .for_each(|w| *w += step * rng.random_range(-1.0..1.0));
                coupling = coupling.update(&mu, &nu).unwrap();
                let cold = transport::wp(&mu, &nu, p).unwrap();
                assert!(
                    (coupling.cost() - cold.cost()).abs() <= 1e-12 * cold.cost(),
                    "step {step}, p {p}"
                );
                assert!(coupling.gap() <= 1e-12 * cold.cost().max(1e-3));
            }
        }
        let other = cloud(&mut rng, 2, 31);
        let coupling = transport::w2(&mu, &nu)
            .unwrap()
            .update(&mu, &other)
            .unwrap();
        assert_eq!(coupling.cost(), transport::w2(&mu, &other).unwrap().cost());
    }
}

/// `E W_2^2` between two samples of m points falls like `log(m) / m` in the plane and like
/// `m^(-2/d)` for d > 4.
#[test]
fn distance_between_samples_falls_at_the_known_rate() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (dim, slope, slack) in [(2, -1.0, 0.35), (8, -0.25, 0.1)] {
        let mut mean = |m: usize| -> f64 {
            let draws = 12;
            let one = |rng: &mut ChaCha8Rng| {
                let points = |rng: &mut ChaCha8Rng| {
                    EmpiricalMeasure::uniform(DMatrix::from_fn(dim, m, |_, _| rng.random::<f64>()))
                        .unwrap()
                };
                transport::w2(&points(rng), &points(rng))
                    .unwrap()
                    .squared_distance()
            };
            (0..draws).map(|_| one(&mut rng)).sum::<f64>() / f64::from(draws)
        };
        let found = (mean(400) / mean(50)).ln() / 8.0_f64.ln();
        assert!((found - slope).abs() < slack, "d = {dim}: slope {found}");
    }
}

#[test]
fn sliced_distance_is_a_lower_bound_and_exact_for_a_shift() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mu = cloud(&mut rng, 2, 200);
    let mut nu = mu.clone();
    nu.points_mut()
        .chunks_exact_mut(2)
        .for_each(|w| w[0] += 3.0);
    let angle = |k: usize| k as f64 * std::f64::consts::PI / 16.0;
    let directions = DMatrix::from_fn(2, 16, |r, k| {
        if r == 0 {
            angle(k).cos()
        } else {
            angle(k).sin()
        }
    });
    // the mean of 9 cos^2 over the circle
    let sliced = transport::sliced_w2(&mu, &nu, &directions).unwrap();
    assert!((sliced - f64::sqrt(4.5)).abs() < 1e-12);
    assert!(sliced <= transport::w2(&mu, &nu).unwrap().distance());
    assert!(transport::sliced_w2(&mu, &nu, &DMatrix::zeros(2, 1)).is_err());
    assert!(transport::sliced_w2(&mu, &nu, &DMatrix::zeros(2, 0)).is_err());
    assert!(transport::sliced_w2(&mu, &nu, &DMatrix::identity(3, 1)).is_err());
}

/// The cone distance does not depend on the balance of `a` and `b`; its metric is `r^2 + r'^2 - 2 r
/// r' cos(angle)`.
#[test]
fn cone_distance_is_invariant_under_rescaling() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mu, nu) = (cloud(&mut rng, 5, 30), cloud(&mut rng, 5, 30));
    let mut scaled = mu.clone();
    for w in scaled.points_mut().chunks_exact_mut(5) {
        let t = rng.random_range(0.1..10.0);
        w[..2].iter_mut().for_each(|a| *a *= t);
        w[2..].iter_mut().for_each(|b| *b /= t);
    }
    let distance = transport::cone_w2(&mu, &nu, 2).unwrap();
    assert!(transport::cone_w2(&mu, &scaled, 2).unwrap().distance() < 1e-14);
    assert!(transport::w2(&mu, &scaled).unwrap().distance() > 0.1);
    assert!(
        (transport::cone_w2(&scaled, &nu, 2).unwrap().cost() - distance.cost()).abs()
            <= 1e-13 * distance.cost()
    );
    let polar = |w: &[f64]| {
        let (a, b) = (
            DVector::from_column_slice(&w[..2]),
            DVector::from_column_slice(&w[2..]),
        );
        (2.0 * a.norm() * b.norm(), a.normalize(), b.normalize())
    };
    for &(i, j, _) in distance.plan() {
        let ((r, a, b), (s, c, d)) = (polar(mu.particle(i)), polar(nu.particle(j)));
        let metric = r + s - (r * s).sqrt() * (a.dot(&c) + b.dot(&d));
        let (phi, psi) = distance.potentials();
        assert!((metric - phi[i] - psi[j]).abs() <= 1e-12 * (r + s));
    }
    for outputs in [0, 5] {
        assert!(matches!(
            transport::cone_w2(&mu, &nu, outputs),
            Err(transport::TransportError::Parameter(_))
        ));
    }
}

/// In high dimension the assignment starts in f32: the result is certified in f64, also with ties
/// and near ties.
#[test]
fn high_dimension_is_exact() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for (dim, m) in [(6, 1), (6, 7), (8, 150), (40, 90)] {
        let base = cloud(&mut rng, dim, m);
        let mut clouds = vec![base.clone(), cloud(&mut rng, dim, m)];
        for factor in [1e-9, 1e-5] {
            let mut near = base.clone();
            near.points_mut()
                .iter_mut()
                .for_each(|x| *x += factor * rng.random_range(-1.0..1.0));
            clouds.push(near);
        }
        let mut grid = base.clone();
        grid.points_mut().iter_mut().for_each(|x| *x = x.round());
        clouds.push(grid);
        let mut few = base.clone();
        few.points_mut()
            .chunks_exact_mut(dim)
            .enumerate()
            .for_each(|(i, w)| w.fill((i % 3) as f64));
        clouds.push(few);
        for mu in &clouds {
            for nu in &clouds {
                let coupling = transport::w2(mu, nu).unwrap();
                let (phi, psi) = coupling.potentials();
                let mut largest = 0.0_f64;
                let mut slack = f64::INFINITY;
                for i in 0..m {
                    for j in 0..m {
                        let c: f64 = mu
                            .particle(i)
                            .iter()
                            .zip(nu.particle(j))
                            .map(|(x, y)| (x - y).powi(2))
                            .sum();
                        largest = largest.max(c);
                        slack = slack.min(c - phi[i] - psi[j]);
                    }
                }
                assert!(
                    slack >= -1e-13 * largest,
                    "d = {dim}, m = {m}: slack {slack} of {largest}"
                );
                assert!(
                    coupling.gap() <= 1e-13 * largest,
                    "d = {dim}, m = {m}: gap {} of {largest}",
                    coupling.gap()
                );
                let mut columns: Vec<usize> = coupling.plan().iter().map(|entry| entry.1).collect();
                columns.sort_unstable();
                assert!(columns.into_iter().eq(0..m));
            }
        }
    }
}
