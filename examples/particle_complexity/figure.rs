//! The figure: excess risk against the number of neurons, one panel for each activation.

use wasserflow::study::Width;

use crate::Curves;
use crate::svg::{Axis, BLUE, Mark, Svg, VERMILION, fill, scientific, stroke};

const SIDE: f64 = 300.0;
const LEFT: f64 = 62.0;
const GAP: f64 = 76.0;
const TOP: f64 = 88.0;

/// Medians as lines, seeds as dots. Risks below `floor`, where the flow is stopped, are drawn at
/// `floor`.
pub fn draw(panels: &[Curves], floor: f64, teacher: usize) -> Svg {
    let width = LEFT + panels.len() as f64 * (SIDE + GAP) - GAP + 24.0;
    let title = "Excess risk of m neurons that learn a teacher of 20 in 100 dimensions";
    let mut svg = Svg::new(width, TOP + SIDE + 48.0, title);
    let dashed = format!("{} stroke-dasharray=\"5 3\"", stroke("#555", 1.0));
    let keys = [
        (Mark::path(BLUE), "flow: median, seeds"),
        (
            Mark::path(VERMILION),
            "fixed neurons, optimal output weights",
        ),
        (vec![Mark::Line(dashed.clone())], "m of the teacher"),
    ];
    svg.legend([LEFT, 50.0], keys);
    for (i, curves) in panels.iter().enumerate() {
        let sizes: Vec<_> = curves
            .fixed
            .iter()
            .map(|width| width.particles as f64)
            .collect();
        let (low, high) = (sizes[0], sizes[sizes.len() - 1]);
        let axes = [
            Axis::log("number of neurons m", [low / 1.2, high * 1.2]).with_ticks(labels(&sizes)),
            Axis::log("F / R(0)", [floor / 3.0, 2.0]),
        ];
        let left = LEFT + i as f64 * (SIDE + GAP);
        let panel = svg.panel(curves.name, [left, TOP], [SIDE, SIDE], axes);
        panel.note(
            &mut svg,
            &format!("flow stopped at {}", scientific(floor, 0)),
        );
        let m = teacher as f64;
        svg.line(
            [[m, floor / 3.0], [m, 2.0]].map(|point| panel.at(point)),
            &dashed,
        );
        for (curve, colour) in [(&curves.fixed, VERMILION), (&curves.moving, BLUE)] {
            let at =
                |width: &Width, value: f64| panel.at([width.particles as f64, value.max(floor)]);
            svg.line(
                curve.iter().map(|width| at(width, width.median())),
                &stroke(colour, 2.0),
            );
            svg.group(&format!("{} fill-opacity=\"0.6\"", fill(colour)), |svg| {
                for width in curve {
                    width
                        .values
                        .iter()
                        .for_each(|&value| svg.circle(at(width, value), 2.5, ""));
                }
            });
        }
    }
    svg
}

/// The sizes that are labelled: each is at least 1.9 times the last, so that labels do not overlap.
fn labels(sizes: &[f64]) -> Vec<(f64, f64)> {
    let mut labels: Vec<(f64, f64)> = Vec::new();
    for &m in sizes {
        if labels.last().is_none_or(|last| m >= 1.9 * last.0) {
            labels.push((m, m));
        }
    }
    labels
}
