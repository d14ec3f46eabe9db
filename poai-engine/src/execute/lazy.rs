//! Tensors that stay on a device until they are read.

use super::device::Kept;
use super::error::ValueError;
use super::tensor::Tensor;
use poai_core::program::{Extent, ValueId};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A tensor that is on the host, or is fetched from its device on the first
/// read. Clones share the tensor and the one fetched copy.
#[derive(Clone, Debug)]
pub(super) struct Lazy(Arc<Place>);

#[derive(Debug)]
struct Place {
    here: OnceLock<Arc<Tensor>>,
    /// The tensor on the device, until it is fetched. The device's memory is
    /// then released.
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

    /// The tensor, if it is on the host.
    pub(super) fn get(&self) -> Option<&Tensor> {
        self.0.here.get().map(|tensor| &**tensor)
    }

    /// The tensor, fetched from the device if necessary.
    pub(super) fn fetch(&self, value: ValueId) -> Result<&Tensor, ValueError> {
        if self.0.here.get().is_none() {
            // One thread fetches while the others wait for the lock.
            let mut away = self.0.away.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((extent, kept)) = &*away {
                let mut tensor = Tensor::zeros(*extent);
                let fetched = kept.fetch(tensor.bytes_mut());
                fetched.map_err(|source| ValueError::Fetch { value, source: Arc::new(source) })?;
                // Set once, under the lock.
                let _ = self.0.here.set(Arc::new(tensor));
                *away = None;
            }
        }
        self.get().ok_or(ValueError::None(value))
    }
}
