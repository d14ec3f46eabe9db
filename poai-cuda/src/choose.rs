//! A GPU by name.

use crate::backend::Cuda;
use crate::backend::variant::Variant;
use crate::device::devices;
use crate::error::CudaError;

/// What chooses a GPU with the fastest kernels that it has.
pub const FASTEST: &str = "cuda";

/// Opens the GPU of a name: `cuda` with the fastest kernels that it has, or one
/// of [`Variant::name`] with these and no others; behind a colon the device's
/// ordinal, 0 without one. `None` where the name is none of a GPU's.
pub fn by_name(name: &str) -> Option<Result<Cuda, CudaError>> {
    let (kernels, ordinal) = match name.split_once(':') {
        Some((kernels, ordinal)) => (kernels, ordinal.parse().ok()?),
        None => (name, 0),
    };
    let variant = Variant::ALL.into_iter().find(|variant| variant.name() == kernels);
    if variant.is_none() && kernels != FASTEST {
        return None;
    }
    Some(open(variant, ordinal))
}

fn open(variant: Option<Variant>, ordinal: usize) -> Result<Cuda, CudaError> {
    let devices = devices()?;
    let count = devices.len();
    let device = devices.into_iter().find(|device| device.ordinal == ordinal);
    let device = device.ok_or(CudaError::NoOrdinal { ordinal, count })?;
    match variant {
        Some(variant) => Cuda::forced(&device, variant),
        None => Cuda::open(&device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whole() {
        for name in ["", "cud", "cuda-", "cuda:", "cuda:x", "cuda:-1", "cuda-mma:0x1", "cpu-avx2"] {
            assert!(by_name(name).is_none(), "{name}");
        }
        for name in ["cuda", "cuda:0", "cuda-mma", "cuda-dp4a:3"] {
            assert!(by_name(name).is_some(), "{name}");
        }
    }
}
