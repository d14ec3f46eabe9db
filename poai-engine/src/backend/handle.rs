//! Handles that a backend returns: an operand that it prepared, noised or
//! packed.

use super::BackendError;
use crate::operand::Operand;
use core::any::Any;
use core::fmt;
use poai_core::digest::{Root, Seed};
use poai_core::puzzle::commitment::Tree;
use std::sync::Arc;

/// The backend's own data behind a handle.
type Data = Arc<dyn Any + Send + Sync>;

/// An operand that a backend has committed to and converted to its own layout.
/// It serves many challenges. Cloning shares everything.
#[derive(Clone)]
pub struct Prepared {
    operand: Operand,
    tree: Arc<Tree>,
    owner: &'static str,
    data: Data,
}

/// A prepared operand with one challenge's noise. Cloning shares everything.
#[derive(Clone)]
pub struct Noised {
    prepared: Prepared,
    seed: Seed,
    data: Data,
}

/// A prepared operand in the layout of plain products. Cloning shares
/// everything.
#[derive(Clone)]
pub struct Plain {
    operand: Operand,
    owner: &'static str,
    data: Data,
}

impl Plain {
    /// A handle of the same backend as `prepared`.
    pub fn new(prepared: &Prepared, data: impl Any + Send + Sync) -> Plain {
        Plain::of(prepared.owner, prepared.operand.clone(), data)
    }

    /// A handle for backend `owner` of an operand that nothing committed to.
    pub fn of(owner: &'static str, operand: Operand, data: impl Any + Send + Sync) -> Plain {
        Plain { operand, owner, data: Arc::new(data) }
    }

    /// The operand.
    pub fn operand(&self) -> &Operand {
        &self.operand
    }

    /// The backend's own data.
    ///
    /// # Errors
    /// [`BackendError::Foreign`] if another backend made the handle.
    pub fn data<T: Any>(&self, backend: &'static str) -> Result<&T, BackendError> {
        downcast(&self.data, backend, self.owner)
    }
}

impl Prepared {
    /// A handle for backend `owner`. Only that backend reads `data`.
    pub fn new(
        owner: &'static str,
        operand: Operand,
        tree: Tree,
        data: impl Any + Send + Sync,
    ) -> Prepared {
        Prepared { operand, tree: Arc::new(tree), owner, data: Arc::new(data) }
    }

    /// The clean operand.
    pub fn operand(&self) -> &Operand {
        &self.operand
    }

    /// The commitment's cached tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The commitment.
    pub fn root(&self) -> &Root {
        self.tree.root()
    }

    /// The backend that made the handle.
    pub fn owner(&self) -> &'static str {
        self.owner
    }

    /// The backend's own data.
    ///
    /// # Errors
    /// [`BackendError::Foreign`] if another backend made the handle.
    pub fn data<T: Any>(&self, backend: &'static str) -> Result<&T, BackendError> {
        downcast(&self.data, backend, self.owner)
    }
}

impl Noised {
    /// A handle of the same backend as `prepared`.
    pub fn new(prepared: &Prepared, seed: &Seed, data: impl Any + Send + Sync) -> Noised {
        Noised { prepared: prepared.clone(), seed: *seed, data: Arc::new(data) }
    }

    /// The operand before the noise.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The clean operand.
    pub fn operand(&self) -> &Operand {
        self.prepared.operand()
    }

    /// The seed of the noise.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The backend's own data.
    ///
    /// # Errors
    /// [`BackendError::Foreign`] if another backend made the handle.
    pub fn data<T: Any>(&self, backend: &'static str) -> Result<&T, BackendError> {
        downcast(&self.data, backend, self.prepared.owner)
    }
}

fn downcast<'a, T: Any>(
    data: &'a Data,
    backend: &'static str,
    owner: &'static str,
) -> Result<&'a T, BackendError> {
    if backend != owner {
        return Err(BackendError::Foreign { backend, owner });
    }
    data.downcast_ref().ok_or(BackendError::Foreign { backend, owner })
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("owner", &self.owner)
            .field("side", &self.operand.side())
            .field("rows", &self.operand.rows())
            .field("k", &self.operand.k())
            .field("root", self.root())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("operand", &self.operand).finish_non_exhaustive()
    }
}

impl fmt::Debug for Noised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Noised")
            .field("prepared", &self.prepared)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
