//! The figure: excess risk against the number of neurons, one panel for each activation.

use wasserflow::plot::{self, Figure, GREY, Style, scientific};
use wasserflow::study::Width;

use crate::Curves;

/// Medians and quartiles. Risks below `floor`, where the flow is stopped, are drawn at `floor`.
pub fn draw(panels: &[Curves], floor: f64, teacher: usize) -> Figure {
    let floored = |study: &[Width]| -> Vec<Width> {
        let values = |width: &Width| width.values.iter().map(|value| value.max(floor)).collect();
        let width = |width: &Width| Width {
            particles: width.particles,
            values: values(width),
        };
        study.iter().map(width).collect()
    };
    let panel = |curves: &Curves| {
        let (flow, fixed) = (floored(&curves.moving), floored(&curves.fixed));
        let studies = [
            ("flow", &flow[..]),
            ("fixed neurons, optimal output weights", &fixed[..]),
        ];
        let line = Style::new(GREY)
            .width(1.0)
            .dashed()
            .label("m of the teacher");
        plot::widths(&studies)
            .vertical(teacher as f64, line)
            .y_range(floor / 3.0, 2.0)
            .y_label("F / R(0)")
            .title(curves.name)
            .note(format!("flow stopped at {}", scientific(floor, 0)))
    };
    let figure = panels.iter().map(panel).reduce(Figure::beside);
    figure
        .unwrap_or_default()
        .heading("Excess risk of m neurons that learn a teacher of 20 in 100 dimensions")
}
