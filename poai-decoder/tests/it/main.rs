//! Tests of the readers of decoders, and of the forward pass in f32.

mod blocks;
mod hostile;
mod logits;
mod refused;
mod tokens;

use std::path::PathBuf;

/// A folder or file of test_vectors/decoders.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/decoders").join(name)
}
