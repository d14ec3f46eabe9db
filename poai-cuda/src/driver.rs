//! The driver library: checks that it exists, is complete and is new enough.

use std::ffi::c_int;

use cudarc::driver::{result, sys};

use crate::error::{CudaError, refused};
use crate::requirements;
use crate::version::Version;

/// Every driver function that listing GPUs reaches, here or through cudarc.
const FUNCTIONS: [&str; 9] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2",
    "cuGetErrorName",
    "cuGetErrorString",
];

/// The driver functions that an open GPU reaches in addition.
const GPU_FUNCTIONS: [&str; 30] = [
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuDeviceGetDefaultMemPool",
    "cuMemPoolGetAttribute",
    "cuMemPoolSetAttribute",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemAllocAsync",
    "cuMemFreeAsync",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemsetD8Async",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventQuery",
    "cuEventSynchronize",
    "cuStreamWaitEvent",
    "cuEventDestroy_v2",
];

/// The driver functions that launches with tensor maps reach in addition. GPUs
/// without tensor maps do not need them.
const MAP_FUNCTIONS: [&str; 1] = ["cuTensorMapEncodeTiled"];

/// Loads and initialises the driver. Until this has succeeded, other calls into
/// cudarc may panic: cudarc panics if the library or a function in it is
/// missing.
///
/// This function cannot guard against four things:
/// - If the library is removed between the check and the load, cudarc panics.
/// - Any library that takes the driver's name runs in this process. Its load
///   code runs, and its functions may break their contract. For example, cudarc
///   panics on a name without an end.
/// - An error code newer than the pinned interface is not in cudarc's enum of
///   codes. Holding one there is undefined behaviour. The calls made here are
///   not known to return one.
/// - A dependent crate may build cudarc for another version of the interface.
///   That changes what cudarc calls, and `FUNCTIONS` lists only what the pinned
///   version calls.
pub(crate) fn load() -> Result<(), CudaError> {
    // SAFETY: loading runs the library's own start-up code; the names tried are
    // those of the NVIDIA driver, whose start-up code has no preconditions.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    whole(&FUNCTIONS)?;
    // Before the version check: only `cuInit` is guaranteed to work first.
    result::init().map_err(refused("cuInit"))?;
    check(version()?)
}

/// Loads the driver and checks the functions that an open GPU needs.
pub(crate) fn load_for_gpus() -> Result<(), CudaError> {
    load()?;
    whole(&GPU_FUNCTIONS)
}

/// Loads the driver and checks the functions that tensor maps need.
pub(crate) fn load_for_maps() -> Result<(), CudaError> {
    load()?;
    whole(&MAP_FUNCTIONS)
}

/// Checks that the loaded library has all of these functions.
pub(crate) fn whole(functions: &[&'static str]) -> Result<(), CudaError> {
    for &function in functions {
        // SAFETY: as in `load` for the load. The symbol is looked up but never
        // called through this type, so the type need not be the symbol's.
        let found = unsafe { sys::culib().get::<unsafe extern "C" fn()>(function).is_ok() };
        if !found {
            return Err(CudaError::Incomplete { function });
        }
    }
    Ok(())
}

fn version() -> Result<Version, CudaError> {
    let mut code: c_int = 0;
    // SAFETY: the pointer is to a live c_int, which the call only writes.
    let outcome = unsafe { sys::cuDriverGetVersion(&mut code) };
    outcome.result().map_err(refused("cuDriverGetVersion"))?;
    Ok(Version::from_driver(code))
}

fn check(found: Version) -> Result<(), CudaError> {
    if found < requirements::DRIVER {
        return Err(CudaError::DriverTooOld { found, needed: requirements::DRIVER });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_named_is_one_that_is_tried() {
        let tried = ["cuda", "nvcuda"].map(cudarc::get_lib_name_candidates).concat();
        assert!(tried.iter().any(|name| name == requirements::LIBRARY), "{tried:?}");
    }

    #[test]
    fn a_driver_is_accepted_from_the_needed_version_on() {
        let found = Version { major: 11, minor: 8 };
        assert_eq!(
            check(found),
            Err(CudaError::DriverTooOld { found, needed: requirements::DRIVER })
        );
        assert_eq!(check(requirements::DRIVER), Ok(()));
        assert_eq!(check(Version { major: 12, minor: 1 }), Ok(()));
        assert_eq!(check(Version { major: 13, minor: 0 }), Ok(()));
    }
}
