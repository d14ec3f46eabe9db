//! Errors of choosing and running a backend, and the names of all backends.

use std::error::Error;

/// The name of the plain reference.
pub const REFERENCE: &str = "reference";

/// The names of all backends of this crate, the fastest first.
fn names() -> String {
    // Does not inspect the processor: names are the same on every machine.
    let kernels = poai_core::simd::ALL.iter().map(|entry| entry.name);
    kernels.chain([REFERENCE]).collect::<Vec<_>>().join(", ")
}

/// A backend does not support a (rank, tile) pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected parameters that backend {backend} supports, got rank {rank} with tile {tile}; \
     choose another backend"
)]
pub struct Unsupported {
    /// The backend's name.
    pub backend: &'static str,
    /// The requested rank.
    pub rank: usize,
    /// The requested tile.
    pub tile: usize,
}

/// Why a backend failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The backend does not support the parameters.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The caller passed an operand that another backend had prepared or
    /// noised.
    #[error(
        "expected an operand of backend {backend}, got one of {owner}; prepare it on {backend}"
    )]
    Foreign {
        /// The backend that was called.
        backend: &'static str,
        /// The backend that made the operand.
        owner: &'static str,
    },
    /// The two operands do not multiply, are on the wrong sides, or were made
    /// for different parameters.
    #[error(
        "expected a pair of operands, got two that do not multiply; pass sides A and B with the \
         same k, rank and tile"
    )]
    Pair,
    /// The memory for the product does not have m·n entries.
    #[error("expected memory for {expected} entries, got {got}; pass one entry per product entry")]
    Output {
        /// m·n.
        expected: usize,
        /// The number of entries that the caller passed.
        got: usize,
    },
    /// Worker threads could not be started.
    #[error("expected worker threads, got none: {0}; ask for fewer threads")]
    Threads(#[source] Box<dyn Error + Send + Sync>),
    /// The device failed.
    #[error(transparent)]
    Device(Box<dyn Error + Send + Sync>),
}

/// Why no backend was chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// No backend has the name.
    #[error("expected the name of a backend, got {name:?}; use one of: {names}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The names that exist, for people to read.
        names: String,
    },
    /// The backend exists, but cannot run on this machine.
    #[error(
        "expected a machine with {needs} for backend {name}, got one without; choose another \
         backend"
    )]
    Missing {
        /// The requested name.
        name: &'static str,
        /// What the backend needs from the machine.
        needs: &'static str,
    },
    /// This build lacks the backend.
    #[error("expected a backend of this build, got {name}; build with `--features {feature}`")]
    NotBuilt {
        /// The requested name.
        name: String,
        /// The feature that adds the backend.
        feature: &'static str,
    },
    /// The device of the backend cannot be opened.
    #[error(transparent)]
    Device(Box<dyn Error + Send + Sync>),
}

impl ChooseError {
    /// The error for a name that no backend of this crate has.
    pub(crate) fn unknown(name: &str) -> ChooseError {
        ChooseError::Unknown { name: name.to_owned(), names: names() }
    }
}
