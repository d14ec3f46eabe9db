//! Blocks of 256 entries in groups of 16 or 32, each with integer factors of
//! its own.

use super::blocks::factor;

/// Bits `2·shift` and up of the byte for entry `i`, where each 32 bytes hold
/// 128 entries in four layers of 2 bits.
fn two(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}

/// 4 bits for entry `i`, where each 32 bytes hold 64 entries in two layers.
fn four(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15
}

/// 16 factors and minima of 4 bits, 2 bits an entry.
pub(super) fn q2_k(bytes: &[u8; 84]) -> [f32; 256] {
    let (d, least) = (factor(bytes, 80), factor(bytes, 82));
    std::array::from_fn(|i| {
        let scale = bytes[i / 16];
        let (own, minimum) = (d * f32::from(scale & 15), least * f32::from(scale >> 4));
        own * f32::from(two(&bytes[16..80], i)) - minimum
    })
}

/// 16 factors of 6 bits around 32, 3 bits an entry around 4.
pub(super) fn q3_k(bytes: &[u8; 110]) -> [f32; 256] {
    let d = factor(bytes, 108);
    let scales = &bytes[96..108];
    std::array::from_fn(|i| {
        let group = i / 16;
        let low = scales[group % 8] >> (group / 8 * 4) & 15;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        let scale = f32::from(low | high << 4) - 32.0;
        let top = bytes[i % 32] >> (i / 32) & 1;
        d * scale * (f32::from(two(&bytes[32..96], i) | top << 2) - 4.0)
    })
}

/// The factor and the minimum of 6 bits of group `j` of 8, in 12 bytes.
fn pair(scales: &[u8], j: usize) -> (f32, f32) {
    let (scale, minimum) = match j {
        0..4 => (scales[j] & 63, scales[j + 4] & 63),
        _ => {
            (scales[j + 4] & 15 | scales[j - 4] >> 6 << 4, scales[j + 4] >> 4 | scales[j] >> 6 << 4)
        }
    };
    (f32::from(scale), f32::from(minimum))
}

/// 8 factors and minima of 6 bits, 4 bits an entry.
pub(super) fn q4_k(bytes: &[u8; 144]) -> [f32; 256] {
    let (d, least) = (factor(bytes, 0), factor(bytes, 2));
    std::array::from_fn(|i| {
        let (scale, minimum) = pair(&bytes[4..16], i / 32);
        d * scale * f32::from(four(&bytes[16..], i)) - least * minimum
    })
}

/// 8 factors and minima of 6 bits, 5 bits an entry.
pub(super) fn q5_k(bytes: &[u8; 176]) -> [f32; 256] {
    let (d, least) = (factor(bytes, 0), factor(bytes, 2));
    std::array::from_fn(|i| {
        let (scale, minimum) = pair(&bytes[4..16], i / 32);
        let top = bytes[16 + i % 32] >> (i / 32) & 1;
        d * scale * f32::from(four(&bytes[48..], i) | top << 4) - least * minimum
    })
}

/// 16 factors of 8 bits, 6 bits an entry around 32.
pub(super) fn q6_k(bytes: &[u8; 210]) -> [f32; 256] {
    let d = factor(bytes, 208);
    std::array::from_fn(|i| {
        let (half, place) = (i / 128, i % 128);
        let low = bytes[half * 64 + place % 64] >> (place / 64 * 4) & 15;
        let high = two(&bytes[128..192], i);
        let scale = f32::from(bytes[192 + i / 16].cast_signed());
        d * scale * (f32::from(low | high << 4) - 32.0)
    })
}
