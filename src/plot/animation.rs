//! Animations: sequences of figures as animated PNG files.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::{PlotError, SaveError};
use super::figure::Figure;
use super::neurons::{Trajectory, draw, places, ranges};
use super::raster::{picture_size, pixels};
use crate::error::{ParameterError, ShapeError};
use crate::io;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// A sequence of figures of one size, written as an animated PNG file, which browsers show as an
/// image. It is repeated without end.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::plot::Animation;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 2), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0))?)?;
/// let mut snapshots = observe::Snapshots::new();
/// flow.run(&mut state, 3, &mut snapshots)?;
/// let bytes = Animation::neurons(&snapshots, None)?.delay(0.1).bytes()?;
/// assert_eq!(&bytes[..4], b"\x89PNG");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Animation {
    figures: Vec<Figure>,
    delay: f64,
    pause: f64,
    scale: f64,
}

/// The largest time between frames, in seconds.
const LONGEST: f64 = 60.0;

impl Animation {
    /// The animation of figures, 0.08 seconds each and 2 seconds at the end.
    pub fn new(figures: impl IntoIterator<Item = Figure>) -> Self {
        Self {
            figures: figures.into_iter().collect(),
            delay: 0.08,
            pause: 2.0,
            scale: 1.0,
        }
    }

    /// The particles of a run, as drawn by [`neurons`](fn@super::neurons), with the paths up to each
    /// frame, and a [`teacher`](Figure::teacher) if there is one. All frames have the same axes.
    ///
    /// # Errors
    /// As the figures of [`neurons`](fn@super::neurons).
    pub fn neurons<T: Real>(
        trajectory: &(impl Trajectory<T> + ?Sized),
        teacher: Option<&EmpiricalMeasure<T>>,
    ) -> Result<Self, PlotError> {
        let measures = trajectory.measures();
        let mut all = Vec::new();
        for mu in measures.iter().copied().chain(teacher) {
            all.extend(places(mu)?);
        }
        let [x, y] = ranges(&all, measures.last().is_some_and(|mu| mu.dim() == 3));
        let frame = |count: usize| -> Result<Figure, PlotError> {
            let mut figure = draw(&measures[..count])?;
            if let Some(teacher) = teacher {
                figure = figure.teacher(teacher);
            }
            Ok(figure.x_range(x[0], x[1]).y_range(y[0], y[1]))
        };
        let figures = (1..=measures.len()).map(frame);
        Ok(Self::new(figures.collect::<Result<Vec<_>, _>>()?))
    }

    /// Applies a change to all figures, such as a title that depends on the index of the frame.
    ///
    /// ```
    /// use wasserflow::plot::{Animation, BLUE, Figure};
    ///
    /// let figure = Figure::new().points([[0.0, 0.0], [1.0, 1.0]], BLUE);
    /// let animation = Animation::new([figure.clone(), figure]);
    /// let bytes = animation.map(|i, figure| figure.title(format!("frame {i}"))).bytes()?;
    /// # Ok::<(), wasserflow::plot::PlotError>(())
    /// ```
    pub fn map(mut self, change: impl Fn(usize, Figure) -> Figure) -> Self {
        let figures = self.figures.into_iter().enumerate();
        self.figures = figures.map(|(i, figure)| change(i, figure)).collect();
        self
    }

    /// The time of a frame in seconds, positive and at most 60.
    pub fn delay(mut self, seconds: f64) -> Self {
        self.delay = seconds;
        self
    }

    /// The time of the last frame in seconds, positive and at most 60.
    pub fn pause(mut self, seconds: f64) -> Self {
        self.pause = seconds;
        self
    }

    /// Pixels of the picture for a pixel of the layout, positive and at most 10.
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// The animated PNG file, with the 255 most frequent colours of all frames. Frames after the first
    /// contain only the pixels that change.
    ///
    /// # Errors
    /// [`PlotError`] as [`Figure::svg`] for each figure; [`PlotError::Empty`] without figures;
    /// [`PlotError::Shape`] if their sizes differ.
    pub fn bytes(&self) -> Result<Vec<u8>, PlotError> {
        for (name, value) in [("delay", self.delay), ("pause", self.pause)] {
            let holds = value > 0.0 && value <= LONGEST;
            ParameterError::check(holds, name, "positive and at most 60 seconds", value)?;
        }
        let Some(first) = self.figures.first() else {
            return Err(PlotError::Empty {
                what: "an animation",
            });
        };
        let size = picture_size(&first.scene()?, self.scale)?;
        let mut bytes = Vec::new();
        self.write(size, &mut bytes)?;
        Ok(bytes)
    }

