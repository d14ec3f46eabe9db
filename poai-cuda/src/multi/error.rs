use crate::error::CudaError;
use poai_engine::backend::BackendError;

/// Why GPUs cannot be used together, or which of them failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiGpuError {
    /// No GPU was given.
    #[error("a backend of several GPUs was given none")]
    Empty,
    /// A GPU was given more than once.
    #[error("GPU {ordinal} is named twice: name each once")]
    Twice {
        /// Its ordinal.
        ordinal: usize,
    },
    /// One of several GPUs failed.
    #[error("GPU {ordinal} of those used together: {source}")]
    Gpu {
        /// Its ordinal, because GPUs of one model have one name.
        ordinal: usize,
        /// What happened.
        source: CudaError,
    },
    /// What concerns all of them, or the only one.
    #[error(transparent)]
    Cuda(#[from] CudaError),
}

impl From<MultiGpuError> for BackendError {
    fn from(error: MultiGpuError) -> BackendError {
        BackendError::Device(Box::new(error))
    }
}

/// Says which GPU an error is of.
pub(super) fn on_gpu(ordinal: usize, error: BackendError) -> BackendError {
    match error {
        BackendError::Device(error) => match error.downcast::<CudaError>() {
            Ok(source) => MultiGpuError::Gpu { ordinal, source: *source }.into(),
            Err(other) => BackendError::Device(other),
        },
        other => other,
    }
}
