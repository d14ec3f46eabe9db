//! Which tiles an audit opens (spec §14).

use super::rules::TraceRules;
use crate::digest::{Beacon, ReceiptDigest, SegmentRoot, TraceRoot};
use crate::program::ops::Local;
use crate::program::{Extent, Program, RunShape, ValueId};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// A tile of a step's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sample {
    /// The step's value.
    pub value: ValueId,
    /// The tile, counted row by row.
    pub tile: u64,
}

/// A run, and the rules by which an audit draws its tiles.
#[derive(Clone, Copy, Debug)]
pub struct Sampling<'a> {
    /// The program.
    pub program: &'a Program,
    /// The extents of its values in this run, [`Program::extents`].
    pub extents: &'a [Extent],
    /// The run.
    pub run: &'a RunShape,
    /// The rules, which set the number of tiles.
    pub rules: &'a TraceRules,
}

/// Binary logarithm of the units of a step when steps are drawn. There are far
/// more units than entries of a step, which are at most 2^38.
const UNITS: u32 = 56;

/// The numbers by which an audit chooses what it opens: the extendable output of a
/// hash, 16 bytes a number.
pub struct SampleStream(blake3::OutputReader);

impl SampleStream {
    /// The numbers of an audit of a receipt: of `H("audit", trace_root ‖ receipt ‖
    /// beacon)` (spec §14).
    pub fn of_receipt(trace: &TraceRoot, receipt: &ReceiptDigest, beacon: &Beacon) -> SampleStream {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 audit");
        hasher.update(trace.as_bytes()).update(receipt.as_bytes()).update(beacon.as_bytes());
        SampleStream(hasher.finalize_xof())
    }

    /// The numbers of an audit of a segment of a training run: of `H("train audit",
    /// segment ‖ beacon)` (spec §19).
    pub fn of_segment(segment: &SegmentRoot, beacon: &Beacon) -> SampleStream {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 train audit");
        hasher.update(segment.as_bytes()).update(beacon.as_bytes());
        SampleStream(hasher.finalize_xof())
    }

    /// The next 16 bytes as a little-endian number, modulo `modulus`.
    pub fn below(&mut self, modulus: u128) -> u128 {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        u128::from_le_bytes(bytes) % modulus.max(1)
    }

    /// One of the `total` units, from the `index`-th of `count` strata. The strata split the units,
    /// each in 2^32 parts, as equally as whole parts permit. `total` is 1 to 2^80.
    fn stratum(&mut self, total: u128, index: u32, count: u32) -> u128 {
        const SCALE: u32 = 32;
        let (scaled, count) = (total << SCALE, u128::from(count));
        // ⌊index·scaled/count⌋, in a form that does not overflow.
        let start = |index: u128| index * (scaled / count) + index * (scaled % count) / count;
        let (low, high) = (start(index.into()), start(u128::from(index) + 1));
        // Empty only if there are 2^32 strata for each unit.
        (low + self.below(high - low)) >> SCALE
    }
}

