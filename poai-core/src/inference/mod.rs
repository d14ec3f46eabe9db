//! Inference proofs: their statement, and their bytes.
//!
//! A proof states: *the program with this id maps an input to an output, each with its
//! [`Visibility`], for this job and by this prover*. It does not state whose input it was, and
//! measures no work (spec §16). It is a Groth16 proof on BN254, of 128 bytes for any program, which
//! the EVM can check. Its statement is at most six field elements, the [`Signals`].
//!
//! - [`visibility`]: which parts of tensors and weights are public.
//! - [`binding`]: the first signal, which binds a proof to program, job, prover and MACs, so that
//!   another sender cannot use it.
//! - [`FieldElement`]: a signal, or a part of one.
//! - [`packing`]: public entries as field elements.
//! - [`signals`]: the public inputs, and the place of each.
//! - [`key`] and [`proof`]: the points, strictly decoded.
//! - [`object`]: a proof with its signals and its key's digest.
//! - [`evm`]: words and calldata for contracts.
//!
//! This module neither makes nor checks proofs. The crate `poai-prover` has the prover, and the
//! crate `poai-verify` the verifier.

pub mod binding;
mod element;
pub mod evm;
mod field;
#[doc(hidden)]
pub mod internal;
pub mod key;
pub mod object;
pub mod packing;
pub mod points;
pub mod proof;
pub mod signals;
pub mod visibility;

pub use binding::{Address, Binding};
pub use element::{FieldElement, FieldElementError};
pub use evm::Calldata;
pub use key::{VerifyingKey, VerifyingKeyDigest, VerifyingKeyError};
pub use object::{InferenceDecodeError, InferenceProof};
pub use packing::{Entries, PackingError};
pub use points::PointError;
pub use proof::{Groth16DecodeError, Groth16Proof};
pub use signals::{Layout, Parts, SIGNALS_MAX, Signals, SignalsError};
pub use visibility::{TensorVisibility, Visibility, VisibilityError, WeightsVisibility};

#[cfg(test)]
mod tests;
