//! The prover's half of inference proofs: Groth16 on BN254.
//!
//! A [`Circuit`] states what is proven: a network, a run, and what of it is
//! public. It becomes a system of rank-1 constraints, once. A [`ProvingKey`] of
//! it comes from a ceremony with snarkjs, from a file of this library, or, for
//! tests, from a single party that can forge. The key proves runs, and its
//! verifier checks them.
//!
//! - [`keys`]: key files, and what a key is for.
//! - [`snarkjs`]: proofs, signals and verifying keys as snarkjs' JSON.
//! - [`commit`] and [`commit_weights`]: the commitments that signals show.
//! - [`Estimate`]: what a circuit costs, before any heavy work.
//!
//! Files are not trusted. A reader bounds sizes before it allocates. It rejects a value that it
//! does not know with an error that names the value.
#![forbid(unsafe_code)]

mod circuit;
mod commitment;
mod defect;
mod estimate;
mod groth16;
mod iden3;
mod indices;
#[doc(hidden)]
pub mod internal;
pub mod keys;
mod matrices;
mod multipliers;
mod points;
mod prove;
mod random;
mod reduction;
mod setup;
pub mod snarkjs;
mod system;
mod verifying;

pub use circuit::{Circuit, CircuitBuilder, CircuitError, Ranges};
pub use commitment::{Salt, Salts, commit, commit_weights};
pub use defect::Defect;
pub use estimate::{Estimate, MemoryError};
pub use iden3::r1cs::ExportError;
pub use keys::{KeyError, ProvingKey};
pub use poai_core::inference::visibility::{Committed, Fixed, Hashed, Private, Public};
pub use prove::{ProveError, ProveOptions, Proven};
pub use random::RandomError;

/// The code of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
