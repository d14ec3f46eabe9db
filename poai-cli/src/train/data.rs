//! Tasks: layers with the samples that they train and are tested on.

use super::OptimiserName;
use crate::digits::Digits;
use crate::failure::Failure;
use crate::terminal;
use poai::train::{Dataset, Layers};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest file of samples, in bytes.
const FILE_MAX: u64 = 1 << 30;
/// The tokens of a text's sample.
const LENGTH: u32 = 64;
/// The columns of a transformer's stream.
const WIDTH: u32 = 64;
/// Of this many samples one is kept for the test.
const TEST_EVERY: usize = 5;

/// A network with its samples.
pub struct Task {
    /// What is trained, in words.
    pub name: String,
    /// The network.
    pub layers: Layers,
    /// The samples that it learns from.
    pub train: Dataset,
    /// The samples that it is tested on.
    pub test: Dataset,
    /// The optimiser, if the caller names none.
    pub optimiser: OptimiserName,
    /// The samples of a batch, if the caller names no number.
    pub batch: u32,
    /// The passes over all samples, if the caller names no number.
    pub epochs: u32,
}

/// The convolutional network on the bundled digits.
pub fn digits() -> Result<Task, Failure> {
    let layers = Layers::image(8, 8, 1)
        .conv(12, 3)
        .relu()
        .max_pool(2)
        .conv(24, 3)
        .relu()
        .max_pool(2)
        .flatten()
        .linear(10);
    let digits = Digits::bundled()?;
    let dataset = |set: &crate::digits::Set| {
        // Exact: labels are in 0..=9.
        let labels: Vec<u32> = set.labels.iter().map(|&label| label as u32).collect();
        Dataset::dense(&layers, set.all(), &labels)
    };
    let (train, test) = (dataset(&digits.train)?, dataset(&digits.test)?);
    let name = "a convolutional network on handwritten digits".into();
    Ok(Task { name, layers, train, test, optimiser: OptimiserName::Sgd, batch: 32, epochs: 15 })
}

/// A perceptron on rows of features, whose last column is the label.
pub fn csv(path: &Path) -> Result<Task, Failure> {
    let text = read(path)?;
    let wrong = |line: usize, what: String| {
        Failure::usage(format!("{}: line {line}: {what}", path.display()))
    };
    let mut rows: Vec<(usize, Vec<f32>, u32)> = vec![];
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        let number = index + 1;
        if line.is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split([',', ';']).map(str::trim).collect();
        let numbers: Result<Vec<f32>, &str> =
            fields.iter().map(|field| field.parse().map_err(|_| *field)).collect();
        let mut numbers = match numbers {
            Ok(numbers) => numbers,
            // The first line may name the columns.
            Err(_) if rows.is_empty() && number == 1 => continue,
            Err(field) => {
                let field = terminal::quoted(field);
                return Err(wrong(number, format!("expected a number, got {field}; correct it")));
            }
        };
        if let Some((_, first, _)) = rows.first()
            && first.len() + 1 != numbers.len()
        {
            let (expected, got) = (first.len() + 1, numbers.len());
            return Err(wrong(
                number,
                format!("expected {expected} fields, got {got}; correct it"),
            ));
        }
        let label = numbers.pop().unwrap_or(f32::NAN);
        if numbers.is_empty() {
            return Err(wrong(number, "expected features and a label, got 1 field".into()));
        }
        if !(0.0..65536.0).contains(&label) || label.fract() != 0.0 {
            let expected = "expected a label, an integer from 0";
            return Err(wrong(number, format!("{expected}, got {label}; correct it")));
        }
        if let Some(column) = numbers.iter().position(|number| !number.is_finite()) {
            let got = numbers[column];
            let what = format!("field {}: expected a finite number, got {got}", column + 1);
            return Err(wrong(number, what + "; remove the row"));
        }
        // Exact: an integer below 2^16.
        rows.push((number, numbers, label as u32));
    }
    if rows.len() < 2 * TEST_EVERY {
        let (least, got) = (2 * TEST_EVERY, rows.len());
        return Err(Failure::usage(format!(
            "{}: expected at least {least} rows to train and to test with, got {got}; add rows",
            path.display()
        )));
    }
    let columns = rows[0].1.len();
    let classes = rows.iter().map(|row| row.2).max().unwrap_or(0) + 1;
    // Each feature between −1 and 1, by the largest magnitude that training sees.
    let mut largest = vec![0f32; columns];
    for (_, numbers, _) in training(&rows) {
        for (largest, number) in largest.iter_mut().zip(numbers) {
            *largest = largest.max(number.abs());
        }
    }
    // Exact: columns fit memory, and tensors refuse 2^17.
    let hidden = 64;
    let layers = Layers::features(columns as u32).linear(hidden).relu().linear(classes.max(2));
    let dataset = |rows: Vec<&(usize, Vec<f32>, u32)>| {
        let scaled = |(number, largest): (&f32, &f32)| match *largest {
            0.0 => 0.0,
            largest => number / largest,
        };
        let all = rows.iter().flat_map(|row| row.1.iter().zip(&largest).map(scaled));
        let numbers: Vec<f32> = all.collect();
        let labels: Vec<u32> = rows.iter().map(|row| row.2).collect();
        Dataset::dense(&layers, &numbers, &labels)
    };
    let train = dataset(training(&rows).collect())?;
    let test = rows.iter().step_by(TEST_EVERY).collect();
    let test = dataset(test)?;
    let name = format!("a perceptron on {} rows of {columns} features", rows.len());
    Ok(Task { name, layers, train, test, optimiser: OptimiserName::Sgd, batch: 32, epochs: 30 })
}

