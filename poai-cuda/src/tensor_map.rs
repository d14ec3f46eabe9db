//! Tensor maps: the descriptions of a matrix that Hopper's copies need. A
//! kernel takes one by value.

use crate::error::{CudaError, refused};
use cudarc::driver::sys::{
    self, CUtensorMapDataType as DataType, CUtensorMapFloatOOBfill as Outside,
    CUtensorMapInterleave as Interleave, CUtensorMapL2promotion as Promotion,
    CUtensorMapSwizzle as Swizzle,
};
use std::mem::MaybeUninit;

/// Rows and columns of one copy: a box (`kernels/product.md`).
const BOX: u32 = 128;
/// The address and the bytes of a row must be multiples of this.
const ALIGNED: u64 = 16;

/// Makes the map of a row-major matrix of bytes. Copies from outside the matrix
/// give zeros, so it may have fewer rows than a box.
///
/// # Safety
/// [`crate::driver::load_for_maps`] has succeeded.
pub(crate) unsafe fn encode(
    address: sys::CUdeviceptr,
    rows: u32,
    columns: u32,
) -> Result<sys::CUtensorMap, CudaError> {
    if !address.is_multiple_of(ALIGNED) || !u64::from(columns).is_multiple_of(ALIGNED) {
        return Err(CudaError::Bounds);
    }
    let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
    // The innermost dimension comes first. It has no stride: its entries are
    // dense.
    let sizes = [u64::from(columns), u64::from(rows)];
    let (row_bytes, one_box, every) = ([u64::from(columns)], [BOX; 2], [1; 2]);
    // SAFETY: the caller guarantees that the driver has the function. It reads
    // two sizes, one stride, two box sizes and two steps, as many as the rank
    // says. It writes the map, whose type has the right size and alignment. It
    // stores the address and reads nothing there.
    let encoded = unsafe {
        sys::cuTensorMapEncodeTiled(
            map.as_mut_ptr(),
            DataType::CU_TENSOR_MAP_DATA_TYPE_UINT8,
            2,
            address as *mut std::ffi::c_void,
            sizes.as_ptr(),
            row_bytes.as_ptr(),
            one_box.as_ptr(),
            every.as_ptr(),
            Interleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            Swizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            // A row of a box is a whole line of the L2 cache.
            Promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
            Outside::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    encoded.result().map_err(refused("cuTensorMapEncodeTiled"))?;
    // SAFETY: the call succeeded, so it wrote the map.
    Ok(unsafe { map.assume_init() })
}
