//! Functions of two inputs: decision regions and level lines.

use std::fmt::Display;

use nalgebra::DMatrix;

use super::contour::Grid;
use super::failure::PlotError;
use super::figure::Figure;
use super::panel::{Mark, Point};
use super::style::{BLACK, PALETTE, Style};
use crate::data::Labels;
use crate::error::ShapeError;
use crate::real::{Real, real, to_f64};

/// Nodes of the grid in each direction: cells are smaller than 2.5 pixels in a panel of 360.
const NODES: usize = 161;

/// A window that contains the points of a `2 x n` matrix, with a margin of 10 %: the ranges of x
/// and y.
///
/// Points that are not finite are ignored; NaN without others.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::plot;
///
/// let x = DMatrix::from_column_slice(2, 2, &[0.0, -1.0, 10.0, 1.0]);
/// assert_eq!(plot::window(&x), [[-1.0, 11.0], [-1.2, 1.2]]);
/// ```
pub fn window<T: Real>(x: &DMatrix<T>) -> [[f64; 2]; 2] {
    [0, 1].map(|axis| {
        if axis >= x.nrows() {
            return [f64::NAN; 2];
        }
        let numbers = x
            .row(axis)
            .iter()
            .map(|&x| to_f64(x))
            .filter(|x| x.is_finite())
            .collect();
        let numbers: Vec<f64> = numbers;
        let low = numbers.iter().copied().fold(f64::NAN, f64::min);
        let high = numbers.iter().copied().fold(f64::NAN, f64::max);
        let margin = if low < high {
            0.1 * (high / 2.0 - low / 2.0) * 2.0
        } else {
            1.0
        };
        [low - margin, high + margin]
    })
}

/// The decision regions of a function of two inputs in a window `[[x_low, x_high], [y_low, y_high]]`.
///
/// `f` maps `2 x n` points to `k x n` values, as [`Network::predict`](crate::network::Network) does.
/// For k = 1 the regions are those of `h <= 0` and `h > 0`, with the boundary as a line; for
/// k >= 2 that of output l is where it is the largest. Region l has the l-th colour of
/// [`PALETTE`]. The function is evaluated at 161 x 161 points and interpolated between them.
///
/// ```
/// use std::convert::Infallible;
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::plot;
///
/// let circle = |x: &DMatrix<f64>| -> Result<_, Infallible> {
///     Ok(DMatrix::from_fn(1, x.ncols(), |_, j| x.column(j).norm() - 1.0))
/// };
/// let svg = plot::decision(circle, [[-2.0, 2.0], [-2.0, 2.0]]).svg()?;
/// assert!(svg.contains("<path"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The figure returns [`PlotError::Function`] with an error of `f`, [`PlotError::Value`] for values
/// that are not finite, [`PlotError::Shape`] if their number is not n, and [`PlotError::Axis`] for an
/// invalid window.
pub fn decision<T: Real, E: Display>(
    f: impl FnOnce(&DMatrix<T>) -> Result<DMatrix<T>, E>,
    window: [[f64; 2]; 2],
) -> Figure {
    Figure::from_result(regions(f, window))
}

fn regions<T: Real, E: Display>(
    f: impl FnOnce(&DMatrix<T>) -> Result<DMatrix<T>, E>,
    window: [[f64; 2]; 2],
) -> Result<Figure, PlotError> {
    let (mut grid, values) = sample(f, window)?;
    let [x, y] = window;
    let mut figure = Figure::new()
        .equal()
        .x_range(x[0], x[1])
        .y_range(y[0], y[1])
        .x_label("x₁")
        .y_label("x₂");
    let k = values.len();
    let regions = k.max(2);
    let mut boundaries = Vec::new();
    for region in 0..regions {
        grid.values = match &values[..] {
            [h] if region == 0 => h.iter().map(|h| -h).collect(),
            [h] => h.clone(),
            _ => margins(&values, region),
        };
        let outlines = grid.region(0.0);
        let style = Style::new(PALETTE[region % PALETTE.len()]).opacity(0.18);
        if !outlines.is_empty() {
            figure = figure.add(Mark::Region(outlines), style);
        }
        // The last boundary is that of the others.
        if region + 1 < regions || k > 2 {
            boundaries.extend(grid.level_lines(0.0));
        }
    }
    if !boundaries.is_empty() {
        figure = figure.lines(boundaries, Style::new(BLACK).width(1.2));
    }
    Ok(figure)
}

