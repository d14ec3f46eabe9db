//! 32-byte values, one type per role, so that a root can never be passed where
//! a seed is meant.
//!
//! All print as 64 lower-case hexadecimal digits and parse from the same.

use crate::encoding::bytes::bytes;

/// `H(label, message)` of spec §2: BLAKE3 in derive-key mode with context
/// `"poai-1 " + label`. A macro, because the context has to be a constant.
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
    /// The hash of everything in a block header except the proof, nonce
    /// included (spec §3). It binds neither the proof nor the operands: the
    /// seeds do.
    Challenge
}
digest! {
    /// Plain BLAKE3 of an operand's bytes (spec §3), the value that `b3sum`
    /// prints. It does not bind the operand's number of rows or columns: the
    /// seeds do.
    Root
}
digest! {
    /// A seed of one side's noise (spec §3).
    Seed
}
digest! {
    /// One lottery ticket (spec §5), ordered as a big-endian number.
    Ticket
}
digest! {
    /// Names the rules under which a proof was verified, so that a receipt can
    /// say what has to verify it.
    RulesDigest
}
digest! {
    /// Names a program's structure and shapes (spec §11). It binds neither the
    /// quantisation's numbers nor any constant.
    ArchitectureId
}
digest! {
    /// Names a program: its architecture, its numbers and its constants by
    /// (root, rows, columns, type) (spec §11). It does not bind names.
    ProgramId
}
digest! {
    /// The root over all records of one run (spec §13). It binds the program,
    /// the run's shape, inputs, every step's output, the output and the MACs.
    /// It does not say that any of them is right: audits do.
    TraceRoot
}
