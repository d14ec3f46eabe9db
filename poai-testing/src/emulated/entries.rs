//! The functions of a compiled library of kernels (`emulated/shim/launch.hpp`
//! and `fault.hpp`).

use std::ffi::c_char;
use std::path::Path;

/// The same layout as in `shim/launch.hpp`.
#[repr(C)]
pub(super) struct RawLaunch {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared: u32,
    pub(super) order: u32,
    pub(super) seed: u64,
    pub(super) values: *const u64,
    pub(super) kinds: *const c_char,
}

type Run =
    unsafe extern "C" fn(*const c_char, *const RawLaunch, *mut c_char, usize, *mut u64) -> i32;

/// The functions.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    pub(super) launch: Run,
    pub(super) map: unsafe extern "C" fn(usize) -> *mut u8,
    pub(super) unmap: unsafe extern "C" fn(*mut u8, usize),
}

impl Entries {
    /// Loads a library that `compile` made, for the life of the process.
    pub(super) fn load(library: &Path) -> Entries {
        // SAFETY: the library is the shim's: loading it makes one empty machine
        // and sets a fault handler, which passes on faults that are not its
        // own.
        let library = unsafe { libloading::Library::new(library) }.unwrap();
        // SAFETY: launch.hpp and fault.hpp define them with these types.
        let entries = unsafe {
            Entries {
                launch: *library.get(b"simt_launch\0").unwrap(),
                map: *library.get(b"simt_map\0").unwrap(),
                unmap: *library.get(b"simt_unmap\0").unwrap(),
            }
        };
        // Its fault handler stays for the life of the process, so the library
        // must too.
        std::mem::forget(library);
        entries
    }
}
