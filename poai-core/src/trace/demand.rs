//! Demands: which tile a challenger obliges a prover to open.

use super::error::{Fields, TraceDecodeError};
use crate::digest::ReceiptDigest;
use crate::program::{Program, ValueId};
use alloc::vec::Vec;

/// A demand that the prover of an admitted receipt opens one tile of its trace
/// (spec §14, forced opening). Its canonical bytes have one length: `u32
/// version ‖ receipt digest ‖ u32 value ‖ u64 tile`.
///
/// For a step's value the tile is one of its grid. For an input, tile s + 1 is
/// its padded rows 32s to 32s + 31. Tile 0 exists for the first input alone and
/// holds the records of all inputs. If the program lists its outputs, tile 0 of
/// [`Demand::of_outputs`] holds the records of all outputs.
///
/// A demand does not name the challenger, and it does not imply a lie: the tile
/// may be right. It names a receipt, because another prover's silence about the
/// same trace must not count against this prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Demand {
    /// [`super::Receipt::digest`] of the receipt whose prover answers.
    pub receipt: ReceiptDigest,
    /// The value whose tile is to be opened.
    pub value: ValueId,
    /// The tile.
    pub tile: u64,
}

impl Demand {
    /// The length of a demand's bytes.
    pub const LEN: usize = 4 + 32 + 4 + 8;

    /// The number that stands for the records of all outputs in demands and
    /// fraud proofs: the number of values, which is no value's own. `None` for a
    /// program without a list of outputs, whose last record shows its output.
    pub fn of_outputs(program: &Program) -> Option<ValueId> {
        // Exact: at most 2^16 + 4096 values.
        program.has_list().then(|| ValueId(program.values() as u32))
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Demand::LEN);
        bytes.extend(super::VERSION.to_le_bytes());
        bytes.extend(self.receipt.as_bytes());
        bytes.extend(self.value.0.to_le_bytes());
        bytes.extend(self.tile.to_le_bytes());
        bytes
    }

    /// Reads exactly [`Demand::LEN`] bytes of this version. Every such string
    /// is a demand. `Checker::demand` of poai-verify checks whether the run has
    /// the tile.
    ///
    /// # Errors
    /// [`TraceDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Demand, TraceDecodeError> {
        let mut fields = Fields::after_version(bytes, Demand::LEN)?;
        Ok(Demand {
            receipt: ReceiptDigest(fields.next()),
            value: ValueId(fields.u32()),
            tile: fields.u64(),
        })
    }
}
