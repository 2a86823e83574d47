//! Flows of interactions and distances from one cloud to another, drawn, each beside the closed
//! form of one of its numbers.
//!
//! Times, the epsilon of Sinkhorn and the width of the Gaussian kernel were chosen after looking at
//! the figure. With `--features plot` the example draws `target/gallery.svg`.

use std::error::Error;
use std::f64::consts::{PI, TAU};

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::transport::{SinkhornEnergy, SlicedW2Energy, W2Energy};

#[path = "common/rows.rs"]
mod rows;
use rows::Row;

type Measure = EmpiricalMeasure<f64>;

fn main() -> Result<(), Box<dyn Error>> {
    let curves = vec![
        rows::arc([-0.5, -0.7], 1.0, [0.0, PI]),
        rows::arc([0.5, -0.3], 1.0, [PI, TAU]),
    ];
    let moons = Measure::uniform(DMatrix::from_fn(2, 60, |l, i| curves[i / 30][i % 30][l]))?;
    let start = rows::disc(60, [0.3, 1.0], [0.3; 2])?;
    let flat = rows::disc(60, [0.0; 2], [1.0, 0.1])?;
    let spread = |mu: &Measure| mu.second_moment() - mu.points().column_mean().norm_squared();
    let mean = |mu: &Measure| (mu.points() - moons.points()).column_mean().norm();
    let w2 = |mu: &Measure| transport::w2(mu, &moons).map(|w2| w2.distance());
    let (a_12, a_24) = (f64::exp(-1.2), f64::exp(-2.4));

    let w = (PowerLaw::new(2.0, 1.0)?, PowerLaw::new(0.0, -1.0)?); // |z|^2 / 2 - log |z|
    let w = InteractionEnergy::new(w, 2);
    let equilibrium = Row::new("interaction", (w, Rk4, 0.005), &flat, 10.0)?;
    let exact = 59.0 / 120.0 + (spread(&flat) - 59.0 / 120.0) * a_12; // (m - 1) / 2m
    equilibrium.number(3, "variance", spread(&equilibrium.measures[3]), exact, 1e-6);

    let w = (PowerLaw::new(4.0, 1.0)?, PowerLaw::new(1.5, -1.0)?); // |z|^4 / 4 - |z|^1.5 / 1.5
    let w = InteractionEnergy::new(w, 2);
    let ring = Row::new("swarm", (w, Rk4, 0.1), &flat, 0.5)?;
    let radius = ring.measures[4].points().norm() / 60_f64.sqrt();
    ring.number(4, "radius of the ring", radius, 0.585487911, 1e-4); // Kolokolnikov et al. 2011

    let exact_plan = (W2Energy::new(moons.clone())?, Rk4, 0.1);
    let exact_plan = Row::new("(1/2) W₂²", exact_plan, &start, 5.0)?;
    let ratio = (w2(&exact_plan.measures[3])? / w2(&start)?).powi(2);
    exact_plan.number(3, "W2^2 relative to t = 0", ratio, a_24, 1e-5);

    let sliced = (SlicedW2Energy::new(moons.clone(), 1000, 0)?, Rk4, 0.1);
    let sliced = Row::new("(1/2) sliced W₂²", sliced, &start, 2.5)?;
    let ratio = mean(&sliced.measures[3]) / mean(&start);
    sliced.number(3, "distance of the means", ratio, a_12, 0.02);

    let sinkhorn = (SinkhornEnergy::half_square(moons.clone(), 0.1)?, Rk4, 0.1);
    let sinkhorn = Row::new("Sinkhorn divergence", sinkhorn, &start, 5.0)?;
    let ratio = mean(&sinkhorn.measures[3]) / mean(&start);
    sinkhorn.number(3, "distance of the means", ratio, a_12, 1e-5);

    let mmd = (Mmd::new(Gaussian::new(2, 0.7)?, moons.clone())?, Heun, 0.1);
    let mmd = Row::new("MMD²/2, Gaussian", mmd, &start, 0.5)?;
    let distance = EnergyDistance::new(Riesz::new(1.0)?, moons.clone())?;
    let distance = Row::new("energy distance", (distance, Heun, 0.05), &start, 1.0)?;
    for row in [&mmd, &distance] {
        let (name, t, w2) = (row.name, row.times[4], w2(&row.measures[4])?);
        println!("{name:<19} t = {t:<4} W2 to the target {w2:.3}");
    }
    rows::draw(
        &[
            (equilibrium, vec![rows::arc([0.0; 2], 1.0, [0.0, TAU])]),
            (ring, vec![rows::arc([0.0; 2], 0.585, [0.0, TAU])]),
            (exact_plan, curves.clone()),
            (sliced, curves.clone()),
            (sinkhorn, curves.clone()),
            (mmd, curves.clone()),
            (distance, curves),
        ],
        1.9,
    )
}
