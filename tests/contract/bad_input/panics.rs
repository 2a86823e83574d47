//! A panic in a user-defined component leaves state and flow as before the step.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

use super::{INTEGRATORS, bits, network, students, x};

/// A counter of calls, shared by the parts of a problem; the call at which it ends panics.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    /// Panics at call `calls >= 1` from here on; never if 0.
    fn set(&self, calls: usize) {
        self.0.store(calls, Ordering::SeqCst);
    }

    fn call(&self) {
        let count = |calls: usize| calls.checked_sub(1);
        if self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count)
            == Ok(1)
        {
            resume_unwind(Box::new("fuse")); // without the message of the panic hook
        }
    }
}

/// A component with a fuse in each of its methods.
struct Fused<P>(P, Fuse);

impl<A: Activation<f64>> Activation<f64> for Fused<A> {
    fn value(&self, u: f64) -> f64 {
        self.1.call();
        self.0.value(u)
    }
    fn derivative(&self, u: f64) -> f64 {
        self.1.call();
        self.0.derivative(u)
    }
}

impl<L: Loss<f64>> Loss<f64> for Fused<L> {
    fn value(&self, y: f64, h: f64) -> f64 {
        self.1.call();
        self.0.value(y, h)
    }
    fn derivative(&self, y: f64, h: f64) -> f64 {
        self.1.call();
        self.0.derivative(y, h)
    }
    fn second_derivative(&self, y: f64, h: f64) -> f64 {
        self.1.call();
        self.0.second_derivative(y, h)
    }
}

/// A loss with a fuse in its values of many samples, before and after they are written.
struct FusedBlocks<L>(L, Fuse);

impl<L: Loss<f64>> Loss<f64> for FusedBlocks<L> {
    fn value(&self, y: f64, h: f64) -> f64 {
        self.0.value(y, h)
    }
    fn derivative(&self, y: f64, h: f64) -> f64 {
        self.0.derivative(y, h)
    }
    fn values_and_derivatives(&self, y: &[f64], h: &[f64], values: &mut [f64], out: &mut [f64]) {
        values.fill(f64::NAN);
        out.fill(f64::NAN);
        self.1.call();
        self.0.values_and_derivatives(y, h, values, out);
        self.1.call();
    }
    fn second_derivative(&self, y: f64, h: f64) -> f64 {
        self.0.second_derivative(y, h)
    }
}

impl<V: Potential<f64>> Potential<f64> for Fused<V> {
    fn value(&self, w: &[f64]) -> f64 {
        self.1.call();
        self.0.value(w)
    }
    fn gradient(&self, w: &[f64], scale: f64, out: &mut [f64]) {
        self.1.call();
        self.0.gradient(w, scale, out);
    }
    fn curvature(&self, w: &[f64], v: &[f64], out: &mut [f64]) {
        self.1.call();
        self.0.curvature(w, v, out);
    }
}

impl<F: FeatureMap<f64>> FeatureMap<f64> for Fused<F> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn input_dim(&self) -> usize {
        self.0.input_dim()
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        self.1.call();
        self.0.add_value(w, x, scale, out);
    }
    fn add_vjp(&self, w: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        self.1.call();
        self.0.add_vjp(w, x, g, out);
    }
}

/// A risk without the provided methods of its part.
impl<R: Risk<f64>> Risk<f64> for Fused<R> {
    fn inputs(&self) -> &Inputs<f64> {
        self.0.inputs()
    }
    fn value(&self, h: &[f64]) -> f64 {
        self.1.call();
        self.0.value(h)
    }
    fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
        self.1.call();
        out.fill(f64::NAN);
        self.0.value_and_gradient(h, out)
    }
    fn refresh(&mut self, step: usize) -> bool {
        self.1.call();
        self.0.refresh(step)
    }
    fn check(&self) -> Result<(), ParameterError> {
        self.1.call();
        self.0.check()
    }
}

impl<E: Energy<f64>> Energy<f64> for Fused<E> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        self.1.call();
        self.0.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(f64::NAN);
        self.1.call();
        self.0.velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        self.1.call();
        self.0.first_variation(mu, at, values, descent)
    }
    fn inner(&mut self, mu: &EmpiricalMeasure<f64>, u: &DMatrix<f64>, v: &DMatrix<f64>) -> f64 {
        self.1.call();
        self.0.inner(mu, u, v)
    }
    fn refresh(&mut self, step: usize) -> bool {
        self.1.call();
        self.0.refresh(step)
    }
}

