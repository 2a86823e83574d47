//! A user-defined implementation of every trait, used in a flow, plain and boxed.
//!
//! Losses, activations, risks, feature maps, potentials, kernels, integrators, observers and
//! reductions need slices and `Real` only. Types of nalgebra appear in the construction of a
//! measure and in the signature of an energy.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};

/// Components without a matrix type: none is in scope here.
mod user {
    use std::cell::Cell;
    use std::f64::consts::TAU;
    use std::ops::ControlFlow;
    use std::rc::Rc;

    use wasserflow::prelude::*;

    /// `sigma(u) = u |u|`, homogeneous of degree 2 and once differentiable.
    #[derive(Debug, Clone, Copy)]
    pub struct SignedSquare;

    impl<T: Real> Activation<T> for SignedSquare {
        #[inline]
        fn value(&self, u: T) -> T {
            u * u.abs()
        }
        #[inline]
        fn derivative(&self, u: T) -> T {
            u.abs() + u.abs()
        }
    }

    impl Homogeneous for SignedSquare {
        fn degree(&self) -> u32 {
            2
        }
    }

    /// `l(y, h) = log cosh(h - y)`, for targets `y >= 0`.
    #[derive(Debug, Clone, Copy)]
    pub struct LogCosh {
        pub width: f64,
    }

