//! Minibatches and fresh samples: epochs, unbiased estimates, the same samples on any number of
//! threads and ranks and in runs that resume.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::{Case, Rank};

const CASE: Case = Case {
    n: 24,
    m: 7,
    d: 5,
    k: 3,
    seed: 11,
};

fn softmax(case: Case) -> SoftmaxCrossEntropy<f64> {
    let weights: Vec<f64> = (0..case.n).map(|j| (1 + j % 4) as f64 / 64.0).collect();
    let risk = SoftmaxCrossEntropy::new(case.inputs(), case.labels(), case.k).unwrap();
    risk.sample_weights(weights).unwrap()
}

/// The sum over the batches of an epoch of `|B| / n` times value and gradient at fixed predictions.
fn mean_of_epoch<R: Risk<f64>>(
    risk: &mut MinibatchRisk<R, f64>,
    epoch: usize,
    h: &[f64],
) -> (f64, Vec<f64>, Vec<usize>) {
    let (n, k) = (risk.full().inputs().len(), risk.output_dim());
    let (mut value, mut gradient, mut samples) = (0.0, vec![0.0; k * n], Vec::new());
    for batch in 0..risk.batches() {
        risk.refresh(epoch * risk.batches() + batch);
        assert_eq!(risk.epoch(), epoch);
        let chosen = risk.samples().to_vec();
        let share = chosen.len() as f64 / n as f64;
        let part: Vec<f64> = chosen
            .iter()
            .flat_map(|&j| &h[j * k..][..k])
            .copied()
            .collect();
        let mut out = vec![f64::NAN; part.len()];
        value += share * risk.value_and_gradient(&part, &mut out);
        for (i, &j) in chosen.iter().enumerate() {
            assert_eq!(risk.inputs().point(i), risk.full().inputs().point(j));
            for l in 0..k {
                gradient[j * k + l] += share * out[i * k + l];
            }
        }
        samples.extend(chosen);
    }
    (value, gradient, samples)
}

/// The mean over an epoch is the full gradient up to rounding, for equal batches and with a last
/// smaller one, and every sample occurs once.
#[test]
fn the_mean_over_an_epoch_is_the_full_gradient() {
    let h: Vec<f64> = CASE.rng(30).coordinates(CASE.n * CASE.k);
    let mut expected = vec![0.0; h.len()];
    let full = softmax(CASE).value_and_gradient(&h, &mut expected);
    for (batch, batches, last) in [(1, 24, 1), (6, 4, 6), (7, 4, 3), (23, 2, 1), (24, 1, 24)] {
        let mut risk = MinibatchRisk::new(softmax(CASE), batch, 3).unwrap();
        assert_eq!(risk.batches(), batches);
        for epoch in [0, 1, 5] {
            let (value, gradient, mut samples) = mean_of_epoch(&mut risk, epoch, &h);
            assert_eq!(risk.samples().len(), last, "the last batch");
            samples.sort_unstable();
            assert!(samples.into_iter().eq(0..CASE.n), "every sample once");
            assert!((value - full).abs() < 1e-14 * full, "{value} and {full}");
            for (found, expected) in gradient.iter().zip(&expected) {
                assert!((found - expected).abs() <= 4.0 * f64::EPSILON * expected.abs());
            }
        }
    }
}

/// With a single batch the risk is the full one, bit for bit, and is never drawn.
#[test]
fn a_batch_of_all_samples_is_the_full_risk() {
    let h: Vec<f64> = CASE.rng(31).coordinates(CASE.n * CASE.k);
    let (full, mut risk) = (
        softmax(CASE),
        MinibatchRisk::new(softmax(CASE), CASE.n, 1).unwrap(),
    );
    let mut out = [vec![0.0; h.len()], vec![0.0; h.len()]];
    let [a, b] = &mut out;
    assert_eq!(full.value(&h), risk.value(&h));
    assert_eq!(
        full.value_and_gradient(&h, a),
        risk.value_and_gradient(&h, b)
    );
    assert_eq!(a, b);
    assert!(!risk.refresh(5));
}

