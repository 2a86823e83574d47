//! States, integrators, observers and flows.

use std::ops::ControlFlow;

use indicatif::{InMemoryTerm, ProgressBar, ProgressDrawTarget};
use nalgebra::{DMatrix, DVector};
use wasserflow::integrator::from_fn;
use wasserflow::observe::{
    self, Average, Every, LogSpaced, Progress, Snapshots, Trace, UntilStationary, UntilTarget,
    UntilValidation,
};
use wasserflow::optimality::Search;
use wasserflow::prelude::*;
use wasserflow::sparse::{
    run_and_correct, run_and_correct_with, run_until_optimal, run_until_optimal_with,
};
use wasserflow::transport::MetricSpeed;

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, PLANTED, Suite};

pub fn calls(suite: &Suite<'_>) {
    parameters(suite);
    observers::<f64>(suite);
    states::<f32>(suite);
    states::<f64>(suite);
    steps::<f32>(suite);
    steps::<f64>(suite);
    schedules::<f32>(suite);
    schedules::<f64>(suite);
    flows::<f32>(suite);
    flows::<f64>(suite);
    panicking_parts(suite);
}

fn integrators<T: Real>() -> Vec<Box<dyn Integrator<T>>> {
    vec![
        Box::new(Euler),
        Box::new(Heun),
        Box::new(Rk4),
        Box::new(DormandPrince::default()),
        Box::new(Conic::new(0.5, 0.5)),
        Box::new(Jko::default()),
        Box::new(HeavyBall::new(0.5).unwrap()),
    ]
}

type Network<T> = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, T>, T, WeightDecay<T>>;

fn network<T: Real>(scale: f64) -> Network<T> {
    let x = DMatrix::from_fn(2, 3, |l, j| real::<T>(scale * ((l + 2 * j) as f64 - 2.0)));
    let y = DVector::from_fn(3, |j, _| real::<T>(j as f64 - 1.0));
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let decay = WeightDecay::new(real(0.01)).unwrap();
    MeanFieldRisk::new(Ridge::new(Relu, 2), risk)
        .unwrap()
        .regularized(decay)
}

fn parameters(suite: &Suite<'_>) {
    for a in NUMBERS {
        for b in NUMBERS {
            let conic = suite
                .call("Conic::new", (a, b), || Conic::new(a, b))
                .unwrap();
            let adaptive = suite.call("DormandPrince::new", (a, b), || DormandPrince::new(a, b));
            checked::<f32>(suite, conic, (a, b));
            if let Some(adaptive) = adaptive {
                checked::<f32>(suite, adaptive, (a, b));
                checked::<f64>(suite, adaptive, (a, b));
            }
        }
        for iterations in COUNTS {
            let jko = suite
                .call("Jko::new", (a, iterations), || Jko::new(a, iterations))
                .unwrap();
            checked::<f64>(suite, jko, (a, iterations));
        }
        suite.call("Step::new", a, || Step::new(a));
        if let Some(Ok(ball)) = suite.call("HeavyBall::new", a, || HeavyBall::new(a)) {
            suite.call("HeavyBall::friction", a, || ball.friction());
            checked::<f32>(suite, ball, a);
            checked::<f64>(suite, ball, a);
        }
    }
    suite.call("HeavyBall::order", (), || {
        HeavyBall::new(1.0).map(|ball| ball.order())
    });
    suite.call("Conic::order", (), || Conic::new(1.0, 1.0).order());
    suite.call("Jko::order", (), || Jko::default().order());
    suite.call("DormandPrince::order", (), || {
        DormandPrince::default().order()
    });
    suite.call("Euler::order", (), || Euler.order());
    suite.call("Heun::order", (), || Heun.order());
    suite.call("Rk4::order", (), || Rk4.order());
    for mut integrator in integrators::<f64>() {
        suite.call("Integrator::order", (), || integrator.order());
        checked(suite, &mut integrator, 0);
    }
}

