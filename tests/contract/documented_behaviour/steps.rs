//! Steps and runs: orders, evaluations, the control of the step size, observers.

use std::cell::Cell;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

#[test]
fn orders() {
    fn of(integrator: &dyn Integrator<f64>) -> u32 {
        integrator.order()
    }
    let (dormand_prince, jko, conic, ball) = (
        DormandPrince::default(),
        Jko::default(),
        Conic::new(1.0, 1.0),
        HeavyBall::new(1.0).unwrap(),
    );
    let plain = [
        Euler.order(),
        Heun.order(),
        Rk4.order(),
        dormand_prince.order(),
        jko.order(),
        conic.order(),
        ball.order(),
    ];
    assert_eq!(plain, [1, 2, 4, 5, 1, 1, 2]);
    assert_eq!(
        [
            of(&Euler),
            of(&Heun),
            of(&Rk4),
            of(&dormand_prince),
            of(&jko),
            of(&conic),
            of(&ball)
        ],
        plain
    );
}

/// `F(mu) = int w^2 / 2 dmu` on the line, so `dw/dt = -w`; beyond `wall` it is infinite, with the
/// same velocities.
struct Decay<'a> {
    wall: f64,
    evaluations: &'a Cell<usize>,
}

impl Energy<f64> for Decay<'_> {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        if mu.points().amin() < self.wall {
            f64::INFINITY
        } else {
            0.5 * mu.second_moment()
        }
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        self.evaluations.set(self.evaluations.get() + 1);
        out.copy_from(&-mu.points());
        self.value(mu)
    }
}

fn at_one() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap()
}

/// The start and every step evaluate the velocity as often as documented.
#[test]
fn evaluations_a_step() {
    let methods: [(Box<dyn Integrator<f64>>, usize); 5] = [
        (Box::new(Euler), 1),
        (Box::new(HeavyBall::new(1.0).unwrap()), 1),
        (Box::new(Heun), 2),
        (Box::new(Rk4), 4),
        (Box::new(DormandPrince::new(1e-2, 1e-2)), 6),
    ];
    for (method, expected) in methods {
        let evaluations = Cell::new(0);
        let mut flow = ParticleFlow::new(
            Decay {
                wall: -1.0,
                evaluations: &evaluations,
            },
            method,
            0.01,
        )
        .unwrap();
        let mut state = flow.start(at_one()).unwrap();
        flow.run(&mut state, 10, &mut ()).unwrap();
        assert_eq!(evaluations.get(), 1 + 10 * expected);
    }
}

/// The step control on `dw/dt = -w`, for which the difference of the two methods is `w` times a
/// polynomial in `z = -dt`, `(-97 z^5 + 39 z^6 - 5 z^7) / 120000`.
#[test]
fn the_adaptive_step_is_controlled_by_proportion_and_integral() {
    let error = |w: f64, dt: f64, rtol: f64| {
        let z = -dt;
        (w * (-97.0 * z.powi(5) + 39.0 * z.powi(6) - 5.0 * z.powi(7)) / 120_000.0).abs()
            / (rtol * w)
    };
    let evaluations = Cell::new(0);
    let close = |found: f64, expected: f64| {
        assert!(
            (found / expected - 1.0).abs() < 1e-6,
            "{found} and {expected}"
        )
    };
    let flow = |rtol, dt| {
        ParticleFlow::new(
            Decay {
                wall: -9.0,
                evaluations: &evaluations,
            },
            DormandPrince::new(rtol, 0.0),
            dt,
        )
    };

    // Two accepted steps: the second uses the error of the first.
    let (rtol, dt) = (1e-6, 0.2);
    let mut flow_fine = flow(rtol, dt).unwrap();
    let mut state = flow_fine.start(at_one()).unwrap();
    let step = flow_fine.advance(&mut state).unwrap();
    let first = error(1.0, dt, rtol);
    assert!(step.taken == dt && first < 1.0);
    let second_dt = step.next.unwrap();
    close(second_dt, dt * 0.9 * first.powf(-0.17));
    let w = state.measure().particle(0)[0];
    let step = flow_fine.advance(&mut state).unwrap();
    assert_eq!(step.taken, second_dt);
    close(
        step.next.unwrap(),
        second_dt * 0.9 * error(w, second_dt, rtol).powf(-0.17) * first.powf(0.04),
    );

    // A step that is refused once and then does not grow.
    let (rtol, dt) = (1e-8, 0.2);
    let mut flow_refused = flow(rtol, dt).unwrap();
    let mut state = flow_refused.start(at_one()).unwrap();
    let step = flow_refused.advance(&mut state).unwrap();
    let factor = 0.9 * error(1.0, dt, rtol).powf(-0.2);
    assert!(factor > 0.2 && factor < 0.5);
    close(step.taken, factor * dt);
    close(
        step.next.unwrap(),
        step.taken * (0.9 * error(1.0, step.taken, rtol).powf(-0.17)).min(1.0),
    );
}

/// A step to infinite energy is refused, even if the velocities are finite.
#[test]
fn an_infinite_energy_refuses_the_step() {
    let evaluations = Cell::new(0);
    let energy = Decay {
        wall: 0.5,
        evaluations: &evaluations,
    };
    let mut flow = ParticleFlow::new(energy, DormandPrince::new(1.0, 1e3), 1.0).unwrap();
    let mut state = flow.start(at_one()).unwrap();
    let step = flow.advance(&mut state).unwrap();
    assert!(
        step.taken < 0.7 && state.energy().is_finite(),
        "{} {}",
        step.taken,
        state.energy()
    );
}

#[test]
fn equal_tolerances_are_valid() {
    assert_eq!(
        Integrator::<f64>::check(&DormandPrince::new(1e-6, 1e-6)),
        Ok(())
    );
    assert!(Integrator::<f64>::check(&DormandPrince::new(0.0, 0.0)).is_err());
}

/// Tuples and vectors call every observer and return the first reason.
#[test]
fn observers_in_tuples_and_vectors() {
    let stop = |at: usize, reason: StopReason| {
        move |state: &State<f64>| match state.step() >= at {
            true => std::ops::ControlFlow::Break(reason),
            false => std::ops::ControlFlow::Continue(()),
        }
    };
    let run = |observer: &mut dyn Observer<f64>| {
        let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
        let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
        let start = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
        let mut state = flow.start(start).unwrap();
        let reason = flow.run(&mut state, 20, observer).unwrap();
        (reason, state.step())
    };
    let first = || observe::from_fn(stop(5, StopReason::Target));
    let second = || observe::from_fn(stop(5, StopReason::Requested));
    let mut counts = [0; 2];
    let [one, two] = &mut counts;
    let mut count_one = observe::from_fn(|_: &State<f64>| {
        *one += 1;
        std::ops::ControlFlow::Continue(())
    });
    let mut tuple = (&mut count_one, (), first(), second(), (), (), (), ());
    assert_eq!(run(&mut tuple), (StopReason::Target, 5));
    let count_two = observe::from_fn(|_: &State<f64>| {
        *two += 1;
        std::ops::ControlFlow::Continue(())
    });
    let mut list: Vec<Box<dyn Observer<f64> + '_>> =
        vec![Box::new(second()), Box::new(first()), Box::new(count_two)];
    assert_eq!(run(&mut list), (StopReason::Requested, 5));
    drop(list);
    assert_eq!(
        counts,
        [6, 6],
        "an observer after the first reason is called, too"
    );
    let none: &mut Vec<Box<dyn Observer<f64>>> = &mut Vec::new();
    assert_eq!(run(none), (StopReason::Steps, 20));
}
