//! A table of texts with named columns, from which numbers and labels are read.

use std::collections::BTreeSet;

use nalgebra::DMatrix;

use super::{DataError, Labels, TableError};
use crate::error::is_allocatable;
use crate::real::{Real, real};

/// Texts that stand for a missing value, in lower case.
const MISSING: [&str; 6] = ["", "?", "na", "n/a", "nan", "null"];

/// A table of texts: n rows, one for each sample, and named columns.
///
/// Cells are interpreted when a column is requested, so that a table may contain columns that are
/// not used, such as identifiers. A cell that is missing or not a number is an error with its line
/// and column. With the feature `csv`, `read_csv` reads a table from a file.
///
/// ```
/// use wasserflow::data::{Table, TableError};
///
/// let rows = [["1.80", "75", "no"], ["1.65", "60", "yes"]];
/// let table = Table::new(&["height", "weight", "smoker"], &rows)?;
/// let x = table.numbers::<f64>(&["height", "weight"])?; // columns are samples
/// assert_eq!(x.as_slice(), &[1.80, 75.0, 1.65, 60.0]);
/// assert_eq!(table.labels("smoker").unwrap().classes(), ["no", "yes"]);
/// # Ok::<(), TableError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    names: Vec<String>,
    /// The texts of all cells, row by row.
    text: String,
    /// The end of each cell in `text`.
    ends: Vec<usize>,
    /// The line of each row.
    lines: Vec<u64>,
}

impl Table {
    /// The table with the columns `names` and the given rows.
    ///
    /// Spaces around names and cells are removed.
    ///
    /// # Errors
    /// [`TableError::Empty`] without columns or rows, [`TableError::Name`] for an empty or repeated
    /// name, [`TableError::Row`] for a row of another length.
    pub fn new<S: AsRef<str>, R: AsRef<[S]>>(
        names: &[impl AsRef<str>],
        rows: &[R],
    ) -> Result<Self, TableError> {
        let mut table = Self::with_names(names.iter().map(|name| name.as_ref().trim().to_owned()))?;
        for (i, row) in rows.iter().enumerate() {
            table.push(i as u64 + 1, row.as_ref().iter().map(AsRef::as_ref))?;
        }
        table.checked()
    }

    /// A table without rows, which [`push`](Self::push) adds.
    pub(super) fn with_names(names: impl IntoIterator<Item = String>) -> Result<Self, TableError> {
        let names: Vec<String> = names.into_iter().collect();
        let mut unique = BTreeSet::new();
        for (l, name) in names.iter().enumerate() {
            if name.is_empty() || !unique.insert(name) {
                return Err(TableError::Name {
                    column: l + 1,
                    name: name.clone(),
                });
            }
        }
        Ok(Self {
            names,
            text: String::new(),
            ends: Vec::new(),
            lines: Vec::new(),
        })
    }