    impl<T: Real> Loss<T> for LogCosh {
        fn value(&self, y: T, h: T) -> T {
            let (w, r) = (real::<T>(self.width), (h - y).abs());
            let z = r / w;
            w * w * (z + (-(z + z)).exp().ln_1p() - real::<T>(std::f64::consts::LN_2))
        }
        fn derivative(&self, y: T, h: T) -> T {
            let w = real::<T>(self.width);
            w * ((h - y) / w).tanh()
        }
        fn check_target(&self, y: T) -> Result<(), &'static str> {
            if y >= T::zero() { Ok(()) } else { Err(">= 0") }
        }
        fn check(&self) -> Result<(), ParameterError> {
            if self.width > 0.0 {
                Ok(())
            } else {
                Err(ParameterError {
                    name: "width",
                    requirement: "positive",
                    value: self.width,
                })
            }
        }
    }

    /// A spike of weight `a` at `t` on the torus of length L, observed through the Dirichlet kernel
    /// of order 7: `Phi(a, t)(x) = a D(x - t)`, `D(u) = 1 + 2 sum_{q = 1}^7 cos(2 pi q u / L)`.
    #[derive(Debug, Clone, Copy)]
    pub struct Spike;

    /// L, the ratio of the time scales of growing and of moving.
    pub const LENGTH: f64 = 32.0;

    const ORDER: u32 = 7;

    /// `(D(u), D'(u))`.
    fn dirichlet<T: Real>(u: T) -> (T, T) {
        let (mut value, mut slope) = (T::one(), T::zero());
        for q in 1..=ORDER {
            let frequency = real::<T>(TAU * f64::from(q) / LENGTH);
            let (sin, cos) = (frequency * u).sin_cos();
            value += cos + cos;
            slope -= (frequency + frequency) * sin;
        }
        (value, slope)
    }

    impl<T: Real> FeatureMap<T> for Spike {
        fn particle_dim(&self) -> usize {
            2
        }
        fn input_dim(&self) -> usize {
            1
        }
        fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
            out[0] += scale * w[0] * dirichlet(x[0] - w[1]).0;
        }
        fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
            let (value, slope) = dirichlet(x[0] - w[1]);
            out[0] += g[0] * value;
            out[1] -= g[0] * w[0] * slope;
        }
    }

    /// Least squares on samples `x_j = L frac(j / n + shift)` of a known signal, resampled every
    /// step: the shifts are a low-discrepancy sequence on the circle.
    pub struct FreshSamples<T> {
        inputs: Inputs<T>,
        targets: Vec<T>,
        signal: fn(f64) -> f64,
        pub draws: Rc<Cell<usize>>,
    }

    impl<T: Real> FreshSamples<T> {
        pub fn new(n: usize, signal: fn(f64) -> f64) -> Self {
            let inputs = Inputs::from_slice(1, &vec![T::zero(); n]).unwrap();
            let mut risk = Self {
                inputs,
                targets: vec![T::zero(); n],
                signal,
                draws: Rc::default(),
            };
            risk.draw(0);
            risk
        }

        fn draw(&mut self, draw: usize) {
            let n = self.targets.len() as f64;
            let at =
                |j: usize| (j as f64 / n + draw as f64 * 0.618_033_988_749_894_9).fract() * LENGTH;
            self.inputs.refill(|j, x| x[0] = real(at(j))).unwrap();
            for (j, y) in self.targets.iter_mut().enumerate() {
                *y = real((self.signal)(at(j)));
            }
        }
    }

    impl<T: Real> Risk<T> for FreshSamples<T> {
        fn inputs(&self) -> &Inputs<T> {
            &self.inputs
        }
        fn value(&self, h: &[T]) -> T {
            let n = real::<T>(h.len() as f64);
            h.iter()
                .zip(&self.targets)
                .fold(T::zero(), |sum, (&h, &y)| sum + (h - y) * (h - y))
                / (n + n)
        }
        fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
            let n = real::<T>(h.len() as f64);
            for ((out, &h), &y) in out.iter_mut().zip(h).zip(&self.targets) {
                *out = (h - y) / n;
            }
            self.value(h)
        }
        fn refresh(&mut self, step: usize) -> bool {
            self.draws.set(self.draws.get() + 1);
            self.draw(step);
            true
        }
    }

    /// `V(w) = sum_l log(1 + w_l^2)`.
    #[derive(Debug, Clone, Copy)]
    pub struct Cauchy;

    impl<T: Real> Potential<T> for Cauchy {
        fn value(&self, w: &[T]) -> T {
            w.iter().fold(T::zero(), |sum, &w| sum + (w * w).ln_1p())
        }
        fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
            for (out, &w) in out.iter_mut().zip(w) {
                *out += scale * (w + w) / (T::one() + w * w);
            }
        }
    }

    /// `K(w, v) = 1 / (1 + |w - v|^2)`.
    #[derive(Debug, Clone, Copy)]
    pub struct InverseQuadric(pub usize);

    impl<T: Real> Kernel<T> for InverseQuadric {
        fn dim(&self) -> usize {
            self.0
        }
        fn value(&self, w: &[T], v: &[T]) -> T {
            T::one()
                / w.iter()
                    .zip(v)
                    .fold(T::one(), |sum, (&w, &v)| sum + (w - v) * (w - v))
        }
        fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
            let k = self.value(w, v);
            for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
                *out -= scale * k * k * real(2.0) * (w - v);
            }
        }
    }

    /// Euler steps of bounded length: a step is shorter than requested if the velocity is large.
    #[derive(Debug, Clone, Copy)]
    pub struct Bounded {
        pub stride: f64,
    }

    impl<T: Real> Integrator<T> for Bounded {
        fn order(&self) -> u32 {
            1
        }
        fn step(
            &mut self,
            energy: &mut dyn Energy<T>,
            state: &mut State<T>,
            dt: T,
        ) -> Result<Step<T>, StepError> {
            state.evaluate(energy);
            let speed = energy
                .inner(state.measure(), state.velocity(), state.velocity())
                .sqrt();
            let taken = dt.min(real::<T>(self.stride) / (speed + T::default_epsilon()));
            let (mu, v) = state.split_mut();
            mu.displace(taken, v);
            Ok(Step { taken, next: None })
        }
        fn check(&self) -> Result<(), ParameterError> {
            if self.stride > 0.0 {
                Ok(())
            } else {
                Err(ParameterError {
                    name: "stride",
                    requirement: "positive",
                    value: self.stride,
                })
            }
        }
    }

    /// Gradient descent with momentum `u <- (1 - friction dt) u + dt v`, `w += dt u`, stored in the
    /// state.
    #[derive(Debug, Clone, Copy)]
    pub struct Momentum {
        pub friction: f64,
    }

    impl<T: Real> Integrator<T> for Momentum {
        fn order(&self) -> u32 {
            1
        }
        fn step(
            &mut self,
            energy: &mut dyn Energy<T>,
            state: &mut State<T>,
            dt: T,
        ) -> Result<Step<T>, StepError> {
            state.evaluate(energy);
            let (shape, v) = (state.velocity().shape(), state.velocity().clone());
            let momentum = state.memory_mut().field(0, shape);
            *momentum *= T::one() - real::<T>(self.friction) * dt;
            *momentum += v * dt;
            let momentum = momentum.clone();
            state.measure_mut().displace(dt, &momentum);
            Ok(Step {
                taken: dt,
                next: None,
            })
        }
    }

    /// Counts states, and stops after `limit` of them.
    #[derive(Debug, Default)]
    pub struct Counter {
        pub seen: usize,
        pub limit: usize,
    }

    impl<T: Real> Observer<T> for Counter {
        fn observe(&mut self, _: &State<T>) -> ControlFlow<StopReason> {
            self.seen += 1;
            if self.seen > self.limit {
                ControlFlow::Break(StopReason::Requested)
            } else {
                ControlFlow::Continue(())
            }
        }
    }
}

