//! Causal attention whose heads share keys and values in groups.

use super::octaves::Octaves;
use crate::params::Params;
use crate::program::DecoderOp;
use crate::program::ops::arithmetic::{rdiv, rsh, rsh_product, sat16, sat32};
use crate::program::ops::reads::items;
use crate::program::ops::{Local, Region, RowSource, StepError, read_rows, table};
use crate::vectorise::vectorise;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The largest weight, which the nearest key has.
const WEIGHT_MAX: i32 = 16256;
/// Binary logarithm of the scale of a mean of values.
const MEAN_BITS: u32 = 16;

/// The columns of a tile: as many as divide a head's and are at most a tile's
/// rows, so that a tile lies in one head.
pub(in crate::program::ops) fn tile_columns(width: u32) -> u32 {
    let most = Params::CONSENSUS.tile() as u32;
    (1..=most).rev().find(|&columns| width.is_multiple_of(columns)).unwrap_or(1)
}

/// The shape of an item of grouped attention.
pub(super) struct Shape {
    heads: u32,
    key_heads: u32,
    window: u32,
    /// The columns of a head.
    width: u32,
    /// The tokens of an item.
    pub(super) sequence: u32,
}

impl Shape {
    /// The shape of a step, or `None` if it is no attention.
    pub(super) fn new(local: &Local<'_>, op: &DecoderOp) -> Option<Shape> {
        let DecoderOp::Attention { heads, key_heads, window, .. } = *op else { return None };
        let (heads, width) = (heads.max(1), local.slot(0).columns.max(1));
        Some(Shape { heads, key_heads, window, width, sequence: local.run.sequence })
    }

    /// The heads of some columns, each with its own columns of them, counted
    /// from the head's first.
    pub(super) fn heads_of(
        &self,
        columns: &Range<u32>,
    ) -> impl Iterator<Item = (u32, Range<u32>)> + use<> {
        let width = self.width;
        items(columns, width)
            .map(move |(head, own)| (head, own.start - head * width..own.end - head * width))
    }

    /// The head of keys that a head of queries reads.
    fn group(&self, head: u32) -> u32 {
        // Exact: below the number of heads of keys.
        (u64::from(head) * u64::from(self.key_heads) / u64::from(self.heads)) as u32
    }

    /// The first row of an item's head of queries.
    pub(super) fn queries(&self, item: u32, head: u32) -> u32 {
        (item * self.heads + head) * self.sequence
    }

    /// The first row of the keys that a head of queries reads.
    pub(super) fn keys(&self, item: u32, head: u32) -> u32 {
        (item * self.key_heads + self.group(head)) * self.sequence
    }

    /// The row of the first column of the values that a head of queries reads.
    pub(super) fn values(&self, item: u32, head: u32) -> u32 {
        (item * self.key_heads + self.group(head)) * self.width
    }

    /// The places that a place sees, whatever the length.
    pub(super) fn seen(&self, places: &Range<u32>) -> Range<u32> {
        let first = match self.window {
            0 => 0,
            window => (places.start + 1).saturating_sub(window),
        };
        first..places.end
    }
}

/// The keys and values of some places, which several rows read.
#[derive(Default)]
struct Held {
    /// The rows of the keys, and the rows of the values.
    of: Option<(Range<u32>, Range<u32>)>,
    keys: Vec<i8>,
    scales: Vec<i32>,
    /// One row for each column of the region.
    values: Vec<i8>,
}

impl Held {
    /// Reads the keys in some rows, of `width` entries, and the entries of the
    /// values' rows at the places that start at `first`.
    fn load(
        &mut self,
        source: &dyn RowSource,
        keys: Range<u32>,
        values: Range<u32>,
        first: u32,
        scratch: &mut Vec<i32>,
        width: usize,
    ) -> Result<(), StepError> {
        let of = Some((keys.clone(), values.clone()));
        if self.of == of {
            return Ok(());
        }
        // An error must not leave rows that were read in part.
        self.of = None;
        scratch.resize(keys.len().max(width), 0);
        self.keys.clear();
        for row in keys.clone() {
            source.read(2, row, &mut scratch[..width])?;
            // Exact: entries of i8.
            self.keys.extend(scratch[..width].iter().map(|&entry| entry as i8));
        }
        self.scales.resize(keys.len(), 0);
        source.read_rows(3, keys.clone(), 1, &mut self.scales)?;
        self.values.clear();
        for row in values {
            let entries = &mut scratch[..keys.len()];
            source.read_from(4, row, first, entries)?;
            self.values.extend(entries.iter().map(|&entry| entry as i8));
        }
        self.of = of;
        Ok(())
    }
}

