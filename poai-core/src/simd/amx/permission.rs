//! Whether this process may use AMX.
//!
//! It may if the processor has AMX, the system saves its registers, and Linux
//! grants the process the space for them.

use super::tiles::Tiles;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// The system call `arch_prctl`.
const SYS_ARCH_PRCTL: usize = 158;
/// The command of `arch_prctl` that requests a feature's registers.
const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
/// The number of the tile registers' data among the saved features.
const XTILEDATA: usize = 18;

/// Asks the system for permission to use AMX.
///
/// Linux grants it to the whole process permanently, and asking again changes
/// nothing. Linux refuses if a signal stack is too small for the larger state.
pub(super) fn ask() -> Option<Tiles> {
    // SAFETY: both conditions have just been checked: the instructions exist,
    // and the process may use them.
    (is_present() && is_granted()).then(|| unsafe { Tiles::assume() })
}

/// Whether the processor has AMX-TILE and AMX-INT8, and the system saves the
/// registers.
///
/// The kernel uses one layout: palette 1, with 8 registers of 16 rows of 64
/// bytes (Intel SDM volume 1, chapter 18).
fn is_present() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    if __cpuid(0).eax < 0x1d || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    // SAFETY: OSXSAVE shows that the instruction exists.
    let saved = unsafe { _xgetbv(0) };
    let palette = __cpuid_count(0x1d, 1);
    __cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8
        && saved & TILE_STATE == TILE_STATE
        && palette.ebx & 0xffff == 64
        && palette.ebx >> 16 == 8
        && palette.ecx & 0xffff == 16
}

/// Whether Linux grants this process the registers.
fn is_granted() -> bool {
    let answer: isize;
    // SAFETY: the call reads two numbers and writes no memory of this process.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") SYS_ARCH_PRCTL => answer,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer == 0
}
