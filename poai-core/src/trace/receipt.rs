//! Receipts: what a requester keeps of a run.

use super::error::{Fields, TraceDecodeError};
use crate::digest::{Job, ProgramId, Prover, ReceiptDigest, Root, RulesDigest, TraceRoot};
use alloc::vec::Vec;

/// A prover's claim that it ran a program for a job, in canonical bytes of one
/// length (spec §13). By itself it proves nothing. An audit, a fraud proof or a
/// proof of inference decides whether it is true, under the rules that it
/// names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receipt {
    /// The program. Does not bind the names of steps.
    pub program: ProgramId,
    /// The inputs' root, as in the trace. Binds batch, sequence and the inputs'
    /// padded bytes. Does not bind who provided them: the requester computes
    /// the root and compares.
    pub input: Root,
    /// The outputs' root, as in the trace. Does not show that the outputs are
    /// right.
    pub output: Root,
    /// The trace. Binds program, input, output and all values between. Does not
    /// bind the job or the prover.
    pub trace: TraceRoot,
    /// Multiply-accumulates of products with weights. Follows from the trace;
    /// does not show that they were done.
    pub macs_weights: u64,
    /// Multiply-accumulates of products of activations. Follows from the trace;
    /// does not show that they were done.
    pub macs_activations: u64,
    /// The requester's name for the job. The trace does not bind it. An audit
    /// does, because its samples follow from the receipt's digest.
    pub job: Job,
    /// The prover's name, such as a key's hash. The trace does not bind it; an
    /// audit does, as it binds the job. Only a signature over the receipt's
    /// digest shows that the prover agrees.
    pub prover: Prover,
    /// The rules under which the trace has to be verified.
    pub rules: RulesDigest,
}

impl Receipt {
    /// The length of a receipt's bytes.
    pub const LEN: usize = 4 + 4 * 32 + 2 * 8 + 3 * 32;

    /// The canonical bytes: the version, then the fields in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Receipt::LEN);
        bytes.extend(super::VERSION.to_le_bytes());
        for hash in [&self.program.0, &self.input.0, &self.output.0, &self.trace.0] {
            bytes.extend(hash);
        }
        bytes.extend(self.macs_weights.to_le_bytes());
        bytes.extend(self.macs_activations.to_le_bytes());
        for hash in [&self.job.0, &self.prover.0, &self.rules.0] {
            bytes.extend(hash);
        }
        bytes
    }

    /// Reads exactly [`Receipt::LEN`] bytes of this version. Every such string
    /// is a receipt.
    ///
    /// # Errors
    /// [`TraceDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Receipt, TraceDecodeError> {
        let mut fields = Fields::after_version(bytes, Receipt::LEN)?;
        Ok(Receipt {
            program: ProgramId(fields.next()),
            input: Root(fields.next()),
            output: Root(fields.next()),
            trace: TraceRoot(fields.next()),
            macs_weights: fields.u64(),
            macs_activations: fields.u64(),
            job: Job(fields.next()),
            prover: Prover(fields.next()),
            rules: RulesDigest(fields.next()),
        })
    }

    /// The receipt's digest: `H("receipt", bytes)`. The prover signs it and
    /// commits to it before it publishes the trace. An audit's samples are
    /// drawn with it.
    pub fn digest(&self) -> ReceiptDigest {
        ReceiptDigest(crate::digest::derive!("receipt", &self.to_bytes()))
    }
}
