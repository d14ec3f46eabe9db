//! Training of the last layers of a network from a file, on what the layers before
//! them compute.
//!
//! A value of the file cuts the network ([`ReadOptions::cut`]). What comes before it
//! stays as it is: an inference program like any other, whose outputs are features. What
//! comes after it becomes [`Layers`] that begin with the file's numbers.
//!
//! ```no_run
//! use poai::import::Model;
//! use poai::import::onnx::ReadOptions;
//! use poai::import::quantise::{QuantiseOptions, quantise};
//! use poai::last_layers::LastLayers;
//! use poai::ndarray::Array2;
//! use poai::train::{Iteration, IterationOptions, Optimiser, Source, TrainingRun, imported};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (samples, labels) = (Array2::zeros((256, 64)), vec![0; 256]); // a row each
//!     let cut = ReadOptions::new().cut_file("net.onnx".as_ref(), "hidden")?;
//!     // The frozen part, in exact integers. `trace` commits to what it computes.
//!     let options = QuantiseOptions::default();
//!     let frozen = Model::from(quantise(&cut.before, samples.view(), &options)?);
//!     let features = frozen.run(&samples)?;
//!     let last = LastLayers::new(&cut, features.view())?;
//!     let dataset = last.dataset(features.view(), &labels)?;
//!
//!     let (optimiser, batch, iterations) = (Optimiser::SGD, 32, 100);
//!     let rates = (0..iterations).map(|t| optimiser.rate(0.01, t, batch)).collect();
//!     let source = Source::Drawn { samples: dataset.count(), rates };
//!     let options = IterationOptions { optimiser, decay: 0.0, batch, source };
//!     let iteration = Iteration::new(last.layers(), &options)?;
//!     // Every state begins with the file's numbers, so that the seed draws none.
//!     let first = imported(&iteration, &[0; 32], last.numbers())?;
//!     let mut run =
//!         TrainingRun::new(iteration, dataset, first, [7; 32], poai::backend("auto")?)?;
//!     while run.done() < run.total() {
//!         run.step()?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - `convert`: layers of a graph as layers that are trained.
//!
//! [`ReadOptions::cut`]: crate::import::onnx::ReadOptions::cut

mod convert;

use convert::Converter;
use poai_engine::ndarray::ArrayView2;
use poai_import::graph::{GraphError, ValueShape};
use poai_import::onnx::CutGraph;
use poai_train::dataset::{fraction, rounding_error};
use poai_train::layers::SampleKind;
use poai_train::{DataError, Dataset, Layers, LayersError};
use std::collections::BTreeMap;

/// The largest relative error of features after rounding.
const ERROR_MAX: f64 = 0.1;

/// Why layers of a file are not trained.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LastLayersError {
    /// A layer is of a kind, or in a form, that no layer of a training program has.
    #[error("node {node}: operator {operator} is not trained: {because}; cut the network later{}",
        .behind.as_ref().map_or_else(String::new, |value| format!(", at {value} or behind it")))]
    Layer {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The reason.
        because: &'static str,
        /// The node's output, at which the network may be cut; `None` if the file does
        /// not name it, or if nothing comes behind it.
        behind: Option<String>,
    },
    /// The value of the cut is no row, no rows and no image.
    #[error(
        "{value}: expected features of shape 1×columns, 1×rows×columns or \
         1×channels×height×width, got {got}; cut the network at another value"
    )]
    Features {
        /// The value.
        value: String,
        /// Its shape.
        got: ValueShape,
    },
    /// The network does not end in one row of logits.
    #[error(
        "expected layers that end in a product with one row a sample, got {0} last; name that product's output as the network's output"
    )]
    Logits(String),
    /// Features have another number of columns than the value of the cut.
    #[error(
        "expected features of {expected} numbers a row, got {got}; pass the output of the part before the cut"
    )]
    Columns {
        /// The entries of the value.
        expected: usize,
        /// The columns.
        got: usize,
    },
    /// Operands of 7 bits do not hold the features.
    #[error(
        "expected features that entries of 7 bits hold within {limit} of their size, got an error \
         of {error:.3}; cut the network at another value, such as behind a norm"
    )]
    Rounding {
        /// The relative error with the best fraction.
        error: f64,
        /// The largest that is accepted.
        limit: f64,
    },
    /// The part behind the cut does not fit together.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Layers do not fit together.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// Features and labels are no dataset.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The layers behind a cut, with the numbers that they begin with.
