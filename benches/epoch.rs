//! An epoch of minibatches: the handwritten digits (1797 samples of 64 pixels and a bias, 10
//! classes), softmax, 256 rectifier neurons, batches of 128, `f32`.
//!
//! Prints the least time of an epoch, the part of it that draws the batches, and the allocations
//! after the first epoch. `benches/epoch.py` runs it beside PyTorch, on the same table
//! `data/digits.csv`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
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

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const NEURONS: usize = 256;
const BATCH: usize = 128;

fn risk() -> MinibatchRisk<SoftmaxCrossEntropy<f32>, f32> {
    let table = data::read_csv(&include_bytes!("../data/digits.csv")[..]).expect("a table");
    let x = table.numbers_except::<f32>(&["digit"]).expect("numbers") / 16.0;
    let labels = table.labels("digit").expect("labels");
    let full = SoftmaxCrossEntropy::new(with_bias(x), labels.indices().to_vec(), CLASSES);
    let full = full.expect("valid samples");
    MinibatchRisk::new(full, BATCH, 7).expect("a batch below n")
}

/// The least time of `repetitions` calls.
fn least(repetitions: usize, mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let clock = Instant::now();
        work();
        clock.elapsed()
    };
    (0..repetitions).map(time).min().unwrap_or_default()
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let epochs = if is_test { 2 } else { 100 };

    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let p = CLASSES + PIXELS + 1;
    let start = init::gaussian(p, NEURONS, 0.3, &mut rng).expect("a measure");
    let map = Ridge::with_outputs(Relu, PIXELS + 1, CLASSES);
    let energy = MeanFieldRisk::new(map, risk()).expect("an energy");
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).expect("a flow");
    let mut state = flow.start(start).expect("a state");
    let batches = risk().batches();
    flow.run(&mut state, batches, &mut ()).expect("an epoch");

    let before = ALLOCATIONS.load(Relaxed);
    let epoch = least(epochs, || {
        flow.run(&mut state, batches, &mut ()).expect("an epoch");
    });
    let allocations = ALLOCATIONS.load(Relaxed) - before;

    let (mut risk, mut step) = (risk(), 0);
    let draw = least(epochs, || {
        for _ in 0..batches {
            step += 1;
            black_box(risk.refresh(step));
        }
    });
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "epoch {:.3} ms, of which drawing the batches {:.3} ms, {allocations} allocations in {epochs} epochs",
        ms(epoch),
        ms(draw),
    );
}
