//! The picture: excess risk against the number of neurons, one panel an activation.

use wasserflow::study::Width;

use crate::Curves;
use crate::svg::{Axis, Svg};

/// Colours told apart with any colour vision: of the flow and of fixed neurons.
const COLOURS: [&str; 2] = ["#0072B2", "#D55E00"];
const SIDE: f64 = 300.0;
const GAP: f64 = 70.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 62.0;

/// Medians as lines, seeds as dots; the dashed line is the size of the teacher.
pub fn draw(panels: &[Curves], floor: f64, teacher: usize) -> Svg {
    let width = LEFT + panels.len() as f64 * (SIDE + GAP) - GAP + 24.0;
    let mut svg = Svg::new(width, TOP + SIDE + 52.0);
    svg.text(
        [LEFT, 24.0],
        "font-size=\"15\" font-weight=\"bold\"",
        "Excess risk F / R(0) of m neurons that learn a teacher of 20 in 100 dimensions",
    );
    for (i, panel) in panels.iter().enumerate() {
        draw_panel(
            &mut svg,
            [LEFT + i as f64 * (SIDE + GAP), TOP],
            panel,
            floor,
            teacher,
        );
    }
    svg
}

fn draw_panel(svg: &mut Svg, [left, top]: [f64; 2], panel: &Curves, floor: f64, teacher: usize) {
    let sizes = panel.fixed.iter().map(|width| width.particles as f64);
    let (low, high) = sizes.fold((f64::INFINITY, 0.0_f64), |(low, high), m| {
        (low.min(m), high.max(m))
    });
    let x = Axis::log([low / 1.15, high * 1.15], [left, left + SIDE]);
    let y = Axis::log([floor / 4.0, 2.0], [top + SIDE, top]);

    svg.rectangle(
        [left, top],
        [SIDE, SIDE],
        "fill=\"#fbfbfb\" stroke=\"#cfcfcf\"",
    );
    svg.text(
        [left, top - 9.0],
        "font-size=\"14\" font-weight=\"bold\"",
        panel.name,
    );
    svg.group("font-size=\"12\" fill=\"#777\"", |svg| {
        for k in (floor / 4.0).log10().ceil() as i32..=0 {
            let at = y.at(10f64.powi(k));
            svg.line([[left, at], [left + SIDE, at]], "stroke=\"#e6e6e6\"");
            let label = format!(
                "10<tspan dy=\"-4\" font-size=\"9\">{}</tspan>",
                k.to_string().replace('-', "−")
            );
            svg.text(
                [left - 5.0, at + 4.0],
                "text-anchor=\"end\"",
                if k == 0 { "1" } else { &label },
            );
        }
        let mut free = left;
        for m in panel.fixed.iter().map(|width| width.particles) {
            let at = x.at(m as f64);
            svg.line(
                [[at, top + SIDE], [at, top + SIDE + 4.0]],
                "stroke=\"#999\"",
            );
            if at >= free {
                svg.text(
                    [at, top + SIDE + 17.0],
                    "text-anchor=\"middle\"",
                    &m.to_string(),
                );
                free = at + 26.0;
            }
        }
        svg.text(
            [left + SIDE / 2.0, top + SIDE + 36.0],
            "text-anchor=\"middle\"",
            "neurons m",
        );
        let at = x.at(teacher as f64);
        svg.line(
            [[at, top], [at, top + SIDE]],
            "stroke=\"#777\" stroke-dasharray=\"5 3\"",
        );
        svg.text(
            [at - 5.0, top + SIDE - 8.0],
            "text-anchor=\"end\"",
            "teacher",
        );
    });
    for ((curve, colour), name) in [&panel.moving, &panel.fixed]
        .into_iter()
        .zip(COLOURS)
        .zip(["flow", "fixed neurons"])
    {
        let at = |width: &Width, value: f64| [x.at(width.particles as f64), y.at(value.max(floor))];
        svg.line(
            curve.iter().map(|width| at(width, width.median())),
            &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\""),
        );
        svg.group(&format!("fill=\"{colour}\" fill-opacity=\"0.6\""), |svg| {
            for width in curve {
                width
                    .values
                    .iter()
                    .for_each(|&value| svg.circle(at(width, value), 2.5, ""));
            }
        });
        if let Some(first) = curve.first() {
            let [x, y] = at(first, first.median());
            svg.text(
                [x, y + 18.0],
                &format!("fill=\"{colour}\" font-weight=\"bold\""),
                name,
            );
        }
    }
}
