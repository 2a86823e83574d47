//! The two experiments: signed spikes by the Wasserstein flow from a grid of amplitude 0, and
//! positive spikes by conic descent.

use std::error::Error;
use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{LogSpaced, Snapshots};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

use crate::flow::ForwardBackward;
use crate::problem::{Deconvolution, Spikes};

/// An error that may cross threads.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Number of spikes of the signal.
pub const SPIKES: usize = 5;

/// The initial positions of the particles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The grid `2 pi i / m`.
    Grid,
    /// A grid on a tenth of the circle.
    Tenth,
    /// One point.
    Point,
}

impl Start {
    fn angle(self, i: usize, m: usize) -> f64 {
        let grid = TAU * i as f64 / m as f64;
        match self {
            Self::Grid => grid,
            Self::Tenth => grid / 10.0,
            Self::Point => TAU / 2.0,
        }
    }
}

/// The signed problem.
pub const SIGNED: Spikes = Spikes {
    signed: true,
    order: 7,
    lambda: 0.2,
};

/// A signal of spikes `(a, t)`: `|a|` uniform in (0.5, 1.5), random signs, t uniform on the circle.
pub fn signal(seed: u64) -> Vec<[f64; 2]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut positions: Vec<f64> = (0..SPIKES).map(|_| rng.random_range(0.0..TAU)).collect();
    positions.sort_by(f64::total_cmp);
    let mut height = || rng.random_range(0.5..1.5) * if rng.random_bool(0.5) { 1.0 } else { -1.0 };
    positions.into_iter().map(|t| [height(), t]).collect()
}

/// The certified optimum of a problem, by the Frank-Wolfe method.
#[derive(Debug)]
pub struct Optimum {
    /// F of the measure.
    pub value: f64,
    /// The certified gap of the measure.
    pub gap: f64,
    /// `R(0)`.
    pub risk_of_zero: f64,
    /// The number of Frank-Wolfe steps.
    pub steps: usize,
    pub measure: EmpiricalMeasure<f64>,
}

impl Optimum {
    /// The optimum, to a gap of 1e-9 R(0).
    pub fn find(energy: &mut Deconvolution) -> Result<Self, Failure> {
        let mut measure = EmpiricalMeasure::uniform(DMatrix::zeros(energy.particle_dim(), 1))?;
        let (mut steps, risk_of_zero) = (0, energy.value(&measure));
        loop {
            let certificate = certify(energy, &measure);
            let next = match certificate.escape() {
                Some(w) if steps < 100 && certificate.gap() > 1e-9 * risk_of_zero => {
                    FrankWolfe::Sliding.step(energy, &measure, w)?
                }
                _ => None,
            };
            match next {
                Some(next) => measure = next,
                None => {
                    return Ok(Self {
                        value: energy.value(&measure),
                        gap: certificate.gap(),
                        risk_of_zero,
                        steps,
                        measure,
                    });
                }
            }
            steps += 1;
        }
    }
}

/// A run of the flow of m signed particles.
#[derive(Debug)]
pub struct Run {
    /// `(F(mu_T) - F*) / R(0)`.
    pub excess: f64,
    /// The certified gap over `R(0)`.
    pub gap: f64,
    /// The measures after log-spaced numbers of steps, and the last.
    pub path: Vec<EmpiricalMeasure<f64>>,
}