use user::{
    Bounded, Cauchy, Counter, FreshSamples, InverseQuadric, LENGTH, LogCosh, Momentum,
    SignedSquare, Spike,
};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{Every, Trace, UntilTarget, from_fn};
use wasserflow::prelude::*;

/// Two spikes: of weight 1 at L / 4, of weight -1/2 at 0.7 L.
fn signal(x: f64) -> f64 {
    let dirichlet = |u: f64| {
        1.0 + 2.0
            * (1..=7)
                .map(|q| (std::f64::consts::TAU * f64::from(q) * u).cos())
                .sum::<f64>()
    };
    dirichlet(x / LENGTH - 0.25) - 0.5 * dirichlet(x / LENGTH - 0.7)
}

/// Spikes of weight `a = 0` on a grid of the torus.
fn grid<T: Real>(m: usize) -> EmpiricalMeasure<T> {
    let points = DMatrix::from_fn(2, m, |l, i| {
        if l == 0 {
            T::zero()
        } else {
            real((i as f64 + 0.5) / m as f64 * LENGTH)
        }
    });
    EmpiricalMeasure::uniform(points).unwrap()
}

fn fixed_samples<T: Real>() -> EmpiricalRisk<Square, T> {
    let n = 32;
    let at = |j: usize| j as f64 / n as f64 * LENGTH;
    let y = DVector::from_fn(n, |j, _| real(signal(at(j))));
    EmpiricalRisk::new(Square, DMatrix::from_fn(1, n, |_, j| real(at(j))), y).unwrap()
}

/// A user-defined energy: `F(mu) = |int w dmu - c|^2 / 2`, the squared distance of the mean from a
/// point.
struct MeanTo<T>(Vec<T>);

impl<T: Real> MeanTo<T> {
    fn excess(&self, mu: &EmpiricalMeasure<T>) -> Vec<T> {
        let mut excess: Vec<T> = self.0.iter().map(|&c| -c).collect();
        for i in 0..mu.len() {
            for (excess, &w) in excess.iter_mut().zip(mu.particle(i)) {
                *excess += mu.weight(i) * w;
            }
        }
        excess
    }
}

impl<T: Real> Energy<T> for MeanTo<T> {
    fn particle_dim(&self) -> usize {
        self.0.len()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.excess(mu)
            .iter()
            .fold(T::zero(), |sum, &e| sum + e * e)
            / real(2.0)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        let excess = self.excess(mu);
        for v in out.as_mut_slice().chunks_exact_mut(excess.len()) {
            v.iter_mut().zip(&excess).for_each(|(v, &e)| *v = -e);
        }
        self.value(mu)
    }
}

/// The state after `steps` steps.
fn run<T: Real>(
    energy: impl Energy<T>,
    integrator: impl Integrator<T>,
    dt: f64,
    mu: EmpiricalMeasure<T>,
    steps: usize,
) -> State<T> {
    let mut flow = ParticleFlow::new(energy, integrator, real(dt)).unwrap();
    let mut state = flow.start(mu).unwrap();
    assert_eq!(
        flow.run(&mut state, steps, &mut ()).unwrap(),
        StopReason::Steps
    );
    state
}

fn same<T: Real>(a: &State<T>, b: &State<T>) {
    assert_eq!((a.measure(), a.velocity()), (b.measure(), b.velocity()));
    assert_eq!(
        (a.energy(), a.dissipation(), a.time(), a.step()),
        (b.energy(), b.dissipation(), b.time(), b.step())
    );
}

