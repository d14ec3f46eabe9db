//! Tensors that stay on a device until they are read.

use super::device::Kept;
use super::error::ValueError;
use super::tensor::Tensor;
use poai_core::program::{Extent, ValueId};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
