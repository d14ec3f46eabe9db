use std::ffi::c_int;

use cudarc::driver::{result::device, sys::CUdevice_attribute as Attribute};

use crate::driver;
use crate::error::{CudaError, refused};
use crate::requirements::CAPABILITY;
use crate::version::Version;

/// One GPU, as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gpu {
    /// The driver's number for it, from 0. It counts the GPUs visible to
    /// this process, so it changes with `CUDA_VISIBLE_DEVICES`.
    pub ordinal: usize,
    /// The product name, like `NVIDIA GeForce RTX 4090`.
    pub name: String,
    /// The compute capability.
    pub capability: Version,
    /// All memory on the GPU, in bytes, used or free.
    pub memory: u64,
    /// The number of multiprocessors.
    pub multiprocessors: u32,
}

impl Gpu {
    /// Whether the GPU has the instructions that the kernels use.
    ///
    /// # Errors
    /// [`CudaError::TooOld`] below compute capability 6.1.
    pub fn check_supported(&self) -> Result<(), CudaError> {
        if self.capability < CAPABILITY {
            return Err(CudaError::TooOld {
                name: self.name.clone(),
                capability: self.capability,
                needed: CAPABILITY,
            });
        }
        Ok(())
    }

    fn read(ordinal: c_int) -> Result<Gpu, CudaError> {
        let handle = device::get(ordinal).map_err(refused("cuDeviceGet"))?;
        let attribute = |which| {
            // SAFETY: the handle comes from `device::get`.
            let value = unsafe { device::get_attribute(handle, which) };
            // The values read here are counts: a negative value means zero.
            value
                .map(|value| u32::try_from(value).unwrap_or(0))
                .map_err(refused("cuDeviceGetAttribute"))
        };
        // SAFETY: the handle comes from `device::get`.
        let memory = unsafe { device::total_mem(handle) };
        Ok(Gpu {
            ordinal: usize::try_from(ordinal).unwrap_or(0),
            name: device::get_name(handle).map_err(refused("cuDeviceGetName"))?,
            capability: Version {
                major: attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                minor: attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            },
            memory: memory.map_err(refused("cuDeviceTotalMem"))? as u64,
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        })
    }
}

/// Lists every GPU that the driver shows, in the order of ordinals. The list
/// includes GPUs that [`Gpu::check_supported`] rejects, and is never empty.
///
/// The call creates no context, so it takes no memory on a GPU. After an error
/// the caller may call it again, for example once the driver is installed.
///
/// ```
/// match poai_cuda::gpus() {
///     Ok(gpus) => {
///         for gpu in gpus {
///             println!("{}: {}, {} bytes", gpu.ordinal, gpu.name, gpu.memory);
///         }
///     }
///     Err(error) => eprintln!("{error}"),
/// }
/// ```
///
/// # Errors
/// - [`CudaError::NoDriver`], [`CudaError::Incomplete`] or [`CudaError::Stub`]
///   if there is no driver, or another library in its place.
/// - [`CudaError::DriverTooOld`] for a driver older than CUDA 12.0.
/// - [`CudaError::NoGpu`] if the driver shows no GPU.
/// - [`CudaError::Driver`] for any other error of the driver.
pub fn gpus() -> Result<Vec<Gpu>, CudaError> {
    driver::load()?;
    let count = device::get_count().map_err(refused("cuDeviceGetCount"))?;
    if count < 1 {
        return Err(CudaError::NoGpu);
    }
    (0..count).map(Gpu::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_supported_from_the_needed_capability_on() {
        let check = |major, minor| {
            let capability = Version { major, minor };
            let name = "a GPU".to_string();
            Gpu { ordinal: 0, name, capability, memory: 1 << 33, multiprocessors: 20 }
                .check_supported()
        };
        for (major, minor) in [(5, 2), (6, 0)] {
            let capability = Version { major, minor };
            assert_eq!(
                check(major, minor),
                Err(CudaError::TooOld { name: "a GPU".into(), capability, needed: CAPABILITY })
            );
        }
        for (major, minor) in [(6, 1), (7, 0), (12, 0)] {
            assert_eq!(check(major, minor), Ok(()));
        }
    }
}
