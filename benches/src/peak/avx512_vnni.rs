//! AVX-512 VNNI: `vpdpbusd` on whole registers.

use super::{OPERANDS, Peak, dot};
use core::arch::asm;
use core::arch::x86_64::*;

/// Independent accumulators; sixteen sums of four products each.
const ACCUMULATORS: usize = 16;

fn present() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

/// The loop, if the processor has AVX-512 F and VNNI.
pub(super) fn find() -> Option<Peak> {
    present().then_some(Peak {
        macs: (ACCUMULATORS * 64) as u64,
        rounds,
        sum: || dot(64).wrapping_mul(ACCUMULATORS as u32),
    })
}

fn rounds(rounds: u32) -> u32 {
    assert!(present());
    // SAFETY: the processor has AVX-512 F and VNNI.
    unsafe { run(rounds) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn run(rounds: u32) -> u32 {
    // SAFETY: both arrays have the 64 bytes that are read, and no alignment is
    // required.
    let (a, b) = unsafe {
        let a = _mm512_loadu_si512(OPERANDS.a.as_ptr().cast());
        (a, _mm512_loadu_si512(OPERANDS.b.as_ptr().cast()))
    };
    let mut s = [_mm512_setzero_si512(); ACCUMULATORS];
    for _ in 0..rounds {
        // SAFETY: reads and writes only these registers. Not `pure`: the
        // compiler must not omit any round.
        unsafe {
            asm!(
                "vpdpbusd {s0}, {a}, {b}", "vpdpbusd {s1}, {a}, {b}",
                "vpdpbusd {s2}, {a}, {b}", "vpdpbusd {s3}, {a}, {b}",
                "vpdpbusd {s4}, {a}, {b}", "vpdpbusd {s5}, {a}, {b}",
                "vpdpbusd {s6}, {a}, {b}", "vpdpbusd {s7}, {a}, {b}",
                "vpdpbusd {s8}, {a}, {b}", "vpdpbusd {s9}, {a}, {b}",
                "vpdpbusd {s10}, {a}, {b}", "vpdpbusd {s11}, {a}, {b}",
                "vpdpbusd {s12}, {a}, {b}", "vpdpbusd {s13}, {a}, {b}",
                "vpdpbusd {s14}, {a}, {b}", "vpdpbusd {s15}, {a}, {b}",
                a = in(zmm_reg) a, b = in(zmm_reg) b,
                s0 = inout(zmm_reg) s[0], s1 = inout(zmm_reg) s[1],
                s2 = inout(zmm_reg) s[2], s3 = inout(zmm_reg) s[3],
                s4 = inout(zmm_reg) s[4], s5 = inout(zmm_reg) s[5],
                s6 = inout(zmm_reg) s[6], s7 = inout(zmm_reg) s[7],
                s8 = inout(zmm_reg) s[8], s9 = inout(zmm_reg) s[9],
                s10 = inout(zmm_reg) s[10], s11 = inout(zmm_reg) s[11],
                s12 = inout(zmm_reg) s[12], s13 = inout(zmm_reg) s[13],
                s14 = inout(zmm_reg) s[14], s15 = inout(zmm_reg) s[15],
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    let mut sum = 0u32;
    for sums in s {
        let mut lanes = [0u32; 16];
        // SAFETY: the array has the 64 bytes that are written.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sums) };
        sum = lanes.into_iter().fold(sum, u32::wrapping_add);
    }
    sum
}
