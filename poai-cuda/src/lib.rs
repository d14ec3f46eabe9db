//! NVIDIA GPUs for PoAI-1, through the driver that is present at run time.
//!
//! The crate builds anywhere, without a CUDA toolkit. On a machine without a
//! driver, calls return a [`CudaError`] that says what to do. [`gpus`] lists
//! the GPUs, and [`Gpu::check_supported`] checks whether one can mine. Neither
//! allocates memory on a GPU.
//!
//! [`Cuda`] is a backend on one GPU; it also runs whole programs there.
//! [`MultiGpu`] is a backend on several GPUs, which share the rows of every
//! product.
//!
//! Each module uses only the modules listed below it:
//!
//! - [`choose`]: backends by name;
//! - [`multi`]: several GPUs as one backend; `execute`: whole programs on one
//!   GPU; `measure` (feature `measure`): the steps of a backend, timed;
//! - [`backend`]: the puzzle on one GPU;
//! - `gpu`: memory, copies and launches of an open GPU;
//! - `detection`: lists the GPUs; `driver`: the driver's library;
//! - `error`, [`kernels`], `requirements`, `version`: used by all of the above.
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
