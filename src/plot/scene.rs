//! A figure as a list of paths, circles and texts at positions in pixels, y downwards.

use super::style::Colour;

/// A point of the page.
pub(super) type Pixel = [f64; 2];

/// A line, and whether it is dashed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    pub(super) width: f64,
    pub(super) opacity: f64,
    pub(super) dashed: bool,
}

impl Stroke {
    pub(super) fn solid(colour: Colour, width: f64) -> Self {
        Self {
            colour,
            width,
            opacity: 1.0,
            dashed: false,
        }
    }
}

/// The lengths of dashes and gaps, in pixels.
pub(super) const DASHES: [f64; 2] = [5.0, 3.0];

/// How shapes are painted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Paint {
    Stroke(Stroke),
    /// Colour and opacity; nested outlines alternate.
    Fill(Colour, f64),
}

/// The end of a text that is at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text; its position is on the baseline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub(super) at: Pixel,
    pub(super) anchor: Anchor,
    pub(super) size: f64,
    pub(super) colour: Colour,
    /// Upwards instead of to the right.
    pub(super) rotated: bool,
    pub(super) text: String,
}

/// An element of a scene.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Lines(Vec<Vec<Pixel>>, Paint),
    /// Centres and radii.
    Circles(Vec<(Pixel, f64)>, Paint),
    Text(Text),
}

/// The elements of a figure in the order of painting, in groups with a class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    pub(super) size: [f64; 2],
    /// A description for readers that cannot see the figure.
    pub(super) description: String,
    pub(super) groups: Vec<(&'static str, Vec<Item>)>,
}

impl Scene {
    pub(super) fn add(&mut self, class: &'static str, items: impl IntoIterator<Item = Item>) {
        let items: Vec<Item> = items.into_iter().collect();
        if !items.is_empty() {
            self.groups.push((class, items));
        }
    }
}

/// The outline of the rectangle `[left, top, right, bottom]`.
pub(super) fn rectangle([left, top, right, bottom]: [f64; 4]) -> Vec<Pixel> {
    vec![
        [left, top],
        [right, top],
        [right, bottom],
        [left, bottom],
        [left, top],
    ]
}