/// What `check` refuses, `ParticleFlow::new` refuses.
fn checked<T: Real>(suite: &Suite<'_>, integrator: impl Integrator<T>, at: impl std::fmt::Debug) {
    let valid = suite.call("Integrator::check", &at, || integrator.check());
    let accepted = ParticleFlow::new(network::<T>(1.0), integrator, T::one()).is_ok();
    let agree = valid.is_some_and(|valid| valid.is_ok() == accepted);
    suite.check(agree, "the flow checks its integrator", &at);
}

fn states<T: Real>(suite: &Suite<'_>) {
    for p in [3, 2] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
            .step_by(3)
        {
            let at = (p, mu.len(), mu.points().as_slice()[0]);
            let state = suite.call("State::new", at, || State::new(mu.clone()));
            let Some(mut state) = state else { continue };
            suite.call("State::measure", at, || state.measure().len());
            suite.call("State::velocity", at, || state.velocity().len());
            suite.call("State::energy", at, || state.energy());
            suite.call("State::dissipation", at, || state.dissipation());
            suite.call("State::slope", at, || state.slope());
            suite.call("Jko::residual", at, || Jko::residual(&state));
            let ball = HeavyBall::new(1.0).unwrap();
            suite.call("HeavyBall::momentum", at, || ball.momentum(&state));
            suite.call("State::time", at, || state.time());
            suite.call("State::step", at, || state.step());
            suite.call("State::next", at, || state.next());
            suite.call("State::is_stale", at, || state.is_stale());
            suite.call("State::evaluate", at, || {
                state.evaluate(&mut network::<T>(1.0))
            });
            suite.call("State::dissipation", at, || state.dissipation());
            suite.call("State::split_mut", at, || state.split_mut().1.len());
            suite.call("State::measure_mut", at, || state.measure_mut().len());
            suite.call("State::invalidate", at, || state.invalidate());
            suite.call("State::reset_control", at, || state.reset_control());
            suite.call("State::memory", at, || state.memory().clone());
            for (index, rows, columns) in [(0, p, mu.len()), (1, 0, 0), (5, 1, 1), (0, 2, 2)] {
                suite.call("State::memory_mut", at, || {
                    state.memory_mut().field(index, (rows, columns)).len()
                });
                suite.call("Memory::field", (index, rows, columns), || {
                    state.memory_mut().field(index, (rows, columns)).len()
                });
                state.memory_mut().scalars = vec![real(f64::NAN)]; // of another method
                suite.call("HeavyBall::momentum", at, || ball.momentum(&state));
            }
            suite.call("State::into_measure", at, || state.into_measure().len());
        }
    }
    let mut state = State::new(EmpiricalMeasure::uniform(DMatrix::<T>::zeros(3, 2)).unwrap());
    for shape in [(usize::MAX, 2), (1 << 62, 4), (1 << 32, 1 << 32)] {
        suite.call("Memory::field", shape, || {
            state.memory_mut().field(0, shape).len()
        });
    }
}

fn steps<T: Real>(suite: &Suite<'_>) {
    for (index, mut integrator) in integrators::<T>().into_iter().enumerate() {
        for p in [3, 2, 4] {
            let measures = extreme_measures::<T>(p).into_iter().step_by(11);
            for mu in measures.chain(invalid_measures(p)) {
                for dt in NUMBERS.map(real::<T>) {
                    let at = (index, p, mu.points().as_slice()[0], mu.weight(0), dt);
                    let mut energy = network::<T>(1.0);
                    let mut state = State::new(mu.clone());
                    suite.call("Integrator::step", at, || {
                        integrator.step(&mut energy, &mut state, dt)
                    });
                    let mut before = State::new(mu.clone());
                    suite.call("Integrator::step_from", at, || {
                        before.evaluate(&mut energy);
                        integrator.step_from(&mut energy, &before, &mut state, dt)
                    });
                }
            }
        }
    }
    for mu in extreme_measures::<T>(3)
        .into_iter()
        .chain(invalid_measures(3))
        .step_by(5)
    {
        for iterations in [0, 1, 50] {
            let at = (mu.points().as_slice()[0], mu.weight(0), iterations);
            let mut state = State::new(mu.clone());
            suite.call("integrator::polish", at, || {
                polish(&mut network::<T>(1.0), &mut state, iterations)
            });
        }
    }
}

