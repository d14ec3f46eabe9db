//! Errors of a network or of its input.

use super::{ImageWindow, MAX_ENTRIES, ValueShape};
use poai_core::control::Cancelled;

/// Why a network does not fit together, or an input does not fit the network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The caller cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The network has no layers, so it computes nothing.
    #[error(
        "expected a network that computes its output, got one that at most moves or scales its input; choose another output"
    )]
    NoLayers,
    /// The network has no inputs.
    #[error("expected at least one input, got none; add an input that a layer reads")]
    NoInputs,
    /// A value has no entries.
    #[error("{layer}: expected a value with entries, got {shape}; correct the sizes of the input")]
    Empty {
        /// The layer, or the input.
        layer: String,
        /// The shape.
        shape: ValueShape,
    },
    /// A value or an unfolded convolution exceeds the bound of entries.
    #[error(
        "{layer}: expected at most {MAX_ENTRIES} entries per sample, got more; take a smaller input"
    )]
    TooLarge {
        /// The layer, or the input.
        layer: String,
    },
    /// A layer reads a value that no earlier layer makes.
    #[error("{layer}: expected a value of an earlier layer, got value {value}; order the layers")]
    Value {
        /// The layer.
        layer: String,
        /// The value that it reads.
        value: usize,
    },
    /// A layer reads the wrong number of values.
    #[error("{layer}: expected {expected} values, got {got}")]
    Arity {
        /// The layer.
        layer: String,
        /// The number of values that its kind reads.
        expected: usize,
        /// The number of values that it names.
        got: usize,
    },
    /// A value has the wrong shape.
    #[error("{layer}: expected a value of shape {expected}, got {got}")]
    Shape {
        /// The layer that reads it.
        layer: String,
        /// The shape that fits.
        expected: ValueShape,
        /// Its shape.
        got: ValueShape,
    },
    /// A value has the wrong number of dimensions, or an axis does not exist.
    #[error("{layer}: expected {expected}, got a value of shape {got}")]
    Form {
        /// The layer that reads it.
        layer: String,
        /// What fits, in words.
        expected: &'static str,
        /// Its shape.
        got: ValueShape,
    },
    /// A layer's own parameters have the wrong size.
    #[error("{layer}: expected {expected} entries of {what}, got {got}")]
    Size {
        /// The layer.
        layer: String,
        /// The parameter.
        what: &'static str,
        /// The size that fits.
        expected: usize,
        /// Its size.
        got: usize,
    },
    /// A window does not fit the image, or its pads are too large.
    #[error(
        "{layer}: expected a window within the image and its pads, of kernel, stride and dilation \
         above 0 and of pads below the kernel, got {window} for a value of shape {input}; correct \
         the layer or the size of the input"
    )]
    Window {
        /// The layer.
        layer: String,
        /// The window.
        window: Box<ImageWindow>,
        /// The shape of the image.
        input: ValueShape,
    },
    /// An id is no whole number below the number of ids.
    #[error(
        "input {input}: expected whole numbers from 0 to {max}, got {value}; correct the samples"
    )]
    Id {
        /// The input.
        input: String,
        /// The largest id.
        max: usize,
        /// The number.
        value: String,
    },
    /// An entry of an input of whole numbers has a fraction, or lies outside the
    /// type of the file or what the network allows.
    #[error("input {input}: expected whole numbers from {least} to {most}, got {value}")]
    Whole {
        /// The input.
        input: String,
        /// The least number.
        least: i64,
        /// The greatest number.
        most: i64,
        /// The number.
        value: String,
    },
    /// The input matrix is not a batch of samples.
    #[error(
        "expected samples of {expected} numbers each, got a matrix of {rows}×{columns}; pass one \
         sample a row"
    )]
    Input {
        /// The entries of one sample.
        expected: usize,
        /// Rows of the input.
        rows: usize,
        /// Columns of the input.
        columns: usize,
    },
}
