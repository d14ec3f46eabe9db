//! Tensors that are known when the file is read: stored ones, and those that
//! nodes compute of them.

use super::error::{OnnxError, OnnxTensorError};
use super::external;
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};
use std::path::Path;

/// The kind of a tensor's numbers, which some operators depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Real numbers of any precision.
    Real,
    /// Whole numbers of the given bits.
    Signed(u8),
    /// Whole numbers from 0 on, of the given bits.
    Unsigned(u8),
    /// 0 and 1.
    Bool,
}

/// The type of a tensor that names none.
pub(super) const NO_TYPE: DataType = DataType(0);

impl Number {
    /// Whole numbers of 64 bits, which shapes and places have.
    pub(super) const WHOLE: Number = Number::Signed(64);

    /// The kind of an element type, or `None` if it has no numbers.
    pub(super) fn of(kind: DataType) -> Option<Number> {
        Some(match kind {
            DataType::FLOAT | DataType::DOUBLE | DataType::FLOAT16 | DataType::BFLOAT16 => {
                Number::Real
            }
            DataType::INT4 => Number::Signed(4),
            DataType::INT8 => Number::Signed(8),
            DataType::INT16 => Number::Signed(16),
            DataType::INT32 => Number::Signed(32),
            DataType::INT64 => Number::WHOLE,
            DataType::UINT4 => Number::Unsigned(4),
            DataType::UINT8 => Number::Unsigned(8),
            DataType::UINT16 => Number::Unsigned(16),
            DataType::UINT32 => Number::Unsigned(32),
            DataType::UINT64 => Number::Unsigned(64),
            DataType::BOOL => Number::Bool,
            _ => return None,
        })
    }

    /// The least and the greatest of whole numbers; `None` for real ones.
    pub(super) fn range(self) -> Option<[i64; 2]> {
        match self {
            Number::Real => None,
            Number::Bool => Some([0, 1]),
            Number::Signed(bits) => Some([i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)]),
            Number::Unsigned(bits) => {
                Some([0, (u64::MAX >> (64 - bits)).try_into().unwrap_or(i64::MAX)])
            }
        }
    }

    /// Whether the type has so few numbers that arithmetic leaves it in
    /// practice, and then wraps around.
    pub(super) fn is_narrow(self) -> bool {
        matches!(self, Number::Signed(..=16) | Number::Unsigned(..=16))
    }

    /// The product of two whole numbers of at most 32 bits, in the type.
    pub(super) fn wrapped_product(self, a: i64, b: i64) -> f64 {
        // The lower 32 bits are those of the whole product.
        self.wrapped(a.wrapping_mul(b).rem_euclid(1 << 32) as f64)
    }

    /// A whole number in the type. Beyond its ends it wraps around, but for 64
    /// bits, whose ends f64 does not hold.
    pub(super) fn wrapped(self, x: f64) -> f64 {
        match self {
            Number::Signed(bits) | Number::Unsigned(bits) if bits < 64 && x.is_finite() => {
                let modulus = 2f64.powi(bits.into());
                let rest = x.rem_euclid(modulus);
                match self {
                    Number::Signed(_) if rest >= modulus / 2.0 => rest - modulus,
                    _ => rest,
                }
            }
            _ => x,
        }
    }
}

/// A known tensor. f64 holds every number of the supported types, except whole
/// numbers above 2^53, which are rounded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    /// Its shape; a dimension may be 0.
    pub(super) shape: Vec<usize>,
    /// The kind of its numbers.
    pub(super) number: Number,
    /// Its entries, row-major.
    pub(super) entries: Vec<f64>,
}

impl Host {
    /// One number.
    pub(super) fn scalar(number: Number, entry: f64) -> Host {
        Host { shape: vec![], number, entries: vec![entry] }
    }

    /// A list of whole numbers.
    pub(super) fn list(entries: Vec<f64>) -> Host {
        Host { shape: vec![entries.len()], number: Number::WHOLE, entries }
    }

    /// The entries in f32. Entries beyond f32 become infinite.
    pub(super) fn floats(&self) -> Vec<f32> {
        self.entries.iter().map(|&entry| entry as f32).collect()
    }

    /// The entries as whole numbers. Those beyond i64 saturate.
    pub(super) fn integers(&self) -> Vec<i64> {
        self.entries.iter().map(|&entry| entry as i64).collect()
    }

