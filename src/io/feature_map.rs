//! Feature maps in archives, with the names of their activations.

use super::archive::Archive;
use super::failure::ArchiveError;
use super::{Archived, check_version, new_archive};
use crate::activation::{
    Abs, Erf, Gelu, Identity, LeakyRelu, Relu, ReluPower, Sigmoid, Silu, Sine, Softplus, Tanh,
};
use crate::feature::{Radial, Ridge};

/// A component that a file names in its metadata: an activation.
///
/// Implement it for a custom activation to store feature maps with it.
///
/// # Laws
/// `from_name(&x.to_name()) = Some(x)`.
///
/// ```
/// use wasserflow::io::Named;
/// use wasserflow::prelude::*;
///
/// assert_eq!(LeakyRelu(0.1).to_name(), "LeakyRelu(0.1)");
/// assert_eq!(LeakyRelu::from_name("LeakyRelu(0.1)"), Some(LeakyRelu(0.1)));
/// assert_eq!(Relu::from_name("Tanh"), None);
/// ```
pub trait Named: Sized {
    /// The name, with the parameters.
    fn to_name(&self) -> String;

    /// The component of a name; `None` if it is another one.
    fn from_name(name: &str) -> Option<Self>;
}

/// The name of the type, with its parameter in parentheses.
macro_rules! named {
    ($($name:ident $(($parameter:ident))?),+) => {$(
        impl Named for $name {
            fn to_name(&self) -> String {
                format!("{self:?}")
            }
            fn from_name(name: &str) -> Option<Self> {
                named!(@parse name, $name $(($parameter))?)
            }
        }
    )+};
    (@parse $text:ident, $name:ident) => {
        ($text == stringify!($name)).then_some($name)
    };
    (@parse $text:ident, $name:ident ($parameter:ident)) => {
        $text
            .strip_prefix(concat!(stringify!($name), "("))?
            .strip_suffix(")")?
            .parse()
            .ok()
            .map($name)
    };
}
named!(
    Relu,
    LeakyRelu(s),
    ReluPower(k),
    Abs,
    Identity,
    Softplus,
    Tanh,
    Sigmoid,
    Erf,
    Gelu,
    Silu,
    Sine
);

const MAP: &str = "map";
const ACTIVATION: &str = "activation";
const INPUTS: &str = "d";
const OUTPUTS: &str = "k";

macro_rules! archived_map {
    ($map:ident) => {
        /// The metadata `map`, `activation`, `d` and `k`; without arrays.
        impl<A: Named> Archived for $map<A> {
            fn to_archive(&self) -> Result<Archive, ArchiveError> {
                let mut archive = new_archive("feature map");
                archive.set_metadata(MAP, stringify!($map));
                archive.set_metadata(ACTIVATION, self.activation().to_name());
                archive.set_metadata(INPUTS, self.input_dim());
                archive.set_metadata(OUTPUTS, self.output_dim());
                Ok(archive)
            }

            fn from_archive(archive: &Archive) -> Result<Self, ArchiveError> {
                check_version(archive)?;
                archive.expect(MAP, stringify!($map))?;
                let name = archive.require(ACTIVATION)?;
                let activation = A::from_name(name).ok_or_else(|| {
                    let path = std::any::type_name::<A>();
                    let required = path.rsplit("::").next().unwrap_or(path);
                    ArchiveError::invalid("metadata `activation`", required, name)
                })?;
                let required = "a natural number";
                let d = archive.parse(INPUTS, required)?;
                let k = archive.parse(OUTPUTS, required)?;
                Ok(Self::with_outputs(activation, d, k))
            }
        }
    };
}
archived_map!(Ridge);
archived_map!(Radial);
