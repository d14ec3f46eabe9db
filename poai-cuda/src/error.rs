use std::ffi::CStr;

use cudarc::driver::{DriverError, sys::CUresult};

use crate::driver::{LIBRARY, NEEDED};
use crate::version::Version;

/// Why a GPU cannot be used, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver's library could not be loaded.
    #[error(
        "no NVIDIA driver: {LIBRARY} was not found; install the NVIDIA driver (no CUDA \
         toolkit is needed), or put the folder of that file on the library search path"
    )]
    NoDriver,
    /// A library was loaded in the driver's place that lacks a function.
    #[error(
        "the library loaded as {LIBRARY} has no function {function}: it is not a whole NVIDIA \
         driver; install one for CUDA {NEEDED} or newer, and remove other copies of the \
         library from the library search path"
    )]
    Incomplete {
        /// The first function missing.
        function: &'static str,
    },
    /// The CUDA toolkit's stand-in for linking was loaded, not the driver.
    #[error(
        "a stub was loaded in place of the NVIDIA driver: take the CUDA toolkit's `stubs` \
         folder off the library search path (LD_LIBRARY_PATH)"
    )]
    Stub,
    /// The driver is older than the interface used here.
    #[error("the NVIDIA driver supports CUDA {found}, {needed} is needed: install a newer driver")]
    DriverTooOld {
        /// The newest CUDA version that the driver supports.
        found: Version,
        /// The oldest that will do.
        needed: Version,
    },
    /// The driver is there and shows no device to this process.
    #[error(
        "the NVIDIA driver shows no GPU: check that `nvidia-smi` lists one and that \
         CUDA_VISIBLE_DEVICES does not hide it; in a container, start it with the NVIDIA \
         container runtime (`--gpus all`)"
    )]
    NoDevice,
    /// The card lacks instructions that the kernels use.
    #[error(
        "{name} has compute capability {capability}, {needed} or higher is needed: use another \
         GPU (GeForce 10 series or newer), or the CPU"
    )]
    TooOld {
        /// The card.
        name: String,
        /// What it has.
        capability: Version,
        /// The lowest that will do.
        needed: Version,
    },
    /// The driver reported any other error.
    #[error(
        "the NVIDIA driver failed in {call}: {name} ({code}), {description}; check that \
         `nvidia-smi` works, and restart the machine if the driver was just updated"
    )]
    Driver {
        /// The driver function that failed.
        call: &'static str,
        /// The driver's number for the error, a `CUresult`.
        code: u32,
        /// The driver's name for it.
        name: String,
        /// The driver's description of it.
        description: String,
    },
}

/// Names the driver function that failed. Use after `driver::load` has found
/// the functions that put an error into words.
pub(crate) fn refused(call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    move |error| match error.0 {
        CUresult::CUDA_ERROR_NO_DEVICE => CudaError::NoDevice,
        CUresult::CUDA_ERROR_STUB_LIBRARY => CudaError::Stub,
        code => CudaError::Driver {
            call,
            code: code as u32,
            name: words(error.error_name()),
            description: words(error.error_string()),
        },
    }
}

// A driver need not know words for every code.
fn words(text: Result<&CStr, DriverError>) -> String {
    text.map_or_else(|_| "unknown error".into(), |text| text.to_string_lossy().into_owned())
}
