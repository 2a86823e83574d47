//! The cell of a panel: margins, ticks, labels, titles and data.

use super::panel::{Frame, Panel};
use super::scale::Scale;
use super::scene::{Anchor, Item, Paint, Pixel, Scene, Stroke, Text, rectangle};
use super::style::{Colour, FAINT, FRAME, GRID, INK};
use super::text::{power, text_width, wrap};
use super::ticks::{LABEL_SIZE, Line, Ticks};

/// Sizes of fonts, in pixels.
const TITLE: f64 = 13.0;
const LABEL: f64 = 12.0;
const NOTE: f64 = 11.0;
/// The height of a line of text relative to the size of its font.
pub(super) const LINE: f64 = 1.3;
/// The length of major and minor ticks, in pixels.
const TICK: [f64; 2] = [5.0, 2.5];

/// A panel with what is known of it before its position.
pub(super) struct Cell<'a> {
    pub(super) panel: &'a Panel,
    pub(super) scales: [Scale; 2],
}

/// Space around the panel of a cell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Margins {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Cell<'_> {
    /// The range of y relative to that of x.
    pub(super) fn aspect(&self) -> f64 {
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

    pub(super) fn margins(&self, size: [f64; 2]) -> Margins {
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
    pub(super) fn draw(&self, scene: &mut Scene, [left, top]: Pixel, size: [f64; 2]) {
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

pub(super) fn text(at: Pixel, anchor: Anchor, size: f64, colour: Colour, text: String) -> Item {
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
