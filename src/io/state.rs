//! States in archives.

use super::archive::Archive;
use super::array::{Array, Element, Elements, scalar_name};
use super::failure::ArchiveError;
use super::measure;
use super::{Archived, check_version, new_archive};
use crate::measure::EmpiricalMeasure;
use crate::state::{Evaluation, Memory, State, StateParts};

const KIND: &str = "state";
const SCALAR: &str = "scalar";
const STEP: &str = "step";
const TIME: &str = "time";
const LOST: &str = "time_lost";
const NEXT: &str = "next";
const VELOCITY: &str = "velocity";
const ENERGY: &str = "energy";
const DISSIPATION: &str = "dissipation";
const SLOPE: &str = "slope";
const SCALARS: &str = "memory_scalars";

fn field(index: usize) -> String {
    format!("memory_field_{index}")
}

/// The arrays of the measure and of all other parts of a state ([`StateParts`]).
///
/// - `step`, `time`, `time_lost`, and `next` if the integrator proposed a step size;
/// - `velocity` `(m, p)`, `energy` and `dissipation`, unless the state is stale, and `slope`, if it
///   was computed;
/// - `memory_scalars`, and `memory_field_0`, `memory_field_1` and so on: the memory of the
///   integrator.
///
/// The scalar type is that of the file: a run in another precision is another run. An array of
/// another name is refused.
impl<T: Element> Archived for State<T> {
    fn to_archive(&self) -> Result<Archive, ArchiveError> {
        let mut archive = new_archive(KIND);
        archive.set_metadata(SCALAR, scalar_name::<T>());
        measure::insert(&mut archive, self.measure());
        let StateParts {
            measure: _,
            evaluation,
            time,
            lost,
            step,
            next,
            memory,
        } = self.to_parts();
        let step = i64::try_from(step)
            .map_err(|_| ArchiveError::invalid("the number of steps", "below 2^63", step))?;
        let array = Array::new(Vec::new(), Elements::I64(vec![step]));
        archive.insert(STEP, array.expect("one element has the shape ()"));

        let mut scalars = vec![(TIME, Some(time)), (LOST, Some(lost)), (NEXT, next)];
        if let Some(evaluation) = evaluation {
            archive.insert(VELOCITY, Array::from_matrix(&evaluation.velocity));
            scalars.extend([
                (ENERGY, Some(evaluation.energy)),
                (DISSIPATION, Some(evaluation.dissipation)),
                (SLOPE, evaluation.slope),
            ]);
        }
        for (name, value) in scalars {
            if let Some(value) = value {
                archive.insert(name, Array::from_scalar(value));
            }
        }
        archive.insert(SCALARS, Array::from_vector(memory.scalars));
        for (index, values) in memory.fields.iter().enumerate() {
            archive.insert(field(index), Array::from_matrix(values));
        }
        Ok(archive)
    }

    fn from_archive(archive: &Archive) -> Result<Self, ArchiveError> {
        check_version(archive)?;
        archive.expect("kind", KIND)?;
        archive.expect(SCALAR, scalar_name::<T>())?;
        let optional = |name: &str| match archive.get(name) {
            Some(_) => archive.scalar(name).map(Some),
            None => Ok(None),
        };
        let measure = EmpiricalMeasure::from_archive(archive)?;
        let evaluation = match archive.get(VELOCITY) {
            Some(_) => Some(Evaluation {
                velocity: archive.matrix(VELOCITY)?,
                energy: archive.scalar(ENERGY)?,
                dissipation: archive.scalar(DISSIPATION)?,
                slope: optional(SLOPE)?,
            }),
            None => None,
        };
        let step = archive.integer(STEP)?;
        let step = usize::try_from(step)
            .map_err(|_| ArchiveError::invalid("array `step`", "a number of steps", step))?;
        let mut fields = Vec::new();
        while archive.get(&field(fields.len())).is_some() {
            fields.push(archive.matrix(&field(fields.len()))?);
        }
        check_names(archive, evaluation.is_some(), fields.len())?;
        let parts = StateParts {
            measure,
            evaluation,
            time: archive.scalar(TIME)?,
            lost: archive.scalar(LOST)?,
            step,
            next: optional(NEXT)?,
            memory: Memory {
                fields,
                scalars: archive.vector(SCALARS)?,
            },
        };
        Ok(Self::from_parts(parts)?)
    }
}

/// Checks that the state contains all arrays: it would otherwise resume differently.
fn check_names(archive: &Archive, is_evaluated: bool, fields: usize) -> Result<(), ArchiveError> {
    let always = [
        measure::POINTS,
        measure::WEIGHTS,
        STEP,
        TIME,
        LOST,
        NEXT,
        SCALARS,
    ];
    let evaluated = [VELOCITY, ENERGY, DISSIPATION, SLOPE];
    let fields: Vec<_> = (0..fields).map(field).collect();
    let is_part = |name: &str| {
        always.contains(&name)
            || is_evaluated && evaluated.contains(&name)
            || fields.iter().any(|field| field == name)
    };
    match archive.arrays().find(|(name, _)| !is_part(name)) {
        Some((name, _)) => Err(ArchiveError::invalid(
            "the arrays of a state",
            "its parts",
            name,
        )),
        None => Ok(()),
    }
}