/// Over all seeds every sample is in every batch equally often: the estimate is unbiased, also in
/// the smaller batch. Epochs and seeds differ.
#[test]
fn every_batch_is_a_uniform_subset() {
    const SEEDS: u64 = 20_000;
    let risk =
        || EmpiricalRisk::<_, f64>::new(Square, DMatrix::zeros(1, 5), DVector::zeros(5)).unwrap();
    let mut pairs = [[0_u32; 5]; 5]; // of the first batch
    let mut last = [0_u32; 5];
    for seed in 0..SEEDS {
        let mut risk = MinibatchRisk::new(risk(), 2, seed).unwrap();
        let &[i, j] = risk.samples() else { panic!() };
        pairs[i][j] += 1;
        risk.refresh(2 + 3 * (seed as usize % 4));
        last[risk.samples()[0]] += 1;
    }
    // Five standard deviations of a binomial number.
    let within = |count: u32, p: f64| {
        let (mean, n) = (p * SEEDS as f64, SEEDS as f64);
        assert!(
            (f64::from(count) - mean).abs() < 5.0 * (n * p * (1.0 - p)).sqrt(),
            "{count}"
        );
    };
    for i in 0..5 {
        within(last[i], 0.2);
        for j in i + 1..5 {
            within(pairs[i][j], 0.1);
        }
    }
    let mut risk = MinibatchRisk::new(softmax(CASE), 12, 1).unwrap();
    let mut batches = Vec::new();
    for step in 0..20 {
        risk.refresh(step);
        batches.push(risk.samples().to_vec());
    }
    batches.sort();
    batches.dedup();
    assert_eq!(batches.len(), 20);
}

/// The mean of the expected risk over many steps is the expectation: `E (y - h)^2 / 2` with `y = x`
/// standard normal and `h = 1` is 1, its standard deviation a step `sqrt(3/2) / sqrt(b)`.
#[test]
fn fresh_samples_are_unbiased() {
    const STEPS: usize = 4000;
    let mut risk = ExpectedRisk::new(Square, (1, 1), 8, 5, |rng, x: &mut [f64], y: &mut [f64]| {
        x[0] = rng.normal();
        y[0] = x[0];
    })
    .unwrap();
    let (mut value, mut slope) = (0.0, 0.0);
    for step in 0..STEPS {
        risk.refresh(step);
        let mut out = [0.0; 8];
        value += risk.value_and_gradient(&[1.0; 8], &mut out);
        slope += out.iter().sum::<f64>();
    }
    let draws = (8 * STEPS) as f64;
    // 5 standard deviations; (y - 1)^2 / 2 has the variance 3/2, and 1 - y the variance 1.
    assert!((value / STEPS as f64 - 1.0).abs() < 5.0 * (1.5 / draws).sqrt());
    assert!((slope / STEPS as f64 - 1.0).abs() < 5.0 * (1.0 / draws).sqrt());
}

/// Samples are keyed one by one: a larger batch begins with those of a smaller one, shards differ.
#[test]
fn samples_are_keyed_one_by_one() {
    let sampler = |rng: &mut SampleRng, x: &mut [f64], y: &mut [f64]| {
        x.fill_with(|| rng.normal());
        y[0] = rng.uniform();
    };
    let draw = |batch, seed, shard, step| {
        let risk = ExpectedRisk::new(Square, (2, 1), batch, seed, sampler).unwrap();
        let mut risk = risk.shard(shard).unwrap();
        risk.refresh(step);
        let x = risk.inputs().points().as_slice().to_vec();
        (x, risk.samples().targets().as_slice().to_vec())
    };
    let (few, many) = (draw(3, 1, 0, 9), draw(8, 1, 0, 9));
    assert_eq!((&few.0[..], &few.1[..]), (&many.0[..6], &many.1[..3]));
    for other in [draw(3, 2, 0, 9), draw(3, 1, 1, 9), draw(3, 1, 0, 10)] {
        assert!(other.0.iter().all(|x| !few.0.contains(x)));
    }
}

