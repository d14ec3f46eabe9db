//! A bound of the memory that mining one product takes. Each line follows an
//! allocation of this module; `tests/memory` measures that the bound holds.

use super::aligned::Aligned;
use super::product::sized;
use super::recover::NARROW_STEPS;
use poai_core::params::Params;
use poai_core::puzzle::commitment::Tree;
use poai_core::puzzle::noise::RankStepFactor;
use poai_core::puzzle::statement::{Shape, Side};
use poai_core::puzzle::transcript::Transcript;
use poai_core::simd::Kernel;

/// Bytes of one chaining value.
const VALUE: u128 = 32;
/// Bytes of a cache line, which alignment may add to each allocation.
const LINE: u128 = 64;
/// Small things: the queues of rayon, errors, the tally of winners.
const SMALL: u128 = 1 << 16;

/// The most bytes that mining takes, beyond the two matrices.
pub(super) fn of_mining(
    kernel: &dyn Kernel,
    threads: usize,
    params: &Params,
    shape: &Shape,
) -> u64 {
    let (tile, rank) = (params.tile() as u128, params.rank() as u128);
    let steps = u128::from(shape.k) / rank;
    let side = |side| {
        let rows = u128::from(shape.rows(side));
        let strips = rows / tile;
        let packed = kernel.packed_len(params, side) as u128;
        let strip = steps * packed + LINE + size_of::<Aligned<i8>>() as u128;
        // The step factors, and their transposes while recovery needs them.
        let factors = 2 * steps * size_of::<RankStepFactor>() as u128;
        tree(rows * u128::from(shape.k)) + strips * strip + rows * rank + factors
    };
    let rows = u128::from(shape.m) + u128::from(shape.n);
    let narrow = rows / tile * 2 * kernel.thin_len(params) as u128 + 2 * LINE;
    // Sums of fewer steps fit 16 bits on every kernel.
    let wide = if steps < NARROW_STEPS as u128 { 0 } else { rows * 2 * rank * 4 };
    let product = 4 * u128::from(shape.m) * u128::from(shape.n);
    let each =
        threads as u128 * (scratch(kernel, threads, params, shape) + 8 * tile * rank + SMALL / 16);
    let all = side(Side::A) + side(Side::B) + narrow + wide + product + each + SMALL;
    u64::try_from(all).unwrap_or(u64::MAX)
}

/// The cached tree of a matrix, and the levels that exist while it is made.
fn tree(bytes: u128) -> u128 {
    4 * VALUE * bytes.div_ceil(u128::from(Tree::GROUP_BYTES)) + SMALL / 16
}

/// One thread's sums and transcripts: those of a block, which is smaller if the
/// product is small.
fn scratch(kernel: &dyn Kernel, threads: usize, params: &Params, shape: &Shape) -> u128 {
    let tile = params.tile();
    // Exact: 32 bits.
    let strips = |rows: u32| (rows as usize / tile).max(1);
    let block = sized(kernel.block(), (strips(shape.m), strips(shape.n)), threads);
    let (tiles, tile) = ((block.rows * block.columns) as u128, tile as u128);
    tiles * (4 * tile * tile + size_of::<Transcript>() as u128) + LINE
}
