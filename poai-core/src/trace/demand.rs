//! What a challenger may force a prover to open.

use super::error::{Fields, TraceDecodeError};
use crate::digest::TraceRoot;
use crate::program::ValueId;
use alloc::vec::Vec;

/// A demand that whoever posted a trace opens one tile of it, in canonical
/// bytes of one length (spec §14, forced opening): `u32 version ‖ trace_root ‖
/// u32 value ‖ u64 tile`.
///
/// For a step's value the tile is one of its grid. For an input, tile 0 (of the
/// first input alone) is the records of all inputs, and tile s + 1 its padded
/// rows 32s to 32s + 31. A demand does not say who makes it, and no lie is
/// implied: the tile may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Demand {
    /// The trace.
    pub trace: TraceRoot,
    /// The value whose tile is to be opened.
    pub value: ValueId,
    /// The tile.
    pub tile: u64,
}

impl Demand {
    /// The length of a demand's bytes.
    pub const LEN: usize = 4 + 32 + 4 + 8;

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Demand::LEN);
        bytes.extend(super::VERSION.to_le_bytes());
        bytes.extend(self.trace.0);
        bytes.extend(self.value.0.to_le_bytes());
        bytes.extend(self.tile.to_le_bytes());
        bytes
    }

    /// Reads exactly [`Demand::LEN`] bytes of this version. Every such string is
    /// a demand's; whether the run has such a tile, `Checker::demand` of
    /// poai-verify says.
    ///
    /// # Errors
    /// [`TraceDecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Demand, TraceDecodeError> {
        let mut fields = Fields::after_version(bytes, Demand::LEN)?;
        Ok(Demand {
            trace: TraceRoot(fields.next()),
            value: ValueId(fields.u32()),
            tile: fields.u64(),
        })
    }
}
