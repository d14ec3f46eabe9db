//! Why a backend was not chosen, or failed; and the names that there are.

/// The name of the plain reference.
pub const REFERENCE: &str = "reference";

/// The names of all backends of this crate, the fastest first.
pub fn names() -> Vec<&'static str> {
    // Looks at no processor: a name is one wherever it runs.
    let kernels = poai_core::simd::ALL.iter().map(|entry| entry.name);
    kernels.chain([REFERENCE]).collect()
}

/// A backend does not support a (rank, tile) pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("backend {backend} does not support rank {rank} with tile {tile}")]
pub struct Unsupported {
    /// The backend's name.
    pub backend: &'static str,
    /// The rank asked for.
    pub rank: usize,
    /// The tile asked for.
    pub tile: usize,
}

/// Why a backend failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// It does not support the parameters.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// It was handed what another backend had prepared or noised.
    #[error("backend {backend} was handed an operand of backend {owner}")]
    Foreign {
        /// The backend that was called.
        backend: &'static str,
        /// The backend whose handle it got.
        owner: &'static str,
    },
    /// The two operands do not multiply, belong to the wrong sides, or were
    /// made for different parameters.
    #[error("the operands are no pair of sides A and B with the same k, rank and tile")]
    Pair,
    /// The memory for the product has another size than m·n.
    #[error("memory for {got} entries, the product has {expected}")]
    Output {
        /// m·n.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// Worker threads could not be started.
    #[error("cannot start worker threads: {0}")]
    Threads(String),
    /// The device failed.
    #[error(transparent)]
    Device(Box<dyn std::error::Error + Send + Sync>),
}

/// Why no backend was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuChooseError {
    /// No backend has the name.
    #[error("no backend is called {name:?}; there are: {}", names().join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The backend exists, but not on this machine.
    #[error("backend {name} is not on this machine: it needs {needs}")]
    Missing {
        /// The name asked for.
        name: &'static str,
        /// What it asks of the machine.
        needs: &'static str,
    },
}
