//! A figure in SVG: lines, circles and text, to a tenth of a pixel, and the axes that place them.

#![allow(dead_code, reason = "an example uses what it needs")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A picture under construction, in pixels, y downwards. Styles are SVG attributes, as in `fill="red"`.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// A white picture.
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// A line through `points`.
    pub fn line(&mut self, points: impl IntoIterator<Item = [f64; 2]>, style: &str) {
        let mut path = String::new();
        for [x, y] in points {
            // After the first pair SVG reads all pairs as line segments.
            let _ = write!(
                path,
                "{}{x:.1} {y:.1}",
                if path.is_empty() { 'M' } else { ' ' }
            );
        }
        self.tag(&format!("path d=\"{path}\" {style}"));
    }

    /// A circle of radius `r`.
    pub fn circle(&mut self, [x, y]: [f64; 2], r: f64, style: &str) {
        self.tag(&format!(
            "circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\" {style}"
        ));
    }

    /// A rectangle from its upper left corner.
    pub fn rectangle(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], style: &str) {
        self.tag(&format!(
            "rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" {style}"
        ));
    }

    /// Text that may hold SVG markup such as `<tspan>`.
    pub fn text(&mut self, [x, y]: [f64; 2], style: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{text}</text>"
        );
    }

    /// What `draw` draws, with a style in common.
    pub fn group(&mut self, style: &str, draw: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.body, "<g {style}>");
        draw(self);
        self.body.push_str("</g>\n");
    }

    fn tag(&mut self, tag: &str) {
        let _ = writeln!(self.body, "<{tag}/>");
    }

    /// Writes the picture to the file `name` in the folder `target` of this package.
    pub fn write(&self, name: &str) -> io::Result<PathBuf> {
        let (w, h) = (self.width, self.height);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        fs::create_dir_all(&folder)?;
        let picture = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"13\" fill=\"#333\">\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"white\"/>\n{}</svg>\n",
            self.body
        );
        fs::write(folder.join(name), picture)?;
        Ok(Path::new("target").join(name))
    }
}

/// An axis: the numbers `low` to `high` on the pixels `from` to `to`.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    scale: fn(f64) -> f64,
}

impl Axis {
    /// A linear axis.
    pub fn linear([low, high]: [f64; 2], [from, to]: [f64; 2]) -> Self {
        Self {
            low,
            high,
            from,
            to,
            scale: |x| x,
        }
    }

    /// A logarithmic axis, `low > 0`; what lies below `low` is drawn there.
    pub fn log([low, high]: [f64; 2], [from, to]: [f64; 2]) -> Self {
        Self {
            low,
            high,
            from,
            to,
            scale: f64::log10,
        }
    }

    /// The pixel of the number `x`.
    pub fn at(&self, x: f64) -> f64 {
        let s = self.scale;
        self.from + (self.to - self.from) * (s(x) - s(self.low)) / (s(self.high) - s(self.low))
    }
}
