//! Transport plans between measures in the plane.

use super::failure::PlotError;
use super::figure::Figure;
use super::panel::Point;
use super::style::{BLUE, GREY, Style, VERMILION};
use crate::error::ShapeError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};
use crate::transport::Coupling;

/// The width of the segment of the largest mass, and the smallest width, in pixels.
const WIDTHS: [f64; 2] = [2.0, 0.4];
/// The radius of the largest atom, and the smallest radius, in pixels.
const RADII: [f64; 2] = [3.5, 1.0];

/// A transport plan of two measures in the plane: a segment for each entry, with a width
/// proportional to its mass, and the atoms with areas proportional to theirs.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::plot;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[0.0, 0.0, 4.0, 0.0]))?;
/// let nu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[4.0, 1.0, 0.0, 3.0]))?;
/// let coupling = transport::w2(&mu, &nu)?;
/// assert!(plot::coupling(&mu, &nu, &coupling).svg()?.contains("plan"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The figure returns [`PlotError::Shape`] if the atoms do not have two coordinates, or if the plan
/// is not one of these measures; [`PlotError::Value`] for coordinates that are not finite.
pub fn coupling<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    coupling: &Coupling<T>,
) -> Figure {
    Figure::from_result(draw(mu, nu, coupling))
}

fn draw<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    coupling: &Coupling<T>,
) -> Result<Figure, PlotError> {
    for measure in [mu, nu] {
        ShapeError::check("dimension of the atoms of a figure", 2, measure.dim())?;
    }
    let at = |measure: &EmpiricalMeasure<T>, i: usize| -> Point {
        let w = measure.particle(i);
        [to_f64(w[0]), to_f64(w[1])]
    };
    let plan = coupling.plan();
    let largest = plan.iter().map(|entry| to_f64(entry.2)).fold(0.0, f64::max);
    let mut segments = Vec::with_capacity(plan.len());
    for &(i, j, mass) in plan {
        // An index that exceeds the atoms is reported with their number.
        ShapeError::check("number of atoms of mu", mu.len().max(i + 1), mu.len())?;
        ShapeError::check("number of atoms of nu", nu.len().max(j + 1), nu.len())?;
        let width = (WIDTHS[0] * to_f64(mass) / largest).max(WIDTHS[1]);
        segments.push(([at(mu, i), at(nu, j)], width));
    }
    let mut figure = Figure::new().equal().x_label("w₁").y_label("w₂");
    if !segments.is_empty() {
        let style = Style::new(BLUE).opacity(0.5).width(1.0).label("plan");
        figure = figure.segments(segments, style);
    }
    let heaviest = |measure: &EmpiricalMeasure<T>| {
        measure
            .weights()
            .iter()
            .map(|&c| to_f64(c))
            .fold(0.0, f64::max)
    };
    let largest = heaviest(mu).max(heaviest(nu));
    for (measure, colour, label) in [(mu, GREY, "μ"), (nu, VERMILION, "ν")] {
        let radius = |i: usize| {
            let ratio = to_f64(measure.weight(i)) / largest;
            if ratio > 0.0 {
                (RADII[0] * ratio.sqrt()).max(RADII[1])
            } else {
                RADII[1]
            }
        };
        let atoms = (0..measure.len()).map(|i| (at(measure, i), radius(i)));
        figure = figure.bubbles(atoms, Style::new(colour).label(label));
    }
    Ok(figure)
}