    /// The only entry.
    pub(super) fn only(&self) -> Option<f64> {
        match self.entries.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

pub(super) fn failed(tensor: &str, source: OnnxTensorError) -> OnnxError {
    OnnxError::Tensor { tensor: tensor.to_owned(), source }
}

/// Refuses infinities and NaN; the error gives the first such entry.
pub(super) fn finite(tensor: &str, entries: &[f32]) -> Result<(), OnnxError> {
    match entries.iter().position(|entry| !entry.is_finite()) {
        Some(index) => Err(failed(tensor, OnnxTensorError::NotFinite { index })),
        None => Ok(()),
    }
}

/// Decodes a stored tensor, which has at most `most` entries of the limit.
pub(super) fn decode(
    name: &str,
    tensor: &TensorProto,
    folder: Option<&Path>,
    (most, limit): (usize, usize),
) -> Result<Host, OnnxError> {
    let fail = |source| failed(name, source);
    let kind = tensor.data_type.unwrap_or(NO_TYPE);
    let number = Number::of(kind).ok_or_else(|| fail(OnnxTensorError::Type(kind.to_string())))?;
    let size = |&dim: &i64| usize::try_from(dim).ok();
    let shape = tensor.dims.iter().map(size).collect::<Option<Vec<_>>>().ok_or_else(|| {
        let (expected, got) = ("that are not negative", tensor.dims.clone());
        fail(OnnxTensorError::Dimensions { expected, got })
    })?;
    let count = shape.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
    let count = count.filter(|&count| count <= most);
    let count = count.ok_or(OnnxError::TooMany { what: "entries of constants", limit })?;
    let width = width(kind);
    let nibbles = matches!(kind, DataType::INT4 | DataType::UINT4);
    let bytes = if nibbles { count.div_ceil(2) } else { count.saturating_mul(width) };
    let outside = tensor.data_location.is_some_and(|at| at != DataLocation::DEFAULT)
        || !tensor.external_data.is_empty();
    let held;
    let raw: Option<&[u8]> = if outside {
        held = external::read(tensor, folder, bytes).map_err(fail)?;
        Some(&held)
    } else {
        match &tensor.raw_data {
            Some(raw) => {
                held = raw.borrow().clone();
                Some(&held)
            }
            None => None,
        }
    };
    let length = |bytes| fail(OnnxTensorError::Length { dims: tensor.dims.clone(), bytes });
    // Data in two places could differ.
    if raw.is_some_and(|raw| !raw.is_empty()) && lists(tensor) > 0 {
        let more = lists(tensor).saturating_mul(width);
        return Err(length(raw.map_or(0, <[u8]>::len).saturating_add(more)));
    }
    let entries = match raw {
        Some(raw) if raw.len() == bytes && nibbles => halves(raw, kind, count),
        Some(raw) if raw.len() == bytes => {
            raw.chunks_exact(width).map(|raw| number_of(kind, raw)).collect()
        }
        Some(raw) if !raw.is_empty() => return Err(length(raw.len())),
        _ if nibbles => {
            let bytes: Vec<u8> = tensor.int32_data.iter().map(|&two| two as u8).collect();
            halves(&bytes, kind, count)
        }
        _ => listed(tensor, kind),
    };
    let entries: Vec<f64> = entries;
    if entries.len() != count {
        return Err(length(entries.len().saturating_mul(width)));
    }
    Ok(Host { shape, number, entries })
}

/// The bytes of an entry.
const fn width(kind: DataType) -> usize {
    match kind.0 {
        // BOOL, UINT8, INT8.
        2 | 3 | 9 => 1,
        // UINT16, INT16, FLOAT16, BFLOAT16.
        4 | 5 | 10 | 16 => 2,
        // INT64, DOUBLE, UINT64.
        7 | 11 | 13 => 8,
        _ => 4,
    }
}

/// The entries of 4 bits, two in a byte, of which the lower comes first.
fn halves(bytes: &[u8], kind: DataType, count: usize) -> Vec<f64> {
    let of = |bits: u8| match kind {
        DataType::INT4 => f64::from((bits << 4) as i8 >> 4),
        _ => f64::from(bits & 15),
    };
    let entries = bytes.iter().flat_map(|&two| [of(two), of(two >> 4)]);
    // An odd count leaves the last half empty.
    match bytes.len() == count.div_ceil(2) {
        true => entries.take(count).collect(),
        false => entries.collect(),
    }
}

/// One entry of raw data.
fn number_of(kind: DataType, raw: &[u8]) -> f64 {
    let mut word = [0; 8];
    word[..raw.len()].copy_from_slice(raw);
    let bits = u64::from_le_bytes(word);
    match kind {
        DataType::FLOAT => f32::from_bits(bits as u32).into(),
        DataType::DOUBLE => f64::from_bits(bits),
        DataType::FLOAT16 => half(bits as u16),
        DataType::BFLOAT16 => f32::from_bits((bits as u32) << 16).into(),
        DataType::INT8 => f64::from(bits as u8 as i8),
        DataType::INT16 => f64::from(bits as u16 as i16),
        DataType::INT32 => f64::from(bits as u32 as i32),
        DataType::INT64 => bits as i64 as f64,
        DataType::BOOL => f64::from(u8::from(bits != 0)),
        _ => bits as f64,
    }
}

/// A number of 16 bits, IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// The entries in all fields of single types.
fn lists(tensor: &TensorProto) -> usize {
    let TensorProto { float_data, int32_data, int64_data, double_data, .. } = tensor;
    float_data.len() + int32_data.len() + int64_data.len() + double_data.len()
}

/// The entries of a tensor whose data is in the field of its type.
fn listed(tensor: &TensorProto, kind: DataType) -> Vec<f64> {
    match kind {
        DataType::FLOAT => tensor.float_data.iter().map(|&entry| entry.into()).collect(),
        DataType::DOUBLE => tensor.double_data.clone(),
        DataType::INT64 => tensor.int64_data.iter().map(|&entry| entry as f64).collect(),
        DataType::FLOAT16 => tensor.int32_data.iter().map(|&bits| half(bits as u16)).collect(),
        DataType::BFLOAT16 => {
            let of = |&bits: &i32| f32::from_bits((bits as u32) << 16).into();
            tensor.int32_data.iter().map(of).collect()
        }
        _ => tensor.int32_data.iter().map(|&entry| entry.into()).collect(),
    }
}
