//! Randomness of the operating system.

use ark_std::rand::rngs::{OsRng, StdRng};
use ark_std::rand::{RngCore, SeedableRng};
use std::io;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("expected random bytes from the operating system, got an error: {0}")]
pub struct RandomError(#[source] io::Error);

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| RandomError(error.into()))?;
    Ok(bytes)
}

/// A generator with a seed of the operating system. Only the seed can fail, and
/// not a number in the middle of a key.
pub(crate) fn generator() -> Result<StdRng, RandomError> {
    Ok(StdRng::from_seed(bytes()?))
}