    /// Appends a row.
    pub(super) fn push<'a>(
        &mut self,
        line: u64,
        cells: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), TableError> {
        let (expected, found) = (self.names.len(), cells.clone().count());
        if found != expected {
            return Err(TableError::Row {
                line,
                expected,
                found,
            });
        }
        for cell in cells {
            self.text.push_str(cell.trim());
            self.ends.push(self.text.len());
        }
        self.lines.push(line);
        Ok(())
    }

    /// Returns the table if it has a column and a row.
    pub(super) fn checked(self) -> Result<Self, TableError> {
        let (columns, rows) = (self.names.len(), self.lines.len());
        if columns == 0 || rows == 0 {
            return Err(TableError::Empty { columns, rows });
        }
        Ok(self)
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// `n`, the number of rows.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one row")]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The texts of a column, missing ones included.
    ///
    /// # Errors
    /// [`TableError::Unknown`] for a name that is not in the table.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>, TableError> {
        let l = self.position(column)?;
        Ok((0..self.len()).map(|i| self.cell(i, l)).collect())
    }

    /// The numbers of the given columns, `d x n`: row l of the matrix is `columns[l]`.
    ///
    /// # Errors
    /// [`TableError::Unknown`] for a name that is not in the table; [`TableError::Missing`] or
    /// [`TableError::Number`] for the first cell without a finite number;
    /// [`TableError::Empty`] for an empty list of columns.
    pub fn numbers<T: Real>(&self, columns: &[impl AsRef<str>]) -> Result<DMatrix<T>, TableError> {
        self.read_numbers(&self.positions(columns)?)
    }

    /// The numbers of all columns but the given ones, in the order of the table.
    ///
    /// ```
    /// use wasserflow::data::{Table, TableError};
    ///
    /// let table = Table::new(&["id", "x", "y"], &[["a", "1", "2"], ["b", "3", "4"]])?;
    /// assert_eq!(table.numbers_except::<f64>(&["id"])?.as_slice(), &[1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), TableError>(())
    /// ```
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers).
    pub fn numbers_except<T: Real>(
        &self,
        columns: &[impl AsRef<str>],
    ) -> Result<DMatrix<T>, TableError> {
        let excluded = self.positions(columns)?;
        let others: Vec<usize> = (0..self.names.len())
            .filter(|l| !excluded.contains(l))
            .collect();
        self.read_numbers(&others)
    }

    /// The labels of a column, with its distinct texts as classes.
    ///
    /// # Errors
    /// [`TableError::Unknown`] or [`TableError::Missing`] as [`DataError::Table`];
    /// [`DataError::Classes`] if all texts are equal.
    pub fn labels(&self, column: &str) -> Result<Labels, DataError> {
        let l = self.position(column)?;
        for i in 0..self.len() {
            self.present(i, l)?;
        }
        Labels::new((0..self.len()).map(|i| self.cell(i, l)))
    }

    /// The rows without a missing value in the given columns, with their lines.
    ///
    /// ```
    /// use wasserflow::data::{Table, TableError};
    ///
    /// let table = Table::new(&["x", "remark"], &[["1", "NA"], ["?", "late"]])?;
    /// assert_eq!(table.complete(&["x"])?.len(), 1);
    /// # Ok::<(), TableError>(())
    /// ```
    ///
    /// # Errors
    /// [`TableError::Unknown`] for a name that is not in the table; [`TableError::Empty`] if no row
    /// remains.
    pub fn complete(&self, columns: &[impl AsRef<str>]) -> Result<Self, TableError> {
        let columns = self.positions(columns)?;
        let mut complete = Self::with_names(self.names.iter().cloned())?;
        for (i, &line) in self.lines.iter().enumerate() {
            if columns.iter().all(|&l| self.present(i, l).is_ok()) {
                let cells = (0..self.names.len()).map(|l| self.cell(i, l));
                complete.push(line, cells)?;
            }
        }
        complete.checked()
    }

    /// The text of row i in column l.
    fn cell(&self, i: usize, l: usize) -> &str {
        let index = i * self.names.len() + l;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }

    /// The text of row i in column l, unless it is missing.
    fn present(&self, i: usize, l: usize) -> Result<&str, TableError> {
        let text = self.cell(i, l);
        if MISSING.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Err(TableError::Missing {
                line: self.lines[i],
                column: l + 1,
                name: self.names[l].clone(),
            });
        }
        Ok(text)
    }

    fn position(&self, column: &str) -> Result<usize, TableError> {
        let position = self.names.iter().position(|name| name == column);
        position.ok_or_else(|| TableError::Unknown {
            name: column.to_owned(),
        })
    }

    fn positions(&self, columns: &[impl AsRef<str>]) -> Result<Vec<usize>, TableError> {
        let position = |name: &_| self.position(AsRef::<str>::as_ref(name));
        columns.iter().map(position).collect()
    }

    fn read_numbers<T: Real>(&self, columns: &[usize]) -> Result<DMatrix<T>, TableError> {
        let (d, n) = (columns.len(), self.len());
        if d == 0 || !is_allocatable::<T>(d, n) {
            return Err(TableError::Empty {
                columns: d,
                rows: n,
            });
        }
        let mut numbers = Vec::with_capacity(d * n);
        for i in 0..n {
            for &l in columns {
                let text = self.present(i, l)?;
                let number = text.parse().map_or(f64::NAN, |x: f64| x);
                let number = real::<T>(number);
                if !number.is_finite() {
                    return Err(TableError::Number {
                        line: self.lines[i],
                        column: l + 1,
                        name: self.names[l].clone(),
                        text: text.to_owned(),
                    });
                }
                numbers.push(number);
            }
        }
        Ok(DMatrix::from_vec(d, n, numbers))
    }
}