/// The rows that are not kept for the test.
fn training<T>(rows: &[T]) -> impl Iterator<Item = &T> {
    let kept = |(index, _): &(usize, &T)| !index.is_multiple_of(TEST_EVERY);
    rows.iter().enumerate().filter(kept).map(|(_, row)| row)
}

/// A causal transformer on the characters of a text.
pub fn text(path: &Path) -> Result<Task, Failure> {
    let text = read(path)?;
    let mut ids: BTreeMap<char, u32> = BTreeMap::new();
    for character in text.chars() {
        ids.entry(character).or_default();
    }
    for (id, place) in (0..).zip(ids.values_mut()) {
        *place = id;
    }
    // Exact: there are fewer than 2^21 characters.
    let vocabulary = ids.len() as u32;
    let all: Vec<u32> = text.chars().map(|character| ids[&character]).collect();
    let size = LENGTH as usize + 1;
    let samples: Vec<&[u32]> = all.chunks_exact(size).collect();
    if samples.len() < 2 * TEST_EVERY {
        let (least, got) = (2 * TEST_EVERY * size, all.len());
        return Err(Failure::usage(format!(
            "{}: expected at least {least} characters, got {got}; add text",
            path.display()
        )));
    }
    let layers = Layers::transformer(vocabulary, LENGTH, WIDTH, 2, 4, 4 * WIDTH);
    let joined = |samples: Vec<&&[u32]>| -> Vec<u32> {
        samples.into_iter().flat_map(|sample| sample.iter().copied()).collect()
    };
    let train = Dataset::tokens(&layers, &joined(training(&samples).collect()))?;
    // Few samples tell the loss of a text.
    let test = samples.iter().step_by(TEST_EVERY).take(64).collect();
    let test = Dataset::tokens(&layers, &joined(test))?;
    let name = format!("a causal transformer on {} characters", all.len());
    Ok(Task { name, layers, train, test, optimiser: OptimiserName::Adam, batch: 16, epochs: 3 })
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = Failure::in_file(path);
    let length = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if length > FILE_MAX {
        return Err(failed(&format!("expected at most {FILE_MAX} bytes, got {length}; cut it")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}
