//! Figures: neurons, energies, decisions, width studies and transport plans, as SVG and PNG.
//!
//! Five functions draw the objects of this crate. Each returns a [`Figure`], whose methods set
//! titles, axes and ranges, add lines, points and bands, and write the file:
//!
//! ```
//! use wasserflow::nalgebra::DMatrix;
//! use wasserflow::observe::Trace;
//! use wasserflow::plot;
//! use wasserflow::prelude::*;
//!
//! let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.1)?;
//! let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
//! let mut trace = Trace::new();
//! flow.run(&mut state, 100, &mut trace)?;
//!
//! # let path = std::env::temp_dir().join(format!("wasserflow-doc-{}.svg", std::process::id()));
//! plot::energy(&trace).log_y().title("Weight decay").save(&path)?;
//! # std::fs::remove_file(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | function | draws |
//! | --- | --- |
//! | [`neurons`](fn@neurons) | the particles of a measure by sign and mass, their paths, a teacher |
//! | [`energy`], [`records`](fn@records) | a trace: F against t; any scalar of the records against another |
//! | [`decision`](fn@decision) | the regions of a network or function of two inputs, with the samples |
//! | [`widths`](fn@widths) | a value against the number of particles, median and quartiles over seeds |
//! | [`coupling`](fn@coupling) | a transport plan between two measures in the plane |
//!
//! Colours are those of the palette of Okabe and Ito ([`PALETTE`]), which are distinct for all types
//! of colour vision. Axes of planes have equal units. Labels do not overlap: the layout uses the
//! widths of the glyphs of DejaVu Sans ([`text_width`]). The legend is outside the panels. Equal
//! input yields equal bytes.
//!
//! The feature `plot` has no dependencies. The feature `png` adds PNG files, by the crates
//! `tiny-skia`, `ttf-parser` and `png`, with an embedded font of 28 kB; the feature `animation`
//! adds animated PNG files, without further crates. `plotters` 0.3 was the alternative: it rounds
//! coordinates to pixels, has neither equal units nor contours, and no legend outside of a panel.

mod advances;
#[cfg(feature = "animation")]
mod animation;
mod cell;
mod clip;
mod contour;
mod coupling;
mod decision;
mod failure;
mod figure;
mod layout;
mod legend;
mod neurons;
mod panel;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "png")]
mod raster;
mod records;
mod scale;
mod scene;
mod style;
mod svg;
mod text;
mod ticks;
mod widths;

#[cfg(feature = "animation")]
pub use animation::Animation;
pub use coupling::coupling;
pub use decision::{decision, window};
pub use failure::{PlotError, SaveError};
pub use figure::Figure;
pub use neurons::{Trajectory, neurons};
pub use records::{Runs, energy, records};
pub use style::{BLACK, BLUE, Colour, GREEN, GREY, ORANGE, PALETTE, PURPLE, SKY, Style, VERMILION};
pub use text::{scientific, text_width};
pub use widths::widths;
