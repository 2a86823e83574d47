//! The layout of a figure: heading, legend, and panels in rows and columns.

use super::failure::PlotError;
use super::legend::Legend;
use super::panel::{Frame, Panel};
use super::scale::Scale;
use super::scene::{Anchor, Item, Paint, Pixel, Scene, Stroke, Text, rectangle};
use super::style::{Colour, FAINT, FRAME, GRID, INK};
use super::text::{power, text_width, wrap};
use super::ticks::{LABEL_SIZE, Line, Ticks};
use crate::error::ParameterError;

/// Space at the edges of the figure, in pixels.
const EDGE: f64 = 14.0;
/// Sizes of fonts, in pixels.
const HEADING: f64 = 15.0;
const TITLE: f64 = 13.0;
const LABEL: f64 = 12.0;
const NOTE: f64 = 11.0;
/// The height of a line of text relative to the size of its font.
const LINE: f64 = 1.3;
/// The length of major and minor ticks, in pixels.
const TICK: [f64; 2] = [5.0, 2.5];
/// Widths of panels for one, two, and more columns, in pixels: the figure has a width of at most
/// 700 or so, that of a README.
const WIDTHS: [f64; 3] = [360.0, 260.0, 164.0];
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

/// A panel with what is known of it before its position.
struct Cell<'a> {
    panel: &'a Panel,
    scales: [Scale; 2],
}

/// Space around the panel of a cell.
#[derive(Debug, Clone, Copy, Default)]
struct Margins {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
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

impl Cell<'_> {
    /// The range of y relative to that of x.
    fn aspect(&self) -> f64 {
        // Halves do not overflow.
        let [x, y] = self.scales.map(|scale| scale.high / 2.0 - scale.low / 2.0);
        (y / x).clamp(1e-3, 1e3)
    }

    /// The size of the panel in a cell: smaller in one direction if units are equal.
    fn fitted(&self, [width, height]: [f64; 2]) -> [f64; 2] {
        if !self.panel.equal {
            return [width, height];
        }
        let aspect = self.aspect();
        if height < width * aspect {
            [height / aspect, height]
        } else {
            [width, width * aspect]
        }
    }

    fn ticks(&self, size: [f64; 2]) -> [Ticks; 2] {
        [0, 1].map(|axis| {
            let line = Line {
                vertical: axis == 1,
                length: size[axis],
            };
            let scale = &self.scales[axis];
            match &self.panel.axes[axis].ticks {
                Some(ticks) => Ticks::custom(ticks, scale, line),
                None => Ticks::new(scale, line),
            }
        })
    }

    /// The lines of the label of an axis, with the common factor of its ticks.
    fn label(&self, axis: usize, ticks: &Ticks, length: f64) -> Vec<String> {
        let label = &self.panel.axes[axis].label;
        let label = match ticks.exponent {
            0 => label.clone(),
            k => format!("{label} (×{})", power(k)),
        };
        wrap(&label, LABEL, length)
    }

    /// The lines of title and note: in one row if both fit, otherwise one above the other.
    fn titles(&self, width: f64) -> (Vec<String>, Vec<String>, bool) {
        let title = wrap(&self.panel.title, TITLE, width);
        let note = wrap(&self.panel.note, NOTE, width);
        let fits = match (&title[..], &note[..]) {
            ([title], [note]) => text_width(title, TITLE) + text_width(note, NOTE) + 12.0 <= width,
            (title, note) => title.is_empty() || note.is_empty(),
        };
        (title, note, fits)
    }

    fn margins(&self, size: [f64; 2]) -> Margins {
        let size = self.fitted(size);
        let ticks = self.ticks(size);
        let widths = ticks[1]
            .major
            .iter()
            .map(|(_, label)| text_width(label, LABEL_SIZE));
        let label = |axis: usize| self.label(axis, &ticks[axis], size[axis]).len() as f64;
        let (title, note, in_one_row) = self.titles(size[0]);
        let (title, note) = (
            title.len() as f64 * LINE * TITLE,
            note.len() as f64 * LINE * NOTE,
        );
        // Labels at the ends of the horizontal axis extend beyond it.
        let mut beyond = [0.0_f64; 2];
        for (x, label) in &ticks[0].major {
            let half = text_width(label, LABEL_SIZE) / 2.0;
            let at = size[0] * self.scales[0].fraction(*x).unwrap_or(0.5);
            beyond = [beyond[0].max(half - at), beyond[1].max(half + at - size[0])];
        }
        Margins {
            left: (TICK[0] + 4.0 + widths.fold(0.0, f64::max)).max(beyond[0])
                + label(1) * LINE * LABEL
                + 6.0,
            top: 10.0
                + if in_one_row {
                    title.max(note)
                } else {
                    title + note
                },
            right: 8.0 + beyond[1],
            bottom: TICK[0] + LINE * LABEL_SIZE + label(0) * LINE * LABEL + 6.0,
        }
    }

