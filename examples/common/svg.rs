//! Figures in SVG: panels with axes, ticks and titles, a legend above them, and lines, circles and
//! text.
//!
//! Positions on the page are pixels, y downwards, written to a tenth. Styles are SVG attributes, as
//! in `fill="red"`. The figures of the book, `docs/src/img/*.svg`, are copies of what the examples
//! write to `target/` in a full run:
//!
//! ```sh
//! for name in neuron_paths particle_complexity sparse_deconvolution teacher_student transport; do
//!     cargo run --release --example $name && cp target/$name.svg docs/src/img/
//! done
//! ```

#![allow(dead_code, reason = "each example uses a part")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The palette of M. Okabe and K. Ito, Color Universal Design, 2008: distinct for all types of
/// colour vision.
pub const BLUE: &str = "#0072B2";
pub const VERMILION: &str = "#D55E00";
pub const ORANGE: &str = "#E69F00";
pub const SKY: &str = "#56B4E9";
pub const GREEN: &str = "#009E73";
pub const PURPLE: &str = "#CC79A7";
pub const BLACK: &str = "#000000";
pub const GREY: &str = "#888888";

/// Points of a line closer than this to the last one, in pixels, are dropped: they are barely
/// visible. `teacher_student.svg` has 80 kB at 2 pixels, 105 kB at 1 and 170 kB with all points.
const SHORTEST: f64 = 2.0;

/// The style of a line.
pub fn stroke(colour: &str, width: f64) -> String {
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"")
}

/// The style of a filled shape.
pub fn fill(colour: &str) -> String {
    format!("fill=\"{colour}\"")
}

