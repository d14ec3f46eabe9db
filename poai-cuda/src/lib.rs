//! NVIDIA GPUs for PoAI-1, through the driver that is present at run time.
//!
//! The crate builds anywhere, without a CUDA toolkit; a machine without a
//! driver learns so from a [`CudaError`] that says what to do. [`gpus`] lists
//! the GPUs, [`Gpu::check_supported`] says whether one can mine. Neither
//! allocates memory on a GPU.
//! [`Cuda`] is a backend on one GPU, which runs whole programs there too;
//! [`MultiGpu`] one on several, which share the rows of every product.
//!
//! Modules, each of which uses those below it alone:
//!
//! - [`choose`]: backends by name;
//! - [`multi`]: several GPUs as one backend; `execute`: whole programs on one;
//!   `measure` (feature `measure`): a backend's
//!   steps, timed;
//! - [`backend`]: the puzzle on one GPU;
//! - `gpu`: an open GPU's memory, copies and launches;
//! - `detection`: which GPUs there are; `driver`: the driver's library;
//! - `error`, [`kernels`], `requirements`, `version`: on the ground.
#![deny(missing_docs)]

pub mod backend;
pub mod choose;
mod detection;
mod driver;
mod error;
mod execute;
mod gpu;
pub mod kernels;
#[cfg(feature = "measure")]
pub mod measure;
pub mod multi;
mod requirements;
mod tensor_map;
mod version;

pub use backend::Cuda;
pub use backend::variant::Variant;
pub use detection::{Gpu, gpus};
pub use error::CudaError;
pub use gpu::OpenGpu;
pub use multi::{MultiGpu, MultiGpuError};
pub use version::Version;
