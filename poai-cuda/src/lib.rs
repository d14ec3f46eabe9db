//! NVIDIA GPUs for PoAI-1, through the driver that is present at run time.
//!
//! The crate builds anywhere, without a CUDA toolkit; a machine without a
//! driver learns so from a [`CudaError`] that says what to do. [`devices`]
//! lists the cards, [`Device::check_supported`] says whether one can mine.
//! Neither allocates memory on a card.
//! [`Cuda`] is a backend on one card, which runs whole programs there too;
//! [`Cards`] one on several, which share the rows of every product.
#![deny(missing_docs)]

pub mod backend;
mod gpu;
pub mod multi;
pub mod choose;
mod detection;
mod driver;
mod error;
pub mod kernels;
#[cfg(feature = "measure")]
pub mod measure;
mod execute;
mod tensor_map;
mod version;

pub use backend::Cuda;
pub use backend::variant::Variant;
pub use gpu::Card;
pub use multi::{Cards, CardsError};
pub use detection::{Device, devices};
pub use error::CudaError;
pub use version::Version;
