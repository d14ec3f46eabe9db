//! Support code that the tests of several crates share. Never published.
//!
//! - [`tester`]: the tests that every backend must pass; [`dual`]: two backends
//!   in lock step, compared at every call; `amx`: AMX instructions in software.
//! - [`zoo`], [`runs`], [`layers`], [`training_network`]: networks; [`edges`]:
//!   every step at the ends of its ranges.
//! - `onnx`, `npy`, `channels_first` (feature `import`): networks and arrays for
//!   importers.
//! - `chain`, `groth16`, `statement` (feature `groth16`): constraint systems,
//!   keys and proofs.
//! - [`training`]: programs of one step of training each; [`decoder`]: a tiny
//!   decoder.
//! - `traces`, `forge`, `training_runs` (feature `verify`): traces, training runs, and
//!   their forgeries.
//! - `emulated` (feature `emulated`): NVIDIA GPUs in software.
//! - `evm` (feature `evm`): the EVM with its real precompiles.
#![allow(missing_docs, reason = "tests' names say what they are")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod amx;
#[cfg(feature = "groth16")]
pub mod chain;
#[cfg(feature = "import")]
pub mod channels_first;
pub mod decoder;
pub mod dual;
pub mod edges;
#[cfg(feature = "emulated")]
pub mod emulated;
#[cfg(feature = "evm")]
pub mod evm;
#[cfg(feature = "verify")]
pub mod forge;
#[cfg(feature = "groth16")]
pub mod groth16;
pub mod layers;
#[cfg(feature = "import")]
pub mod npy;
#[cfg(feature = "import")]
pub mod onnx;
pub mod runs;
#[cfg(feature = "groth16")]
pub mod statement;
pub mod tester;
#[cfg(feature = "verify")]
pub mod traces;
pub mod training;
pub mod training_network;
#[cfg(feature = "verify")]
pub mod training_runs;
pub mod turn;
pub mod zoo;

use std::path::{Path, PathBuf};

/// A file or folder of the repository's `test_vectors/`.
pub fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors").join(name)
}