/// The run of m particles from `a = 0` to the time `time`, for the signal of the seed.
pub fn signed(m: usize, seed: u64, start: Start, time: f64) -> Result<Run, Failure> {
    let mut energy = Deconvolution::new(SIGNED, &signal(seed))?;
    let optimum = Optimum::find(&mut energy)?;
    let start = DMatrix::from_fn(
        2,
        m,
        |row, i| if row == 0 { 0.0 } else { start.angle(i, m) },
    );
    let integrator = ForwardBackward {
        lambda: SIGNED.lambda,
        longest: 0.02,
    };
    let mut flow = ParticleFlow::new(energy, integrator, 1e-3)?;
    let mut state = flow.start(EmpiricalMeasure::uniform(start)?)?;
    let risk_of_zero = state.energy();
    let mut paths = LogSpaced::new(1.2, Snapshots::new())?;
    flow.run_until(&mut state, time, &mut paths)?;
    let gap = certify(flow.energy_mut(), state.measure()).gap() / risk_of_zero;
    let excess = (state.energy() - optimum.value) / risk_of_zero;
    let mut path: Vec<_> = paths
        .into_inner()
        .into_taken()
        .into_iter()
        .map(|(_, mu)| mu)
        .collect();
    path.push(state.into_measure());
    Ok(Run { excess, gap, path })
}

/// The spikes `(a, t)` of a measure. Neighbours of equal sign within 0.03 of the circle are merged,
/// and amplitudes below 0.01 are dropped.
pub fn spikes(mu: &EmpiricalMeasure<f64>) -> Vec<[f64; 2]> {
    let mut all: Vec<[f64; 2]> = (0..mu.len())
        .map(|i| {
            [
                mu.weight(i) * mu.particle(i)[0],
                mu.particle(i)[1].rem_euclid(TAU),
            ]
        })
        .collect();
    all.retain(|[a, _]| a.abs() > 1e-9);
    all.sort_by(|v, w| v[1].total_cmp(&w[1]));
    let mut found: Vec<[f64; 2]> = Vec::new();
    for [a, t] in all {
        match found.last_mut() {
            Some([b, s]) if t - *s < 0.03 * TAU && a * *b > 0.0 => {
                *s = (*s * *b + t * a) / (*b + a);
                *b += a;
            }
            _ => found.push([a, t]),
        }
    }
    found.retain(|[a, _]| a.abs() >= 0.01);
    found
}

/// The numbers of particles of the positive experiment.
pub const SIZES: [usize; 7] = [4, 5, 6, 7, 8, 9, 10];
/// The exponents l of its ratios `beta / alpha = 2^-l`.
pub const HALVINGS: [u32; 5] = [0, 1, 2, 3, 4];

/// The mean over trials of `F(mu) - F*` after `steps` steps of conic descent: a row for each ratio,
/// a column for each size.
pub fn positive(trials: u64, steps: usize) -> Result<Vec<Vec<f64>>, Failure> {
    let spikes = Spikes {
        signed: false,
        order: 8,
        lambda: 0.3,
    };
    const ALPHA: f64 = 0.002;
    let run = |m: usize, trial: u64| -> Result<Vec<f64>, Failure> {
        let mut rng = ChaCha8Rng::seed_from_u64(trial);
        let signal: Vec<_> = (0..SPIKES)
            .map(|_| [rng.random_range(0.0..1.0), rng.random_range(0.0..TAU)])
            .collect();
        let mut energy = Deconvolution::new(spikes, &signal)?;
        let best = Optimum::find(&mut energy)?.value;
        let grid = DMatrix::from_fn(1, m, |_, i| TAU * i as f64 / m as f64);
        let start = EmpiricalMeasure::weighted(grid, DVector::from_element(m, 0.25 / m as f64))?;
        let excess = |halvings: u32| -> Result<f64, Failure> {
            let beta = ALPHA / f64::from(1 << halvings);
            let mut flow = ParticleFlow::new(&mut energy, Conic::new(ALPHA, beta), 1.0)?;
            let mut state = flow.start(start.clone())?;
            flow.run(&mut state, steps, &mut ())?;
            Ok(state.energy() - best)
        };
        HALVINGS.into_iter().map(excess).collect()
    };
    let runs = study::runs(&SIZES, 0..trials, run)?;
    let mean = |row: usize, trials: &[Vec<f64>]| {
        trials.iter().map(|t| t[row]).sum::<f64>() / trials.len() as f64
    };
    Ok((0..HALVINGS.len())
        .map(|row| runs.iter().map(|(_, trials)| mean(row, trials)).collect())
        .collect())
}
