//! The PoAI-1 verifier behind a C interface; `include/poai.h` is its header and
//! `README.md` how to use it.
//!
//! - [`code`]: what functions return, and what it means.
//! - [`verify`]: proofs checked, wholly or by the cheap checks.
//! - [`json`]: proofs decoded for people to read.
//! - [`chain`], [`work`], [`times`], [`supply`]: what a chain computes around
//!   proofs; not in WebAssembly, where pages check proofs and no node retargets.
//! - [`facts`]: version, rules, limits.
//! - [`border`]: pointers become slices here, and panics error codes.
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
