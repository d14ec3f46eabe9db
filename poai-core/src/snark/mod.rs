//! The prover's half of proofs of inference: Groth16 on BN254.
//!
//! A program becomes a system of rank-1 constraints, which [`matrices`] holds
//! and names by a digest. A key of that system comes from a ceremony: the
//! system goes out to snarkjs as an `.r1cs` file and a `.zkey` comes back
//! ([`iden3`]); or, for tests only, from one party that can forge ([`setup`]).
//! Both kinds of key are one kind, because [`reduction`] makes the quotient as
//! snarkjs does. [`keys`] keeps them in files that say what they are for.
//!
//! Files are not trusted: a reader bounds sizes before it allocates and answers
//! what it does not know with an error that names it.

pub mod iden3;
pub mod keys;
pub mod matrices;
mod points;
pub mod reduction;
pub mod setup;

pub use matrices::{ConstraintDigest, Matrices};
pub use points::PointError;
pub use reduction::CircomReduction;
