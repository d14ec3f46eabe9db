//! Stored tensors, decoded and checked only when a layer uses them.

use super::error::{OnnxError, OnnxTensorError};
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};

/// A constant of the file.
#[derive(Clone, Copy)]
pub(super) enum Constant<'a> {
    /// An initialiser, or a Constant node's tensor.
    Tensor(&'a TensorProto),
    /// A Constant node's list of integers.
    Integers(&'a [i64]),
}

/// A decoded tensor: `entries` fills `dims`, none of which is zero.
pub(super) struct Floats {
    pub(super) dims: Vec<usize>,
    pub(super) entries: Vec<f32>,
}

impl Floats {
    /// The error for this tensor's dimensions.
    pub(super) fn unexpected(&self, tensor: &str, expected: &'static str) -> OnnxError {
        let got = self.dims.iter().map(|&dim| dim as i64).collect();
        failed(tensor, OnnxTensorError::Dimensions { expected, got })
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

/// Decodes f32 entries and subtracts them from `budget`, the number of entries
/// that may still be decoded. The budget is needed because many nodes can use
/// one tensor.
pub(super) fn floats(
    name: &str,
    constant: Constant<'_>,
    budget: &mut usize,
    limit: usize,
) -> Result<Floats, OnnxError> {
    let Constant::Tensor(tensor) = constant else {
        let got = DataType::INT64.to_string();
        return Err(failed(name, OnnxTensorError::Type { expected: "FLOAT", got }));
    };
    let fail = |source| failed(name, source);
    let dims = positive_dims(tensor, DataType::FLOAT, "FLOAT").map_err(fail)?;
    let bytes = size(tensor, tensor.float_data.len(), 4);
    let length = || fail(OnnxTensorError::Length { dims: tensor.dims.clone(), bytes });
    let count = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    let count = count.filter(|&count| count.checked_mul(4) == Some(bytes)).ok_or_else(length)?;
    *budget = budget.checked_sub(count).ok_or(OnnxError::TooMany { what: "weights", limit })?;
    let entries = match &tensor.raw_data {
        Some(raw) if tensor.float_data.is_empty() => {
            let raw = raw.borrow();
            raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
        }
        Some(raw) if !raw.borrow().is_empty() => return Err(length()),
        _ => tensor.float_data.clone(),
    };
    finite(name, &entries)?;
    Ok(Floats { dims, entries })
}

/// Decodes a short list of i64 entries, at most `most` of them.
pub(super) fn integers(
    name: &str,
    constant: Constant<'_>,
    most: usize,
) -> Result<Vec<i64>, OnnxError> {
    let fail = |source| failed(name, source);
    let tensor = match constant {
        Constant::Integers(list) => return Ok(list.iter().copied().take(most).collect()),
        Constant::Tensor(tensor) => tensor,
    };
    let dims = positive_dims(tensor, DataType::INT64, "INT64").map_err(fail)?;
    let &[count] = dims.as_slice() else {
        let (expected, got) = ("of a list", tensor.dims.clone());
        return Err(fail(OnnxTensorError::Dimensions { expected, got }));
    };
    let bytes = size(tensor, tensor.int64_data.len(), 8);
    if count.checked_mul(8) != Some(bytes) {
        return Err(fail(OnnxTensorError::Length { dims: tensor.dims.clone(), bytes }));
    }
    Ok(match &tensor.raw_data {
        Some(raw) if tensor.int64_data.is_empty() => {
            let raw = raw.borrow();
            raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).take(most).collect()
        }
        _ => tensor.int64_data.iter().copied().take(most).collect(),
    })
}

/// Bytes of data: the raw data, or `entries` entries of `width` bytes.
fn size(tensor: &TensorProto, entries: usize, width: usize) -> usize {
    match &tensor.raw_data {
        Some(raw) if entries == 0 => raw.borrow().len(),
        _ => entries.saturating_mul(width),
    }
}

fn positive_dims(
    tensor: &TensorProto,
    kind: DataType,
    expected: &'static str,
) -> Result<Vec<usize>, OnnxTensorError> {
    if tensor.data_location.is_some_and(|location| location != DataLocation::DEFAULT)
        || !tensor.external_data.is_empty()
    {
        return Err(OnnxTensorError::External);
    }
    if tensor.data_type != Some(kind) {
        let got = tensor.data_type.map_or("none".to_owned(), |kind| kind.to_string());
        return Err(OnnxTensorError::Type { expected, got });
    }
    let positive = |&dim: &i64| usize::try_from(dim).ok().filter(|&dim| dim > 0);
    tensor.dims.iter().map(positive).collect::<Option<_>>().ok_or_else(|| {
        OnnxTensorError::Dimensions { expected: "all positive", got: tensor.dims.clone() }
    })
}
