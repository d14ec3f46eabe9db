//! Memory for callers who have none of their own: a page writes a proof into the
//! module's memory before it asks about it.

use std::alloc::{Layout, alloc, dealloc};

/// Bytes that the caller may write. Null where there is no such memory, or for
/// none. [`poai_free`] gives them back.
#[unsafe(no_mangle)]
pub extern "C" fn poai_alloc(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        // SAFETY: the layout has a size that is not zero.
        Ok(layout) if len > 0 => unsafe { alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

/// Gives back what [`poai_alloc`] made.
///
/// # Safety
/// `data` is null, or of `poai_alloc(len)` and not yet given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_free(data: *mut u8, len: usize) {
    if let (Ok(layout), false) = (Layout::array::<u8>(len), data.is_null()) {
        // SAFETY: it was allocated with this layout, by the caller's word.
        unsafe { dealloc(data, layout) };
    }
}
