//! iden3's file formats, which exchange systems, keys and proofs with snarkjs.
//!
//! - [`r1cs`]: our constraints, for `snarkjs zkey new`.
//! - [`zkey`]: the ceremony's key, for our prover.
//! - [`wtns`]: an assignment, for snarkjs' prover.
//! - [`json`]: proofs, signals and verifying keys, in both directions.

mod container;
pub mod json;
pub mod r1cs;
pub mod wtns;
pub mod zkey;

pub use container::ContainerError;