fn schedules<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS.map(real::<T>) {
        for y in NUMBERS.map(real::<T>) {
            let at = (x, y);
            let valid = |x: T| x > T::zero() && x.is_finite();
            let schedule = suite.call("InverseSqrt::in_steps", at, || InverseSqrt::in_steps(x, y));
            schedule_of(suite, schedule.and_then(Result::ok), at);
            let schedule = suite.call("InverseSqrt::in_time", at, || InverseSqrt::in_time(x, y));
            schedule_of(suite, schedule.and_then(Result::ok), at);
            for steps in COUNTS {
                let schedule = suite.call("Cosine::new", (at, steps), || Cosine::new(x, y, steps));
                let schedule = schedule.and_then(Result::ok);
                suite.check(
                    schedule.is_some() == (valid(x) && valid(y)),
                    "positive sizes",
                    at,
                );
                schedule_of(suite, schedule, (at, steps));
                let changes = vec![(steps, x), (3, y)];
                let schedule =
                    suite.call("Piecewise::new", (at, steps), || Piecewise::new(x, changes));
                schedule_of(suite, schedule.and_then(Result::ok), (at, steps));
            }
        }
        let constant = suite.call("Constant::new", x, || Constant::new(x));
        schedule_of(suite, constant.and_then(Result::ok), x);
        for steps in COUNTS {
            let closure = suite.call("integrator::from_fn", (x, steps), || from_fn(move |_, _| x));
            let schedule = suite.call("WarmUp::new", (x, steps), || {
                WarmUp::new(steps, closure.unwrap())
            });
            schedule_of(suite, schedule, (x, steps));
        }
        let flow = suite.call("ParticleFlow::scheduled", x, || {
            ParticleFlow::scheduled(network::<T>(1.0), Euler, from_fn(move |_, _| x))
        });
        let valid = x > T::zero() && x.is_finite();
        suite.check(flow.is_some_and(|flow| flow.is_ok() == valid), "dt > 0", x);
    }
}

/// A schedule at any step and time.
fn schedule_of<T: Real>(
    suite: &Suite<'_>,
    schedule: Option<impl Schedule<T>>,
    at: impl std::fmt::Debug,
) {
    let Some(schedule) = schedule else { return };
    for step in COUNTS {
        for time in NUMBERS.map(real::<T>) {
            suite.call("Schedule::step_size", (&at, step, time), || {
                schedule.step_size(step, time)
            });
        }
    }
}

fn flows<T: Real>(suite: &Suite<'_>) {
    for dt in NUMBERS.map(real::<T>) {
        let flow = suite.call("ParticleFlow::new", dt, || {
            ParticleFlow::new(network::<T>(1.0), Euler, dt)
        });
        let valid = dt > T::zero() && dt.is_finite();
        suite.check(
            flow.is_some_and(|flow| flow.is_ok() == valid),
            "dt > 0 and finite",
            dt,
        );
        let mut flow = ParticleFlow::new(network::<T>(1.0), Euler, T::one()).unwrap();
        suite.call("ParticleFlow::set_dt", dt, || flow.set_dt(dt));
    }
    for (index, scale) in [(0, 1.0), (1, 1e-18), (2, 1e18)] {
        for (which, _) in integrators::<T>().iter().enumerate() {
            for p in [3, 2] {
                let measures = extreme_measures::<T>(p).into_iter().step_by(7);
                for mu in measures.chain(invalid_measures(p)) {
                    let integrator = integrators::<T>().swap_remove(which);
                    let at = (index, which, p, mu.points().as_slice()[0], mu.weight(0));
                    flow(
                        suite,
                        at,
                        ParticleFlow::new(network::<T>(scale), integrator, real(0.01)),
                        mu,
                    );
                }
            }
        }
    }
    let flow = ParticleFlow::new(network::<T>(1.0), Euler, T::one()).unwrap();
    suite.call("ParticleFlow::energy", (), || {
        flow.energy().potential().lambda()
    });
    suite.call("ParticleFlow::integrator", (), || flow.integrator().order());
    suite.call("ParticleFlow::into_energy", (), || {
        flow.into_energy().risk().inputs().len()
    });
}

