//! Tests of the verifier: honest messages are valid, and every attack is rejected. Inference proofs
//! need a prover, so poai-prover's tests verify them.

mod attacks;
mod bounds;
mod bounds_decoder;
mod bounds_training;
mod chain_asert;
mod chain_rules;
mod common;
mod decoder;
mod failures;
mod fixtures;
mod fraud;
mod freivalds;
mod full;
mod hostile;
mod imported;
mod no_std;
mod outputs;
mod receipt;
mod rules;
mod scaled_products;
mod seal;
mod trace;
mod trace_attacks;
mod trace_fixtures;
mod train;
mod train_attacks;
mod train_export;
mod train_fixtures;
mod training;
mod unclean;
