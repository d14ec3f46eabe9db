//! Trace headers: what a trace root binds besides the records.

use super::error::{Fields, TraceDecodeError};
use crate::digest::derive;
use crate::digest::{ProgramId, Root, TraceRoot};
use crate::program::{Program, RunShape};
use alloc::vec::Vec;

/// The header of a trace. Its root is `H("trace", u32 version ‖ program_id ‖
/// u32 batch ‖ u32 sequence ‖ input ‖ output ‖ u64 macs ‖ records)`, over
/// exactly these [`TraceHeader::LEN`] bytes (spec §13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceHeader {
    /// The program. Its id binds structure, numbers and constants.
    pub program: ProgramId,
    /// Items and tokens. Tokens are 1 if no form of the program is per token.
    pub run: RunShape,
    /// [`input_root`] of the run and the inputs' commitments. It does not show
    /// who owns the inputs, nor that they are available.
    pub input: Root,
    /// [`output_root`] of the outputs' commitments: of a program without a list
    /// of outputs, the commitment of the last value's padded bytes. It does not
    /// show that the outputs are right.
    pub output: Root,
    /// Multiply-accumulates of the whole run; follows from program and run.
    pub macs: u64,
    /// The root of the tree over all records.
    pub records: [u8; 32],
}

impl TraceHeader {
    /// The length of a header's bytes.
    pub const LEN: usize = 4 + 32 + 4 + 4 + 32 + 32 + 8 + 32;

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TraceHeader::LEN);
        bytes.extend(super::VERSION.to_le_bytes());
        bytes.extend(self.program.as_bytes());
        bytes.extend(self.run.batch.to_le_bytes());
        bytes.extend(self.run.sequence.to_le_bytes());
        bytes.extend(self.input.as_bytes());
        bytes.extend(self.output.as_bytes());
        bytes.extend(self.macs.to_le_bytes());
        bytes.extend(self.records);
        bytes
    }

    /// Reads exactly [`TraceHeader::LEN`] bytes of this version. Every such
    /// string is a header.
    ///
    /// # Errors
    /// [`TraceDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<TraceHeader, TraceDecodeError> {
        let mut fields = Fields::after_version(bytes, TraceHeader::LEN)?;
        Ok(TraceHeader {
            program: ProgramId(fields.next()),
            run: RunShape { batch: fields.u32(), sequence: fields.u32() },
            input: Root(fields.next()),
            output: Root(fields.next()),
            macs: fields.u64(),
            records: fields.next(),
        })
    }

    /// The header at the front of a message.
    pub(super) fn of_prefix(bytes: &[u8]) -> Result<TraceHeader, TraceDecodeError> {
        let (least, got) = (TraceHeader::LEN, bytes.len());
        // The version comes first: bytes of another version are unsupported,
        // whatever follows.
        let front = bytes.get(..least.min(got)).unwrap_or_default();
        TraceHeader::from_bytes(front).map_err(|why| match why {
            TraceDecodeError::Length { .. } => TraceDecodeError::Short { least, got },
            why => why,
        })
    }

    /// The trace root.
    pub fn root(&self) -> TraceRoot {
        TraceRoot(derive!("trace", &self.to_bytes()))
    }
}

/// The root of a run's inputs: `H("trace inputs", u32 batch ‖ u32 sequence ‖
/// roots of all inputs, in order)`. A requester computes it for the run that it
/// asks for and compares it with the trace's. The run binds the inputs' true
/// shapes, too: a root covers padded bytes, which are the same for fewer rows.
pub fn input_root(run: &RunShape, roots: &[Root]) -> Root {
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 trace inputs");
    hasher.update(&run.batch.to_le_bytes());
    hasher.update(&run.sequence.to_le_bytes());
    for root in roots {
        hasher.update(root.as_bytes());
    }
    Root(*hasher.finalize().as_bytes())
}

/// The root of a run's outputs, from the commitments of all outputs in order: the
/// only one, or `H("train outputs", roots)` if the program lists its outputs (spec
/// §13). `None` if there are not as many as [`Program::outputs`].
pub fn output_root(program: &Program, roots: &[Root]) -> Option<Root> {
    if roots.len() != program.outputs().len() {
        return None;
    }
    if !program.has_list() {
        return roots.first().copied();
    }
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 train outputs");
    for root in roots {
        hasher.update(root.as_bytes());
    }
    Some(Root(*hasher.finalize().as_bytes()))
}
