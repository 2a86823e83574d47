//! The figure: paths of the particles `(t, a)`, one panel for each number m of particles.

use std::f64::consts::TAU;

use wasserflow::prelude::*;

use crate::experiment::Run;
use crate::svg::{Axis, BLUE, GREY, Mark, Svg, VERMILION, fill, scientific, stroke};

/// Colours of `a > 0` and `a < 0`.
const SIGNS: [&str; 2] = [BLUE, VERMILION];
const WIDTH: f64 = 204.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const GAP: f64 = 58.0;
const TOP: f64 = 90.0;

/// One panel for each run, with the spikes of the optimum.
pub fn draw(optimum: &[[f64; 2]], runs: &[(usize, Run)]) -> Svg {
    let width = LEFT + runs.len() as f64 * (WIDTH + GAP) - GAP + 20.0;
    let title = "Sparse deconvolution on the circle: particles from a = 0 on a grid";
    let mut svg = Svg::new(width, TOP + HEIGHT + 48.0, title);
    let keys = [
        (vec![Mark::Dot(3.0, fill(BLUE))], "a > 0"),
        (vec![Mark::Dot(3.0, fill(VERMILION))], "a < 0"),
        (Mark::path(GREY), "path, and particle at T"),
        (
            vec![Mark::Line(spike_style())],
            "spike of the optimum, on the side of its sign",
        ),
    ];
    svg.legend([LEFT, 50.0], keys);
    let ends = runs.iter().filter_map(|(_, run)| run.path.last());
    let heights = ends.flat_map(|mu| particles(mu).map(|[_, a]| a.abs()));
    let reach = 1.08 * heights.fold(1.0, f64::max);
    for (i, (m, run)) in runs.iter().enumerate() {
        let left = LEFT + i as f64 * (WIDTH + GAP);
        draw_run(&mut svg, left, reach, optimum, *m, run);
    }
    svg
}

fn spike_style() -> String {
    format!("{} stroke-dasharray=\"2 3\"", stroke(GREY, 1.2))
}

/// The particles as `[t, a]`.
fn particles(mu: &EmpiricalMeasure<f64>) -> impl Iterator<Item = [f64; 2]> {
    (0..mu.len()).map(|i| [mu.particle(i)[1], mu.particle(i)[0]])
}

fn draw_run(svg: &mut Svg, left: f64, reach: f64, optimum: &[[f64; 2]], m: usize, run: &Run) {
    let axes = [
        Axis::linear("position t (rad)", [0.0, TAU]).with_ticks([
            (0.0, "0"),
            (TAU / 2.0, "π"),
            (TAU, "2π"),
        ]),
        Axis::linear("amplitude a", [-reach, reach]),
    ];
    let panel = svg.panel(&format!("m = {m}"), [left, TOP], [WIDTH, HEIGHT], axes);
    let excess = scientific(run.excess.max(0.0), 0);
    panel.note(svg, &format!("F(T) − F* = {excess} R(0)"));
    svg.line(
        [[0.0, 0.0], [TAU, 0.0]].map(|point| panel.at(point)),
        &stroke("#ccc", 1.0),
    );
    svg.group(&spike_style(), |svg| {
        for &[a, t] in optimum {
            svg.line(
                [[t, 0.0], [t, reach * a.signum()]].map(|point| panel.at(point)),
                "",
            );
        }
    });
    let Some(end) = run.path.last() else { return };
    let end: Vec<[f64; 2]> = particles(end).collect();
    for (sign, colour) in SIGNS.into_iter().enumerate() {
        let members: Vec<usize> = (0..m)
            .filter(|&i| usize::from(end[i][1] < 0.0) == sign)
            .collect();
        svg.group(
            &format!("{} stroke-opacity=\"0.5\"", stroke(colour, 1.0)),
            |svg| {
                for &i in &members {
                    let path: Vec<_> = run
                        .path
                        .iter()
                        .filter_map(|mu| particles(mu).nth(i))
                        .collect();
                    // A path that leaves the interval continues at the other end.
                    for piece in path.chunk_by(|v, w| (v[0] / TAU).floor() == (w[0] / TAU).floor())
                    {
                        svg.line(
                            piece.iter().map(|&[t, a]| panel.at([t.rem_euclid(TAU), a])),
                            "",
                        );
                    }
                }
            },
        );
        svg.group(&fill(colour), |svg| {
            for &i in members.iter().filter(|&&i| end[i][1] != 0.0) {
                svg.circle(panel.at([end[i][0].rem_euclid(TAU), end[i][1]]), 2.8, "");
            }
        });
    }
}
