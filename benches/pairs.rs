//! The energies of `O(m^2)` pairs and one step of SVGD, at m = m' = 10^4 in `R^2` and `R^10`, and
//! the Sinkhorn divergence.
//!
//! `pairs [FOLDER] [FILTER]` prints the least seconds of a velocity, and the least CPU seconds of all
//! threads (on Linux). `benches/peers/pairs.py` runs it beside PyTorch, KeOps, JAX, GeomLoss and OTT.
//! With `FOLDER`, the points are read from the files `x_D.f64` and `y_D.f64` that the script writes,
//! one point after the other. Results are written to `ENERGY_D_SCALAR.f64` there: the value and the
//! velocities, and the potentials of the Sinkhorn divergence.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::transport::SinkhornEnergy;

/// The score of the standard normal density.
struct Normal;

impl<T: Real> Score<T> for Normal {
    fn score(&self, w: &[T], out: &mut [T]) {
        out.iter_mut().zip(w).for_each(|(out, &w)| *out = -w);
    }
    fn hessian_product(&self, _: &[T], v: &[T], out: &mut [T]) {
        out.iter_mut().zip(v).for_each(|(out, &v)| *out = -v);
    }
}

/// The CPU seconds of this process, in steps of 1/100 s; NaN except on Linux.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| {
        let word = after_name.split_whitespace().nth(field);
        word.and_then(|word| word.parse::<f64>().ok())
            .unwrap_or(f64::NAN)
    };
    (ticks(11) + ticks(12)) / 100.0
}

/// What is measured, and how often.
struct Run {
    particles: usize,
    repetitions: usize,
    filter: String,
    folder: Option<String>,
}

impl Run {
    /// The particles and the target in `R^d`.
    fn clouds<T: Real>(&self, d: usize) -> [EmpiricalMeasure<T>; 2] {
        let read = |name: &str| match &self.folder {
            Some(folder) => {
                let path = Path::new(folder).join(format!("{name}_{d}.f64"));
                let bytes = std::fs::read(path).expect("a file");
                let numbers = bytes.as_chunks::<8>().0.iter();
                let numbers: Vec<f64> = numbers.map(|&x| f64::from_le_bytes(x)).collect();
                DMatrix::from_vec(d, numbers.len() / d, numbers)
            }
            None => {
                let mut rng = ChaCha8Rng::seed_from_u64(u64::from(name == "x"));
                let cloud = init::gaussian(d, self.particles, 1.0, &mut rng);
                let cloud: EmpiricalMeasure<f64> = cloud.expect("a measure");
                let shift = if name == "x" { 0.0 } else { 0.5 };
                cloud.points().map(|x| x + shift)
            }
        };
        ["x", "y"].map(|name| {
            let points = read(name).map(real::<T>);
            EmpiricalMeasure::uniform(points).expect("a measure")
        })
    }

    /// The least time of the velocity of an energy, which is written to the folder.
    fn velocity<T: Real + Into<f64>>(
        &self,
        name: &str,
        mut energy: impl Energy<T>,
        mu: &EmpiricalMeasure<T>,
    ) {
        let mut out = DMatrix::zeros(mu.dim(), mu.len());
        let mut value = T::zero();
        if self.least::<T>(name, mu.dim(), || {
            value = black_box(energy.velocity(mu, &mut out));
        }) {
            self.write(name, mu.dim(), [&[value], out.as_slice()]);
        }
    }

    /// The name of a row of the table.
    fn id<T>(name: &str, d: usize) -> String {
        format!("{name} {d} {}", std::any::type_name::<T>())
    }

    /// Writes numbers to a file of the folder, in `f64`.
    fn write<T: Real + Into<f64>, const N: usize>(&self, name: &str, d: usize, parts: [&[T]; N]) {
        if let Some(folder) = &self.folder {
            let file = Self::id::<T>(name, d).replace(' ', "_") + ".f64";
            let numbers = parts.into_iter().flatten();
            let bytes = numbers.flat_map(|&x| x.into().to_le_bytes());
            std::fs::write(Path::new(folder).join(file), bytes.collect::<Vec<_>>())
                .expect("a file");
        }
    }

    /// Prints the least times of the work; returns false, and does nothing, if the filter excludes
    /// the row.
    fn least<T: Real>(&self, name: &str, d: usize, mut work: impl FnMut()) -> bool {
        let id = Self::id::<T>(name, d);
        if !id.contains(&self.filter) {
            return false;
        }
        work();
        let (mut least, mut least_cpu) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..self.repetitions {
            let (clock, cpu) = (Instant::now(), cpu_seconds());
            work();
            least = least.min(clock.elapsed().as_secs_f64());
            least_cpu = least_cpu.min(cpu_seconds() - cpu);
        }
        println!("{id} {least:.6} {least_cpu:.2}");
        true
    }

