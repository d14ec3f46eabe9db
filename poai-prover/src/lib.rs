//! The prover's half of inference proofs: Groth16 on BN254.
//!
//! A program becomes a system of rank-1 constraints ([`circuit`], built on a [`system`]).
//! [`matrices`] holds the system and names it by a digest.
//!
//! A key of that system comes from a ceremony: [`iden3`] writes the system as an `.r1cs` file for
//! snarkjs and reads the `.zkey` file that it returns. For tests only, a key may come from one
//! party that can forge ([`setup`]). Both kinds of key have the same form, because [`reduction`]
//! makes the quotient as snarkjs does. [`keys`] stores them in files that state what they are for.
//!
//! A [`Prover`] holds a circuit and its key. [`estimate()`] states in advance what setup and proof
//! cost.
//!
//! Files are not trusted. A reader bounds sizes before it allocates. It rejects a value that it
//! does not know with an error that names the value.
#![forbid(unsafe_code)]

pub mod circuit;
pub mod commitment;
pub mod estimate;
pub mod iden3;
pub mod keys;
pub mod matrices;
mod multipliers;
mod points;
pub mod prove;
pub mod reduction;
pub mod setup;
pub mod system;
mod verifying;

pub use circuit::{Circuit, CircuitError};
pub use commitment::Salt;
pub use estimate::{Estimate, estimate};
pub use matrices::{ConstraintDigest, Matrices};
pub use poai_core::inference::PointError;
pub use prove::{ProveError, Proven, Prover};
pub use reduction::CircomReduction;