/// A field in the memory of the state is part of it: clones, new integrators and failed steps keep
/// it.
#[test]
fn momentum_resumes_bit_for_bit() {
    fn check<T: Real>() {
        let energy = || MeanFieldRisk::new(Spike, fixed_samples::<T>()).unwrap();
        let uninterrupted = run(energy(), Momentum { friction: 0.5 }, 0.05, grid(7), 30);
        let mut state = run(energy(), Momentum { friction: 0.5 }, 0.05, grid(7), 11);
        let interrupted = state.clone();
        let boxed: Box<dyn Integrator<T>> = Box::new(Momentum { friction: 0.5 });
        let mut flow = ParticleFlow::new(energy(), boxed, real(0.05)).unwrap();
        flow.run(&mut state, 19, &mut ()).unwrap();
        same(&state, &uninterrupted);
        assert_eq!(state.memory(), uninterrupted.memory());

        // Without its memory the run is another one.
        let mut forgetful = interrupted.clone();
        forgetful.memory_mut().fields.clear();
        flow.run(&mut forgetful, 19, &mut ()).unwrap();
        assert_ne!(forgetful.measure(), uninterrupted.measure());

        // A step that fails restores the memory with the points.
        let mut failed = interrupted.clone();
        let mut diverging = ParticleFlow::new(
            energy(),
            Momentum { friction: 0.5 },
            T::max_value().unwrap(),
        )
        .unwrap();
        diverging.advance(&mut failed).unwrap_err();
        same(&failed, &interrupted);
        assert_eq!(failed.memory(), interrupted.memory());

        // So does a step that fails after others, when the copy that it restores is reused.
        let mut later = interrupted.clone();
        let mut flow = ParticleFlow::new(energy(), Momentum { friction: 0.5 }, real(0.05)).unwrap();
        flow.run(&mut later, 3, &mut ()).unwrap();
        let before = later.clone();
        flow.set_dt(T::max_value().unwrap()).unwrap();
        flow.advance(&mut later).unwrap_err();
        same(&later, &before);
        assert_eq!(later.memory(), before.memory());
        let mut copied = interrupted.clone();
        copied.clone_from(&before);
        assert_eq!(copied.memory(), before.memory());
        flow.set_dt(real(0.05)).unwrap();

        // Particles that were added start without momentum.
        let mut grown = interrupted;
        *grown.measure_mut() = grid(9);
        flow.advance(&mut grown).unwrap();
        assert_eq!(
            grown.memory().fields[0].shape(),
            grown.measure().points().shape()
        );
    }
    check::<f64>();
    check::<f32>();
}

#[test]
fn a_user_defined_map_recovers_spikes() {
    let energy = MeanFieldRisk::new(Spike, fixed_samples::<f64>()).unwrap();
    let mut flow = ParticleFlow::new(energy, DormandPrince::new(1e-6, 1e-9), 1e-2).unwrap();
    let mut state = flow.start(grid(20)).unwrap();
    let start = state.energy();
    let reason = flow
        .run_until(&mut state, 1000.0, &mut UntilTarget::new(1e-6).unwrap())
        .unwrap();
    assert_eq!(
        reason,
        StopReason::Target,
        "F = {:e} from {start:e}, t = {}",
        state.energy(),
        state.time()
    );

    // The mass is where the signal has its spikes: 1 near 0.25, -1/2 near 0.7.
    let near = |t: f64| -> f64 {
        let mu = state.measure();
        let here = |i: &usize| (mu.particle(*i)[1] - t * LENGTH).abs() < 0.1 * LENGTH;
        (0..mu.len())
            .filter(here)
            .map(|i| mu.weight(i) * mu.particle(i)[0])
            .sum()
    };
    assert!(
        (near(0.25) - 1.0).abs() < 0.2 && (near(0.7) + 0.5).abs() < 0.2,
        "{} {}",
        near(0.25),
        near(0.7)
    );
}

