//! Curves of recorded runs: energy and dissipation against time or step.

use super::figure::Figure;
use super::style::{PALETTE, Style};
use crate::observe::{Record, Trace};
use crate::real::{Real, to_f64};

/// Recorded runs with their names: a [`Trace`], or pairs of a name and a trace.
pub trait Runs<T> {
    /// The traces with their labels; an empty label is omitted in the legend.
    fn runs(&self) -> Vec<(String, &Trace<T>)>;
}

impl<T> Runs<T> for Trace<T> {
    fn runs(&self) -> Vec<(String, &Self)> {
        vec![(String::new(), self)]
    }
}

impl<T, S: AsRef<str>> Runs<T> for [(S, &Trace<T>)] {
    fn runs(&self) -> Vec<(String, &Trace<T>)> {
        self.iter()
            .map(|(name, trace)| (name.as_ref().to_owned(), *trace))
            .collect()
    }
}

impl<T, S: AsRef<str>, const N: usize> Runs<T> for [(S, &Trace<T>); N] {
    fn runs(&self) -> Vec<(String, &Trace<T>)> {
        self[..].runs()
    }
}

impl<T, S: AsRef<str>> Runs<T> for Vec<(S, &Trace<T>)> {
    fn runs(&self) -> Vec<(String, &Trace<T>)> {
        self[..].runs()
    }
}

/// The energy `F(mu_t)` against the time t, one curve a run.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::Trace;
/// use wasserflow::plot;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut trace = Trace::new();
/// flow.run(&mut state, 100, &mut trace)?;
/// assert!(plot::energy(&trace).log_y().svg()?.contains("F(μₜ)"));
/// assert!(plot::energy(&[("Euler", &trace)]).svg()?.contains("Euler"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The figure returns [`PlotError`](super::PlotError) without records, and for records that are not
/// finite.
pub fn energy<T: Real>(runs: &(impl Runs<T> + ?Sized)) -> Figure {
    records(runs, |record| [to_f64(record.time), to_f64(record.energy)])
        .x_label("time t")
        .y_label("F(μₜ)")
}

/// A curve `[x, y]` of the records of each run, such as the dissipation against the step.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::Trace;
/// use wasserflow::plot;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut trace = Trace::new();
/// flow.run(&mut state, 100, &mut trace)?;
/// let figure = plot::records(&trace, |record| [record.step as f64, record.dissipation]);
/// let svg = figure.log_y().x_label("step").y_label("∫ |v|² dμ").svg()?;
/// assert!(svg.contains("10⁻⁸"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`energy`].
pub fn records<T: Real>(
    runs: &(impl Runs<T> + ?Sized),
    curve: impl Fn(&Record<T>) -> [f64; 2],
) -> Figure {
    let mut figure = Figure::new();
    for (i, (name, trace)) in runs.runs().into_iter().enumerate() {
        let style = Style::new(PALETTE[i % PALETTE.len()]).label(name);
        // A second round of the palette is dashed.
        let style = if i < PALETTE.len() {
            style
        } else {
            style.dashed()
        };
        figure = figure.line(trace.records().iter().map(&curve), style);
    }
    figure
}
