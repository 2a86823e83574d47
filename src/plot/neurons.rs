//! Particles in the plane, with their paths.

use super::failure::PlotError;
use super::figure::Figure;
use super::panel::Point;
use super::style::{BLUE, Colour, GREY, Style, VERMILION};
use crate::error::ShapeError;
use crate::measure::EmpiricalMeasure;
use crate::observe::Snapshots;
use crate::real::{Real, to_f64};

/// The measures of a run in chronological order: a measure, a list of measures, or [`Snapshots`].
pub trait Trajectory<T> {
    /// The measures. The last one is drawn as points, all of them as paths.
    fn measures(&self) -> Vec<&EmpiricalMeasure<T>>;
}

impl<T> Trajectory<T> for EmpiricalMeasure<T> {
    fn measures(&self) -> Vec<&Self> {
        vec![self]
    }
}

impl<T> Trajectory<T> for [EmpiricalMeasure<T>] {
    fn measures(&self) -> Vec<&EmpiricalMeasure<T>> {
        self.iter().collect()
    }
}

impl<T> Trajectory<T> for Vec<EmpiricalMeasure<T>> {
    fn measures(&self) -> Vec<&EmpiricalMeasure<T>> {
        self.iter().collect()
    }
}

impl<T> Trajectory<T> for Snapshots<T> {
    fn measures(&self) -> Vec<&EmpiricalMeasure<T>> {
        self.taken().iter().map(|(_, mu)| mu).collect()
    }
}

/// The sign and the position of a particle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    negative: bool,
    pub(super) at: Point,
    mass: f64,
}

const COLOURS: [Colour; 2] = [BLUE, VERMILION];
const LABELS: [&str; 2] = ["a > 0", "a < 0"];
const TEACHER: &str = "teacher, and its line";
/// The radius of a particle of the largest mass, and the smallest radius, in pixels.
const RADII: [f64; 2] = [3.0, 1.0];

/// The places of the particles of a measure.
pub(super) fn places<T: Real>(mu: &EmpiricalMeasure<T>) -> Result<Vec<Place>, PlotError> {
    // Particles in the plane, or neurons (a, b_1, b_2).
    if mu.dim() != 2 {
        ShapeError::check("dimension of the particles of a figure", 3, mu.dim())?;
    }
    let place = |i: usize| {
        let w: Vec<f64> = mu.particle(i).iter().map(|&x| to_f64(x)).collect();
        let mass = to_f64(mu.weight(i));
        match w[..] {
            [a, x, y] => {
                // |a| b at the distance |a b|^(1/2) from the origin.
                let length = libm::hypot(x, y);
                let scale = if length > 0.0 {
                    (a.abs() / length).sqrt()
                } else {
                    0.0
                };
                let at = [scale * x, scale * y];
                Place {
                    negative: a < 0.0,
                    at,
                    mass,
                }
            }
            _ => Place {
                negative: false,
                at: [w[0], w[1]],
                mass,
            },
        }
    };
    Ok((0..mu.len()).map(place).collect())
}

/// The radius of the square around the origin that contains all places.
pub(super) fn reach<'a>(places: impl Iterator<Item = &'a Place>) -> f64 {
    let largest = places
        .flat_map(|place| place.at)
        .fold(0.0, |r: f64, x| r.max(x.abs()));
    if largest > 0.0 { 1.08 * largest } else { 1.0 }
}

/// The ranges of the axes of an animation: for ridge neurons a square around the origin, for others
/// those of the places, with a margin.
#[cfg(feature = "animation")]
pub(super) fn ranges(places: &[Place], is_ridge: bool) -> [[f64; 2]; 2] {
    if is_ridge {
        let reach = reach(places.iter());
        return [[-reach, reach]; 2];
    }
    let points = nalgebra::DMatrix::from_fn(2, places.len(), |axis, i| places[i].at[axis]);
    super::decision::window(&points)
}

/// The particles of a measure, with their paths if there are several measures.
///
/// Ridge neurons `w = (a, b_1, b_2)` are drawn at `|a| b / |a b|^(1/2)`, in the colour of the sign
/// of `a`: neurons of one direction are on one ray, at a distance that is the square root of their
/// contribution `|a| |b|`. Particles of two coordinates are drawn at their position. The area of a
/// point is proportional to its mass. All measures need the number of particles of the last for
/// paths; the paths start after the last change of it.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::plot;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 2, &[2., 0., 2., -1., 1., 0.]))?;
/// let svg = plot::neurons(&mu).title("two neurons").svg()?;
/// assert!(svg.contains("a &lt; 0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The figure returns [`PlotError::Shape`] if the particles have neither two nor three coordinates,
/// [`PlotError::Empty`] without measures, [`PlotError::Value`] for coordinates that are not finite.
pub fn neurons<T: Real>(trajectory: &(impl Trajectory<T> + ?Sized)) -> Figure {
    Figure::from_result(draw(&trajectory.measures()))
}

