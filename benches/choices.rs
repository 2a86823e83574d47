//! The tables of the chapter "Number of particles and integrator" of the book: excess over a certified
//! optimum against the number of particles and the step size, and evaluations to a given excess for
//! each integrator.
//!
//!     cargo bench -p wasserflow-benches --bench choices                # all tables, 10 minutes
//!     cargo bench -p wasserflow-benches --bench choices -- widths      # or steps, integrators
//!     cargo bench -p wasserflow-benches --bench choices -- integrators plane    # or classes, teacher
//!
//! The optimum of each problem is that of Frank-Wolfe, `F* >= F - gap`. An excess is
//! `(F - F*) / F*` with this lower bound, so that it is an upper bound too.

use std::ops::ControlFlow;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use wasserflow::error::EnergyError;
use wasserflow::feature::Breakpoint;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{UntilRising, UntilTarget};
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

/// The relative gap of the certified optima.
const GAP: f64 = 1e-9;

/// Widths and seeds of the study, and the excess of a successful run.
const WIDTHS: [usize; 8] = [2, 4, 8, 16, 32, 64, 128, 256];
const SEEDS: u64 = 20;
const THRESHOLD: f64 = 1e-3;

/// Proximal steps of the width study, and their size: the runs end at stationary points.
const PROXIMAL_STEPS: usize = 60;
const PROXIMAL_SIZE: f64 = 100.0;

/// Step sizes of Euler, the time of its runs, and their neurons and seeds.
const STEP_SIZES: [f64; 7] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const TIME: f64 = 1000.0;
const NEURONS: usize = 50;
const EULER_SEEDS: u64 = 5;

/// The excesses of the table of integrators, the step sizes of which the best is reported, the
/// evaluations at most, and the multiple of F(0) at which a run has diverged.
const EXCESSES: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
const SIZES: [f64; 7] = [0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0];
const EVALUATIONS: usize = 10_000;
const DIVERGED: f64 = 10.0;

/// A network of rectifiers with weight decay, and its certified optimum.
struct Problem {
    name: &'static str,
    d: usize,
    energy: fn() -> Box<dyn Energy<f64> + Send>,
    /// `F - gap <= F*`.
    optimum: f64,
    neurons: usize,
    /// The width for the table of integrators: one whose runs reach the optimum.
    width: usize,
}

fn gaussian(d: usize, n: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    init::gaussian(d, n, 1.0, &mut rng)
        .expect("samples")
        .into_points()
}

type Rectifiers<L> = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<L, f64>, f64, WeightDecay<f64>>;

fn rectifiers<L: Loss<f64>>(
    loss: L,
    x: DMatrix<f64>,
    y: DVector<f64>,
    lambda: f64,
) -> Rectifiers<L> {
    let map = Ridge::new(Relu, x.nrows());
    let risk = EmpiricalRisk::new(loss, x, y).expect("a risk");
    let energy = MeanFieldRisk::new(map, risk).expect("an energy");
    energy.regularized(WeightDecay::new(lambda).expect("a weight decay"))
}

/// 50 samples in the plane, `y = |x_1| - (x_2)_+`, the square loss.
fn plane() -> Rectifiers<Square> {
    let x = gaussian(2, 50, 0);
    let y = DVector::from_fn(50, |j, _| x[(0, j)].abs() - x[(1, j)].max(0.0));
    rectifiers(Square, x, y, 0.01)
}

/// 100 samples in the plane with a bias, classes by the sign of `x_1 x_2`, the logistic loss.
fn classes() -> Rectifiers<Logistic> {
    let x = with_bias(gaussian(2, 100, 1));
    let y = DVector::from_fn(100, |j, _| (x[(0, j)] * x[(1, j)]).signum());
    rectifiers(Logistic, x, y, 1e-3)
}

/// 100 samples in 5 coordinates of a teacher of 3 neurons with noise, the square loss.
fn teacher() -> Rectifiers<Square> {
    let (x, noise) = (gaussian(5, 100, 2), gaussian(1, 100, 3));
    let b = gaussian(5, 3, 4);
    let y = DVector::from_fn(100, |j, _| {
        let h: f64 = (0..3).map(|i| b.column(i).dot(&x.column(j)).max(0.0)).sum();
        h / 3.0 + 0.1 * noise[j]
    });
    rectifiers(Square, x, y, 0.01)
}