type Regularized<R> = MeanFieldRisk<Ridge<Tanh>, R, f64, WeightDecay<f64>>;

fn energy(case: Case) -> Regularized<MinibatchRisk<SoftmaxCrossEntropy<f64>, f64>> {
    let risk = MinibatchRisk::new(softmax(case), 7, 3).unwrap();
    MeanFieldRisk::new(Ridge::with_outputs(Tanh, case.d, case.k), risk)
        .unwrap()
        .regularized(WeightDecay::new(0.01).unwrap())
}

fn run<R: Risk<f64>>(energy: Regularized<R>, mu: EmpiricalMeasure<f64>) -> State<f64> {
    let mut flow = ParticleFlow::new(energy, Heun, 0.1).unwrap();
    let mut state = flow.start(mu).unwrap();
    flow.run(&mut state, 30, &mut ()).unwrap();
    state
}

/// A run on minibatches that are large enough for threads gives the same bits on any number of
/// them.
#[test]
fn minibatches_on_any_number_of_threads() {
    let case = Case {
        n: 900,
        m: 300,
        d: 30,
        k: 3,
        seed: 2,
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let full = SoftmaxCrossEntropy::new(case.inputs(), case.labels(), case.k).unwrap();
            let risk = MinibatchRisk::new(full, 400, 3).unwrap();
            let map = Ridge::with_outputs(Tanh, case.d, case.k);
            let mut flow =
                ParticleFlow::new(MeanFieldRisk::new(map, risk).unwrap(), Euler, 0.1).unwrap();
            let mut state = flow.start(case.measure::<f64>(33)).unwrap();
            flow.run(&mut state, 5, &mut ()).unwrap();
            state.into_measure()
        })
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(4), one);
}

