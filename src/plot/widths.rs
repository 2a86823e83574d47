//! Values of width studies against the number of particles.

use super::figure::Figure;
use super::style::{PALETTE, Style};
use crate::study::Width;

/// The values of studies against the number of particles m, on logarithmic axes: the median as a
/// line, the quartiles as a band.
///
/// Quartiles interpolate between the sorted values. NaN, a run that failed, counts as larger than
/// all numbers, as in [`Width::median`]. Values that are not positive have no logarithm: replace
/// them by the accuracy of the study, for instance `value.max(1e-12)`.
///
/// ```
/// use wasserflow::plot;
/// use wasserflow::study::Width;
///
/// let width = |m: usize| Width { particles: m, values: vec![1.0 / m as f64, 2.0 / m as f64] };
/// let study = [width(10), width(100), width(1000)];
/// let svg = plot::widths(&[("flow", &study[..])]).y_label("F − F*").svg()?;
/// assert!(svg.contains("particles m") && svg.contains("flow"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The figure returns [`PlotError`](super::PlotError) without studies or values, and for a median
/// that is infinite or NaN.
pub fn widths<S: AsRef<str>>(studies: &[(S, &[Width])]) -> Figure {
    let mut figure = Figure::new()
        .log_x()
        .log_y()
        .x_label("number of particles m");
    let mut ticks: Vec<usize> = Vec::new();
    for (i, (name, study)) in studies.iter().enumerate() {
        ticks.extend(study.iter().map(|width| width.particles));
        let quartiles: Vec<[f64; 4]> = study.iter().map(quartiles).collect();
        let style = Style::new(PALETTE[i % PALETTE.len()]).label(name.as_ref());
        // Only numbers have a band: an upper quartile of failed runs is omitted.
        let finite = |q: &&[f64; 4]| q.iter().all(|x| x.is_finite());
        let band: Vec<[f64; 3]> = quartiles
            .iter()
            .filter(finite)
            .map(|&[m, low, _, high]| [m, low, high])
            .collect();
        if band.len() > 1 {
            figure = figure.band(band, style.clone());
        }
        let medians: Vec<[f64; 2]> = quartiles
            .iter()
            .map(|&[m, _, median, _]| [m, median])
            .collect();
        figure = figure.line(medians.clone(), style.clone());
        figure = figure.points(medians, style);
    }
    ticks.sort_unstable();
    ticks.dedup();
    figure.x_ticks(ticks.into_iter().map(|m| (m as f64, m)))
}

/// m and the quartiles of the values.
fn quartiles(width: &Width) -> [f64; 4] {
    let mut sorted = width.values.clone();
    sorted.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
    let quartile = |q: f64| {
        let rank = q * sorted.len().saturating_sub(1) as f64;
        let at = |rank: f64| sorted.get(rank as usize).copied().unwrap_or(f64::NAN);
        let (low, high) = (at(rank.floor()), at(rank.ceil()));
        let t = rank.fract();
        if t == 0.0 {
            low
        } else {
            low * (1.0 - t) + high * t
        }
    };
    [
        width.particles as f64,
        quartile(0.25),
        quartile(0.5),
        quartile(0.75),
    ]
}
