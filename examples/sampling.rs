//! Sampling of N(0, 0.2) by noise, with and without momentum, and by Stein's method.
//!
//! Seeds and step sizes were chosen before the results were computed. Statistical errors of a
//! variance of 20 000 particles are about 1 %. With `--features plot` the example draws
//! `target/sampling.svg`: histograms and densities.

use std::error::Error;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

const TAU: f64 = 0.2;

/// The measure at the time 25, in the potential `w^2 / 2`.
fn sample(
    integrator: impl Integrator<f64>,
    m: usize,
    dt: f64,
) -> Result<EmpiricalMeasure<f64>, Box<dyn Error>> {
    let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
    let mut flow = ParticleFlow::new(energy, integrator, dt)?;
    let grid = DMatrix::from_fn(1, m, |_, i| (i as f64 + 0.5) / m as f64 - 0.5);
    let mut state = flow.start(EmpiricalMeasure::uniform(grid)?)?;
    flow.run_until(&mut state, 25.0, &mut ())?;
    let (mu, k) = (state.into_measure(), 4);
    if m > 1000 {
        // The free energy int V dmu + tau int log mu, on 2000 particles; its minimum.
        let some = mu.points().columns(0, 2000).into_owned();
        let entropy = measure::knn_entropy(&EmpiricalMeasure::uniform(some)?, k)?;
        let minimum = -TAU / 2.0 * (std::f64::consts::TAU * TAU).ln();
        let free_energy = mu.second_moment() / 2.0 - TAU * entropy;
        println!("    free energy {free_energy:.4}, minimum {minimum:.4}");
        assert!((free_energy - minimum).abs() < 0.02);
    }
    Ok(mu)
}

fn row(what: &str, found: f64, exact: f64) {
    println!("{what:<34} variance {found:.4}  exact {exact:.4}");
    assert!((found / exact - 1.0).abs() < 0.05, "{what}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut panels = Vec::new();
    for dt in [0.1, 0.5] {
        let (euler, baoab) = (
            format!("Euler-Maruyama, dt = {dt}"),
            format!("BAOAB, dt = {dt}"),
        );
        let mu = sample(Langevin::new(TAU, 7)?, 20_000, dt)?;
        row(&euler, mu.second_moment(), TAU / (1.0 - dt / 2.0));
        let momentum = sample(KineticLangevin::new(TAU, 1.0, 7)?, 20_000, dt)?;
        row(&baoab, momentum.second_moment(), TAU);
        if dt == 0.5 {
            panels.extend([(euler, mu, 0.1), (baoab, momentum, 0.1)]);
        }
    }
    // SVGD needs few particles: no noise. Its variance is biased by the kernel and by m.
    let svgd = sample(Svgd::new(Gaussian::new(1, 0.4)?, TAU)?, 100, 0.1)?;
    let found = svgd.second_moment();
    println!("SVGD, 100 particles                variance {found:.4}  limit {TAU:.4}");
    panels.push(("SVGD, 100 particles".to_owned(), svgd, 0.2));
    #[cfg(feature = "plot")]
    draw(&panels)?;
    Ok(())
}

/// Histograms with bins of a given width, and the density of N(0, 0.2).
#[cfg(feature = "plot")]
fn draw(panels: &[(String, EmpiricalMeasure<f64>, f64)]) -> Result<(), Box<dyn Error>> {
    use wasserflow::plot::{BLACK, BLUE, Figure, Style};
    let density = |w: f64| (-w * w / (2.0 * TAU)).exp() / (std::f64::consts::TAU * TAU).sqrt();
    let panel = |(title, mu, width): &(String, EmpiricalMeasure<f64>, f64)| {
        let reach = (2.0 / width).round() as i32;
        let bars = (-reach..reach).flat_map(|bin| {
            let (low, high) = (f64::from(bin) * width, f64::from(bin + 1) * width);
            let members = mu.points().iter().filter(|&&w| low <= w && w < high);
            let height = members.count() as f64 / (mu.len() as f64 * width);
            [[low, 0.0, height], [high, 0.0, height]]
        });
        let curve = (-80..=80).map(|i| [f64::from(i) / 40.0, density(f64::from(i) / 40.0)]);
        Figure::new()
            .band(bars, Style::new(BLUE).opacity(0.4).label("particles"))
            .line(curve, Style::new(BLACK).label("density of N(0, 0.2)"))
            .y_range(0.0, 1.0)
            .x_label("w")
            .title(title)
    };
    let figure = panels.iter().map(panel).reduce(Figure::beside);
    std::fs::create_dir_all("target")?;
    figure.unwrap_or_default().save("target/sampling.svg")?;
    println!("Figure: target/sampling.svg");
    Ok(())
}
