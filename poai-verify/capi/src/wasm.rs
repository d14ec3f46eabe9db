//! Memory for callers that have none of their own: a page writes a proof into
//! the module's memory before it calls the verifier.

use std::alloc::{Layout, alloc, dealloc};

/// Bytes that the caller may write. Null if `len` is 0 or there is no such
/// memory. [`poai_free`] frees them.
#[unsafe(no_mangle)]
pub extern "C" fn poai_alloc(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        // SAFETY: the layout has a size that is not zero.
        Ok(layout) if len > 0 => unsafe { alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

/// Frees the bytes of [`poai_alloc`].
///
/// # Safety
/// `data` is null, or a result of `poai_alloc(len)` that is not yet freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_free(data: *mut u8, len: usize) {
    if let (Ok(layout), false) = (Layout::array::<u8>(len), data.is_null()) {
        // SAFETY: the caller guarantees that it was allocated with this layout.
        unsafe { dealloc(data, layout) };
    }
}
