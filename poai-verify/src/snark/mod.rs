//! Whether proofs of inference hold: one pairing equation on BN254.
//!
//! A [`Verifier`] is built once from the node's own verifying key and checks
//! any number of proofs; [`solidity`] renders the same key as a contract that
//! checks the same.

mod error;
mod solidity;
mod verifier;

pub use error::{False, Malformed, SnarkError};
pub use solidity::{NameError, solidity};
pub use verifier::{Verified, Verifier};