/// Ranks that hold parts of the particles use the same batches as one rank.
#[test]
fn minibatches_on_any_number_of_ranks() {
    let whole = CASE.measure::<f64>(CASE.d + CASE.k);
    let single = run(energy(CASE), whole.clone());
    let (p, cuts) = (whole.dim(), [0, 3, CASE.m]);
    let part = |rank: usize| {
        let range = cuts[rank]..cuts[rank + 1];
        let points = whole.points().columns_range(range.clone()).into_owned();
        let weights = DVector::from_column_slice(&whole.weights()[range]);
        EmpiricalMeasure::weighted(points, weights).unwrap()
    };
    let states: Vec<_> = std::thread::scope(|scope| {
        let ranks = Rank::group(2).into_iter().enumerate();
        let threads: Vec<_> = ranks
            .map(|(i, rank)| {
                let mu = part(i);
                scope.spawn(move || run(energy(CASE).distributed(rank), mu))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for (rank, state) in states.iter().enumerate() {
        assert_eq!(state.energy(), states[0].energy());
        assert!((state.energy() - single.energy()).abs() < 1e-12);
        let expected = &single.measure().points().as_slice()[p * cuts[rank]..];
        for (w, expected) in state.measure().points().iter().zip(expected) {
            assert!((w - expected).abs() < 1e-12);
        }
    }
}

/// The energy on all samples, beside that of the minibatch, during a run.
#[test]
fn the_full_energy_is_that_of_all_samples() {
    let mut full = MeanFieldRisk::new(Ridge::with_outputs(Tanh, CASE.d, CASE.k), softmax(CASE))
        .unwrap()
        .regularized(WeightDecay::new(0.01).unwrap());
    let mut flow = ParticleFlow::new(energy(CASE), Euler, 0.1).unwrap();
    let mut state = flow.start(CASE.measure(CASE.d + CASE.k)).unwrap();
    let mut reported = state.clone();
    for _ in 0..10 {
        flow.advance(&mut state).unwrap();
        let expected = full.value(state.measure());
        assert_eq!(flow.energy_mut().full_value(state.measure()), expected);
        assert_ne!(state.energy(), expected);
    }
    // Reports do not change the run.
    let mut other = ParticleFlow::new(energy(CASE), Euler, 0.1).unwrap();
    other.run(&mut reported, 10, &mut ()).unwrap();
    assert_eq!(reported.measure(), state.measure());
}

/// `Phi(w)(x) = w.x`: least squares has one minimum.
struct Linear(usize);

impl FeatureMap<f64> for Linear {
    fn particle_dim(&self) -> usize {
        self.0
    }
    fn input_dim(&self) -> usize {
        self.0
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        out[0] += scale * w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    }
    fn add_vjp(&self, _: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(x).for_each(|(out, x)| *out += g[0] * x);
    }
}

/// Steps of constant size on minibatches fluctuate about the minimum. Steps that decrease like
/// `1/sqrt(s)` converge to it, and so does the average of the points, faster.
#[test]
fn schedules_and_averages_reduce_the_noise_of_minibatches() {
    let case = Case { d: 3, k: 1, ..CASE };
    let full = || EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap();
    let mut exact = MeanFieldRisk::new(Linear(3), full()).unwrap();
    let start = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
    let mut flow = ParticleFlow::new(&mut exact, Rk4, 0.5).unwrap();
    let mut best = flow.start(start.clone()).unwrap();
    let first = best.energy();
    flow.run_until(&mut best, 200.0, &mut ()).unwrap();
    let mut excess = |mu: &EmpiricalMeasure<f64>| exact.value(mu) - best.energy();

    // The mean excess over the last 1000 steps, and that of the average.
    let mut run = |schedule: Box<dyn Schedule<f64> + Send + Sync>| {
        let risk = MinibatchRisk::new(full(), 4, 5).unwrap();
        let energy = MeanFieldRisk::new(Linear(3), risk).unwrap();
        let mut flow = ParticleFlow::scheduled(energy, Euler, schedule).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        let mut average = observe::Average::tail(1000);
        flow.run(&mut state, 9000, &mut average).unwrap();
        let mut last = 0.0;
        for _ in 0..1000 {
            flow.run(&mut state, 1, &mut average).unwrap();
            last += 1e-3 * excess(state.measure());
        }
        [last, excess(&average.measure().unwrap())]
    };
    let constant = run(Box::new(Constant::new(0.1).unwrap()));
    let decreasing = run(Box::new(InverseSqrt::in_steps(0.1, 20.0).unwrap()));
    let found = format!("{first}, {constant:?}, {decreasing:?}");
    assert!(constant[0] < 0.1 * first, "the run learns: {found}");
    assert!(
        decreasing[0] < 0.1 * constant[0],
        "decreasing steps: {found}"
    );
    assert!(constant[1] < 0.01 * constant[0], "the average: {found}");
}

/// The generator of a sample, as one of the crate `rand`.
#[test]
fn sample_rng_is_a_generator_of_rand() {
    use rand::{Rng, RngExt};
    let (mut rng, mut words) = (SampleRng::new(1, 2, 3, 4), SampleRng::new(1, 2, 3, 4));
    let mut bytes = [0_u8; 11];
    rng.fill_bytes(&mut bytes);
    assert_eq!(bytes[..8], words.next_u64().to_le_bytes());
    assert_eq!(bytes[8..], words.next_u64().to_le_bytes()[..3]);
    assert_eq!(rng.next_u32(), (words.next_u64() >> 32) as u32);
    let mut dice = [0_u32; 6];
    for j in 0..60_000 {
        let mut rng = SampleRng::new(9, 0, j / 100, j % 100);
        dice[rng.random_range(0..6)] += 1;
    }
    // Five standard deviations of a count, 91.
    assert!(dice.iter().all(|n| n.abs_diff(10_000) < 456), "{dice:?}");
}
