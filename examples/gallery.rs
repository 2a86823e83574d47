//! Flows of interactions and distances, each beside the closed form of one of its numbers.
//!
//! Step sizes were chosen before the results were computed.

use std::error::Error;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::transport::{SinkhornEnergy, W2Energy};

type Measure = EmpiricalMeasure<f64>;

fn line(points: &[f64]) -> Result<Measure, MeasureError> {
    Measure::uniform(DMatrix::from_row_slice(1, points.len(), points))
}

/// The measure at a time, by steps of `dt` of the Runge-Kutta method of order 4.
fn flow(
    energy: impl Energy<f64>,
    start: Measure,
    time: f64,
    dt: f64,
) -> Result<Measure, Box<dyn Error>> {
    let mut flow = ParticleFlow::new(energy, Rk4, dt)?;
    let mut state = flow.start(start)?;
    flow.run_until(&mut state, time, &mut ())?;
    Ok(state.into_measure())
}

fn row(what: &str, found: f64, exact: f64, bound: f64) {
    let error = (found - exact).abs();
    println!("{what:<44} {found:.9}  exact {exact:.9}  error {error:.0e}");
    assert!(error < bound, "{what}");
}

fn main() -> Result<(), Box<dyn Error>> {
    // W(z) = |z|^2 / 2 - log |z|: radius of a regular pentagon.
    let w = (PowerLaw::new(2.0, 1.0)?, PowerLaw::new(0.0, -1.0)?);
    let start = init::circle(5, 0.5)?;
    let mu = flow(InteractionEnergy::new(w, 2), start, 0.7, 0.01)?;
    row("aggregation, t = 0.7", mu.particle(0)[0], 0.60250349, 1e-7);

    // W(z) = |z|^4 / 4 - |z|^1.5 / 1.5: the ring of Kolokolnikov et al. 2011.
    let w = (PowerLaw::new(4.0, 1.0)?, PowerLaw::new(1.5, -1.0)?);
    let start = init::circle(100, 0.4)?;
    let mu = flow(InteractionEnergy::new(w, 2), start, 40.0, 0.1)?;
    row(
        "ring of a swarm, m = 100",
        mu.particle(0)[0],
        0.585486717,
        1e-8,
    );

    // A pair of blobs with the entropy: log u + Ei(u) = const + 8 t / e, u = 2 r^2 / e, e = 0.5.
    let mu = flow(Blob::entropy(1, 0.5)?, line(&[-0.1, 0.1])?, 1.0, 0.01)?;
    row("blobs, t = 1", mu.particle(1)[0], 0.847637029, 1e-7);

    // The energy distance to U[0, 1], from nearly one point: the variance at t = 0.5.
    let grid: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1e3).collect();
    let start: Vec<f64> = (0..50).map(|i| 0.5 + 1e-9 * f64::from(i)).collect();
    let energy = EnergyDistance::new(Riesz::new(1.0)?, line(&grid)?)?;
    let mu = flow(energy, line(&start)?, 0.5, 0.025)?;
    let variance = mu.points().iter().map(|w| (w - 0.5).powi(2)).sum::<f64>() / 50.0;
    row("energy distance, t = 0.5", variance, 0.0332980334, 1e-3);

    // W_2^2 / 2: a geodesic. The particle at 0 goes to 4.
    let energy = W2Energy::new(line(&[4.0, 6.0])?)?;
    let mu = flow(energy, line(&[0.0, 1.0])?, 1.0, 0.01)?;
    let exact = 4.0 * (1.0 - f64::exp(-1.0));
    row("exact transport, t = 1", mu.particle(0)[0], exact, 1e-8);

    // The Sinkhorn divergence of the cost |x - y|^2 / 2 at epsilon = 0.5, from +-0.3 to +-1.
    let energy = SinkhornEnergy::half_square(line(&[-1.0, 1.0])?, 0.5)?;
    let mu = flow(energy, line(&[-0.3, 0.3])?, 1.0, 0.02)?;
    row("Sinkhorn, t = 1", mu.particle(1)[0], 0.757535728, 1e-7);
    Ok(())
}
