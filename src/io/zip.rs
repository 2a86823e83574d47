//! ZIP archives whose members are stored without compression, the container of `.npz` files.
//!
//! Source: PKWARE, *APPNOTE.TXT - .ZIP File Format Specification*, version 6.3.10. Archives of more
//! than 4 GiB (Zip64) are refused.

use super::failure::ArchiveError;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";

/// Lengths of the fixed parts of a local header, a central header and the end record.
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const END_LENGTH: usize = 22;

/// Version 2.0 of the format; made on Unix, so that the mode below is used.
const VERSION: u16 = 20;
const MADE_BY: u16 = 3 << 8 | VERSION;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
const ENCRYPTED: u16 = 1;
/// A regular file of mode 0644.
const MODE: u32 = 0o100_644 << 16;
/// 1 January 1980, the first date of the format: equal contents are equal files.
const DATE: u16 = 1 << 5 | 1;

/// Returns true if the bytes start as those of an archive do.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(&LOCAL) || bytes.starts_with(&END)
}

/// The archive of the given members.
pub(super) fn encode(members: &[(String, Vec<u8>)]) -> Result<Vec<u8>, ArchiveError> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, contents) in members {
        let limit = |holds: bool, found: usize| {
            let required = "within the limits of .npz (names of 64 KiB, 4 GiB in total); \
                            use .safetensors";
            ArchiveError::check(holds, &format!("member `{name}`"), required, found)
        };
        limit(name.len() < 1 << 16, name.len())?;
        let end = out.len() + LOCAL_LENGTH + name.len() + contents.len();
        limit(u32::try_from(end).is_ok_and(|end| end < u32::MAX), end)?;
        let (offset, size) = (out.len() as u32, contents.len() as u32);

        // The fields that both headers share.
        let mut shared = Vec::new();
        for field in [VERSION, UTF8, 0, 0, DATE] {
            shared.extend_from_slice(&field.to_le_bytes());
        }
        for field in [crc32(contents), size, size] {
            shared.extend_from_slice(&field.to_le_bytes());
        }
        shared.extend_from_slice(&(name.len() as u16).to_le_bytes());
        shared.extend_from_slice(&[0; 2]); // no extra field

        out.extend_from_slice(&LOCAL);
        out.extend_from_slice(&shared);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(contents);
        directory.extend_from_slice(&CENTRAL);
        directory.extend_from_slice(&MADE_BY.to_le_bytes());
        directory.extend_from_slice(&shared);
        directory.extend_from_slice(&[0; 6]); // comment, disk, internal attributes
        directory.extend_from_slice(&MODE.to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (count, start, length) = (members.len(), out.len(), directory.len());
    let fits = count < usize::from(u16::MAX) && u32::try_from(start + length).is_ok();
    let required = "of less than 65535 arrays and 4 GiB; use .safetensors";
    ArchiveError::check(fits, "the .npz file", required, count)?;
    out.append(&mut directory);
    out.extend_from_slice(&END);
    out.extend_from_slice(&[0; 4]);
    for _ in 0..2 {
        out.extend_from_slice(&(count as u16).to_le_bytes());
    }
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&(start as u32).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    Ok(out)
}

/// The names and contents of the members. Their total size is at most that of the archive.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, ArchiveError> {
    let truncated = || {
        let found = format!("{} bytes without a complete directory", bytes.len());
        ArchiveError::invalid("the .npz file", "a complete ZIP archive", found)
    };
    let end = end_record(bytes).ok_or_else(truncated)?;
    let record = &bytes[end..];
    let (count, length, start) = (
        usize::from(u16_at(record, 10)),
        u32_at(record, 12),
        u32_at(record, 16),
    );
    let is_zip64 = start == u32::MAX || length == u32::MAX || count == usize::from(u16::MAX);
    let found = "a Zip64 archive";
    ArchiveError::check(!is_zip64, "the .npz file", "of less than 4 GiB", found)?;
    let start = start as usize;
    let directory = bytes[..end].get(start..).ok_or_else(truncated)?;
    let found = format!("{} bytes", directory.len());
    let holds = directory.len() == length as usize;
    ArchiveError::check(holds, "the ZIP directory", format!("{length} bytes"), found)?;

    let (mut members, mut rest, mut total) = (Vec::new(), directory, 0_usize);
    for _ in 0..count {
        let (header, after) = rest
            .split_at_checked(CENTRAL_LENGTH)
            .filter(|(header, _)| header.starts_with(&CENTRAL))
            .ok_or_else(truncated)?;
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(header, at)));
        let (text, _) = after.split_at_checked(name).ok_or_else(truncated)?;
        rest = after.get(name + extra + comment..).ok_or_else(truncated)?;
        let name = std::str::from_utf8(text).map_err(|_| {
            let found = String::from_utf8_lossy(text).into_owned();
            ArchiveError::invalid("the name of a ZIP member", "UTF-8", found)
        })?;
        let contents = contents(&bytes[..start], header, name)?;
        total = total.saturating_add(contents.len());
        // Members that overlap could describe more data than the file contains.
        ArchiveError::check(total <= start, "the ZIP members", "disjoint", name)?;
        let what = format!("the checksum of `{name}`");
        let (required, found) = (u32_at(header, 16), crc32(contents));
        ArchiveError::check(required == found, &what, format!("{required:08x}"), {
            format!("{found:08x}")
        })?;
        members.push((name, contents));
    }
    let found = format!("{} more bytes", rest.len());
    ArchiveError::check(rest.is_empty(), "the ZIP directory", "complete", found)?;
    Ok(members)
}

