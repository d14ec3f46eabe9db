use std::ffi::CStr;

use cudarc::driver::{DriverError, sys::CUresult};

use crate::kernels::Architecture;
use crate::requirements::{DRIVER, LIBRARY};
use crate::version::Version;

/// Why a GPU cannot be used, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver's library could not be loaded.
    #[error(
        "expected the NVIDIA driver, got no library {LIBRARY}; install the driver (no CUDA \
         toolkit is needed), or put the folder of that file on the library search path"
    )]
    NoDriver,
    /// A library in the driver's place lacks a function.
    #[error(
        "expected an NVIDIA driver for CUDA {DRIVER} or newer, got a library {LIBRARY} without \
         the function {function}; install such a driver, and remove other copies of the \
         library from the library search path"
    )]
    Incomplete {
        /// The first function missing.
        function: &'static str,
    },
    /// The CUDA toolkit's stand-in for linking was loaded, not the driver.
    #[error(
        "expected the NVIDIA driver, got the CUDA toolkit's stub; take the toolkit's `stubs` \
         folder off the library search path (LD_LIBRARY_PATH)"
    )]
    Stub,
    /// The driver is older than the interface used here.
    #[error(
        "expected an NVIDIA driver for CUDA {needed} or newer, got one for CUDA {found}; install \
         a newer driver"
    )]
    DriverTooOld {
        /// The newest CUDA version that the driver supports.
        found: Version,
        /// The oldest CUDA version that is accepted.
        needed: Version,
    },
    /// The driver shows no GPU to this process.
    #[error(
        "expected a GPU, got none from the NVIDIA driver; check that `nvidia-smi` lists one and \
         that CUDA_VISIBLE_DEVICES does not hide it; run a container with the NVIDIA \
         container runtime (`--gpus all`)"
    )]
    NoGpu,
    /// No GPU has the requested ordinal.
    #[error(
        "expected a GPU ordinal below {count}, got {ordinal}; name a GPU that the driver shows"
    )]
    NoOrdinal {
        /// The requested ordinal.
        ordinal: usize,
        /// The number of GPUs; ordinals count from 0.
        count: usize,
    },
    /// The GPU lacks instructions that the kernels use.
    #[error(
        "expected compute capability {needed} or higher, got {capability} of {name}; use another \
         GPU (GeForce 10 series or newer), or the CPU"
    )]
    TooOld {
        /// The GPU.
        name: String,
        /// The GPU's compute capability.
        capability: Version,
        /// The lowest compute capability that is accepted.
        needed: Version,
    },
    /// There is not enough free memory on the GPU.
    #[error(
        "expected {bytes} bytes of free memory on {name}, got less; use smaller batches or fewer \
         tile rows at once, or end other programs that `nvidia-smi` shows on it"
    )]
    OutOfMemory {
        /// The GPU.
        name: String,
        /// The requested number of bytes.
        bytes: u64,
    },
    /// The GPU has no memory left for the driver's own use. The driver does not
    /// say how much it requested.
    #[error(
        "expected free memory on {name}, got a full GPU in {call}; end other programs that \
         `nvidia-smi` shows on it, such as another miner"
    )]
    Full {
        /// The GPU.
        name: String,
        /// The call that noticed.
        call: &'static str,
    },
    /// The host has no memory left that the driver may pin for copies.
    #[error(
        "expected {bytes} bytes of the host to pin for copies to the GPU, got less; end other \
         programs, give this one more memory, or raise its limit on locked memory (`ulimit -l`, or the \
         container's)"
    )]
    OutOfHostMemory {
        /// The requested number of bytes.
        bytes: u64,
    },
    /// The GPU stopped answering, or its memory failed.
    #[error(
        "{name} is lost ({code}, in {call}); see the system log for `Xid`, lower any overclock, \
         and restart the machine if `nvidia-smi` no longer shows the GPU"
    )]
    Lost {
        /// The GPU.
        name: String,
        /// The driver's name of the error.
        code: String,
        /// The call that noticed.
        call: &'static str,
    },
    /// The GPU ended a kernel, in this call or an earlier one.
    #[error(
        "a kernel failed on {name} ({code}, noticed in {call}) and its results are void; this \
         process can no longer use the GPU, so start it again; if it fails again, check the \
         GPU's memory and clocks, then report it"
    )]
    Kernel {
        /// The GPU.
        name: String,
        /// The driver's name of the error.
        code: String,
        /// The call that noticed.
        call: &'static str,
    },
    /// The GPU lacks a variant that the caller named.
    #[error(
        "expected compute capability {needed} for {variant}, got {capability} of {name}; let the \
         library choose, or take another variant"
    )]
    NoVariant {
        /// The GPU.
        name: String,
        /// The GPU's compute capability.
        capability: Version,
        /// The variant.
        variant: &'static str,
        /// The compute capabilities that run the variant.
        needed: Architecture,
    },
    /// The GPU computed a wrong sum when it was opened.
    #[error(
        "expected {expected:#010x} from the check of {name}, got {got:#010x}; lower any \
         overclock, install another driver, and do not mine with it until this is fixed"
    )]
    Wrong {
        /// The GPU.
        name: String,
        /// The right sum.
        expected: u32,
        /// The GPU's sum.
        got: u32,
    },
    /// The library has no kernel for a GPU of this compute capability: a defect
    /// of this library.
    #[error("expected a kernel {kernel} of {file} for this GPU, got none; report this defect")]
    NoKernel {
        /// The file of kernels.
        file: &'static str,
        /// The kernel.
        kernel: &'static str,
    },
    /// The kernels are not made for these parameters.
    #[error("expected the consensus rank and tile, got rank {rank} and tile {tile}; use the CPU")]
    Unsupported {
        /// The rank of the noise.
        rank: usize,
        /// The tile's side.
        tile: usize,
    },
    /// The data belongs to another GPU, or to another opening of the same GPU.
    #[error(
        "expected data of this opening of {name}, got data of another; use it with the backend \
         that made it"
    )]
    Foreign {
        /// The GPU that was asked to use it.
        name: String,
    },
    /// An access beyond the end of memory: a defect of this library.
    #[error(
        "expected an access within the memory on the GPU, got one beyond its end; report this \
         defect, or pass larger memory"
    )]
    Bounds,
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

