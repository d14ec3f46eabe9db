//! Float tensors of one safetensors file, or of several that share a model.
//!
//! The reader checks a file's own lengths before it looks up a tensor, so that
//! lookups allocate no more than the file holds.

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most files that share a model's tensors.
const SHARDS_MAX: usize = 1 << 10;

/// Why a tensor was not read from safetensors files.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FloatTensorError {
    /// The bytes are not a safetensors file, or are truncated.
    #[error("expected a whole safetensors file, got another ({0}); copy or save the weights again")]
    File(String),
    /// The index of a model's files is malformed.
    #[error("the index of the weights: {0}; save the weights again")]
    Index(String),
    /// A tensor is missing.
    #[error("expected tensor {tensor}, got none; save the whole model")]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor's entries are not floats of 16, 32 or 64 bits.
    #[error("tensor {tensor}: expected type F16, BF16, F32 or F64, got {got}; convert it to F32")]
    Dtype {
        /// Its name.
        tensor: String,
        /// Its type.
        got: String,
    },
    /// A tensor has another shape than the caller expects.
    #[error(
        "tensor {tensor}: expected shape {expected:?}, got {got:?}; take the config.json of these \
         weights"
    )]
    Shape {
        /// Its name.
        tensor: String,
        /// The shape that the caller expects.
        expected: Vec<usize>,
        /// Its shape.
        got: Vec<usize>,
    },
    /// An entry is infinite or NaN.
    #[error(
        "tensor {tensor}: expected finite entries, got {value} at entry {entry}; correct the weights"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The entry's index, row-major.
        entry: usize,
        /// The entry's value.
        value: f32,
    },
}

/// The tensors of a model, in one or more files whose bytes are `B`.
#[derive(Debug)]
pub struct FloatTensors<B> {
    files: Vec<FloatFile<B>>,
    /// The file of each tensor, if there are several files.
    index: Option<BTreeMap<String, usize>>,
}

/// One file, whose list of tensors is checked.
#[derive(Debug)]
struct FloatFile<B> {
    bytes: B,
    /// Where the entries begin.
    start: usize,
    metadata: Metadata,
}

impl<B: AsRef<[u8]>> FloatFile<B> {
    fn new(bytes: B) -> Result<FloatFile<B>, FloatTensorError> {
        let failed =
            |error: safetensors::SafeTensorError| FloatTensorError::File(error.to_string());
        let read = |bytes| SafeTensors::read_metadata(bytes);
        let (header, metadata) = read(bytes.as_ref()).map_err(failed)?;
        // The length of the header stands before it, in 8 bytes.
        Ok(FloatFile { bytes, start: header + 8, metadata })
    }

    fn entries(&self, tensor: &TensorInfo) -> &[u8] {
        let (from, to) = tensor.data_offsets;
        let bytes = self.bytes.as_ref();
        // The range lies within the file, as the metadata was checked.
        bytes.get(self.start + from..self.start + to).unwrap_or_default()
    }
}

impl<B: AsRef<[u8]>> FloatTensors<B> {
    /// The tensors of one file.
    ///
    /// # Errors
    /// [`FloatTensorError::File`] if the bytes are not a whole file.
    pub fn one(bytes: B) -> Result<FloatTensors<B>, FloatTensorError> {
        Ok(FloatTensors { files: vec![FloatFile::new(bytes)?], index: None })
    }

    /// The tensors of several files. `index` has the number of each tensor's
    /// file, as [`FloatShards`] reads it.
    ///
    /// # Errors
    /// [`FloatTensorError::File`] if the bytes of one are not a whole file.
    pub fn several(
        files: impl IntoIterator<Item = B>,
        index: BTreeMap<String, usize>,
    ) -> Result<FloatTensors<B>, FloatTensorError> {
        let files = files.into_iter().map(FloatFile::new).collect::<Result<_, _>>()?;
        Ok(FloatTensors { files, index: Some(index) })
    }

    /// The names of all tensors, those that an index leaves out included.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|file| file.metadata.offset_keys())
    }

    /// A tensor's shape, or `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|(_, tensor)| tensor.shape.as_slice())
    }

    fn find(&self, name: &str) -> Option<(&FloatFile<B>, &TensorInfo)> {
        let number = match &self.index {
            Some(index) => *index.get(name)?,
            None => 0,
        };
        let file = self.files.get(number)?;
        Some((file, file.metadata.info(name)?))
    }

    /// A tensor's entries as f32, row-major. F64 is rounded.
    ///
    /// # Errors
    /// [`FloatTensorError`] if there is no such tensor, its shape is not `shape`,
    /// its entries are no floats, or one of them is not finite in f32.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FloatTensorError> {
        let tensor = name.to_owned();
        let Some((file, found)) = self.find(name) else {
            return Err(FloatTensorError::Missing { tensor });
        };
        let bytes = file.entries(found);
        let read: fn(&[u8]) -> Vec<f32> = match found.dtype {
            Dtype::F32 => |bytes| each(bytes, f32::from_le_bytes),
            Dtype::F16 => |bytes| each(bytes, |half| f16::from_le_bytes(half).to_f32()),
            Dtype::BF16 => |bytes| each(bytes, |half| bf16::from_le_bytes(half).to_f32()),
            // A number beyond f32 becomes infinite, and is refused below.
            Dtype::F64 => |bytes| each(bytes, |double| f64::from_le_bytes(double) as f32),
            other => return Err(FloatTensorError::Dtype { tensor, got: format!("{other:?}") }),
        };
        if found.shape != shape {
            let (expected, got) = (shape.to_vec(), found.shape.clone());
            return Err(FloatTensorError::Shape { tensor, expected, got });
        }
        let entries = read(bytes);
        match entries.iter().position(|entry| !entry.is_finite()) {
            Some(entry) => {
                Err(FloatTensorError::NotFinite { tensor, entry, value: entries[entry] })
            }
            None => Ok(entries),
        }
    }
}

/// What `read` makes of each N bytes.
fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

/// The files that share a model's tensors, as `model.safetensors.index.json`
/// lists them.
#[derive(Clone, Debug)]
pub struct FloatShards {
    /// The names of the files, as the index has them.
    pub files: Vec<String>,
    /// The number of each tensor's file.
    pub index: BTreeMap<String, usize>,
}

impl FloatShards {
    /// Reads an index from its JSON.
    ///
    /// # Errors
    /// [`FloatTensorError::Index`] if it is malformed or lists too many files.
    pub fn read(json: &[u8]) -> Result<FloatShards, FloatTensorError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let malformed = |error: serde_json::Error| FloatTensorError::Index(error.to_string());
        let listed: Index = serde_json::from_slice(json).map_err(malformed)?;
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut files = vec![];
        let mut index = BTreeMap::new();
        for (tensor, name) in listed.weight_map {
            let next = numbers.len();
            let number = *numbers.entry(name.clone()).or_insert(next);
            if number == files.len() {
                files.push(name);
            }
            index.insert(tensor, number);
        }
        if files.len() > SHARDS_MAX {
            let why = format!("expected at most {SHARDS_MAX} files, got {}", files.len());
            return Err(FloatTensorError::Index(why));
        }
        Ok(FloatShards { files, index })
    }
}
