//! Keys of circuits, and files that state what a key is for.
//!
//! [`Circuit`](crate::Circuit) makes and reads a [`ProvingKey`]. The functions of this module read
//! what a verifier needs.
//!
//! # Key files
//!
//! A file is a [`KeyHeader`] of fixed length, then points as in a `.zkey`, then BLAKE3 of
//! everything before it. The points are the verifying key's α, β, γ and δ, and one for each of the
//! one and the signals. A proving key's file continues with β and δ of G1. After them are the
//! points of A, of B, of B in G2, of the quotient and of the witnesses.
//!
//! A file is written next to its place and then moved there, so that it is written whole or not at
//! all. It is read from front to back, a few megabytes at a time, so that memory holds little more
//! than the key.
//!
//! A header states what the key is for ([`KeyPurpose`]: program or architecture, visibility, run).
//! It also claims who made the key ([`KeyOrigin`]).
//!
//! # What a file's hash shows
//! The hash shows damage, not malice: a party that can write a file can also hash it.
//!
//! A reader checks that every point is on its curve, which is the whole check for G1. It also
//! checks that the verifying key's points of G2 are in their group. It does not check the group of
//! each of the proving key's points of G2. Their hash shows that they are what was written, and
//! what is written was made here or passed the checks of a ceremony's file.
//!
//! A proving key from another party could be wrong in ways that no check of single points shows.
//! Its proofs could then reveal more about witnesses than they should. So use only proving key
//! files that you wrote yourself. Take the keys of other parties as `.zkey` files, which
//! `snarkjs zkey verify` verifies.

pub(crate) mod file;
pub(crate) mod header;
mod proving;

pub use file::{read_header, read_verifying_key};
pub use header::{KeyField, KeyHeader, KeyIdentity, KeyKind, KeyOrigin, KeyOwner, KeyPurpose};
pub use proving::ProvingKey;

pub use super::iden3::ContainerError;
pub use super::iden3::zkey::ZkeyError;
pub use super::matrices::{ConstraintDigest, MatricesError};

use super::defect::Defect;
use super::estimate::MemoryError;
use super::random::RandomError;
use poai_core::Cancelled;
use poai_core::inference::{PointError, VerifyingKeyError};
use poai_engine::execute::RunError;
use std::path::PathBuf;

/// Why a key was not made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key file was not read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyProblem,
    },
    /// A ceremony's file was not read.
    #[error("{}: {source}", path.display())]
    Ceremony {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ZkeyError,
    },
    /// The key has another size than the circuit, so it is for another circuit.
    #[error("expected a key for {expected} {what}, got one for {got}; take the circuit's own key")]
    Size {
        /// What was counted.
        what: &'static str,
        /// The circuit's number.
        expected: usize,
        /// The key's number.
        got: usize,
    },
    /// The circuit's rows are not a system that can have a key.
    #[error(transparent)]
    Matrices(#[from] MatricesError),
    /// The key's points are not a valid verifying key.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyingKeyError),
    /// A setup, or a proof with the key, would take more memory than is
    /// available.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The network cannot be executed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The caller cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A defect of the library.
    #[error(transparent)]
    Defect(#[from] Defect),
}

/// The problem with a key or its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// The operating system reported an error.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The matrices are not a system that can have a key.
    #[error(transparent)]
    Matrices(#[from] MatricesError),
    /// The verifying key is not valid for inference proofs.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyingKeyError),
    /// The file is not a key file.
    #[error("expected a key file, got another file; check the path")]
    NotAKey,
    /// The file is of another version of the format.
    #[error(
        "expected a key file of version {expected}, got version {got}; make the key again, or \
         take it from the ceremony's .zkey file"
    )]
    Version {
        /// The version that this library reads.
        expected: u16,
        /// The file's version.
        got: u16,
    },
    /// The header has a value that this version does not know.
    #[error("expected a known {field} in its header, got {got}; update this program")]
    Unknown {
        /// The field of the header.
        field: KeyField,
        /// The field's value.
        got: u64,
    },
    /// The key is for something else.
    #[error("a key for something else: expected {field} {expected}, got {got}; take another key")]
    Differs {
        /// The field of the header.
        field: KeyField,
        /// The value that the caller expects.
        expected: String,
        /// The value in the file.
        got: String,
    },
    /// The file is truncated, or has more bytes than its header implies.
    #[error("expected {expected} bytes as its header implies, got {got}; copy the file again")]
    Length {
        /// Number of bytes that the header implies.
        expected: u64,
        /// Number of bytes of the file.
        got: u64,
    },
    /// A point is invalid.
    #[error("point {index} of {part}: {why}")]
    Point {
        /// The part of the key.
        part: &'static str,
        /// Index of the point in that part.
        index: usize,
        /// What is wrong.
        #[source]
        why: PointError,
    },
    /// The key to write does not match the identity: a part has another number
    /// of points.
    #[error("expected {expected} points of {part}, got {got}; take the circuit's own key")]
    Points {
        /// The part of the key.
        part: &'static str,
        /// Number of points that the identity implies.
        expected: u64,
        /// The key's number of points.
        got: u64,
    },
    /// The bytes differ from those that were written.
    #[error("expected the hash that it was written with, got another; copy the file again")]
    Damaged,
}
