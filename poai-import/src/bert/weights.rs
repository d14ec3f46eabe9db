//! An encoder's float tensors.

use super::{BertError, Config};
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors};

/// `x·Wᵀ + b`, where W is outputs×inputs.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    pub(super) weights: Array2<f32>,
    pub(super) bias: Vec<f32>,
}

/// γ and β of a LayerNorm.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

/// One layer's tensors.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) query: Dense,
    pub(super) key: Dense,
    pub(super) value: Dense,
    pub(super) output: Dense,
    pub(super) attention_norm: Norm,
    pub(super) up: Dense,
    pub(super) down: Dense,
    pub(super) norm: Norm,
}

/// All tensors.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// vocabulary×hidden.
    pub(super) words: Array2<f32>,
    /// positions×hidden, with the embedding of the first token type added.
    pub(super) positions: Array2<f32>,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
}

impl Weights {
    /// Reads the tensors that `config` implies. It allocates no more than the
    /// file holds, because it checks the file's own lengths first.
    pub(super) fn read(bytes: &[u8], config: &Config) -> Result<Weights, BertError> {
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| BertError::File(error.to_string()))?;
        let bare = tensors.tensor("embeddings.word_embeddings.weight").is_ok();
        let file = File { tensors, prefix: if bare { "" } else { "bert." } };
        let Config { vocabulary, hidden, intermediate, .. } = *config;
        let words = file.matrix("embeddings.word_embeddings.weight", [vocabulary, hidden])?;
        let mut positions =
            file.matrix("embeddings.position_embeddings.weight", [config.positions, hidden])?;
        let types =
            file.matrix("embeddings.token_type_embeddings.weight", [config.types, hidden])?;
        positions += &types.row(0);
        let norm = file.norm("embeddings.LayerNorm", hidden)?;
        let layer = |index: usize| {
            let dense =
                |name: &str, shape| file.dense(&format!("encoder.layer.{index}.{name}"), shape);
            let norm = |name: &str| file.norm(&format!("encoder.layer.{index}.{name}"), hidden);
            Ok(Layer {
                query: dense("attention.self.query", [hidden, hidden])?,
                key: dense("attention.self.key", [hidden, hidden])?,
                value: dense("attention.self.value", [hidden, hidden])?,
                output: dense("attention.output.dense", [hidden, hidden])?,
                attention_norm: norm("attention.output.LayerNorm")?,
                up: dense("intermediate.dense", [intermediate, hidden])?,
                down: dense("output.dense", [hidden, intermediate])?,
                norm: norm("output.LayerNorm")?,
            })
        };
        let layers = (0..config.layers).map(layer).collect::<Result<_, BertError>>()?;
        Ok(Weights { words, positions, norm, layers })
    }
}

struct File<'a> {
    tensors: SafeTensors<'a>,
    prefix: &'static str,
}

impl File<'_> {
    fn dense(&self, name: &str, [outputs, inputs]: [usize; 2]) -> Result<Dense, BertError> {
        Ok(Dense {
            weights: self.matrix(&format!("{name}.weight"), [outputs, inputs])?,
            bias: self.entries(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn norm(&self, name: &str, columns: usize) -> Result<Norm, BertError> {
        Ok(Norm {
            gamma: self.entries(&format!("{name}.weight"), &[columns])?,
            beta: self.entries(&format!("{name}.bias"), &[columns])?,
        })
    }

    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Array2<f32>, BertError> {
        let entries = self.entries(name, &shape)?;
        let got = vec![entries.len()];
        Array2::from_shape_vec(shape, entries).map_err(|_| BertError::Shape {
            tensor: name.to_owned(),
            expected: shape.to_vec(),
            got,
        })
    }

    fn entries(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BertError> {
        let tensor = format!("{}{name}", self.prefix);
        let Ok(view) = self.tensors.tensor(&tensor) else {
            return Err(BertError::Missing { tensor });
        };
        if view.dtype() != Dtype::F32 {
            return Err(BertError::Dtype { tensor, got: format!("{:?}", view.dtype()) });
        }
        if view.shape() != shape {
            let (expected, got) = (shape.to_vec(), view.shape().to_vec());
            return Err(BertError::Shape { tensor, expected, got });
        }
        let words = view.data().as_chunks::<4>().0;
        let entries: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        match entries.iter().position(|entry| !entry.is_finite()) {
            Some(entry) => Err(BertError::NotFinite { tensor, entry, value: entries[entry] }),
            None => Ok(entries),
        }
    }
}
