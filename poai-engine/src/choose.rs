//! Backends of the processor by name, such as `cpu-avx2` and `reference`.
//!
//! The crate `poai` has the registry of all backends, including the GPU
//! backends.

use crate::backend::cpu::Cpu;
use crate::backend::reference::Reference;
use crate::backend::{ChooseError, ListedCpu, REFERENCE};
use crate::execute::Device;
use std::sync::Arc;

/// Every backend of this crate, the fastest first.
pub fn list() -> Vec<ListedCpu> {
    let mut list = Cpu::list();
    list.push(ListedCpu { name: REFERENCE, needs: "any processor", present: true });
    list
}

/// Every backend that this machine can run, the fastest first.
pub fn present() -> Vec<Arc<dyn Device>> {
    list().iter().filter_map(|listed| by_name(listed.name).ok()).collect()
}

/// The backend of a name. It never substitutes another backend.
///
/// # Errors
/// [`ChooseError`] if no backend has this name, or if this machine cannot
/// run it.
pub fn by_name(name: &str) -> Result<Arc<dyn Device>, ChooseError> {
    if name == REFERENCE {
        return Ok(Arc::new(Reference));
    }
    Ok(Arc::new(Cpu::named(name)?))
}
