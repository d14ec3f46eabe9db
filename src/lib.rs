#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod backends;

pub use poai_core::*;
#[cfg(feature = "cuda")]
pub use poai_cuda as cuda;
pub use poai_engine::*;
#[cfg(feature = "import")]
pub use poai_import as import;
#[cfg(feature = "inference")]
pub use poai_prover as prover;
pub use poai_verify as verify;

/// The code of `docs/mining.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/mining.md")]
struct Mining;

/// The code of `docs/networks.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/networks.md")]
struct Networks;

/// The code of `docs/embedding.md`, which is tested like that of README.md,
/// with the feature that it shows.
#[cfg(all(doctest, feature = "chain"))]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;
