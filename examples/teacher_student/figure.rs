//! The figure: the paths of the neurons in the plane of `|a| b`, one panel for each size m, and F
//! against time.
//!
//! A neuron may end on the line of a teacher neuron but on the opposite side. The difference
//! `(b.x)_+ - (-b.x)_+ = b.x` is linear, and the linear parts of several neurons can cancel. So the
//! data determine the lines, but not the ends.

use wasserflow::plot::{self, BLACK, Figure, GREEN, GREY, ORANGE, PURPLE, SKY, Style, scientific};
use wasserflow::prelude::*;

use crate::experiment::{Protocol, Students};

/// Colours of the sizes m, none of which is that of a sign.
const SIZES: [plot::Colour; 5] = [ORANGE, SKY, GREEN, PURPLE, BLACK];

/// The panels of the students in the order of m, then that of the curves.
pub fn draw(protocol: &Protocol, teacher: &EmpiricalMeasure<f64>, students: &[Students]) -> Figure {
    let plane = |students: &Students| {
        let run = &students.runs[protocol.drawn as usize];
        let risk = run.curve[run.curve.len() - 1][1];
        plot::neurons(&run.path)
            .teacher(teacher)
            .title(format!("m = {}", students.width.particles))
            .note(format!("F = {} R(0)", scientific(risk, 0)))
    };
    let planes = students.iter().map(plane).reduce(Figure::beside);
    planes
        .unwrap_or_default()
        .same_ranges()
        .beside(curves(protocol, students))
        .columns(3)
        .heading("Students of m neurons a (b·x)₊ that learn a teacher of 5 neurons in the plane")
}

/// Quartiles over the seeds, at times that all runs share.
fn curves(protocol: &Protocol, students: &[Students]) -> Figure {
    let mut figure = Figure::new()
        .log_x()
        .log_y()
        .x_label("time t")
        .y_label("F(t) / R(0)")
        .title("Risk")
        .note(format!("median, quartiles, {} seeds", protocol.seeds));
    for (i, students) in students.iter().enumerate() {
        let style = Style::new(SIZES[i % SIZES.len()]);
        let times = students.runs[0].curve.iter().map(|&[t, _]| t).enumerate();
        let quartiles: Vec<(f64, [f64; 3])> = times
            .skip(1)
            .map(|(l, t)| (t, students.quartiles(l)))
            .collect();
        let band = quartiles.iter().map(|&(t, [low, _, high])| [t, low, high]);
        let medians = quartiles.iter().map(|&(t, [_, median, _])| [t, median]);
        let label = format!("m = {}", students.width.particles);
        figure = figure
            .band(band, style.clone().opacity(0.15))
            .line(medians, style.width(2.0).label(label));
    }
    let threshold = Style::new(GREY).width(1.0).dashed().label("reached");
    figure.horizontal(protocol.threshold, threshold)
}