#[derive(Clone, Debug)]
pub struct LastLayers {
    layers: Layers,
    numbers: BTreeMap<String, Vec<f32>>,
    shape: ValueShape,
}

impl LastLayers {
    /// Makes layers of the part behind a cut. `features` are outputs of the part before
    /// it, one sample a row, in the file's order; those of the dataset.
    ///
    /// Entries of features have 7 bits and stand for x·2^−f. Of the f in 0..=10 it is
    /// the one with which rounding changes the features least ([`fraction`]).
    ///
    /// These layers are read: products with weights, convolutions of a square kernel of
    /// odd size that keep the image's size, Relu, GELU and SiLU, LayerNorm and RMSNorm
    /// of rows, pools of squares that cover the image, means of all pixels or rows, and
    /// flattening. A last Softmax is left out, because the loss has it. A product has a
    /// bias if any of its biases is not 0.
    ///
    /// # Errors
    /// [`LastLayersError`] names the node, its operator and the reason.
    ///
    /// [`fraction`]: poai_train::dataset::fraction
    pub fn new(
        cut: &CutGraph,
        features: ArrayView2<'_, f32>,
    ) -> Result<LastLayers, LastLayersError> {
        let shapes = cut.after.shapes()?;
        let shape = shapes.first().cloned().unwrap_or_default();
        let features = channels_last(&shape, features)?;
        let fraction = fraction(&features);
        let error = rounding_error(&features, fraction);
        if error.is_nan() || error > ERROR_MAX {
            return Err(LastLayersError::Rounding { error, limit: ERROR_MAX });
        }
        let sample = sample(cut, &shape, fraction)?;
        let mut converter = Converter::new(cut, sample);
        for (at, layer) in cut.after.layers.iter().enumerate() {
            converter.layer(at, layer, &shapes)?;
        }
        let (layers, numbers) = converter.finish()?;
        // Each parameter has its numbers, in the order of the layers.
        let numbers = layers.parameters()?.into_iter().zip(numbers).collect();
        Ok(LastLayers { layers, numbers, shape })
    }

    /// The layers. Their last one can be exchanged for one of other classes.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// The file's number of each parameter, for [`poai_train::imported`].
    pub fn numbers(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.numbers
    }

    /// Features, as [`LastLayers::new`] takes them, with a label each.
    ///
    /// # Errors
    /// [`LastLayersError`] names the row, or the number of columns.
    pub fn dataset(
        &self,
        features: ArrayView2<'_, f32>,
        labels: &[u32],
    ) -> Result<Dataset, LastLayersError> {
        let features = channels_last(&self.shape, features)?;
        Ok(Dataset::dense(&self.layers, &features, labels)?)
    }
}

/// What a sample of features is.
fn sample(cut: &CutGraph, shape: &ValueShape, fraction: u8) -> Result<SampleKind, LastLayersError> {
    // Exact: a value has at most 2^28 entries.
    let size = |size: usize| size as u32;
    Ok(match *shape.0.as_slice() {
        [1, columns] => SampleKind::Sequence { length: 1, columns: size(columns), fraction },
        [1, rows, columns] => {
            SampleKind::Sequence { length: size(rows), columns: size(columns), fraction }
        }
        [1, channels, height, width] => SampleKind::Image {
            height: size(height),
            width: size(width),
            channels: size(channels),
            fraction,
        },
        _ => {
            let value = cut.after.inputs.first().map(|input| input.name.clone());
            let (value, got) = (value.unwrap_or_default(), shape.clone());
            return Err(LastLayersError::Features { value, got });
        }
    })
}

/// The numbers of features, a row after another, with the channels of images last.
fn channels_last(
    shape: &ValueShape,
    features: ArrayView2<'_, f32>,
) -> Result<Vec<f32>, LastLayersError> {
    let (expected, got) = (shape.entries(), features.ncols());
    if expected != got {
        return Err(LastLayersError::Columns { expected, got });
    }
    Ok(match shape.image() {
        None => features.iter().copied().collect(),
        Some(image) => {
            let order = convert::channels_last(image);
            features.outer_iter().flat_map(|row| order.iter().map(move |&at| row[at])).collect()
        }
    })
}
