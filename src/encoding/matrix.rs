//! A matrix, for `#[serde(with = "..")]`.

use nalgebra::{DMatrix, Scalar};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Columns;

pub(crate) fn serialize<T: Serialize, S: Serializer>(
    matrix: &DMatrix<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Columns::from(matrix).serialize(serializer)
}

pub(crate) fn deserialize<'de, T, D>(decoder: D) -> Result<DMatrix<T>, D::Error>
where
    T: Scalar + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Columns::deserialize(decoder)?.into_matrix()
}
