//! Proofs of inference: what such a proof says, and its bytes.
//!
//! A proof says: *the program with this id maps an input to an output, both as
//! visible as [`Visibility`] has it, for this job and by this prover*. It says
//! nothing about whose input it was, and measures no work (spec §16). It is a Groth16 proof on BN254, of 128 bytes whatever the
//! program, which the EVM checks; what it is about is at most six field
//! elements, the [`Signals`].
//!
//! - [`visibility`]: what of tensors and weights everybody sees.
//! - [`binding`]: the first signal, which ties a proof to program, job, prover
//!   and MACs, so that it is worthless to another sender.
//! - [`packing`]: public entries as field elements.
//! - [`signals`]: the public inputs, and where each of them stands.
//! - [`key`] and [`proof`]: the points, strictly decoded.
//! - [`object`]: a proof with its signals and its key's digest.
//! - [`evm`]: words and calldata for contracts.
//!
//! Nothing here makes a proof or checks one: the prover is the crate
//! `poai-prover`, the verifier the crate `poai-verify`.

pub mod binding;
pub mod evm;
mod field;
pub mod key;
pub mod object;
pub mod packing;
pub mod points;
pub mod proof;
pub mod signals;
pub mod visibility;

pub use ark_bn254::{Fr, G1Affine, G2Affine};
pub use binding::{Address, Binding, Job};
pub use key::{VerifyingKey, VerifyingKeyDigest, VerifyingKeyError};
pub use object::{InferenceDecodeError, InferenceProof};
pub use packing::{Entries, PackingError};
pub use points::PointError;
pub use proof::{Groth16Proof, ProofDecodeError};
pub use signals::{Layout, Parts, SIGNALS_MAX, Signals, SignalsError};
pub use visibility::{TensorVisibility, Visibility, VisibilityError, WeightsVisibility};

#[cfg(test)]
mod tests;
