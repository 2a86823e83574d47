//! Allocations of a step, and its instructions if `valgrind` is installed.
//!
//! Allocations are counted by the allocator of this program, for the first step on a shape and for
//! a later one. Instructions: the program runs itself under callgrind with 1 and with 3 more steps
//! and takes half the difference, so that the set-up does not count. They depend on the
//! instruction set and the compiler, but not on the load of the machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every request is passed on unchanged to the system allocator.
#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the contract of the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the contract of the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Samples n, inputs d, particles m.
const SHAPES: [[usize; 3]; 4] = [
    [500, 2, 100],
    [500, 10, 200],
    [500, 65, 200],
    [500, 300, 100],
];

/// Runs `steps` Euler steps; returns the allocations of the first one and of the last.
fn steps<T: Real, A: Activation<T>>(sigma: A, [n, d, m]: [usize; 3], steps: usize) -> (u64, u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut uniform = |_: usize, _: usize| real::<T>(rng.random_range(-1.0..1.0));
    let mu =
        EmpiricalMeasure::uniform(DMatrix::from_fn(1 + d, m, &mut uniform)).expect("a measure");
    let x = DMatrix::from_fn(d, n, &mut uniform);
    let risk =
        EmpiricalRisk::new(Square, x, DVector::from_fn(n, |j, _| uniform(j, 0))).expect("a risk");
    let energy = MeanFieldRisk::new(Ridge::new(sigma, d), risk).expect("an energy");
    let mut flow = ParticleFlow::new(energy, Euler, real(1e-6)).expect("a flow");
    let mut state = flow.start(mu).expect("a state");
    let counts: Vec<u64> = (0..steps)
        .map(|_| {
            let before = ALLOCATIONS.load(Relaxed);
            flow.run(&mut state, 1, &mut ()).expect("a step");
            ALLOCATIONS.load(Relaxed) - before
        })
        .collect();
    (counts[0], counts[steps - 1])
}

fn one(part: usize, shape: [usize; 3], count: usize) -> (u64, u64) {
    match part {
        0 => steps::<f32, _>(Relu, shape, count),
        1 => steps::<f64, _>(Relu, shape, count),
        _ => steps::<f64, _>(Tanh, shape, count),
    }
}

const PARTS: [&str; 3] = ["relu f32", "relu f64", "tanh f64"];

/// Instructions of a step, by running this program under callgrind.
fn instructions(part: usize, shape: usize) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let run = |count: usize| {
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(&program)
            .args([
                "--steps",
                &part.to_string(),
                &shape.to_string(),
                &count.to_string(),
            ])
            .output()
            .ok()?;
        let text = String::from_utf8(out.stderr).ok()?;
        text.lines()
            .find_map(|line| line.split("Collected :").nth(1)?.trim().parse::<u64>().ok())
    };
    Some((run(3)?.checked_sub(run(1)?)?) / 2)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pool = ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread pool");
    if let [first, numbers @ ..] = &arguments[..]
        && first == "--steps"
    {
        let numbers: Vec<usize> = numbers
            .iter()
            .map(|x| x.parse().expect("a number"))
            .collect();
        pool.install(|| one(numbers[0], SHAPES[numbers[1]], numbers[2]));
        return;
    }
    let smoke = arguments.iter().any(|a| a == "--test");
    println!(
        "| n, d, m | | allocations, first step | later | instructions a step | a multiplication |\n|---|---|---|---|---|---|"
    );
    for (s, shape) in SHAPES.into_iter().enumerate() {
        for (part, name) in PARTS.iter().enumerate() {
            let (first, later) = pool.install(|| one(part, shape, 3));
            let [n, d, m] = shape;
            let counted = if smoke { None } else { instructions(part, s) };
            let counted = counted.map_or("not counted | ".into(), |i| {
                format!("{i} | {:.3}", i as f64 / (2 * n * m * d) as f64)
            });
            println!("| {n}, {d}, {m} | {name} | {first} | {later} | {counted} |");
        }
    }
}
