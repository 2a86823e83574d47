//! The update of explicit methods: the equations of a step, at all shapes and on any number of
//! threads, and the scalars that are summed with it.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::state::StateParts;

type Network<T> = MeanFieldRisk<Ridge<Tanh>, EmpiricalRisk<Square, T>, T>;

/// A constructor of an integrator.
type Make = fn() -> Box<dyn Integrator<f64>>;

fn number<T: Real>(a: usize, b: usize) -> T {
    real(((3 * a + 7 * b + 1) as f64).sin())
}

/// A network of m neurons with d inputs on n samples, and its evaluated state; the weights differ,
/// and one is 0.
fn start<T: Real>([n, d, m]: [usize; 3]) -> (Network<T>, State<T>) {
    let (x, y) = (
        DMatrix::from_fn(d, n, number),
        DVector::from_fn(n, |j, _| number(j, 5)),
    );
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let mut energy = MeanFieldRisk::new(Ridge::new(Tanh, d), risk).unwrap();
    let weights = DVector::from_fn(m, |i, _| real((i % 5) as f64 / m as f64));
    let mu = EmpiricalMeasure::weighted(DMatrix::from_fn(1 + d, m, number), weights).unwrap();
    let mut state = State::new(mu);
    state.evaluate(&mut energy);
    (energy, state)
}

/// `sum_i c_i |u_i|^2` by the definition, in `f64`.
fn norm<T: Real>(mu: &EmpiricalMeasure<T>, u: &DMatrix<T>) -> f64 {
    let number = |x: T| x.to_f64().unwrap();
    let squares = u
        .column_iter()
        .map(|u| u.iter().map(|&u| number(u).powi(2)).sum::<f64>());
    squares
        .zip(mu.weights())
        .map(|(square, &c)| number(c) * square)
        .sum()
}

fn euler<T: Real>(shape: [usize; 3]) {
    let (mut energy, before) = start::<T>(shape);
    let mut flow = ParticleFlow::new(&mut energy, Euler, real(0.1)).unwrap();
    let mut state = before.clone();
    let eps = T::default_epsilon().to_f64().unwrap();
    for step in 0..3 {
        let (w, v) = (state.measure().points().clone(), state.velocity().clone());
        let (found, expected) = (
            state.dissipation().to_f64().unwrap(),
            norm(state.measure(), &v),
        );
        let bound = 64.0 * eps * expected;
        assert!(
            (found - expected).abs() <= bound,
            "{shape:?}: {found} {expected}"
        );
        flow.advance(&mut state).unwrap();
        let moved = w.zip_map(&v, |w, v| w + real::<T>(0.1) * v);
        assert_eq!(state.measure().points(), &moved, "{shape:?}, step {step}");
        assert_eq!(state.measure().weights(), before.measure().weights());
        assert!(
            state.velocity() != &v,
            "the velocity is that of the new points"
        );
    }
}

#[test]
fn a_step_of_euler_moves_by_the_velocity() {
    for d in [1, 2, 7, 15, 16, 31, 33, 63, 64, 65, 130] {
        for m in [1, 2, 9, 40] {
            euler::<f32>([3, d, m]);
            euler::<f64>([3, d, m]);
        }
    }
    // Blocks of particles: 131072 coordinates and more.
    euler::<f32>([2, 130, 1001]);
    euler::<f64>([2, 2, 43700]);
}

/// Two states have the same bits after steps of each method on any number of threads, also if the
/// particles are divided into blocks.
fn threads<T: Real>(shape: [usize; 3]) {
    let run = |threads: usize| -> Vec<StateParts<T>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let methods: [Box<dyn Integrator<T>>; 4] = [
                Box::new(Euler),
                Box::new(Heun),
                Box::new(DormandPrince::new(1e-2, 1e-2)),
                Box::new(HeavyBall::new(1.0).unwrap()),
            ];
            let parts = |method| {
                let (energy, mut state) = start::<T>(shape);
                let mut flow = ParticleFlow::new(energy, method, real(0.1)).unwrap();
                flow.run(&mut state, 3, &mut ()).unwrap();
                state.into_parts()
            };
            methods.into_iter().map(parts).collect()
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(5) == one, "{shape:?}");
}