/// How much output l exceeds all others.
fn margins(values: &[Vec<f64>], l: usize) -> Vec<f64> {
    let others = |j: usize| {
        let others = values.iter().enumerate().filter(|(i, _)| *i != l);
        others.map(|(_, h)| h[j]).fold(f64::NEG_INFINITY, f64::max)
    };
    // Halves do not overflow.
    (0..values[l].len())
        .map(|j| values[l][j] / 2.0 - others(j) / 2.0)
        .collect()
}

/// The values of a function at the nodes of a grid, output by output.
fn sample<T: Real, E: Display>(
    f: impl FnOnce(&DMatrix<T>) -> Result<DMatrix<T>, E>,
    window: [[f64; 2]; 2],
) -> Result<(Grid, Vec<Vec<f64>>), PlotError> {
    for (axis, [low, high]) in ["x", "y"].into_iter().zip(window) {
        if !(low.is_finite() && high.is_finite() && low < high) {
            let requirement = "have a finite, increasing range";
            return Err(PlotError::Axis { axis, requirement });
        }
    }
    let [xs, ys] = window.map(|[low, high]| -> Vec<f64> {
        let node = |i: usize| {
            let t = i as f64 / (NODES - 1) as f64;
            low * (1.0 - t) + high * t
        };
        (0..NODES).map(node).collect()
    });
    let n = xs.len() * ys.len();
    let node = |j: usize| [xs[j % NODES], ys[j / NODES]];
    let points = DMatrix::from_fn(2, n, |axis, j| real(node(j)[axis]));
    let values = f(&points).map_err(|error| PlotError::Function {
        reason: error.to_string(),
    })?;
    ShapeError::check("number of values of the function", n, values.ncols())?;
    ShapeError::check(
        "number of outputs of the function",
        values.nrows().max(1),
        values.nrows(),
    )?;
    if let Some(index) = values.iter().position(|h| !h.is_finite()) {
        let value = to_f64(values[index]);
        let index = index / values.nrows();
        return Err(PlotError::Value {
            series: "a function",
            index,
            value,
        });
    }
    let rows = values
        .row_iter()
        .map(|row| row.iter().map(|&h| to_f64(h)).collect());
    let values = rows.collect();
    let grid = Grid {
        xs,
        ys,
        values: Vec::new(),
    };
    Ok((grid, values))
}

impl Figure {
    /// Adds the samples `x` (`2 x n`) of a table, in the colours of their classes, which are those of
    /// the regions of [`decision`] of a network with the same classes.
    ///
    /// # Errors
    /// The figure returns [`PlotError::Shape`] unless x has two rows and a column for each label.
    pub fn samples<T: Real>(self, x: &DMatrix<T>, labels: &Labels) -> Self {
        let sizes = ShapeError::check("number of coordinates of the samples", 2, x.nrows())
            .and_then(|()| ShapeError::check("number of labels", x.ncols(), labels.len()));
        if let Err(error) = sizes {
            return self.fail(error.into());
        }
        let mut figure = self;
        for (class, name) in labels.classes().iter().enumerate() {
            let members = (0..x.ncols()).filter(|&j| labels.indices()[j] == class);
            let points: Vec<Point> = members.map(|j| [0, 1].map(|l| to_f64(x[(l, j)]))).collect();
            if !points.is_empty() {
                let style = Style::new(PALETTE[class % PALETTE.len()])
                    .radius(2.5)
                    .label(name);
                figure = figure.points(points, style);
            }
        }
        figure
    }

    /// Adds the lines in the window where a function has the given values: `f` maps `2 x n` points
    /// to `1 x n` values.
    ///
    /// Levels that the function does not attain are omitted.
    ///
    /// # Errors
    /// As [`decision`].
    pub fn level_lines<T: Real, E: Display>(
        self,
        f: impl FnOnce(&DMatrix<T>) -> Result<DMatrix<T>, E>,
        window: [[f64; 2]; 2],
        levels: &[f64],
        style: impl Into<Style>,
    ) -> Self {
        let lines = sample(f, window).and_then(|(mut grid, mut values)| {
            ShapeError::check("number of outputs of the function", 1, values.len())?;
            grid.values = values.remove(0);
            let finite = levels.iter().filter(|level| level.is_finite());
            Ok(finite
                .flat_map(|&level| grid.level_lines(level))
                .collect::<Vec<_>>())
        });
        match lines {
            Ok(lines) if lines.is_empty() => self,
            Ok(lines) => self.lines(lines, style),
            Err(error) => self.fail(error),
        }
    }
}
