//! Ranks: observers, errors and panics of one rank end all of them; certificates, sparse methods and
//! checkpoints of distributed particles; the number of messages.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{Checkpoint, Trace, UntilStationary, from_fn};
use wasserflow::optimality::{Effort, Search, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, merge, prune, reweigh, run_and_correct, run_until_optimal};
use wasserflow::testing::Rank;

type Network<A> = MeanFieldRisk<Ridge<A>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

fn network<A: Activation<f64>>(sigma: A, d: usize, n: usize) -> Network<A> {
    let x = DMatrix::from_fn(d, n, |l, j| ((3 * l + 2 * j + l * j) as f64).sin());
    let y = DVector::from_fn(n, |j, _| (1.7 * j as f64).cos());
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(sigma, d), risk).unwrap();
    energy.regularized(WeightDecay::new(0.01).unwrap())
}

fn whole(p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_fn(p, m, |l, i| ((5 * i + 3 * l + 1) as f64).cos());
    EmpiricalMeasure::uniform(points).unwrap()
}

/// Runs `work` on every rank, in a thread each.
fn on_ranks<X: Send>(size: usize, work: impl Fn(Rank<f64>) -> X + Sync) -> Vec<X> {
    std::thread::scope(|scope| {
        let work = &work;
        let ranks = Rank::group(size).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || work(rank))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// A rank that counts its messages.
struct Counted<R>(R, Arc<AtomicUsize>);

impl<T: Real, R: AllReduce<T>> AllReduce<T> for Counted<R> {
    fn rank(&self) -> usize {
        self.0.rank()
    }
    fn size(&self) -> usize {
        self.0.size()
    }
    fn sum(&mut self, x: &mut [T]) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sum(x);
    }
    fn gather(&mut self, x: &[T]) -> Vec<T> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.gather(x)
    }
}

type Method = fn() -> Box<dyn Integrator<f64>>;

/// Messages of one step: predictions and potential energy together for each velocity, and all
/// scalars of the step together.
#[test]
fn scalars_of_a_step_travel_together() {
    let methods: [(&str, Method, usize); 6] = [
        ("Euler", || Box::new(Euler), 2),
        ("HeavyBall", || Box::new(HeavyBall::new(0.5).unwrap()), 2),
        ("Heun", || Box::new(Heun), 3),
        ("Rk4", || Box::new(Rk4), 5),
        ("Conic", || Box::new(Conic::new(0.1, 1.0)), 3),
        // Six velocities, the second moment at the end, the error, the scalars.
        (
            "DormandPrince",
            || Box::new(DormandPrince::new(1e-3, 1e-3)),
            9,
        ),
    ];
    for (name, method, expected) in methods {
        let counts = on_ranks(2, |rank| {
            let count = Arc::new(AtomicUsize::new(0));
            let mu = whole(3, 5).share(&rank);
            let energy = network(Tanh, 2, 9).distributed(Counted(rank, count.clone()));
            let mut flow = ParticleFlow::new(energy, method(), 1e-3).unwrap();
            let mut state = flow.start(mu).unwrap();
            flow.advance(&mut state).unwrap();
            let steps = |flow: &mut ParticleFlow<_, _, _>, state: &mut State<f64>, steps| {
                let before = count.load(Ordering::Relaxed);
                let mut observer = (Trace::new(), UntilStationary::new(1e-12).unwrap());
                flow.run(state, steps, &mut observer).unwrap();
                count.load(Ordering::Relaxed) - before
            };
            let (one, four) = (
                steps(&mut flow, &mut state, 1),
                steps(&mut flow, &mut state, 4),
            );
            // A run has one message more, on the reason of its end.
            assert_eq!(one, expected + 1, "{name}");
            (four - one) / 3
        });
        assert_eq!(counts, [expected; 2], "{name}");
    }
}

