//! Operands in serde: checked again when they are read, as if they were made
//! anew.

use super::pad::Padded;
use super::split::Split;
use super::{Operand, OperandError, Operands};
use crate::params::Params;
use crate::statement::Side;
use ndarray::{Array2, ArrayView2};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An operand's parts; the entries row-major, as bytes.
#[derive(Serialize, Deserialize)]
struct Parts {
    params: Params,
    side: Side,
    rows: u32,
    k: u32,
    #[serde(with = "crate::proof::hex_or_bytes")]
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

/// A pair before it is checked.
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

/// Unpadded matrices: what padding and splitting start from.
#[derive(Serialize, Deserialize)]
struct Unpadded {
    params: Params,
    m: usize,
    n: usize,
    k: usize,
    #[serde(with = "crate::proof::hex_or_bytes")]
    a: Vec<u8>,
    #[serde(with = "crate::proof::hex_or_bytes")]
    bt: Vec<u8>,
}

impl Unpadded {
    fn matrices<E: Error>(self) -> Result<(Params, Array2<i8>, Array2<i8>), E> {
        let matrix = |bytes: Vec<u8>, rows| {
            let entries = bytes.into_iter().map(|byte| byte as i8).collect();
            Array2::from_shape_vec((rows, self.k), entries).map_err(E::custom)
        };
        Ok((self.params, matrix(self.a, self.m)?, matrix(self.bt, self.n)?))
    }
}

/// The first `rows` rows of some parts' matrices, side by side.
fn unpadded<E: serde::ser::Error>(parts: &[Padded]) -> Result<Unpadded, E> {
    let first = parts.first().ok_or_else(|| E::custom("no operands"))?;
    let (m, n, _) = first.true_shape();
    let side = |rows: usize, of: fn(&Operands) -> ArrayView2<'_, i8>| -> Vec<u8> {
        let entries = |row: usize| {
            parts.iter().flat_map(move |part| {
                let k = part.true_shape().2;
                of(part.operands())
                    .row(row)
                    .iter()
                    .take(k)
                    .map(|&entry| entry as u8)
                    .collect::<Vec<_>>()
            })
        };
        (0..rows).flat_map(entries).collect()
    };
    Ok(Unpadded {
        params: *first.operands().a().params(),
        m,
        n,
        k: parts.iter().map(|part| part.true_shape().2).sum(),
        a: side(m, |operands| operands.a().entries()),
        bt: side(n, |operands| operands.bt().entries()),
    })
}

impl Serialize for Padded {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        unpadded::<S::Error>(core::slice::from_ref(self))?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Padded {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Padded, D::Error> {
        let (params, a, bt) = Unpadded::deserialize(from)?.matrices()?;
        Padded::new(&params, a, bt).map_err(D::Error::custom)
    }
}

impl Serialize for Split {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        unpadded::<S::Error>(self.parts())?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Split, D::Error> {
        let (params, a, bt) = Unpadded::deserialize(from)?.matrices()?;
        Split::new(&params, a, bt).map_err(D::Error::custom)
    }
}
