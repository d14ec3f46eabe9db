//! The canonical bytes of a proof (spec §7).
//!
//! They are `u32 m, n, k ‖ root_a ‖ root_b ‖ u32 I, J ‖ T ‖ bytes_A ‖
//! siblings_A ‖ bytes_B ‖ siblings_B`. There are no length prefixes, because
//! the header implies every length.

use super::{ProofView, strip};
use crate::digest::Root;
use crate::params::Params;
use crate::puzzle::commitment::{OpeningView, Strip};
use crate::puzzle::statement::{Shape, ShapeError, Side, Statement, Tile};
use crate::puzzle::transcript::{self, Transcript};
use alloc::vec::Vec;

/// The number of bytes before the openings.
pub const HEADER_LEN: usize = 3 * 4 + 2 * 32 + 2 * 4 + transcript::BYTES;

/// Why bytes are not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are too few bytes for a header.
    #[error("expected a proof of at least {HEADER_LEN} bytes, got {got}")]
    Header {
        /// The number of bytes that the caller passed.
        got: u64,
    },
    /// The shape is impossible under the verifier's parameters.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The tile lies outside the product.
    #[error("tile index {index} of side {side}: expected an index below {count}")]
    Tile {
        /// A for the row I, or B for the column J.
        side: Side,
        /// The index.
        index: u32,
        /// The number of tiles of the product in that direction.
        count: u32,
    },
    /// The total length is not the length that the header implies.
    #[error("expected a proof of {expected} bytes, got {got}")]
    Length {
        /// The number of bytes that m, n, k, I and J imply.
        expected: u64,
        /// The number of bytes that the caller passed.
        got: u64,
    },
}

/// The part of a proof before the openings.
///
/// [`ProofHeader::from_bytes`] checks that its shape is permitted and that the tile
/// lies in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProofHeader {
    /// The product.
    pub statement: Statement,
    /// The tile.
    pub tile: Tile,
    /// The claimed transcript.
    pub transcript: Transcript,
}

impl ProofHeader {
    /// Reads the header, and returns it with the bytes of the openings.
    ///
    /// # Errors
    /// [`DecodeError::Header`], [`DecodeError::Shape`] or
    /// [`DecodeError::Tile`].
    pub fn from_bytes<'a>(
        params: &Params,
        bytes: &'a [u8],
    ) -> Result<(ProofHeader, &'a [u8]), DecodeError> {
        let mut reader = Reader(bytes);
        let header = reader.header().ok_or(DecodeError::Header { got: bytes.len() as u64 })?;
        header.check(params)?;
        Ok((header, reader.0))
    }

    /// Checks the shape, then the tile.
    fn check(&self, params: &Params) -> Result<(), DecodeError> {
        self.statement.shape.check(params)?;
        let (rows, columns) = self.statement.shape.tiles(params);
        for (side, count) in [(Side::A, rows), (Side::B, columns)] {
            let index = self.tile.strip(side);
            if index >= count {
                return Err(DecodeError::Tile { side, index, count });
            }
        }
        Ok(())
    }

    /// The places of the two strips.
    fn strips(&self, params: &Params) -> Option<[Strip; 2]> {
        let shape = &self.statement.shape;
        let a = strip(params, shape, self.tile, Side::A)?;
        let b = strip(params, shape, self.tile, Side::B)?;
        Some([a, b])
    }

    /// The length of the whole proof, or `None` if `from_bytes` would refuse the
    /// header.
    pub fn proof_len(&self, params: &Params) -> Option<u64> {
        let strips = self.strips(params)?;
        Some(HEADER_LEN as u64 + strips.iter().map(opening_len).sum::<u64>())
    }

    fn write(&self, to: &mut Vec<u8>) {
        let Statement { shape, root_a, root_b } = &self.statement;
        for dimension in [shape.m, shape.n, shape.k] {
            to.extend_from_slice(&dimension.to_le_bytes());
        }
        to.extend_from_slice(&root_a.0);
        to.extend_from_slice(&root_b.0);
        to.extend_from_slice(&self.tile.row.to_le_bytes());
        to.extend_from_slice(&self.tile.column.to_le_bytes());
        to.extend_from_slice(&self.transcript.to_bytes());
    }
}

/// The encoded length of a strip's opening, which is far below 2^63.
fn opening_len(strip: &Strip) -> u64 {
    strip.opened_len() + 32 * u64::from(strip.siblings())
}

impl<'a> ProofView<'a> {
    /// Reads the canonical bytes without copying or allocating.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a proof. The verifier checks the
    /// range of the entries and everything that needs hashing.
    pub fn from_bytes(params: &Params, bytes: &'a [u8]) -> Result<ProofView<'a>, DecodeError> {
        let (header, openings) = ProofHeader::from_bytes(params, bytes)?;
        let got = bytes.len() as u64;
        // `ProofHeader::from_bytes` has checked shape and tile, so the strips
        // exist.
        let expected = header.proof_len(params).unwrap_or(0);
        if expected != got {
            return Err(DecodeError::Length { expected, got });
        }
        let mut reader = Reader(openings);
        let [a, b] = header.strips(params).ok_or(DecodeError::Length { expected, got })?;
        let openings = reader.opening(&a).zip(reader.opening(&b));
        let (opening_a, opening_b) = openings.ok_or(DecodeError::Length { expected, got })?;
        Ok(ProofView {
            statement: header.statement,
            tile: header.tile,
            transcript: header.transcript,
            opening_a,
            opening_b,
        })
    }

    /// The header of this proof.
    pub fn header(&self) -> ProofHeader {
        ProofHeader { statement: self.statement, tile: self.tile, transcript: self.transcript }
    }

    /// The bytes of the proof, as [`super::Proof::to_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.header().write(&mut bytes);
        for opening in [&self.opening_a, &self.opening_b] {
            bytes.extend_from_slice(opening.bytes);
            bytes.extend_from_slice(opening.siblings.as_flattened());
        }
        bytes
    }
}

/// A reader that takes fields from the front of a byte string.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn header(&mut self) -> Option<ProofHeader> {
        let shape = Shape { m: self.u32()?, n: self.u32()?, k: self.u32()? };
        let statement =
            Statement { shape, root_a: Root(self.array()?), root_b: Root(self.array()?) };
        let tile = Tile { row: self.u32()?, column: self.u32()? };
        let transcript = Transcript::from_bytes(&self.array()?);
        Some(ProofHeader { statement, tile, transcript })
    }

    fn opening(&mut self, strip: &Strip) -> Option<OpeningView<'a>> {
        let bytes = self.take(strip.opened_len())?;
        let siblings = self.take(32 * u64::from(strip.siblings()))?;
        Some(OpeningView { bytes, siblings: siblings.as_chunks().0 })
    }
}
