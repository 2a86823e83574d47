//! The format safetensors: a header in JSON, and the elements of all arrays.
//!
//! Source: Hugging Face, *safetensors*, the section *Format* of its documentation.

use std::collections::BTreeMap;

use super::array::{Array, Elements, size};
use super::failure::ArchiveError;
use super::text::{Cursor, quote};

/// The key of the metadata, which arrays cannot have.
const METADATA: &str = "__metadata__";

/// The data starts at a multiple of this.
const ALIGNMENT: usize = 8;

/// The elements of a type of safetensors.
fn elements_of(dtype: &str) -> Option<Elements> {
    match dtype {
        "F32" => Some(Elements::F32(Vec::new())),
        "F64" => Some(Elements::F64(Vec::new())),
        "I64" => Some(Elements::I64(Vec::new())),
        _ => None,
    }
}

/// Arrays by name, and metadata by key.
pub(super) type Contents = (BTreeMap<String, Array>, BTreeMap<String, String>);

/// The bytes of a `.safetensors` file.
pub(super) fn encode(
    arrays: &BTreeMap<String, Array>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, ArchiveError> {
    let reserved = arrays.contains_key(METADATA);
    let required = "different from the key of the metadata";
    ArchiveError::check(!reserved, "the name of an array", required, METADATA)?;

    let mut header = String::from("{");
    quote(METADATA, &mut header);
    header.push_str(":{");
    for (at, (key, value)) in metadata.iter().enumerate() {
        header.push_str(if at == 0 { "" } else { "," });
        quote(key, &mut header);
        header.push(':');
        quote(value, &mut header);
    }
    header.push('}');
    // Wide elements first, so that all are aligned.
    let mut arrays: Vec<_> = arrays.iter().collect();
    arrays.sort_by_key(|(_, array)| std::cmp::Reverse(array.elements().width()));
    let mut end = 0;
    for (name, array) in &arrays {
        let dtype = match array.elements() {
            Elements::F32(_) => "F32",
            Elements::F64(_) => "F64",
            Elements::I64(_) => "I64",
        };
        let start = end;
        end += array.elements().len() * array.elements().width();
        header.push(',');
        quote(name, &mut header);
        let shape = format!("{:?}", array.shape());
        header.push_str(&format!(
            ":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}"
        ));
    }
    header.push('}');
    let padding = header.len().next_multiple_of(ALIGNMENT) - header.len();
    header.extend(std::iter::repeat_n(' ', padding));

    let mut out = Vec::with_capacity(8 + header.len() + end);
    out.extend_from_slice(&(header.len() as u64).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    for (_, array) in arrays {
        array.elements().append_to(&mut out);
    }
    Ok(out)
}

/// What the header states about an array.
struct Entry {
    elements: Elements,
    shape: Vec<usize>,
    /// The first byte of its elements, and the byte behind the last one.
    offsets: [usize; 2],
}

/// The contents of a `.safetensors` file.
pub(super) fn decode(bytes: &[u8]) -> Result<Contents, ArchiveError> {
    let what = "the size of the file";
    let found = bytes.len();
    let (length, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| ArchiveError::invalid(what, "at least 8 bytes", found))?;
    let length = u64::from_le_bytes(*length);
    let (header, data) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| {
            let required = format!("at least 8 + {length} bytes, or that of a .npz file");
            ArchiveError::invalid(what, required, found)
        })?;

    let (entries, metadata) = decode_header(header)?;
    let mut order: Vec<_> = entries.iter().collect();
    order.sort_by_key(|(_, entry)| entry.offsets);
    let (mut arrays, mut end) = (BTreeMap::new(), 0);
    for (name, entry) in order {
        let what = format!("array `{name}`");
        let [start, stop] = entry.offsets;
        let required = format!("at byte {end} of the data");
        ArchiveError::check(start == end, &what, required, start)?;
        end = stop;
        let bytes = data.get(start..stop).ok_or_else(|| {
            let required = format!("within the {} bytes of data", data.len());
            ArchiveError::invalid(&what, required, format!("bytes {start} to {stop}"))
        })?;
        let size = size(&entry.shape).and_then(|size| size.checked_mul(entry.elements.width()));
        let required = format!("{} of shape {:?}", entry.elements.name(), entry.shape);
        let found = format!("{} bytes", bytes.len());
        ArchiveError::check(size == Some(bytes.len()), &what, required, found)?;
        let mut elements = entry.elements.clone();
        elements.fill_from(bytes);
        let array = Array::new(entry.shape.clone(), elements)
            .map_err(|error| ArchiveError::invalid(what, "an array", error))?;
        arrays.insert(name.clone(), array);
    }
    let required = format!("{end} bytes");
    ArchiveError::check(
        end == data.len(),
        "the size of the data",
        required,
        data.len(),
    )?;
    Ok((arrays, metadata))
}

type Header = (BTreeMap<String, Entry>, BTreeMap<String, String>);

fn decode_header(header: &[u8]) -> Result<Header, ArchiveError> {
    let mut cursor = Cursor::new(header, "the header")?;
    let (mut entries, mut metadata) = (BTreeMap::new(), None);
    cursor.object(|cursor, name| {
        let known = if name == METADATA {
            metadata.replace(decode_strings(cursor)?).is_some()
        } else {
            let entry = decode_entry(cursor, &name)?;
            entries.insert(name.clone(), entry).is_some()
        };
        ArchiveError::check(!known, "the names of the arrays", "unique", name)
    })?;
    cursor.end()?;
    Ok((entries, metadata.unwrap_or_default()))
}

/// An object of strings.
pub(super) fn decode_strings(
    cursor: &mut Cursor<'_>,
) -> Result<BTreeMap<String, String>, ArchiveError> {
    let mut strings = BTreeMap::new();
    cursor.object(|cursor, key| {
        let value = cursor.string('"')?;
        let known = strings.insert(key.clone(), value).is_some();
        ArchiveError::check(!known, "the keys of the metadata", "unique", key)
    })?;
    Ok(strings)
}

fn decode_entry(cursor: &mut Cursor<'_>, name: &str) -> Result<Entry, ArchiveError> {
    let what = format!("array `{name}`");
    let (mut elements, mut shape, mut offsets) = (None, None, None);
    cursor.object(|cursor, key| {
        match &key[..] {
            "dtype" => {
                let dtype = cursor.string('"')?;
                let found = elements_of(&dtype)
                    .ok_or_else(|| ArchiveError::invalid(&what, "F32, F64 or I64", dtype))?;
                elements = Some(found);
            }
            "shape" => shape = Some(cursor.numbers("[", "]")?),
            "data_offsets" => {
                let numbers = cursor.numbers("[", "]")?;
                let found = format!("{} numbers", numbers.len());
                let pair = numbers.try_into();
                offsets = Some(pair.map_err(|_| {
                    ArchiveError::invalid(format!("data_offsets of {what}"), "a pair", found)
                })?);
            }
            _ => return Err(cursor.refuse("the value of dtype, shape or data_offsets")),
        }
        Ok(())
    })?;
    match (elements, shape, offsets) {
        (Some(elements), Some(shape), Some(offsets)) => Ok(Entry {
            elements,
            shape,
            offsets,
        }),
        _ => {
            let required = "of a dtype, a shape and data_offsets";
            Err(ArchiveError::invalid(what, required, "other keys"))
        }
    }
}
