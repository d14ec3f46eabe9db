//! iden3's file formats: how a system goes to a ceremony made with snarkjs, and
//! how its key, and proofs made with it, come and go.
//!
//! - [`r1cs`]: our constraints, for `snarkjs zkey new`.
//! - [`zkey`]: the ceremony's key, for our prover.
//! - [`wtns`]: an assignment, for snarkjs' prover.
//! - [`json`]: proofs, signals and verifying keys, both ways.

mod container;
pub mod json;
pub mod r1cs;
pub mod wtns;
pub mod zkey;

pub use container::ContainerError;
