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
