//! Encoders in directories, as transformers and sentence-transformers save
//! them.

use super::head::{HeadActivation, HeadStep, Pooling, SentenceHead};
use super::tensors::Tensors;
use super::weights::Weights;
use super::{BertError, Config, Encoder};
use crate::tensors::FloatShards;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The largest JSON file that is read, in bytes. An index has a line a tensor.
const JSON_BYTES_MAX: u64 = 1 << 24;
/// The most modules.
const MODULES_MAX: usize = 64;
/// The most outputs of a product.
const OUTPUTS_MAX: u64 = 1 << 14;

/// How to make safetensors of an encoder's pickled weights.
const CONVERT: &str = "transformers.AutoModel.from_pretrained(DIR).save_pretrained(DIR)";
/// How to make safetensors of a module's pickled weights.
const CONVERT_MODULE: &str = "sentence_transformers.SentenceTransformer(DIR).save_pretrained(DIR)";

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const MODULES: &str = "modules.json";

/// A module as `modules.json` lists it.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Listed {
    /// The module's name without the Python module that defines it.
    fn name(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }
}

/// The directory of an encoder's own files: config.json, the weights and the
/// tokeniser. It is `directory`, or the one below it that `modules.json` names.
///
/// # Errors
/// [`BertError`] if `modules.json` is malformed.
pub fn encoder_directory(directory: &Path) -> Result<PathBuf, BertError> {
    match modules(directory)?.and_then(|modules| modules.into_iter().next()) {
        Some(first) => below(directory, MODULES, &first.path),
        None => Ok(directory.to_owned()),
    }
}

impl Encoder {
    /// Reads a model from a directory, as transformers or sentence-transformers
    /// saves it: `config.json`, `model.safetensors` or the files that
    /// `model.safetensors.index.json` lists, and optionally `modules.json` and
    /// its modules. Without `modules.json`, an embedding is the mean of all
    /// tokens, scaled to Euclidean length 1.
    ///
    /// # Errors
    /// [`BertError`] names the file, field or tensor and the problem.
    pub fn load(directory: &Path) -> Result<Encoder, BertError> {
        let own = encoder_directory(directory)?;
        let config = Config::read(&read(&own.join("config.json"), JSON_BYTES_MAX)?)?;
        let weights = with_tensors(&own, CONVERT, |tensors| Weights::read(tensors, &config))?;
        let head = match modules(directory)? {
            Some(modules) => head(directory, &modules, config.hidden)?,
            None => SentenceHead::default(),
        };
        let limit = length_limit(&own)?;
        let tokens_max = limit.map_or(config.positions, |limit| limit.min(config.positions));
        Ok(Encoder { config, weights, head, tokens_max, tokens_stated: limit.is_some() })
    }
}

/// The modules of `modules.json`, if there is such a file.
fn modules(directory: &Path) -> Result<Option<Vec<Listed>>, BertError> {
    let listed = json::<Vec<Listed>>(directory, MODULES)?;
    if let Some(folder) = unlisted(directory, listed.as_deref().unwrap_or_default())? {
        let why = format!("expected all folders of modules, got no {folder}; list it or remove it");
        return Err(BertError::Layout { file: MODULES.into(), why });
    }
    let Some(modules) = listed else { return Ok(None) };
    if modules.is_empty() || modules.len() > MODULES_MAX {
        let why = format!("expected 1 to {MODULES_MAX} modules, got {}", modules.len());
        return Err(BertError::Layout { file: MODULES.into(), why });
    }
    let first = modules[0].name();
    if first != "Transformer" {
        return Err(unsupported(MODULES, "a first module Transformer", first));
    }
    Ok(Some(modules))
}