#[test]
fn user_defined_activations_and_losses_satisfy_the_energy_identity() {
    let x = DMatrix::from_row_slice(2, 5, &[1.0, -1.0, 0.5, 2.0, -0.5, 0.0, 1.0, -2.0, 1.0, 0.5]);
    let y = DVector::from_vec(vec![1.0, 0.0, 2.0, 0.5, 1.5]);
    let refused = EmpiricalRisk::new(LogCosh { width: 0.0 }, x.clone(), y.clone()).unwrap_err();
    assert!(
        matches!(refused, RiskError::Parameter(error) if error.name == "width"),
        "{refused}"
    );
    let refused = EmpiricalRisk::new(LogCosh { width: 1.0 }, x.clone(), -y.clone()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "sample 0, target 0 must be >= 0, found -1"
    );

    let risk = EmpiricalRisk::new(LogCosh { width: 1.0 }, x, y).unwrap();
    let map = Ridge::new(SignedSquare, 2);
    assert_eq!(map.degree(), 3);
    let mu = EmpiricalMeasure::uniform(DMatrix::from_fn(3, 8, |l, i| ((3 * i + l) as f64).sin()))
        .unwrap();
    // The energy identity joins value and derivative of both: F falls by dt times the dissipation.
    let mut flow = ParticleFlow::new(MeanFieldRisk::new(map, risk).unwrap(), Rk4, 0.01).unwrap();
    let mut state = flow.start(mu).unwrap();
    let mut trace = Trace::new();
    flow.run(&mut state, 200, &mut trace).unwrap();
    let lost: f64 = trace
        .records()
        .windows(2)
        .map(|pair| 0.005 * (pair[0].dissipation + pair[1].dissipation))
        .sum();
    let fall = trace.records()[0].energy - state.energy();
    assert!(
        fall > 0.05 && (fall - lost).abs() < 1e-3 * fall,
        "F fell by {fall}, dissipated {lost}"
    );
}

/// A flow calls `refresh` once for each step, and the state holds the energy of its samples.
#[test]
fn samples_are_refreshed_once_a_step() {
    fn check<T: Real>(integrator: impl Integrator<T>) {
        let risk = FreshSamples::<T>::new(24, signal);
        let draws = risk.draws.clone();
        let mut flow = ParticleFlow::new(
            MeanFieldRisk::new(Spike, risk).unwrap(),
            integrator,
            real(2e-2),
        )
        .unwrap();
        let mut state = flow.start(grid(10)).unwrap();
        assert_eq!(draws.get(), 1, "a start draws the samples of step 0");
        for step in 1..=20 {
            flow.advance(&mut state).unwrap();
            assert_eq!(draws.get(), step + 1);
        }
        flow.run(&mut state, 10, &mut ()).unwrap();
        assert_eq!(draws.get(), 31);
        let time = state.time() + real(0.1);
        flow.run_until(&mut state, time, &mut ()).unwrap();
        assert_eq!(draws.get(), state.step() + 1);
        // The energy may change behind `energy_mut`: the samples are then drawn once more.
        let mut v = DMatrix::zeros(2, 10);
        let value = flow.energy_mut().velocity(state.measure(), &mut v);
        assert_eq!((state.energy(), state.velocity()), (value, &v));
        flow.advance(&mut state).unwrap();
        assert_eq!(draws.get(), state.step() + 2);
    }
    check::<f64>(Euler);
    check::<f64>(Heun);
    check::<f32>(Rk4);
    check::<f64>(DormandPrince::default());
    check::<f64>(Bounded { stride: 1e-1 });
    // Through boxes, and through a sum of two energies that both resample.
    check::<f64>(Box::new(Euler) as Box<dyn Integrator<f64>>);
    let (first, second) = (
        FreshSamples::<f64>::new(24, signal),
        FreshSamples::new(24, signal),
    );
    let draws = [first.draws.clone(), second.draws.clone()];
    let part = |risk| MeanFieldRisk::new(Spike, Box::new(risk) as Box<dyn Risk<f64>>).unwrap();
    let boxed: Box<dyn Energy<f64>> = Box::new(Sum::new(part(first), part(second)).unwrap());
    let state = run(boxed, Euler, 1e-2, grid(10), 7);
    assert_eq!((draws[0].get(), draws[1].get(), state.step()), (8, 8, 7));
}

#[test]
fn a_run_on_fresh_samples_learns_the_signal() {
    let risk = FreshSamples::<f64>::new(24, signal);
    let mut flow =
        ParticleFlow::new(MeanFieldRisk::new(Spike, risk).unwrap(), Euler, 4e-3).unwrap();
    let mut state = flow.start(grid(20)).unwrap();
    let start = state.energy();
    flow.run(&mut state, 10_000, &mut ()).unwrap();
    // On other samples.
    let mut fixed = MeanFieldRisk::new(Spike, fixed_samples::<f64>()).unwrap();
    let end = fixed.value(state.measure());
    assert!(end < 1e-3 * start, "F = {end:e} from {start:e}");
}