type At<T> = (usize, usize, usize, T, T);
type Flow<T> = ParticleFlow<Network<T>, Box<dyn Integrator<T>>, T>;

fn flow<T: Real>(
    suite: &Suite<'_>,
    at: At<T>,
    flow: Result<Flow<T>, ParameterError>,
    mu: EmpiricalMeasure<T>,
) {
    let mut flow = flow.unwrap();
    suite.call("ParticleFlow::value", at, || flow.value(&mu));
    let started = suite.call("ParticleFlow::start", at, || flow.start(mu.clone()));
    let state = match started {
        Some(Ok(state)) => state,
        _ => State::new(mu), // as a user may who does not call `start`
    };
    let finite = |state: &State<T>| state.measure().check().is_ok() && !state.is_stale();
    for steps in [0, 1, 4] {
        let mut state = state.clone();
        let result = suite.call("ParticleFlow::run", (at, steps), || {
            flow.run(&mut state, steps, &mut ())
        });
        if matches!(result, Some(Ok(_))) {
            suite.check(finite(&state), "a finite state", (at, steps));
        }
    }
    let mut advanced = state.clone();
    suite.call("ParticleFlow::advance", at, || flow.advance(&mut advanced));
    for time in NUMBERS.map(real::<T>) {
        // At most 100 steps.
        let mut left = 100;
        let mut observer = observe::from_fn(|_: &State<T>| {
            left -= 1;
            if left == 0 {
                ControlFlow::Break(StopReason::Requested)
            } else {
                ControlFlow::Continue(())
            }
        });
        let mut state = state.clone();
        suite.call("ParticleFlow::run_until", (at, time), || {
            flow.run_until(&mut state, time, &mut observer)
        });
    }
    for (gap, every) in [
        (0.0, 1),
        (1e-3, 0),
        (-1.0, 1),
        (f64::NAN, 1),
        (f64::INFINITY, 2),
    ] {
        suite.call("sparse::run_until_optimal", (at, gap, every), || {
            run_until_optimal(&mut flow, &mut state.clone(), real(gap), every, 3)
        });
        suite.call("sparse::run_and_correct", (at, gap, every), || {
            run_and_correct(&mut flow, &mut state.clone(), real(gap), every, 3)
        });
        suite.call("sparse::run_and_correct_with", (at, gap, every), || {
            let (search, state) = (&mut Search::new(), &mut state.clone());
            run_and_correct_with(search, &mut flow, state, real(gap), every, 3)
        });
        suite.call("sparse::run_until_optimal_with", (at, gap, every), || {
            let (search, state) = (&mut Search::new(), &mut state.clone());
            run_until_optimal_with(search, &mut flow, state, real(gap), every, 3)
        });
    }
    // Another energy by `energy_mut`.
    let wider = || {
        let risk = EmpiricalRisk::new(
            Square,
            DMatrix::from_element(3, 2, T::one()),
            DVector::zeros(2),
        );
        risk.unwrap()
    };
    suite.call("ParticleFlow::energy_mut", at, || {
        *flow.energy_mut().risk_mut() = wider()
    });
    let mut state = state.clone();
    let result = suite.call("ParticleFlow::advance", (at, "risk"), || {
        flow.advance(&mut state)
    });
    suite.check(
        matches!(result, Some(Err(_))),
        "a risk of other inputs is refused",
        at,
    );
}

