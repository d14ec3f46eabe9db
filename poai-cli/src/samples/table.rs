//! Rows of numbers of any width, for networks that are made to fit them.

use super::{Form, Problem, SamplesError, csv, parse};
use crate::failure::Failure;
use crate::files;
use std::path::{Path, PathBuf};

/// Rows of a file, all of one width.
pub struct Table {
    path: PathBuf,
    /// The numbers of a row.
    pub columns: usize,
    /// All numbers, row by row.
    pub entries: Vec<f32>,
    /// The line of each row, if the file has lines.
    lines: Vec<usize>,
    /// What looks wrong, one sentence each.
    pub warnings: Vec<String>,
}

impl Table {
    /// Reads CSV, JSON or .npy. An array of one axis has rows of one number; of an
    /// array of several axes, the first counts the rows.
    ///
    /// # Errors
    /// [`SamplesError`] names the file, the place in it, and what was found.
    pub fn read(path: &Path) -> Result<Table, Failure> {
        let bytes = files::read(path, files::FILE_MAX)?;
        let named = |problem| SamplesError { path: path.to_owned(), problem };
        let numbers = parse(&bytes, csv::columns(&bytes), 1.0).map_err(named)?;
        if numbers.form == Form::Image {
            let problem = Problem::new("rows of numbers", "an image; name CSV, JSON or .npy");
            return Err(named(problem).into());
        }
        let rows = numbers.sizes.first().copied().unwrap_or(0);
        if rows == 0 || numbers.entries.is_empty() {
            return Err(named(Problem::new("rows of numbers", "none; add rows")).into());
        }
        let lines = match numbers.form {
            Form::Table => csv::lines(&String::from_utf8_lossy(&bytes), rows),
            _ => vec![],
        };
        let named = |warning| format!("{}: {warning}", path.display());
        let warnings = numbers.warnings.into_iter().map(named).collect();
        let columns = numbers.entries.len() / rows;
        Ok(Table { path: path.to_owned(), columns, entries: numbers.entries, lines, warnings })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.entries.len() / self.columns
    }

    /// An error about a row.
    pub fn wrong(&self, row: usize, expected: &str, got: impl Into<String>) -> Failure {
        let place = match self.lines.get(row) {
            Some(line) => format!("line {line}"),
            None => format!("row {row}, from 0"),
        };
        let problem = Problem::new(expected, got).at(place);
        SamplesError { path: self.path.clone(), problem }.into()
    }

    /// An error about the whole file.
    pub fn problem(&self, expected: impl Into<String>, got: impl Into<String>) -> Failure {
        let problem = Problem::new(expected, got);
        SamplesError { path: self.path.clone(), problem }.into()
    }
}
