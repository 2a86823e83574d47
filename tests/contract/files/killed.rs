//! Runs that are killed at random moments resume from their checkpoints, with another number of
//! threads, and end with the bits of the uninterrupted run.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use wasserflow::observe::Checkpoint;
use wasserflow::prelude::*;

use super::*;

const KILLS: usize = 100;

/// Steps of the run of each method, so that it is killed some twenty times. The last one is momentum
/// on minibatches, with a schedule.
const STEPS: [usize; 6] = [1500, 700, 1500, 1500, 60, 1500];

/// Samples of a minibatch of the 40.
const BATCH: usize = 16;

/// The variables that a child process reads.
const PATH: &str = "WASSERFLOW_TEST_CHECKPOINT";
const METHOD: &str = "WASSERFLOW_TEST_METHOD";

/// The particles are enough for several threads.
fn start() -> EmpiricalMeasure<f64> {
    neurons(300)
}

type Flow = ParticleFlow<Box<dyn Energy<f64>>, Box<dyn Integrator<f64>>, f64>;

fn flow(method: usize) -> Flow {
    if let Some((integrator, dt)) = methods().into_iter().nth(method) {
        let energy: Box<dyn Energy<f64>> = Box::new(network());
        return ParticleFlow::new(energy, integrator, dt).unwrap();
    }
    let x = DMatrix::from_fn(3, 40, |l, j| ((5 * l + 3 * j) as f64).sin());
    let y = DVector::from_fn(40, |j, _| ((2 * j) as f64).cos());
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let risk = MinibatchRisk::new(risk, BATCH, 3).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 3), risk).unwrap();
    let energy = energy.regularized(WeightDecay::new(0.01).unwrap());
    let energy: Box<dyn Energy<f64>> = Box::new(energy);
    let momentum: Box<dyn Integrator<f64>> = Box::new(HeavyBall::new(0.5).unwrap());
    let schedule = WarmUp::new(100, Cosine::new(0.05, 0.005, 1200).unwrap());
    ParticleFlow::scheduled(energy, momentum, schedule).unwrap()
}

/// Runs a method to its last step.
fn finish(
    method: usize,
    state: Option<State<f64>>,
    observer: &mut dyn Observer<f64>,
) -> State<f64> {
    let mut flow = flow(method);
    let mut state = state.unwrap_or_else(|| flow.start(start()).unwrap());
    let rest = STEPS[method] - state.step();
    let reason = flow.run(&mut state, rest, observer).unwrap();
    assert_eq!(reason, StopReason::Steps);
    state
}

/// The process that is killed: it starts or resumes a run, and writes its last state.
#[test]
#[ignore = "a child process of the test below"]
fn child() {
    let (Ok(path), Ok(method)) = (env::var(PATH), env::var(METHOD)) else {
        return;
    };
    let state = match Checkpoint::resume(&path) {
        Err(error) if error.is_not_found() => None,
        resumed => Some(resumed.unwrap()),
    };
    println!("\nresumed");
    let mut checkpoint = Checkpoint::every_steps(&path, 2).unwrap();
    let state = finish(method.parse().unwrap(), state, &mut checkpoint);
    checkpoint.save(&state).unwrap();
}

/// Runs the child process, and kills it after a delay if one is given; returns whether it ended by
/// itself.
fn run(path: &Path, method: usize, threads: usize, delay: Option<Duration>) -> bool {
    let arguments = [
        "--exact",
        "files::killed::child",
        "--ignored",
        "--nocapture",
    ];
    let mut child = Command::new(env::current_exe().unwrap())
        .args(arguments)
        .env(PATH, path)
        .env(METHOD, method.to_string())
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap() == "resumed"),
        "the child did not start"
    );
    if let Some(delay) = delay {
        thread::sleep(delay);
        child.kill().unwrap(); // SIGKILL
    }
    let status = child.wait().unwrap();
    if delay.is_none() {
        assert!(status.success(), "the run failed");
    }
    status.success()
}

#[test]
fn a_run_that_is_killed_a_hundred_times_ends_with_the_same_bits() {
    let folder = Folder::in_memory("killed");
    let mut random = damage::Random(11);
    let (mut kills, mut runs, mut steps, mut torn) = (0, 0, BTreeSet::new(), 0);
    while kills < KILLS || runs < STEPS.len() {
        let method = runs % STEPS.len();
        let path = folder.join(&format!("run-{runs}.{}", extension(FORMATS[runs % 2])));
        // The shares of the methods are equal if one of them is fast.
        let limit = KILLS.min((runs + 1) * KILLS / STEPS.len());
        for attempt in 0.. {
            assert!(attempt < 20 * KILLS, "the runs do not proceed");
            // The later attempts are longer, so that slow disks do not prevent progress.
            let longest = 20 + attempt / 10 * 20;
            let delay = Duration::from_micros(1000 * random.below(longest) as u64);
            let may_kill = kills < limit || runs >= STEPS.len();
            let delay = Some(delay).filter(|_| may_kill);
            if run(&path, method, 1 + attempt % 3, delay) {
                break;
            }
            kills += 1;
            torn += files(&folder.0)
                .iter()
                .filter(|name| name.ends_with(".tmp"))
                .count();
            match Checkpoint::resume::<f64>(&path) {
                Ok(state) => drop(steps.insert((runs, state.step()))),
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
        }
        let uninterrupted = finish(method, None, &mut ());
        let resumed = Checkpoint::resume(&path).unwrap();
        assert_eq!(bytes(&resumed), bytes(&uninterrupted), "method {method}");
        runs += 1;
    }
    println!(
        "{kills} kills in {runs} runs, resumed from {} different steps; {torn} while writing",
        steps.len()
    );
    assert!(
        steps.len() > KILLS / 4,
        "only {} different steps",
        steps.len()
    );
}