fn observers<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS.map(real::<T>) {
        suite.call("UntilStationary::new", x, || UntilStationary::new(x));
        suite.call("UntilTarget::new", x, || UntilTarget::new(x));
        suite.call("UntilRising::new", x, || observe::UntilRising::new(x));
    }
    for x in NUMBERS {
        let spaced = suite.call("LogSpaced::new", x, || LogSpaced::new(x, Trace::<T>::new()));
        if let Some(Ok(spaced)) = spaced {
            observer::<T>(suite, &mut spaced.clone());
            suite.call("LogSpaced::into_inner", x, || spaced.into_inner());
        }
    }
    for period in COUNTS {
        let every = suite.call("Every::new", period, || {
            Every::new(period, Trace::<T>::new())
        });
        if let Some(every) = every {
            observer::<T>(suite, &mut every.clone());
            suite.call("Every::into_inner", period, || every.into_inner());
        }
    }
    let mut trace = suite.call("Trace::new", (), Trace::<T>::new).unwrap();
    observer(suite, &mut trace);
    suite.call("Trace::records", (), || trace.records().len());
    let mut snapshots = suite
        .call("Snapshots::new", (), Snapshots::<T>::new)
        .unwrap();
    observer(suite, &mut snapshots);
    suite.call("Snapshots::taken", (), || snapshots.taken().len());
    suite.call("Snapshots::into_taken", (), || snapshots.into_taken().len());
    let mut speed = suite
        .call("MetricSpeed::new", (), MetricSpeed::<T>::new)
        .unwrap();
    observer(suite, &mut speed);
    suite.call("MetricSpeed::records", (), || speed.records().len());
    observer::<T>(suite, &mut ());
    let average = suite.call("Average::new", (), Average::<T>::new).unwrap();
    observer(suite, &mut average.clone());
    for from in COUNTS {
        let tail = suite.call("Average::tail", from, || Average::<T>::tail(from));
        let mut tail = tail.unwrap();
        observer(suite, &mut tail);
        suite.call("Average::count", from, || tail.count());
        suite.call("Average::measure", from, || tail.measure());
    }
    for period in COUNTS {
        for x in NUMBERS.map(real::<T>) {
            let value = move |mu: &EmpiricalMeasure<T>| x * mu.points()[0];
            let stop = suite.call("UntilValidation::new", (period, x), || {
                UntilValidation::new(period, period, value)
            });
            let mut stop = stop.unwrap();
            observer(suite, &mut stop);
            suite.call("UntilValidation::best", x, || stop.best().is_some());
            suite.call("UntilValidation::best_value", x, || stop.best_value());
            suite.call("UntilValidation::best_step", x, || stop.best_step());
            let parts = suite.call("UntilValidation::to_parts", x, || stop.to_parts());
            let mut parts = parts.unwrap();
            suite.call("UntilValidation::into_best", x, || stop.into_best());
            for count in COUNTS {
                (parts.patience, parts.without, parts.last) = (count, count, Some(count));
                if let Some(best) = &mut parts.best {
                    (best.0, best.1) = (x, period);
                }
                let at = (period, count, x);
                let resumed = suite.call("UntilValidation::from_parts", at, || {
                    UntilValidation::from_parts(parts.clone(), value)
                });
                if let Some(Ok(mut resumed)) = resumed {
                    observer(suite, &mut resumed);
                }
            }
        }
    }
    progress::<T>(suite);
    suite.call("observe::from_fn", (), || {
        observe::from_fn(|_: &State<T>| ControlFlow::Continue(())).observe(&State::new(
            EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, T::one())).unwrap(),
        ))
    });
    for reason in [
        StopReason::Steps,
        StopReason::Stationary,
        StopReason::Requested,
    ] {
        suite.call("StopReason::converged", reason, || reason.converged());
    }
}

