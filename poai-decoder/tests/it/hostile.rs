//! Truncated and hostile GGUF files give errors.

use crate::fixture;
use poai_decoder::gguf::{Gguf, GgufError};
use poai_decoder::{DecoderCheckpoint, DecoderError, FloatDecoder, TextTokens};
use proptest::prelude::*;

/// A tensor in a file's list.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    /// Columns first, as in the file.
    pub(crate) dims: &'a [u64],
    pub(crate) kind: u32,
    pub(crate) offset: u64,
}

/// A file to write.
#[derive(Default)]
pub(crate) struct File<'a> {
    pub(crate) tensors: &'a [Tensor<'a>],
    pub(crate) data: &'a [u8],
    /// The alignment that the file states.
    pub(crate) alignment: Option<u32>,
    /// The number of tensors and of fields that the file states.
    pub(crate) counts: Option<[u64; 2]>,
}

impl File<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        let fields = u64::from(self.alignment.is_some());
        for count in self.counts.unwrap_or([self.tensors.len() as u64, fields]) {
            bytes.extend(count.to_le_bytes());
        }
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        if let Some(alignment) = self.alignment {
            text(&mut bytes, "general.alignment");
            bytes.extend(4u32.to_le_bytes());
            bytes.extend(alignment.to_le_bytes());
        }
        for tensor in self.tensors {
            text(&mut bytes, tensor.name);
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(self.data);
        bytes
    }

    pub(crate) fn open(&self) -> Result<Gguf, DecoderError> {
        open(&self.bytes())
    }
}

fn open(bytes: &[u8]) -> Result<Gguf, DecoderError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    Gguf::open(&path)
}

const ONE: Tensor<'static> = Tensor { name: "x", dims: &[4], kind: 0, offset: 0 };

#[track_caller]
fn refused(file: File<'_>, part: &str) {
    match file.open() {
        Err(error @ DecoderError::Gguf(_)) => {
            let text = error.to_string();
            assert!(text.contains(part), "expected {part:?} in {text:?}");
        }
        Err(other) => panic!("expected an error of the format, got {other}"),
        Ok(_) => panic!("expected {part:?}, got a file"),
    }
}

#[test]
fn malformed_files_are_refused_by_name() {
    let data = &[0; 64];
    let good = || File { tensors: &[ONE], data, ..File::default() };
    assert!(good().open().is_ok());
    for alignment in [0, 1, 3, 12, u32::MAX] {
        refused(File { alignment: Some(alignment), ..good() }, "lignment");
    }
    refused(File { counts: Some([u64::MAX, 0]), ..good() }, "tensor count");
    refused(File { counts: Some([1, u64::MAX]), ..good() }, "metadata count");
    refused(File { counts: Some([900_000, 0]), ..good() }, "");
    refused(File { tensors: &[Tensor { kind: 99, ..ONE }], ..good() }, "99");
    refused(File { tensors: &[Tensor { kind: 4, ..ONE }], ..good() }, "4");
    refused(File { tensors: &[Tensor { offset: 3, ..ONE }], ..good() }, "aligned");
    refused(File { tensors: &[Tensor { offset: 1 << 40, ..ONE }], ..good() }, "");
    refused(File { tensors: &[Tensor { offset: u64::MAX - 31, ..ONE }], ..good() }, "");
    refused(File { tensors: &[Tensor { dims: &[1 << 40, 1 << 40], ..ONE }], ..good() }, "");
    refused(File { tensors: &[Tensor { dims: &[u64::MAX], ..ONE }], ..good() }, "");
    refused(File { tensors: &[Tensor { dims: &[33], kind: 3, ..ONE }], ..good() }, "divisible");
    refused(File { tensors: &[ONE, ONE], ..good() }, "x");
    let wide = Tensor { dims: &[16], ..ONE };
    let other = Tensor { name: "y", offset: 32, ..ONE };
    refused(File { tensors: &[wide, other], ..good() }, "overlap");
}

#[test]
fn wrong_tensors_are_refused_by_name() {
    let mut data = [0u8; 32];
    data[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    let file = File { tensors: &[ONE], data: &data, ..File::default() }.open().unwrap();
    assert!(matches!(file.read("y", &[4]), Err(GgufError::Missing { .. })));
    assert!(matches!(file.read("x", &[2, 2]), Err(GgufError::Shape { .. })));
    assert!(matches!(file.read("x", &[4]), Err(GgufError::NotFinite { entry: 2, .. })));
    let whole = Tensor { kind: 26, ..ONE };
    let file = File { tensors: &[whole], data: &data, ..File::default() }.open().unwrap();
    assert!(matches!(file.read("x", &[4]), Err(GgufError::Type { .. })));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = std::fs::read(fixture("llama").join("model.gguf")).unwrap();
    let mut lengths: Vec<usize> = (0..bytes.len()).step_by(997).collect();
    lengths.extend(0..100);
    lengths.push(bytes.len() - 32);
    for length in lengths {
        assert!(open(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The file's beginning has all fields and the list of tensors.
    #[test]
    fn changed_bytes_never_panic(place in 0usize..6000, byte: u8, further in 0usize..6000) {
        let mut bytes = std::fs::read(fixture("qwen3").join("model.gguf")).unwrap();
        for place in [place, further] {
            bytes[place] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(checkpoint) = DecoderCheckpoint::open(&path)
            && let Ok(decoder) = FloatDecoder::load(&checkpoint)
        {
            let _ = decoder.logits(&[1, 2, 3], &mut |_, _, _| ());
        }
        let _ = TextTokens::open(&path);
    }
}
