//! An open model: its settings, and its tensors one by one.

use crate::config::{DecoderConfig, DecoderFamily, read_json, read_metadata};
use crate::gguf::Gguf;
use crate::mapped::Mapped;
use crate::tensors::{Part, Source};
use crate::{DecoderError, config};
use ndarray::{Array2, s};
use poai_import::tensors::{FloatShards, FloatTensors};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

/// The largest JSON file that is read, in bytes.
const JSON_BYTES_MAX: u64 = 1 << 26;
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// `x·Wᵀ + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// W, outputs×inputs.
    pub weights: Array2<f32>,
    /// b, an entry an output. `None` is zeros.
    pub bias: Option<Vec<f32>>,
}

/// The factors γ of a layer's norms, an entry a column. Those that a family
/// does not have are `None`. Gemma's are the saved weights and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderNorms {
    /// Before attention.
    pub attention: Vec<f32>,
    /// Of each head of queries, before it turns.
    pub query: Option<Vec<f32>>,
    /// Of each head of keys, before it turns.
    pub key: Option<Vec<f32>>,
    /// Of attention's output.
    pub after_attention: Option<Vec<f32>>,
    /// Before the feed-forward part.
    pub inner: Vec<f32>,
    /// Of the feed-forward part's output.
    pub after_inner: Option<Vec<f32>>,
}

/// The tensors of one layer. Pairs of columns that turn together stand half a
/// head apart, whatever the file's order is.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderLayer {
    /// The norms.
    pub norms: DecoderNorms,
    /// To queries, (heads·head)×hidden.
    pub query: Linear,
    /// To keys, (kv_heads·head)×hidden.
    pub key: Linear,
    /// To values, (kv_heads·head)×hidden.
    pub value: Linear,
    /// After attention, hidden×(heads·head).
    pub output: Linear,
    /// To the gate, inner×hidden.
    pub gate: Linear,
    /// To what the gate multiplies, inner×hidden.
    pub up: Linear,
    /// Back to the residual stream, hidden×inner.
    pub down: Linear,
}

/// An open model. Tensors are read one by one, so that memory holds only those
/// in use.
pub struct DecoderCheckpoint {
    config: DecoderConfig,
    source: Source,
}

impl DecoderCheckpoint {
    /// Opens a GGUF file, or a directory as transformers saves it: `config.json`
    /// with `model.safetensors` or the files that `model.safetensors.index.json`
    /// lists. Files are mapped into memory: no other program may change them
    /// while the model is open.
    ///
    /// # Errors
    /// [`DecoderError`] names the file, field or tensor and the problem. A field
    /// or a tensor that the reader does not know is an error.
    pub fn open(path: &Path) -> Result<DecoderCheckpoint, DecoderError> {
        let (config, source) = if path.is_dir() {
            let config = read_json(&read(&path.join("config.json"))?)?;
            (config, Source::Safetensors(safetensors(path)?))
        } else {
            let file = Gguf::open(path)?;
            (read_metadata(&file)?, Source::Gguf(Box::new(file)))
        };
        let checkpoint = DecoderCheckpoint { config, source };
        checkpoint.refuse_extra()?;
        Ok(checkpoint)
    }

    /// The model's sizes and settings.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The GGUF file, if the model is one.
    pub fn gguf(&self) -> Option<&Gguf> {
        match &self.source {
            Source::Gguf(file) => Some(file),
            Source::Safetensors(_) => None,
        }
    }

    /// The words, vocabulary×hidden, without their factor in the residual
    /// stream.
    ///
    /// # Errors
    /// [`DecoderError`] if the tensor is missing or wrong.
    pub fn words(&self) -> Result<Array2<f32>, DecoderError> {
        self.matrix(Part::Words, 0, [self.config.vocabulary, self.config.hidden])
    }

    /// γ of the norm before the head.
    ///
    /// # Errors
    /// [`DecoderError`] if the tensor is missing or wrong.
    pub fn last_norm(&self) -> Result<Vec<f32>, DecoderError> {
        self.norm(Part::LastNorm, 0, self.config.hidden)
    }

