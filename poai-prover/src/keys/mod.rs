//! Keys in files that say what they are for.
//!
//! A file is a [`KeyHeader`] of fixed length, then points as in a `.zkey` (the
//! verifying key's α, β, γ, δ and one for each of the one and the signals; in a
//! proving key's file then β and δ of G1, and the points of A, of B, of B in G2,
//! of the quotient and of the witnesses), then BLAKE3 of all before it.
//!
//! Files are written beside their place and moved there, whole or not at all.
//! They are read from front to back, a few megabytes at a time, so that memory
//! holds little more than the key.
//!
//! A header says what the key is for ([`KeyPurpose`]: program or architecture,
//! visibility, run), and by its word who made it ([`KeyOrigin`]).
//!
//! # What a file's hash is worth
//! It shows damage, not malice: whoever can write a file can hash it. A reader
//! checks that every point is on its curve, which for G1 is all there is to
//! check, and that the verifying key's points of G2 are in their group. It does
//! not check that of each of the proving key's: hashing shows that they are
//! what was written, and what is written was made here or passed the checks of
//! [`super::iden3::zkey`]. A proving key from others could be wrong in ways
//! that no check of single points shows, and make proofs say more about
//! witnesses than it should. So take proving keys' files from yourself only,
//! and others' as `.zkey` files, which `snarkjs zkey verify` verifies.

mod file;
mod header;

pub use file::{
    read_header, read_proving_key, read_verifying_key, write_proving_key, write_verifying_key,
};
pub use header::{KeyField, KeyHeader, KeyIdentity, KeyKind, KeyOrigin, KeyOwner, KeyPurpose};

use super::matrices::MatricesError;
use poai_core::inference::PointError;
use std::path::PathBuf;

/// Why a key was not written or read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub why: KeyProblem,
}

/// What is wrong with a key or its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// The system says so.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The matrices are no system that can have a key.
    #[error(transparent)]
    Matrices(#[from] MatricesError),
    /// The verifying key is none of proofs of inference.
    #[error(transparent)]
    VerifyingKey(#[from] poai_core::inference::VerifyingKeyError),
    /// The file is no key.
    #[error("it is no key file")]
    NotAKey,
    /// The file is of another version of the format.
    #[error(
        "expected a key file of version {expected}, got version {got}; make the key again, or \
         take it from the ceremony's .zkey file"
    )]
    Version {
        /// The version that is read.
        expected: u16,
        /// The file's.
        got: u16,
    },
    /// The header holds a value that this version does not know.
    #[error("its header's {field} is {got}, which is unknown here")]
    Unknown {
        /// Which field.
        field: KeyField,
        /// Its value.
        got: u64,
    },
    /// The key is for something else.
    #[error("a key for something else: expected {field} {expected}, got {got}; take another key")]
    Differs {
        /// Which field of the header.
        field: KeyField,
        /// What was wanted.
        expected: String,
        /// What the file says.
        got: String,
    },
    /// The file is cut off, or has more bytes than its header implies.
    #[error("it has {got} bytes, and its header implies {expected}")]
    Length {
        /// By the header.
        expected: u64,
        /// The file's.
        got: u64,
    },
    /// A point is none.
    #[error("point {index} of {part}: {why}")]
    Point {
        /// Which part of the key.
        part: &'static str,
        /// Which of its points.
        index: usize,
        /// What is wrong.
        why: PointError,
    },
    /// The key to be written is not one of this identity: a part has another
    /// number of points.
    #[error("the key has {got} points of {part}, not {expected}")]
    Points {
        /// Which part of the key.
        part: &'static str,
        /// By the identity.
        expected: u64,
        /// The key's.
        got: u64,
    },
    /// The bytes are not what was written.
    #[error("it is damaged: its hash is another one")]
    Damaged,
}
