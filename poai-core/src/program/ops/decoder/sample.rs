//! The choice of words.

use super::octaves::Octaves;
use super::places::start;
use crate::digest::derive;
use crate::program::decoder::REQUEST_COLUMNS;
use crate::program::ops::arithmetic::rsh;
use crate::program::ops::{Local, Region, RowSource, StepError, table};
use alloc::vec;
use alloc::vec::Vec;

/// The largest weight, which the largest entry of a row has.
const WEIGHT_MAX: i32 = 1 << 30;

/// Chooses a column of each row.
pub(super) fn sample(
    local: &Local<'_>,
    shift: u8,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let octaves = Octaves::new(&table(source, local.inputs)?, WEIGHT_MAX);
    let per_item = local.output_item_rows();
    let mut x = vec![0; local.slot(0).columns as usize];
    for (row, out) in region.rows.clone().zip(out) {
        let (item, own) = (row / per_item, row % per_item);
        let start = start(source, 1, item)?;
        let mut request = [0; REQUEST_COLUMNS as usize];
        source.read(1, item, &mut request)?;
        let [_, multiplier, kept, seed @ ..] = request;
        source.read(0, row, &mut x)?;
        // Exact: both are below 2^31.
        let random = random(&seed, start + own);
        *out = choose(&mut x, &Weights { multiplier, kept, shift, octaves: &octaves }, random);
    }
    Ok(())
}

/// The random number of a place: the first 8 bytes of a keyed hash.
///
/// The seed has the 8 words of a request.
pub fn random(seed: &[i32; 8], place: u32) -> u64 {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(seed) {
        *bytes = word.to_le_bytes();
    }
    let hash = blake3::keyed_hash(&derive!("sample", &bytes), &place.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// How logits become weights.
struct Weights<'a> {
    multiplier: i32,
    /// How many entries are kept, or a number that no row has for all.
    kept: i32,
    shift: u8,
    octaves: &'a Octaves,
}

/// Chooses a column of a row, which it replaces by weights.
fn choose(x: &mut [i32], how: &Weights<'_>, random: u64) -> i32 {
    let max = x.iter().copied().max().unwrap_or(0);
    // What has the first place of the order, if no entry has a weight.
    let first = x.iter().position(|&x| x == max).unwrap_or(0);
    let last = last_kept(x, how.kept);
    let mut total = 0u64;
    for (column, x) in x.iter_mut().enumerate() {
        let is_kept = last.is_none_or(|last| order(*x, column) <= last);
        // Exact: 32 bits by 31.
        let distance = (i64::from(max) - i64::from(*x)) * i64::from(how.multiplier);
        *x = if is_kept { how.octaves.at(rsh(distance, how.shift)) } else { 0 };
        // Exact: at most 2^20 entries of at most 2^30.
        total += u64::from(x.unsigned_abs());
    }
    // Exact: below the total.
    let target = ((u128::from(random) * u128::from(total)) >> 64) as u64;
    let mut sum = 0;
    let above = x.iter().position(|x| {
        sum += u64::from(x.unsigned_abs());
        sum > target
    });
    // Exact: a row has at most 2^20 columns.
    above.unwrap_or(first) as i32
}

/// The rank of an entry by value, falling, then by column.
fn order(x: i32, column: usize) -> u64 {
    // Flipping the sign bit orders i32 as u32.
    let falling = !(x as u32 ^ (1 << 31));
    (u64::from(falling) << 32) | column as u64
}

/// The rank of the last entry that is kept, or `None` if all are.
fn last_kept(x: &[i32], kept: i32) -> Option<u64> {
    let kept = usize::try_from(kept).ok().filter(|kept| (1..x.len()).contains(kept))?;
    let ranks = x.iter().enumerate().map(|(column, &x)| order(x, column));
    let mut ranks: Vec<u64> = ranks.collect();
    Some(*ranks.select_nth_unstable(kept - 1).1)
}