    /// The weights of the head, vocabulary×hidden: the words if they are tied.
    ///
    /// # Errors
    /// [`DecoderError`] if the tensor is missing or wrong.
    pub fn head(&self) -> Result<Array2<f32>, DecoderError> {
        let part = if self.config.tied { Part::Words } else { Part::Head };
        self.matrix(part, 0, [self.config.vocabulary, self.config.hidden])
    }

    /// The tensors of layer `index`.
    ///
    /// # Errors
    /// [`DecoderError`] if one is missing or wrong, as with a layer that the
    /// model does not have.
    pub fn layer(&self, index: usize) -> Result<DecoderLayer, DecoderError> {
        let DecoderConfig { hidden, inner, heads, kv_heads, head, .. } = self.config;
        let [queries, keys] = [heads * head, kv_heads * head];
        let biases = self.config.qkv_biases;
        let when = |has: bool, part, columns| match has {
            true => self.norm(part, index, columns).map(Some),
            false => Ok(None),
        };
        let [qk, after] = [self.config.qk_norms, self.config.norms_after];
        let norms = DecoderNorms {
            attention: self.norm(Part::Norm, index, hidden)?,
            query: when(qk, Part::QueryNorm, head)?,
            key: when(qk, Part::KeyNorm, head)?,
            after_attention: when(after, Part::AfterOutput, hidden)?,
            inner: self.norm(Part::InnerNorm, index, hidden)?,
            after_inner: when(after, Part::AfterDown, hidden)?,
        };
        let phi = self.config.family == DecoderFamily::Phi3;
        let [query, key, value] = if phi {
            let shape = [queries + 2 * keys, hidden];
            let all = self.linear(Part::QueryKeyValue, index, shape, biases)?;
            let bounds = [0, queries, queries + keys, queries + 2 * keys];
            [0, 1, 2].map(|part| all.rows(bounds[part], bounds[part + 1]))
        } else {
            let query = self.linear(Part::Query, index, [queries, hidden], biases)?;
            let key = self.linear(Part::Key, index, [keys, hidden], biases)?;
            let value = self.linear(Part::Value, index, [keys, hidden], biases)?;
            // llama.cpp's converter moves the rows of this architecture alone.
            match self.config.family == DecoderFamily::Llama && self.gguf().is_some() {
                true => [query.halves(heads), key.halves(kv_heads), value],
                false => [query, key, value],
            }
        };
        let biases = self.config.inner_biases;
        let [gate, up] = if phi {
            let both = self.linear(Part::GateUp, index, [2 * inner, hidden], biases)?;
            [both.rows(0, inner), both.rows(inner, 2 * inner)]
        } else {
            let gate = self.linear(Part::Gate, index, [inner, hidden], biases)?;
            [gate, self.linear(Part::Up, index, [inner, hidden], biases)?]
        };
        let output_bias = self.config.output_bias;
        Ok(DecoderLayer {
            norms,
            query,
            key,
            value,
            output: self.linear(Part::Output, index, [hidden, queries], output_bias)?,
            gate,
            up,
            down: self.linear(Part::Down, index, [hidden, inner], biases)?,
        })
    }

    fn name(&self, part: Part, layer: usize, kind: &str) -> String {
        self.source.name(part, layer, self.config.norms_after, kind)
    }

    fn matrix(
        &self,
        part: Part,
        layer: usize,
        shape: [usize; 2],
    ) -> Result<Array2<f32>, DecoderError> {
        let entries = self.source.read(&self.name(part, layer, "weight"), &shape)?;
        // The entries have this shape, as reading checked it.
        Ok(Array2::from_shape_vec(shape, entries).unwrap_or_default())
    }

    fn linear(
        &self,
        part: Part,
        layer: usize,
        shape: [usize; 2],
        bias: bool,
    ) -> Result<Linear, DecoderError> {
        let weights = self.matrix(part, layer, shape)?;
        let bias = match bias {
            true => Some(self.source.read(&self.name(part, layer, "bias"), &[shape[0]])?),
            false => None,
        };
        Ok(Linear { weights, bias })
    }

    fn norm(&self, part: Part, layer: usize, columns: usize) -> Result<Vec<f32>, DecoderError> {
        let mut gamma = self.source.read(&self.name(part, layer, "weight"), &[columns])?;
        if self.config.family.is_gemma() && self.gguf().is_none() {
            gamma.iter_mut().for_each(|gamma| *gamma += 1.0);
        }
        Ok(gamma)
    }

