//! The picture: the neurons' paths in the plane of `a b`, one panel a size, and `F` against time.
//!
//! A neuron may come out at the far end of a teacher's line: `(b.x)_+ - (-b.x)_+ = b.x` is linear, and the linear parts of several
//! neurons can cancel. So the lines are determined, and the ends are not.

use wasserflow::prelude::*;

use crate::experiment::{Protocol, Run, Students};
use crate::svg::{Axis, Svg};

/// Colours told apart with any colour vision: of `a > 0` and `a < 0`, and of the sizes m, from small to large.
const SIGNS: [&str; 2] = ["#0072B2", "#D55E00"];
const SIZES: [&str; 5] = ["#E0A82E", "#7FB24B", "#2C9C83", "#2B6C99", "#4A2C6D"];

const SIDE: f64 = 272.0;
const GAP: f64 = 44.0;
const MARGIN: f64 = 24.0;
const HEADER: f64 = 88.0;
const COLUMNS: usize = 3;
/// Room for the labels of the curves.
const LABELS: f64 = 58.0;

const HEADING: &str = "font-size=\"15\" font-weight=\"bold\"";
const CAPTION: &str = "text-anchor=\"end\" font-size=\"12\" fill=\"#777\"";
const PANEL: &str = "fill=\"#fbfbfb\" stroke=\"#cfcfcf\"";

/// The panels of the students in the order of m, then that of the curves.
pub fn draw(protocol: &Protocol, teacher: &EmpiricalMeasure<f64>, students: &[Students]) -> Svg {
    let panels = students.len() + 1;
    let (columns, rows) = (panels.min(COLUMNS) as f64, panels.div_ceil(COLUMNS) as f64);
    let width = 2.0 * MARGIN + columns * (SIDE + GAP) - GAP + LABELS;
    let mut svg = Svg::new(width, HEADER + rows * (SIDE + GAP));
    legend(&mut svg);

    // All planes have the scale of the neuron that comes out longest.
    let drawn = protocol.drawn as usize;
    let ends = students
        .iter()
        .filter_map(|students| students.runs[drawn].path.last());
    let reach = ends
        .chain([teacher])
        .flat_map(neurons)
        .flat_map(|(_, point)| point)
        .fold(0.0, |r: f64, x| r.max(x.abs()));
    let corner = |i: usize| {
        let column = (i % COLUMNS) as f64;
        [
            MARGIN + column * (SIDE + GAP),
            HEADER + (i / COLUMNS) as f64 * (SIDE + GAP),
        ]
    };
    for (i, students) in students.iter().enumerate() {
        plane(
            &mut svg,
            corner(i),
            1.1 * reach,
            teacher,
            students.width.particles,
            &students.runs[drawn],
        );
    }
    curves(&mut svg, corner(students.len()), protocol, students);
    svg
}

/// Whether `a < 0`, and the point `a b` at the distance `|a b|^(1/2)` from the origin, of a neuron `(a, b)`.
fn neuron(w: &[f64]) -> (usize, [f64; 2]) {
    let point = [w[0] * w[1], w[0] * w[2]];
    let scale = point[0].hypot(point[1]).sqrt().max(f64::MIN_POSITIVE);
    (usize::from(w[0] < 0.0), point.map(|x| x / scale))
}

fn neurons(mu: &EmpiricalMeasure<f64>) -> impl Iterator<Item = (usize, [f64; 2])> {
    (0..mu.len()).map(|i| neuron(mu.particle(i)))
}

