//! Panels: series of data with the options of their axes, before they are laid out.

use super::clip::{Rectangle, clip_line, clip_outline, contains, simplify};
use super::failure::PlotError;
use super::scale::{Extent, Scale};
use super::scene::{Item, Paint, Pixel, Stroke};
use super::style::Style;

/// A point of a panel, in the units of its axes.
pub(super) type Point = [f64; 2];

/// What a series draws.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    Lines(Vec<Vec<Point>>),
    /// Centres and radii, in pixels.
    Points(Vec<(Point, f64)>),
    /// Ends, and widths in pixels.
    Segments(Vec<([Point; 2], f64)>),
    /// `[x, low, high]`.
    Band(Vec<[f64; 3]>),
    /// Outlines; where an even number of them overlap is outside.
    Region(Vec<Vec<Point>>),
    Horizontal(f64),
    Vertical(f64),
}

/// A mark with its style.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) mark: Mark,
    pub(super) style: Style,
}

/// The options of an axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct AxisOptions {
    pub(super) label: String,
    pub(super) log: bool,
    pub(super) range: Option<[f64; 2]>,
    pub(super) ticks: Option<Vec<(f64, String)>>,
}

/// A panel.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) series: Vec<Series>,
    pub(super) axes: [AxisOptions; 2],
    pub(super) equal: bool,
}

const AXES: [&str; 2] = ["x", "y"];

impl Series {
    /// Checks that all numbers are finite and that the series is not empty.
    pub(super) fn check(&self) -> Result<(), PlotError> {
        self.style.check()?;
        let name = match self.mark {
            Mark::Lines(_) => "a line",
            Mark::Points(_) => "a set of points",
            Mark::Segments(_) => "a set of segments",
            Mark::Band(_) => "a band",
            Mark::Region(_) => "a region",
            Mark::Horizontal(_) | Mark::Vertical(_) => "a reference line",
        };
        let mut empty = true;
        let mut check = |index: usize, numbers: &[f64]| {
            empty = false;
            match numbers.iter().find(|x| !x.is_finite()) {
                Some(&value) => Err(PlotError::Value {
                    series: name,
                    index,
                    value,
                }),
                None => Ok(()),
            }
        };
        match &self.mark {
            Mark::Lines(lines) | Mark::Region(lines) => {
                let points = lines.iter().flatten().enumerate();
                points
                    .into_iter()
                    .try_for_each(|(i, point)| check(i, point))?;
                // A function may be negative everywhere.
                empty &= !matches!(self.mark, Mark::Region(_));
            }
            Mark::Points(points) => points
                .iter()
                .enumerate()
                .try_for_each(|(i, &([x, y], r))| check(i, &[x, y, r]))?,
            Mark::Segments(segments) => segments
                .iter()
                .enumerate()
                .try_for_each(|(i, &([[x, y], [u, v]], w))| check(i, &[x, y, u, v, w]))?,
            Mark::Band(band) => band.iter().enumerate().try_for_each(|(i, x)| check(i, x))?,
            Mark::Horizontal(x) | Mark::Vertical(x) => check(0, &[*x])?,
        }
        if empty {
            Err(PlotError::Empty { what: name })
        } else {
            Ok(())
        }
    }

    /// Calls `add(axis, x)` for all coordinates.
    fn coordinates(&self, mut add: impl FnMut(usize, f64)) {
        let mut point = |[x, y]: Point| {
            add(0, x);
            add(1, y);
        };
        match &self.mark {
            Mark::Lines(lines) | Mark::Region(lines) => {
                lines.iter().flatten().for_each(|&p| point(p));
            }
            Mark::Points(points) => points.iter().for_each(|&(p, _)| point(p)),
            Mark::Segments(segments) => {
                segments
                    .iter()
                    .flat_map(|(ends, _)| ends)
                    .for_each(|&p| point(p));
            }
            Mark::Band(band) => band.iter().for_each(|&[x, low, high]| {
                point([x, low]);
                point([x, high]);
            }),
            Mark::Horizontal(y) => add(1, *y),
            Mark::Vertical(x) => add(0, *x),
        }
    }
}

impl Panel {
    /// The scales of both axes.
    pub(super) fn scales(&self) -> Result<[Scale; 2], PlotError> {
        if self.series.is_empty() {
            return Err(PlotError::Empty { what: "a panel" });
        }
        let mut extents = [Extent::new(); 2];
        for series in &self.series {
            series.check()?;
            series.coordinates(|axis, x| extents[axis].add(x));
        }
        let mut scales = [Scale {
            log: false,
            low: 0.0,
            high: 1.0,
        }; 2];
        for (axis, options) in self.axes.iter().enumerate() {
            let (name, log) = (AXES[axis], options.log);
            if self.equal && log {
                let requirement = "be linear, because the axes have equal units";
                return Err(PlotError::Axis {
                    axis: name,
                    requirement,
                });
            }
            scales[axis] = match options.range {
                Some(range) => Scale::fixed(name, log, range)?,
                None => {
                    // At least two powers of ten are labelled, unless the labels are given.
                    let powers = if options.ticks.is_some() { 0 } else { 2 };
                    Scale::of_data(name, log, extents[axis], powers)?
                }
            };
        }
        Ok(scales)
    }
}

