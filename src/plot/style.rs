//! Colours and styles of series.

use crate::error::ParameterError;

/// A colour of the sRGB space.
///
/// ```
/// use wasserflow::plot::{BLUE, Colour};
///
/// assert_eq!(BLUE, Colour { red: 0x00, green: 0x72, blue: 0xB2 });
/// assert_eq!(BLUE.hex(), "#0072b2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// The red component.
    pub red: u8,
    /// The green component.
    pub green: u8,
    /// The blue component.
    pub blue: u8,
}

impl Colour {
    /// The colour `0xRRGGBB`.
    const fn new(rgb: u32) -> Self {
        let [_, red, green, blue] = rgb.to_be_bytes();
        Self { red, green, blue }
    }

    /// The colour as `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// Blue of the palette of M. Okabe and K. Ito, Color Universal Design, 2008: its eight colours are
/// distinct for all types of colour vision.
pub const BLUE: Colour = Colour::new(0x0072B2);
/// Vermilion of the palette of [`BLUE`].
pub const VERMILION: Colour = Colour::new(0xD55E00);
/// Bluish green of the palette of [`BLUE`].
pub const GREEN: Colour = Colour::new(0x009E73);
/// Orange of the palette of [`BLUE`].
pub const ORANGE: Colour = Colour::new(0xE69F00);
/// Sky blue of the palette of [`BLUE`].
pub const SKY: Colour = Colour::new(0x56B4E9);
/// Reddish purple of the palette of [`BLUE`].
pub const PURPLE: Colour = Colour::new(0xCC79A7);
/// Black of the palette of [`BLUE`].
pub const BLACK: Colour = Colour::new(0x000000);
/// A neutral grey, for what is not a category.
pub const GREY: Colour = Colour::new(0x7F7F7F);

/// Colours of categories, in the order of use.
///
/// Yellow of the original palette is left out: thin lines of it are hardly visible on white.
pub const PALETTE: [Colour; 7] = [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK];

pub(super) const INK: Colour = Colour::new(0x222222);
pub(super) const FRAME: Colour = Colour::new(0x333333);
pub(super) const GRID: Colour = Colour::new(0xE2E2E2);
pub(super) const FAINT: Colour = Colour::new(0x555555);

/// The style of a series: colour, widths, and the label in the legend.
///
/// Series of one label have one entry in the legend, with the marks of all.
///
/// ```
/// use wasserflow::plot::{BLUE, Style};
///
/// let style = Style::new(BLUE).width(2.0).dashed().label("median");
/// assert_eq!(style.colour(), BLUE);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    pub(super) colour: Colour,
    pub(super) width: f64,
    pub(super) radius: f64,
    pub(super) opacity: Option<f64>,
    pub(super) dashed: bool,
    pub(super) hollow: bool,
    pub(super) label: Option<String>,
}

impl Style {
    /// Lines of width 1.5, points of radius 3, in pixels.
    pub fn new(colour: Colour) -> Self {
        Self {
            colour,
            width: 1.5,
            radius: 3.0,
            opacity: None,
            dashed: false,
            hollow: false,
            label: None,
        }
    }

    /// The width of lines, in pixels; positive and at most 100.
    pub fn width(mut self, width: f64) -> Self {
        self.width = width;
        self
    }

    /// The radius of points, in pixels; positive and at most 100.
    pub fn radius(mut self, radius: f64) -> Self {
        self.radius = radius;
        self
    }

    /// The opacity, from 0 (exclusive) to 1. The default is 0.2 for bands and regions, 1 for others.
    pub fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = Some(opacity);
        self
    }

    /// Dashed lines.
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }

    /// Points as circles that are not filled.
    pub fn hollow(mut self) -> Self {
        self.hollow = true;
        self
    }

    /// The label of the series in the legend. An empty one is omitted.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        let label = label.into();
        self.label = (!label.trim().is_empty()).then_some(label);
        self
    }

    /// The colour.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    pub(super) fn check(&self) -> Result<(), ParameterError> {
        const LARGEST: f64 = 100.0;
        for (name, value, largest) in [
            ("width of a line", self.width, LARGEST),
            ("radius of a point", self.radius, LARGEST),
            ("opacity", self.opacity.unwrap_or(1.0), 1.0),
        ] {
            let requirement = match largest {
                1.0 => "positive and at most 1",
                _ => "positive and at most 100",
            };
            ParameterError::check(value > 0.0 && value <= largest, name, requirement, value)?;
        }
        Ok(())
    }
}

impl From<Colour> for Style {
    fn from(colour: Colour) -> Self {
        Self::new(colour)
    }
}