/// An integrator that moves the measure, its weights and the memory before and after the fuse.
impl<I: Integrator<f64>> Integrator<f64> for Fused<I> {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        let (mu, v) = state.split_mut();
        mu.displace(dt, v);
        mu.weights_mut()[0] *= 0.5;
        let shape = mu.points().shape();
        state.memory_mut().field(0, shape)[0] += 1.0;
        state.memory_mut().scalars.push(1.0);
        self.1.call();
        *state.measure_mut() = EmpiricalMeasure::uniform(x(2, 9)).unwrap();
        self.1.call();
        *state.measure_mut() = students();
        state.memory_mut().scalars.truncate(1);
        self.0.step(energy, state, dt)
    }
}

type Flow = ParticleFlow<Box<dyn Energy<f64>>, Box<dyn Integrator<f64>>, f64>;

type Problem = fn(Fuse) -> Box<dyn Energy<f64>>;

fn risk<L: Loss<f64>>(loss: L) -> EmpiricalRisk<L, f64> {
    let y = DVector::from_fn(9, |j, _| (j as f64).cos());
    EmpiricalRisk::new(loss, x(2, 9) * 2.0, y).unwrap()
}

fn decay() -> WeightDecay<f64> {
    WeightDecay::new(0.01).unwrap()
}

/// The network of [`network`], with a fuse in one of its parts.
const PROBLEMS: [(&str, Problem); 8] = [
    ("activation", |fuse| {
        let phi = Ridge::new(Fused(Softplus, fuse), 2);
        let energy = MeanFieldRisk::new(phi, risk(Square)).unwrap();
        Box::new(energy.regularized(decay()))
    }),
    ("radial activation", |fuse| {
        let phi = Radial::new(Fused(Softplus, fuse), 2);
        let energy = MeanFieldRisk::new(phi, risk(Square)).unwrap();
        Box::new(energy.regularized(decay()))
    }),
    ("loss", |fuse| {
        let phi = Ridge::new(Softplus, 2);
        let energy = MeanFieldRisk::new(phi, risk(Fused(Square, fuse))).unwrap();
        Box::new(energy.regularized(decay()))
    }),
    ("loss of many samples", |fuse| {
        let phi = Ridge::new(Softplus, 2);
        let energy = MeanFieldRisk::new(phi, risk(FusedBlocks(Square, fuse))).unwrap();
        Box::new(energy.regularized(decay()))
    }),
    ("risk", |fuse| {
        let phi = Ridge::new(Softplus, 2);
        let energy = MeanFieldRisk::new(phi, Fused(risk(Square), fuse)).unwrap();
        Box::new(energy.regularized(decay()))
    }),
    ("potential", |fuse| {
        let energy = MeanFieldRisk::new(Ridge::new(Softplus, 2), risk(Square)).unwrap();
        Box::new(energy.regularized(Fused(decay(), fuse)))
    }),
    ("feature map", |fuse| {
        let phi = Fused(Ridge::new(Softplus, 2), fuse);
        let energy = MeanFieldRisk::new(phi, risk(Square)).unwrap();
        Box::new(energy.regularized(decay()))
    }),
    // In the second term of a sum, whose scratch field is in use.
    ("energy", |fuse| {
        let zero = PotentialEnergy::new((), 3);
        Box::new(Sum::new(zero, Fused(network(), fuse)).unwrap())
    }),
];

/// Panics at call 1, 2, 3, 5, 8, .. of a step, until it completes: each leaves the state as it was,
/// bit for bit. The run then continues as one that never panicked. Returns the number of panics.
fn check(name: &str, flow: &mut Flow, fuse: &Fuse) -> usize {
    let mut straight = flow.start(students()).unwrap();
    flow.run(&mut straight, 6, &mut ()).unwrap();

    let mut state = flow.start(students()).unwrap();
    flow.run(&mut state, 3, &mut ()).unwrap();
    let (before, stale) = (bits(&state), state.is_stale());
    let (mut calls, mut last, mut panics) = (1, 1, 0);
    loop {
        fuse.set(calls);
        let mut copy = state.clone();
        let step = catch_unwind(AssertUnwindSafe(|| flow.advance(&mut copy)));
        fuse.set(0);
        if let Ok(step) = step {
            step.unwrap();
            break;
        }
        assert_eq!(bits(&copy), before, "{name}, call {calls}");
        fuse.set(calls);
        let step = catch_unwind(AssertUnwindSafe(|| flow.advance(&mut state)));
        fuse.set(0);
        assert!(step.is_err());
        assert_eq!(bits(&state), before, "{name}, call {calls}");
        panics += 1;
        (calls, last) = (calls + last, calls);
    }
    assert!(!stale && panics > 0, "{name}");
    flow.run(&mut state, 3, &mut ()).unwrap();
    assert_eq!(bits(&state), bits(&straight), "{name}");
    panics
}