fn problem<L: Loss<f64> + 'static>(
    (name, width): (&'static str, usize),
    new: fn() -> Rectifiers<L>,
    energy: fn() -> Box<dyn Energy<f64> + Send>,
) -> Problem
where
    Rectifiers<L>: optimality::Certifiable<f64>,
{
    let mut certified = new();
    let (d, p) = (certified.particle_dim() - 1, certified.particle_dim());
    let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(p, 1)).expect("a measure");
    let scale = certified.value(&mu);
    let run = FrankWolfe::Sliding.run(&mut certified, &mut mu, GAP * scale, 1000);
    let (reason, certificate) = run.expect("a convergent run");
    let (value, gap) = (certificate.energy(), certificate.gap());
    println!(
        "{name}: d = {d}, F(0) = {scale:.4}, F* = {value:.6} - {gap:.0e}, {} neurons, {reason:?}",
        mu.len()
    );
    Problem {
        name,
        d,
        energy,
        optimum: value - gap,
        neurons: mu.len(),
        width,
    }
}

fn problems() -> [Problem; 3] {
    [
        problem(("plane", 50), plane, || Box::new(plane())),
        problem(("classes", 256), classes, || Box::new(classes())),
        problem(("teacher", 256), teacher, || Box::new(teacher())),
    ]
}

impl Problem {
    fn excess(&self, energy: f64) -> f64 {
        (energy - self.optimum) / self.optimum
    }

    fn start(&self, m: usize, seed: u64) -> EmpiricalMeasure<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        init::balanced(self.d, m, 1.0, &mut rng).expect("neurons")
    }
}

/// The excess of stationary points against the number of neurons.
fn widths(problems: &[Problem], is_test: bool) {
    let (widths, seeds) = if is_test {
        (&WIDTHS[..2], 2)
    } else {
        (&WIDTHS[..], SEEDS)
    };
    for problem in problems {
        println!(
            "\n{}, optimum of {} neurons\n",
            problem.name, problem.neurons
        );
        println!("| m | median excess | largest | excess <= {THRESHOLD:e} | rate, 95 % |");
        println!("|---|---|---|---|---|");
        let rows = study::width(widths, 0..seeds, |m, seed| {
            let mut flow = ParticleFlow::new((problem.energy)(), Jko::default(), PROXIMAL_SIZE)?;
            let mut state = flow.start(problem.start(m, seed))?;
            flow.run(&mut state, PROXIMAL_STEPS, &mut ())?;
            Ok::<_, Failure>(problem.excess(state.energy()))
        });
        for row in rows.expect("convergent runs") {
            let largest = row.values.iter().copied().fold(0.0, f64::max);
            let (rate, low, high) = row.success_rate(THRESHOLD);
            println!(
                "| {} | {:.1e} | {largest:.1e} | {} of {seeds} | {rate:.2} [{low:.2}, {high:.2}] |",
                row.particles,
                row.median(),
                row.successes(THRESHOLD)
            );
        }
    }
}

/// The excess of Euler at a fixed time against the step size.
fn steps(problems: &[Problem], is_test: bool) {
    let (time, seeds) = if is_test {
        (1.0, 1)
    } else {
        (TIME, EULER_SEEDS)
    };
    println!("\nEuler, {NEURONS} neurons, t = {time}: median excess of {seeds} seeds\n");
    println!(
        "| dt | steps | {} |",
        problems
            .iter()
            .map(|p| p.name)
            .collect::<Vec<_>>()
            .join(" | ")
    );
    println!("|---|---|---|---|---|");
    for dt in STEP_SIZES {
        let columns = problems.iter().map(|problem| {
            let runs = study::width(&[NEURONS], 0..seeds, |m, seed| {
                let mut flow = ParticleFlow::new((problem.energy)(), Euler, dt)?;
                let mut state = flow.start(problem.start(m, seed))?;
                let end = flow.run_until(&mut state, time, &mut UntilRising::new(10.0)?);
                let excess = problem.excess(state.energy());
                let rises = !matches!(end, Ok(StopReason::Time));
                Ok::<_, Failure>(if rises { f64::NAN } else { excess })
            });
            let median = runs.expect("valid parameters")[0].median();
            if median.is_nan() {
                "rises".into()
            } else {
                format!("{median:.1e}")
            }
        });
        let columns: Vec<String> = columns.collect();
        println!(
            "| {dt} | {} | {} |",
            (time / dt).ceil(),
            columns.join(" | ")
        );
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An energy that counts its evaluations: velocities, first variations, products with the Hessian
/// and Hessians of the first variation count one each, values are not counted.
struct Counted {
    energy: Box<dyn Energy<f64> + Send>,
    count: usize,
}

impl Energy<f64> for Counted {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        self.energy.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        self.count += 1;
        self.energy.velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        self.count += 1;
        self.energy.first_variation(mu, at, values, descent)
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        out: &mut DMatrix<f64>,
    ) -> Option<()> {
        self.count += 1;
        self.energy.curvature(mu, v, out)
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        remainder: &mut [f64],
        included: &mut [f64],
    ) -> Option<()> {
        self.count += 1;
        self.energy.hessians(mu, remainder, included)
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        margin: f64,
        visit: &mut dyn FnMut(&Breakpoint<'_, f64>),
    ) {
        self.energy.breakpoints(mu, v, margin, visit);
    }
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<f64>, f64)>) -> Option<f64> {
        self.energy.relax(at)
    }
    fn check(&self) -> Result<(), EnergyError> {
        self.energy.check()
    }
}

