//! Proximal steps at kinks: of the activation in any dimension, with any loss, and of the loss.

use rand::RngExt;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

use super::has_descended;
use super::problems::{rectifier, rng};

/// A standard normal number (Box and Muller).
fn normal(rng: &mut impl rand::Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// 60 normal samples in `R^d` with a bias coordinate, targets without structure, and normal
/// particles of standard deviation 0.7.
struct Data<T: Real> {
    x: DMatrix<T>,
    y: DMatrix<T>,
    signs: DMatrix<T>,
    start: EmpiricalMeasure<T>,
}

fn data<T: Real>(d: usize, k: usize, m: usize, seed: u64) -> Data<T> {
    let mut rng = rng(seed);
    let mut normal = || normal(&mut rng);
    let x = DMatrix::from_fn(d, 60, |l, _| real(if l + 1 == d { 1.0 } else { normal() }));
    let y = DMatrix::from_fn(k, 60, |_, _| real(normal()));
    let signs = y.map(|y: T| if y > T::zero() { T::one() } else { -T::one() });
    let points = DMatrix::from_fn(k + d, m, |_, _| real(0.7 * normal()));
    let start = EmpiricalMeasure::uniform(points).unwrap();
    Data { x, y, signs, start }
}

/// Three steps of at most `gamma`: none is refused, and none raises `F + W2^2 / (2 gamma)`. Returns
/// how many have the requested size.
fn three_steps<T: Real, F: FeatureMap<T>, R: Risk<T>>(
    name: &str,
    features: F,
    risk: R,
    start: &EmpiricalMeasure<T>,
    gamma: f64,
) -> usize {
    let energy = MeanFieldRisk::new(features, risk).unwrap();
    let energy = energy.regularized(WeightDecay::new(real(1e-2)).unwrap());
    let mut flow = ParticleFlow::new(energy, Jko::default(), real(gamma)).unwrap();
    let mut state = flow.start(start.clone()).unwrap();
    let mut full = 0;
    for step in 0..3 {
        let before = state.clone();
        let name = format!("{name}, gamma {gamma}, step {step}");
        let taken = flow
            .advance(&mut state)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .taken;
        let taken = taken.to_f64().unwrap();
        has_descended(&name, &before, &state, taken, 0.0);
        full += usize::from(taken == gamma);
    }
    full
}

fn no_step_is_refused<T: Real>(dimensions: &[usize]) {
    for &d in dimensions {
        for (gamma, seed) in [(30.0, 1), (3e3, 2), (3e5, 3)] {
            let one = data::<T>(d, 1, 16, seed);
            let three = data::<T>(d, 3, 25, seed);
            let square = |data: &Data<T>| {
                EmpiricalRisk::with_outputs(Square, data.x.clone(), data.y.clone()).unwrap()
            };
            let logistic = |data: &Data<T>| {
                EmpiricalRisk::with_outputs(Logistic, data.x.clone(), data.signs.clone()).unwrap()
            };
            let relu = Ridge::new(Relu, d);
            let full = [
                three_steps("Relu", relu, square(&one), &one.start, gamma),
                three_steps("Abs", Ridge::new(Abs, d), logistic(&one), &one.start, gamma),
                three_steps(
                    "LeakyRelu, k = 3",
                    Ridge::with_outputs(LeakyRelu(0.2), d, 3),
                    square(&three),
                    &three.start,
                    gamma,
                ),
                three_steps(
                    "Radial",
                    Radial::new(LeakyRelu(-0.5), d),
                    logistic(&one),
                    &one.start,
                    gamma,
                ),
            ];
            assert_eq!(full, [3; 4], "d = {d}, gamma {gamma}");
        }
    }
}

#[test]
fn no_step_is_refused_in_any_dimension() {
    no_step_is_refused::<f64>(&[3, 7, 12]);
    no_step_is_refused::<f32>(&[3, 7]);
}

/// Kinks of the loss couple all particles: steps may be shorter than requested, but exist.
#[test]
fn no_step_is_refused_by_a_loss_with_kinks() {
    let mut shorter = 0;
    for d in [2, 4] {
        for gamma in [1.0, 1e2, 1e4] {
            for seed in 0..3 {
                let Data { x, y, signs, start } = data::<f64>(d, 1, 16, seed);
                let relu = Ridge::new(Relu, d);
                let hinge = EmpiricalRisk::with_outputs(Hinge, x.clone(), signs).unwrap();
                shorter += 3 - three_steps("Hinge", relu, hinge, &start, gamma);
                for q in [0.5, 0.9] {
                    let quantile =
                        EmpiricalRisk::with_outputs(Quantile(q), x.clone(), y.clone()).unwrap();
                    shorter += 3 - three_steps("Quantile", relu, quantile, &start, gamma);
                }
            }
        }
    }
    assert!(shorter <= 16, "{shorter} of 162 steps are shorter");
}

/// One neuron at x = 1: with `u = a b` and `a = b`, `F = l(u) + 2 lambda u`. For both losses the slope
/// of l is below `-2 lambda` left of the kink at u = 1 and above it on the right: u = 1, F = 0.2.
#[test]
fn a_neuron_stops_at_the_kink_of_the_loss() {
    fn minimum(loss: impl Loss<f64>) -> State<f64> {
        let (x, y) = (
            DMatrix::from_element(1, 1, 1.0),
            DVector::from_element(1, 1.0),
        );
        let risk = EmpiricalRisk::new(loss, x, y).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
        let energy = energy.regularized(WeightDecay::new(0.1).unwrap());
        let mut flow = ParticleFlow::new(energy, Jko::default(), 1e6).unwrap();
        let start = DMatrix::from_column_slice(2, 1, &[0.5, 0.7]);
        let mut state = flow
            .start(EmpiricalMeasure::uniform(start).unwrap())
            .unwrap();
        flow.run(&mut state, 3, &mut ()).unwrap();
        state
    }
    for state in [minimum(Hinge), minimum(Quantile(0.5))] {
        let w = state.measure().particle(0);
        assert!(
            (state.energy() - 0.2).abs() < 1e-6 * 0.2,
            "{}",
            state.energy()
        );
        assert!((w[0] * w[1] - 1.0).abs() < 1e-5, "{w:?}");
    }
}

/// A neuron `(a, b)` with `a = 1` on the sample x = (1, 0) and a target below 0: it stops at the
/// kink `b_1 = 0`, where the velocity does not vanish and the slope does.
#[test]
fn the_slope_vanishes_at_a_kink() {
    // F = (a (b_1)_+ - y)^2 / 2 + .. with y = -1 is minimal on b_1 <= 0; the pull of a second
    // sample x = (1, 1) with target 1 is towards b_1 > 0.
    let x = DMatrix::from_column_slice(2, 2, &[1.0, 0.0, 0.2, 1.0]);
    let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![-1.0, 1.0])).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap();
    let energy = energy.regularized(WeightDecay::new(1e-2).unwrap());
    let mut flow = ParticleFlow::new(energy, Jko::default(), 1e4).unwrap();
    let start = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &[1.0_f64, 0.5, 0.5]));
    let mut state = flow.start(start.unwrap()).unwrap();
    let stop = &mut observe::UntilStationary::new(1e-5).unwrap();
    let reason = flow.run(&mut state, 10, stop).unwrap();
    assert_eq!(reason, StopReason::Stationary);
    let (b, speed) = (state.measure().particle(0)[1], state.dissipation().sqrt());
    assert!(b.abs() < 1e-12 && speed > 0.1, "b_1 = {b}, speed {speed}");
    assert!(state.slope() <= 1e-5 * speed.max(1.0), "{}", state.slope());
}

