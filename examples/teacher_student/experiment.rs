//! The experiment: teachers, the samples that they label, students of m neurons, and their risks.

use std::error::Error;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{LogSpaced, Snapshots, Trace};
use wasserflow::prelude::*;
use wasserflow::study::{self, Width};

/// An error that may cross threads.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Neurons of the teacher.
pub const TEACHER: usize = 5;

/// The parameters that all runs share.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// The number of samples n.
    pub samples: usize,
    /// The number of seeds. Each has its own teacher and samples, and one student of every size.
    pub seeds: u64,
    /// The first seed.
    pub first: u64,
    /// The index of the seed of the figure, counted from the first.
    pub drawn: u64,
    /// `|a| = |b|` of the students at the start.
    pub radius: f64,
    /// The step size of the integrator.
    pub dt: f64,
    /// The time horizon T.
    pub time: f64,
    /// A student has reached its teacher when `F(mu_T) <= threshold R(0)`.
    pub threshold: f64,
}

impl Protocol {
    /// The protocol of the experiment.
    pub const FULL: Self = Self {
        samples: 100,
        seeds: 20,
        first: 0,
        drawn: 2,
        radius: 0.3,
        dt: 1.0,
        time: 1e5,
        threshold: 1e-3,
    };
    /// A short run, as a test of the program.
    pub const SMOKE: Self = Self {
        samples: 50,
        seeds: 3,
        time: 100.0,
        ..Self::FULL
    };
}

/// The teacher and the samples of one seed.
#[derive(Debug)]
pub struct Task {
    /// The teacher: alternating `a = +-1`, and `b` on the unit circle at intervals of `2 pi / 5`,
    /// with a jitter of up to a quarter of that.
    pub teacher: EmpiricalMeasure<f64>,
    x: DMatrix<f64>,
    y: DVector<f64>,
}

impl Task {
    /// The task of one seed.
    pub fn new(protocol: &Protocol, seed: u64) -> Result<Self, Failure> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rotation = rng.random_range(0.0..1.0);
        let angles: Vec<f64> = (0..TEACHER)
            .map(|k| TAU / TEACHER as f64 * (k as f64 + rotation + rng.random_range(-0.25..0.25)))
            .collect();
        let teacher = DMatrix::from_fn(3, TEACHER, |l, k| match l {
            0 => [1.0, -1.0][k % 2],
            1 => angles[k].cos(),
            _ => angles[k].sin(),
        });
        let teacher = EmpiricalMeasure::uniform(teacher)?;

        let x = init::gaussian(2, protocol.samples, 1.0, &mut rng)?.into_points();
        let y = predict(&Ridge::new(Relu, 2), &teacher, &Inputs::new(x.clone())?)?
            .row(0)
            .transpose();
        Ok(Self { teacher, x, y })
    }

    /// The run of a student of m neurons, with the risk
    /// `F(mu) = (1/n) sum_j (h_mu(x_j) - y_j)^2 / 2`.
    fn student(self, protocol: &Protocol, m: usize, seed: u64) -> Result<Run, Failure> {
        let clock = Instant::now();
        let risk_of_zero = self.y.norm_squared() / (2.0 * self.y.len() as f64);
        let energy = MeanFieldRisk::new(
            Ridge::new(Relu, 2),
            EmpiricalRisk::new(Square, self.x, self.y)?,
        )?;
        let mut flow = ParticleFlow::new(energy, Euler, protocol.dt)?;

        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(m as u64);
        let mut state = flow.start(init::balanced(2, m, protocol.radius, &mut rng)?)?;
        let (mut trace, mut paths) = (
            LogSpaced::new(1.2, Trace::new())?,
            LogSpaced::new(1.2, Snapshots::new())?,
        );
        flow.run_until(&mut state, protocol.time, &mut (&mut trace, &mut paths))?;

        let (trace, paths) = (trace.into_inner(), paths.into_inner());
        let mut curve: Vec<_> = trace
            .records()
            .iter()
            .map(|record| [record.time, record.energy / risk_of_zero])
            .collect();
        curve.push([state.time(), state.energy() / risk_of_zero]);
        let mut path: Vec<_> = paths.into_taken().into_iter().map(|(_, mu)| mu).collect();
        path.push(state.into_measure());
        Ok(Run {
            curve,
            path,
            elapsed: clock.elapsed(),
        })
    }
}

/// The run of one student.
#[derive(Debug)]
pub struct Run {
    /// Times t and `F(mu_t) / R(0)`, where `R(0)` is the risk of the zero network: t = 0,
    /// log-spaced times, and T.
    pub curve: Vec<[f64; 2]>,
    /// The measures at these times.
    pub path: Vec<EmpiricalMeasure<f64>>,
    elapsed: Duration,
}

/// The students of one size.
#[derive(Debug)]
pub struct Students {
    /// The size m, and `F(mu_T) / R(0)` of every seed.
    pub width: Width,
    /// One run for each seed.
    pub runs: Vec<Run>,
}

impl Students {
    /// The quartiles over the seeds of `F(mu_t) / R(0)` at the l-th time.
    pub fn quartiles(&self, l: usize) -> [f64; 3] {
        let mut values: Vec<f64> = self.runs.iter().map(|run| run.curve[l][1]).collect();
        values.sort_by(f64::total_cmp);
        // Linear interpolation between the two nearest ranks.
        [0.25, 0.5, 0.75].map(|q| {
            let rank = q * (values.len() - 1) as f64;
            let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
            low + (high - low) * rank.fract()
        })
    }

    /// The quartiles at T.
    pub fn last(&self) -> [f64; 3] {
        self.quartiles(self.runs[0].curve.len() - 1)
    }

    /// The total computing time of all seeds, in seconds.
    pub fn seconds(&self) -> f64 {
        self.runs.iter().map(|run| run.elapsed.as_secs_f64()).sum()
    }
}

/// The students of all sizes. A run depends only on its size and seed, so the number of threads
/// does not affect it.
pub fn run(protocol: &Protocol, sizes: &[usize]) -> Result<Vec<Students>, Failure> {
    let seeds = protocol.first..protocol.first + protocol.seeds;
    let runs = study::runs(sizes, seeds, |m, seed| {
        Task::new(protocol, seed)?.student(protocol, m, seed)
    })?;
    let students = |(particles, runs): (usize, Vec<Run>)| {
        let values = runs
            .iter()
            .map(|run| run.curve[run.curve.len() - 1][1])
            .collect();
        Students {
            width: Width { particles, values },
            runs,
        }
    };
    Ok(runs.into_iter().map(students).collect())
}
