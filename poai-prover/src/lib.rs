//! The prover's half of proofs of inference: Groth16 on BN254.
//!
//! A program becomes a system of rank-1 constraints ([`circuit`], built on a
//! [`system`]), which [`matrices`] holds and names by a digest. A key of that system comes from a ceremony: the
//! system goes out to snarkjs as an `.r1cs` file and a `.zkey` comes back
//! ([`iden3`]); or, for tests only, from one party that can forge ([`setup`]).
//! Both kinds of key are one kind, because [`reduction`] makes the quotient as
//! snarkjs does. [`keys`] keeps them in files that say what they are for.
//! A [`Prover`] has circuit and key, and [`estimate()`] says beforehand what
//! either costs.
//!
//! Files are not trusted: a reader bounds sizes before it allocates and answers
//! what it does not know with an error that names it.
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