/// If the observer of one rank stops the run, all ranks stop at its state, which is that of one
/// rank.
#[test]
fn any_rank_stops_all() {
    let methods: [Method; 3] = [
        || Box::new(Euler),
        || Box::new(DormandPrince::new(1e-6, 1e-8)),
        || Box::new(Jko::default()),
    ];
    for method in methods {
        for (size, stopping) in [(2, 1), (3, 0), (3, 2)] {
            for last in [0, 3, 5] {
                let reasons = on_ranks(size, |rank| {
                    let (mu, number) = (whole(3, 5).share(&rank), rank.rank());
                    let energy = network(Tanh, 2, 9).distributed(rank);
                    let mut flow = ParticleFlow::new(energy, method(), 0.01).unwrap();
                    let mut state = flow.start(mu).unwrap();
                    let mut seen = 0;
                    let mut observer = from_fn(|state: &State<f64>| {
                        seen += 1;
                        if number == stopping && state.step() == last {
                            return ControlFlow::Break(StopReason::Trapped { gap: 0.1 + 0.2 });
                        }
                        ControlFlow::Continue(())
                    });
                    let reason = flow.run(&mut state, 5, &mut observer).unwrap();
                    assert_eq!((state.step(), seen), (last, last + 1));
                    assert!(!state.is_stale());
                    // All ranks continue.
                    let rest = flow.run(&mut state, 2, &mut ()).unwrap();
                    assert_eq!((rest, state.step()), (StopReason::Steps, last + 2));
                    (reason, state.energy())
                });
                assert_eq!(reasons[0].0, StopReason::Trapped { gap: 0.1 + 0.2 });
                assert!(
                    reasons.iter().all(|other| *other == reasons[0]),
                    "{reasons:?}"
                );
            }
        }
    }
}

/// The state at which a rank stops a run with minibatches has the samples of its step.
#[test]
fn a_stopped_run_resumes_bit_for_bit_with_minibatches() {
    let energy = |rank: Rank<f64>| {
        let Ok(risk) = MinibatchRisk::new(network(Tanh, 2, 9).risk().clone(), 4, 3) else {
            unreachable!("a batch of 4")
        };
        MeanFieldRisk::new(Ridge::new(Tanh, 2), risk)
            .unwrap()
            .distributed(rank)
    };
    let run = |rank: Rank<f64>, stop: bool| {
        let (mu, is_first) = (whole(3, 5).share(&rank), rank.rank() == 0);
        let mut flow = ParticleFlow::new(energy(rank), Euler, 0.05).unwrap();
        let mut state = flow.start(mu).unwrap();
        if stop {
            let mut observer = from_fn(|state: &State<f64>| {
                if is_first && state.step() == 4 {
                    return ControlFlow::Break(StopReason::Requested);
                }
                ControlFlow::Continue(())
            });
            let reason = flow.run(&mut state, 20, &mut observer).unwrap();
            assert_eq!((reason, state.step()), (StopReason::Requested, 4));
            assert!(!state.is_stale());
        } else {
            flow.run(&mut state, 4, &mut ()).unwrap();
        }
        let stopped = state.to_parts();
        flow.run(&mut state, 6, &mut ()).unwrap();
        (stopped, state.to_parts())
    };
    assert_eq!(
        on_ranks(2, |rank| run(rank, true)),
        on_ranks(2, |rank| run(rank, false))
    );
}

/// A method that makes a weight of one rank negative in its third step.
struct Negative(bool);

impl Integrator<f64> for Negative {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        let step = Euler.step(energy, state, dt);
        if self.0 && state.step() == 2 {
            state.measure_mut().weights_mut()[0] = -1.0;
        }
        step
    }
}

#[test]
fn an_invalid_measure_after_a_step_is_an_error_on_all_ranks() {
    for (size, bad) in [(1, 0), (2, 1), (3, 1)] {
        let errors = on_ranks(size, |rank| {
            let (mu, number) = (whole(3, 5).share(&rank), rank.rank());
            let energy = network(Tanh, 2, 9).distributed(rank);
            let mut flow = ParticleFlow::new(energy, Negative(number == bad), 0.01).unwrap();
            let mut state = flow.start(mu).unwrap();
            let error = flow.run(&mut state, 5, &mut ()).unwrap_err();
            assert_eq!(state.step(), 2);
            error
        });
        for (number, error) in errors.into_iter().enumerate() {
            let expected = if number == bad {
                StepError::Measure(MeasureError::Weight {
                    particle: 0,
                    value: -1.0,
                })
            } else {
                StepError::Rank { rank: bad }
            };
            assert_eq!(error, expected);
        }
    }
}

