//! Float tensors of one safetensors file, or of several that share a model.

use super::BertError;
use super::weights::{Dense, Norm};
use crate::tensors::{FloatTensorError, FloatTensors};
use ndarray::Array2;
use std::collections::BTreeMap;

/// Prefixes of the names of all tensors, by what saved the model.
const PREFIXES: [&str; 6] = ["", "bert.", "roberta.", "distilbert.", "electra.", "mpnet."];
/// The tensor that shows which prefix a file has.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// The tensors of a model.
pub(super) struct Tensors<'a> {
    files: FloatTensors<&'a [u8]>,
    prefix: &'static str,
}

impl<'a> Tensors<'a> {
    /// The tensors of one file.
    pub(super) fn one(bytes: &'a [u8]) -> Result<Tensors<'a>, BertError> {
        Ok(Tensors { files: FloatTensors::one(bytes)?, prefix: "" }.prefixed())
    }

    /// The tensors of several files. `index` has the number of each tensor's
    /// file.
    pub(super) fn several(
        bytes: &'a [Vec<u8>],
        index: BTreeMap<String, usize>,
    ) -> Result<Tensors<'a>, BertError> {
        let files = FloatTensors::several(bytes.iter().map(Vec::as_slice), index)?;
        Ok(Tensors { files, prefix: "" }.prefixed())
    }

    /// Finds the prefix of all names.
    fn prefixed(mut self) -> Tensors<'a> {
        let has = |prefix: &&str| self.files.shape(&format!("{prefix}{WORDS}")).is_some();
        self.prefix = PREFIXES.into_iter().find(has).unwrap_or("");
        self
    }

    /// A product's weights, and its bias; zeros without one.
    pub(super) fn dense(
        &self,
        name: &str,
        [outputs, inputs]: [usize; 2],
        bias: bool,
    ) -> Result<Dense, BertError> {
        let weights = self.matrix(&format!("{name}.weight"), [outputs, inputs])?;
        let bias = match bias {
            true => self.entries(&format!("{name}.bias"), &[outputs])?,
            false => vec![0.0; outputs],
        };
        Ok(Dense { weights, bias })
    }

    /// A LayerNorm. Files converted from TensorFlow call its weights gamma and
    /// beta.
    pub(super) fn norm(&self, name: &str, columns: usize) -> Result<Norm, BertError> {
        let entries = |new: &str, old: &str| {
            let old = format!("{name}.{old}");
            let has = self.files.shape(&format!("{}{old}", self.prefix)).is_some();
            self.entries(&if has { old } else { format!("{name}.{new}") }, &[columns])
        };
        Ok(Norm { gamma: entries("weight", "gamma")?, beta: entries("bias", "beta")? })
    }

    pub(super) fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Array2<f32>, BertError> {
        let entries = self.entries(name, &shape)?;
        let got = vec![entries.len()];
        Array2::from_shape_vec(shape, entries).map_err(|_| BertError::Shape {
            tensor: name.to_owned(),
            expected: shape.to_vec(),
            got,
        })
    }

    fn entries(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BertError> {
        Ok(self.files.read(&format!("{}{name}", self.prefix), shape)?)
    }
}

impl From<FloatTensorError> for BertError {
    fn from(error: FloatTensorError) -> BertError {
        match error {
            FloatTensorError::File(why) => BertError::File(why),
            FloatTensorError::Index(why) => {
                BertError::Layout { file: "model.safetensors.index.json".into(), why }
            }
            FloatTensorError::Missing { tensor } => BertError::Missing { tensor },
            FloatTensorError::Dtype { tensor, got } => BertError::Dtype { tensor, got },
            FloatTensorError::Shape { tensor, expected, got } => {
                BertError::Shape { tensor, expected, got }
            }
            FloatTensorError::NotFinite { tensor, entry, value } => {
                BertError::NotFinite { tensor, entry, value }
            }
        }
    }
}