fn progress<T: Real>(suite: &Suite<'_>) {
    let bars = [
        ProgressBar::hidden(),
        ProgressBar::with_draw_target(
            Some(u64::MAX),
            ProgressDrawTarget::term_like(Box::new(InMemoryTerm::new(1, 1))),
        ),
    ];
    let shown = |progress: Progress, at: f64| {
        for bar in &bars {
            let bar = bar.clone();
            let progress = suite.call("Progress::with_bar", at, || match at {
                0.0 => Progress::without_end().with_bar(bar),
                at if at < 0.0 => Progress::steps(at.abs() as usize).with_bar(bar),
                at => Progress::until(at).unwrap().with_bar(bar),
            });
            observer::<T>(suite, &mut progress.unwrap());
        }
        observer::<T>(suite, &mut { progress });
    };
    for steps in COUNTS {
        let progress = suite.call("Progress::steps", steps, || Progress::steps(steps));
        shown(progress.unwrap(), -(steps as f64));
    }
    for end in NUMBERS {
        let progress = suite.call("Progress::until", end, || Progress::until(end));
        if let Some(Ok(progress)) = progress {
            shown(progress, end);
        }
    }
    let progress = suite.call("Progress::without_end", (), Progress::without_end);
    shown(progress.unwrap(), 0.0);
}

/// States in any order: stale, of other sizes, invalid.
fn observer<T: Real>(suite: &Suite<'_>, observer: &mut dyn Observer<T>) {
    for p in [2, 3] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
            .step_by(9)
        {
            let at = (p, mu.len(), mu.points().as_slice()[0]);
            let mut state = State::new(mu);
            suite.call("Observer::observe", at, || observer.observe(&state));
            if p == 3 {
                state.evaluate(&mut network::<T>(1.0));
                suite.call("Observer::observe", at, || observer.observe(&state));
            }
        }
    }
}

/// A potential that panics at the given evaluation.
struct Panicking(std::cell::Cell<usize>);

impl Potential<f64> for Panicking {
    fn value(&self, w: &[f64]) -> f64 {
        self.count();
        w.iter().map(|w| w * w).sum()
    }
    fn gradient(&self, w: &[f64], scale: f64, out: &mut [f64]) {
        self.count();
        for (out, w) in out.iter_mut().zip(w) {
            *out += 2.0 * scale * w;
        }
    }
}

impl Panicking {
    fn count(&self) {
        let left = self.0.get();
        assert!(left != 1, "{PLANTED}");
        self.0.set(left.saturating_sub(1));
    }
}

fn panicking_parts(suite: &Suite<'_>) {
    let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 3.0, 4.0]));
    let mu = mu.unwrap();
    for (which, _) in integrators::<f64>().iter().enumerate() {
        for call in 1..60 {
            let energy = PotentialEnergy::new(Panicking(std::cell::Cell::new(0)), 2);
            let integrator = integrators::<f64>().swap_remove(which);
            let mut flow = ParticleFlow::new(energy, integrator, 0.1).unwrap();
            let mut state = flow.start(mu.clone()).unwrap();
            flow.energy().potential().0.set(call);
            let before = (state.measure().clone(), state.time(), state.step());
            let step = suite.call("ParticleFlow::advance", (which, call, PLANTED), || {
                flow.advance(&mut state)
            });
            if step.is_none() {
                let after = (state.measure().clone(), state.time(), state.step());
                suite.check(before == after, "a panic restores the state", (which, call));
                flow.energy().potential().0.set(0);
                let resumed = flow.run(&mut state, 3, &mut ());
                let mut fresh = flow.start(mu.clone()).unwrap();
                let expected = flow.run(&mut fresh, 3, &mut ());
                suite.check(
                    resumed == expected,
                    "the flow goes on",
                    (which, call, &resumed),
                );
                let same = state.measure() == fresh.measure();
                suite.check(same, "as if there had been no panic", (which, call));
            }
        }
    }
}
