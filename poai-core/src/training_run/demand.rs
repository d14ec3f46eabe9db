//! Demands: what of a segment a challenger obliges a prover to open.

use super::error::{Fields, TrainingDecodeError};
use crate::digest::SegmentRoot;
use crate::program::ValueId;
use alloc::vec::Vec;

/// What a demand asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Demanded {
    /// The iteration's claim, its header and all records.
    Records,
    /// A tile of a value of the iteration's trace, as in a [`crate::trace::Demand`].
    Tile {
        /// The value.
        value: ValueId,
        /// The tile.
        tile: u64,
    },
}

/// A demand that the prover of a segment opens a part of an iteration (spec §19). Its
/// canonical bytes are `u32 version ‖ segment ‖ u64 place ‖ u8 kind ‖ u32 value ‖ u64
/// tile`; value and tile are 0 in a demand of records.
///
/// If no answer comes before the deadline, the segment fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrainingDemand {
    /// The segment whose prover answers.
    pub segment: SegmentRoot,
    /// The iteration's place in the segment, from 0.
    pub place: u64,
    /// What is to be opened.
    pub what: Demanded,
}

impl TrainingDemand {
    /// The length of a demand's bytes.
    pub const LEN: usize = 4 + 32 + 8 + 1 + 4 + 8;

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, value, tile) = match self.what {
            Demanded::Records => (0, 0, 0),
            Demanded::Tile { value, tile } => (1, value.0, tile),
        };
        let mut bytes = Vec::with_capacity(TrainingDemand::LEN);
        bytes.extend(super::TRAINING_VERSION.to_le_bytes());
        bytes.extend(self.segment.as_bytes());
        bytes.extend(self.place.to_le_bytes());
        bytes.push(kind);
        bytes.extend(value.to_le_bytes());
        bytes.extend(tile.to_le_bytes());
        bytes
    }

    /// Reads exactly [`TrainingDemand::LEN`] bytes of this version.
    ///
    /// # Errors
    /// [`TrainingDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<TrainingDemand, TrainingDecodeError> {
        let mut fields = Fields::after_version(bytes, TrainingDemand::LEN)?;
        let (segment, place) = (SegmentRoot(fields.next()), fields.u64());
        let (kind, value, tile) = (fields.u8(), fields.u32(), fields.u64());
        let what = match kind {
            0 if value != 0 || tile != 0 => return Err(TrainingDecodeError::Place),
            0 => Demanded::Records,
            1 => Demanded::Tile { value: ValueId(value), tile },
            other => return Err(TrainingDecodeError::Demanded(other)),
        };
        Ok(TrainingDemand { segment, place, what })
    }
}
