//! Perceptrons on rows of files.

use super::{Length, TEST_EVERY, Task};
use crate::failure::Failure;
use crate::samples::Table;
use crate::train::OptimiserName;
use crate::train::held::Held;
use poai::train::{Dataset, Layers};
use std::collections::BTreeMap;
use std::path::Path;

/// The most classes.
const CLASSES_MAX: u32 = 1 << 16;
/// The columns between the two layers.
const HIDDEN: u32 = 64;

/// Rows of numbers, each with its class.
pub struct Labelled {
    pub columns: usize,
    /// All numbers, row by row.
    pub numbers: Vec<f32>,
    /// The class of each row.
    pub labels: Vec<u32>,
}

/// A perceptron on the rows of a file. Their labels are in another file, or in the
/// last column.
pub fn task(data: &Path, labels: Option<&Path>) -> Result<Task, Failure> {
    let table = Table::read(data)?;
    let mut warnings = table.warnings.clone();
    let labelled = match labels {
        Some(path) => {
            let labels = Table::read(path)?;
            warnings.extend(labels.warnings.iter().cloned());
            beside(table, &labels)?
        }
        None => with_labels(&table)?,
    };
    let (rows, columns) = (labelled.labels.len(), labelled.columns);
    let name = format!("a perceptron on {rows} rows of {columns} features");
    let task = labelled.task(name, Some(HIDDEN))?;
    Ok(Task { warnings, ..task })
}

/// Rows whose last number is the label.
fn with_labels(table: &Table) -> Result<Labelled, Failure> {
    let columns = table.columns - 1;
    if columns == 0 {
        return Err(table.problem("rows of features and a label", "rows of 1 number"));
    }
    let (mut numbers, mut classes) = (vec![], vec![]);
    for row in table.entries.chunks_exact(table.columns) {
        let (features, last) = row.split_at(columns);
        numbers.extend_from_slice(features);
        classes.extend_from_slice(last);
    }
    Ok(Labelled { columns, numbers, labels: labels(table, &classes)? })
}

/// Rows with the labels of another file.
fn beside(table: Table, other: &Table) -> Result<Labelled, Failure> {
    if other.columns != 1 {
        let got = format!("rows of {}; name a file of labels alone", other.columns);
        return Err(other.problem("rows of 1 number", got));
    }
    if other.rows() != table.rows() {
        let expected = format!("{} labels, one a row of the data", table.rows());
        return Err(other.problem(expected, format!("{}; correct one of both", other.rows())));
    }
    let labels = labels(other, &other.entries)?;
    Ok(Labelled { columns: table.columns, numbers: table.entries, labels })
}

/// The classes of a file's rows.
fn labels(table: &Table, numbers: &[f32]) -> Result<Vec<u32>, Failure> {
    if numbers.len() < 2 * TEST_EVERY {
        let expected = format!("at least {} rows to train and to test with", 2 * TEST_EVERY);
        return Err(table.problem(expected, format!("{}; add rows", numbers.len())));
    }
    let label = |(row, &number): (usize, &f32)| {
        // Exact: 2^16 has a float.
        if (0.0..CLASSES_MAX as f32).contains(&number) && number.fract() == 0.0 {
            // Exact: an integer below 2^16.
            return Ok(number as u32);
        }
        let expected = format!("a label, an integer in 0..={}", CLASSES_MAX - 1);
        Err(table.wrong(row, &expected, format!("{number}; correct it")))
    };
    let labels = numbers.iter().enumerate().map(label).collect::<Result<Vec<u32>, _>>()?;
    match labels.iter().all(|label| *label == labels[0]) {
        true => Err(table.problem(
            "labels of at least 2 classes",
            format!("only class {}; add rows of others", labels[0]),
        )),
        false => Ok(labels),
    }
}

impl Labelled {
    /// A linear layer on the rows, or two with `hidden` columns between them.
    ///
    /// Each feature is divided by the largest magnitude that training sees of it.
    pub fn task(&self, name: String, hidden: Option<u32>) -> Result<Task, Failure> {
        let classes = self.labels.iter().max().map_or(2, |&last| last + 1);
        let held = held(self.labels.len());
        let train: Vec<bool> = held.iter().map(|held| !held).collect();
        let mut largest = vec![0f32; self.columns];
        for row in self.rows().zip(&train).filter(|(_, train)| **train).map(|(row, _)| row) {
            for (largest, number) in largest.iter_mut().zip(row) {
                *largest = largest.max(number.abs());
            }
        }
        // Exact: columns fit memory, and tensors refuse 2^17.
        let layers = Layers::features(self.columns as u32);
        let layers = match hidden {
            Some(hidden) => layers.linear(hidden).relu(),
            None => layers,
        };
        let layers = layers.linear(classes.max(2));
        let dataset = |chosen: &[bool]| {
            let (mut numbers, mut labels) = (vec![], vec![]);
            let rows = self.rows().zip(&self.labels).zip(chosen);
            for ((row, label), _) in rows.filter(|(_, chosen)| **chosen) {
                let scaled = |(number, largest): (&f32, &f32)| match *largest {
                    0.0 => 0.0,
                    largest => number / largest,
                };
                numbers.extend(row.iter().zip(&largest).map(scaled));
                labels.push(*label);
            }
            Dataset::dense(&layers, &numbers, &labels)
        };
        // The test alone may be of one class by chance, so its rows are those of all.
        let (train, all) = (dataset(&train)?, dataset(&vec![true; held.len()])?);
        let rows = (0..).zip(&held).filter(|(_, held)| **held).map(|(row, _)| row);
        Ok(Task {
            name,
            train,
            test: Held::of(&all, rows.collect()),
            layers,
            optimiser: OptimiserName::Sgd,
            rate: None,
            batch: 32,
            length: Length::Epochs(30),
            divisors: largest.iter().map(|&x| if x > 0.0 { x.into() } else { 1.0 }).collect(),
            numbers: BTreeMap::new(),
            warnings: vec![],
        })
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks_exact(self.columns)
    }
}

/// Which of some rows are kept for the test: every fifth in an order that does not
/// depend on the rows, because files are often sorted.
pub fn held(count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|&row| *blake3::hash(&(row as u64).to_le_bytes()).as_bytes());
    let mut held = vec![false; count];
    order.iter().step_by(TEST_EVERY).for_each(|&row| held[row] = true);
    held
}
