//! Galleries of flows: a row of panels for each flow, and a number of each beside its closed form.

use std::error::Error;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

/// The measures of a flow at some times.
pub struct Row {
    /// The title in the figure.
    pub name: &'static str,
    pub times: [f64; 5],
    pub measures: Vec<EmpiricalMeasure<f64>>,
}

impl Row {
    /// The flow at the times 0, 1, 3, 6 and 20, divided by `rate`, by steps of `dt`.
    pub fn new<I: Integrator<f64>>(
        name: &'static str,
        (energy, integrator, dt): (impl Energy<f64>, I, f64),
        start: &EmpiricalMeasure<f64>,
        rate: f64,
    ) -> Result<Self, Box<dyn Error>> {
        let times = [0.0, 1.0, 3.0, 6.0, 20.0].map(|t| t / rate);
        let mut flow = ParticleFlow::new(energy, integrator, dt)?;
        let mut state = flow.start(start.clone())?;
        let mut measures = Vec::new();
        for time in times {
            flow.run_until(&mut state, time, &mut ())?;
            measures.push(state.measure().clone());
        }
        Ok(Self {
            name,
            times,
            measures,
        })
    }

    /// Prints a number of the measure i beside its exact value. The error must be below `bound`.
    pub fn number(&self, i: usize, what: &str, found: f64, exact: f64, bound: f64) {
        let (name, t, error) = (self.name, self.times[i], (found - exact).abs());
        println!(
            "{name:<19} t = {t:<4} {what:<27} {found:.7}  exact {exact:.7}  error {error:.0e}"
        );
        assert!(error < bound, "{name}");
    }
}

/// A disc or an ellipse of m points.
pub fn disc(
    m: usize,
    centre: [f64; 2],
    radii: [f64; 2],
) -> Result<EmpiricalMeasure<f64>, MeasureError> {
    EmpiricalMeasure::uniform(DMatrix::from_fn(2, m, |l, i| {
        let (radius, angle) = (((i as f64 + 0.5) / m as f64).sqrt(), 2.4 * i as f64);
        centre[l] + radii[l] * radius * [angle.cos(), angle.sin()][l]
    }))
}

/// Curves in the plane.
pub type Curves = Vec<Vec<[f64; 2]>>;

/// 30 points on a circle, from the first angle to the second.
pub fn arc([x, y]: [f64; 2], radius: f64, [from, to]: [f64; 2]) -> Vec<[f64; 2]> {
    let angles = (0..30).map(|i| from + (to - from) * f64::from(i) / 29.0);
    let at = angles.map(|angle| [x + radius * angle.cos(), y + radius * angle.sin()]);
    at.collect()
}

/// Writes `target/NAME.svg` with the feature `plot`: at most 60 particles of each measure in the
/// square of radius `reach`, and the curves of their row in grey.
pub fn draw(rows: &[(Row, Curves)], reach: f64) -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "plot")]
    {
        use wasserflow::plot::{BLUE, Figure, GREY, Style};
        let panel = |(row, curves): &(Row, Curves), i: usize| {
            let mu = &row.measures[i];
            let points = mu.points().column_iter().step_by(mu.len().div_ceil(60));
            Figure::new()
                .lines(curves.clone(), Style::new(GREY).width(1.0))
                .points(points.map(|w| [w[0], w[1]]), Style::new(BLUE).radius(1.5))
                .x_range(-reach, reach)
                .y_range(-reach, reach)
                .equal()
                .x_ticks([(0.0, ""); 0])
                .y_ticks([(0.0, ""); 0])
                .y_label(if i == 0 { row.name } else { "" })
                .title(format!("t = {}", row.times[i]))
        };
        let panels = rows
            .iter()
            .flat_map(|row| (0..5).map(move |i| panel(row, i)));
        let figure = panels.reduce(Figure::beside).unwrap_or_default();
        let path = format!("target/{}.svg", env!("CARGO_CRATE_NAME"));
        std::fs::create_dir_all("target")?;
        figure
            .columns(5)
            .size(700.0, 30.0 + 155.0 * rows.len() as f64)
            .save(&path)?;
        println!("Figure: {path}");
    }
    let _ = (rows, reach);
    Ok(())
}
