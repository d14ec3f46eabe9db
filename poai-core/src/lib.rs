//! The PoAI protocol: computations that every party repeats in exact integers.
//!
//! - [`params`], [`digest`], [`difficulty`], [`encoding`]: shared types.
//! - [`control`]: progress and cancellation of long calls.
//! - [`puzzle`]: a matrix product whose 32×32 tiles each draw a lottery ticket,
//!   and the proof that a tile has won.
//! - [`simd`] and [`recompute`]: one tile recomputed, on any instruction set.
//! - [`program`]: networks as programs of exact integer steps, and what each
//!   step computes ([`program::ops`]).
//! - [`trace`]: records, headers and receipts of a run.
//! - [`training_run`]: the iterations of a training run, as a chain.
//! - `inference` (feature): public inputs, keys and proofs on BN254.
//!
//! The crate is `no_std + alloc`, and verifiers link it. Its features:
//!
//! - `std` recomputes tiles with the processor's widest instructions, chosen at
//!   run time;
//! - `parallel` hashes on all threads;
//! - `serde` adds serialisation of every public data type.
//!
//! The crate `poai-engine` mines and runs programs. The crate `poai-verify`
//! verifies.
//!
//! The normative text is `docs/spec.md`. The reasons are in `docs/design.md`.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod control;
pub mod difficulty;
pub mod digest;
pub mod encoding;
mod hash_tree;
#[cfg(feature = "inference")]
pub mod inference;
pub mod params;
pub mod program;
pub mod puzzle;
pub mod recompute;
pub mod simd;
pub mod trace;
pub mod training_run;
mod vectorise;

pub use control::{Cancel, Cancelled, Control, Progress};
pub use difficulty::{Difficulty, Target};
pub use digest::{
    ArchitectureId, Beacon, ChainRoot, Challenge, DatasetRoot, ExportRoot, IterationLeaf, Job,
    ProgramId, Prover, ReceiptDigest, Root, RulesDigest, RunRoot, Seed, SegmentRoot, StateRoot,
    Ticket, TraceRoot, TrainingReceiptDigest, TrainingSeed,
};
pub use params::Params;
pub use program::Program;
pub use puzzle::proof::{Proof, ProofView};
pub use puzzle::statement::{Shape, Side, Statement, Tile};
pub use puzzle::transcript::Transcript;