/// A particle of one rank that diverges, and one that becomes NaN, are the same error on all ranks.
#[test]
fn a_result_that_is_not_finite_is_the_same_error_on_all_ranks() {
    for value in [f64::NAN, 1e200] {
        let errors = on_ranks(3, |rank| {
            let (mu, number) = (whole(3, 5).share(&rank), rank.rank());
            let energy = network(Tanh, 2, 9).distributed(rank);
            let mut flow = ParticleFlow::new(energy, Euler, 0.01).unwrap();
            let mut state = flow.start(mu).unwrap();
            flow.run(&mut state, 2, &mut ()).unwrap();
            let mut far = state.clone();
            if number == 2 {
                far.measure_mut().points_mut()[0] = value;
            }
            far.invalidate();
            let error = flow.advance(&mut far).unwrap_err();
            // The others continue as well.
            flow.run(&mut state, 2, &mut ()).unwrap();
            error
        });
        if value.is_nan() {
            assert_eq!(errors[0], StepError::Rank { rank: 2 });
            assert!(matches!(errors[2], StepError::Measure(_)));
        } else {
            assert!(
                errors
                    .iter()
                    .all(|error| matches!(error, StepError::NonFinite { step: 2, .. }))
            );
        }
    }
}

/// An energy that is modified on one rank so that its parts do not fit.
#[test]
fn an_energy_that_one_rank_breaks_is_an_error_on_all_ranks() {
    let errors = on_ranks(2, |rank| {
        let (mu, number) = (whole(3, 5).share(&rank), rank.rank());
        let energy = network(Tanh, 2, 9).distributed(rank);
        let mut flow = ParticleFlow::new(energy, Euler, 0.01).unwrap();
        let mut state = flow.start(mu).unwrap();
        let risk = flow.energy_mut().risk_mut();
        if number == 1 {
            *risk = network(Tanh, 3, 9).risk().clone();
        }
        flow.advance(&mut state).unwrap_err()
    });
    assert_eq!(errors[0], StepError::Rank { rank: 1 });
    assert!(matches!(errors[1], StepError::Shape(_)));
}

/// A rank that panics, or returns early, ends the others, which would wait for it.
#[test]
fn a_rank_that_ends_early_ends_the_others() {
    for panics in [true, false] {
        let ended = on_ranks(3, |rank| {
            let (mu, number) = (whole(3, 6).share(&rank), rank.rank());
            let energy = network(Tanh, 2, 9).distributed(rank);
            let run = move || {
                let mut flow = ParticleFlow::new(energy, Euler, 0.01).unwrap();
                let mut state = flow.start(mu).unwrap();
                let mut observer = from_fn(|state: &State<f64>| {
                    assert!(!panics || number != 1 || state.step() < 3, "a failure");
                    ControlFlow::Continue(())
                });
                let steps = if number == 1 && !panics { 3 } else { 1000 };
                for _ in 0..steps {
                    flow.advance(&mut state).unwrap();
                    let _ = Observer::observe(&mut observer, &state);
                }
                state.step()
            };
            catch_unwind(AssertUnwindSafe(run)).is_err()
        });
        assert_eq!(ended, [true, panics, true]);
    }
}