/// A folder of a module, such as `1_Pooling`, that is not listed. Leaving it out
/// would give other embeddings than the model's author meant.
fn unlisted(directory: &Path, listed: &[Listed]) -> Result<Option<String>, BertError> {
    let failed = |source| BertError::Read { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_module = name.split_once('_').is_some_and(|(number, kind)| {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            digits && !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let named = listed.iter().any(|module| Path::new(&module.path) == Path::new(name));
        if is_module && !named && directory.join(name).join("config.json").exists() {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// The head that the modules after the first state.
fn head(directory: &Path, modules: &[Listed], hidden: usize) -> Result<SentenceHead, BertError> {
    let supported = "a module Pooling after Transformer";
    let second = modules.get(1).ok_or_else(|| unsupported(MODULES, supported, "none"))?;
    if second.name() != "Pooling" {
        return Err(unsupported(MODULES, supported, second.name()));
    }
    let mut columns = hidden;
    let mut steps = vec![];
    for module in &modules[2..] {
        match module.name() {
            "Normalize" => steps.push(HeadStep::Normalise),
            "Dense" => {
                let step = dense(directory, &module.path, columns)?;
                if let HeadStep::Dense(dense, _) = &step {
                    columns = dense.weights.nrows();
                }
                steps.push(step);
            }
            // It changes nothing after training.
            "Dropout" => {}
            other => return Err(unsupported(MODULES, "modules Dense or Normalize", other)),
        }
    }
    let normalised = matches!(steps.first(), Some(HeadStep::Normalise));
    let pooling = pooling(directory, &second.path, hidden, normalised)?;
    Ok(SentenceHead { pooling, steps, stated: true })
}

/// The fields of `1_Pooling/config.json`.
#[derive(Deserialize)]
struct PoolingFields {
    #[serde(alias = "embedding_dimension")]
    word_embedding_dimension: Option<u64>,
    /// The modes, as newer versions write them.
    pooling_mode: Option<Modes>,
    /// All other fields, among them a flag for each mode.
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

/// One mode of pooling, or several whose results are joined.
#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(String),
    Several(Vec<String>),
}

fn pooling(
    directory: &Path,
    path: &str,
    hidden: usize,
    normalised: bool,
) -> Result<Pooling, BertError> {
    let file = named(path, "config.json");
    let fields: PoolingFields = required(directory, &file)?;
    if let Some(columns) = fields.word_embedding_dimension.filter(|&n| n != hidden as u64) {
        let why = format!("expected word_embedding_dimension {hidden}, got {columns}");
        return Err(BertError::Layout { file, why });
    }
    let flags = fields.others.iter().filter(|(_, value)| value.as_bool() == Some(true));
    let mut modes: Vec<&str> =
        flags.filter_map(|(name, _)| name.strip_prefix("pooling_mode_")).collect();
    match &fields.pooling_mode {
        Some(Modes::One(mode)) => modes = vec![mode],
        Some(Modes::Several(all)) => modes = all.iter().map(String::as_str).collect(),
        None => {}
    }
    let supported = "one mode of pooling: mean_tokens or cls_token";
    match *modes {
        [] | ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::FirstToken),
        // A row's length does not matter if it is normalised at once.
        ["mean_sqrt_len_tokens" | "mean_sqrt_len"] if normalised => Ok(Pooling::Mean),
        ["mean_sqrt_len_tokens" | "mean_sqrt_len"] => {
            let supported = "a module Normalize right after pooling of mean_sqrt_len_tokens";
            Err(unsupported(&file, supported, "none"))
        }
        _ => Err(unsupported(&file, supported, &modes.join(" and "))),
    }
}

/// The fields of a Dense module's `config.json`.
#[derive(Deserialize)]
struct DenseFields {
    in_features: u64,
    out_features: u64,
    bias: Option<bool>,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
    use_residual: Option<bool>,
}

fn dense(directory: &Path, path: &str, columns: usize) -> Result<HeadStep, BertError> {
    let file = named(path, "config.json");
    let fields: DenseFields = required(directory, &file)?;
    if fields.in_features != columns as u64 {
        let why = format!("expected in_features {columns}, got {}", fields.in_features);
        return Err(BertError::Layout { file, why });
    }
    let outputs = match usize::try_from(fields.out_features) {
        Ok(outputs) if (1..=OUTPUTS_MAX).contains(&fields.out_features) => outputs,
        _ => {
            let got = fields.out_features;
            let why = format!("expected out_features in 1..={OUTPUTS_MAX}, got {got}");
            return Err(BertError::Layout { file, why });
        }
    };
    for name in [&fields.module_input_name, &fields.module_output_name].into_iter().flatten() {
        if name != "sentence_embedding" {
            return Err(unsupported(&file, "a Dense module from and to sentence_embedding", name));
        }
    }
    if fields.use_residual == Some(true) {
        return Err(unsupported(&file, "use_residual false", "true"));
    }
    // The class's default is tanh.
    let name = fields.activation_function.as_deref().unwrap_or("Tanh");
    let activation = match name.rsplit('.').next().unwrap_or_default() {
        "Identity" => HeadActivation::Identity,
        "Tanh" => HeadActivation::Tanh,
        "ReLU" => HeadActivation::Relu,
        _ => return Err(unsupported(&file, "an activation Identity, Tanh or ReLU", name)),
    };
    let own = below(directory, MODULES, path)?;
    let bias = fields.bias.unwrap_or(true);
    let dense = with_tensors(&own, CONVERT_MODULE, |tensors| {
        tensors.dense("linear", [outputs, columns], bias)
    })?;
    Ok(HeadStep::Dense(dense, activation))
}

/// Calls `read` with the tensors of a directory.
/// `convert` is how to make safetensors of pickled weights.
fn with_tensors<T>(
    directory: &Path,
    convert: &'static str,
    read_tensors: impl FnOnce(&Tensors<'_>) -> Result<T, BertError>,
) -> Result<T, BertError> {
    let path = directory.join(WEIGHTS);
    if path.exists() {
        let bytes = read(&path, u64::MAX)?;
        return read_tensors(&Tensors::one(&bytes)?);
    }
    let listed = directory.join(INDEX);
    if listed.exists() {
        let FloatShards { files, index } = FloatShards::read(&read(&listed, JSON_BYTES_MAX)?)?;
        let files = files.iter().map(|name| read(&below(directory, INDEX, name)?, u64::MAX));
        let files: Vec<Vec<u8>> = files.collect::<Result<_, _>>()?;
        return read_tensors(&Tensors::several(&files, index)?);
    }
    for pickled in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let path = directory.join(pickled);
        if path.exists() {
            return Err(BertError::Pickled { path, convert });
        }
    }
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    Err(BertError::Read { path, source })
}

/// The most tokens of a sequence that the model's files state, if they do.
fn length_limit(directory: &Path) -> Result<Option<usize>, BertError> {
    #[derive(Deserialize)]
    struct Sentence {
        max_seq_length: Option<u64>,
    }
    let file = "sentence_bert_config.json";
    let stated: Option<Sentence> = json(directory, file)?;
    match stated.and_then(|fields| fields.max_seq_length) {
        Some(0) => {
            let why = "expected max_seq_length above 0, got 0".into();
            Err(BertError::Layout { file: file.into(), why })
        }
        limit => Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))),
    }
}

fn unsupported(file: &str, supported: &'static str, value: &str) -> BertError {
    let value = value.chars().take(64).collect();
    BertError::Module { file: file.to_owned(), supported, value }
}

/// A file's name below a module's path.
fn named(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// A path below the model's directory. Files are not trusted, so a path must
/// not lead out of it.
fn below(directory: &Path, file: &str, path: &str) -> Result<PathBuf, BertError> {
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(path).components().all(inside) {
        return Ok(directory.join(path));
    }
    let path: String = path.chars().take(64).collect();
    let why = format!("expected a path below the model's directory, got {path}");
    Err(BertError::Layout { file: file.to_owned(), why })
}

fn required<T: serde::de::DeserializeOwned>(directory: &Path, file: &str) -> Result<T, BertError> {
    let path = || directory.join(file);
    json(directory, file)?.ok_or_else(|| {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        BertError::Read { path: path(), source }
    })
}

/// The contents of a JSON file, or `None` if there is no such file.
fn json<T: serde::de::DeserializeOwned>(
    directory: &Path,
    file: &str,
) -> Result<Option<T>, BertError> {
    let path = below(directory, MODULES, file)?;
    if !path.exists() {
        return Ok(None);
    }
    let malformed = |why: String| BertError::Layout { file: file.to_owned(), why };
    let bytes = read(&path, JSON_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| malformed(error.to_string()))
}

/// Reads a file, and refuses one with more than `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, BertError> {
    let failed = |source| BertError::Read { path: path.to_owned(), source };
    let mut bytes = vec![];
    let file = File::open(path).map_err(failed)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        let why = format!("expected at most {limit} bytes, got more");
        return Err(BertError::Layout { file: path.display().to_string(), why });
    }
    Ok(bytes)
}
