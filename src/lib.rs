#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod backends;

pub use poai_core::*;
pub use poai_verify as verify;

#[cfg(feature = "cuda")]
pub use poai_cuda as cuda;

/// The code of `docs/embedding.md`, run as README.md's is.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;
