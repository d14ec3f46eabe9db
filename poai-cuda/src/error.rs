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
        "no NVIDIA driver: {LIBRARY} was not found; install the NVIDIA driver (no CUDA \
         toolkit is needed), or put the folder of that file on the library search path"
    )]
    NoDriver,
    /// A library was loaded in the driver's place that lacks a function.
    #[error(
        "the library loaded as {LIBRARY} has no function {function}: it is not a whole NVIDIA \
         driver; install one for CUDA {DRIVER} or newer, and remove other copies of the \
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
    /// The driver is there and shows no GPU to this process.
    #[error(
        "the NVIDIA driver shows no GPU: check that `nvidia-smi` lists one and that \
         CUDA_VISIBLE_DEVICES does not hide it; in a container, start it with the NVIDIA \
         container runtime (`--gpus all`)"
    )]
    NoGpu,
    /// No GPU has the ordinal that was asked for.
    #[error("there is no GPU {ordinal}: the driver shows {count}, counted from 0")]
    NoOrdinal {
        /// What was asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The GPU lacks instructions that the kernels use.
    #[error(
        "{name} has compute capability {capability}, {needed} or higher is needed: use another \
         GPU (GeForce 10 series or newer), or the CPU"
    )]
    TooOld {
        /// The GPU.
        name: String,
        /// What it has.
        capability: Version,
        /// The lowest that will do.
        needed: Version,
    },
    /// There is not enough free memory on the GPU.
    #[error(
        "{name} has no {bytes} bytes of memory left: use smaller batches or fewer tile rows at \
         once, or end other programs that `nvidia-smi` shows on it"
    )]
    OutOfMemory {
        /// The GPU.
        name: String,
        /// What was asked for.
        bytes: u64,
    },
    /// There is no memory left on the GPU for what the driver itself keeps
    /// there: it does not say how much it wanted.
    #[error(
        "the memory of {name} is full (noticed in {call}): end other programs that `nvidia-smi` \
         shows on it, such as another miner"
    )]
    Full {
        /// The GPU.
        name: String,
        /// The call that noticed.
        call: &'static str,
    },
    /// The host has no memory left that the driver may pin for copies.
    #[error(
        "the host has no {bytes} bytes of memory left to pin for copies to the GPU: end other \
         programs, or give this one more memory or a higher limit on locked memory \
         (`ulimit -l`, or the container's)"
    )]
    OutOfHostMemory {
        /// What was asked for.
        bytes: u64,
    },
    /// The GPU stopped answering, or its memory failed.
    #[error(
        "{name} is lost ({code}, in {call}): see the system log for `Xid`, lower any overclock, \
         and restart the machine if `nvidia-smi` does not show it any more"
    )]
    Lost {
        /// The GPU.
        name: String,
        /// The driver's name of what happened.
        code: String,
        /// The call that noticed.
        call: &'static str,
    },
    /// A kernel, in this call or an earlier one, was ended by the GPU.
    #[error(
        "a kernel failed on {name} ({code}, noticed in {call}): its results are void and this \
         process can use the GPU no more; start it again, and if it happens again check the \
         GPU's memory and clocks, then report it"
    )]
    Kernel {
        /// The GPU.
        name: String,
        /// The driver's name of what happened.
        code: String,
        /// The call that noticed.
        call: &'static str,
    },
    /// The GPU lacks a variant that was asked for by name.
    #[error(
        "{name} has compute capability {capability}, {variant} needs {needed}: leave the \
         choice to the library, or take another variant"
    )]
    NoVariant {
        /// The GPU.
        name: String,
        /// What it has.
        capability: Version,
        /// The variant.
        variant: &'static str,
        /// What will do.
        needed: Architecture,
    },
    /// The GPU computed a wrong sum when it was opened.
    #[error(
        "{name} computes wrongly ({got:#010x}, and not {expected:#010x}): lower any overclock, \
         install another driver, and do not mine with it until this is gone"
    )]
    Wrong {
        /// The GPU.
        name: String,
        /// The right sum.
        expected: u32,
        /// The GPU's.
        got: u32,
    },
    /// No kernel for a GPU of this compute capability: a defect of this
    /// library.
    #[error("there is no kernel {kernel} of {file} for this GPU")]
    NoKernel {
        /// The file of kernels.
        file: &'static str,
        /// The kernel.
        kernel: &'static str,
    },
    /// The kernels are not made for these parameters.
    #[error("the kernels for GPUs do not take rank {rank} and tile {tile}: use the CPU")]
    Unsupported {
        /// The rank of the noise.
        rank: usize,
        /// The tile's side.
        tile: usize,
    },
    /// Data was put on another GPU, or on the same GPU opened once more.
    #[error("the data is not on this opening of {name}: use it with what put it on the GPU")]
    Foreign {
        /// The GPU asked to use it.
        name: String,
    },
    /// More bytes than the memory has: a defect of this library.
    #[error("a copy reaches beyond the memory on the GPU")]
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

/// Names the driver function that failed. Use after `driver::load` has found
/// the functions that put an error into words.
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

/// The same for a call that takes memory of the GPU of this name for the driver:
/// on a GPU that other programs fill, these calls notice first.
pub(crate) fn refused_on(call: &'static str, gpu: &str) -> impl FnOnce(DriverError) -> CudaError {
    let name = gpu.to_owned();
    move |error| match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::Full { name, call },
        _ => refused(call)(error),
    }
}

/// Sorts what a call on the open GPU of this name reports: memory that is not
/// there, a GPU that is lost, a kernel that was ended, or anything else. `bytes`
/// are what was asked for, where it was memory.
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

// A driver need not know words for every code.
fn words(text: Result<&CStr, DriverError>) -> String {
    text.map_or_else(|_| "unknown error".into(), |text| text.to_string_lossy().into_owned())
}