/// The rectangle of a panel with its scales.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) rectangle: Rectangle,
    pub(super) scales: [Scale; 2],
}

impl Frame {
    /// The position of a number on an axis; `None` for the logarithm of a nonpositive number.
    pub(super) fn position(&self, axis: usize, x: f64) -> Option<f64> {
        let [left, top, right, bottom] = self.rectangle;
        let fraction = self.scales[axis].fraction(x)?;
        Some(match axis {
            0 => left + (right - left) * fraction,
            _ => bottom - (bottom - top) * fraction,
        })
    }

    fn at(&self, [x, y]: Point) -> Option<Pixel> {
        Some([self.position(0, x)?, self.position(1, y)?])
    }

    /// The visible parts of a line, which breaks at points without position.
    fn line(&self, line: &[Point]) -> Vec<Vec<Pixel>> {
        let pixels: Vec<Option<Pixel>> = line.iter().map(|&point| self.at(point)).collect();
        pixels
            .split(Option::is_none)
            .flat_map(|part| {
                let part: Vec<Pixel> = part.iter().copied().flatten().collect();
                clip_line(&part, self.rectangle)
            })
            .map(|part| simplify(&part))
            .collect()
    }

    /// The elements of a series.
    pub(super) fn draw(&self, series: &Series) -> Vec<Item> {
        let [left, top, right, bottom] = self.rectangle;
        let style = &series.style;
        let opacity = style.opacity.unwrap_or(1.0);
        let stroke = |width| {
            Paint::Stroke(Stroke {
                colour: style.colour,
                width,
                opacity,
                dashed: style.dashed,
            })
        };
        let area = Paint::Fill(style.colour, style.opacity.unwrap_or(AREA_OPACITY));
        let line = |ends: [Pixel; 2]| vec![Item::Lines(vec![ends.to_vec()], stroke(style.width))];
        match &series.mark {
            Mark::Lines(lines) => {
                let lines = lines.iter().flat_map(|line| self.line(line)).collect();
                vec![Item::Lines(lines, stroke(style.width))]
            }
            Mark::Points(points) => {
                let inside = |&(point, r): &(Point, f64)| {
                    let at = self.at(point)?;
                    contains(self.rectangle, at).then_some((at, r))
                };
                let paint = if style.hollow {
                    stroke(style.width)
                } else {
                    Paint::Fill(style.colour, opacity)
                };
                vec![Item::Circles(
                    points.iter().filter_map(inside).collect(),
                    paint,
                )]
            }
            Mark::Segments(segments) => {
                let mut sorted: Vec<_> = segments.iter().collect();
                sorted.sort_by(|a, b| tenth(a.1).total_cmp(&tenth(b.1)));
                let of_width = |run: &[&([Point; 2], f64)]| {
                    let lines = run.iter().flat_map(|(ends, _)| self.line(ends));
                    Item::Lines(lines.collect(), stroke(tenth(run[0].1)))
                };
                sorted
                    .chunk_by(|a, b| tenth(a.1) == tenth(b.1))
                    .map(of_width)
                    .collect()
            }
            Mark::Band(band) => {
                // On a logarithmic axis a bound that is not positive is that of the panel.
                let bound = |x: f64, y: f64| {
                    Some([self.position(0, x)?, self.position(1, y).unwrap_or(bottom)])
                };
                let lower = band.iter().filter_map(|&[x, low, _]| bound(x, low));
                let upper = band.iter().rev().filter_map(|&[x, _, high]| bound(x, high));
                let outline: Vec<Pixel> = lower.chain(upper).collect();
                let outline = simplify(&clip_outline(&outline, self.rectangle));
                vec![Item::Lines(vec![outline], area)]
            }
            Mark::Region(outlines) => {
                let visible = |outline: &Vec<Point>| {
                    let outline: Vec<Pixel> = outline.iter().filter_map(|&p| self.at(p)).collect();
                    simplify(&clip_outline(&outline, self.rectangle))
                };
                vec![Item::Lines(outlines.iter().map(visible).collect(), area)]
            }
            Mark::Horizontal(y) => match self.position(1, *y) {
                Some(y) if (top..=bottom).contains(&y) => line([[left, y], [right, y]]),
                _ => Vec::new(),
            },
            Mark::Vertical(x) => match self.position(0, *x) {
                Some(x) if (left..=right).contains(&x) => line([[x, top], [x, bottom]]),
                _ => Vec::new(),
            },
        }
    }
}

/// The default opacity of bands and regions.
pub(super) const AREA_OPACITY: f64 = 0.2;

/// A width as it is written, which is at least a tenth of a pixel.
fn tenth(width: f64) -> f64 {
    ((width * 10.0).round() / 10.0).max(0.1)
}