/// A figure under construction.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// A white figure with a title in its upper left corner.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self {
            width,
            height,
            body: String::new(),
        };
        svg.text([16.0, 24.0], "font-size=\"15\" font-weight=\"bold\"", title);
        svg
    }

    /// A line through `points`.
    pub fn line(&mut self, points: impl IntoIterator<Item = [f64; 2]>, style: &str) {
        let (mut points, mut path) = (points.into_iter().peekable(), String::new());
        let mut last: Option<[f64; 2]> = None;
        while let Some([x, y]) = points.next() {
            let short = last.is_some_and(|[u, v]| f64::hypot(x - u, y - v) < SHORTEST);
            if short && points.peek().is_some() {
                continue;
            }
            // After the first pair SVG reads all pairs as line segments.
            let command = if path.is_empty() { 'M' } else { ' ' };
            let _ = write!(path, "{command}{x:.1} {y:.1}");
            last = Some([x, y]);
        }
        self.tag(&format!("path d=\"{path}\" {style}"));
    }

    /// A circle of radius `r`.
    pub fn circle(&mut self, [x, y]: [f64; 2], r: f64, style: &str) {
        self.tag(&format!(
            "circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\" {style}"
        ));
    }

    /// Text, with the characters `<`, `>` and `&` escaped.
    pub fn text(&mut self, [x, y]: [f64; 2], style: &str, text: &str) {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{text}</text>"
        );
    }

    /// The elements that `draw` adds, with a common style.
    pub fn group(&mut self, style: &str, draw: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.body, "<g {style}>");
        draw(self);
        self.body.push_str("</g>\n");
    }

    fn tag(&mut self, tag: &str) {
        let _ = writeln!(self.body, "<{tag}/>");
    }

    /// One row of a legend from the left end `x` of its first key: the marks of each key, then its
    /// label.
    pub fn legend(
        &mut self,
        [x, y]: [f64; 2],
        keys: impl IntoIterator<Item = (Vec<Mark>, &'static str)>,
    ) {
        /// Width of a character of the label, in pixels: the mean of Helvetica and DejaVu Sans at
        /// 12 pixels, rounded up.
        const CHARACTER: f64 = 7.0;
        let mut left = x;
        for (marks, label) in keys {
            for mark in marks {
                let y = y - 4.0;
                match mark {
                    Mark::Line(style) => self.line([[left, y], [left + 24.0, y]], &style),
                    Mark::Dot(r, style) => self.circle([left + 12.0, y], r, &style),
                }
            }
            self.text([left + 30.0, y], "", label);
            left += 30.0 + CHARACTER * label.chars().count() as f64 + 18.0;
        }
    }

    /// A panel of size `[width, height]` at its upper left corner: frame, ticks, and the titles of
    /// panel and axes.
    pub fn panel(
        &mut self,
        title: &str,
        [left, top]: [f64; 2],
        [width, height]: [f64; 2],
        axes: [Axis; 2],
    ) -> Panel {
        let panel = Panel {
            corner: [left, top],
            size: [width, height],
            axes,
        };
        let [x, y] = &panel.axes;
        let (right, bottom) = (left + width, top + height);
        let grid = stroke("#e2e2e2", 1.0);
        for (t, label) in &x.ticks {
            let [at, _] = panel.at([*t, y.low]);
            if x.log {
                self.line([[at, top], [at, bottom]], &grid);
            }
            self.text(
                [at, bottom + 17.0],
                "font-size=\"11\" text-anchor=\"middle\"",
                label,
            );
        }
        for (t, label) in &y.ticks {
            let [_, at] = panel.at([x.low, *t]);
            if y.log {
                self.line([[left, at], [right, at]], &grid);
            }
            self.text(
                [left - 7.0, at + 4.0],
                "font-size=\"11\" text-anchor=\"end\"",
                label,
            );
        }
        self.group(&stroke("#333", 1.0), |svg| {
            let corners = [
                [left, top],
                [right, top],
                [right, bottom],
                [left, bottom],
                [left, top],
            ];
            svg.line(corners, "");
            for (t, length) in x.marks() {
                let [at, _] = panel.at([t, y.low]);
                svg.line([[at, bottom], [at, bottom + length]], "");
            }
            for (t, length) in y.marks() {
                let [_, at] = panel.at([x.low, t]);
                svg.line([[left - length, at], [left, at]], "");
            }
        });
        let middle = "text-anchor=\"middle\"";
        self.text([left + width / 2.0, bottom + 34.0], middle, &x.title);
        let [u, v] = [left - 38.0, top + height / 2.0];
        let rotated = format!("{middle} transform=\"rotate(-90 {u:.1} {v:.1})\"");
        self.text([u, v], &rotated, &y.title);
        self.text(
            [left, top - 8.0],
            "font-size=\"13\" font-weight=\"bold\"",
            title,
        );
        panel
    }

    /// Writes the figure to the file `name` in the folder `target` of this package.
    pub fn write(&self, name: &str) -> io::Result<PathBuf> {
        let (w, h) = (self.width, self.height);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        fs::create_dir_all(&folder)?;
        let document = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#222\">\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"white\"/>\n{}</svg>\n",
            self.body
        );
        fs::write(folder.join(name), document)?;
        Ok(Path::new("target").join(name))
    }
}

/// A mark in a legend, with its style.
pub enum Mark {
    Line(String),
    /// Radius and style.
    Dot(f64, String),
}

impl Mark {
    /// The marks of a path and its end.
    pub fn path(colour: &str) -> Vec<Self> {
        vec![
            Self::Line(stroke(colour, 1.2)),
            Self::Dot(3.0, fill(colour)),
        ]
    }
}

/// The frame of a plot, which maps the numbers of its axes to the page.
pub struct Panel {
    corner: [f64; 2],
    size: [f64; 2],
    axes: [Axis; 2],
}

impl Panel {
    /// The position on the page of the point `(x, y)`.
    pub fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let ([left, top], [width, height]) = (self.corner, self.size);
        let [u, v] = [self.axes[0].fraction(x), self.axes[1].fraction(y)];
        [left + width * u, top + height * (1.0 - v)]
    }

    /// A note above the right end of the panel.
    pub fn note(&self, svg: &mut Svg, text: &str) {
        let right = [self.corner[0] + self.size[0], self.corner[1] - 8.0];
        let style = "text-anchor=\"end\" font-size=\"11\" fill=\"#555\"";
        svg.text(right, style, text);
    }
}

