//! Verification of inference proofs: one pairing equation on BN254.
//!
//! An [`InferenceVerifier`] is built once from what a registrar registered: program, MACs and
//! verifying key. It checks any number of proofs. [`solidity`] renders the same key as a contract that runs the same check. With the
//! feature `serde`, `Deployment` is everything that a script needs to send a proof to the
//! contracts.

#[cfg(feature = "serde")]
mod deployment;
mod error;
mod solidity;
mod verifier;

#[cfg(feature = "serde")]
pub use deployment::{ContractSource, Deployment, DeploymentError};
pub use error::{False, InferenceError, InferenceMalformed};
pub use solidity::{NameError, solidity};
pub use verifier::{InferenceVerified, InferenceVerifier};
