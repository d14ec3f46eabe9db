//! Why a network does not fit together.

use super::{ImageExtent, ImageWindow, MAX_ENTRIES};

/// Why a network does not fit together, or an input does not fit the network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Nothing is computed.
    #[error("the network has no layer")]
    NoLayers,
    /// A value without entries.
    #[error("{layer}: a value of {extent} is empty")]
    Empty {
        /// The layer, or the input.
        layer: String,
        /// The shape, height × width × channels.
        extent: ImageExtent,
    },
    /// A value, or an unfolded convolution, beyond the bound.
    #[error("{layer}: more than {MAX_ENTRIES} entries a sample")]
    TooLarge {
        /// The layer, or the input.
        layer: String,
    },
    /// A layer reads what is not made before it.
    #[error("{layer}: value {value} is not made before it")]
    Value {
        /// The layer.
        layer: String,
        /// The value that it reads.
        value: usize,
    },
    /// A layer reads too many values, or too few.
    #[error("{layer}: reads {expected} values, got {got}")]
    Arity {
        /// The layer.
        layer: String,
        /// How many its kind reads.
        expected: usize,
        /// How many it names.
        got: usize,
    },
    /// A value has the wrong shape.
    #[error("{layer}: expected a value of {expected}, got {got}")]
    Shape {
        /// The layer that reads it.
        layer: String,
        /// The shape that fits, height × width × channels.
        expected: ImageExtent,
        /// Its shape.
        got: ImageExtent,
    },
    /// A layer's own parameters have the wrong size.
    #[error("{layer}: expected {expected} entries of {what}, got {got}")]
    Size {
        /// The layer.
        layer: String,
        /// Which parameter.
        what: &'static str,
        /// The size that fits.
        expected: usize,
        /// Its size.
        got: usize,
    },
    /// A window that does not fit the image, or whose pads reach too far.
    #[error("{layer}: the window ({window}) does not fit a value of {input}")]
    Window {
        /// The layer.
        layer: String,
        /// The window.
        window: ImageWindow,
        /// The shape of what it slides over.
        input: ImageExtent,
    },
    /// The matrix given as input is no batch of samples.
    #[error("an input of {rows}×{columns} is no batch of {input} samples")]
    Input {
        /// The shape of one sample, height × width × channels.
        input: ImageExtent,
        /// Rows given.
        rows: usize,
        /// Columns given.
        columns: usize,
    },
}