fn legend(svg: &mut Svg) {
    let title = "Neurons a (b·x)<tspan dy=\"3\" font-size=\"10\">+</tspan><tspan dx=\"5\" dy=\"-3\">that learn a teacher of 5, \
                 in the plane of a b</tspan>";
    svg.text([MARGIN, 28.0], HEADING, title);
    let y = 50.0;
    for (sign, label) in ["a &gt; 0", "a &lt; 0"].iter().enumerate() {
        let (x, colour) = (MARGIN + 76.0 * sign as f64, SIGNS[sign]);
        svg.line(
            [[x, y - 4.5], [x + 20.0, y - 4.5]],
            &format!("stroke=\"{colour}\" stroke-width=\"1.5\""),
        );
        svg.circle([x + 20.0, y - 4.5], 3.0, &format!("fill=\"{colour}\""));
        svg.text([x + 29.0, y], "", label);
    }
    svg.circle(
        [MARGIN + 162.0, y - 4.5],
        6.0,
        "fill=\"none\" stroke=\"#333\" stroke-width=\"1.6\"",
    );
    svg.text([MARGIN + 175.0, y], "", "teacher");
    let line = [[MARGIN + 250.0, y - 4.5], [MARGIN + 280.0, y - 4.5]];
    svg.line(line, "stroke=\"#999\" stroke-dasharray=\"2 4\"");
    svg.text([MARGIN + 287.0, y], "", "its lines");
    svg.text(
        [MARGIN + 366.0, y],
        "fill=\"#777\"",
        "distance from the centre: the square root of |a b|",
    );
}

fn plane(
    svg: &mut Svg,
    [left, top]: [f64; 2],
    reach: f64,
    teacher: &EmpiricalMeasure<f64>,
    m: usize,
    run: &Run,
) {
    let (x, y) = (
        Axis::linear([-reach, reach], [left, left + SIDE]),
        Axis::linear([-reach, reach], [top + SIDE, top]),
    );
    let at = |[u, v]: [f64; 2]| [x.at(u), y.at(v)];
    svg.rectangle([left, top], [SIDE, SIDE], PANEL);
    svg.text([left, top - 9.0], HEADING, &format!("m = {m}"));
    svg.text(
        [left + SIDE, top - 9.0],
        CAPTION,
        &format!(
            "F(T) = {} R(0)",
            scientific(run.curve[run.curve.len() - 1][1])
        ),
    );

    svg.group("stroke=\"#c4c4c4\" stroke-dasharray=\"2 4\"", |svg| {
        for (_, [u, v]) in neurons(teacher) {
            let s = reach / u.abs().max(v.abs());
            svg.line([at([-s * u, -s * v]), at([s * u, s * v])], "");
        }
    });
    let Some(end) = run.path.last() else { return };
    for (sign, colour) in SIGNS.iter().enumerate() {
        let those = || (0..m).filter(|&i| neuron(end.particle(i)).0 == sign);
        svg.group(
            &format!("fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.5\""),
            |svg| {
                those().for_each(|i| {
                    svg.line(run.path.iter().map(|mu| at(neuron(mu.particle(i)).1)), "")
                });
            },
        );
        svg.group(&format!("fill=\"{colour}\""), |svg| {
            those().for_each(|i| svg.circle(at(neuron(end.particle(i)).1), 2.8, ""));
        });
    }
    for (sign, point) in neurons(teacher) {
        svg.circle(
            at(point),
            6.0,
            &format!(
                "fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"",
                SIGNS[sign]
            ),
        );
    }
}

