//! The legend: one entry for each label, in rows above the panels.

use super::panel::{AREA_OPACITY, Mark, Panel};
use super::scene::{Anchor, Item, Paint, Pixel, Stroke, Text, rectangle};
use super::style::{INK, Style};
use super::text::{text_width, wrap};

/// The size of the font, in pixels.
const SIZE: f64 = 12.0;
/// The height of a row, in pixels.
const ROW: f64 = 18.0;
/// The width of the marks of an entry, and the space after them and after the entry, in pixels.
const KEY: f64 = 24.0;
const SPACE: [f64; 2] = [6.0, 18.0];
/// The space below the last row, in pixels.
const BELOW: f64 = 4.0;
/// The radius of a point in the legend is at most this, in pixels.
const LARGEST: f64 = 6.0;

/// The kind of a mark in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Area,
    Line,
    Point,
}

struct Entry {
    label: String,
    keys: Vec<(Key, Style)>,
    /// The lines of the label in the width of the figure.
    lines: Vec<String>,
    /// The row of its first line, and its left end.
    row: usize,
    left: f64,
}

/// The entries of a figure.
pub(super) struct Legend {
    entries: Vec<Entry>,
    rows: usize,
}

impl Legend {
    /// The entries of all panels, in order.
    pub(super) fn new(panels: &[Panel]) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for series in panels.iter().flat_map(|panel| &panel.series) {
            let Some(label) = &series.style.label else {
                continue;
            };
            let key = match series.mark {
                Mark::Band(_) | Mark::Region(_) => Key::Area,
                Mark::Points(_) => Key::Point,
                _ => Key::Line,
            };
            let mut style = series.style.clone();
            if let Mark::Points(points) = &series.mark {
                style.radius = points.iter().fold(0.0, |r: f64, point| r.max(point.1));
            }
            let position = entries.iter().position(|entry| entry.label == *label);
            let index = position.unwrap_or_else(|| {
                entries.push(Entry {
                    label: label.clone(),
                    keys: Vec::new(),
                    lines: Vec::new(),
                    row: 0,
                    left: 0.0,
                });
                entries.len() - 1
            });
            let keys = &mut entries[index].keys;
            let same = |(other, old): &(Key, Style)| *other == key && old.colour == style.colour;
            if !keys.iter().any(same) {
                keys.push((key, style));
            }
        }
        Self { entries, rows: 0 }
    }

    /// The width of the widest entry.
    pub(super) fn widest(&self) -> f64 {
        let width = |entry: &Entry| KEY + SPACE[0] + text_width(&entry.label, SIZE) + 1.0;
        /// Longer labels have several lines.
        const LONGEST: f64 = 640.0;
        self.entries
            .iter()
            .map(width)
            .fold(0.0, f64::max)
            .min(LONGEST)
    }

    /// Arranges the entries in rows of a width.
    pub(super) fn arrange(&mut self, width: f64) {
        let (mut row, mut left, mut height) = (0, 0.0, 0);
        for entry in &mut self.entries {
            entry.lines = wrap(&entry.label, SIZE, (width - KEY - SPACE[0]).max(1.0));
            let text = entry
                .lines
                .iter()
                .map(|line| text_width(line, SIZE))
                .fold(0.0, f64::max);
            let needed = KEY + SPACE[0] + text;
            if left > 0.0 && left + needed > width {
                (row, left, height) = (row + height, 0.0, 0);
            }
            (entry.row, entry.left) = (row, left);
            height = height.max(entry.lines.len());
            left += needed + SPACE[1];
        }
        self.rows = row + height;
    }

    pub(super) fn height(&self) -> f64 {
        if self.rows == 0 {
            0.0
        } else {
            self.rows as f64 * ROW + BELOW
        }
    }

    /// The elements of the legend at its upper left corner.
    pub(super) fn draw(&self, [x, y]: Pixel) -> Vec<Item> {
        let mut items = Vec::new();
        for entry in &self.entries {
            let left = x + entry.left;
            let middle = y + entry.row as f64 * ROW + ROW / 2.0;
            items.extend(
                entry
                    .keys
                    .iter()
                    .map(|(key, style)| draw_key(*key, style, [left, middle])),
            );
            items.extend(entry.lines.iter().enumerate().map(|(i, line)| {
                Item::Text(Text {
                    at: [left + KEY + SPACE[0], middle + i as f64 * ROW + 0.36 * SIZE],
                    anchor: Anchor::Start,
                    size: SIZE,
                    colour: INK,
                    rotated: false,
                    text: line.clone(),
                })
            }));
        }
        items
    }
}

fn draw_key(key: Key, style: &Style, [left, y]: Pixel) -> Item {
    let opacity = style.opacity.unwrap_or(1.0);
    let stroke = Paint::Stroke(Stroke {
        colour: style.colour,
        width: style.width,
        opacity,
        dashed: style.dashed,
    });
    match key {
        Key::Area => Item::Lines(
            vec![rectangle([left, y - 5.0, left + KEY, y + 5.0])],
            Paint::Fill(style.colour, style.opacity.unwrap_or(AREA_OPACITY)),
        ),
        Key::Line => Item::Lines(vec![vec![[left, y], [left + KEY, y]]], stroke),
        Key::Point => {
            let paint = if style.hollow {
                stroke
            } else {
                Paint::Fill(style.colour, opacity)
            };
            let circle = ([left + KEY / 2.0, y], style.radius.min(LARGEST));
            Item::Circles(vec![circle], paint)
        }
    }
}
