//! No memory is allocated after the first step on a shape, or the first epoch of minibatches.

#![allow(unsafe_code, reason = "a global allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::Average;
use wasserflow::prelude::*;
use wasserflow::transport::{SinkhornEnergy, SlicedW2Energy};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether allocations of this thread count: other tests and the test harness allocate at the
    /// same time.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    /// The bytes that this thread has requested.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(usize::from(COUNTED.get()), Ordering::Relaxed);
    BYTES.set(BYTES.get().wrapping_add(bytes));
}

/// The result of a call, and the bytes that it requests on this thread.
pub fn counting_bytes<R>(call: impl FnOnce() -> R) -> (R, usize) {
    let before = BYTES.get();
    let result = call();
    (result, BYTES.get().wrapping_sub(before))
}

// SAFETY: every request is passed on unchanged to the system allocator, which satisfies the
// contract. Counting does not allocate: a thread-local constant without a destructor needs no
// memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the layout of the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the pointer came from `System` with this layout, the size is the caller's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A user-defined integrator with the required methods only, which calls another one.
#[derive(Clone, Copy)]
struct Wrapped<I>(I);

impl<T: Real, I: Integrator<T>> Integrator<T> for Wrapped<I> {
    fn order(&self) -> u32 {
        self.0.order()
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        self.0.step(energy, state, dt)
    }
}

/// Allocations of steps 2 to 30, and of a run that ends at a time.
fn allocations<T: Real, I: Integrator<T>>(
    map: impl FeatureMap<T>,
    loss: impl Loss<T>,
    (n, m): (usize, usize),
    integrator: I,
) -> usize {
    let number = |a: usize, b: usize| real::<T>(((3 * a + 7 * b) as f64).sin());
    let (d, k, p) = (map.input_dim(), map.output_dim(), map.particle_dim());
    let y = DMatrix::from_fn(k, n, |l, j| {
        if number(l, j) > T::zero() {
            T::one()
        } else {
            -T::one()
        }
    });
    let risk = EmpiricalRisk::with_outputs(loss, DMatrix::from_fn(d, n, number), y).unwrap();
    let decay = WeightDecay::new(real::<T>(0.01)).unwrap();
    let energy = MeanFieldRisk::new(map, risk).unwrap().regularized(decay);
    let mu = EmpiricalMeasure::weighted(
        DMatrix::from_fn(p, m, number),
        DVector::from_element(m, real(1.0 / m as f64)),
    )
    .unwrap();
    let mut flow = ParticleFlow::new(energy, integrator, real(0.01)).unwrap();
    let mut state = flow.start(mu).unwrap();
    flow.advance(&mut state).unwrap();

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    flow.run(&mut state, 29, &mut ()).unwrap();
    let time = state.time() + real(0.1);
    flow.run_until(&mut state, time, &mut ()).unwrap();
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(state.time(), time);
    after - before
}