/// Evaluations and steps to an excess.
#[derive(Clone, Copy)]
struct Work {
    evaluations: usize,
    steps: usize,
    size: f64,
}

/// The work of one run to each excess; `None` if it is not reached.
fn work(
    problem: &Problem,
    integrator: Box<dyn Integrator<f64>>,
    size: f64,
    most: usize,
) -> [Option<Work>; EXCESSES.len()] {
    let energy = Counted {
        energy: (problem.energy)(),
        count: 0,
    };
    let mut flow = ParticleFlow::new(energy, integrator, size).expect("valid parameters");
    let start = problem.start(problem.width, 0);
    let mut state = flow.start(start).expect("a state");
    let most_energy = DIVERGED * state.energy();
    EXCESSES.map(|excess| {
        let target = problem.optimum * (1.0 + excess);
        let mut target = UntilTarget::new(target).expect("a finite target");
        // One step at a time: the count is that of the flow.
        while target.observe(&state) == ControlFlow::Continue(()) {
            let has_ended = flow.energy().count >= most || state.energy() > most_energy;
            if has_ended || flow.advance(&mut state).is_err() {
                return None;
            }
        }
        Some(Work {
            evaluations: flow.energy().count,
            steps: state.step(),
            size,
        })
    })
}

/// Evaluations to a given excess, of the best step size.
fn integrators(problems: &[Problem], is_test: bool) {
    type New = fn() -> Box<dyn Integrator<f64>>;
    let methods: [(&str, New); 8] = [
        ("`Euler`", || Box::new(Euler)),
        ("`Heun`", || Box::new(Heun)),
        ("`Rk4`", || Box::new(Rk4)),
        ("`DormandPrince`, 1e-3", || {
            Box::new(DormandPrince::new(1e-3, 1e-6))
        }),
        ("`HeavyBall`, 0.1", || {
            Box::new(HeavyBall::new(0.1).expect("a friction"))
        }),
        ("`HeavyBall`, 0.5", || {
            Box::new(HeavyBall::new(0.5).expect("a friction"))
        }),
        ("`Conic`, 1, 1", || Box::new(Conic::new(1.0, 1.0))),
        ("`Jko`", || Box::new(Jko::default())),
    ];
    let most = if is_test { 20 } else { EVALUATIONS };
    let sizes = if is_test { &SIZES[3..4] } else { &SIZES[..] };
    for problem in problems {
        println!(
            "\n{}, {} neurons: evaluations (steps; dt)\n",
            problem.name, problem.width
        );
        println!(
            "| integrator | {} |",
            EXCESSES.map(|excess| format!("{excess:.0e}")).join(" | ")
        );
        println!("|---|---|---|---|---|");
        for (name, new) in methods {
            let mut best = [None::<Work>; EXCESSES.len()];
            for &size in sizes {
                for (best, found) in best.iter_mut().zip(work(problem, new(), size, most)) {
                    let improves = |found: &Work| {
                        best.is_none_or(|best: Work| found.evaluations < best.evaluations)
                    };
                    *best = found.filter(improves).or(*best);
                }
            }
            let cells = best.map(|work| match work {
                Some(Work {
                    evaluations,
                    steps,
                    size,
                }) => {
                    format!("{evaluations} ({steps}; {size})")
                }
                None => "-".into(),
            });
            println!("| {name} | {} |", cells.join(" | "));
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    type Table = fn(&[Problem], bool);
    let tables: [(&str, Table); 3] = [
        ("widths", widths),
        ("steps", steps),
        ("integrators", integrators),
    ];
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !tables.iter().any(|&(name, _)| named(name));
    let mut problems = Vec::from(problems());
    if problems.iter().any(|problem| named(problem.name)) {
        problems.retain(|problem| named(problem.name));
    }
    for (name, table) in tables {
        if all || named(name) {
            table(&problems, is_test);
        }
    }
}
