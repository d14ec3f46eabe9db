//! Operands in serde. Deserialisation checks them as their constructors do.

use super::pad::Padded;
use super::split::Split;
use super::{Operand, OperandError, Operands};
use ndarray::Array2;
use poai_core::params::Params;
use poai_core::puzzle::statement::Side;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An operand's parts, with the entries row-major as bytes.
#[derive(Serialize, Deserialize)]
struct Parts {
    params: Params,
    side: Side,
    rows: u32,
    k: u32,
    #[serde(with = "poai_core::encoding::hex_or_bytes")]
    entries: Vec<u8>,
}

impl Serialize for Operand {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Parts {
            params: *self.params(),
            side: self.side(),
            rows: self.rows(),
            k: self.k(),
            entries: self.as_bytes().to_vec(),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Operand {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Operand, D::Error> {
        let parts = Parts::deserialize(from)?;
        let entries = parts.entries.into_iter().map(|byte| byte as i8).collect();
        let matrix = Array2::from_shape_vec((parts.rows as usize, parts.k as usize), entries);
        Operand::new(&parts.params, parts.side, matrix.map_err(D::Error::custom)?)
            .map_err(D::Error::custom)
    }
}

/// A pair that is not checked yet.
#[derive(Deserialize)]
struct Pair {
    a: Operand,
    bt: Operand,
}

impl TryFrom<Pair> for Operands {
    type Error = OperandError;

    fn try_from(pair: Pair) -> Result<Operands, OperandError> {
        Operands::of(pair.a, pair.bt)
    }
}

impl<'de> Deserialize<'de> for Operands {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Operands, D::Error> {
        Pair::deserialize(from)?.try_into().map_err(D::Error::custom)
    }
}

/// Padded operands in their stored form. Reading then takes no more memory than
/// was written.
#[derive(Deserialize)]
struct RawPadded {
    operands: Operands,
    true_shape: (usize, usize, usize),
}

impl<'de> Deserialize<'de> for Padded {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Padded, D::Error> {
        let RawPadded { operands, true_shape } = RawPadded::deserialize(from)?;
        Padded::of(operands, true_shape)
            .ok_or_else(|| D::Error::custom("the true shape does not pad to this shape"))
    }
}

/// The parts of a split.
#[derive(Deserialize)]
struct RawSplit {
    parts: Vec<Padded>,
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Split, D::Error> {
        let RawSplit { parts } = RawSplit::deserialize(from)?;
        Split::of(parts).ok_or_else(|| D::Error::custom("splitting does not give these parts"))
    }
}
