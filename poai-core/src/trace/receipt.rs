//! What a requester keeps of a run.

use crate::digest::{ProgramId, Root, RulesDigest, TraceRoot};
use alloc::vec::Vec;

/// A claim that a prover ran a program, in canonical bytes of one length. By
/// itself it proves nothing: an audit, a fraud proof or a proof of inference
/// under the rules it names decides whether it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receipt {
    /// The program. Does not bind names of steps.
    pub program: ProgramId,
    /// The inputs' root, as in the trace: binds batch, sequence and the inputs'
    /// padded bytes. Does not bind who provided them: the requester computes it
    /// and compares.
    pub input: Root,
    /// The output's commitment. Does not say that it is right.
    pub output: Root,
    /// The trace. Binds program, input, output and all between; does not bind
    /// the job or the prover.
    pub trace: TraceRoot,
    /// Multiply-accumulates of products with weights. Follows from the trace;
    /// does not say that they were done.
    pub macs_weights: u64,
    /// Multiply-accumulates of products of activations. Likewise.
    pub macs_activations: u64,
    /// The requester's name for the job. Not bound by the trace.
    pub job: [u8; 32],
    /// The prover's name, like a key's hash. Not bound by the trace: a
    /// signature over the receipt's digest binds it.
    pub prover: [u8; 32],
    /// The rules under which the trace has to be verified.
    pub rules: RulesDigest,
}

impl Receipt {
    /// The length of a receipt's bytes.
    pub const LEN: usize = 4 * 32 + 2 * 8 + 3 * 32;

    /// The canonical bytes: the fields in order.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Receipt::LEN);
        for hash in [&self.program.0, &self.input.0, &self.output.0, &self.trace.0] {
            bytes.extend(hash);
        }
        bytes.extend(self.macs_weights.to_le_bytes());
        bytes.extend(self.macs_activations.to_le_bytes());
        for hash in [&self.job, &self.prover, &self.rules.0] {
            bytes.extend(hash);
        }
        bytes
    }

    /// Reads exactly [`Receipt::LEN`] bytes; `None` for another number. Every
    /// such string is a receipt's.
    pub fn decode(bytes: &[u8]) -> Option<Receipt> {
        let bytes: &[u8; Receipt::LEN] = bytes.try_into().ok()?;
        let hash = |at: usize| -> Option<[u8; 32]> { bytes.get(at..at + 32)?.try_into().ok() };
        let number = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        Some(Receipt {
            program: ProgramId(hash(0)?),
            input: Root(hash(32)?),
            output: Root(hash(64)?),
            trace: TraceRoot(hash(96)?),
            macs_weights: number(128)?,
            macs_activations: number(136)?,
            job: hash(144)?,
            prover: hash(176)?,
            rules: RulesDigest(hash(208)?),
        })
    }

    /// What a prover signs: `H("receipt", bytes)`.
    pub fn digest(&self) -> [u8; 32] {
        crate::digest::derive!("receipt", &self.encode())
    }
}