pub(super) fn draw<T: Real>(measures: &[&EmpiricalMeasure<T>]) -> Result<Figure, PlotError> {
    let Some(last) = measures.last() else {
        return Err(PlotError::Empty {
            what: "a trajectory",
        });
    };
    let same = measures
        .iter()
        .rev()
        .take_while(|mu| (mu.dim(), mu.len()) == (last.dim(), last.len()));
    let mut path = same.map(|mu| places(mu)).collect::<Result<Vec<_>, _>>()?;
    path.reverse();
    let Some(end) = path.last() else {
        return Err(PlotError::Empty {
            what: "a trajectory",
        });
    };
    let is_ridge = last.dim() == 3;
    let names = if is_ridge {
        ["|a| b₁ / √|a b|", "|a| b₂ / √|a b|"]
    } else {
        ["w₁", "w₂"]
    };
    let mut figure = Figure::new().equal().x_label(names[0]).y_label(names[1]);
    if is_ridge {
        let reach = reach(path.iter().flatten());
        if reach.is_finite() {
            figure.cover(reach);
        }
    }
    let heaviest = end.iter().map(|place| place.mass).fold(0.0, f64::max);
    let radius = |mass: f64| {
        let ratio = if heaviest > 0.0 { mass / heaviest } else { 1.0 };
        (RADII[0] * ratio.sqrt()).max(RADII[1])
    };
    for negative in [false, true] {
        let members: Vec<usize> = (0..end.len())
            .filter(|&i| end[i].negative == negative)
            .collect();
        if members.is_empty() {
            continue;
        }
        let index = usize::from(negative);
        let label = if is_ridge { LABELS[index] } else { "particles" };
        let style = Style::new(COLOURS[index]).label(label);
        if path.len() > 1 {
            let line = |&i: &usize| path.iter().map(move |places| places[i].at);
            let lines: Vec<_> = members.iter().map(line).collect();
            figure = figure.lines(lines, style.clone().width(1.0).opacity(0.5));
        }
        let points = members.iter().map(|&i| (end[i].at, radius(end[i].mass)));
        figure = figure.bubbles(points, style);
    }
    Ok(figure)
}

impl Figure {
    /// Adds the particles of a teacher or target to [`neurons`](fn@super::neurons), as circles.
    ///
    /// For ridge neurons the line of each through the origin is drawn too: the difference
    /// `(b.x)_+ - (-b.x)_+ = b.x` is linear, so that a neuron of a student may be on either side.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::plot;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[0.0, 1.0]))?;
    /// let nu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?;
    /// assert!(plot::neurons(&mu).teacher(&nu).svg()?.contains("target"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn teacher<T: Real>(self, teacher: &EmpiricalMeasure<T>) -> Self {
        /// The length of a line relative to the range of an axis: it ends outside of any panel.
        const LONG: f64 = 1e3;
        let places = match places(teacher) {
            Ok(places) => places,
            Err(error) => return self.fail(error),
        };
        let ring = |colour| Style::new(colour).hollow().radius(5.5).width(1.6);
        if teacher.dim() == 2 {
            let points = places.iter().map(|place| place.at);
            return self.points(points, ring(GREY).width(1.0).label("target"));
        }
        let mut figure = self;
        let length = LONG * figure.cover(reach(places.iter()));
        let lines = places.iter().filter_map(|place| {
            let [x, y] = place.at;
            let s = length / x.abs().max(y.abs());
            let end = [s * x, s * y];
            let is_finite = end.iter().all(|x| x.is_finite());
            is_finite.then_some([end.map(|x| -x), end])
        });
        let lines: Vec<_> = lines.collect();
        if !lines.is_empty() {
            let style = Style::new(GREY).width(1.0).dashed().label(TEACHER);
            figure = figure.lines(lines, style);
        }
        for negative in [false, true] {
            let members = places.iter().filter(|place| place.negative == negative);
            let points: Vec<Point> = members.map(|place| place.at).collect();
            if !points.is_empty() {
                let style = ring(COLOURS[usize::from(negative)]).label(TEACHER);
                figure = figure.points(points, style);
            }
        }
        figure
    }
}
