//! Pictures and animations as PNG files.

use super::failure::PlotError;
use super::raster::{picture_size, pixels};
use super::scene::Scene;

fn failed(error: png::EncodingError) -> PlotError {
    PlotError::Encoding {
        reason: error.to_string(),
    }
}

/// The PNG file of a scene.
pub(super) fn encode(scene: &Scene, scale: f64) -> Result<Vec<u8>, PlotError> {
    let [width, height] = picture_size(scene, scale)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer
        .write_image_data(&pixels(scene, scale)?)
        .map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