impl Sampling<'_> {
    /// The tiles that an audit of a receipt opens under a beacon. Each
    /// appears once, in the order in which they are drawn (spec §14):
    ///
    /// 1. of each output in order all tiles, or the tiles of
    ///    [`TraceRules::output_tiles`] entries if there are more;
    /// 2. the tiles of [`TraceRules::product_samples`] MACs;
    /// 3. the tiles of [`TraceRules::step_samples`] entries of the steps whose
    ///    values are no outputs: the same number from each step, and the
    ///    remainder from some of them.
    ///
    /// The audit draws a MAC or a true entry, from strata of equal size, and
    /// opens its tile. Tiles at an edge hold fewer.
    ///
    /// The beacon has to be fixed after the receipt was admitted (spec §14). A
    /// beacon that the prover can influence lets it grind; so does the trace
    /// root itself (Fiat–Shamir). See `soundness` in `poai-verify`.
    pub fn tiles(
        &self,
        trace: &TraceRoot,
        receipt: &ReceiptDigest,
        beacon: &Beacon,
    ) -> Vec<Sample> {
        self.drawn(&mut SampleStream::of_receipt(trace, receipt, beacon))
    }

    /// As [`Sampling::tiles`], by the next numbers of a stream.
    pub fn drawn(&self, draws: &mut SampleStream) -> Vec<Sample> {
        let mut all = Distinct::default();
        for &output in self.program.outputs() {
            self.output(output, draws, &mut all);
        }
        self.products(draws, &mut all);
        self.steps(draws, &mut all);
        all.order
    }

    fn output(&self, value: ValueId, draws: &mut SampleStream, all: &mut Distinct) {
        let Some(local) = self.local(value) else { return };
        let (tiles, count) = (local.grid().tiles(), self.rules.output_tiles);
        if tiles <= count.into() {
            (0..tiles).for_each(|tile| all.add(Sample { value, tile }));
            return;
        }
        for index in 0..count {
            let entry = draws.stratum(entries(&local.output), index, count);
            all.add(tile_of(&local, value, entry));
        }
    }

    fn products(&self, draws: &mut SampleStream, all: &mut Distinct) {
        let macs: Vec<u128> =
            self.values().map(|value| self.program.macs(value, self.run).into()).collect();
        let total: u128 = macs.iter().sum();
        if total == 0 {
            return;
        }
        let count = self.rules.product_samples;
        for index in 0..count {
            let mut at = draws.stratum(total, index, count);
            for (value, &macs) in self.values().zip(&macs) {
                if at >= macs {
                    at -= macs;
                    continue;
                }
                if let Some(local) = self.local(value) {
                    // Below 2^64 and 2^38. Every entry of a step has the same
                    // number of MACs.
                    all.add(tile_of(&local, value, at * entries(&local.output) / macs));
                }
                break;
            }
        }
    }

    fn steps(&self, draws: &mut SampleStream, all: &mut Distinct) {
        // The tiles of outputs are opened by `output`.
        let inner = inner_steps(self.program);
        // Exact: at most 2^16 steps.
        let steps = inner.len() as u32;
        if steps == 0 {
            return;
        }
        let mut add = |step: u32, unit: u128| {
            let value = inner.get(step as usize).copied();
            if let Some((value, local)) = value.and_then(|value| Some((value, self.local(value)?)))
            {
                all.add(tile_of(&local, value, (unit * entries(&local.output)) >> UNITS));
            }
        };
        // First the same number from each step, then the remainder from some.
        let (rounds, rest) = (self.rules.step_samples / steps, self.rules.step_samples % steps);
        for round in 0..rounds {
            for step in 0..steps {
                add(step, draws.stratum(1 << UNITS, round, rounds));
            }
        }
        for index in 0..rest {
            let at = draws.stratum(u128::from(steps) << UNITS, index, rest);
            add((at >> UNITS) as u32, at & ((1 << UNITS) - 1));
        }
    }

    /// The values that steps make.
    fn values(&self) -> impl Iterator<Item = ValueId> {
        // Exact: at most 2^16 + 4096 values.
        (self.program.inputs().len() as u32..self.program.values() as u32).map(ValueId)
    }

    fn local(&self, value: ValueId) -> Option<Local<'_>> {
        Local::new(self.program, self.extents, *self.run, value)
    }
}

/// The steps' values that are no outputs, in order. Audits draw step samples from
/// them.
pub fn inner_steps(program: &Program) -> Vec<ValueId> {
    let outputs: BTreeSet<ValueId> = program.outputs().iter().copied().collect();
    // Exact: at most 2^16 + 4096 values.
    let steps = program.inputs().len() as u32..program.values() as u32;
    steps.map(ValueId).filter(|value| !outputs.contains(value)).collect()
}

/// The number of true entries of a tensor: at most 2^38.
fn entries(extent: &Extent) -> u128 {
    u128::from(extent.rows) * u128::from(extent.columns)
}

/// The tile of a true entry. Tiles count row by row.
fn tile_of(local: &Local<'_>, value: ValueId, entry: u128) -> Sample {
    let columns = u128::from(local.output.columns).max(1);
    // Exact: a row and a column of the output.
    let (row, column) = ((entry / columns) as u32, (entry % columns) as u32);
    Sample { value, tile: local.grid().at(row, column).unwrap_or(0) }
}

/// Distinct tiles, in the order in which each was first drawn.
#[derive(Default)]
struct Distinct {
    order: Vec<Sample>,
    seen: BTreeSet<Sample>,
}

impl Distinct {
    fn add(&mut self, sample: Sample) {
        if self.seen.insert(sample) {
            self.order.push(sample);
        }
    }
}
