//! The picture: paths of the particles `(t, a)`, one panel a size.

use std::f64::consts::TAU;

use wasserflow::prelude::*;

use crate::experiment::Run;
use crate::svg::{Axis, Svg};

const SIGNS: [&str; 2] = ["#0072B2", "#D55E00"];
const SIDE: f64 = 272.0;
const GAP: f64 = 44.0;
const MARGIN: f64 = 34.0;
const HEADER: f64 = 88.0;
const HEADING: &str = "font-size=\"15\" font-weight=\"bold\"";
const CAPTION: &str = "text-anchor=\"end\" font-size=\"12\" fill=\"#777\"";

/// One panel for each run, with the spikes of the optimum.
pub fn draw(optimum: &[[f64; 2]], runs: &[(usize, Run)]) -> Svg {
    let mut svg = Svg::new(
        2.0 * MARGIN + runs.len() as f64 * (SIDE + GAP) - GAP,
        HEADER + SIDE + 48.0,
    );
    svg.text(
        [MARGIN, 28.0],
        HEADING,
        "Spikes on the circle: particles that start at a = 0 on a grid",
    );
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
    svg.line(
        [[MARGIN + 166.0, y - 13.0], [MARGIN + 166.0, y + 3.0]],
        "stroke=\"#999\" stroke-dasharray=\"2 3\"",
    );
    svg.text(
        [MARGIN + 174.0, y],
        "",
        "spikes of the optimum, upwards or downwards by their sign",
    );
    let heights = runs
        .iter()
        .flat_map(|(_, run)| run.path.last())
        .flat_map(particles)
        .map(|[a, _]| a.abs());
    let reach = 1.08 * heights.fold(1.0, f64::max);
    for (i, (m, run)) in runs.iter().enumerate() {
        panel(
            &mut svg,
            [MARGIN + i as f64 * (SIDE + GAP), HEADER],
            reach,
            optimum,
            *m,
            run,
        );
    }
    svg
}

fn particles(mu: &EmpiricalMeasure<f64>) -> impl Iterator<Item = [f64; 2]> {
    (0..mu.len()).map(|i| [mu.particle(i)[0], mu.particle(i)[1]])
}

fn panel(
    svg: &mut Svg,
    [left, top]: [f64; 2],
    reach: f64,
    optimum: &[[f64; 2]],
    m: usize,
    run: &Run,
) {
    let (x, y) = (
        Axis::linear([0.0, TAU], [left, left + SIDE]),
        Axis::linear([-reach, reach], [top + SIDE, top]),
    );
    svg.rectangle(
        [left, top],
        [SIDE, SIDE],
        "fill=\"#fbfbfb\" stroke=\"#cfcfcf\"",
    );
    svg.text([left, top - 9.0], HEADING, &format!("m = {m}"));
    let excess = format!("F(T) − F* = {:.0e} R(0)", run.excess.max(0.0));
    svg.text([left + SIDE, top - 9.0], CAPTION, &excess);
    svg.line(
        [[left, y.at(0.0)], [left + SIDE, y.at(0.0)]],
        "stroke=\"#e0e0e0\"",
    );
    svg.group("stroke=\"#999\" stroke-dasharray=\"2 3\"", |svg| {
        for &[a, t] in optimum {
            svg.line(
                [[x.at(t), y.at(0.0)], [x.at(t), y.at(reach * a.signum())]],
                "",
            );
        }
    });
    svg.group(
        "font-size=\"12\" fill=\"#777\" text-anchor=\"middle\"",
        |svg| {
            for (t, label) in [(0.0, "0"), (TAU / 2.0, "π"), (TAU, "2π")] {
                svg.text([x.at(t), top + SIDE + 17.0], "", label);
            }
            svg.text([left + SIDE / 2.0, top + SIDE + 34.0], "", "position t");
        },
    );
    svg.text([left - 6.0, top + 12.0], CAPTION, "a");

    let Some(end) = run.path.last() else { return };
    for (sign, colour) in SIGNS.iter().enumerate() {
        let those: Vec<usize> = (0..m)
            .filter(|&i| usize::from(end.particle(i)[0] < 0.0) == sign)
            .collect();
        svg.group(
            &format!("fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.5\""),
            |svg| {
                for &i in &those {
                    let path: Vec<[f64; 2]> = run
                        .path
                        .iter()
                        .map(|mu| [mu.particle(i)[0], mu.particle(i)[1]])
                        .collect();
                    // Where a path leaves the interval it comes back at the other end.
                    for piece in path.chunk_by(|v, w| (v[1] / TAU).floor() == (w[1] / TAU).floor())
                    {
                        svg.line(
                            piece
                                .iter()
                                .map(|&[a, t]| [x.at(t.rem_euclid(TAU)), y.at(a)]),
                            "",
                        );
                    }
                }
            },
        );
        svg.group(&format!("fill=\"{colour}\""), |svg| {
            for &i in those.iter().filter(|&&i| end.particle(i)[0] != 0.0) {
                let [a, t] = [end.particle(i)[0], end.particle(i)[1].rem_euclid(TAU)];
                svg.circle([x.at(t), y.at(a)], 2.8, "");
            }
        });
    }
}
