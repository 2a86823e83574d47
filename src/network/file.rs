//! Networks in archives: the map, the measure and the preprocessing in one file.

use super::Network;
use crate::data::Standardizer;
use crate::feature::FeatureMap;
use crate::io::{Archive, ArchiveError, Archived, Array, Element};
use crate::measure::EmpiricalMeasure;

const BIAS: &str = "bias";
const CLASSES: &str = "classes";
/// The arrays of means and of deviations.
const INPUT_SCALE: [&str; 2] = ["input_mean", "input_deviation"];
const TARGET_SCALE: [&str; 2] = ["target_mean", "target_deviation"];

/// The key of the name of a class.
fn class(index: usize) -> String {
    format!("class_{index}")
}

/// The metadata of the feature map and the arrays of the measure, and what of the following the
/// network has: the arrays `input_mean`, `input_deviation`, `target_mean` and `target_deviation`,
/// the metadata `bias` (`true` or `false`), `classes` (their number) and `class_0`, `class_1`, ..
///
/// ```
/// use wasserflow::io;
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_row_slice(1, 2, &[10.0, 30.0]);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &[1.0, 1.0, 0.5]))?;
/// let network = Network::new(Ridge::new(Relu, 2), mu)?
///     .with_bias()?
///     .with_input_scale(Standardizer::fit(&x)?)?
///     .with_classes(&["benign", "malignant"])?;
///
/// let path = std::env::temp_dir().join(format!("network-doc-{}.safetensors", std::process::id()));
/// io::write(&path, &network)?;
/// let read: Network<Ridge<Relu>, f64> = io::read(&path)?;
/// assert_eq!(read, network);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The file of a network is also that of its measure and of its feature map.
impl<F, T> Archived for Network<F, T>
where
    F: FeatureMap<T> + Archived,
    T: Element,
{
    fn to_archive(&self) -> Result<Archive, ArchiveError> {
        let mut archive = self.features.to_archive()?;
        for (name, array) in self.measure.to_archive()?.arrays() {
            archive.insert(name, array.clone());
        }
        archive.set_metadata("kind", "network");
        archive.set_metadata(BIAS, self.bias);
        insert_scale(&mut archive, INPUT_SCALE, self.input_scale.as_ref());
        insert_scale(&mut archive, TARGET_SCALE, self.target_scale.as_ref());
        archive.set_metadata(CLASSES, self.classes.len());
        for (index, name) in self.classes.iter().enumerate() {
            archive.set_metadata(class(index), name);
        }
        Ok(archive)
    }

    fn from_archive(archive: &Archive) -> Result<Self, ArchiveError> {
        let measure = EmpiricalMeasure::from_archive(archive)?;
        let mut network = Self::new(F::from_archive(archive)?, measure)?;
        if archive.parse(BIAS, "`true` or `false`")? {
            network = network.with_bias()?;
        }
        if let Some(scale) = scale(archive, INPUT_SCALE)? {
            network = network.with_input_scale(scale)?;
        }
        if let Some(scale) = scale(archive, TARGET_SCALE)? {
            network = network.with_target_scale(scale)?;
        }
        // A missing name ends the loop, so that a number which is too large allocates nothing.
        let mut classes = Vec::new();
        for index in 0..archive.parse::<usize>(CLASSES, "a natural number")? {
            classes.push(archive.require(&class(index))?.to_owned());
        }
        if !classes.is_empty() {
            network = network.with_classes(&classes)?;
        }
        Ok(network)
    }
}

/// Adds the means and deviations of a standardisation.
fn insert_scale<T: Element>(
    archive: &mut Archive,
    [mean, deviation]: [&str; 2],
    scale: Option<&Standardizer<T>>,
) {
    if let Some(scale) = scale {
        archive.insert(mean, Array::from_vector(scale.mean().to_vec()));
        archive.insert(deviation, Array::from_vector(scale.deviation().to_vec()));
    }
}

/// The standardisation of an archive; `None` if it contains neither of the arrays.
fn scale<T: Element>(
    archive: &Archive,
    [mean, deviation]: [&str; 2],
) -> Result<Option<Standardizer<T>>, ArchiveError> {
    if archive.get(mean).is_none() && archive.get(deviation).is_none() {
        return Ok(None);
    }
    let parts = (archive.vector(mean)?, archive.vector(deviation)?);
    Ok(Some(Standardizer::from_parts(parts.0, parts.1)?))
}
