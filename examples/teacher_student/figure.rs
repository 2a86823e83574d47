//! The figure: the paths of the neurons in the plane of `a b`, one panel for each size m, and F
//! against time.
//!
//! A neuron may end on the line of a teacher neuron but on the opposite side. The difference
//! `(b.x)_+ - (-b.x)_+ = b.x` is linear, and the linear parts of several neurons can cancel. So the
//! data determine the lines, but not the ends.

use wasserflow::prelude::*;

use crate::experiment::{Protocol, Run, Students};
use crate::svg::{
    Axis, BLACK, BLUE, GREEN, GREY, Mark, ORANGE, PURPLE, SKY, Svg, VERMILION, fill, scientific,
    stroke,
};

/// Colours of `a > 0` and `a < 0`.
const SIGNS: [&str; 2] = [BLUE, VERMILION];
/// Colours of the sizes m.
const SIZES: [&str; 5] = [ORANGE, SKY, GREEN, PURPLE, BLACK];

const SIDE: f64 = 198.0;
const LEFT: f64 = 54.0;
const TOP: f64 = 90.0;
const GAP: [f64; 2] = [58.0, 70.0];
const COLUMNS: usize = 3;
/// Room for the labels of the curves.
const LABELS: f64 = 66.0;

/// The panels of the students in the order of m, then that of the curves.
pub fn draw(protocol: &Protocol, teacher: &EmpiricalMeasure<f64>, students: &[Students]) -> Svg {
    let panels = students.len() + 1;
    let (columns, rows) = (panels.min(COLUMNS) as f64, panels.div_ceil(COLUMNS) as f64);
    let size = [
        LEFT + columns * (SIDE + GAP[0]) - GAP[0] + LABELS,
        TOP + rows * (SIDE + GAP[1]) - 22.0,
    ];
    let title = "Students of m neurons a (b·x)₊ that learn a teacher of 5 neurons in the plane";
    let mut svg = Svg::new(size[0], size[1], title);
    let keys = [
        (vec![Mark::Dot(3.0, fill(BLUE))], "a > 0"),
        (vec![Mark::Dot(3.0, fill(VERMILION))], "a < 0"),
        (Mark::path(GREY), "path, and neuron at T"),
        (
            vec![Mark::Dot(5.5, stroke("#222", 1.6))],
            "neuron of the teacher",
        ),
        (
            vec![Mark::Line(line_style())],
            "its line through the origin",
        ),
    ];
    svg.legend([LEFT, 50.0], keys);

    // All planes have the same scale: that of the longest neuron at the end.
    let drawn = protocol.drawn as usize;
    let ends = students
        .iter()
        .filter_map(|students| students.runs[drawn].path.last());
    let coordinates = ends
        .chain([teacher])
        .flat_map(neurons)
        .flat_map(|(_, point)| point);
    let reach = 1.1 * coordinates.fold(0.0, |r: f64, x| r.max(x.abs()));
    let corner = |i: usize| {
        let (column, row) = ((i % COLUMNS) as f64, (i / COLUMNS) as f64);
        [LEFT + column * (SIDE + GAP[0]), TOP + row * (SIDE + GAP[1])]
    };
    for (i, students) in students.iter().enumerate() {
        draw_plane(&mut svg, corner(i), reach, teacher, &students.runs[drawn]);
    }
    draw_curves(&mut svg, corner(students.len()), protocol, students);
    svg
}

fn line_style() -> String {
    format!("{} stroke-dasharray=\"2 4\"", stroke(GREY, 1.0))
}

/// Of a neuron `(a, b)`, whether `a < 0`, and the point `a b` at the distance `|a b|^(1/2)` from
/// the origin.
fn neuron(w: &[f64]) -> (usize, [f64; 2]) {
    let point = [w[0] * w[1], w[0] * w[2]];
    let scale = point[0].hypot(point[1]).sqrt().max(f64::MIN_POSITIVE);
    (usize::from(w[0] < 0.0), point.map(|x| x / scale))
}

fn neurons(mu: &EmpiricalMeasure<f64>) -> impl Iterator<Item = (usize, [f64; 2])> {
    (0..mu.len()).map(|i| neuron(mu.particle(i)))
}