/// Converts a driver error and names the driver function that failed. Call it
/// only after `driver::load` has found the functions that describe errors.
pub(crate) fn refused(call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    move |error| match error.0 {
        CUresult::CUDA_ERROR_NO_DEVICE => CudaError::NoGpu,
        CUresult::CUDA_ERROR_STUB_LIBRARY => CudaError::Stub,
        code => CudaError::Driver {
            call,
            code: code as u32,
            name: words(error.error_name()),
            description: words(error.error_string()),
        },
    }
}

/// Converts the error of a call that takes memory of the named GPU for the
/// driver. If other programs fill the GPU, these calls notice first.
pub(crate) fn refused_on(call: &'static str, gpu: &str) -> impl FnOnce(DriverError) -> CudaError {
    let name = gpu.to_owned();
    move |error| match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::Full { name, call },
        _ => refused(call)(error),
    }
}

/// Classifies the error of a call on the named open GPU: no memory left, a lost
/// GPU, a kernel that was ended, or any other error. `bytes` is the requested
/// number of bytes if the call requested memory.
pub(crate) fn failed(
    call: &'static str,
    gpu: &str,
    bytes: Option<u64>,
) -> impl FnOnce(DriverError) -> CudaError {
    let name = gpu.to_owned();
    move |error| {
        let code = words(error.error_name());
        match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => match bytes {
                Some(bytes) => CudaError::OutOfMemory { name, bytes },
                None => CudaError::Full { name, call },
            },
            CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
            | CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUresult::CUDA_ERROR_SYSTEM_NOT_READY => CudaError::Lost { name, code, call },
            CUresult::CUDA_ERROR_LAUNCH_FAILED
            | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
            | CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUresult::CUDA_ERROR_INVALID_PC
            | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
            | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUresult::CUDA_ERROR_ASSERT => CudaError::Kernel { name, code, call },
            _ => refused(call)(error),
        }
    }
}

// A driver need not have a name or a description for every code.
fn words(text: Result<&CStr, DriverError>) -> String {
    text.map_or_else(|_| "unknown error".into(), |text| text.to_string_lossy().into_owned())
}
