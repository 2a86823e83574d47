//! A list of matrices, for `#[serde(with = "..")]`.

use nalgebra::{DMatrix, Scalar};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Columns;

pub(crate) fn serialize<T: Serialize, S: Serializer>(
    matrices: &[DMatrix<T>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(matrices.iter().map(Columns::from))
}

pub(crate) fn deserialize<'de, T, D>(decoder: D) -> Result<Vec<DMatrix<T>>, D::Error>
where
    T: Scalar + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let matrices = Vec::<Columns<Vec<T>>>::deserialize(decoder)?;
    matrices.into_iter().map(Columns::into_matrix).collect()
}
