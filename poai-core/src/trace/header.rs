//! Trace headers: what a trace root binds besides the records.

use super::error::{Fields, TraceDecodeError};
use crate::digest::derive;
use crate::digest::{ProgramId, Root, TraceRoot};
use crate::program::{Program, RunShape};
use alloc::vec::Vec;

/// The header of a trace. Its root is `H("trace", u32 version ‖ program_id ‖
/// u32 batch ‖ u32 sequence ‖ input ‖ output ‖ u64 macs ‖ records)`, over
/// exactly these [`TraceHeader::LEN`] bytes (spec §13).
///
/// In a run with answers, `u32 answers` follows the sequence, the version has
/// [`ANSWERS_FLAG`] added, and the label is `trace answers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceHeader {
    /// The program. Its id binds structure, numbers and constants.
    pub program: ProgramId,
    /// Items, tokens and answers. Tokens are 1 if no form of the program is per
    /// token, and answers 0 if none is per answer.
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

/// What the version of a header has added in a run with answers.
pub const ANSWERS_FLAG: u32 = 1 << 31;

impl TraceHeader {
    /// The length of the bytes of the header of a run without answers.
    pub const LEN: usize = 4 + 32 + 4 + 4 + 32 + 32 + 8 + 32;

    /// The length of the bytes of the header of a run.
    pub const fn len_in(run: &RunShape) -> usize {
        TraceHeader::LEN + if run.answers > 0 { 4 } else { 0 }
    }

    /// The length of the header that a message's first bytes announce.
    ///
    /// It is [`TraceHeader::LEN`] for bytes that announce none.
    pub fn len_at(front: &[u8]) -> usize {
        const WITH_ANSWERS: [u8; 4] = (super::VERSION | ANSWERS_FLAG).to_le_bytes();
        TraceHeader::LEN + if front.starts_with(&WITH_ANSWERS) { 4 } else { 0 }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let answers = self.run.answers;
        let mut bytes = Vec::with_capacity(TraceHeader::len_in(&self.run));
        let flag = if answers > 0 { ANSWERS_FLAG } else { 0 };
        bytes.extend((super::VERSION | flag).to_le_bytes());
        bytes.extend(self.program.as_bytes());
        bytes.extend(self.run.batch.to_le_bytes());
        bytes.extend(self.run.sequence.to_le_bytes());
        if answers > 0 {
            bytes.extend(answers.to_le_bytes());
        }
        bytes.extend(self.input.as_bytes());
        bytes.extend(self.output.as_bytes());
        bytes.extend(self.macs.to_le_bytes());
        bytes.extend(self.records);
        bytes
    }

    /// Reads exactly [`TraceHeader::len_at`] bytes of this version. Every such
    /// string is a header, except one with 0 answers, which has a shorter form.
    ///
    /// # Errors
    /// [`TraceDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<TraceHeader, TraceDecodeError> {
        let len = TraceHeader::len_at(bytes);
        let has_answers = len > TraceHeader::LEN;
        let version = super::VERSION | if has_answers { ANSWERS_FLAG } else { 0 };
        let mut fields = Fields::after(version, bytes, len)?;
        let program = ProgramId(fields.next());
        let mut run = RunShape::new(fields.u32(), fields.u32());
        if has_answers {
            run.answers = fields.u32();
            if run.answers == 0 {
                return Err(TraceDecodeError::Answers);
            }
        }
        Ok(TraceHeader {
            program,
            run,
            input: Root(fields.next()),
            output: Root(fields.next()),
            macs: fields.u64(),
            records: fields.next(),
        })
    }

    /// The header at the front of a message.
    pub(super) fn of_prefix(bytes: &[u8]) -> Result<TraceHeader, TraceDecodeError> {
        let (least, got) = (TraceHeader::len_at(bytes), bytes.len());
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
        let bytes = self.to_bytes();
        TraceRoot(match self.run.answers {
            0 => derive!("trace", &bytes),
            _ => derive!("trace answers", &bytes),
        })
    }
}

/// The root of a run's inputs: `H("trace inputs", u32 batch ‖ u32 sequence ‖
/// roots of all inputs, in order)`, or with answers `H("trace answers inputs",
/// u32 batch ‖ u32 sequence ‖ u32 answers ‖ roots)`. A requester computes it for the run that it
/// asks for and compares it with the trace's. The run binds the inputs' true
/// shapes, too: a root covers padded bytes, which are the same for fewer rows.
pub fn input_root(run: &RunShape, roots: &[Root]) -> Root {
    let mut hasher = blake3::Hasher::new_derive_key(match run.answers {
        0 => "poai-1 trace inputs",
        _ => "poai-1 trace answers inputs",
    });
    hasher.update(&run.batch.to_le_bytes());
    hasher.update(&run.sequence.to_le_bytes());
    if run.answers > 0 {
        hasher.update(&run.answers.to_le_bytes());
    }
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
