use crate::error::CudaError;
use poai_engine::backend::BackendError;

/// Why GPUs cannot be used together, or which of them failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardsError {
    /// No card was given.
    #[error("a backend of several GPUs was given none")]
    Empty,
    /// A device was given more than once.
    #[error("GPU {ordinal} is named twice: name each once")]
    Twice {
        /// Its ordinal.
        ordinal: usize,
    },
    /// One of several cards failed.
    #[error("GPU {ordinal} of those used together: {source}")]
    Card {
        /// Its ordinal, because cards of one model have one name.
        ordinal: usize,
        /// What happened.
        source: CudaError,
    },
    /// What concerns all of them, or the only one.
    #[error(transparent)]
    Cuda(#[from] CudaError),
}

impl From<CardsError> for BackendError {
    fn from(error: CardsError) -> BackendError {
        BackendError::Device(Box::new(error))
    }
}

/// Says which card an error is of.
pub(super) fn on_card(ordinal: usize, error: BackendError) -> BackendError {
    match error {
        BackendError::Device(error) => match error.downcast::<CudaError>() {
            Ok(source) => CardsError::Card { ordinal, source: *source }.into(),
            Err(other) => BackendError::Device(other),
        },
        other => other,
    }
}