/// Bounds on the velocities and products of ten long steps, about 1.6 times the measured counts.
#[test]
fn cost_of_long_steps_in_five_dimensions() {
    for (gamma, most) in [(1.0, 320), (1e2, 2600), (1e4, 7500), (1e6, 36_000)] {
        let mut count = 0;
        for seed in 0..10 {
            let mut energy = rectifier::<f64>(60, 5, seed, 1e-2);
            let start = init::balanced(5, 20, 1.0, &mut rng(seed + 50)).unwrap();
            let mut state = State::new(start);
            state.evaluate(&mut *energy);
            let speed = state.dissipation().sqrt();
            let counted = crate::counted::Counted::new(energy);
            let counts = counted.counts.clone();
            let mut flow = ParticleFlow::new(counted, Jko::default(), gamma).unwrap();
            let step = flow.advance(&mut state).unwrap();
            assert_eq!(step.taken, gamma, "seed {seed}");
            let residual = Jko::residual(&state).unwrap();
            assert!(
                residual <= 1e-6 * speed,
                "gamma {gamma}, seed {seed}: {residual}"
            );
            count += counts.evaluations();
        }
        println!("gamma {gamma}: {count}");
        assert!(count <= most, "gamma {gamma}: {count}");
    }
}

/// Every decision is taken from scalars over all ranks: 1, 2, 3 and 7 ranks end at the same F.
///
/// The ranks add predictions in another order. Very long steps amplify this rounding and may end at
/// another minimum, so that the law is checked for moderate ones. For all sizes see
/// [`gathered_ranks_take_the_same_long_steps`].
#[test]
fn ranks_take_the_same_steps() {
    use wasserflow::testing::check_distributed_step;
    for d in [2, 5] {
        for (gamma, seed) in [(5.0, 7), (5.0, 8)] {
            let Data { x, y, signs, start } = data::<f64>(d, 1, 20, seed);
            let decay = WeightDecay::new(1e-2).unwrap();
            let square = check_distributed_step(
                |rank| {
                    let risk = EmpiricalRisk::with_outputs(Square, x.clone(), y.clone()).unwrap();
                    let energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).unwrap();
                    let energy = energy.regularized(decay);
                    match rank {
                        Some(rank) => energy.distributed(rank),
                        None => energy,
                    }
                },
                &start,
                gamma,
            );
            assert_eq!(square, Ok(()), "square, d = {d}");
            let hinge = check_distributed_step(
                |rank| {
                    let risk =
                        EmpiricalRisk::with_outputs(Hinge, x.clone(), signs.clone()).unwrap();
                    let energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).unwrap();
                    let energy = energy.regularized(decay);
                    match rank {
                        Some(rank) => energy.distributed(rank),
                        None => energy,
                    }
                },
                &start,
                1.0,
            );
            assert_eq!(hinge, Ok(()), "hinge, d = {d}");
        }
    }
}