    /// Draws the panel into a rectangle.
    fn draw(&self, scene: &mut Scene, [left, top]: Pixel, size: [f64; 2]) {
        let [width, height] = self.fitted(size);
        let (right, bottom) = (left + width, top + height);
        let frame = Frame {
            rectangle: [left, top, right, bottom],
            scales: self.scales,
        };
        let ticks = self.ticks([width, height]);
        let line = |points: Vec<Vec<Pixel>>, colour: Colour| {
            Item::Lines(points, Paint::Stroke(Stroke::solid(colour, 1.0)))
        };
        let at = |axis, x| frame.position(axis, x);
        let xs = |ticks: &Ticks| -> Vec<f64> {
            ticks
                .major
                .iter()
                .filter_map(|tick| at(0, tick.0))
                .collect()
        };
        let ys = |ticks: &Ticks| -> Vec<f64> {
            ticks
                .major
                .iter()
                .filter_map(|tick| at(1, tick.0))
                .collect()
        };
        let (x_major, y_major) = (xs(&ticks[0]), ys(&ticks[1]));
        let vertical = x_major.iter().map(|&x| vec![[x, top], [x, bottom]]);
        let horizontal = y_major.iter().map(|&y| vec![[left, y], [right, y]]);
        scene.add("grid", [line(vertical.chain(horizontal).collect(), GRID)]);

        for series in &self.panel.series {
            scene.add("series", frame.draw(series));
        }

        scene.add("frame", [line(vec![rectangle(frame.rectangle)], FRAME)]);
        let mut marks = Vec::new();
        let minor = |axis: usize| ticks[axis].minor.iter().filter_map(move |&x| at(axis, x));
        for (length, xs) in [(TICK[0], x_major), (TICK[1], minor(0).collect())] {
            marks.extend(
                xs.into_iter()
                    .map(|x| vec![[x, bottom], [x, bottom + length]]),
            );
        }
        for (length, ys) in [(TICK[0], y_major), (TICK[1], minor(1).collect())] {
            marks.extend(ys.into_iter().map(|y| vec![[left - length, y], [left, y]]));
        }
        scene.add("ticks", [line(marks, FRAME)]);

        let x_labels = ticks[0].major.iter().filter_map(|(x, label)| {
            let position = [at(0, *x)?, bottom + TICK[0] + LABEL_SIZE + 1.0];
            Some(text(
                position,
                Anchor::Middle,
                LABEL_SIZE,
                INK,
                label.clone(),
            ))
        });
        let y_labels = ticks[1].major.iter().filter_map(|(y, label)| {
            let position = [left - TICK[0] - 3.0, at(1, *y)? + 0.36 * LABEL_SIZE];
            Some(text(position, Anchor::End, LABEL_SIZE, INK, label.clone()))
        });
        scene.add("labels", x_labels.chain(y_labels));
        let widths = ticks[1]
            .major
            .iter()
            .map(|(_, label)| text_width(label, LABEL_SIZE));
        let outside = TICK[0] + 3.0 + widths.fold(0.0, f64::max);
        self.draw_titles(scene, frame.rectangle, &ticks, outside);
    }

    /// Draws the labels of the axes, title and note; the labels of the vertical axis reach to
    /// `outside`.
    fn draw_titles(
        &self,
        scene: &mut Scene,
        [left, top, right, bottom]: [f64; 4],
        ticks: &[Ticks; 2],
        outside: f64,
    ) {
        let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let labels = [0, 1].map(|axis| {
            let length = if axis == 0 {
                right - left
            } else {
                bottom - top
            };
            self.label(axis, &ticks[axis], length)
        });
        let below = bottom + TICK[0] + LINE * LABEL_SIZE + 2.0;
        let [x_label, y_label] = labels;
        let lines = y_label.len();
        let x_label = x_label.into_iter().enumerate().map(|(i, line)| {
            let at = [x, below + (i as f64 + 0.85) * LINE * LABEL];
            text(at, Anchor::Middle, LABEL, INK, line)
        });
        let y_label = y_label.into_iter().enumerate().map(|(i, line)| {
            let at = [
                left - outside - 8.0 - (lines - 1 - i) as f64 * LINE * LABEL,
                y,
            ];
            Item::Text(Text {
                rotated: true,
                ..label_text(at, Anchor::Middle, LABEL, INK, line)
            })
        });
        scene.add("axes", x_label.chain(y_label));

        let (title, note, in_one_row) = self.titles(right - left);
        let mut y = top - 7.0;
        let mut items = Vec::new();
        for line in note.into_iter().rev() {
            let (x, anchor) = if in_one_row && !title.is_empty() {
                (right, Anchor::End)
            } else {
                (left, Anchor::Start)
            };
            items.push(text([x, y], anchor, NOTE, FAINT, line));
            y -= LINE * NOTE;
        }
        if in_one_row {
            y = top - 7.0;
        }
        for line in title.into_iter().rev() {
            items.push(text([left, y], Anchor::Start, TITLE, INK, line));
            y -= LINE * TITLE;
        }
        scene.add("title", items);
    }
}

fn text(at: Pixel, anchor: Anchor, size: f64, colour: Colour, text: String) -> Item {
    Item::Text(label_text(at, anchor, size, colour, text))
}

fn label_text(at: Pixel, anchor: Anchor, size: f64, colour: Colour, text: String) -> Text {
    Text {
        at,
        anchor,
        size,
        colour,
        rotated: false,
        text,
    }
}
