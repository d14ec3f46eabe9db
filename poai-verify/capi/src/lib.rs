//! The PoAI-1 verifier behind a C interface. `include/poai.h` is its header;
//! `README.md` describes how to use it.
//!
//! - [`code`]: the codes that functions return, and their meaning.
//! - [`verify`]: checks proofs, wholly or by the cheap checks.
//! - [`json`]: decodes proofs for people to read.
//! - [`chain`], [`work`], [`times`], [`supply`]: what a chain computes around
//!   proofs. WebAssembly lacks them: pages check proofs and no node retargets.
//! - [`facts`]: version, rules, limits.
//! - [`border`]: turns pointers into slices, and panics into error codes.
//!
//! Functions keep nothing: no pointer outlives its call, there is no state and
//! no lock, and any number of threads may call them at once.
#![deny(missing_docs)]

pub mod border;
#[cfg(not(target_family = "wasm"))]
pub mod chain;
pub mod code;
pub mod facts;
pub mod json;
#[cfg(not(target_family = "wasm"))]
pub mod supply;
#[cfg(not(target_family = "wasm"))]
pub mod times;
pub mod verify;
#[cfg(target_family = "wasm")]
pub mod wasm;
#[cfg(not(target_family = "wasm"))]
pub mod work;