/// Computes a region. Rows are (item, i), columns are (head, channel).
pub(super) fn compute(
    local: &Local<'_>,
    op: &DecoderOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (Some(shape), DecoderOp::Attention { shifts, .. }) = (Shape::new(local, op), op) else {
        return Err(StepError::Region);
    };
    let constant = local.inputs;
    let octaves = Octaves::new(&table(source, constant + 1)?, WEIGHT_MAX);
    let scales = read_rows(source, constant + 2, region.columns.clone(), 1)?;
    let width = shape.width as usize;
    let mut held = Held::default();
    let mut scratch = vec![];
    let (mut entries, mut q) = (vec![0; width], vec![0; width]);
    for (item, rows) in items(&region.rows, shape.sequence) {
        let base = item * shape.sequence;
        let length = local.length(source, 5, item)?;
        let places = rows.start - base..rows.end - base;
        let seen = shape.seen(&places);
        for (head, own) in shape.heads_of(&region.columns) {
            let keys = shape.keys(item, head);
            let values = shape.values(item, head);
            let keys = keys + seen.start..keys + seen.end;
            let values = values + own.start..values + own.end;
            held.load(source, keys, values, seen.start, &mut scratch, width)?;
            let mut alpha = [0];
            source.read(constant, head, &mut alpha)?;
            let at = (head * shape.width + own.start - region.columns.start) as usize;
            for i in places.clone() {
                let start = (base + i - region.rows.start) as usize * region.width() + at;
                let out = out.get_mut(start..start + own.len()).ok_or(StepError::Region)?;
                let mut mq = [0];
                let query = shape.queries(item, head) + i;
                source.read(0, query, &mut entries)?;
                source.read(1, query, &mut mq)?;
                for (q, &entry) in q.iter_mut().zip(&entries) {
                    *q = entry as i8;
                }
                let of_row = shape.seen(&(i..i + 1));
                let end = of_row.end.min(length);
                if of_row.start >= end {
                    out.fill(0);
                    continue;
                }
                let own_keys = (of_row.start - seen.start) as usize..(end - seen.start) as usize;
                let [first, second, third, last] = *shifts;
                let weights = &mut scratch[..own_keys.len()];
                let keys = &held.keys[own_keys.start * width..own_keys.end * width];
                let mk = &held.scales[own_keys.clone()];
                scores(weights, &q, keys, mk, first);
                let c = sat32(rsh_product(mq[0], alpha[0], second));
                let sum = exponentials(weights, c, third, &octaves);
                let all = held.values.chunks_exact(seen.len());
                let columns = out.iter_mut().zip(all).zip(&scales[at..]);
                for ((out, values), &scale) in columns {
                    let total = weighted(weights, &values[own_keys.clone()]);
                    // Exact: at most 2^17 products of 20 bits.
                    let mean = sat32(rdiv(total << MEAN_BITS, sum.max(1)));
                    *out = sat16(rsh_product(mean, scale, last));
                }
            }
        }
    }
    Ok(())
}

/// Turns scores into weights, by their scaled distance from the largest, and
/// returns their sum.
fn exponentials(row: &mut [i32], c: i32, shift: u8, octaves: &Octaves) -> i64 {
    let max = row.iter().copied().max().unwrap_or(0);
    let mut sum = 0;
    for x in row {
        // Exact: 32 bits by 31.
        let distance = (i64::from(max) - i64::from(*x)) * i64::from(c);
        *x = octaves.at(rsh(distance, shift));
        sum += i64::from(*x);
    }
    sum
}

vectorise! {
    /// Computes `sat(rsh(Σ q·k · m, shift))` for each key.
    fn scores(out: &mut [i32], q: &[i8], keys: &[i8], scales: &[i32], shift: u8) {
        let keys = keys.chunks_exact(q.len().max(1));
        for ((out, k), &m) in out.iter_mut().zip(keys).zip(scales) {
            // Exact: fewer than 2^17 products of 13 bits.
            let sum: i32 = q.iter().zip(k).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
            *out = sat32(rsh_product(sum, m, shift));
        }
    }

    /// Sums values times their weights.
    fn weighted(weights: &[i32], values: &[i8]) -> i64 {
        // The sum of a part fits 32 bits: 1024 products of 20 bits.
        const PART: usize = 1024;
        let parts = weights.chunks(PART).zip(values.chunks(PART));
        let sum = |(weights, values): (&[i32], &[i8])| -> i32 {
            weights.iter().zip(values).map(|(&e, &v)| e * i32::from(v)).sum()
        };
        parts.map(|part| i64::from(sum(part))).sum()
    }
}
