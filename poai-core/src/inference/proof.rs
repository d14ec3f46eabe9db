//! A Groth16 proof: three points.

use super::points::{self, G1_LEN, G2_LEN, PointError};
use crate::encoding::bytes::through_bytes;
use ark_bn254::{G1Affine, G2Affine};

/// Why bytes or points are not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Groth16DecodeError {
    /// The bytes do not have a proof's length.
    #[error("expected {len} bytes of a proof, got {0}", len = Groth16Proof::LEN)]
    Length(usize),
    /// A point is invalid.
    #[error("point {point}: {source}")]
    Point {
        /// The point: 'A', 'B' or 'C'.
        point: char,
        /// The point's error.
        source: PointError,
    },
}

/// A Groth16 proof.
///
/// Its points are always of the right groups, and never at infinity. Only a verifier can decide
/// whether the proof holds.
///
/// Any party can turn a valid proof into another proof of the same statement. If something must
/// happen once, record it by statement and never by proof. A party that has the witness can also
/// make a proof for another binding (spec §16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Groth16Proof {
    pub(super) a: G1Affine,
    pub(super) b: G2Affine,
    pub(super) c: G1Affine,
}

through_bytes!(Groth16Proof);

impl Groth16Proof {
    /// The length of a proof's bytes.
    pub const LEN: usize = 2 * G1_LEN + G2_LEN;

    /// The canonical bytes: A, B and C, compressed.
    pub fn to_bytes(&self) -> [u8; Groth16Proof::LEN] {
        let mut bytes = [0; Groth16Proof::LEN];
        let (a, rest) = bytes.split_at_mut(G1_LEN);
        let (b, c) = rest.split_at_mut(G2_LEN);
        a.copy_from_slice(&points::encode::<_, G1_LEN>(&self.a));
        b.copy_from_slice(&points::encode::<_, G2_LEN>(&self.b));
        c.copy_from_slice(&points::encode::<_, G1_LEN>(&self.c));
        bytes
    }

    /// Reads the canonical bytes, which `to_bytes` reproduces exactly.
    ///
    /// # Errors
    /// [`Groth16DecodeError`] for bytes that are not a proof.
    pub fn from_bytes(bytes: &[u8]) -> Result<Groth16Proof, Groth16DecodeError> {
        let length = Groth16DecodeError::Length(bytes.len());
        let (a, rest) = bytes.split_first_chunk().ok_or(length)?;
        let (b, rest) = rest.split_first_chunk().ok_or(length)?;
        let c: &[u8; G1_LEN] = rest.try_into().map_err(|_| length)?;
        Ok(Groth16Proof {
            a: points::decode::<_, G1_LEN>(a).map_err(at('A'))?,
            b: points::decode::<_, G2_LEN>(b).map_err(at('B'))?,
            c: points::decode(c).map_err(at('C'))?,
        })
    }

    /// The proof as 32-byte words, in the EVM's format: A's x and y, then B's x
    /// and y with the imaginary part first, then C's x and y.
    pub fn words(&self) -> [[u8; 32]; 8] {
        let ([ax, ay], [cx, cy]) = (points::g1_words(&self.a), points::g1_words(&self.c));
        let [bx1, bx0, by1, by0] = points::g2_words(&self.b);
        [ax, ay, bx1, bx0, by1, by0, cx, cy]
    }

    /// Reads the words of the EVM's format.
    ///
    /// # Errors
    /// [`Groth16DecodeError::Point`].
    pub fn of_words(words: &[[u8; 32]; 8]) -> Result<Groth16Proof, Groth16DecodeError> {
        let [ax, ay, bx1, bx0, by1, by0, cx, cy] = *words;
        Ok(Groth16Proof {
            a: points::g1_of_words(&[ax, ay]).map_err(at('A'))?,
            b: points::g2_of_words(&[bx1, bx0, by1, by0]).map_err(at('B'))?,
            c: points::g1_of_words(&[cx, cy]).map_err(at('C'))?,
        })
    }
}

pub(super) fn at(point: char) -> impl Fn(PointError) -> Groth16DecodeError {
    move |source| Groth16DecodeError::Point { point, source }
}
