//! Blocks of 32 entries with one or two half-precision factors, and entries
//! without blocks. A product and a sum of two floats are rounded one after the
//! other, as in ggml.

use half::{bf16, f16};
use rayon::prelude::*;

/// Blocks that one task dequantises.
const TASK: usize = 1 << 12;

/// The N entries of each block of B bytes.
pub(super) fn each<const B: usize, const N: usize>(
    bytes: &[u8],
    block: fn(&[u8; B]) -> [f32; N],
) -> Vec<f32> {
    let blocks = bytes.as_chunks::<B>().0;
    let mut entries = vec![0.0; blocks.len() * N];
    entries.par_chunks_mut(TASK * N).zip(blocks.par_chunks(TASK)).for_each(|(entries, blocks)| {
        for (entries, bytes) in entries.as_chunks_mut::<N>().0.iter_mut().zip(blocks) {
            *entries = block(bytes);
        }
    });
    entries
}

/// The half-precision number of two bytes at `place`.
pub(super) fn factor<const B: usize>(bytes: &[u8; B], place: usize) -> f32 {
    f16::from_le_bytes([bytes[place], bytes[place + 1]]).to_f32()
}

pub(super) fn f32s(bytes: &[u8; 4]) -> [f32; 1] {
    [f32::from_le_bytes(*bytes)]
}

pub(super) fn f16s(bytes: &[u8; 2]) -> [f32; 1] {
    [f16::from_le_bytes(*bytes).to_f32()]
}

pub(super) fn bf16s(bytes: &[u8; 2]) -> [f32; 1] {
    [bf16::from_le_bytes(*bytes).to_f32()]
}

/// Entry `index` of 32 in 16 bytes: the low halves of bytes come first.
fn nibble(bytes: &[u8], index: usize) -> u8 {
    match index {
        0..16 => bytes[index] & 15,
        _ => bytes[index - 16] >> 4,
    }
}

/// A factor, and 4 bits an entry around 8.
pub(super) fn q4_0(bytes: &[u8; 18]) -> [f32; 32] {
    let d = factor(bytes, 0);
    std::array::from_fn(|i| (f32::from(nibble(&bytes[2..], i)) - 8.0) * d)
}

/// A factor, the least entry, and 4 bits an entry.
pub(super) fn q4_1(bytes: &[u8; 20]) -> [f32; 32] {
    let (d, least) = (factor(bytes, 0), factor(bytes, 2));
    std::array::from_fn(|i| f32::from(nibble(&bytes[4..], i)) * d + least)
}

/// Entry `index` of 32 with 5 bits: the highest ones stand in 4 bytes before
/// the others.
fn five(bytes: &[u8], index: usize) -> u8 {
    nibble(&bytes[4..], index) | (bytes[index / 8] >> (index % 8) & 1) << 4
}

/// A factor, and 5 bits an entry around 16.
pub(super) fn q5_0(bytes: &[u8; 22]) -> [f32; 32] {
    let d = factor(bytes, 0);
    std::array::from_fn(|i| (f32::from(five(&bytes[2..], i)) - 16.0) * d)
}

/// A factor, the least entry, and 5 bits an entry.
pub(super) fn q5_1(bytes: &[u8; 24]) -> [f32; 32] {
    let (d, least) = (factor(bytes, 0), factor(bytes, 2));
    std::array::from_fn(|i| f32::from(five(&bytes[4..], i)) * d + least)
}

/// A factor, and 8 bits an entry.
pub(super) fn q8_0(bytes: &[u8; 34]) -> [f32; 32] {
    let d = factor(bytes, 0);
    std::array::from_fn(|i| f32::from(bytes[2 + i].cast_signed()) * d)
}
