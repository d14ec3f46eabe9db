//! NEON with the dot-product extension: `sdot`.

use super::{OPERANDS, Peak, dot};
use core::arch::aarch64::*;
use core::arch::asm;
use std::arch::is_aarch64_feature_detected;

/// Independent accumulators; four sums of four products each.
const ACCUMULATORS: usize = 16;

/// The loop, if the processor has the dot product.
pub(super) fn find() -> Option<Peak> {
    is_aarch64_feature_detected!("dotprod").then_some(Peak {
        macs: (ACCUMULATORS * 16) as u64,
        rounds,
        sum: || dot(16).wrapping_mul(ACCUMULATORS as u32),
    })
}

fn rounds(rounds: u32) -> u32 {
    assert!(is_aarch64_feature_detected!("dotprod"));
    // SAFETY: the processor has the dot product.
    unsafe { run(rounds) }
}

#[target_feature(enable = "neon,dotprod")]
fn run(rounds: u32) -> u32 {
    // SAFETY: both arrays have the 16 bytes that are read.
    let (a, b) = unsafe { (vld1q_s8(OPERANDS.a.as_ptr()), vld1q_s8(OPERANDS.b.as_ptr())) };
    let mut s = [vdupq_n_s32(0); ACCUMULATORS];
    for _ in 0..rounds {
        // SAFETY: reads and writes only these registers. Not `pure`: the
        // compiler must not omit any round.
        unsafe {
            asm!(
                "sdot {s0:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s1:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s2:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s3:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s4:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s5:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s6:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s7:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s8:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s9:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s10:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s11:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s12:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s13:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {s14:v}.4s, {a:v}.16b, {b:v}.16b", "sdot {s15:v}.4s, {a:v}.16b, {b:v}.16b",
                a = in(vreg) a, b = in(vreg) b,
                s0 = inout(vreg) s[0], s1 = inout(vreg) s[1],
                s2 = inout(vreg) s[2], s3 = inout(vreg) s[3],
                s4 = inout(vreg) s[4], s5 = inout(vreg) s[5],
                s6 = inout(vreg) s[6], s7 = inout(vreg) s[7],
                s8 = inout(vreg) s[8], s9 = inout(vreg) s[9],
                s10 = inout(vreg) s[10], s11 = inout(vreg) s[11],
                s12 = inout(vreg) s[12], s13 = inout(vreg) s[13],
                s14 = inout(vreg) s[14], s15 = inout(vreg) s[15],
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    s.into_iter().map(|sums| vaddvq_s32(sums) as u32).fold(0, u32::wrapping_add)
}