/// All user-defined components, boxed, in one flow: the same results as unboxed, bit for bit.
#[test]
fn boxed_parts_give_the_same_run() {
    fn plain<T: Real>() -> State<T> {
        let energy = MeanFieldRisk::new(Spike, fixed_samples::<T>())
            .unwrap()
            .regularized((Cauchy, WeightDecay::new(real(0.01)).unwrap()));
        run(energy, Bounded { stride: 0.1 }, 0.05, grid(12), 40)
    }
    fn boxed<T: Real>() -> State<T> {
        let map: Box<dyn FeatureMap<T>> = Box::new(Spike);
        let risk: Box<dyn Risk<T>> = Box::new(fixed_samples::<T>());
        let potentials: [Box<dyn Potential<T>>; 2] = [
            Box::new(Cauchy),
            Box::new(WeightDecay::new(real(0.01)).unwrap()),
        ];
        let [cauchy, decay] = potentials;
        let energy: Box<dyn Energy<T>> = Box::new(
            MeanFieldRisk::new(map, risk)
                .unwrap()
                .regularized((cauchy, decay)),
        );
        let integrator: Box<dyn Integrator<T>> = Box::new(Bounded { stride: 0.1 });
        let mut flow: ParticleFlow<Box<dyn Energy<T>>, Box<dyn Integrator<T>>, T> =
            ParticleFlow::new(energy, integrator, real(0.05)).unwrap();
        let mut state = flow.start(grid(12)).unwrap();
        let mut observer: Box<dyn Observer<T>> = Box::new(Counter {
            seen: 0,
            limit: 100,
        });
        flow.run(&mut state, 40, &mut *observer).unwrap();
        state
    }
    same(&plain::<f64>(), &boxed::<f64>());
    same(&plain::<f32>(), &boxed::<f32>());

    // Built-in maps override the batch methods: a box, a reference or an `Arc` must forward the
    // overrides.
    let mu = EmpiricalMeasure::uniform(DMatrix::from_fn(2, 9, |l, i| ((2 * i + l) as f64).cos()))
        .unwrap();
    let of = |map: &dyn FeatureMap<f64>| {
        run(
            MeanFieldRisk::new(map, fixed_samples()).unwrap(),
            Rk4,
            0.01,
            mu.clone(),
            20,
        )
    };
    let unboxed = run(
        MeanFieldRisk::new(Ridge::new(Tanh, 1), fixed_samples()).unwrap(),
        Rk4,
        0.01,
        mu.clone(),
        20,
    );
    same(&unboxed, &of(&Ridge::new(Tanh, 1)));
    same(&unboxed, &of(&Arc::new(Ridge::new(&Tanh, 1))));
    let unboxed = run(
        MeanFieldRisk::new(Radial::new(Tanh, 1), fixed_samples()).unwrap(),
        Rk4,
        0.01,
        mu.clone(),
        20,
    );
    same(
        &unboxed,
        &of(&(Box::new(Radial::new(Tanh, 1)) as Box<dyn FeatureMap<f64>>)),
    );

    // A user-defined kernel.
    let target = EmpiricalMeasure::uniform(DMatrix::from_fn(2, 3, |l, i| (i + l) as f64)).unwrap();
    let unboxed = run(
        Mmd::new(InverseQuadric(2), target.clone()).unwrap(),
        Heun,
        0.1,
        mu.clone(),
        20,
    );
    let kernel: Box<dyn Kernel<f64>> = Box::new(InverseQuadric(2));
    let boxed = run(
        Mmd::new(kernel, target.clone()).unwrap(),
        Heun,
        0.1,
        mu.clone(),
        20,
    );
    same(&unboxed, &boxed);
    let start = Mmd::new(InverseQuadric(2), target).unwrap().value(&mu);
    assert!(
        boxed.energy() < 0.8 * start,
        "F = {} from {start}",
        boxed.energy()
    );
}