/// Allocations of an epoch and a half, after the first epoch, on a risk that is drawn in every step.
fn allocations_of_samples<T: Real, R: Risk<T>>(
    map: impl FeatureMap<T>,
    risk: R,
    epoch: usize,
    integrator: impl Integrator<T>,
) -> usize {
    let p = map.particle_dim();
    let points = DMatrix::from_fn(p, 9, |l, i| real::<T>(((3 * l + 7 * i) as f64).sin()));
    let mu = EmpiricalMeasure::uniform(points).unwrap();
    let energy = MeanFieldRisk::new(map, risk).unwrap();
    let schedule = InverseSqrt::in_steps(real::<T>(0.1), T::one()).unwrap();
    let mut flow = ParticleFlow::scheduled(energy, integrator, schedule).unwrap();
    let mut state = flow.start(mu).unwrap();
    let mut average = Average::new();
    flow.run(&mut state, epoch, &mut average).unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    flow.run(&mut state, epoch + epoch / 2, &mut average)
        .unwrap();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// Minibatches with a smaller last batch, and fresh samples; in 2, 5 and 40 coordinates, whose
/// layouts differ.
fn minibatches<T: Real>() {
    let number = |a: usize, b: usize| real::<T>(((3 * a + 7 * b) as f64).sin());
    for (d, n, batch) in [(2, 130, 40), (5, 50, 7), (40, 130, 32)] {
        let x = || DMatrix::from_fn(d, n, number);
        let labels = (0..n).map(|j| j % 3).collect();
        let softmax = SoftmaxCrossEntropy::new(x(), labels, 3).unwrap();
        let risk = MinibatchRisk::new(softmax, batch, 7).unwrap();
        let epoch = risk.batches();
        let map = Ridge::with_outputs(Relu, d, 3);
        let ball = HeavyBall::new(1.0).unwrap();
        assert_eq!(allocations_of_samples::<T, _>(map, risk, epoch, ball), 0);
        let y = DVector::from_fn(n, |j, _| number(j, 1));
        let square = EmpiricalRisk::new(Square, x(), y).unwrap();
        let risk = MinibatchRisk::new(square, batch, 7).unwrap();
        let found = allocations_of_samples::<T, _>(Ridge::new(Tanh, d), risk, epoch, Heun);
        assert_eq!(found, 0);
        let sampler = |rng: &mut SampleRng, x: &mut [T], y: &mut [T]| {
            x.fill_with(|| real(rng.normal()));
            y[0] = x[0];
        };
        let risk = ExpectedRisk::new(Square, (d, 1), batch, 7, sampler).unwrap();
        let found = allocations_of_samples::<T, _>(Ridge::new(Relu, d), risk, 5, Euler);
        assert_eq!(found, 0);
    }
}

/// The score of the standard normal density.
struct Normal;

impl Score<f64> for Normal {
    fn score(&self, w: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(w).for_each(|(out, w)| *out = -w);
    }
    fn hessian_product(&self, _: &[f64], v: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(v).for_each(|(out, v)| *out = -v);
    }
}

/// Energies of pairs, distances, and integrators with noise or a kernel.
fn field(m: usize) {
    let cloud = |m: usize, s: usize| {
        let number = |l: usize, i: usize| ((3 * l + 7 * i + s) as f64).sin();
        EmpiricalMeasure::uniform(DMatrix::from_fn(2, m, number)).unwrap()
    };
    let count = |energy: Box<dyn Energy<f64>>, integrator: Box<dyn Integrator<f64>>| {
        let mut flow = ParticleFlow::new(energy, integrator, 0.01).unwrap();
        let mut state = flow.start(cloud(m, 0)).unwrap();
        flow.advance(&mut state).unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        flow.run(&mut state, 9, &mut ()).unwrap();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    let gaussian = || Gaussian::new(2, 1.0).unwrap();
    let quartic = || InteractionEnergy::new(PowerLaw::new(4.0, 1.0).unwrap(), 2);
    let stein = || SteinDiscrepancy::new(Normal, gaussian(), 2);
    let energies: [Box<dyn Energy<f64>>; 6] = [
        Box::new(quartic()),
        Box::new(Blob::entropy(2, 0.5).unwrap()),
        Box::new(EnergyDistance::new(Riesz::new(1.0).unwrap(), cloud(9, 1)).unwrap()),
        Box::new(stein()),
        Box::new(SlicedW2Energy::new(cloud(9, 1), 5, 1).unwrap()),
        Box::new(SinkhornEnergy::half_square(cloud(9, 1), 1.0).unwrap()),
    ];
    for (index, energy) in energies.into_iter().enumerate() {
        assert_eq!(count(energy, Box::new(Rk4)), 0, "energy {index}, m = {m}");
    }
    let integrators: [Box<dyn Integrator<f64>>; 4] = [
        Box::new(Langevin::new(0.1, 1).unwrap()),
        Box::new(KineticLangevin::new(0.1, 1.0, 1).unwrap()),
        Box::new(Svgd::new(gaussian(), 1.0).unwrap()),
        Box::new(BirthDeath::new(1.0, 1.0)),
    ];
    for (index, integrator) in integrators.into_iter().enumerate() {
        let found = count(Box::new(stein()), integrator);
        assert_eq!(found, 0, "integrator {index}, m = {m}");
    }
}

fn allocate() {
    drop(std::hint::black_box(vec![1_u8; 100]));
}

/// The only test of this module: the count is that of all threads with `COUNTED`.
#[test]
fn nothing_is_allocated_after_the_first_step() {
    COUNTED.set(true);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    allocate();
    assert_eq!(
        ALLOCATIONS.load(Ordering::Relaxed),
        before + 1,
        "the allocator counts"
    );

    fn maps<T: Real>(method: &str, integrator: impl Integrator<T> + Copy) {
        fn activations<T: Real, A: Activation<T> + Copy>(
            name: &str,
            activation: A,
            integrator: impl Integrator<T> + Copy,
        ) {
            for shape in [(1, 1), (13, 5), (130, 9)] {
                let counts = [
                    allocations::<T, _>(Ridge::new(activation, 2), Square, shape, integrator),
                    allocations::<T, _>(
                        Ridge::with_outputs(activation, 5, 3),
                        Logistic,
                        shape,
                        integrator,
                    ),
                    allocations::<T, _>(Radial::new(activation, 3), Logistic, shape, integrator),
                    allocations::<T, _>(
                        Radial::with_outputs(activation, 3, 2),
                        Square,
                        shape,
                        integrator,
                    ),
                ];
                assert_eq!(counts, [0; 4], "{name} at n, m = {shape:?}");
            }
        }
        activations(&format!("{method}, relu"), Relu, integrator);
        activations(&format!("{method}, tanh"), Tanh, integrator);
        activations(&format!("{method}, softplus"), Softplus, integrator);
    }
    maps::<f64>("Euler", Euler);
    maps::<f32>("Euler", Euler);
    maps::<f64>("Heun", Heun);
    maps::<f32>("Heun", Heun);
    maps::<f64>("Rk4", Rk4);
    maps::<f32>("Rk4", Rk4);
    maps::<f64>("wrapped Rk4", Wrapped(Rk4));
    maps::<f32>("wrapped heavy ball", Wrapped(HeavyBall::new(0.5).unwrap()));
    maps::<f64>(
        "wrapped DormandPrince",
        Wrapped(DormandPrince::new(1e-3, 1e-3)),
    );
    // Shapes for two threads: stored signs, the microkernel of small dimensions, stored values,
    // stored derivatives, the dual tree.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.broadcast(|_| COUNTED.set(true)); // both have started
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    pool.broadcast(|_| allocate());
    assert!(
        ALLOCATIONS.load(Ordering::Relaxed) >= before + 2,
        "the allocator counts in both threads"
    );
    let threaded = pool.install(|| {
        [
            allocations::<f64, _>(Ridge::new(Relu, 9), Square, (600, 500), Euler),
            allocations::<f32, _>(Ridge::new(Relu, 4), Square, (900, 600), Euler),
            allocations::<f32, _>(Ridge::new(Tanh, 9), Square, (600, 500), Euler),
            allocations::<f64, _>(Ridge::new(Softplus, 9), Square, (900, 600), Euler),
            allocations::<f64, _>(Ridge::new(Relu, 3), Square, (1300, 1250), Euler),
            allocations::<f64, _>(Ridge::with_outputs(Relu, 4, 5), Square, (600, 500), Euler),
        ]
    });
    assert_eq!(threaded, [0; 6], "on two threads");
    pool.install(|| [1, 7, 300].map(field));
    minibatches::<f32>();
    minibatches::<f64>();
    maps::<f64>("DormandPrince", DormandPrince::new(1e-2, 1e-3));
    maps::<f32>("DormandPrince", DormandPrince::new(1e-2, 1e-3));
}
