//! Samples and labels of a run, as tensors.

use crate::layers::{Layers, SampleKind, TrainLayer, TrainLoss};
use crate::numbers::{ACTIVATION, FRACTION_MAX};
use poai_core::program::Dtype;
use poai_core::program::ops::training::sample_at;
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
    #[error("row {row}: expected a label in 0..={}, got {got}; correct it", classes.saturating_sub(1))]
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
    /// The layers take another kind of samples, or have another loss.
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
    /// 1.0 becomes the entry 64, or 2^fraction if the layers' samples have a fraction.
    /// Entries are rounded, and clipped to −63..=63.
    ///
    /// # Errors
    /// [`DataError`] names the row.
    pub fn dense(layers: &Layers, numbers: &[f32], labels: &[u32]) -> Result<Dataset, DataError> {
        check_loss(layers, TrainLoss::CrossEntropy)?;
        let samples = samples(layers, numbers, labels.len())?;
        check_labels(labels, 1, outputs(layers))?;
        Dataset::of(samples, labels, 1)
    }

    /// Rows of features, or images, and for each the numbers that outputs come
    /// near ([`TrainLoss::MeanSquares`]).
    ///
    /// A target is rounded to 2^−16, within ±32767.
    ///
    /// # Errors
    /// [`DataError`] names the row.
    pub fn targets(
        layers: &Layers,
        numbers: &[f32],
        targets: &[f32],
    ) -> Result<Dataset, DataError> {
        check_loss(layers, TrainLoss::MeanSquares)?;
        let columns = outputs(layers) as usize;
        let rows = targets.len() / columns.max(1);
        if targets.len() != rows * columns {
            let (expected, got) = (rows * columns, targets.len());
            return Err(DataError::Length { expected, labels: rows, columns, got });
        }
        let samples = samples(layers, numbers, rows)?;
        check_finite(targets, columns)?;
        let one = f64::from(1 << ACTIVATION);
        // Exact: a clamped number times 2^16 fits an i32.
        let entry = |&x: &f32| (f64::from(x).clamp(-32767.0, 32767.0) * one).round() as i32;
        let entries: Vec<i32> = targets.iter().map(entry).collect();
        let labels = Tensor::new(rows, columns, Dtype::I32, &entries)?;
        Ok(Dataset::shared(samples, labels))
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
        check_loss(layers, TrainLoss::CrossEntropy)?;
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

    /// Texts of ids, as many tokens each as the layers take, and a label for each.
    ///
    /// # Errors
    /// [`DataError`] names the row.
    pub fn texts(layers: &Layers, ids: &[u32], labels: &[u32]) -> Result<Dataset, DataError> {
        let SampleKind::Tokens { vocabulary, length } = layers.sample() else {
            return Err(DataError::Kind { expected: "tokens", got: "features or images" });
        };
        check_loss(layers, TrainLoss::CrossEntropy)?;
        if labels.is_empty() {
            return Err(DataError::Empty);
        }
        let (columns, got) = (length as usize, ids.len());
        let expected = labels.len().saturating_mul(columns);
        if got != expected {
            return Err(DataError::Length { expected, labels: labels.len(), columns, got });
        }
        if let Some(at) = ids.iter().position(|&id| id >= vocabulary) {
            let row = at / columns.max(1);
            return Err(DataError::Label { row, classes: vocabulary, got: ids[at] });
        }
        check_labels(labels, 1, outputs(layers))?;
        // Exact: ids are below the vocabulary.
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Dataset::of(Tensor::new(labels.len(), columns, Dtype::I32, &ids)?, labels, 1)
    }

    fn of(samples: Tensor, labels: &[u32], columns: usize) -> Result<Dataset, DataError> {
        // Exact: labels are below 2^31, as classes are a tensor's rows.
        let signed: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let labels = Tensor::new(labels.len() / columns, columns, Dtype::I32, &signed)?;
        Ok(Dataset::shared(samples, labels))
    }

    fn shared(samples: Tensor, labels: Tensor) -> Dataset {
        let count = labels.extent().rows;
        let shared = |tensor: Tensor| {
            let tree = Some(tensor.tree());
            SharedInput { tensor: Arc::new(tensor), tree }
        };
        Dataset { samples: shared(samples), labels: shared(labels), count }
    }

    /// The labels of iteration t's batch, in the order in which the program draws it.
    pub(crate) fn drawn_labels(&self, seed: &[u8; 32], t: u32, batch: u32) -> Vec<i32> {
        let labels = &self.labels.tensor;
        let mut row = vec![0; labels.extent().columns as usize];
        let mut all = vec![];
        for item in 0..batch {
            let place = u64::from(t) * u64::from(batch) + u64::from(item);
            // Every drawn sample is a row.
            let _ = labels.rows().read(sample_at(seed, place, self.count), &mut row);
            all.extend_from_slice(&row);
        }
        all
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

/// The entry that stands for 1 with a fraction. Layers refuse a larger one.
fn one(fraction: u8) -> f32 {
    f32::from(1u16 << fraction.min(FRACTION_MAX))
}

/// The fraction, in 0..=10, with which rounding to −63..=63 changes numbers least, by
/// the sum of squares. Of fractions that are equally good it is the smallest.
///
/// It is for [`Layers::sequence`] and [`Layers::feature_map`]: features of another
/// network have no scale of their own.
pub fn fraction(numbers: &[f32]) -> u8 {
    let errors = (0..=FRACTION_MAX).map(|fraction| (rounding_error(numbers, fraction), fraction));
    errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |least| least.1)
}

/// The root of Σ (entry·2^−fraction − x)² / Σ x² over numbers x, whose entries are
/// rounded to −63..=63: 0 if all numbers are 0.
pub fn rounding_error(numbers: &[f32], fraction: u8) -> f64 {
    let one = one(fraction);
    let [mut error, mut sum] = [0.0; 2];
    for &x in numbers {
        let entry = (x * one).round().clamp(-ENTRY_MAX, ENTRY_MAX);
        error += f64::from(entry / one - x).powi(2);
        sum += f64::from(x).powi(2);
    }
    if sum == 0.0 { 0.0 } else { (error / sum).sqrt() }
}

/// Samples as a tensor, a row each, of as many as there are labels.
fn samples(layers: &Layers, numbers: &[f32], labels: usize) -> Result<Tensor, DataError> {
    let (columns, one) = match layers.sample() {
        SampleKind::Features { columns } => (columns as usize, ONE),
        SampleKind::Image { height, width, channels, fraction } => {
            // Sizes beyond memory have another number of numbers.
            let pixels = (height as usize).saturating_mul(width as usize);
            (pixels.saturating_mul(channels as usize), one(fraction))
        }
        SampleKind::Sequence { length, columns, fraction } => {
            (length as usize * columns as usize, one(fraction))
        }
        SampleKind::Tokens { .. } => {
            return Err(DataError::Kind { expected: "features or images", got: "tokens" });
        }
    };
    if labels == 0 {
        return Err(DataError::Empty);
    }
    let expected = labels.saturating_mul(columns);
    if numbers.len() != expected {
        return Err(DataError::Length { expected, labels, columns, got: numbers.len() });
    }
    check_finite(numbers, columns)?;
    let entry = |&x: &f32| (x * one).round().clamp(-ENTRY_MAX, ENTRY_MAX) as i32;
    let entries: Vec<i32> = numbers.iter().map(entry).collect();
    Ok(Tensor::new(labels, columns, Dtype::I8, &entries)?)
}

/// Labels are for cross entropy, and targets for squares.
fn check_loss(layers: &Layers, expected: TrainLoss) -> Result<(), DataError> {
    let name = |loss| match loss {
        TrainLoss::CrossEntropy => "cross entropy",
        TrainLoss::MeanSquares => "mean squares",
    };
    let got = layers.loss();
    match got == expected {
        true => Ok(()),
        false => Err(DataError::Kind { expected: name(expected), got: name(got) }),
    }
}

fn check_finite(numbers: &[f32], columns: usize) -> Result<(), DataError> {
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(at) => {
            let (row, column) = (at / columns.max(1), at % columns.max(1));
            Err(DataError::NotFinite { row, column, got: numbers[at] })
        }
        None => Ok(()),
    }
}

/// The outputs of the last linear layer: the classes, or the targets of a sample.
fn outputs(layers: &Layers) -> u32 {
    match layers.layers().last() {
        Some(TrainLayer::Linear { outputs, .. } | TrainLayer::Adapted { outputs, .. }) => *outputs,
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