    fn energies<T: Real + Into<f64>>(&self, d: usize) {
        let [mu, nu] = self.clouds::<T>(d);
        let h = real::<T>((d as f64).sqrt());
        let gaussian = Gaussian::new(d, h).expect("a bandwidth");
        let mmd = Mmd::new(gaussian, nu.clone()).expect("equal dimensions");
        self.velocity("mmd", mmd, &mu);
        let kernel = Riesz::new(1.0).expect("an exponent");
        let distance = EnergyDistance::new(kernel, nu).expect("a finite kernel");
        self.velocity("energy-distance", distance, &mu);
        let w = GaussianInteraction::new(h, T::one()).expect("a bandwidth");
        self.velocity("interaction", InteractionEnergy::new(w, d), &mu);
        let stein = SteinDiscrepancy::new(Normal, gaussian, d);
        self.velocity("stein", stein, &mu);
        let potential = PotentialEnergy::new(WeightDecay::new(real(0.5)).expect("positive"), d);
        let svgd = Svgd::new(gaussian, T::one()).expect("a temperature");
        let step = real::<T>(0.125);
        let mut flow = ParticleFlow::new(potential, svgd, step).expect("a flow");
        let mut state = flow.start(mu.clone()).expect("a state");
        let mut first = None;
        if self.least::<T>("svgd", d, || {
            flow.advance(&mut state).expect("a step");
            first.get_or_insert_with(|| (state.measure().points() - mu.points()) / step);
        }) {
            let first = first.expect("a step");
            self.write("svgd", d, [&[T::zero()], first.as_slice()]);
        }
    }

    /// The value and velocity of the divergence, at a tolerance of the marginals: by a new energy,
    /// by the same energy again, and by a warm start after a step of 0.01.
    fn sinkhorn<T: Real + Into<f64> + std::fmt::LowerExp>(
        &self,
        d: usize,
        epsilon: f64,
        tolerance: f64,
    ) {
        let name = format!("sinkhorn-{epsilon}-{tolerance:e}");
        if !Self::id::<T>(&name, d).contains(&self.filter) {
            return;
        }
        let [mu, nu] = self.clouds::<T>(d);
        let new = || {
            let energy = SinkhornEnergy::half_square(nu.clone(), real(epsilon)).expect("positive");
            let energy = energy.accuracy(real(tolerance), 10_000);
            energy.expect("a tolerance").warm_started()
        };
        let mut out = DMatrix::zeros(d, mu.len());
        let (mut energy, mut value) = (new(), T::zero());
        let timed = |energy: &mut SinkhornEnergy<T>, mu: &EmpiricalMeasure<T>, out: &mut _| {
            let (clock, cpu) = (Instant::now(), cpu_seconds());
            let value = black_box(energy.velocity(mu, out));
            (value, clock.elapsed().as_secs_f64(), cpu_seconds() - cpu)
        };
        let (mut least, mut least_cpu) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..self.repetitions.min(3) {
            energy = new();
            let (found, wall, cpu) = timed(&mut energy, &mu, &mut out);
            value = found;
            (least, least_cpu) = (least.min(wall), least_cpu.min(cpu));
        }
        println!("{} {least:.6} {least_cpu:.2}", Self::id::<T>(&name, d));
        println!(
            "{} value {value:.9} marginal {:.2e}",
            Self::id::<T>(&name, d),
            energy.marginal_error()
        );
        let [f, g, p] = energy.potentials();
        self.write(&name, d, [&[value], out.as_slice(), f, g, p]);
        let moved = mu.points() + &out * real::<T>(0.01);
        let moved = EmpiricalMeasure::uniform(moved).expect("a measure");
        let (_, wall, cpu) = timed(&mut energy, &moved, &mut out);
        println!("{} warm {wall:.6} {cpu:.2}", Self::id::<T>(&name, d));
    }
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let mut arguments = std::env::args().skip(1).filter(|x| !x.starts_with("--"));
    let run = Run {
        particles: if is_test { 300 } else { 10_000 },
        repetitions: if is_test { 1 } else { 5 },
        folder: arguments.next().filter(|x| x != "-"),
        filter: arguments.next().unwrap_or_default(),
    };
    for d in [2, 10] {
        run.energies::<f32>(d);
        run.energies::<f64>(d);
        // 0.1 and 0.01 of half the squared distance that two points of a normal law have on average
        for epsilon in [0.05 * d as f64, 0.005 * d as f64] {
            for tolerance in [1e-3, 1e-6] {
                run.sinkhorn::<f64>(d, epsilon, tolerance);
            }
            run.sinkhorn::<f32>(d, epsilon, 1e-3);
        }
    }
}