/// With all particles gathered on every rank, steps of all sizes end in the same particles, bit for
/// bit.
#[test]
fn gathered_ranks_take_the_same_long_steps() {
    use wasserflow::testing::Rank;
    /// One step; the particles and F.
    fn step(energy: impl Energy<f64>, start: EmpiricalMeasure<f64>, gamma: f64) -> (Vec<f64>, f64) {
        let mut flow = ParticleFlow::new(energy, Jko::default(), gamma).unwrap();
        let mut state = flow.start(start).unwrap();
        flow.advance(&mut state).unwrap();
        let value = state.energy();
        let points = state.into_measure().into_points();
        (points.as_slice().to_vec(), value)
    }
    for (d, n) in [(2, 40), (5, 60)] {
        for seed in 0..5 {
            let start = init::balanced(d, 20, 1.0, &mut rng(seed + 50)).unwrap();
            for gamma in [1.0, 1e2, 1e4, 1e6] {
                let (points, value) = step(rectifier(n, d, seed, 1e-2), start.clone(), gamma);
                for size in [2, 3, 7] {
                    let of_rank = |rank: Rank<f64>| {
                        let energy = rectifier(n, d, seed, 1e-2);
                        let part = start.share(&rank);
                        step(Gathered::new(energy, rank), part, gamma)
                    };
                    let parts: Vec<_> = std::thread::scope(|scope| {
                        let spawn = |rank| scope.spawn(move || of_rank(rank));
                        let threads: Vec<_> = Rank::group(size).into_iter().map(spawn).collect();
                        threads.into_iter().map(|t| t.join().unwrap()).collect()
                    });
                    let found: Vec<f64> = parts.iter().flat_map(|part| part.0.clone()).collect();
                    let at = format!("d = {d}, seed {seed}, gamma {gamma}, {size} ranks");
                    assert_eq!(found, points, "{at}");
                    assert!(parts.iter().all(|part| part.1 == value), "{at}");
                }
            }
        }
    }
}
