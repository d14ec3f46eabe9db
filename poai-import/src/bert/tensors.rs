//! Float tensors of one safetensors file, or of several that share a model.

use super::BertError;
use super::weights::{Dense, Norm};
use ndarray::Array2;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;

/// Prefixes of the names of all tensors, by what saved the model.
const PREFIXES: [&str; 6] = ["", "bert.", "roberta.", "distilbert.", "electra.", "mpnet."];
/// The tensor that shows which prefix a file has.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// The tensors of a model.
pub(super) struct Tensors<'a> {
    files: Vec<SafeTensors<'a>>,
    /// The file of each tensor, if there are several files.
    index: Option<BTreeMap<String, usize>>,
    prefix: &'static str,
}

impl<'a> Tensors<'a> {
    /// The tensors of one file. Lookups allocate no more than the file holds,
    /// because the file's own lengths are checked here.
    pub(super) fn one(bytes: &'a [u8]) -> Result<Tensors<'a>, BertError> {
        Ok(Tensors { files: vec![file(bytes)?], index: None, prefix: "" }.prefixed())
    }

    /// The tensors of several files. `index` has the number of each tensor's
    /// file.
    pub(super) fn several(
        bytes: &'a [Vec<u8>],
        index: BTreeMap<String, usize>,
    ) -> Result<Tensors<'a>, BertError> {
        let files = bytes.iter().map(|bytes| file(bytes)).collect::<Result<_, _>>()?;
        Ok(Tensors { files, index: Some(index), prefix: "" }.prefixed())
    }

    /// Finds the prefix of all names.
    fn prefixed(mut self) -> Tensors<'a> {
        let has = |prefix: &&str| self.view(&format!("{prefix}{WORDS}")).is_some();
        self.prefix = PREFIXES.into_iter().find(has).unwrap_or("");
        self
    }

    fn view(&self, name: &str) -> Option<TensorView<'_>> {
        let file = match &self.index {
            Some(index) => *index.get(name)?,
            None => 0,
        };
        self.files.get(file)?.tensor(name).ok()
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
            let has = self.view(&format!("{}{old}", self.prefix)).is_some();
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
        let tensor = format!("{}{name}", self.prefix);
        let Some(view) = self.view(&tensor) else {
            return Err(BertError::Missing { tensor });
        };
        let bytes = view.data();
        let halves = || bytes.as_chunks::<2>().0.iter().map(|&half| u16::from_le_bytes(half));
        let read: Box<dyn Fn() -> Vec<f32>> = match view.dtype() {
            Dtype::F32 => Box::new(|| {
                bytes.as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
            }),
            Dtype::F16 => Box::new(|| halves().map(widen).collect()),
            Dtype::BF16 => {
                Box::new(|| halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect())
            }
            // A number beyond f32 becomes infinite, and is refused below.
            Dtype::F64 => Box::new(|| {
                bytes
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|&word| f64::from_le_bytes(word) as f32)
                    .collect()
            }),
            other => return Err(BertError::Dtype { tensor, got: format!("{other:?}") }),
        };
        if view.shape() != shape {
            let (expected, got) = (shape.to_vec(), view.shape().to_vec());
            return Err(BertError::Shape { tensor, expected, got });
        }
        let entries = read();
        match entries.iter().position(|entry| !entry.is_finite()) {
            Some(entry) => Err(BertError::NotFinite { tensor, entry, value: entries[entry] }),
            None => Ok(entries),
        }
    }
}

fn file(bytes: &[u8]) -> Result<SafeTensors<'_>, BertError> {
    SafeTensors::deserialize(bytes).map_err(|error| BertError::File(error.to_string()))
}

/// The number that 16 bits of IEEE 754 represent.
fn widen(half: u16) -> f32 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff) / 1024.0;
    sign * match exponent {
        0 => fraction * 2f32.powi(-14),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1.0 + fraction) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::widen;

    #[test]
    fn halves_become_the_same_numbers() {
        for (half, number) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(widen(half), number, "{half:#06x}");
        }
        assert!(widen(0x7e00).is_nan());
        assert!(widen(0x8000).is_sign_negative());
    }
}
