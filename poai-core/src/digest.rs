//! 32-byte values, one type per role.
//!
//! The types prevent a caller from passing a root in place of a seed. All print
//! as 64 lower-case hexadecimal digits and parse from the same.

use crate::encoding::bytes::bytes;

/// `H(label, message)` of spec §2: BLAKE3 in derive-key mode with context
/// `"poai-1 " + label`.
///
/// It is a macro because the context has to be a constant.
macro_rules! derive {
    ($label:literal, $($part:expr),+ $(,)?) => {{
        let mut hasher = blake3::Hasher::new_derive_key(concat!("poai-1 ", $label));
        $(hasher.update($part);)+
        *hasher.finalize().as_bytes()
    }};
}
pub(crate) use derive;

/// A 32-byte value without a prefix.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        bytes!($(#[$doc])* $name, 32, "");
    };
}

digest! {
    /// The hash of a block header without the proof, nonce included (spec §3).
    ///
    /// It binds neither the proof nor the operands. The seeds bind them.
    Challenge
}
digest! {
    /// Plain BLAKE3 of an operand's bytes (spec §3), the value that `b3sum`
    /// prints.
    ///
    /// It does not bind the operand's number of rows or columns. The seeds bind
    /// them.
    Root
}
digest! {
    /// A seed of one side's noise (spec §3).
    Seed
}
digest! {
    /// A lottery ticket (spec §5), ordered as a big-endian number.
    Ticket
}
digest! {
    /// The identifier of the rules under which a proof was verified.
    ///
    /// A receipt carries it to state which rules have to verify it.
    RulesDigest
}
digest! {
    /// The identifier of a program's structure and shapes (spec §11).
    ///
    /// It binds neither the quantisation's numbers nor any constant.
    ArchitectureId
}
digest! {
    /// The identifier of a program (spec §11).
    ///
    /// It binds the architecture, the numbers, and the constants by (root,
    /// rows, columns, type). It does not bind names.
    ProgramId
}
digest! {
    /// The root over all records of one run (spec §13).
    ///
    /// It binds the program, the run's shape, the inputs, every step's output,
    /// the output and the MACs. It does not show that any of them is right.
    /// Audits show that.
    TraceRoot
}
digest! {
    /// The requester's name for a job, in receipts and in inference proofs.
    ///
    /// The requester chooses it. A payer that pays for a job once never uses
    /// the same name again.
    Job
}
digest! {
    /// The prover that a receipt pays.
    ///
    /// The chain chooses the form, such as a public key. An address of the EVM
    /// has 12 zero bytes before it (`inference::Address`).
    Prover
}
digest! {
    /// The random value that selects the tiles of an audit (spec §14).
    ///
    /// It must be unpredictable until the receipt is admitted. It comes from
    /// the chain, never from the prover.
    Beacon
}
digest! {
    /// The digest of a receipt (spec §14), by which audits and demands name it.
    ReceiptDigest
}

digest! {
    /// The identifier of a training dataset (spec §19).
    ///
    /// It binds the number of samples and the commitments of the tensors that
    /// have them. It does not show that anyone holds them.
    DatasetRoot
}
digest! {
    /// The seed of a training run: it fixes the order of the data and the random
    /// bytes of stochastic steps (spec §19).
    ///
    /// It derives from the job and a beacon, so no prover chooses it.
    TrainingSeed
}
digest! {
    /// The root over the commitments of all states before or after an iteration
    /// (spec §19).
    StateRoot
}
digest! {
    /// The leaf of an iteration in the chain of its segment or run (spec §19).
    IterationLeaf
}
digest! {
    /// The root of the tree over the leaves of consecutive iterations (spec §19).
    ChainRoot
}
digest! {
    /// The identifier of a segment of a training run (spec §19).
    ///
    /// It binds the run's parameters and all segments before. A prover posts it
    /// before its beacon is known.
    SegmentRoot
}
digest! {
    /// The identifier of a whole training run (spec §19).
    ///
    /// It binds the program, job, dataset, seed, shape, first and last state, and
    /// every iteration. It does not show that any of them is right.
    RunRoot
}
digest! {
    /// The identifier of an export: a program whose constants a training run made
    /// (spec §19).
    ExportRoot
}
digest! {
    /// The digest of a receipt of training (spec §19), which the prover signs.
    TrainingReceiptDigest
}
