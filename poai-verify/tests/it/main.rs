//! The verifier: honest messages hold, and every attack is refused.

mod attacks;
mod bounds;
mod chain_asert;
mod chain_rules;
mod common;
mod contracts;
mod deployment;
mod failures;
mod fixtures;
mod fraud;
mod freivalds;
mod full;
mod groth16;
mod hostile;
mod inference;
mod no_std;
mod receipt;
mod registry;
mod rules;
mod seal;
mod trace;
mod trace_fixtures;
mod unclean;
