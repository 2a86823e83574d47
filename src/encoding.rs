//! Serde: what the derived implementations of the types share.
//!
//! Matrices are stored as their shape and elements. The implementation of nalgebra multiplies a
//! shape before it compares it with the number of elements, which overflows for hostile shapes.

use nalgebra::{DMatrix, Scalar};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

pub(crate) mod matrices;
pub(crate) mod matrix;

/// Implements serde for settings without parameters, or with one, as a variant of their own name:
/// `"Relu"`, `{"Huber": 1.0}`. The name of another setting is refused, and so is a value that does not
/// satisfy the function `check_setting` at the place of the call.
macro_rules! by_name {
    ($($name:ident $(($value:ty))?),+ $(,)?) => {$(
        const _: () = {
            #[derive(serde::Serialize, serde::Deserialize)]
            enum Named {
                $name $(($value))?,
            }
            $crate::encoding::by_name!(@impl $name $(($value))?);
        };
    )+};
    (@impl $name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Named::$name.serialize(serializer)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
                Named::deserialize(decoder).map(|_| Self)
            }
        }
    };
    (@impl $name:ident ($value:ty)) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Named::$name(self.0).serialize(serializer)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
                let Named::$name(value) = Named::deserialize(decoder)?;
                let setting = Self(value);
                check_setting(&setting).map_err(serde::de::Error::custom)?;
                Ok(setting)
            }
        }
    };
}
pub(crate) use by_name;

/// A value that satisfies a check.
pub(crate) fn checked<'de, V, D, E>(
    decoder: D,
    check: impl FnOnce(&V) -> Result<(), E>,
) -> Result<V, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
    E: std::fmt::Display,
{
    let value = V::deserialize(decoder)?;
    check(&value).map_err(D::Error::custom)?;
    Ok(value)
}

/// A matrix, column by column.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "Matrix")]
struct Columns<E> {
    rows: usize,
    columns: usize,
    elements: E,
}

impl<'a, T> From<&'a DMatrix<T>> for Columns<&'a [T]> {
    fn from(matrix: &'a DMatrix<T>) -> Self {
        Self {
            rows: matrix.nrows(),
            columns: matrix.ncols(),
            elements: matrix.as_slice(),
        }
    }
}

impl<T: Scalar> Columns<Vec<T>> {
    fn into_matrix<E: Error>(self) -> Result<DMatrix<T>, E> {
        let (rows, columns, found) = (self.rows, self.columns, self.elements.len());
        if rows.checked_mul(columns) == Some(found) {
            Ok(DMatrix::from_vec(rows, columns, self.elements))
        } else {
            let message = format!("a matrix of {rows} x {columns} elements, found {found}");
            Err(E::custom(message))
        }
    }
}
