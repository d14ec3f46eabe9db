//! Choosing a backend by name, the GPUs' among them.
//!
//! Names are those of [`crate::backend::list`], and with feature `cuda` also
//! `cuda` (the first GPU with its fastest kernels), `cuda-dp4a` and the like
//! (these kernels and no others), each with `:1` and so on for further GPUs.

use crate::backend::{self, Backend};
use std::sync::Arc;

/// Why no backend was chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// No backend of the CPU has the name, or not on this machine.
    #[error(transparent)]
    Cpu(#[from] backend::ChooseError),
    /// The GPU cannot be used.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] poai_cuda::CudaError),
    /// A GPU was asked for, which this build has no code for.
    #[cfg(not(feature = "cuda"))]
    #[error("backend {0} is not built in: build with `--features cuda`")]
    NoCuda(String),
}

/// The backend of a name; never another one in its stead.
///
/// # Errors
/// [`ChooseError`] where there is none of this name, or not on this machine.
pub fn by_name(name: &str) -> Result<Arc<dyn Backend>, ChooseError> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = poai_cuda::choose::by_name(name) {
        return Ok(Arc::new(cuda?));
    }
    #[cfg(not(feature = "cuda"))]
    if name.split(['-', ':']).next() == Some("cuda") {
        return Err(ChooseError::NoCuda(name.to_owned()));
    }
    Ok(backend::by_name(name)?)
}

/// A backend that this build knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name by which it is chosen.
    pub name: String,
    /// What it asks of the machine.
    pub needs: String,
    /// Whether the machine has it.
    pub present: bool,
}

/// Every backend that this build knows, the CPU's first.
pub fn list() -> Vec<Listed> {
    let listed = backend::list().into_iter();
    #[allow(unused_mut, reason = "GPUs are added with feature cuda")]
    let mut list: Vec<Listed> = listed
        .map(|listed| Listed {
            name: listed.name.to_owned(),
            needs: listed.needs.to_owned(),
            present: listed.present,
        })
        .collect();
    #[cfg(feature = "cuda")]
    match poai_cuda::devices() {
        Ok(devices) => list.extend(devices.into_iter().map(|device| {
            let supported = device.check_supported();
            let present = supported.is_ok();
            let needs = match supported {
                Ok(()) => format!("this GPU, {}", device.name),
                Err(error) => error.to_string(),
            };
            let name = format!("{}:{}", poai_cuda::choose::FASTEST, device.ordinal);
            Listed { name, needs, present }
        })),
        Err(_) => list.push(Listed {
            name: poai_cuda::choose::FASTEST.to_owned(),
            needs: "an NVIDIA GPU and its driver".to_owned(),
            present: false,
        }),
    }
    list
}
