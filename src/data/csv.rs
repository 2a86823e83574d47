//! Tables from files of values separated by commas or other characters.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::{Table, TableError};

/// A reader of tables: values separated by a character, one row a line, RFC 4180.
///
/// Values may be quoted. Spaces around values and a byte-order mark are removed; empty lines are
/// skipped. By default values are separated by commas and the first line contains the names of the
/// columns. Without a header the columns are named `1`, `2`, ..
///
/// ```
/// use wasserflow::data::CsvReader;
///
/// let text = "0.5; 1\n2.5; 3\n";
/// let table = CsvReader::new().delimiter(b';').header(false).read(text.as_bytes())?;
/// assert_eq!(table.numbers::<f64>(&["1", "2"])?.as_slice(), &[0.5, 1.0, 2.5, 3.0]);
/// # Ok::<(), wasserflow::data::TableError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvReader {
    delimiter: u8,
    header: bool,
    comment: Option<u8>,
}

impl Default for CsvReader {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvReader {
    /// Values separated by commas, with a header.
    pub fn new() -> Self {
        Self {
            delimiter: b',',
            header: true,
            comment: None,
        }
    }

    /// The character that separates values, such as `b';'` or `b'\t'`.
    pub fn delimiter(self, delimiter: u8) -> Self {
        Self { delimiter, ..self }
    }

    /// Whether the first line contains the names of the columns.
    pub fn header(self, header: bool) -> Self {
        Self { header, ..self }
    }

    /// Skips the lines that start with a character, such as `b'#'`.
    pub fn comment(self, comment: u8) -> Self {
        let comment = Some(comment);
        Self { comment, ..self }
    }

    /// Reads a table from a file.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`TableError::Read`] at line 0 if the file cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Table, TableError> {
        let file = File::open(path).map_err(|error| TableError::Read {
            line: 0,
            message: error.to_string(),
        })?;
        self.read(file)
    }

    /// Reads a table from any source, such as a file or a string's bytes.
    ///
    /// # Errors
    /// [`TableError::Read`] if the source fails or is not UTF-8; [`TableError::Row`] for the first
    /// row with another number of values than the first line; those of [`Table::new`].
    pub fn read(self, mut source: impl Read) -> Result<Table, TableError> {
        let mut text = Vec::new();
        source
            .read_to_end(&mut text)
            .map_err(|error| TableError::Read {
                line: 0,
                message: error.to_string(),
            })?;
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .comment(self.comment)
            .has_headers(false) // a first line of data has to be counted
            .flexible(true) // the lengths are checked by `Table`, with the line
            .from_reader(&text[..]);
        let mut lines = Lines::new(&text, self.comment);
        let mut record = ByteRecord::new();
        let mut table: Option<Table> = None;
        loop {
            let start = reader.position().byte();
            let more = reader.read_byte_record(&mut record);
            let line = lines.of(start as usize);
            let failure = |message| TableError::Read { line, message };
            if !more.map_err(|error| failure(error.to_string()))? {
                break;
            }
            let cells: Vec<&str> = record
                .iter()
                .map(std::str::from_utf8)
                .collect::<Result<_, _>>()
                .map_err(|error| failure(error.to_string()))?;
            match &mut table {
                Some(table) => table.push(line, cells.into_iter())?,
                None if self.header => {
                    let names = cells.iter().map(|name| name.trim().to_owned());
                    table = Some(Table::with_names(names)?);
                }
                None => {
                    let names = (1..=cells.len()).map(|l| l.to_string());
                    let mut unnamed = Table::with_names(names)?;
                    unnamed.push(line, cells.into_iter())?;
                    table = Some(unnamed);
                }
            }
        }
        let empty = TableError::Empty {
            columns: 0,
            rows: 0,
        };
        table.ok_or(empty)?.checked()
    }
}

/// The numbers of the lines at which records begin.
///
/// The crate `csv` reports the position at which it starts to read: before the line feed of the
/// last record, before empty lines and before comments.
struct Lines<'a> {
    text: &'a [u8],
    comment: Option<u8>,
    /// A position, and the number of the line that contains it.
    position: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8], comment: Option<u8>) -> Self {
        Self {
            text,
            comment,
            position: 0,
            line: 1,
        }
    }

    /// The line of the first record at or after a position, which must not decrease.
    fn of(&mut self, position: usize) -> u64 {
        while self.position < position {
            self.advance();
        }
        let mut skipping = false;
        while let Some(&byte) = self.text.get(self.position) {
            let end = byte == b'\n' || byte == b'\r';
            // A comment fills its line.
            skipping = !end && (skipping || Some(byte) == self.comment);
            if !end && !skipping {
                break;
            }
            self.advance();
        }
        self.line
    }

    /// Moves on by one byte. A line ends with a line feed, a carriage return, or both.
    fn advance(&mut self) {
        let rest = &self.text[self.position.min(self.text.len())..];
        self.line += u64::from(
            matches!(rest, [b'\n', ..] | [b'\r'] | [b'\r', _, ..]) && !rest.starts_with(b"\r\n"),
        );
        self.position += 1;
    }
}

/// Reads a table with a header and values separated by commas.
///
/// ```
/// use wasserflow::data::read_csv;
///
/// let table = read_csv("mass,kind\n1.5,a\n2.5,b\n".as_bytes())?;
/// assert_eq!(table.names(), ["mass", "kind"]);
///
/// let table = read_csv("mass,kind\n1.5,a\nheavy,b\n".as_bytes())?;
/// let error = table.numbers::<f64>(&["mass"]).unwrap_err();
/// assert_eq!(error.to_string(), "line 3, column 1 \"mass\": a finite number is required, found \"heavy\"");
/// # Ok::<(), wasserflow::data::TableError>(())
/// ```
///
/// # Errors
/// Those of [`CsvReader::read`].
pub fn read_csv(source: impl Read) -> Result<Table, TableError> {
    CsvReader::new().read(source)
}
