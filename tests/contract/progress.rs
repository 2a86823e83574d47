//! The progress bar: what it shows, how often, and that it is silent without a terminal.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressBar, ProgressDrawTarget, TermLike};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::{Progress, UntilTarget};
use wasserflow::prelude::*;

type Decay<T> = ParticleFlow<PotentialEnergy<WeightDecay<T>>, Euler, T>;

/// `w' = -w` from 1, and `F = w^2 / 2`.
fn decay<T: Real>(dt: f64) -> (Decay<T>, State<T>) {
    let energy = PotentialEnergy::new(WeightDecay::new(real(0.5)).unwrap(), 1);
    let mut flow = ParticleFlow::new(energy, Euler, real(dt)).unwrap();
    let one = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, T::one())).unwrap();
    let state = flow.start(one).unwrap();
    (flow, state)
}

/// A bar on a terminal in memory.
fn bar(terminal: &InMemoryTerm) -> ProgressBar {
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255);
    ProgressBar::with_draw_target(None, target)
}

fn terminal() -> InMemoryTerm {
    InMemoryTerm::new(10, 200)
}

#[track_caller]
fn shows(terminal: &InMemoryTerm, parts: &[&str]) {
    let contents = terminal.contents();
    for part in parts {
        assert!(contents.contains(part), "{part:?} in {contents:?}");
    }
    assert_eq!(contents.lines().count(), 1, "{contents:?}");
}

#[test]
fn a_run_of_steps() {
    let terminal = terminal();
    let (mut flow, mut state) = decay::<f64>(0.5);
    let mut progress = Progress::steps(10).with_bar(bar(&terminal));
    flow.run(&mut state, 10, &mut progress).unwrap();
    // F = 2^-21, dissipation 2^-20
    let line = "100 % step 10, t = 5.0000, F = 4.7684e-7, dissipation 9.54e-7";
    shows(&terminal, &[line, "steps/s, 0s left"]);

    // The observer serves a second run, which begins at step 10.
    let mut middle = String::new();
    let slow = observe::from_fn(|_: &State<f64>| {
        thread::sleep(Duration::from_millis(30));
        middle = terminal.contents();
        std::ops::ControlFlow::Continue(())
    });
    flow.run(&mut state, 9, &mut (slow, &mut progress)).unwrap();
    let steps = ["step 14", "step 15", "step 16", "step 17", "step 18"];
    assert!(steps.iter().any(|step| middle.contains(step)), "{middle}");
    drop(progress); // the run of 9 of 10 steps ends
    shows(&terminal, &[" 90 % step 19, t = 9.5000"]);
}

#[test]
fn a_run_to_a_time_in_single_precision() {
    let terminal = terminal();
    let (mut flow, mut state) = decay::<f32>(0.25);
    let mut progress = Progress::until(2.0).unwrap().with_bar(bar(&terminal));
    flow.run_until(&mut state, 1.0, &mut progress).unwrap();
    drop(progress);
    shows(&terminal, &[" 50 % step 4, t = 1.0000, F = 5.0056e-2"]);
    assert!(Progress::until(f64::NAN).is_err());
}

#[test]
fn a_run_without_a_known_end() {
    for progress in [
        Progress::without_end(),
        Progress::until(f64::INFINITY).unwrap(),
    ] {
        let terminal = terminal();
        let (mut flow, mut state) = decay::<f64>(0.5);
        let progress = progress.with_bar(bar(&terminal));
        let target = UntilTarget::new(0.1).unwrap();
        let reason = flow.run_until(&mut state, f64::INFINITY, &mut (progress, target));
        assert_eq!(reason.unwrap(), StopReason::Target);
        shows(&terminal, &["step 2, t = 1.0000, F = 3.1250e-2"]);
        assert!(!terminal.contents().contains('%'));
    }
}

/// A terminal that counts the lines drawn.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl TermLike for Counting {
    fn width(&self) -> u16 {
        100
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn write_str(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Ten lines a second, whatever the speed of the steps.
#[test]
fn the_bar_is_drawn_ten_times_a_second() {
    let terminal = Counting::default();
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255);
    let bar = ProgressBar::with_draw_target(None, target);
    let (mut flow, mut state) = decay::<f64>(1e-6);
    let mut progress = Progress::without_end().with_bar(bar);
    let clock = std::time::Instant::now();
    flow.run(&mut state, 200_000, &mut progress).unwrap();
    let most = 2 * (2 + clock.elapsed().as_millis() as usize / 100);
    let drawn = terminal.0.load(Ordering::Relaxed);
    assert!((1..=most).contains(&drawn), "{drawn} lines, at most {most}");
    // Steps that become slow are shown soon.
    let before = terminal.0.load(Ordering::Relaxed);
    let slow = observe::from_fn(|_: &State<f64>| {
        thread::sleep(Duration::from_millis(5));
        std::ops::ControlFlow::Continue(())
    });
    flow.run(&mut state, 100, &mut (slow, &mut progress))
        .unwrap();
    let drawn = terminal.0.load(Ordering::Relaxed) - before;
    assert!(drawn >= 3, "{drawn} lines in half a second");
}

/// Prints the nanoseconds that the bar adds to a step: the least of several rounds.
#[test]
#[ignore = "a measurement"]
fn cost() {
    const STEPS: usize = 1_000_000;
    let mut least = [f64::INFINITY; 3];
    for _ in 0..5 {
        for (kind, least) in least.iter_mut().enumerate() {
            let (mut flow, mut state) = decay::<f64>(1e-9);
            let target = ProgressDrawTarget::term_like(Box::new(Counting::default()));
            let bar = ProgressBar::with_draw_target(None, target);
            let mut shown = Progress::steps(STEPS).with_bar(bar);
            let mut hidden = Progress::steps(STEPS).with_bar(ProgressBar::hidden());
            let clock = std::time::Instant::now();
            let reason = match kind {
                0 => flow.run(&mut state, STEPS, &mut ()),
                1 => flow.run(&mut state, STEPS, &mut hidden),
                _ => flow.run(&mut state, STEPS, &mut shown),
            };
            assert_eq!(reason.unwrap(), StopReason::Steps);
            *least = least.min(clock.elapsed().as_secs_f64() * 1e9 / STEPS as f64);
        }
    }
    println!(
        "ns a step: {:.1} without, {:.1} hidden, {:.1} shown",
        least[0], least[1], least[2]
    );
}

#[test]
#[ignore = "a child process of the test below"]
fn child() {
    let (mut flow, mut state) = decay::<f64>(0.01);
    flow.run(&mut state, 100, &mut Progress::steps(100))
        .unwrap();
    thread::sleep(Duration::from_millis(150));
    flow.run(&mut state, 100, &mut Progress::without_end())
        .unwrap();
}

#[test]
fn nothing_is_drawn_without_a_terminal() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "progress::child", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("1 passed"), "{printed}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
