//! GGUF files: metadata, and tensors as f32.
//!
//! The crate gguf-rs-lib reads header, metadata and the list of tensors within
//! its limits, and checks that tensors lie within the file and do not overlap.
//! Here each tensor is found in the memory map and dequantised alone.
//!
//! - `blocks`: the types with 32 entries a block, and those without blocks;
//! - `superblocks`: the K types, with 256 entries a block.
//!
//! Source: the specification of GGUF (ggml/docs/gguf.md) and `ggml-quants.c`.

mod blocks;
mod error;
mod superblocks;

pub use error::GgufError;

use crate::DecoderError;
use crate::mapped::Mapped;
use gguf_rs_lib::format::metadata::{Metadata, MetadataValue};
use gguf_rs_lib::format::types::GGUFTensorType;
use gguf_rs_lib::reader::file_reader::{GGUFFileReader, GGUFReaderConfig};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

/// The most bytes of metadata, in the file and in memory. The vocabularies of
/// large models need about 60 MB in memory.
const METADATA_BYTES_MAX: usize = 1 << 28;
/// The most tensors.
const TENSORS_MAX: usize = 1 << 15;

/// An open GGUF file.
pub struct Gguf {
    bytes: Mapped,
    metadata: Metadata,
    tensors: BTreeMap<String, Found>,
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
struct Found {
    kind: GGUFTensorType,
    /// Rows first: the reverse of the file's order.
    shape: Vec<usize>,
    start: usize,
    bytes: usize,
}

impl Gguf {
    /// Opens a file in a memory map, and reads its metadata and its list of
    /// tensors. No other program may change the file while it is open.
    ///
    /// # Errors
    /// [`DecoderError::Read`] if the file cannot be read, and
    /// [`DecoderError::Gguf`] if it is malformed.
    pub fn open(path: &Path) -> Result<Gguf, DecoderError> {
        Ok(Gguf::new(Mapped::open(path)?)?)
    }

    fn new(bytes: Mapped) -> Result<Gguf, GgufError> {
        let config = GGUFReaderConfig {
            max_metadata_size: METADATA_BYTES_MAX,
            max_decoded_metadata_size: METADATA_BYTES_MAX,
            ..GGUFReaderConfig::default()
        };
        let reader = GGUFFileReader::with_config(Cursor::new(bytes.as_ref()), config)?;
        let alignment = reader.tensor_alignment();
        if !alignment.is_power_of_two() || !(8..=1 << 16).contains(&alignment) {
            return Err(GgufError::Alignment { got: alignment.to_string() });
        }
        if reader.tensor_count() > TENSORS_MAX {
            return Err(GgufError::Count { got: reader.tensor_count(), limit: TENSORS_MAX });
        }
        let mut tensors = BTreeMap::new();
        for info in reader.tensor_infos() {
            let tensor = info.name();
            let range = || GgufError::Range { tensor: tensor.to_owned() };
            let narrow = |n: u64| usize::try_from(n).map_err(|_| range());
            let start = reader.tensor_data_offset().checked_add(info.data_offset());
            let start = narrow(start.ok_or_else(range)?)?;
            let length = narrow(info.checked_expected_data_size()?)?;
            let shape = info.shape().dims().iter().rev().map(|&n| narrow(n));
            let shape = shape.collect::<Result<_, _>>()?;
            let kind = info.tensor_type();
            tensors.insert(tensor.to_owned(), Found { kind, shape, start, bytes: length });
        }
        let metadata = reader.metadata().clone();
        Ok(Gguf { metadata, tensors, bytes })
    }

    /// A field of the metadata.
    pub(crate) fn value(&self, name: &str) -> Option<&MetadataValue> {
        self.metadata.get(name)
    }

    /// The names of all fields of the metadata.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    /// A field of the metadata that is text, such as `tokenizer.chat_template`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(MetadataValue::as_str)
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, rows first, or `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|found| found.shape.as_slice())
    }

    /// A tensor's entries as f32, row-major.
    ///
    /// # Errors
    /// [`GgufError`] if there is no such tensor, its shape is not `shape` (rows
    /// first), its type is not supported, or an entry is not finite.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, GgufError> {
        let tensor = name.to_owned();
        let Some(found) = self.tensors.get(name) else {
            return Err(GgufError::Missing { tensor });
        };
        if found.shape != shape {
            let (expected, got) = (shape.to_vec(), found.shape.clone());
            return Err(GgufError::Shape { tensor, expected, got });
        }
        let end = found.start.checked_add(found.bytes);
        let bytes = end.and_then(|end| self.bytes.as_ref().get(found.start..end));
        let Some(bytes) = bytes else { return Err(GgufError::Range { tensor }) };
        let Some(entries) = dequantise(found.kind, bytes) else {
            return Err(GgufError::Type { tensor, got: found.kind.name().to_owned() });
        };
        match entries.iter().position(|entry| !entry.is_finite()) {
            Some(entry) => Err(GgufError::NotFinite { tensor, entry, value: entries[entry] }),
            None => Ok(entries),
        }
    }
}

/// The floats that blocks of a type stand for, or `None` if the type is not
/// supported. Bytes after the last whole block are left out.
fn dequantise(kind: GGUFTensorType, bytes: &[u8]) -> Option<Vec<f32>> {
    use GGUFTensorType::*;
    Some(match kind {
        F32 => blocks::each(bytes, blocks::f32s),
        F16 => blocks::each(bytes, blocks::f16s),
        BF16 => blocks::each(bytes, blocks::bf16s),
        Q4_0 => blocks::each(bytes, blocks::q4_0),
        Q4_1 => blocks::each(bytes, blocks::q4_1),
        Q5_0 => blocks::each(bytes, blocks::q5_0),
        Q5_1 => blocks::each(bytes, blocks::q5_1),
        Q8_0 => blocks::each(bytes, blocks::q8_0),
        Q2_K => blocks::each(bytes, superblocks::q2_k),
        Q3_K => blocks::each(bytes, superblocks::q3_k),
        Q4_K => blocks::each(bytes, superblocks::q4_k),
        Q5_K => blocks::each(bytes, superblocks::q5_k),
        Q6_K => blocks::each(bytes, superblocks::q6_k),
        _ => return None,
    })
}
