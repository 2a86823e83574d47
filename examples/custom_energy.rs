//! A custom energy: value and velocity, accepted by every integrator and observer.
//!
//! Particles with long-range attraction and short-range repulsion converge to the uniform
//! distribution on the unit disc. With `--features plot` the example draws
//! `target/custom_energy.svg`.

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::{LogSpaced, Snapshots};
use wasserflow::prelude::*;

/// `F(mu) = (1/2) int int W(w - v) dmu dmu`, `W(z) = |z|^2 / 2 - log |z|` in the plane, without
/// self-interaction.
///
/// The Laplacians of the two terms are the constant 2 and `2 pi delta`, so the density at
/// equilibrium is `1 / pi`. Because the diagonal is left out, F depends on the particles and not on
/// the measure alone: a particle must not be replaced by clones of half its weight, whose
/// interaction would be infinite.
#[derive(Debug)]
struct Interaction;

impl Energy<f64> for Interaction {
    fn particle_dim(&self) -> usize {
        2
    }

    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        let mut value = 0.0;
        for i in 0..mu.len() {
            for j in (0..mu.len()).filter(|&j| j != i) {
                let r2 = (mu.points().column(i) - mu.points().column(j)).norm_squared();
                value += 0.5 * mu.weight(i) * mu.weight(j) * (0.5 * r2 - 0.5 * r2.ln());
            }
        }
        value
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(0.0);
        for i in 0..mu.len() {
            for j in (0..mu.len()).filter(|&j| j != i) {
                let z = mu.points().column(i) - mu.points().column(j);
                out.column_mut(i)
                    .axpy(mu.weight(j) * (1.0 / z.norm_squared() - 1.0), &z, 1.0);
            }
        }
        self.value(mu)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut flow = ParticleFlow::new(Interaction, DormandPrince::default(), 0.01)?;
    let start = init::gaussian(2, 100, 0.1, &mut ChaCha8Rng::seed_from_u64(0))?;
    let mut state = flow.start(start)?;
    let mut paths = LogSpaced::new(1.05, Snapshots::new())?;
    println!("     t       F  int |w|^2 dmu  radius   (disc: 1/2 and 1)");
    for time in [0.0, 0.1, 1.0, 10.0, 50.0] {
        flow.run_until(&mut state, time, &mut paths)?;
        let mu = state.measure();
        let norms = mu.points().column_iter().map(|w| w.norm());
        let radius = norms.fold(0.0, f64::max);
        println!(
            "{time:>6.1}  {:>6.3}  {:>13.3}  {radius:>6.3}",
            state.energy(),
            mu.second_moment()
        );
    }
    assert!((state.measure().second_moment() - 0.5).abs() < 0.02);

    #[cfg(feature = "plot")]
    {
        use wasserflow::plot::{self, GREY, Style};
        let angles = (0..=120).map(|i| f64::from(i) * std::f64::consts::PI / 60.0);
        std::fs::create_dir_all("target")?;
        plot::neurons(&paths.into_inner())
            .line(
                angles.map(|t| [t.cos(), t.sin()]),
                Style::new(GREY).dashed().label("unit circle"),
            )
            .title("Attraction and repulsion")
            .save("target/custom_energy.svg")?;
        println!("Figure: target/custom_energy.svg");
    }
    Ok(())
}
