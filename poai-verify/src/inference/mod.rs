//! Whether proofs of inference hold: one pairing equation on BN254.
//!
//! A [`InferenceVerifier`] is built once from the node's own verifying key and checks
//! any number of proofs; [`solidity`] renders the same key as a contract that
//! checks the same. With feature `serde`, `Deployment` is all that a script
//! needs to put a proof before the contracts.

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
