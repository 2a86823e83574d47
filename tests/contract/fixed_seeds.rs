//! Values at fixed seeds: they detect a change of an initial measure or a flow.
//!
//! Compared with a tolerance, not bit for bit: `ln` and `exp` may differ in the last digit between
//! platforms.

use approx::assert_relative_eq;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DVector;
use wasserflow::prelude::*;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(7)
}

#[test]
fn sphere_at_seed_7() {
    let mu = init::sphere::<f64>(3, 2, &mut rng()).unwrap();
    let expected = [
        -0.426_399_011_330_392_54,
        -0.760_782_830_011_052_8,
        0.489_278_416_340_673_3,
        0.449_047_685_638_520_1,
        0.374_447_443_572_703,
        -0.811_261_541_073_257_2,
    ];
    for (&w, expected) in mu.points().iter().zip(expected) {
        assert_relative_eq!(w, expected, max_relative = 1e-14);
    }
}

#[test]
fn gaussian_at_seed_7() {
    let mu = init::gaussian::<f64>(2, 3, 2.0, &mut rng()).unwrap();
    let expected = [
        -1.550_743_866_435_594_1,
        -2.766_843_440_016_818_3,
        1.779_426_037_486_074_4,
        0.719_558_116_688_046_6,
        0.600_018_006_801_892_9,
        -1.299_972_910_017_466_2,
    ];
    for (&w, expected) in mu.points().iter().zip(expected) {
        assert_relative_eq!(w, expected, max_relative = 1e-14);
    }
}

#[test]
fn balanced_at_seed_7() {
    let mu = init::balanced::<f64>(2, 2, 3.0, &mut rng()).unwrap();
    let expected = [
        3.0,
        -2.523_228_009_989_771,
        1.622_750_877_246_122_5,
        -3.0,
        1.257_227_233_617_306,
        -2.723_853_829_237_35,
    ];
    for (&w, expected) in mu.points().iter().zip(expected) {
        assert_relative_eq!(w, expected, max_relative = 1e-14);
    }
}

#[test]
fn balanced_outputs_at_seed_7() {
    let mu = init::balanced_outputs::<f64>(2, 2, 1, 3.0, &mut rng()).unwrap();
    // The directions of `gaussian_at_seed_7`.
    let expected = [
        -1.466_754_367_361_119_6,
        -2.616_989_038_155_697_5,
        2.781_213_050_311_743_4,
        1.124_657_267_248_848_6,
    ];
    for (&w, expected) in mu.points().iter().zip(expected) {
        assert_relative_eq!(w, expected, max_relative = 1e-14);
    }
}

/// Splits are the same bits on all platforms. `benches/scores.py` draws them by the same rule.
#[test]
fn splits_at_seed_7() {
    let split = Split::random(20, 0.25, 7).unwrap();
    assert_eq!(split.test(), [0, 4, 5, 12, 17]);
    let labels = Labels::new((0..20).map(|j| if j % 3 == 0 { "a" } else { "b" })).unwrap();
    let split = Split::stratified(&labels, 0.25, 7).unwrap();
    assert_eq!(split.test(), [2, 5, 7, 9, 15]);
    let folds = Split::stratified_k_fold(&labels, 5, 7).unwrap();
    assert_eq!(folds[0].test(), [1, 3, 14, 15]);
}

/// A run in `f32` starts from the measure of the run in `f64`, rounded.
#[test]
fn precisions_start_from_the_same_measure() {
    let (mu, nu) = (
        init::sphere::<f64>(4, 9, &mut rng()).unwrap(),
        init::sphere::<f32>(4, 9, &mut rng()).unwrap(),
    );
    assert!(
        mu.points()
            .iter()
            .zip(nu.points().iter())
            .all(|(&w, &v)| w as f32 == v)
    );
}

fn energy_after_100_steps<T: Real>() -> f64 {
    let mut rng = rng();
    let x = init::gaussian::<T>(2, 50, 1.0, &mut rng)
        .unwrap()
        .points()
        .clone();
    let y = DVector::from_fn(50, |j, _| x[(0, j)].abs());
    let energy = MeanFieldRisk::new(
        Ridge::new(Relu, 2),
        EmpiricalRisk::new(Square, x, y).unwrap(),
    )
    .unwrap();
    let mut flow = ParticleFlow::new(energy, Euler, real(0.2)).unwrap();
    let mut state = flow.start(init::sphere(3, 20, &mut rng).unwrap()).unwrap();
    flow.run(&mut state, 100, &mut ()).unwrap();
    state.energy().to_f64().unwrap()
}

#[test]
fn energy_of_a_flow_at_seed_7() {
    assert_relative_eq!(
        energy_after_100_steps::<f64>(),
        6.475_786_615_376_31e-3,
        max_relative = 1e-9
    );
    assert_relative_eq!(
        energy_after_100_steps::<f32>(),
        6.475_786_615_376_31e-3,
        max_relative = 1e-4
    );
}
