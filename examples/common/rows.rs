//! Galleries of flows: a row of panels for each flow, and a number of each beside its closed form.

use std::error::Error;

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

/// Writes `target/NAME.svg`: at most 100 particles of each measure in the square of radius `reach`,
/// in front of what `background` adds to the panels of a row.
#[cfg(feature = "plot")]
pub fn draw(
    rows: &[Row],
    reach: f64,
    background: impl Fn(wasserflow::plot::Figure, usize) -> wasserflow::plot::Figure,
) -> Result<(), Box<dyn Error>> {
    use wasserflow::plot::{BLUE, Figure, Style};
    let panels = rows.iter().enumerate().flat_map(|(r, row)| {
        let background = &background;
        row.measures.iter().enumerate().map(move |(i, mu)| {
            let points = mu.points().column_iter().take(100).map(|w| [w[0], w[1]]);
            background(Figure::new(), r)
                .points(points, Style::new(BLUE).radius(1.5))
                .x_range(-reach, reach)
                .y_range(-reach, reach)
                .equal()
                .x_ticks([(0.0, ""); 0])
                .y_ticks([(0.0, ""); 0])
                .y_label(if i == 0 { row.name } else { "" })
                .title(format!("t = {}", row.times[i]))
        })
    });
    let figure = panels.reduce(Figure::beside).unwrap_or_default();
    let path = format!("target/{}.svg", env!("CARGO_CRATE_NAME"));
    std::fs::create_dir_all("target")?;
    figure
        .columns(5)
        .size(700.0, 30.0 + 170.0 * rows.len() as f64)
        .save(&path)?;
    println!("Figure: {path}");
    Ok(())
}