/// The position of the end record, which is last apart from a comment.
fn end_record(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LENGTH)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|&at| {
        let comment = bytes.len() - at - END_LENGTH;
        bytes[at..].starts_with(&END) && usize::from(u16_at(&bytes[at..], 20)) == comment
    })
}

/// The contents of the member of a central header.
fn contents<'a>(data: &'a [u8], header: &[u8], name: &str) -> Result<&'a [u8], ArchiveError> {
    let what = format!("ZIP member `{name}`");
    let is_encrypted = u16_at(header, 8) & ENCRYPTED != 0;
    ArchiveError::check(!is_encrypted, &what, "not encrypted", "an encrypted member")?;
    let method = match u16_at(header, 10) {
        0 => "stored",
        8 => "deflate (save with numpy.savez, not savez_compressed)",
        _ => "another method",
    };
    ArchiveError::check(method == "stored", &what, "without compression", method)?;
    let [packed, size, offset] = [20, 24, 42].map(|at| u32_at(header, at));
    let is_zip64 = [packed, size, offset].contains(&u32::MAX);
    ArchiveError::check(!is_zip64, &what, "of less than 4 GiB", "Zip64")?;
    ArchiveError::check(packed == size, &what, format!("{size} bytes"), packed)?;

    let local = data
        .get(offset as usize..)
        .filter(|local| local.starts_with(&LOCAL) && local.len() >= LOCAL_LENGTH);
    let contents = local.and_then(|local| {
        let [name, extra] = [26, 28].map(|at| usize::from(u16_at(local, at)));
        local[LOCAL_LENGTH..]
            .get(name + extra..)?
            .get(..size as usize)
    });
    contents.ok_or_else(|| {
        let found = format!("position {offset}");
        ArchiveError::invalid(what, format!("{size} bytes in the file"), found)
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Table r contains the remainders of a byte followed by r zero bytes.
const TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut remainder, mut bit) = (byte as u32, 0);
        while bit < 8 {
            let polynomial = if remainder & 1 == 1 { 0xEDB8_8320 } else { 0 };
            remainder = remainder >> 1 ^ polynomial;
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut r = 1;
    while r < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[r - 1][byte];
            tables[r][byte] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        r += 1;
    }
    tables
};

/// The checksum CRC-32 of ISO 3309, eight bytes at a time.
///
/// Source: M. Kounavis and F. Berry, *A systematic approach to building high performance
/// software-based CRC generators*, 2005 (slicing by 8).
fn crc32(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut crc = !0_u32;
    for word in words {
        let low = crc ^ u32_at(word, 0);
        let slices = [low.to_le_bytes(), u32_at(word, 4).to_le_bytes()];
        crc = slices
            .iter()
            .flatten()
            .zip(TABLES.iter().rev())
            .fold(0, |crc, (&byte, table)| crc ^ table[usize::from(byte)]);
    }
    for &byte in rest {
        crc = crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)];
    }
    !crc
}