#[test]
fn steps_on_any_number_of_threads() {
    threads::<f32>([40, 130, 1003]);
    threads::<f64>([40, 130, 1003]);
    threads::<f64>([5, 2, 43691]);
}

/// An energy that is NaN after some velocities.
struct Failing<E>(E, usize);

impl<T: Real, E: Energy<T>> Energy<T> for Failing<E> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.0.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        let value = self.0.velocity(mu, out);
        let Some(left) = self.1.checked_sub(1) else {
            out.fill(real(f64::NAN));
            return real(f64::NAN);
        };
        self.1 = left;
        value
    }
}

#[test]
fn a_failed_step_leaves_points_velocities_and_memory() {
    let methods: [Make; 5] = [
        || Box::new(Euler),
        || Box::new(Heun),
        || Box::new(Rk4),
        || Box::new(HeavyBall::new(1.0).unwrap()),
        || Box::new(Langevin::new(0.1, 3).unwrap()),
    ];
    for method in methods {
        for velocities in 0..9 {
            let (energy, mut state) = start::<f64>([4, 3, 5]);
            let mut flow = ParticleFlow::new(Failing(energy, velocities), method(), 0.1).unwrap();
            let mut last = state.to_parts();
            while flow.advance(&mut state).is_ok() {
                last = state.to_parts();
            }
            assert_eq!(state.to_parts(), last);
            assert!(flow.advance(&mut state).is_err());
            assert_eq!(state.to_parts(), last, "also after a second failure");
            flow.energy_mut().1 = usize::MAX;
            flow.run(&mut state, 3, &mut ()).unwrap();
            assert_eq!(state.step(), last.step + 3);
        }
    }
}

/// A user-defined integrator with the required methods only.
struct Wrapped(Box<dyn Integrator<f64>>);

impl Integrator<f64> for Wrapped {
    fn order(&self) -> u32 {
        self.0.order()
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        self.0.step(energy, state, dt)
    }
}

const METHODS: [Make; 10] = [
    || Box::new(Euler),
    || Box::new(Heun),
    || Box::new(Rk4),
    || Box::new(DormandPrince::new(1e-3, 1e-3)),
    || Box::new(HeavyBall::new(1.0).unwrap()),
    || Box::new(Langevin::new(0.1, 3).unwrap()),
    || Box::new(KineticLangevin::new(0.5, 0.1, 3).unwrap()),
    || Box::new(Conic::new(1.0, 1.0)),
    || Box::new(BirthDeath::new(1.0, 1.0)),
    || Box::new(Jko::default()),
];

/// A flow with an integrator that delegates `step` alone has the states of the method itself.
#[test]
fn a_user_defined_integrator_that_delegates_steps() {
    for (index, method) in METHODS.into_iter().enumerate() {
        for shape in [[1, 1, 1], [7, 3, 9], [40, 17, 33]] {
            let run = |method: Box<dyn Integrator<f64>>| {
                let (energy, mut state) = start::<f64>(shape);
                let mut flow = ParticleFlow::new(energy, method, 0.02).unwrap();
                flow.run(&mut state, 4, &mut ()).unwrap();
                state.into_parts()
            };
            let wrapped = run(Box::new(Wrapped(method())));
            assert!(run(method()) == wrapped, "method {index}, {shape:?}");
        }
    }
}

/// `step_from` of a state that is not evaluated, or that was modified after its evaluation, is the
/// step of its measure.
#[test]
fn a_step_from_a_stale_state_evaluates_it() {
    for (index, method) in METHODS.into_iter().enumerate() {
        let (mut energy, evaluated) = start::<f64>([7, 3, 9]);
        let mut modified = evaluated.clone();
        modified.measure_mut().points_mut()[0] += 0.5;
        for before in [State::new(evaluated.into_measure()), modified] {
            let mut results = [before.clone(), start::<f64>([2, 1, 4]).1];
            let step = method().step(&mut energy, &mut results[0], 0.02).unwrap();
            let from = method().step_from(&mut energy, &before, &mut results[1], 0.02);
            assert_eq!(from.unwrap(), step, "method {index}");
            for state in &mut results {
                state.evaluate(&mut energy);
            }
            let [a, b] = results.map(State::into_parts);
            assert!(a == b, "method {index}");
        }
    }
}
