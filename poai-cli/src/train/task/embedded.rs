//! A linear layer on embeddings of an encoder: which play do some lines come from?

use super::rows::Labelled;
use super::{Length, Task};
use crate::embed;
use crate::failure::Failure;
use crate::train::OptimiserName;
use crate::train::plays;
use poai::execute::Device;
use std::path::Path;
use std::sync::Arc;

/// The lines of a play that are embedded together.
const LINES: usize = 8;
/// The most parts of a play: each takes milliseconds to embed.
const PARTS_MAX: usize = 200;

/// A linear layer on the embeddings of the bundled plays' lines. The quantised
/// encoder of a folder makes them, and stays as it is.
pub fn task(model: &Path, device: &Arc<dyn Device>) -> Result<Task, Failure> {
    let (parts, labels) = plays::labelled(LINES, PARTS_MAX)?;
    let embeddings = embed::embeddings(model, device.clone(), &parts)?;
    let columns = embeddings.first().map_or(0, Vec::len);
    // Exact enough: an operand has 7 bits.
    let numbers = embeddings.into_iter().flatten().map(|x| x as f32).collect();
    let labelled = Labelled { columns, numbers, labels };
    let name = format!("a linear layer on embeddings of {} parts of plays", labelled.labels.len(),);
    let task = labelled.task(name, None)?;
    Ok(Task { optimiser: OptimiserName::Adam, batch: 64, length: Length::Epochs(20), ..task })
}
