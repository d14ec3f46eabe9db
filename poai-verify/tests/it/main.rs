//! The verifier: honest messages hold, and every attack is refused. Proofs of inference, which need a prover, are verified
//! in poai-prover's tests.

mod attacks;
mod bounds;
mod chain_asert;
mod chain_rules;
mod common;
mod failures;
mod fixtures;
mod fraud;
mod freivalds;
mod full;
mod hostile;
mod no_std;
mod receipt;
mod rules;
mod seal;
mod trace;
mod trace_attacks;
mod trace_fixtures;
mod unclean;
