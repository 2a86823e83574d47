//! Figures: panels with series of data, built step by step.

use std::path::Path;

use super::failure::{PlotError, SaveError};
use super::layout::Parts;
use super::panel::{Mark, Panel, Point, Series};
use super::scene::Scene;
use super::style::Style;
use super::svg;
use crate::io;

/// A figure of one or more panels.
///
/// Methods that add data or set options act on the last panel; [`beside`](Self::beside) appends
/// the panels of another figure. Errors of data and options are returned by [`svg`](Self::svg) and
/// [`save`](Self::save), so that a figure is one chain of calls. The same calls produce the same
/// bytes.
///
/// The plot area of a panel has the same size in all panels, and the legend is above them: it does
/// not cover data. Sizes are pixels. Points outside the range of an axis are not drawn, and lines
/// end at its border.
///
/// ```
/// use wasserflow::plot::{BLUE, Figure, GREY, Style};
///
/// let decay = (0..100).map(|step| [step as f64, 0.5_f64.powi(step)]);
/// let svg = Figure::new()
///     .line(decay, Style::new(BLUE).label("F"))
///     .horizontal(1e-9, Style::new(GREY).dashed().label("tolerance"))
///     .log_y()
///     .x_label("step")
///     .svg()?;
/// assert!(svg.starts_with("<svg ") && svg.contains("tolerance"));
/// # Ok::<(), wasserflow::plot::PlotError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    heading: String,
    size: Option<[f64; 2]>,
    columns: Option<usize>,
    /// All panels but the last.
    before: Vec<Panel>,
    panel: Panel,
    /// The first error of a recipe.
    error: Option<PlotError>,
}

impl Default for Figure {
    fn default() -> Self {
        Self::new()
    }
}

impl Figure {
    /// A figure of one panel without data.
    pub fn new() -> Self {
        Self {
            heading: String::new(),
            size: None,
            columns: None,
            before: Vec::new(),
            panel: Panel::default(),
            error: None,
        }
    }

    /// The figure, unless a recipe failed.
    pub(super) fn from_result(result: Result<Self, PlotError>) -> Self {
        result.unwrap_or_else(|error| Self::new().fail(error))
    }

    pub(super) fn fail(mut self, error: PlotError) -> Self {
        self.error.get_or_insert(error);
        self
    }

    pub(super) fn add(mut self, mark: Mark, style: Style) -> Self {
        self.panel.series.push(Series { mark, style });
        self
    }

    /// Extends ranges that are symmetric about 0 to `[-reach, reach]`; returns the new reach.
    pub(super) fn cover(&mut self, reach: f64) -> f64 {
        let old = self.panel.axes[0].range.map_or(0.0, |range| range[1]);
        let reach = old.max(reach);
        for axis in &mut self.panel.axes {
            axis.range = Some([-reach, reach]);
        }
        reach
    }

    /// The text above all panels.
    pub fn heading(mut self, heading: impl Into<String>) -> Self {
        self.heading = heading.into();
        self
    }

