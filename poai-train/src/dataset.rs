//! Samples and labels of a run, as tensors.

use crate::layers::{Layers, SampleKind, TrainLayer};
use poai_core::program::Dtype;
use poai_engine::execute::{SharedInput, Tensor, TensorError};
use std::sync::Arc;

/// The entry that stands for 1.
const ONE: f32 = 64.0;
/// The largest magnitude of an entry.
const ENTRY_MAX: f32 = 63.0;

/// Why samples and labels are no dataset.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// There are no samples.
    #[error("expected at least 1 sample, got none; add rows")]
    Empty,
    /// The numbers do not form rows, or not as many rows as labels.
    #[error("expected {expected} numbers for {labels} labels of {columns} columns, got {got}")]
    Length {
        /// The numbers that the labels imply.
        expected: usize,
        /// The number of labels.
        labels: usize,
        /// The numbers of a sample.
        columns: usize,
        /// The numbers.
        got: usize,
    },
    /// A number is not finite.
    #[error("row {row}, column {column}: expected a finite number, got {got}; remove the row")]
    NotFinite {
        /// The sample, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// The number.
        got: f32,
    },
    /// A label, or an id of a text, is outside its range.
    #[error("row {row}: expected a label in 0..={}, got {got}; correct it", classes - 1)]
    Label {
        /// The sample, from 0.
        row: usize,
        /// The number of classes.
        classes: u32,
        /// The label.
        got: u32,
    },
    /// All labels are the same.
    #[error("expected labels of at least 2 classes, got only class {0}; add samples of others")]
    OneClass(u32),
    /// The layers take another kind of samples.
    #[error("expected layers of {expected}, got layers of {got}")]
    Kind {
        /// What the data is.
        expected: &'static str,
        /// What the layers take.
        got: &'static str,
    },
    /// No tensor can hold the data.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Samples and labels, with their commitments.
#[derive(Clone, Debug)]
pub struct Dataset {
    samples: SharedInput,
    labels: SharedInput,
    count: u32,
}

impl Dataset {
    /// Rows of features, or images with channels last, and a label for each.
    ///
    /// 1.0 becomes the entry 64. Entries are rounded, and clipped to −63..=63.
    ///
    /// # Errors
    /// [`DataError`] names the row.
    pub fn dense(layers: &Layers, numbers: &[f32], labels: &[u32]) -> Result<Dataset, DataError> {
        let columns = match layers.sample() {
            SampleKind::Features { columns } => columns as usize,
            SampleKind::Image { height, width, channels } => {
                height as usize * width as usize * channels as usize
            }
            SampleKind::Tokens { .. } => {
                return Err(DataError::Kind { expected: "features or images", got: "tokens" });
            }
        };
        if labels.is_empty() {
            return Err(DataError::Empty);
        }
        let expected = labels.len().saturating_mul(columns);
        if numbers.len() != expected {
            let (labels, got) = (labels.len(), numbers.len());
            return Err(DataError::Length { expected, labels, columns, got });
        }
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            let (row, column) = (at / columns.max(1), at % columns.max(1));
            return Err(DataError::NotFinite { row, column, got: numbers[at] });
        }
        let classes = classes(layers);
        check_labels(labels, 1, classes)?;
        let entry = |&x: &f32| (x * ONE).round().clamp(-ENTRY_MAX, ENTRY_MAX) as i32;
        let entries: Vec<i32> = numbers.iter().map(entry).collect();
        let samples = Tensor::new(labels.len(), columns, Dtype::I8, &entries)?;
        Dataset::of(samples, labels, 1)
    }

    /// Texts: `length` + 1 ids of each sample, of which the last ones are the
    /// labels of the first ones.
    ///
    /// # Errors
    /// [`DataError`] names the row.
    pub fn tokens(layers: &Layers, ids: &[u32]) -> Result<Dataset, DataError> {
        let SampleKind::Tokens { vocabulary, length } = layers.sample() else {
            return Err(DataError::Kind { expected: "tokens", got: "features or images" });
        };
        let length = length as usize;
        let rows = ids.chunks_exact(length + 1);
        if rows.len() == 0 {
            return Err(DataError::Empty);
        }
        if !rows.remainder().is_empty() {
            let (labels, columns) = (rows.len(), length + 1);
            let expected = labels * columns;
            return Err(DataError::Length { expected, labels, columns, got: ids.len() });
        }
        check_labels(ids, length + 1, vocabulary)?;
        let part = |from: usize| -> Vec<u32> {
            ids.chunks_exact(length + 1)
                .flat_map(|row| &row[from..from + length])
                .copied()
                .collect()
        };
        // Exact: ids are below the vocabulary.
        let signed = |ids: Vec<u32>| -> Vec<i32> { ids.iter().map(|&id| id as i32).collect() };
        let count = ids.len() / (length + 1);
        let samples = Tensor::new(count, length, Dtype::I32, &signed(part(0)))?;
        Dataset::of(samples, &part(1), length)
    }

    fn of(samples: Tensor, labels: &[u32], columns: usize) -> Result<Dataset, DataError> {
        // Exact: labels are below 2^31, as classes are a tensor's rows.
        let signed: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let labels = Tensor::new(labels.len() / columns, columns, Dtype::I32, &signed)?;
        let count = labels.extent().rows;
        let shared = |tensor: Tensor| {
            let tree = Some(tensor.tree());
            SharedInput { tensor: Arc::new(tensor), tree }
        };
        Ok(Dataset { samples: shared(samples), labels: shared(labels), count })
    }

    /// The number of samples.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The samples, a row each.
    pub fn samples(&self) -> &SharedInput {
        &self.samples
    }

    /// The labels, a row for each sample.
    pub fn labels(&self) -> &SharedInput {
        &self.labels
    }
}

/// The number of classes of layers: the outputs of the last linear layer.
fn classes(layers: &Layers) -> u32 {
    match layers.layers().last() {
        Some(TrainLayer::Linear { outputs, .. }) => *outputs,
        _ => u32::MAX,
    }
}

fn check_labels(labels: &[u32], columns: usize, classes: u32) -> Result<(), DataError> {
    if let Some(at) = labels.iter().position(|&label| label >= classes) {
        return Err(DataError::Label { row: at / columns, classes, got: labels[at] });
    }
    let first = labels.first().copied().unwrap_or(0);
    if classes > 1 && labels.iter().all(|&label| label == first) {
        return Err(DataError::OneClass(first));
    }
    Ok(())
}
