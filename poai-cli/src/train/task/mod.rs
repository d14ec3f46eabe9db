//! Tasks: layers with the samples that they train and are tested on.
//!
//! - `digits`: here.
//! - `rows`: perceptrons on rows of files.
//! - `text`: transformers on characters.
//! - `embedded`: heads on embeddings of an encoder.
//! - `adapted`: adapters in an encoder's last layers.

mod adapted;
mod embedded;
mod rows;
mod text;

use super::held::Held;
use super::{Args, OptimiserName, TaskName};
use crate::digits::{Digits, Set};
use crate::failure::Failure;
use poai::execute::Device;
use poai::train::{Dataset, Layers};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of this many samples one is kept for the test.
const TEST_EVERY: usize = 5;

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// Passes over all samples.
    Epochs(u32),
    /// Iterations.
    Iterations(u32),
}

/// A network with its samples.
pub struct Task {
    /// What is trained, in words.
    pub name: String,
    /// The network.
    pub layers: Layers,
    /// The samples that it learns from.
    pub train: Dataset,
    /// The samples that it is tested on.
    pub test: Held,
    /// The optimiser, if the caller names none.
    pub optimiser: OptimiserName,
    /// Its learning rate, if the task has one of its own.
    pub rate: Option<f64>,
    /// The samples of a batch, if the caller names no number.
    pub batch: u32,
    /// The length of the run, if the caller names none.
    pub length: Length,
    /// What each feature was divided by; empty if nothing was.
    pub divisors: Vec<f64>,
    /// Numbers with which parameters begin, by their names. Others are drawn.
    pub numbers: BTreeMap<String, Vec<f32>>,
    /// What looks wrong about the data, one sentence each.
    pub warnings: Vec<String>,
}

impl Task {
    /// The task that the caller names.
    pub fn of(args: &Args, device: &Arc<dyn Device>) -> Result<Task, Failure> {
        let unused = |flag: &str, what: &str| {
            Err(Failure::usage(format!("{flag}: expected {what}; leave it out")))
        };
        if args.labels.is_some() && (args.task != TaskName::Digits || args.data.is_none()) {
            return unused("--labels", "--data with rows beside it, got neither");
        }
        match (args.task, &args.data) {
            (TaskName::Digits, None) => digits(),
            (TaskName::Digits, Some(path)) => rows::task(path, args.labels.as_deref()),
            (TaskName::Text, path) => text::task(path.as_deref()),
            (TaskName::EmbedHead, None) => embedded::task(&args.model, device),
            (TaskName::Lora, None) => adapted::task(&args.model),
            (TaskName::EmbedHead | TaskName::Lora, Some(_)) => {
                unused("--data", "no file for embed-head and lora, which read the bundled plays")
            }
        }
    }
}

/// The convolutional network on the bundled digits.
fn digits() -> Result<Task, Failure> {
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
    let dataset = |set: &Set| {
        // Exact: labels are in 0..=9.
        let labels: Vec<u32> = set.labels.iter().map(|&label| label as u32).collect();
        Dataset::dense(&layers, set.all(), &labels)
    };
    let (train, test) = (dataset(&digits.train)?, Held::all(&dataset(&digits.test)?));
    Ok(Task {
        name: "a convolutional network on handwritten digits".into(),
        layers,
        train,
        test,
        optimiser: OptimiserName::Sgd,
        rate: None,
        batch: 32,
        length: Length::Epochs(15),
        divisors: vec![],
        numbers: BTreeMap::new(),
        warnings: vec![],
    })
}