    /// The width and height of the whole figure, in pixels, at most 10 000.
    ///
    /// By default panels have a width that depends on the number of columns, and the figure follows.
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = Some([width, height]);
        self
    }

    /// The number of columns of panels; by default at most 3.
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Appends the panels of another figure, after those of this one.
    ///
    /// Heading, size and columns are those of this figure, or else those of the other.
    ///
    /// ```
    /// use wasserflow::plot::{BLUE, Figure};
    ///
    /// let line = |y: f64| Figure::new().line([[0.0, 0.0], [1.0, y]], BLUE).title(format!("y = {y}"));
    /// let svg = line(1.0).beside(line(2.0)).svg()?;
    /// assert!(svg.contains("y = 1") && svg.contains("y = 2"));
    /// # Ok::<(), wasserflow::plot::PlotError>(())
    /// ```
    pub fn beside(mut self, other: Self) -> Self {
        self.before.push(self.panel);
        self.before.extend(other.before);
        self.panel = other.panel;
        if self.heading.is_empty() {
            self.heading = other.heading;
        }
        self.size = self.size.or(other.size);
        self.columns = self.columns.or(other.columns);
        self.error = self.error.or(other.error);
        self
    }

    /// The title of the panel.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.panel.title = title.into();
        self
    }

    /// A note in small letters, right of the title of the panel.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.panel.note = note.into();
        self
    }

    /// The label of the horizontal axis.
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.panel.axes[0].label = label.into();
        self
    }

    /// The label of the vertical axis.
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.panel.axes[1].label = label.into();
        self
    }

    /// A logarithmic horizontal axis. Lines have gaps where x is not positive.
    pub fn log_x(mut self) -> Self {
        self.panel.axes[0].log = true;
        self
    }

    /// A logarithmic vertical axis. Lines have gaps where y is not positive.
    pub fn log_y(mut self) -> Self {
        self.panel.axes[1].log = true;
        self
    }

    /// The range of the horizontal axis; by default that of the data with a margin of 4 %.
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.panel.axes[0].range = Some([low, high]);
        self
    }

    /// The range of the vertical axis; by default that of the data with a margin of 4 %.
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.panel.axes[1].range = Some([low, high]);
        self
    }

    /// The ticks of the horizontal axis. Labels that would overlap are omitted.
    pub fn x_ticks<S: ToString>(mut self, ticks: impl IntoIterator<Item = (f64, S)>) -> Self {
        self.panel.axes[0].ticks = Some(labelled(ticks));
        self
    }

    /// The ticks of the vertical axis. Labels that would overlap are omitted.
    pub fn y_ticks<S: ToString>(mut self, ticks: impl IntoIterator<Item = (f64, S)>) -> Self {
        self.panel.axes[1].ticks = Some(labelled(ticks));
        self
    }

    /// Equal units on both axes, which must be linear: a circle is drawn as a circle.
    pub fn equal(mut self) -> Self {
        self.panel.equal = true;
        self
    }

    /// The same ranges in all panels so far: those that contain the data of each.
    ///
    /// Ranges of the panels that were set before count as their data.
    ///
    /// ```
    /// use wasserflow::plot::{BLUE, Figure};
    ///
    /// let line = |y: f64| Figure::new().line([[0.0, 0.0], [1.0, y]], BLUE);
    /// let svg = line(1.0).beside(line(800.0)).same_ranges().svg()?;
    /// assert_eq!(svg.matches(">800</text>").count(), 2);
    /// # Ok::<(), wasserflow::plot::PlotError>(())
    /// ```
    pub fn same_ranges(mut self) -> Self {
        let mut union: [Option<[f64; 2]>; 2] = [None; 2];
        let panels = self.before.iter().chain([&self.panel]);
        let scales = match panels.map(Panel::scales).collect::<Result<Vec<_>, _>>() {
            Ok(scales) => scales,
            Err(error) => return self.fail(error),
        };
        for scales in scales {
            for (union, scale) in union.iter_mut().zip(scales) {
                let [low, high] = scale.range();
                let [lowest, highest] = union.unwrap_or([low, high]);
                *union = Some([low.min(lowest), high.max(highest)]);
            }
        }
        for panel in self.before.iter_mut().chain([&mut self.panel]) {
            for (axis, union) in panel.axes.iter_mut().zip(union) {
                axis.range = union;
            }
        }
        self
    }

    /// A line through points.
    pub fn line(self, points: impl IntoIterator<Item = Point>, style: impl Into<Style>) -> Self {
        self.lines([points], style)
    }

    /// Several lines of one style, such as the paths of particles.
    pub fn lines<L: IntoIterator<Item = Point>>(
        self,
        lines: impl IntoIterator<Item = L>,
        style: impl Into<Style>,
    ) -> Self {
        let lines = lines.into_iter().map(|line| line.into_iter().collect());
        self.add(Mark::Lines(lines.collect()), style.into())
    }

    /// Points of the radius of the style.
    pub fn points(self, points: impl IntoIterator<Item = Point>, style: impl Into<Style>) -> Self {
        let style = style.into();
        let radius = style.radius;
        let points = points.into_iter().map(|point| (point, radius)).collect();
        self.add(Mark::Points(points), style)
    }

    /// Points with a radius each, in pixels. A radius that is negative is 0.
    pub fn bubbles(
        self,
        points: impl IntoIterator<Item = (Point, f64)>,
        style: impl Into<Style>,
    ) -> Self {
        // The larger of NaN and 0 would be 0.
        let radius = |r: f64| if r < 0.0 { 0.0 } else { r.min(100.0) };
        let points = points.into_iter().map(|(point, r)| (point, radius(r)));
        self.add(Mark::Points(points.collect()), style.into())
    }

    /// Segments with a width each, in pixels, at most 100.
    pub fn segments(
        self,
        segments: impl IntoIterator<Item = ([Point; 2], f64)>,
        style: impl Into<Style>,
    ) -> Self {
        let width = |w: f64| if w < 0.0 { 0.0 } else { w.min(100.0) };
        let segments = segments.into_iter().map(|(ends, w)| (ends, width(w)));
        self.add(Mark::Segments(segments.collect()), style.into())
    }

    /// The area between two curves, given by `[x, low, high]`.
    ///
    /// On a logarithmic axis it reaches to the lower end where `low` is not positive.
    pub fn band(self, band: impl IntoIterator<Item = [f64; 3]>, style: impl Into<Style>) -> Self {
        self.add(Mark::Band(band.into_iter().collect()), style.into())
    }

    /// A horizontal line at `y` through the whole panel.
    pub fn horizontal(self, y: f64, style: impl Into<Style>) -> Self {
        self.add(Mark::Horizontal(y), style.into())
    }

    /// A vertical line at `x` through the whole panel.
    pub fn vertical(self, x: f64, style: impl Into<Style>) -> Self {
        self.add(Mark::Vertical(x), style.into())
    }

    pub(super) fn scene(&self) -> Result<Scene, PlotError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let mut panels = self.before.clone();
        panels.push(self.panel.clone());
        let parts = Parts {
            heading: &self.heading,
            size: self.size,
            columns: self.columns.unwrap_or(panels.len().min(3)),
            panels: &panels,
        };
        parts.scene()
    }

    /// The figure as an SVG document.
    ///
    /// # Errors
    /// [`PlotError`] for data that are empty, infinite or NaN, for an axis that cannot represent
    /// its data, and for options outside their range.
    pub fn svg(&self) -> Result<String, PlotError> {
        Ok(svg::document(&self.scene()?))
    }

    /// Writes the figure to a file, which is replaced atomically.
    ///
    /// The extension selects the format: `.svg`, or `.png` with the feature `png`, in which a pixel
    /// of the layout is a pixel of the picture.
    ///
    /// # Errors
    /// [`SaveError::Figure`] as [`svg`](Self::svg), [`SaveError::Extension`] for another extension
    /// or one whose feature is disabled, [`SaveError::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SaveError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let bytes = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => self.svg()?.into_bytes(),
            #[cfg(feature = "png")]
            Some("png") => self.png(1.0)?,
            _ => {
                return Err(SaveError::Extension {
                    path: path.to_path_buf(),
                    required: if cfg!(feature = "png") {
                        "svg or png"
                    } else {
                        "svg (png requires the feature `png`)"
                    },
                });
            }
        };
        Ok(io::replace(path, &bytes)?)
    }

    /// The figure as a PNG file, with `scale` pixels of the picture for a pixel of the layout.
    ///
    /// ```
    /// use wasserflow::plot::{BLUE, Figure};
    ///
    /// let png = Figure::new().line([[0.0, 0.0], [1.0, 1.0]], BLUE).png(2.0)?;
    /// assert_eq!(&png[..4], b"\x89PNG");
    /// # Ok::<(), wasserflow::plot::PlotError>(())
    /// ```
    ///
    /// # Errors
    /// As [`svg`](Self::svg); [`PlotError::Parameter`] unless `0 < scale <= 10` and the picture has
    /// at most 10^8 pixels.
    #[cfg(feature = "png")]
    pub fn png(&self, scale: f64) -> Result<Vec<u8>, PlotError> {
        super::png::encode(&self.scene()?, scale)
    }
}

fn labelled<S: ToString>(ticks: impl IntoIterator<Item = (f64, S)>) -> Vec<(f64, String)> {
    let ticks = ticks.into_iter().map(|(x, label)| (x, label.to_string()));
    ticks.collect()
}
