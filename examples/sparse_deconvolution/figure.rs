//! The figure: paths of the particles `(t, a)`, one panel for each number m of particles.

use std::f64::consts::TAU;

use wasserflow::plot::{BLUE, Colour, Figure, GREY, Style, VERMILION, scientific};
use wasserflow::prelude::*;

use crate::experiment::Run;

/// Colours and labels of `a > 0` and `a < 0`.
const SIGNS: [(Colour, &str); 2] = [(BLUE, "a > 0"), (VERMILION, "a < 0")];

/// One panel for each run, with the spikes of the optimum.
pub fn draw(optimum: &[[f64; 2]], runs: &[(usize, Run)]) -> Figure {
    let ends = runs.iter().filter_map(|(_, run)| run.path.last());
    let heights = ends.flat_map(particles).map(|[_, a]| a.abs());
    let reach = 1.1 * heights.fold(1.0, f64::max);
    let panels = runs.iter().map(|(m, run)| panel(optimum, reach, *m, run));
    panels
        .reduce(Figure::beside)
        .unwrap_or_default()
        .size(710.0, 340.0)
        .heading("Sparse deconvolution on the circle: particles from a = 0 on a grid")
}

/// The particles as `[t, a]`.
fn particles(mu: &EmpiricalMeasure<f64>) -> Vec<[f64; 2]> {
    let particle = |i: usize| [mu.particle(i)[1], mu.particle(i)[0]];
    (0..mu.len()).map(particle).collect()
}

fn panel(optimum: &[[f64; 2]], reach: f64, m: usize, run: &Run) -> Figure {
    let path: Vec<Vec<[f64; 2]>> = run.path.iter().map(particles).collect();
    let end = &path[path.len() - 1];
    let on_circle = |[t, a]: [f64; 2]| [t.rem_euclid(TAU), a];
    let spikes = optimum
        .iter()
        .map(|&[a, t]| [[t, 0.0], [t, reach * a.signum()]]);
    let spike = Style::new(GREY).width(1.2).dashed();
    let mut figure = Figure::new()
        .x_range(0.0, TAU)
        .y_range(-reach, reach)
        .x_ticks([(0.0, "0"), (TAU / 2.0, "π"), (TAU, "2π")])
        .x_label("position t (rad)")
        .y_label("amplitude a")
        .title(format!("m = {m}"))
        .note(format!(
            "F(T) − F* = {} R(0)",
            scientific(run.excess.max(0.0), 0)
        ))
        .horizontal(0.0, Style::new(GREY).width(0.8))
        .lines(
            spikes,
            spike.label("spike of the optimum, on the side of its sign"),
        );
    for (sign, (colour, label)) in SIGNS.into_iter().enumerate() {
        let is_member = |i: &usize| usize::from(end[*i][1] < 0.0) == sign;
        let members: Vec<usize> = (0..m).filter(is_member).collect();
        // A path that leaves the interval continues at the other end.
        let mut pieces: Vec<Vec<[f64; 2]>> = Vec::new();
        for &i in &members {
            let path: Vec<[f64; 2]> = path.iter().map(|particles| particles[i]).collect();
            let turn = |v: &[f64; 2]| (v[0] / TAU).floor();
            let parts = path.chunk_by(|v, w| turn(v) == turn(w));
            pieces.extend(parts.map(|part| part.iter().copied().map(on_circle).collect()));
        }
        let ends: Vec<[f64; 2]> = members.iter().map(|&i| on_circle(end[i])).collect();
        let style = Style::new(colour).label(label);
        let line = style.clone().width(1.0).opacity(0.5);
        if !members.is_empty() {
            figure = figure.lines(pieces, line).points(ends, style.radius(2.8));
        }
    }
    figure
}