    /// The pixels of a figure, which has the size of the animation.
    fn frame(&self, figure: &Figure, size: [u32; 2]) -> Result<Vec<u8>, PlotError> {
        let scene = figure.scene()?;
        let found = picture_size(&scene, self.scale)?;
        for (what, side) in [("width of a frame", 0), ("height of a frame", 1)] {
            ShapeError::check(what, size[side] as usize, found[side] as usize)?;
        }
        pixels(&scene, self.scale)
    }

    fn write(&self, size: [u32; 2], bytes: &mut Vec<u8>) -> Result<(), PlotError> {
        let failed = |error: png::EncodingError| PlotError::Encoding {
            reason: error.to_string(),
        };
        // Frames are drawn twice, so that only one of them is in memory.
        let mut counts = BTreeMap::new();
        for figure in &self.figures {
            for &colour in self.frame(figure, size)?.as_chunks::<3>().0 {
                *counts.entry(colour).or_insert(0_u64) += 1;
            }
        }
        let (palette, indices) = palette(&counts);
        let frames = u32::try_from(self.figures.len()).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(bytes, size[0], size[1]);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(palette);
        encoder.set_trns(vec![0]); // the first colour
        encoder.set_compression(png::Compression::High);
        encoder.set_filter(png::Filter::NoFilter);
        encoder.set_animated(frames, 0).map_err(failed)?;
        let mut writer = encoder.write_header().map_err(failed)?;
        let mut previous: Option<Vec<u8>> = None;
        for (i, figure) in self.figures.iter().enumerate() {
            let colours = self.frame(figure, size)?;
            let frame: Vec<u8> = colours
                .as_chunks::<3>()
                .0
                .iter()
                .map(|c| indices[c])
                .collect();
            let last = i + 1 == self.figures.len();
            let seconds = if last { self.pause } else { self.delay };
            let milliseconds = (seconds * 1000.0).round().max(1.0) as u16;
            writer.set_frame_delay(milliseconds, 1000).map_err(failed)?;
            let shown = match &previous {
                None => frame.clone(),
                Some(previous) => {
                    writer.set_blend_op(png::BlendOp::Over).map_err(failed)?;
                    let pairs = previous.iter().zip(&frame);
                    pairs
                        .map(|(old, new)| if old == new { 0 } else { *new })
                        .collect()
                }
            };
            writer.write_image_data(&shown).map_err(failed)?;
            previous = Some(frame);
        }
        writer.finish().map_err(failed)
    }

    /// Writes the animation to a file `.png` or `.apng`, which is replaced atomically.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes); [`SaveError::Extension`] for another extension,
    /// [`SaveError::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SaveError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !extension.is_some_and(|e| ["png", "apng"].contains(&e.to_ascii_lowercase().as_str())) {
            return Err(SaveError::Extension {
                path: path.to_path_buf(),
                required: "png or apng",
            });
        }
        Ok(io::replace(path, &self.bytes()?)?)
    }
}

/// The most frequent colours, after one that is transparent; and the index of the nearest of them for
/// each colour.
fn palette(counts: &BTreeMap<[u8; 3], u64>) -> (Vec<u8>, BTreeMap<[u8; 3], u8>) {
    const COLOURS: usize = 255;
    let mut sorted: Vec<(&[u8; 3], &u64)> = counts.iter().collect();
    sorted.sort_by_key(|&(_, &count)| std::cmp::Reverse(count)); // stable: ties by colour
    let kept: Vec<[u8; 3]> = sorted
        .into_iter()
        .take(COLOURS)
        .map(|(&colour, _)| colour)
        .collect();
    let distance = |a: [u8; 3], b: [u8; 3]| -> u32 {
        (0..3).map(|l| u32::from(a[l].abs_diff(b[l])).pow(2)).sum()
    };
    let nearest = |&colour: &[u8; 3]| {
        let index = (0..kept.len())
            .min_by_key(|&i| distance(kept[i], colour))
            .unwrap_or(0);
        (colour, (index + 1) as u8)
    };
    let mut palette = vec![255; 3];
    palette.extend(kept.as_flattened());
    (palette, counts.keys().map(nearest).collect())
}
