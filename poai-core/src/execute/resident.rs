//! Networks that live in a device's own memory and run there whole.
//!
//! Step by step, a device would move every tensor to the host and back. A
//! backend that has a [`Resident`] for a network keeps all of it: constants from
//! the start, tensors until somebody reads them, of which commitments alone
//! come back at once.

use super::run::{ExecuteError, MinedStep, RunOptions};
use super::tensor::Tensor;
use crate::backend::BackendError;
use crate::commitment::Tree;
use crate::program::{Extent, RunShape, ValueId};
use core::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A network in a device's memory.
pub trait Resident: fmt::Debug + Send + Sync {
    /// Executes the network's program, as [`super::Model::run`] would step by
    /// step: the same tensors, roots, winners and errors. The caller has
    /// checked the inputs' number and extents.
    ///
    /// # Errors
    /// [`ExecuteError`]; of several entries without a result the first step's
    /// first row.
    fn run(
        &self,
        shape: &RunShape,
        inputs: &[Arc<Tensor>],
        options: &RunOptions,
    ) -> Result<ResidentRun, ExecuteError>;
}

/// A tensor in a device's memory, freed with the last handle to it.
pub trait Kept: fmt::Debug + Send + Sync {
    /// Copies its padded bytes into `to`, which has their number.
    ///
    /// # Errors
    /// [`BackendError`] where the device fails.
    fn fetch(&self, to: &mut [u8]) -> Result<(), BackendError>;
}

/// What a run on a device leaves.
#[derive(Debug)]
pub struct ResidentRun {
    /// The output.
    pub output: Arc<Tensor>,
    /// What was traced, where that was asked for.
    pub traced: Option<Traced>,
    /// For every step the sums of its product with weights, where they were
    /// asked for: row-major, (padded rows of the input)×(padded rows of the
    /// weights).
    pub sums: Vec<Option<Vec<i32>>>,
    /// What was mined, product by product.
    pub mined: Vec<MinedStep>,
}

/// The tensors of a traced run, on their device.
#[derive(Debug)]
pub struct Traced {
    /// Every step's tensor.
    pub steps: Vec<Arc<dyn Kept>>,
    /// The tree of every value, inputs first.
    pub trees: Vec<Tree>,
}

/// A value of a trace cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// There is no such value.
    #[error("the program has no value {}", .0.0)]
    None(ValueId),
    /// The device that keeps it failed.
    #[error("value {} is still on its device: {source}", value.0)]
    Fetch {
        /// The value.
        value: ValueId,
        /// What the device says.
        source: Arc<BackendError>,
    },
}

/// A tensor that is here, or comes from its device when it is first read.
/// Clones share it, and the one copy that is fetched.
#[derive(Clone, Debug)]
pub(super) struct Lazy(Arc<Place>);

#[derive(Debug)]
struct Place {
    here: OnceLock<Arc<Tensor>>,
    /// Where it is until it is here; then the device's memory is given back.
    away: Mutex<Option<(Extent, Arc<dyn Kept>)>>,
}

impl Lazy {
    pub(super) fn here(tensor: Arc<Tensor>) -> Lazy {
        Lazy(Arc::new(Place { here: OnceLock::from(tensor), away: Mutex::new(None) }))
    }

    pub(super) fn away(extent: Extent, kept: Arc<dyn Kept>) -> Lazy {
        let away = Mutex::new(Some((extent, kept)));
        Lazy(Arc::new(Place { here: OnceLock::new(), away }))
    }

    /// The tensor, if it is here.
    pub(super) fn get(&self) -> Option<&Tensor> {
        self.0.here.get().map(|tensor| &**tensor)
    }

    /// The tensor, fetched where it has not been.
    pub(super) fn fetch(&self, value: ValueId) -> Result<&Tensor, ValueError> {
        if self.0.here.get().is_none() {
            // One fetches while the others wait.
            let mut away = self.0.away.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((extent, kept)) = &*away {
                let mut tensor = Tensor::zeros(*extent);
                let fetched = kept.fetch(tensor.bytes_mut());
                fetched.map_err(|source| ValueError::Fetch { value, source: Arc::new(source) })?;
                // Set under the lock, once.
                let _ = self.0.here.set(Arc::new(tensor));
                *away = None;
            }
        }
        self.get().ok_or(ValueError::None(value))
    }
}