/// One file of all ranks, from which another number of ranks resumes.
#[test]
fn a_checkpoint_resumes_on_another_number_of_ranks() {
    let name = format!(
        "wasserflow-ranks-contract-{}.safetensors",
        std::process::id()
    );
    let path = std::env::temp_dir().join(name);
    let method = || HeavyBall::new(0.5).unwrap();
    let mut flow = ParticleFlow::new(network(Tanh, 2, 9), method(), 0.05).unwrap();
    let mut serial = flow.start(whole(3, 5)).unwrap();
    flow.run(&mut serial, 12, &mut ()).unwrap();
    for period in [Some(4), None] {
        on_ranks(3, |rank| {
            let mu = whole(3, 5).share(&rank);
            let energy = network(Tanh, 2, 9).distributed(rank.clone());
            let mut flow = ParticleFlow::new(energy, method(), 0.05).unwrap();
            let mut state = flow.start(mu).unwrap();
            let checkpoint = match period {
                Some(steps) => Checkpoint::every_steps(&path, steps),
                None => Checkpoint::every_period(&path, Duration::ZERO),
            };
            let mut checkpoint = checkpoint.unwrap().gathered(rank);
            flow.run(&mut state, 8, &mut checkpoint).unwrap();
            assert!(checkpoint.error().is_none());
        });
        let resumed = Checkpoint::resume::<f64>(&path).unwrap();
        assert_eq!((resumed.step(), resumed.measure().len()), (8, 5));
        for size in [1, 2, 7] {
            let states = on_ranks(size, |mut rank| {
                let energy = network(Tanh, 2, 9).distributed(rank.clone());
                let mut flow = ParticleFlow::new(energy, method(), 0.05).unwrap();
                let mut state = resumed.share(&rank);
                flow.run(&mut state, 4, &mut ()).unwrap();
                state.collect(&mut rank)
            });
            for state in states {
                let expected = serial.measure().points();
                let error = (state.measure().points() - expected).amax();
                assert!(error <= 1e-12 * expected.amax(), "{size} ranks: {error}");
                assert_eq!((state.step(), state.time()), (serial.step(), serial.time()));
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
    // Rank 0 cannot write: all ranks stop, and only it has the reason.
    let missing = path.join("missing").join("state.npz");
    let results = on_ranks(2, |rank| {
        let mu = whole(3, 5).share(&rank);
        let energy = network(Tanh, 2, 9).distributed(rank.clone());
        let mut flow = ParticleFlow::new(energy, Euler, 0.05).unwrap();
        let mut state = flow.start(mu).unwrap();
        let mut checkpoint = Checkpoint::every_steps(&missing, 3).unwrap().gathered(rank);
        let reason = flow.run(&mut state, 8, &mut checkpoint).unwrap();
        assert_eq!((reason, state.step()), (StopReason::NotSaved, 0));
        checkpoint.error().is_some()
    });
    assert_eq!(results, [true, false]);
}

/// Certificates of distributed particles are the same on all ranks and bound the same gap, for
/// every method of proof, with a time limit.
#[test]
fn certificates_on_ranks() {
    for (d, m) in [(1, 4), (2, 5), (3, 5), (5, 4), (7, 5)] {
        let mu = whole(1 + d, m);
        let effort = || {
            Effort::new(1e-6, 500)
                .unwrap()
                .with_time_limit(Duration::from_millis(50))
        };
        let one = Search::new()
            .with_effort(Effort::new(1e-6, 500).unwrap())
            .certify(&mut network(Relu, d, 12), &mu);
        for size in [2, 3, 7] {
            let all = on_ranks(size, |rank| {
                let part = mu.share(&rank);
                let mut energy = network(Relu, d, 12).distributed(rank);
                let certificate = Search::new()
                    .with_effort(effort())
                    .certify(&mut energy, &part);
                (
                    format!("{certificate:?}"),
                    certificate.gap(),
                    certificate.energy(),
                )
            });
            assert!(all.iter().all(|other| *other == all[0]), "d = {d}: {all:?}");
            assert!((all[0].2 - one.energy()).abs() < 1e-10, "{all:?} {one:?}");
            assert!(all[0].1 >= 0.0 && all[0].1.is_finite());
            if d <= 2 {
                assert!((all[0].1 - one.gap()).abs() < 1e-10, "{all:?} {one:?}");
            }
        }
    }
}

/// A measure that is not finite on one rank has no finite gap on any.
#[test]
fn a_certificate_of_an_invalid_measure_is_infinite_on_all_ranks() {
    for d in [2, 3] {
        let gaps = on_ranks(3, |rank| {
            let mut part = whole(1 + d, 5).share(&rank);
            if rank.rank() == 1 {
                part.points_mut()[0] = f64::NAN;
            }
            certify(&mut network(Relu, d, 9).distributed(rank), &part).gap()
        });
        assert_eq!(gaps, [f64::INFINITY; 3]);
    }
}

/// Frank-Wolfe, optimal weights, merging and pruning of distributed particles are those of the whole
/// measure.
#[test]
fn sparse_methods_on_ranks() {
    let (mu, phi) = (whole(3, 6), Ridge::new(Relu, 2));
    let mut energy = network(Relu, 2, 9);
    let best = reweigh(&mut energy, &mu).unwrap();
    let value = energy.value(&best);
    let small = prune(&phi, &merge(&phi, &mu, 0.5));
    for size in [1, 2, 3, 7] {
        on_ranks(size, |mut rank| {
            let part = mu.share(&rank);
            let mut energy = network(Relu, 2, 9).distributed(rank.clone());
            let found = reweigh(&mut energy, &part).unwrap();
            assert!((energy.value(&found) - value).abs() <= 1e-12 * value);
            assert_eq!(found.collect(&mut rank).len(), best.len());
            let all = part.collect(&mut rank);
            assert_eq!(prune(&phi, &merge(&phi, &all, 0.5)), small);
        });
        for method in [
            FrankWolfe::Plain,
            FrankWolfe::Corrective,
            FrankWolfe::Sliding,
        ] {
            let start = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
            let mut serial = start.clone();
            let run = method
                .run(&mut network(Relu, 2, 9), &mut serial, 1e-7, 8)
                .unwrap();
            let value = energy.value(&serial);
            let results = on_ranks(size, |mut rank| {
                let mut mu = start.share(&rank);
                let mut energy = network(Relu, 2, 9).distributed(rank.clone());
                let (reason, certificate) = method.run(&mut energy, &mut mu, 1e-7, 8).unwrap();
                let found = energy.value(&mu);
                assert!(
                    (found - value).abs() <= 1e-7 * (1.0 + value),
                    "{found}, not {value}"
                );
                // The bounds of rounding errors depend on the number of particles on a rank.
                let own = certify(&mut energy, &mu).energy();
                assert!((own - certificate.energy()).abs() < 1e-12);
                (
                    reason.converged(),
                    format!("{certificate:?}"),
                    mu.collect(&mut rank),
                )
            });
            assert_eq!(results[0].0, run.0.converged());
            assert!(results.iter().all(|other| *other == results[0]));
        }
    }
}

/// The flow runs until its certificate proves the gap, with all insertions, on any number of ranks.
#[test]
fn a_flow_on_ranks_runs_until_it_is_optimal() {
    let mu = whole(3, 12);
    let run = |energy: &mut Network<Relu>, mu: EmpiricalMeasure<f64>| {
        let mut flow = ParticleFlow::new(energy, Jko::default(), 50.0).unwrap();
        let mut state = flow.start(mu).unwrap();
        let (mut reason, mut insertions) = (StopReason::Steps, 0);
        for _ in 0..20 {
            let certificate;
            (reason, certificate) = run_until_optimal(&mut flow, &mut state, 1e-4, 5, 100).unwrap();
            let StopReason::Trapped { .. } = reason else {
                break;
            };
            let w = certificate.escape().unwrap();
            let next = sparse::insert(*flow.energy_mut(), state.measure(), w);
            *state.measure_mut() = next.unwrap();
            insertions += 1;
        }
        (reason, state.energy(), insertions)
    };
    let one = run(&mut network(Relu, 2, 9), mu.clone());
    assert!(one.0.converged(), "{one:?}");
    for size in [2, 3] {
        let all = on_ranks(size, |rank| {
            let part = mu.share(&rank);
            run(&mut network(Relu, 2, 9).distributed(rank), part)
        });
        assert!(all.iter().all(|other| *other == all[0]), "{all:?}");
        assert!(all[0].0.converged(), "{all:?}");
        assert!((all[0].1 - one.1).abs() < 2e-4, "{all:?} {one:?}");
    }
}

/// Corrections are those of the whole measure; every rank keeps its share.
#[test]
fn a_corrected_flow_on_ranks_is_that_of_one_rank() {
    let mu = whole(3, 12);
    let run = |energy: &mut Network<Relu>, mu: EmpiricalMeasure<f64>| {
        let mut flow = ParticleFlow::new(energy, Jko::new(0.03, 1000), 1e4).unwrap();
        let mut state = flow.start(mu).unwrap();
        let (reason, certificate) = run_and_correct(&mut flow, &mut state, 1e-7, 1, 5).unwrap();
        let proved = matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-7);
        assert!(proved && certificate.gap() <= 1e-7, "{reason:?}");
        (state.energy(), state.step(), state.into_measure())
    };
    let one = run(&mut network(Relu, 2, 9), mu.clone());
    for size in [2, 3, 20] {
        let all = on_ranks(size, |mut rank| {
            let part = mu.share(&rank);
            let mut energy = network(Relu, 2, 9).distributed(rank.clone());
            let (energy, step, mu) = run(&mut energy, part);
            (energy, step, mu.collect(&mut rank))
        });
        assert!(all.iter().all(|other| *other == all[0]), "{all:?}");
        assert!((all[0].0 - one.0).abs() <= 2e-7, "{all:?} {one:?}");
        let value = network(Relu, 2, 9).value(&all[0].2);
        assert!((value - all[0].0).abs() <= 1e-14, "{value}");
    }
}
