//! Exports: programs whose constants a training run made.

use super::error::{Fields, TrainingDecodeError};
use crate::digest::{ExportRoot, ProgramId, RunRoot, TraceRoot, derive};
use alloc::vec::Vec;

/// The claim that a training run made a program's constants (spec §19). Its
/// canonical bytes are `u32 version ‖ run ‖ trace ‖ program`.
///
/// The trace is of another program, which makes the constants of the last state: its
/// inputs are states of the run, and its outputs constants of `program`. A receipt
/// and an audit of §14 show that this trace is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Export {
    /// The training run.
    pub run: RunRoot,
    /// The trace that makes constants of the last state.
    pub trace: TraceRoot,
    /// The program whose constants it makes.
    pub program: ProgramId,
}

impl Export {
    /// The length of an export's bytes.
    pub const LEN: usize = 4 + 3 * 32;

    /// The export's identifier: `H("train export", run ‖ trace ‖ program)`.
    pub fn root(&self) -> ExportRoot {
        let Export { run, trace, program } = self;
        let (trace, program) = (trace.as_bytes(), program.as_bytes());
        ExportRoot(derive!("train export", run.as_bytes(), trace, program))
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Export::LEN);
        bytes.extend(super::TRAINING_VERSION.to_le_bytes());
        for hash in [&self.run.0, &self.trace.0, &self.program.0] {
            bytes.extend(hash);
        }
        bytes
    }

    /// Reads exactly [`Export::LEN`] bytes of this version. Every such string is an
    /// export.
    ///
    /// # Errors
    /// [`TrainingDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Export, TrainingDecodeError> {
        let mut fields = Fields::after_version(bytes, Export::LEN)?;
        Ok(Export {
            run: RunRoot(fields.next()),
            trace: TraceRoot(fields.next()),
            program: ProgramId(fields.next()),
        })
    }
}
