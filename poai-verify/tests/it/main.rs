//! The verifier: honest messages hold, and every attack is refused.

mod attacks;
mod bounds;
mod chain_asert;
mod chain_rules;
mod challenge;
mod common;
mod failures;
mod fixtures;
mod freivalds;
mod full;
mod hostile;
mod no_std;
mod receipt;
mod rules;
mod seal;
mod trace;
mod trace_fixtures;
mod unclean;

// Pairings and the EVM, whose crates Miri does without (Cargo.toml).
#[cfg(not(miri))]
mod contracts;
#[cfg(not(miri))]
mod deployment;
#[cfg(not(miri))]
mod groth16;
#[cfg(not(miri))]
mod inference;
#[cfg(not(miri))]
mod registry;
