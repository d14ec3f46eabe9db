//! The border to C: turns pointers into slices, and panics into error codes.

use crate::code::{POAI_ERROR_ARGUMENT, POAI_ERROR_INTERNAL};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The bytes at a pointer. Null is empty if the length is 0.
///
/// # Safety
/// `len` bytes at `data` are readable and no thread changes them while `'a`
/// lasts, unless `data` is null.
pub unsafe fn bytes<'a>(data: *const u8, len: usize) -> Result<&'a [u8], i32> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || isize::try_from(len).is_err() {
        return Err(POAI_ERROR_ARGUMENT);
    }
    // SAFETY: not null, and not longer than memory can be. The caller
    // guarantees that it is readable and unchanged. Bytes need no alignment.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// `N` bytes at a pointer that must not be null.
///
/// # Safety
/// As [`bytes`], for `N` bytes.
pub unsafe fn array<const N: usize>(data: *const u8) -> Result<[u8; N], i32> {
    // SAFETY: the caller guarantees it for N bytes.
    let slice = unsafe { bytes(data, N) }?;
    slice.try_into().map_err(|_| POAI_ERROR_ARGUMENT)
}

/// The value at a pointer that must not be null.
///
/// # Safety
/// `from` is null, or points to a readable `T` whose bytes are a valid value.
pub unsafe fn read<T: Copy>(from: *const T) -> Result<T, i32> {
    if from.is_null() {
        return Err(POAI_ERROR_ARGUMENT);
    }
    // SAFETY: not null, and the caller guarantees that it is readable. It need not be aligned.
    Ok(unsafe { from.read_unaligned() })
}

/// Writes a value if the pointer is not null.
///
/// # Safety
/// `to` is null, or points to writable memory of a `T`.
pub unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, and the caller guarantees that it is writable. It
        // need not be aligned. The old value may be uninitialised, so it is not
        // dropped.
        unsafe { to.write_unaligned(value) };
    }
}

/// Writes a value to a pointer that must not be null.
///
/// # Safety
/// `to` is null, or points to writable memory of the value's size.
pub unsafe fn write<P, T>(to: *mut P, value: T) -> Result<(), i32> {
    if to.is_null() {
        return Err(POAI_ERROR_ARGUMENT);
    }
    // SAFETY: the caller guarantees it; `put` requires no alignment.
    unsafe { put(to.cast(), value) };
    Ok(())
}

/// The first `max` of `len` numbers at a pointer, or all if there are fewer. Null is an empty list
/// if the length is 0. Numbers after the first `max` are not read.
///
/// # Safety
/// `len` numbers at `data`, or `max` if that is less, are readable and no
/// thread changes them until this returns, unless `data` is null.
pub unsafe fn numbers(data: *const u64, len: usize, max: usize) -> Result<Vec<u64>, i32> {
    if len == 0 {
        return Ok(Vec::new());
    }
    let in_memory =
        len.checked_mul(size_of::<u64>()).is_some_and(|len| isize::try_from(len).is_ok());
    if data.is_null() || !in_memory {
        return Err(POAI_ERROR_ARGUMENT);
    }
    // SAFETY: not null, and not longer than memory can be. The caller
    // guarantees that the numbers that are read are readable. They need not be
    // aligned.
    Ok((0..len.min(max)).map(|index| unsafe { data.add(index).read_unaligned() }).collect())
}

/// Runs `work` and turns a panic in it into an error code.
pub fn guard(work: impl FnOnce() -> Result<(), i32>) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => crate::code::POAI_OK,
        Ok(Err(code)) => code,
        Err(payload) => {
            // The payload's destructor may panic, too, and no caller could
            // catch that.
            std::mem::forget(payload);
            POAI_ERROR_INTERNAL
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_code() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in a destructor");
            }
        }
        assert_eq!(guard(|| panic!("expected in this test")), POAI_ERROR_INTERNAL);
        assert_eq!(guard(|| std::panic::panic_any(Bomb)), POAI_ERROR_INTERNAL);
        assert_eq!(guard(|| Ok(())), 0);
        assert_eq!(guard(|| Err(7)), 7);
    }

    #[test]
    fn null_and_any_length() {
        // SAFETY: null is refused or empty before anything is read. One pointer is to one byte, and
        // longer lengths of it are refused. The last pointer has the eight bytes that are written
        // and read.
        unsafe {
            assert_eq!(bytes(std::ptr::null(), 0), Ok(&[][..]));
            assert_eq!(bytes(std::ptr::null(), 1), Err(POAI_ERROR_ARGUMENT));
            assert_eq!(bytes(&7, usize::MAX), Err(POAI_ERROR_ARGUMENT));
            assert_eq!(bytes(&7, isize::MAX as usize + 1), Err(POAI_ERROR_ARGUMENT));
            assert_eq!(bytes(&7, 1), Ok(&[7][..]));
            assert_eq!(array::<32>(std::ptr::null()), Err(POAI_ERROR_ARGUMENT));
            put(std::ptr::null_mut(), 1);
            let mut odd = [0u8; 9];
            put(odd.as_mut_ptr().add(1).cast(), 0x0102_0304_0506_0708_u64.to_be());
            assert_eq!(odd, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(read(odd.as_ptr().add(1).cast()), Ok(0x0102_0304_0506_0708_u64.to_be()));
            assert_eq!(read(std::ptr::null::<u64>()), Err(POAI_ERROR_ARGUMENT));
        }
    }

    #[test]
    fn numbers_are_read_as_far_as_they_count() {
        let mut odd = [0u8; 25];
        for (index, byte) in odd[1..].iter_mut().enumerate() {
            *byte = index as u8 / 8;
        }
        let three = [0, 1, 2].map(|byte| u64::from_ne_bytes([byte; 8]));
        let data = odd[1..].as_ptr().cast();
        let longest = isize::MAX as usize / 8;
        // SAFETY: null is refused or empty before anything is read. At most
        // three numbers of the other pointer's three are read.
        unsafe {
            assert_eq!(numbers(data, 3, 101), Ok(three.to_vec()));
            assert_eq!(numbers(data, 3, 2), Ok(three[..2].to_vec()));
            assert_eq!(numbers(data, longest, 3), Ok(three.to_vec()));
            assert_eq!(numbers(data, 3, 0), Ok(vec![]));
            assert_eq!(numbers(std::ptr::null(), 0, 3), Ok(vec![]));
            assert_eq!(numbers(std::ptr::null(), 1, 3), Err(POAI_ERROR_ARGUMENT));
            assert_eq!(numbers(data, longest + 1, 3), Err(POAI_ERROR_ARGUMENT));
            assert_eq!(numbers(data, usize::MAX, 3), Err(POAI_ERROR_ARGUMENT));
            let mut to = 0u64;
            assert_eq!(write(&mut to, 7u64), Ok(()));
            assert_eq!(to, 7);
            assert_eq!(write(std::ptr::null_mut::<u64>(), 7u64), Err(POAI_ERROR_ARGUMENT));
        }
    }
}
