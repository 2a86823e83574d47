//! Flows of interactions and distances from one cloud to another, drawn, each beside the closed
//! form of one of its numbers.
//!
//! Times, the epsilon of Sinkhorn and the width of the Gaussian kernel were chosen after looking at
//! the figure. With `--features plot` the example draws `target/gallery.svg`.

use std::error::Error;
use std::f64::consts::PI;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::transport::{SinkhornEnergy, SlicedW2Energy, W2Energy};

#[path = "common/rows.rs"]
mod rows;
use rows::Row;

type Measure = EmpiricalMeasure<f64>;

/// A disc of 60 points.
fn disc(centre: [f64; 2], radii: [f64; 2]) -> Result<Measure, MeasureError> {
    Measure::uniform(DMatrix::from_fn(2, 60, |l, i| {
        let (radius, angle) = ((i as f64 + 0.5).sqrt() / 60_f64.sqrt(), 2.4 * i as f64);
        centre[l] + radii[l] * radius * [angle.cos(), angle.sin()][l]
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let moons = Measure::uniform(DMatrix::from_fn(2, 60, |l, i| {
        let (angle, side) = ((i % 30) as f64 * PI / 29.0, [1.0, -1.0][i / 30]);
        side * [angle.cos() - 0.5, angle.sin() - 0.2][l] - [0.0, 0.5][l]
    }))?;
    let (start, flat) = (disc([0.3, 1.0], [0.3; 2])?, disc([0.0; 2], [1.0, 0.1])?);
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

    let exact_plan = (W2Energy::new(moons.clone())?, Rk4, 0.05);
    let exact_plan = Row::new("(1/2) W₂²", exact_plan, &start, 5.0)?;
    let ratio = (w2(&exact_plan.measures[3])? / w2(&start)?).powi(2);
    exact_plan.number(3, "W2^2 relative to t = 0", ratio, a_24, 1e-6);

    let sliced = (SlicedW2Energy::new(moons.clone(), 1000, 0)?, Rk4, 0.1);
    let sliced = Row::new("(1/2) sliced W₂²", sliced, &start, 2.5)?;
    let ratio = mean(&sliced.measures[3]) / mean(&start);
    sliced.number(3, "distance of the means", ratio, a_12, 0.02);

    let sinkhorn = (SinkhornEnergy::half_square(moons.clone(), 0.1)?, Rk4, 0.05);
    let sinkhorn = Row::new("Sinkhorn divergence", sinkhorn, &start, 5.0)?;
    let ratio = mean(&sinkhorn.measures[3]) / mean(&start);
    sinkhorn.number(3, "distance of the means", ratio, a_12, 1e-6);

    let mmd = (Mmd::new(Gaussian::new(2, 0.7)?, moons.clone())?, Heun, 0.1);
    let mmd = Row::new("MMD²/2, Gaussian", mmd, &start, 0.5)?;
    let distance = EnergyDistance::new(Riesz::new(1.0)?, moons.clone())?;
    let distance = Row::new("energy distance", (distance, Heun, 0.05), &start, 1.0)?;
    for row in [&mmd, &distance] {
        println!("{:<19} W2 {:.3}", row.name, w2(&row.measures[4])?);
    }
    #[cfg(feature = "plot")]
    rows::draw(
        &[
            equilibrium,
            ring,
            exact_plan,
            sliced,
            sinkhorn,
            mmd,
            distance,
        ],
        1.9,
        |panel, row| {
            let grey = wasserflow::plot::Style::new(wasserflow::plot::GREY).width(1.0);
            let circle = |r: f64| {
                (0..=60).map(move |i| {
                    [
                        r * (PI * i as f64 / 30.0).cos(),
                        r * (PI * i as f64 / 30.0).sin(),
                    ]
                })
            };
            let moon = |from: usize| {
                moons
                    .points()
                    .column_iter()
                    .skip(from)
                    .take(30)
                    .map(|w| [w[0], w[1]])
            };
            match row {
                0 => panel.line(circle(1.0), grey),
                1 => panel.line(circle(0.585487911), grey),
                _ => panel.lines([moon(0), moon(30)], grey),
            }
        },
    )?;
    Ok(())
}