    /// Refuses tensors that no part of the model explains.
    fn refuse_extra(&self) -> Result<(), DecoderError> {
        use Part::*;
        let layers = self.config.layers();
        let mut known = BTreeSet::new();
        for part in [Words, LastNorm, Head] {
            known.insert(self.name(part, 0, "weight"));
        }
        let phi = self.config.family == DecoderFamily::Phi3;
        let mut parts = vec![(Norm, false), (InnerNorm, false)];
        if self.config.qk_norms {
            parts.extend([(QueryNorm, false), (KeyNorm, false)]);
        }
        if self.config.norms_after {
            parts.extend([(AfterOutput, false), (AfterDown, false)]);
        }
        let biases = self.config.qkv_biases;
        match phi {
            true => parts.extend([(QueryKeyValue, biases), (GateUp, false)]),
            false => {
                parts.extend([(Query, biases), (Key, biases), (Value, biases)]);
                parts.extend([Gate, Up].map(|part| (part, self.config.inner_biases)));
            }
        }
        parts.extend([(Output, self.config.output_bias), (Down, self.config.inner_biases)]);
        for layer in 0..layers {
            for &(part, bias) in &parts {
                known.insert(self.name(part, layer, "weight"));
                if bias {
                    known.insert(self.name(part, layer, "bias"));
                }
            }
        }
        let computed = |name: &str| match &self.source {
            Source::Gguf(_) => name == config::FACTORS,
            // The frequencies that old files carry follow from the settings.
            Source::Safetensors(_) => name.ends_with(".rotary_emb.inv_freq"),
        };
        let extra = |name: &String| !known.contains(name) && !computed(name);
        match self.source.names().into_iter().find(extra) {
            Some(tensor) => Err(DecoderError::Extra { tensor }),
            None => Ok(()),
        }
    }
}

impl Linear {
    fn rows(&self, from: usize, to: usize) -> Linear {
        let bias = self.bias.as_ref().map(|bias| bias[from..to].to_vec());
        Linear { weights: self.weights.slice(s![from..to, ..]).to_owned(), bias }
    }

    /// Moves rows from neighbour pairs to halves: of each head's rows, those
    /// with even numbers come first.
    fn halves(&self, heads: usize) -> Linear {
        let rows = self.weights.nrows();
        let head = rows / heads;
        let from: Vec<usize> = (0..rows)
            .map(|row| {
                let (start, place) = (row / head * head, row % head);
                start + place % (head / 2) * 2 + place / (head / 2)
            })
            .collect();
        let bias = self.bias.as_ref().map(|bias| from.iter().map(|&row| bias[row]).collect());
        Linear { weights: self.weights.select(ndarray::Axis(0), &from), bias }
    }
}

/// The tensors of a directory's safetensors.
fn safetensors(directory: &Path) -> Result<FloatTensors<Mapped>, DecoderError> {
    let path = directory.join(WEIGHTS);
    let listed = directory.join(INDEX);
    // Without either file, the error names the usual one.
    if path.exists() || !listed.exists() {
        return Ok(FloatTensors::one(Mapped::open(&path)?)?);
    }
    let FloatShards { files, index } = FloatShards::read(&read(&listed)?)?;
    let open = |name: &String| {
        // Files are not trusted, so a name must not lead out of the directory.
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(_)), None) => Mapped::open(&directory.join(name)),
            _ => {
                let name: String = name.chars().take(64).collect();
                let why = format!("expected files beside the index, got {name}; save them there");
                Err(DecoderError::Layout { file: INDEX.into(), why })
            }
        }
    };
    let files: Vec<Mapped> = files.iter().map(open).collect::<Result<_, _>>()?;
    Ok(FloatTensors::several(files, index)?)
}

/// Reads a small file.
fn read(path: &Path) -> Result<Vec<u8>, DecoderError> {
    let failed = |source| DecoderError::Read { path: path.to_owned(), source };
    let mut bytes = vec![];
    let file = File::open(path).map_err(failed)?;
    file.take(JSON_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        let why = format!("expected at most {JSON_BYTES_MAX} bytes, got more");
        return Err(DecoderError::Layout { file: path.display().to_string(), why });
    }
    Ok(bytes)
}
