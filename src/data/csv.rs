//! Tables from files of values separated by commas or other characters.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

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
    pub fn read(self, source: impl Read) -> Result<Table, TableError> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .comment(self.comment)
            .has_headers(false) // a first line of data has to be counted
            .flexible(true) // the lengths are checked by `Table`, with the line
            .from_reader(source);
        let mut record = StringRecord::new();
        let mut table: Option<Table> = None;
        loop {
            let more = reader.read_record(&mut record).map_err(failure)?;
            if !more {
                break;
            }
            let line = record.position().map_or(0, csv::Position::line);
            match &mut table {
                Some(table) => table.push(line, record.iter())?,
                None if self.header => {
                    let names = record.iter().map(|name| name.trim().to_owned());
                    table = Some(Table::with_names(names)?);
                }
                None => {
                    let names = (1..=record.len()).map(|l| l.to_string());
                    let mut unnamed = Table::with_names(names)?;
                    unnamed.push(line, record.iter())?;
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

fn failure(error: csv::Error) -> TableError {
    let line = error.position().map_or(0, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("value {} is not valid UTF-8", err.field() + 1)
        }
        _ => error.to_string(),
    };
    TableError::Read { line, message }
}
