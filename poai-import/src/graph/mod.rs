//! The float network, independent of any file format: layers in order, each
//! naming the values that it reads.
//!
//! The inputs are values 0, 1, …; layer `i` makes value `inputs + i`, and the
//! last layer makes the output. The value of one sample is a tensor whose
//! entries are in row-major order of its shape. Shapes are those of the file
//! with a batch of 1.
//!
//! - `kind`: what a layer computes; `shape`: the shape of its output.
//! - [`expression`]: functions of one number.
//! - [`moves`]: entries in another order.
//! - `fuse`: fewer layers with the same function.

mod error;
pub mod expression;
pub(crate) mod fuse;
mod kind;
pub mod moves;

mod norms;
mod shape;

pub use error::GraphError;
pub use expression::Expression;
pub use kind::{GraphConstant, ImageWindow, Kind, Reduction};

use std::fmt;

/// The most entries of one sample's value, and of one sample's unfolded
/// convolution: 2^28, 1 GiB of f32. Declared sizes are checked against it
/// before anything of that size is allocated.
pub const MAX_ENTRIES: usize = 1 << 28;

/// The shape of one sample's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct ValueShape(pub Vec<usize>);

impl ValueShape {
    /// The number of entries, saturating.
    pub fn entries(&self) -> usize {
        self.0.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The entries in the last dimension, or 1 without dimensions.
    pub fn last(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// The product of all dimensions but the last, at least 1.
    pub fn rows(&self) -> usize {
        let leading = self.0.split_last().map_or(&[][..], |(_, leading)| leading);
        leading.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// Channels, height and width of an image 1×C×H×W.
    pub fn image(&self) -> Option<[usize; 3]> {
        match *self.0.as_slice() {
            [1, channels, height, width] => Some([channels, height, width]),
            _ => None,
        }
    }
}

impl From<&[usize]> for ValueShape {
    fn from(sizes: &[usize]) -> ValueShape {
        ValueShape(sizes.to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for ValueShape {
    fn from(sizes: [usize; N]) -> ValueShape {
        ValueShape(sizes.to_vec())
    }
}

impl fmt::Display for ValueShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("one number");
        }
        for (index, size) in self.0.iter().enumerate() {
            write!(f, "{}{size}", if index > 0 { "×" } else { "" })?;
        }
        Ok(())
    }
}

/// An input of a network.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Input {
    /// Its name in the file.
    pub name: String,
    /// The shape of one sample, with a batch of 1.
    pub shape: ValueShape,
    /// For an input of ids: the rows of the longest table that they name. `None`
    /// for an input of real numbers.
    pub ids: Option<usize>,
    /// For an input of whole numbers: the least and the greatest that its type
    /// and the network allow. `None` for an input of real numbers.
    #[serde(default)]
    pub whole: Option<[i64; 2]>,
    /// Whether the network reads images with their channels last.
    pub channels_last: bool,
}

impl Input {
    /// An input of real numbers.
    pub fn new(name: &str, shape: impl Into<ValueShape>) -> Input {
        let (name, shape) = (name.to_owned(), shape.into());
        Input { name, shape, ids: None, whole: None, channels_last: false }
    }
}

/// One layer of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The name that errors and reports use.
    pub name: String,
    /// What the layer computes.
    pub kind: Kind,
    /// The values that the layer reads, each made before it.
    pub inputs: Vec<usize>,
}

/// A float network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The inputs. A sample holds their entries, one input after another.
    pub inputs: Vec<Input>,
    /// The layers in order; the last one makes the output.
    pub layers: Vec<Layer>,
    /// What the file does with the last layer's value and the library leaves
    /// to the caller, such as `ArgMax`. The order of classes is the same.
    pub tail: Option<String>,
}

impl Graph {
    /// A network with these inputs and layers.
    pub fn new(inputs: Vec<Input>, layers: Vec<Layer>) -> Graph {
        Graph { inputs, layers, tail: None }
    }

    /// The number of entries of one sample, saturating.
    pub fn sample_entries(&self) -> usize {
        let entries = self.inputs.iter().map(|input| input.shape.entries());
        entries.fold(0, usize::saturating_add)
    }

    /// The number of values.
    pub fn values(&self) -> usize {
        self.inputs.len() + self.layers.len()
    }

    /// The layer that makes a value, or `None` for an input.
    pub fn layer(&self, value: usize) -> Option<&Layer> {
        self.layers.get(value.checked_sub(self.inputs.len())?)
    }

    /// The name of a value: its input's or its layer's.
    pub fn name(&self, value: usize) -> &str {
        match self.inputs.get(value) {
            Some(input) => &input.name,
            None => self.layer(value).map_or("", |layer| &layer.name),
        }
    }

    /// The shape of every value.
    ///
    /// # Errors
    /// [`GraphError`] names the first layer that does not fit its inputs.
    pub fn shapes(&self) -> Result<Vec<ValueShape>, GraphError> {
        if self.layers.is_empty() {
            return Err(GraphError::NoLayers);
        }
        if self.inputs.is_empty() {
            return Err(GraphError::NoInputs);
        }
        let mut shapes = vec![];
        for input in &self.inputs {
            shapes.push(shape::bounded(&input.name, input.shape.clone())?);
        }
        if self.sample_entries() > MAX_ENTRIES {
            return Err(GraphError::TooLarge { layer: "input".to_owned() });
        }
        for Layer { name, kind, inputs } in &self.layers {
            let read = inputs
                .iter()
                .map(|&value| {
                    let missing = || GraphError::Value { layer: name.clone(), value };
                    shapes.get(value).ok_or_else(missing)
                })
                .collect::<Result<Vec<_>, _>>()?;
            shapes.push(kind.output(name, &read)?);
        }
        Ok(shapes)
    }

    /// The same network with fewer layers: affine layers are folded into
    /// products, functions of one number are composed, and normalisations that
    /// a file spells out are recognised.
    ///
    /// # Errors
    /// [`GraphError`] if the network does not fit together.
    pub fn fused(self) -> Result<Graph, GraphError> {
        self.shapes()?;
        fuse::fuse(self)
    }
}
