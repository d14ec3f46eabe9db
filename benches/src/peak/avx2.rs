//! AVX2: `vpmaddwd` and `vpaddd` on entries widened to 16 bits, as in the
//! kernel.

use super::{OPERANDS, Peak, dot};
use core::arch::asm;
use core::arch::x86_64::*;

/// Independent accumulators; eight sums of two products each.
const ACCUMULATORS: usize = 8;

/// The loop, if the processor has AVX2.
pub(super) fn find() -> Option<Peak> {
    is_x86_feature_detected!("avx2").then_some(Peak {
        macs: (ACCUMULATORS * 16) as u64,
        rounds,
        sum: || dot(16).wrapping_mul(ACCUMULATORS as u32),
    })
}

fn rounds(rounds: u32) -> u32 {
    assert!(is_x86_feature_detected!("avx2"));
    // SAFETY: the processor has AVX2.
    unsafe { run(rounds) }
}

#[target_feature(enable = "avx2")]
fn run(rounds: u32) -> u32 {
    // SAFETY: both arrays have the 16 bytes that are read, and no alignment is
    // required.
    let (a, b) = unsafe {
        let a = _mm_loadu_si128(OPERANDS.a.as_ptr().cast());
        let b = _mm_loadu_si128(OPERANDS.b.as_ptr().cast());
        (_mm256_cvtepi8_epi16(a), _mm256_cvtepi8_epi16(b))
    };
    let zero = _mm256_setzero_si256();
    let [mut s0, mut s1, mut s2, mut s3, mut s4, mut s5, mut s6, mut s7] = [zero; ACCUMULATORS];
    for _ in 0..rounds {
        // SAFETY: reads and writes only these registers. Not `pure`: the
        // compiler must not omit any round.
        unsafe {
            asm!(
                "vpmaddwd {p0}, {a}, {b}", "vpmaddwd {p1}, {a}, {b}",
                "vpmaddwd {p2}, {a}, {b}", "vpmaddwd {p3}, {a}, {b}",
                "vpaddd {s0}, {s0}, {p0}", "vpaddd {s1}, {s1}, {p1}",
                "vpaddd {s2}, {s2}, {p2}", "vpaddd {s3}, {s3}, {p3}",
                "vpmaddwd {p0}, {a}, {b}", "vpmaddwd {p1}, {a}, {b}",
                "vpmaddwd {p2}, {a}, {b}", "vpmaddwd {p3}, {a}, {b}",
                "vpaddd {s4}, {s4}, {p0}", "vpaddd {s5}, {s5}, {p1}",
                "vpaddd {s6}, {s6}, {p2}", "vpaddd {s7}, {s7}, {p3}",
                a = in(ymm_reg) a, b = in(ymm_reg) b,
                p0 = out(ymm_reg) _, p1 = out(ymm_reg) _,
                p2 = out(ymm_reg) _, p3 = out(ymm_reg) _,
                s0 = inout(ymm_reg) s0, s1 = inout(ymm_reg) s1,
                s2 = inout(ymm_reg) s2, s3 = inout(ymm_reg) s3,
                s4 = inout(ymm_reg) s4, s5 = inout(ymm_reg) s5,
                s6 = inout(ymm_reg) s6, s7 = inout(ymm_reg) s7,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    let mut sum = 0u32;
    for sums in [s0, s1, s2, s3, s4, s5, s6, s7] {
        let mut lanes = [0u32; 8];
        // SAFETY: the array has the 32 bytes that are written.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sums) };
        sum = lanes.into_iter().fold(sum, u32::wrapping_add);
    }
    sum
}
