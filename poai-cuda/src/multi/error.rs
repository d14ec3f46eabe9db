use crate::error::CudaError;
use poai_engine::backend::{BackendError, ChooseError};

/// Why GPUs cannot be used together, or which of them failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiGpuError {
    /// No GPU was given.
    #[error("expected at least one GPU, got none; name a GPU")]
    Empty,
    /// A GPU was given more than once.
    #[error("expected each GPU once, got GPU {ordinal} twice; name each once")]
    Twice {
        /// Its ordinal.
        ordinal: usize,
    },
    /// One of several GPUs failed.
    #[error("GPU {ordinal} of those used together: {source}")]
    Gpu {
        /// Its ordinal, because GPUs of one model have one name.
        ordinal: usize,
        /// Its error.
        source: CudaError,
    },
    /// An error that concerns all GPUs, or the only one.
    #[error(transparent)]
    Cuda(#[from] CudaError),
}

impl From<MultiGpuError> for ChooseError {
    fn from(error: MultiGpuError) -> ChooseError {
        ChooseError::Device(Box::new(error))
    }
}

impl From<MultiGpuError> for BackendError {
    fn from(error: MultiGpuError) -> BackendError {
        BackendError::Device(Box::new(error))
    }
}

/// Adds the ordinal of the GPU to its error.
pub(super) fn on_gpu(ordinal: usize, error: BackendError) -> BackendError {
    match error {
        BackendError::Device(error) => match error.downcast::<CudaError>() {
            Ok(source) => MultiGpuError::Gpu { ordinal, source: *source }.into(),
            Err(other) => BackendError::Device(other),
        },
        other => other,
    }
}
