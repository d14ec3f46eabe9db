//! The PoAI-1 verifier that nodes embed: `no_std`, small, without panics.
//!
//! A [`Verifier`] is built from the node's own [`Rules`] and the block's difficulty. It checks a
//! challenge and the bytes of a proof. It runs cheap checks first, allocates nothing that hostile
//! bytes ask for, and distinguishes *malformed* bytes from *invalid* proofs.
//!
//! - [`rules`]: what the node permits; [`Rules::CONSENSUS`] is what a block needs.
//! - [`verifier`]: the checks, in the order of spec §7.
//! - [`seal`]: the same for headers of several difficulties, and for batches.
//! - [`error`]: malformed or invalid, with the field and the check.
//! - [`failures`]: a bounded memory of failed proofs, for nodes that gossip.
//! - [`freivalds`]: a check of a whole product, independent of proofs.
//! - [`trace`]: audits, fraud proofs and links of whole networks.
//! - [`train`]: training runs: claims, audits, fraud proofs and exports.
//! - `chain` (feature): what a chain computes around proofs.
//! - `inference` (feature): inference proofs, which the EVM checks as well.
//!
//! No mode skips a check.
#![no_std]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "chain")]
pub mod chain;
pub mod error;
pub mod failures;
pub mod freivalds;
#[cfg(feature = "inference")]
pub mod inference;
pub mod rules;
pub mod seal;
pub mod trace;
pub mod train;
pub mod verifier;

pub use error::{Invalid, Malformed, VerifyError};
pub use failures::Failures;
pub use freivalds::{FreivaldsError, Seed32, check_product};
pub use poai_core::{
    ArchitectureId, Beacon, Cancel, Cancelled, Challenge, Control, Difficulty, Job, Params,
    Program, ProgramId, Progress, Prover, ReceiptDigest, Root, RulesDigest, Shape, Side, Statement,
    Ticket, Tile, TraceRoot, Transcript,
};
pub use rules::{Rules, RulesError};
pub use seal::Seal;
pub use verifier::{Verified, Verifier, proof_hash};

/// The code of `poai-verify/README.md`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
