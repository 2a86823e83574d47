//! The layout of a figure: heading, legend, and panels in rows and columns.

use super::cell::{Cell, LINE, Margins, text};
use super::failure::PlotError;
use super::legend::Legend;
use super::panel::Panel;
use super::scene::{Anchor, Scene};
use super::style::INK;
use super::text::wrap;
use crate::error::ParameterError;

/// Space at the edges of the figure, in pixels.
const EDGE: f64 = 14.0;
/// The size of the font of the heading, in pixels.
const HEADING: f64 = 15.0;
/// Widths of panels for one, two, and more columns, in pixels: the figure has a width of at most
/// 700 or so, that of a README.
const WIDTHS: [f64; 3] = [360.0, 260.0, 172.0];
/// The height of a panel relative to its width.
const RATIO: f64 = 0.8;
/// Limits of the size of a panel and of a figure, in pixels.
const SMALLEST_PANEL: f64 = 30.0;
const LARGEST_FIGURE: f64 = 10_000.0;

/// What a figure consists of.
pub(super) struct Parts<'a> {
    pub(super) heading: &'a str,
    pub(super) size: Option<[f64; 2]>,
    pub(super) columns: usize,
    pub(super) panels: &'a [Panel],
}

impl Parts<'_> {
    /// The scene of the figure.
    pub(super) fn scene(&self) -> Result<Scene, PlotError> {
        let scaled = |panel| Panel::scales(panel).map(|scales| Cell { panel, scales });
        let cells = self
            .panels
            .iter()
            .map(scaled)
            .collect::<Result<Vec<_>, _>>()?;
        if cells.is_empty() {
            return Err(PlotError::Empty { what: "a figure" });
        }
        if let Some([width, height]) = self.size {
            for (name, x) in [("width of a figure", width), ("height of a figure", height)] {
                let holds = x > 0.0 && x <= LARGEST_FIGURE;
                ParameterError::check(holds, name, "positive and at most 10000", x)?;
            }
        }
        let columns = self.columns.clamp(1, cells.len());
        let rows = cells.len().div_ceil(columns);

        // The size of a panel follows from that of the figure, or conversely. The margins depend
        // on the ticks, which depend on the size: two rounds are enough for both.
        let mut panel = [WIDTHS[columns.min(3) - 1], 0.0];
        panel[1] = panel[0] * ratio(&cells);
        let mut legend = Legend::new(self.panels);
        let mut margins = vec![Margins::default(); cells.len()];
        let (mut lefts, mut rights) = (vec![0.0; columns], vec![0.0; columns]);
        let (mut tops, mut bottoms) = (vec![0.0; rows], vec![0.0; rows]);
        let (mut heading, mut size) = (Vec::new(), [0.0; 2]);
        for _ in 0..2 {
            for (cell, margins) in cells.iter().zip(&mut margins) {
                *margins = cell.margins(panel);
            }
            let largest = |of: &dyn Fn(&Margins) -> f64, keep: &dyn Fn(usize) -> bool| {
                let kept = margins.iter().enumerate().filter(|(i, _)| keep(*i));
                kept.map(|(_, m)| of(m)).fold(0.0, f64::max)
            };
            for column in 0..columns {
                let here = |i| i % columns == column;
                lefts[column] = largest(&|m| m.left, &here);
                rights[column] = largest(&|m| m.right, &here);
            }
            for row in 0..rows {
                let here = |i| i / columns == row;
                tops[row] = largest(&|m| m.top, &here);
                bottoms[row] = largest(&|m| m.bottom, &here);
            }
            let across = lefts.iter().chain(&rights).sum::<f64>() + 2.0 * EDGE;
            let width = match self.size {
                Some([width, _]) => width,
                None => (across + columns as f64 * panel[0]).max(legend.widest() + 2.0 * EDGE),
            };
            let inner = (width - 2.0 * EDGE).max(1.0);
            heading = wrap(self.heading, HEADING, inner);
            legend.arrange(inner);
            let above = EDGE + heading.len() as f64 * LINE * HEADING + legend.height();
            let down = above + tops.iter().chain(&bottoms).sum::<f64>() + EDGE;
            if let Some([_, height]) = self.size {
                panel = [
                    (width - across) / columns as f64,
                    (height - down) / rows as f64,
                ];
                let holds = panel.iter().all(|&x| x >= SMALLEST_PANEL);
                let requirement = "large enough for panels of 30 x 30 pixels";
                ParameterError::check(
                    holds,
                    "size of a figure",
                    requirement,
                    panel[0].min(panel[1]),
                )?;
            }
            size = [width, down + rows as f64 * panel[1]];
        }

        let mut scene = Scene {
            size: self.size.unwrap_or(size.map(f64::ceil)),
            description: self.description(),
            groups: Vec::new(),
        };
        let mut y = EDGE;
        scene.add(
            "heading",
            heading.into_iter().map(|line| {
                y += LINE * HEADING;
                text(
                    [EDGE, y - 0.35 * HEADING],
                    Anchor::Start,
                    HEADING,
                    INK,
                    line,
                )
            }),
        );
        scene.add("legend", legend.draw([EDGE, y]));
        y += legend.height();
        for row in 0..rows {
            let mut x = EDGE;
            y += tops[row];
            for column in 0..columns {
                x += lefts[column];
                if let Some(cell) = cells.get(row * columns + column) {
                    cell.draw(&mut scene, [x, y], panel);
                }
                x += panel[0] + rights[column];
            }
            y += panel[1] + bottoms[row];
        }
        Ok(scene)
    }

    fn description(&self) -> String {
        let titles = self.panels.iter().map(|panel| panel.title.as_str());
        let parts = [self.heading].into_iter().chain(titles);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            "Figure".to_owned()
        } else {
            parts.join(". ")
        }
    }
}

/// The height of panels relative to their width: that of the panels with equal units, if any.
fn ratio(cells: &[Cell<'_>]) -> f64 {
    let equal = cells.iter().filter(|cell| cell.panel.equal);
    let largest = equal.map(|cell| cell.aspect()).fold(0.0, f64::max);
    if largest > 0.0 {
        largest.clamp(0.4, 1.4)
    } else {
        RATIO
    }
}