#[test]
fn a_panic_in_a_part_of_the_energy_restores_the_state() {
    for (name, problem) in PROBLEMS {
        for (i, integrator) in INTEGRATORS.into_iter().enumerate() {
            let fuse = Fuse::default();
            let mut flow = ParticleFlow::new(problem(fuse.clone()), integrator(), 0.03).unwrap();
            check(&format!("{name}, integrator {i}"), &mut flow, &fuse);
        }
    }
}

#[test]
fn a_panic_in_an_integrator_restores_the_state() {
    for integrator in INTEGRATORS {
        let fuse = Fuse::default();
        let fused: Box<dyn Integrator<f64>> = Box::new(Fused(integrator(), fuse.clone()));
        let energy: Box<dyn Energy<f64>> = Box::new(network());
        let mut flow = ParticleFlow::new(energy, fused, 0.03).unwrap();
        assert_eq!(check("integrator", &mut flow, &fuse), 2);
    }
}

/// A state that was modified is evaluated first: a panic there leaves it as it was modified.
#[test]
fn a_panic_in_the_evaluation_of_a_modified_state_restores_it() {
    let fuse = Fuse::default();
    let energy = Fused(network(), fuse.clone());
    let mut flow = ParticleFlow::new(energy, Rk4, 0.03).unwrap();
    let mut state = flow.start(students()).unwrap();
    flow.run(&mut state, 2, &mut ()).unwrap();
    state.measure_mut().points_mut()[0] += 0.5;
    let mut straight = state.clone();
    let before = bits(&state);
    for calls in 1..=2 {
        fuse.set(calls);
        let run = catch_unwind(AssertUnwindSafe(|| flow.run(&mut state, 3, &mut ())));
        fuse.set(0);
        assert!(run.is_err() && state.is_stale());
        assert_eq!(bits(&state), before);
    }
    flow.run(&mut state, 3, &mut ()).unwrap();
    flow.run(&mut straight, 3, &mut ()).unwrap();
    assert_eq!(bits(&state), bits(&straight));
}

/// An observer that panics leaves the state that it observed.
#[test]
fn a_panic_in_an_observer_leaves_the_state_observed() {
    for integrator in INTEGRATORS {
        let flow = || ParticleFlow::new(network(), integrator(), 0.03).unwrap();
        for panic_at in [0, 1, 4] {
            let mut flow = flow();
            let mut observed = Vec::new();
            let mut observer = observe::from_fn(|state: &State<f64>| {
                observed = bits(state);
                if state.step() == panic_at {
                    resume_unwind(Box::new("observer"));
                }
                ControlFlow::Continue(())
            });
            let mut state = flow.start(students()).unwrap();
            let run = AssertUnwindSafe(|| flow.run(&mut state, 6, &mut observer));
            assert!(catch_unwind(run).is_err());
            assert_eq!(state.step(), panic_at);
            assert_eq!(bits(&state), observed);
            flow.run(&mut state, 6 - panic_at, &mut ()).unwrap();
            let mut straight = flow.start(students()).unwrap();
            flow.run(&mut straight, 6, &mut ()).unwrap();
            assert_eq!(bits(&state), bits(&straight));
        }
    }
}

/// A panic on a thread of the pool, at sizes for which the passes run in parallel.
#[test]
fn a_panic_on_another_thread_restores_the_state() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    pool.install(|| {
        let fuse = Fuse::default();
        let (d, n, m) = (8, 2000, 200);
        let y = DVector::from_fn(n, |j, _| (j as f64).sin());
        let risk = EmpiricalRisk::new(Square, x(d, n), y).unwrap();
        let phi = Ridge::new(Fused(Tanh, fuse.clone()), d);
        let mut flow =
            ParticleFlow::new(MeanFieldRisk::new(phi, risk).unwrap(), Heun, 0.1).unwrap();
        let start = EmpiricalMeasure::uniform(x(d + 1, m)).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        flow.run(&mut state, 1, &mut ()).unwrap();
        let before = bits(&state);
        for calls in [1, 1000, 300_000, n * m + 5000] {
            fuse.set(calls);
            let step = catch_unwind(AssertUnwindSafe(|| flow.advance(&mut state)));
            fuse.set(0);
            assert!(step.is_err());
            assert_eq!(bits(&state), before);
        }
        flow.run(&mut state, 1, &mut ()).unwrap();
        let mut straight = flow.start(start).unwrap();
        flow.run(&mut straight, 2, &mut ()).unwrap();
        assert_eq!(bits(&state), bits(&straight));
    });
}