fn draw_plane(
    svg: &mut Svg,
    corner: [f64; 2],
    reach: f64,
    teacher: &EmpiricalMeasure<f64>,
    run: &Run,
) {
    let Some(end) = run.path.last() else { return };
    let axes = ["a b₁ / √|a b|", "a b₂ / √|a b|"].map(|title| Axis::linear(title, [-reach, reach]));
    let panel = svg.panel(&format!("m = {}", end.len()), corner, [SIDE, SIDE], axes);
    panel.note(
        svg,
        &format!(
            "F(T) = {} R(0)",
            scientific(run.curve[run.curve.len() - 1][1], 1)
        ),
    );
    svg.group(&line_style(), |svg| {
        for (_, [u, v]) in neurons(teacher) {
            let s = reach / u.abs().max(v.abs());
            svg.line(
                [[-s * u, -s * v], [s * u, s * v]].map(|point| panel.at(point)),
                "",
            );
        }
    });
    for (sign, colour) in SIGNS.into_iter().enumerate() {
        let members: Vec<usize> = (0..end.len())
            .filter(|&i| neuron(end.particle(i)).0 == sign)
            .collect();
        svg.group(
            &format!("{} stroke-opacity=\"0.5\"", stroke(colour, 1.0)),
            |svg| {
                for &i in &members {
                    svg.line(
                        run.path.iter().map(|mu| panel.at(neuron(mu.particle(i)).1)),
                        "",
                    );
                }
            },
        );
        svg.group(&fill(colour), |svg| {
            members
                .iter()
                .for_each(|&i| svg.circle(panel.at(neuron(end.particle(i)).1), 2.5, ""));
        });
    }
    for (sign, point) in neurons(teacher) {
        svg.circle(panel.at(point), 5.5, &stroke(SIGNS[sign], 1.6));
    }
}

fn draw_curves(svg: &mut Svg, corner: [f64; 2], protocol: &Protocol, students: &[Students]) {
    // Quartiles over the seeds, at times that all runs share.
    let quartiles = |students: &Students| -> Vec<(f64, [f64; 3])> {
        let times = students.runs[0].curve.iter().map(|&[t, _]| t).enumerate();
        times
            .map(|(l, t)| (t, students.quartiles(l)))
            .skip(1)
            .collect()
    };
    let curves: Vec<_> = students.iter().map(quartiles).collect();
    let values = curves.iter().flatten().map(|(_, [low, _, _])| *low);
    let lowest = values.fold(protocol.threshold, f64::min).max(1e-16);
    let axes = [
        Axis::log("time t", [protocol.dt, protocol.time]),
        Axis::log("F(t) / R(0)", [10f64.powf(lowest.log10().floor()), 3.0]),
    ];
    let panel = svg.panel("Risk", corner, [SIDE, SIDE], axes);
    panel.note(svg, &format!("median, quartiles, {} seeds", protocol.seeds));
    let threshold = [protocol.dt, protocol.time].map(|t| panel.at([t, protocol.threshold]));
    svg.line(
        threshold,
        &format!("{} stroke-dasharray=\"5 3\"", stroke("#555", 1.0)),
    );
    svg.text(
        [threshold[0][0] + 6.0, threshold[0][1] + 14.0],
        "font-size=\"11\"",
        "reached",
    );

    let colour = |i: usize| SIZES[i % SIZES.len()];
    for (i, curve) in curves.iter().enumerate() {
        let lower = curve.iter().map(|&(t, [low, _, _])| panel.at([t, low]));
        let upper = curve
            .iter()
            .rev()
            .map(|&(t, [_, _, high])| panel.at([t, high]));
        svg.line(
            lower.chain(upper),
            &format!("{} fill-opacity=\"0.15\"", fill(colour(i))),
        );
    }
    for (i, curve) in curves.iter().enumerate() {
        let medians = curve
            .iter()
            .map(|&(t, [_, median, _])| panel.at([t, median]));
        svg.line(medians, &stroke(colour(i), 2.0));
    }
    // The labels of the curves, at least a line apart, from the largest risk to the smallest.
    let mut ends: Vec<(f64, usize)> = curves
        .iter()
        .enumerate()
        .filter_map(|(i, curve)| {
            curve
                .last()
                .map(|&(t, [_, median, _])| (panel.at([t, median])[1], i))
        })
        .collect();
    ends.sort_by(|v, w| v.0.total_cmp(&w.0));
    let mut free = corner[1];
    for (y, i) in ends {
        free = free.max(y + 4.0);
        let style = format!("{} font-weight=\"bold\"", fill(colour(i)));
        svg.text(
            [corner[0] + SIDE + 6.0, free],
            &style,
            &format!("m = {}", students[i].width.particles),
        );
        free += 14.0;
    }
}
