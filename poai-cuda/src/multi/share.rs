//! The rows that each GPU takes.

use crate::backend::Cuda;
use crate::backend::variant::Variant;
use crate::detection::Gpu;
use crate::version::Version;
use core::ops::Range;
use cudarc::driver::{result, sys::CUdevice_attribute as Attribute};
use poai_core::Params;

const TILE: u32 = Params::CONSENSUS.tile() as u32;

/// Each GPU's speed relative to the others, above 0: multiprocessors times
/// clock times what its kernels do in a cycle.
pub(super) fn weights(gpus: &[Cuda]) -> Vec<u64> {
    let clocks = gpus.iter().map(|cuda| clock(cuda.gpu().info())).collect();
    // If one clock is unknown, the others cannot be compared with it.
    let clocks: Vec<u64> = Option::unwrap_or(clocks, vec![1; gpus.len()]);
    let weight = |(cuda, clock): (&Cuda, u64)| {
        let gpu = cuda.gpu().info();
        u64::from(gpu.multiprocessors.max(1)) * clock * rate(cuda.variant(), gpu.capability)
    };
    gpus.iter().zip(clocks).map(weight).collect()
}

/// Multiply-accumulates of a multiprocessor in a cycle, from data sheets. A
/// wrong value leaves GPUs idle at the end of a product, but makes no result
/// wrong.
const fn rate(variant: Variant, capability: Version) -> u64 {
    match (variant, capability.major, capability.minor) {
        (Variant::Dp4a, 6, _) => 512,
        (Variant::Dp4a, ..) => 256,
        // GPUs for data centres, and those for desktops.
        (Variant::Mma, 8, 0) | (Variant::Mma, 9 | 10, _) => 2048,
        (Variant::Mma, ..) => 1024,
        (Variant::Wgmma, ..) => 4096,
    }
}

/// The highest clock of the multiprocessors in kHz, if the driver reports it.
fn clock(gpu: &Gpu) -> Option<u64> {
    let handle = result::device::get(i32::try_from(gpu.ordinal).ok()?).ok()?;
    let attribute = Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE;
    // SAFETY: the handle comes from `device::get`.
    let clock = unsafe { result::device::get_attribute(handle, attribute) };
    u64::try_from(clock.ok()?).ok().filter(|clock| *clock > 0)
}

/// The rows of each GPU, `None` if it gets none: whole tiles, in order, in
/// proportion to the weights. A row moves `row_bytes` bytes between host and
/// GPU. If a GPU's share would move fewer than `least` bytes, the slowest GPU
/// is left out, repeatedly, until one GPU remains.
pub(super) fn shares(
    rows: u32,
    row_bytes: u64,
    weights: &[u64],
    least: u64,
) -> Vec<Option<Range<u32>>> {
    let mut weights = weights.to_vec();
    loop {
        let shares = split(rows, &weights);
        let worth = |(share, weight): (&Range<u32>, &u64)| {
            let bytes = u64::from(share.end - share.start) * row_bytes;
            *weight == 0 || (!share.is_empty() && bytes >= least)
        };
        let used = weights.iter().filter(|weight| **weight > 0).count();
        if used <= 1 || shares.iter().zip(&weights).all(worth) {
            return shares.into_iter().map(|share| Some(share).filter(|s| !s.is_empty())).collect();
        }
        // Of equally slow GPUs, drop the last, so that small products stay on
        // the first.
        let slowest = weights.iter_mut().rev().filter(|weight| **weight > 0);
        if let Some(weight) = slowest.min_by_key(|weight| **weight) {
            *weight = 0;
        }
    }
}

/// Splits tiles in proportion to the weights, each bound rounded to the nearest
/// tile.
fn split(rows: u32, weights: &[u64]) -> Vec<Range<u32>> {
    let tiles = u128::from(rows / TILE);
    let total: u128 = weights.iter().copied().map(u128::from).sum();
    let (mut sum, mut start) = (0u128, 0);
    let next = |weight: &u64| {
        sum += u128::from(*weight);
        // Exact: at most the number of all tiles.
        let end = ((tiles * sum + total / 2) / total.max(1)) as u32 * TILE;
        let share = start..end;
        start = end;
        share
    };
    weights.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_tiles_in_proportion() {
        assert_eq!(shares(96, 1, &[5], 0), [Some(0..96)]);
        assert_eq!(shares(1024, 1, &[1, 1], 0), [Some(0..512), Some(512..1024)]);
        assert_eq!(shares(1024, 1, &[1, 3], 0), [Some(0..256), Some(256..1024)]);
        assert_eq!(shares(96, 1, &[1, 1], 0), [Some(0..64), Some(64..96)]);
    }

    #[test]
    fn what_is_not_worth_a_card_goes_to_the_fastest() {
        assert_eq!(shares(32, 1, &[1, 2, 2], 0), [None, Some(0..32), None]);
        assert_eq!(shares(32, 1, &[2, 2], 0), [Some(0..32), None]);
        assert_eq!(shares(64, 1, &[1, 1, 1], 0), [Some(0..32), Some(32..64), None]);
        // A quarter of 128 rows of 10 bytes is 320 bytes.
        assert_eq!(shares(128, 10, &[3, 1], 320), [Some(0..96), Some(96..128)]);
        assert_eq!(shares(128, 10, &[3, 1], 321), [Some(0..128), None]);
        assert_eq!(shares(128, 10, &[3, 1], u64::MAX), [Some(0..128), None]);
    }

    #[test]
    fn every_row_is_shared_once() {
        for tiles in [1, 2, 3, 7, 64, 1001, 1 << 26] {
            for weights in [&[1, 1, 1][..], &[7, 1], &[1, 1 << 40, 3, 9], &[u64::MAX; 16]] {
                let rows = tiles * TILE;
                let mut next = 0;
                for share in shares(rows, 1, weights, 0).into_iter().flatten() {
                    assert!(share.start == next && share.end > next && share.end % TILE == 0);
                    next = share.end;
                }
                assert_eq!(next, rows);
            }
        }
    }
}