/// An axis: title, range, and ticks with their labels.
pub struct Axis {
    title: String,
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<(f64, String)>,
    minor: Vec<f64>,
}

impl Axis {
    /// A linear axis, with ticks at multiples of 1, 2 or 5 times a power of ten.
    ///
    /// Source: P. Heckbert, Nice numbers for graph labels, Graphics Gems, 1990.
    pub fn linear(title: &str, [low, high]: [f64; 2]) -> Self {
        /// The number of intervals between ticks is at most this.
        const INTERVALS: f64 = 6.0;
        let rough = (high - low) / INTERVALS;
        let power = 10f64.powf(rough.log10().floor());
        let nice = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|s| s * power >= rough);
        let step = power * nice.unwrap_or(10.0);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let numbers = (low / step).ceil() as i64..=(high / step).floor() as i64;
        let label = |x: f64| format!("{x:.decimals$}").replace('-', "−");
        let ticks = numbers.map(|i| i as f64 * step).map(|x| (x, label(x)));
        Self {
            title: title.to_owned(),
            low,
            high,
            log: false,
            ticks: ticks.collect(),
            minor: Vec::new(),
        }
    }

    /// A logarithmic axis, `low > 0`, with ticks at powers of ten and minor ticks between. Smaller
    /// numbers are drawn at `low`.
    pub fn log(title: &str, [low, high]: [f64; 2]) -> Self {
        /// The number of labelled powers of ten is at most this.
        const LABELS: usize = 7;
        // A range that ends at a power of ten, up to rounding, includes it.
        let decades = (low.log10() - 1e-9).ceil() as i32..=(high.log10() + 1e-9).floor() as i32;
        let stride = decades.clone().count().div_ceil(LABELS).max(1);
        let multiples = if stride == 1 { 2..10 } else { 1..2 };
        let minor = (decades.start() - 1..=*decades.end())
            .flat_map(|k| multiples.clone().map(move |i| f64::from(i) * 10f64.powi(k)));
        let minor = minor.filter(|x| (low..=high).contains(x)).collect();
        let ticks = decades.rev().step_by(stride);
        Self {
            title: title.to_owned(),
            low,
            high,
            log: true,
            ticks: ticks.map(|k| (10f64.powi(k), power(k))).collect(),
            minor,
        }
    }

    /// The axis with these ticks and labels instead.
    pub fn with_ticks<S: ToString>(mut self, ticks: impl IntoIterator<Item = (f64, S)>) -> Self {
        self.ticks = ticks
            .into_iter()
            .map(|(x, label)| (x, label.to_string()))
            .collect();
        self
    }

    /// The position of `x` in the range: 0 at its low end, 1 at its high end.
    fn fraction(&self, x: f64) -> f64 {
        if self.log {
            (x.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            (x - self.low) / (self.high - self.low)
        }
    }

    /// The ticks and their lengths in pixels.
    fn marks(&self) -> impl Iterator<Item = (f64, f64)> {
        let minor = self.minor.iter().map(|&x| (x, 2.5));
        self.ticks.iter().map(|&(x, _)| (x, 5.0)).chain(minor)
    }
}

/// `10^k`, as in 10⁻³.
fn power(k: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let superscript = |c: char| c.to_digit(10).map_or('⁻', |d| DIGITS[d as usize]);
    match k {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        _ => "10"
            .chars()
            .chain(k.to_string().chars().map(superscript))
            .collect(),
    }
}

/// `x` with `digits` decimals, as in 1.3·10⁻⁴.
pub fn scientific(x: f64, digits: usize) -> String {
    let text = format!("{x:.digits$e}");
    match text.split_once('e') {
        Some((mantissa, "0")) => mantissa.to_owned(),
        Some(("1", k)) => power(k.parse().unwrap_or(0)),
        Some((mantissa, k)) => format!("{mantissa}·{}", power(k.parse().unwrap_or(0))),
        None => text,
    }
}