/// A panic in a block of the sum over samples, on any thread and after other blocks: what it left in
/// the buffers of the energy is not used by later steps, values and sums of another size.
#[test]
fn a_panic_in_the_sum_over_samples_restores_the_state() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
    pool.unwrap().install(|| {
        for (n, m) in [(300, 3), (2000, 200)] {
            let (fuse, d) = (Fuse::default(), 8);
            let y = DVector::from_fn(n, |j, _| (j as f64).sin());
            let loss = FusedBlocks(Square, fuse.clone());
            let risk = EmpiricalRisk::new(loss, x(d, n), y).unwrap();
            let energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).unwrap();
            let mut flow = ParticleFlow::new(energy, Heun, 0.1).unwrap();
            let start = EmpiricalMeasure::uniform(x(d + 1, m)).unwrap();
            let mut state = flow.start(start.clone()).unwrap();
            flow.run(&mut state, 1, &mut ()).unwrap();
            let (before, value) = (bits(&state), state.energy());
            let mut panics = 0;
            for calls in 1.. {
                fuse.set(calls);
                let step = catch_unwind(AssertUnwindSafe(|| flow.advance(&mut state.clone())));
                fuse.set(0);
                if step.is_ok() {
                    break;
                }
                fuse.set(calls);
                let step = catch_unwind(AssertUnwindSafe(|| flow.advance(&mut state)));
                fuse.set(0);
                assert!(step.is_err());
                assert_eq!(bits(&state), before, "{n}, call {calls}");
                let again = flow.energy_mut().value(state.measure());
                assert_eq!(again.to_bits(), value.to_bits(), "{n}, call {calls}");
                panics += 1;
            }
            // Two blocks or more in each of the two velocities.
            assert!(panics >= 4, "{n}: {panics}");
            flow.run(&mut state, 1, &mut ()).unwrap();
            let mut straight = flow.start(start).unwrap();
            flow.run(&mut straight, 2, &mut ()).unwrap();
            assert_eq!(bits(&state), bits(&straight));
        }
    });
}

/// A panic while a minibatch is drawn: the energy may have changed, so that the state is evaluated
/// again.
#[test]
fn a_panic_in_refresh_restores_the_measure() {
    struct Draws(EmpiricalRisk<Square, f64>, Fuse, Inputs<f64>);
    impl Risk<f64> for Draws {
        fn inputs(&self) -> &Inputs<f64> {
            &self.2
        }
        fn value(&self, h: &[f64]) -> f64 {
            self.0.value(h)
        }
        fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
            self.0.value_and_gradient(h, out)
        }
        fn refresh(&mut self, step: usize) -> bool {
            let fuse = self.1.clone();
            let fill = |j: usize, x: &mut [f64]| {
                x[0] = (7 * j + 3 * step) as f64 * 0.01;
                if j == 5 {
                    fuse.call();
                }
            };
            self.2.refill(fill).unwrap();
            true
        }
    }
    let fuse = Fuse::default();
    let inputs = Inputs::new(x(2, 9)).unwrap();
    let draws = Draws(risk(Square), fuse.clone(), inputs);
    let energy = MeanFieldRisk::new(Ridge::new(Softplus, 2), draws).unwrap();
    let mut flow = ParticleFlow::new(energy, Euler, 0.01).unwrap();
    let mut state = flow.start(students()).unwrap();
    flow.run(&mut state, 2, &mut ()).unwrap();
    let (before, points) = (bits(&state), flow.energy().risk().2.points().clone());
    fuse.set(1);
    let step = catch_unwind(AssertUnwindSafe(|| flow.advance(&mut state)));
    fuse.set(0);
    assert!(step.is_err() && state.is_stale());
    assert_eq!(bits(&state), before);
    // The draw that panicked changed nothing.
    assert_eq!(flow.energy().risk().2.points(), &points);
    flow.run(&mut state, 3, &mut ()).unwrap();
}
