//! `DormandPrince` at kinks: chattering along a kink is an error; stiffness is not mistaken for it.

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::prelude::*;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// 200 planar samples of a teacher of 5 rectifier neurons.
fn data<T: Real>(seed: u64) -> EmpiricalRisk<Square, T> {
    let mut draws = rng(seed);
    let x = DMatrix::from_fn(2, 200, |_, _| 2.0 * draws.random::<f64>() - 1.0);
    let teacher = init::balanced::<f64>(2, 5, 5.0_f64.sqrt(), &mut rng(seed + 1000)).unwrap();
    let y = DVector::from_fn(200, |j, _| {
        let neuron = |w: &[f64]| w[0] * (w[1] * x[(0, j)] + w[2] * x[(1, j)]).max(0.0) / 5.0;
        (0..5).map(|i| neuron(teacher.particle(i))).sum::<f64>()
    });
    EmpiricalRisk::new(Square, x.map(real), y.map(real)).unwrap()
}

/// Neurons slide along data hyperplanes.
#[test]
fn chattering_along_a_kink_is_an_error() {
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), data::<f64>(0)).unwrap();
    let mut energy = energy.regularized(WeightDecay::new(1e-2).unwrap());
    let mut flow = ParticleFlow::new(&mut energy, DormandPrince::new(1e-6, 1e-9), 0.1).unwrap();
    let mut state = flow
        .start(init::balanced(2, 100, 1.0, &mut rng(100)).unwrap())
        .unwrap();
    let start = state.energy();
    let error = flow.run_until(&mut state, 2000.0, &mut ()).unwrap_err();
    println!("{error}, after {} steps", state.step());
    assert!(
        matches!(error, StepError::Chatter { time, size } if time == state.time() && size < 1.0),
        "{error}"
    );
    // The state is the last valid one.
    assert!(
        !state.is_stale()
            && state.energy() == flow.value(state.measure())
            && state.energy() < start
    );
    // A retry fails again, and a proximal method continues from the state.
    assert!(matches!(
        flow.run(&mut state, 100, &mut ()),
        Err(StepError::Chatter { .. })
    ));
    let before = state.energy();
    let mut flow = ParticleFlow::new(&mut energy, Jko::default(), 100.0).unwrap();
    state.measure_mut();
    flow.run_until(&mut state, 2000.0, &mut ()).unwrap();
    assert!(state.energy() < before);
}

/// `V(w) = sum_l s_l w_l^2 / 2` with rates from 1 to 1000.
struct Stiff;
impl<T: Real> Potential<T> for Stiff {
    fn value(&self, w: &[T]) -> T {
        (0..w.len()).fold(T::zero(), |sum, l| {
            sum + real::<T>(0.5 * 10.0_f64.powi(l as i32)) * w[l] * w[l]
        })
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        for (l, (out, &w)) in out.iter_mut().zip(w).enumerate() {
            *out += scale * real::<T>(10.0_f64.powi(l as i32)) * w;
        }
    }
}

fn stiffness_is_not_chattering_in<T: Real>(rtol: f64) {
    let run = |energy: Box<dyn Energy<T>>, mu: EmpiricalMeasure<T>, time: f64| {
        let mut flow =
            ParticleFlow::new(energy, DormandPrince::new(rtol, rtol * 1e-3), real(0.1)).unwrap();
        let mut state = flow.start(mu).unwrap();
        flow.run_until(&mut state, real(time), &mut ()).unwrap();
        println!("{} steps to {}", state.step(), state.time());
    };
    run(
        Box::new(PotentialEnergy::new(Stiff, 4)),
        init::gaussian(4, 10, 1.0, &mut rng(1)).unwrap(),
        30.0,
    );
    for seed in 0..2 {
        let energy = MeanFieldRisk::new(Ridge::new(Tanh, 2), data::<T>(seed)).unwrap();
        let energy = energy.regularized(WeightDecay::new(real(1e-3)).unwrap());
        run(
            Box::new(energy),
            init::balanced(2, 100, 1.0, &mut rng(100 + seed)).unwrap(),
            1000.0,
        );
    }
    // Kinks that are only crossed are not chattering either.
    if rtol >= 1e-4 {
        let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), data::<T>(2)).unwrap();
        let energy = energy.regularized(WeightDecay::new(real(1e-3)).unwrap());
        run(
            Box::new(energy),
            init::balanced(2, 100, 1.0, &mut rng(102)).unwrap(),
            500.0,
        );
    }
}

#[test]
fn stiffness_is_not_chattering() {
    stiffness_is_not_chattering_in::<f64>(1e-4);
    stiffness_is_not_chattering_in::<f64>(1e-7);
    stiffness_is_not_chattering_in::<f32>(1e-3);
}