fn curves(svg: &mut Svg, [left, top]: [f64; 2], protocol: &Protocol, students: &[Students]) {
    // Quartiles over the seeds, at times that all runs share.
    let quartiles = |students: &Students| -> Vec<(f64, [f64; 3])> {
        let times = students.runs[0].curve.iter().map(|&[t, _]| t);
        times
            .enumerate()
            .map(|(l, t)| (t, students.quartiles(l)))
            .skip(1)
            .collect()
    };
    let curves: Vec<_> = students.iter().map(quartiles).collect();
    let lowest = curves
        .iter()
        .flatten()
        .fold(protocol.threshold, |low, (_, [q, _, _])| low.min(*q))
        .max(1e-16);
    let (times, values) = (
        [protocol.dt, protocol.time],
        [10f64.powf(lowest.log10().floor()), 3.0],
    );
    let (x, y) = (
        Axis::log(times, [left, left + SIDE]),
        Axis::log(values, [top + SIDE, top]),
    );

    svg.rectangle([left, top], [SIDE, SIDE], PANEL);
    svg.text([left, top - 9.0], HEADING, "F(t) / R(0)");
    svg.text(
        [left + SIDE, top - 9.0],
        CAPTION,
        &format!("median, quartiles, {} seeds", protocol.seeds),
    );
    svg.group("stroke=\"#e6e6e6\"", |svg| {
        decades(times).for_each(|(t, _)| svg.line([[x.at(t), top + SIDE], [x.at(t), top]], ""));
        decades(values).for_each(|(f, _)| svg.line([[left, y.at(f)], [left + SIDE, y.at(f)]], ""));
    });
    svg.group("font-size=\"12\" fill=\"#777\"", |svg| {
        for (t, label) in decades(times) {
            svg.text(
                [x.at(t), top + SIDE + 17.0],
                "text-anchor=\"middle\"",
                &label,
            );
        }
        for (f, label) in decades(values) {
            svg.text([left - 5.0, y.at(f) + 4.0], "text-anchor=\"end\"", &label);
        }
        svg.text(
            [left + SIDE / 2.0, top + SIDE + 33.0],
            "text-anchor=\"middle\"",
            "time t",
        );
        let threshold = y.at(protocol.threshold);
        svg.line(
            [[left, threshold], [left + SIDE, threshold]],
            "stroke=\"#777\" stroke-dasharray=\"5 3\"",
        );
        svg.text([left + 6.0, threshold + 14.0], "", "reached");
    });

    let colour = |i: usize| SIZES[i * (SIZES.len() - 1) / (students.len() - 1).max(1)];
    for (i, curve) in curves.iter().enumerate() {
        let there = curve.iter().map(|&(t, [low, _, _])| [x.at(t), y.at(low)]);
        let back = curve
            .iter()
            .rev()
            .map(|&(t, [_, _, high])| [x.at(t), y.at(high)]);
        svg.line(
            there.chain(back),
            &format!("fill=\"{}\" fill-opacity=\"0.13\"", colour(i)),
        );
    }
    for (i, curve) in curves.iter().enumerate() {
        let style = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"2\"", colour(i));
        svg.line(
            curve
                .iter()
                .map(|&(t, [_, median, _])| [x.at(t), y.at(median)]),
            &style,
        );
    }
    // Labels where the curves end, from top to bottom, never on each other.
    let mut ends: Vec<(f64, usize)> = curves
        .iter()
        .enumerate()
        .filter_map(|(i, curve)| Some((y.at(curve.last()?.1[1]), i)))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = top;
    for (end, i) in ends {
        lowest = (end + 4.0).max(lowest + 15.0);
        let style = format!("fill=\"{}\" font-weight=\"bold\"", colour(i));
        svg.text(
            [left + SIDE + 6.0, lowest],
            &style,
            &format!("m = {}", students[i].width.particles),
        );
    }
}

/// The powers of ten in a range, with their labels.
fn decades([low, high]: [f64; 2]) -> impl Iterator<Item = (f64, String)> {
    let powers = (low.log10() - 1e-9).ceil() as i32..=(high.log10() + 1e-9).floor() as i32;
    powers.map(|k| {
        (
            10f64.powi(k),
            if (0..=1).contains(&k) {
                format!("{}", 10i32.pow(k as u32))
            } else {
                power(k)
            },
        )
    })
}

fn power(k: i32) -> String {
    format!(
        "10<tspan dy=\"-4\" font-size=\"9\">{}</tspan>",
        k.to_string().replace('-', "−")
    )
}

/// `x` with two digits, as in 1.3·10^-4.
fn scientific(x: f64) -> String {
    let text = format!("{x:.1e}");
    match text
        .split_once('e')
        .and_then(|(digits, k)| Some((digits, k.parse::<i32>().ok()?)))
    {
        Some((digits, k)) => format!("{digits}·{}<tspan dy=\"4\"> </tspan>", power(k)),
        None => text,
    }
}