#[test]
fn a_user_defined_energy_flows_alone_and_in_a_sum() {
    // The mean obeys d mean/dt = -(mean - c) with mass 1: exponential decay, in closed form.
    let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 5.0])).unwrap();
    let mut flow = ParticleFlow::new(MeanTo(vec![1.0]), Rk4, 0.01).unwrap();
    let mut state = flow.start(mu.clone()).unwrap();
    flow.run_until(&mut state, 1.0, &mut ()).unwrap();
    let mean = (state.measure().particle(0)[0] + state.measure().particle(1)[0]) / 2.0;
    assert!((mean - 1.0 - 2.0 * f64::exp(-1.0)).abs() < 1e-9);
    // Beside a potential, boxed, by reference, in f32.
    let mut energy = MeanTo(vec![1.0_f32]);
    let confinement: Box<dyn Energy<f32>> = Box::new(PotentialEnergy::new(Cauchy, 1));
    let sum = Sum::new(&mut energy, confinement).unwrap();
    let state = run(
        sum,
        Euler,
        0.01,
        EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 5.0])).unwrap(),
        5000,
    );
    assert!(state.dissipation() < 1e-6 && state.energy() > 0.0);
    // Its curvature and first variation are not implemented: `None`.
    let mut out = DMatrix::zeros(1, 2);
    assert!(
        MeanTo(vec![1.0])
            .curvature(&mu, mu.points(), &mut out)
            .is_none()
    );
    assert!(
        MeanTo(vec![1.0])
            .first_variation(&mu, mu.points(), &mut [0.0; 2], &mut out.clone())
            .is_none()
    );
}

#[test]
fn user_defined_observers_receive_every_state_and_stop() {
    let flow = || {
        ParticleFlow::new(
            PotentialEnergy::new(Cauchy, 1),
            Bounded { stride: 1.0 },
            0.1,
        )
        .unwrap()
    };
    let mu = || EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 5.0])).unwrap();
    let mut counter = Counter { seen: 0, limit: 12 };
    let mut state = flow().start(mu()).unwrap();
    assert_eq!(
        flow().run(&mut state, 100, &mut counter).unwrap(),
        StopReason::Requested
    );
    assert_eq!(
        (counter.seen, state.step()),
        (13, 12),
        "the start, and twelve steps"
    );

    // In a tuple all receive the last state, and the first reason is returned.
    let (mut counter, mut trace, seen) = (
        Counter { seen: 0, limit: 5 },
        Trace::new(),
        Rc::new(Cell::new(0)),
    );
    let target = from_fn(|state: &State<f64>| {
        seen.set(seen.get() + 1);
        if state.step() >= 5 {
            ControlFlow::Break(StopReason::Target)
        } else {
            ControlFlow::Continue(())
        }
    });
    let mut state = flow().start(mu()).unwrap();
    let reason = flow()
        .run(&mut state, 100, &mut (&mut counter, target, &mut trace))
        .unwrap();
    assert_eq!(
        (reason, counter.seen, seen.get(), trace.records().len()),
        (StopReason::Requested, 6, 6, 6)
    );
    let mut every = Every::new(
        4,
        Counter {
            seen: 0,
            limit: 100,
        },
    );
    flow().run(&mut state, 20, &mut every).unwrap();
    assert_eq!(
        (state.step(), every.into_inner().seen),
        (25, 5),
        "steps 8, 12, 16, 20, 24"
    );

    let refused = ParticleFlow::new(
        PotentialEnergy::new(Cauchy, 1),
        Bounded { stride: -1.0 },
        0.1,
    )
    .unwrap_err();
    assert_eq!(refused.name, "stride");
    let boxed: Box<dyn Integrator<f64>> = Box::new(Bounded { stride: -1.0 });
    assert!(
        ParticleFlow::new(PotentialEnergy::new(Cauchy, 1), boxed, 0.1).is_err(),
        "a box forwards the check"
    );
    let boxed: Box<dyn Loss<f64>> = Box::new(LogCosh { width: -1.0 });
    assert!(EmpiricalRisk::new(&*boxed, DMatrix::zeros(1, 1), DVector::zeros(1)).is_err());
}

/// A sum over ranks that are threads: all deposit their term, and add the terms in the order of the
/// ranks.
struct Ranks {
    rank: usize,
    parts: Arc<Mutex<Vec<Vec<f64>>>>,
    barrier: Arc<Barrier>,
}

impl Ranks {
    fn group(count: usize) -> Vec<Self> {
        let (parts, barrier) = (
            Arc::new(Mutex::new(vec![Vec::new(); count])),
            Arc::new(Barrier::new(count)),
        );
        (0..count)
            .map(|rank| Self {
                rank,
                parts: parts.clone(),
                barrier: barrier.clone(),
            })
            .collect()
    }
}

impl AllReduce<f64> for Ranks {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.parts.lock().unwrap().len()
    }
    fn sum(&mut self, x: &mut [f64]) {
        self.parts.lock().unwrap()[self.rank] = x.to_vec();
        self.barrier.wait();
        x.fill(0.0);
        for part in self.parts.lock().unwrap().iter() {
            x.iter_mut().zip(part).for_each(|(x, part)| *x += part);
        }
        self.barrier.wait();
    }
}

