#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod choose;
#[cfg(all(feature = "import", feature = "train"))]
pub mod frozen;
#[cfg(all(feature = "import", feature = "train"))]
pub mod last_layers;

pub use poai_core::*;
#[cfg(feature = "cuda")]
pub use poai_cuda as cuda;
pub use poai_engine::*;
#[cfg(feature = "import")]
pub use poai_import as import;
#[cfg(feature = "inference")]
pub use poai_prover as prover;
#[cfg(feature = "train")]
pub use poai_train as train;
pub use poai_verify as verify;

use execute::Device;
use std::sync::Arc;

/// The backend of a name, such as `auto`, `cpu-avx2` or `cuda:1`.
///
/// `auto` is the fastest that this machine has: a GPU if the build has feature
/// `cuda` and one works, or else the fastest backend of the processor. No other
/// name is ever substituted. [`choose::list`] lists the names. The traits that a
/// backend implements are in the module [`mod@backend`].
///
/// # Errors
/// [`ChooseError`] if no backend has this name, or if this machine or this build
/// lacks it.
pub fn backend(name: &str) -> Result<Arc<dyn Device>, ChooseError> {
    choose::by_name(name)
}

/// The code of `docs/mining.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/mining.md")]
struct Mining;

/// The code of `docs/networks.md`, with the feature that it shows.
#[cfg(all(doctest, feature = "import"))]
#[doc = include_str!("../docs/networks.md")]
struct Networks;

/// The code of `docs/encoders.md`, with the feature that it shows.
#[cfg(all(doctest, feature = "import"))]
#[doc = include_str!("../docs/encoders.md")]
struct Encoders;

/// The code of `docs/training.md`, with the feature that it shows.
#[cfg(all(doctest, feature = "train"))]
#[doc = include_str!("../docs/training.md")]
struct Training;

/// The code of `docs/proving.md`, with the feature that it shows.
#[cfg(all(doctest, feature = "inference"))]
#[doc = include_str!("../docs/proving.md")]
struct Proving;

/// The code of `docs/embedding.md`, which is tested like that of README.md,
/// with the feature that it shows.
#[cfg(all(doctest, feature = "chain"))]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;
