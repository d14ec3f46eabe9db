//! Tests of circuits, keys, ceremonies, proofs, and the verifiers of proofs: poai-verify's and its
//! contracts in the EVM.

mod certificates;
mod circuits;
mod commitment;
mod contracts;
mod degenerate;
mod deployment;
mod groth16;
mod inference;
mod registry;
mod setup;
mod shared;
mod standard;
mod steps;