/// Two ranks, each with half of the particles, give the run of one rank, for the adaptive method as
/// well.
#[test]
fn two_ranks_agree_with_one() {
    let whole = EmpiricalMeasure::weighted(
        DMatrix::from_fn(3, 7, |l, i| ((3 * i + l) as f64).sin()),
        DVector::from_fn(7, |i, _| [0.1, 0.2, 0.0, 0.3][i % 4]),
    )
    .unwrap();
    let part = |range: std::ops::Range<usize>| {
        let (start, len) = (range.start, range.len());
        EmpiricalMeasure::weighted(
            whole.points().columns(start, len).into_owned(),
            DVector::from_fn(len, |i, _| whole.weight(start + i)),
        )
        .unwrap()
    };
    let energy = || {
        let x = DMatrix::from_fn(2, 13, |l, j| ((2 * j + l) as f64 * 1.7).cos());
        let y = DVector::from_fn(13, |j, _| (j as f64).sin());
        let risk = EmpiricalRisk::new(Square, x, y).unwrap();
        MeanFieldRisk::new(Ridge::new(Tanh, 2), risk)
            .unwrap()
            .regularized(WeightDecay::new(0.01).unwrap())
    };
    type Method = fn() -> Box<dyn Integrator<f64>>;
    let methods: [Method; 4] = [
        || Box::new(Euler),
        || Box::new(Rk4),
        || Box::new(DormandPrince::new(1e-8, 1e-10)),
        || Box::new(Bounded { stride: 0.01 }),
    ];
    for method in methods {
        let go = |energy: &mut dyn Energy<f64>, mu: EmpiricalMeasure<f64>| {
            let mut flow = ParticleFlow::new(energy, method(), 0.05).unwrap();
            let mut state = flow.start(mu).unwrap();
            flow.run_until(&mut state, 3.0, &mut ()).unwrap();
            state
        };
        let single = go(&mut energy(), whole.clone());
        let states: Vec<State<f64>> = std::thread::scope(|scope| {
            let ranks = Ranks::group(2).into_iter().zip([part(0..4), part(4..7)]);
            let threads: Vec<_> = ranks
                .map(|(ranks, mu)| scope.spawn(move || go(&mut energy().distributed(ranks), mu)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (state, first) in states.iter().zip([0, 4]) {
            // Error estimates are differences near rounding level, so adaptive steps differ in some
            // digits.
            let close = |a: f64, b: f64| (a - b).abs() < 1e-7 * (1.0 + b.abs());
            // All ranks have the same scalars, bit for bit, and hence take the same steps.
            assert_eq!(
                (state.energy(), state.dissipation()),
                (states[0].energy(), states[0].dissipation())
            );
            assert_eq!(
                (state.time(), state.step()),
                (states[0].time(), states[0].step())
            );
            assert!(
                close(state.energy(), single.energy())
                    && close(state.dissipation(), single.dissipation())
            );
            assert_eq!((state.time(), state.step()), (3.0, single.step()));
            for i in 0..state.measure().len() {
                for (w, v) in state
                    .measure()
                    .particle(i)
                    .iter()
                    .zip(single.measure().particle(first + i))
                {
                    assert!(close(*w, *v), "particle {}: {w} and {v}", first + i);
                }
            }
        }
    }
}

/// The two-step method of Adams and Bashforth with variable steps, of order 2: the previous velocity
/// and step are in the memory of the state, and the first step is one of Euler.
struct AdamsBashforth;

impl<T: Real> Integrator<T> for AdamsBashforth {
    fn order(&self) -> u32 {
        2
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let v = state.velocity().clone();
        let memory = state.memory_mut();
        let previous_dt = memory.scalars.first().copied();
        let previous = memory.field(0, v.shape());
        let half_ratio = previous_dt.map_or(T::zero(), |previous| dt / previous * real(0.5));
        let direction = &v * (T::one() + half_ratio) - &*previous * half_ratio;
        previous.copy_from(&v);
        memory.scalars = vec![dt];
        state.measure_mut().displace(dt, &direction);
        Ok(Step::new(dt))
    }
}

wasserflow::integrator_laws!(adams_bashforth: AdamsBashforth);
