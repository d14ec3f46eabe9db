//! The full check: it decides every entry of every step from all tensors.
//!
//! It checks products with weights and scaled products by Freivalds' method if
//! their sums are available, except when multiplying again is faster. It
//! recomputes everything else. A caller without sums multiplies again.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use crate::freivalds::{FreivaldsError, Seed32, check_product, error_bits};
use alloc::vec;
use alloc::vec::Vec;
use poai_core::params::K_END;
use poai_core::program::ops::{Local, Read, Region, RowSource, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{Extent, Op, RunShape, TrainingOp, ValueId};
use poai_core::trace::{Record, TraceHeader, header, record};
use poai_core::{Cancel, Control, Progress, Root, RulesDigest, Shape, TraceRoot};

/// Every tensor of a run, as its padded bytes. The check trusts none of it, and
/// compares all of it with the trace root.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// One for each value, inputs first.
    pub values: &'a [&'a [u8]],
    /// One for each constant.
    pub constants: &'a [&'a [u8]],
    /// For each value the sums of its product, (padded rows of the
    /// input)×(padded rows of the weights), if they are available. A scaled
    /// product's second input takes the place of weights. No root binds the
    /// sums; the check detects wrong ones.
    pub sums: &'a [Option<&'a [i32]>],
}

/// How the full check checks products.
#[derive(Clone, Debug)]
pub struct Method {
    /// A seed that the maker of the trace and the sums does not know.
    pub seed: Seed32,
    /// The number of Freivalds' rounds. Each lets a wrong product pass with a
    /// chance of at most 2^-32.
    pub rounds: u32,
    /// The threshold below which a product is recomputed and its sums are left
    /// unread. It is the number of true MACs for each entry that Freivalds'
    /// check would read: padded operands and sums, once a round. 0 recomputes
    /// no product whose sums are available. [`Method::RECOMPUTE_BELOW`] suits
    /// this crate's own multiplication.
    pub recompute_below: u32,
    /// Progress, in steps, and cancellation.
    pub control: Control,
}

impl Method {
    /// The threshold at which this crate's own, portable multiplication was
    /// measured to be as fast as a check (docs/benchmarks.md). The smallest
    /// product without padding, 32×32×128, has 14 MACs an entry. So only thin
    /// products that are mostly padding are below the threshold.
    pub const RECOMPUTE_BELOW: u32 = 2;

    /// A method with `rounds` rounds and the threshold of this crate's own
    /// multiplication.
    pub fn new(seed: Seed32, rounds: u32) -> Method {
        let (recompute_below, control) = (Method::RECOMPUTE_BELOW, Control::new());
        Method { seed, rounds, recompute_below, control }
    }

    /// Stops the check before its next step when `cancel` is cancelled.
    pub fn cancel(mut self, cancel: &Cancel) -> Method {
        self.control = self.control.cancel(cancel);
        self
    }

    /// Calls `callback` after every step.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Method {
        self.control = self.control.progress(callback);
        self
    }

    /// Whether a product of `macs` true MACs, whose padded matrices have this
    /// shape, is recomputed. Freivalds' check takes no product as deep as
    /// [`K_END`], which padding can reach.
    fn recomputes(&self, macs: u64, shape: &Shape) -> bool {
        if shape.k >= K_END {
            return true;
        }
        let [m, n, k] = [shape.m, shape.n, shape.k].map(u128::from);
        let reads = (m * k + n * k + m * n).saturating_mul(self.rounds.into());
        u128::from(macs) < reads.saturating_mul(self.recompute_below.into())
    }
}

/// A trace that is right in every entry, except for Freivalds' error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The trace.
    pub trace: TraceRoot,
    /// The trace's header.
    pub header: TraceHeader,
    /// The number of products checked by Freivalds' method.
    pub freivalds: u32,
    /// The number of recomputed steps, including products that are faster to
    /// multiply than to check.
    pub recomputed: u32,
    /// Binary logarithm of the inverse of the chance that one wrong product
    /// passed.
    pub error_bits: u32,
    /// The rules under which the trace was checked.
    pub rules: RulesDigest,
}

impl Checker {
    /// Decides every entry of a trace with this header, from all tensors. Its
    /// unit of progress is a step.
    ///
    /// # Errors
    /// [`TraceError`]: tensors of other lengths are malformed. Every other
    /// difference is invalid, and the error names the first wrong entry.
    pub fn full(
        &self,
        trace: &TraceRoot,
        header: &TraceHeader,
        data: &Data<'_>,
        method: &Method,
    ) -> Result<Checked, TraceError> {
        let control = &method.control;
        control.check()?;
        let head = self.head(trace, &mut Cursor::new(&header.to_bytes()))?;
        self.check_memory(&head.run, &head.extents)?;
        self.check_macs(&head)?;
        self.check_lengths(&head, data)?;
        self.check_clean(&head, data)?;
        control.check()?;
        self.check_roots(&head, data)?;
        let (mut freivalds, mut recomputed) = (0, 0);
        let inputs = self.program().inputs().len();
        let steps = self.program().steps().len() as u64;
        for index in inputs..self.program().values() {
            control.check()?;
            // Exact: at most 2^16 + 4096 values.
            let value = ValueId(index as u32);
            match self.step(&head, value, data, method)? {
                true => freivalds += 1,
                false => recomputed += 1,
            }
            control.report((index - inputs) as u64 + 1, steps);
        }
        Ok(Checked {
            trace: head.root,
            header: head.header,
            freivalds,
            recomputed,
            error_bits: error_bits(method.rounds),
            rules: self.rules().digest(),
        })
    }

    /// A bound of the memory in bytes that a full check of a run takes at its
    /// peak on this number of threads, beyond the data. It is 1 thread without
    /// the feature `parallel`.
    ///
    /// # Errors
    /// [`TraceMalformed`] if the rules do not permit the run.
    pub fn full_memory_bytes(&self, run: &RunShape, threads: u32) -> Result<u64, TraceMalformed> {
        let extents = self.extents(run)?;
        let program = self.program();
        let threads = u64::from(threads.max(1));
        let step = |index: usize| {
            let value = ValueId(index as u32);
            let local = Local::new(program, &extents, *run, value);
            local.map_or(0, |local| step_memory(&local, threads))
        };
        let steps = (program.inputs().len()..program.values()).map(step);
        // Roots, records and leaves of all values and constants.
        let all = (program.values() + program.constants().len()) as u64;
        Ok(steps.max().unwrap_or(0) + 512 * all + (64 << 10))
    }

    fn check_lengths(&self, head: &Head, data: &Data<'_>) -> Result<(), TraceMalformed> {
        let constants = self.program().constants().iter().map(|constant| constant.extent);
        let extents = head.extents.iter().copied().chain(constants);
        let bytes = data.values.iter().chain(data.constants);
        let counts = data.values.len() == head.extents.len()
            && data.constants.len() == self.program().constants().len();
        let mut pairs = extents.zip(bytes);
        if !counts || pairs.any(|(extent, bytes)| extent.bytes() != bytes.len() as u64) {
            return Err(TraceMalformed::Data);
        }
        Ok(())
    }

    /// Checks that every tensor is clean, because Freivalds' check multiplies
    /// padding, too.
    fn check_clean(&self, head: &Head, data: &Data<'_>) -> Result<(), TraceInvalid> {
        let constants = self.program().constants().iter().map(|constant| constant.extent);
        let extents = head.extents.iter().copied().chain(constants);
        let mut tensors = extents.zip(data.values.iter().chain(data.constants));
        match tensors.position(|(extent, bytes)| !extent.is_clean(0, bytes)) {
            Some(tensor) => Err(TraceInvalid::UncleanTensor { tensor }),
            None => Ok(()),
        }
    }

    /// Hashes every tensor and checks it against the program and the trace
    /// root.
    fn check_roots(&self, head: &Head, data: &Data<'_>) -> Result<(), TraceInvalid> {
        let program = self.program();
        let constants = roots(data.constants);
        for (index, (root, constant)) in constants.iter().zip(program.constants()).enumerate() {
            if *root != constant.root {
                return Err(TraceInvalid::Constant { constant: index, got: *root });
            }
        }
        let values = roots(data.values);
        let leaf = |index: usize| {
            let value = ValueId(index as u32);
            let inputs = program.step_of(value).map_or(&[][..], |step| &step.inputs);
            let root = |input: &ValueId| values.get(input.0 as usize).copied();
            let record = Record {
                value,
                root: values.get(index).copied()?,
                extent: head.extents.get(index).copied()?,
                macs: program.macs(value, &head.run),
                inputs: inputs.iter().map(root).collect::<Option<_>>()?,
            };
            Some(Record::leaf(&record.to_bytes()))
        };
        let leaves: Option<Vec<_>> = (0..program.values()).map(leaf).collect();
        let leaves = leaves.ok_or(TraceInvalid::Records)?;
        if record::records_root(&leaves) != head.header.records {
            return Err(TraceInvalid::Records);
        }
        let inputs = values.get(..program.inputs().len()).ok_or(TraceInvalid::Input)?;
        if header::input_root(&head.header.run, inputs) != head.header.input {
            return Err(TraceInvalid::Input);
        }
        let outputs = program.outputs().iter();
        let outputs = outputs.map(|output| values.get(output.0 as usize).copied());
        let outputs: Option<Vec<Root>> = outputs.collect();
        match outputs.is_some_and(|outputs| head.ends_in(program, &outputs)) {
            true => Ok(()),
            false => Err(TraceInvalid::Output),
        }
    }

    /// Checks one step. Returns whether Freivalds' method checked the product.
    fn step(
        &self,
        head: &Head,
        value: ValueId,
        data: &Data<'_>,
        method: &Method,
    ) -> Result<bool, TraceError> {
        let none = TraceMalformed::Value(value);
        let program = self.program();
        let local = Local::new(program, &head.extents, head.run, value).ok_or(none)?;
        let step = program.step_of(value).ok_or(none)?;
        let (constants, count) = step.op.constants();
        let inputs = step.inputs.iter().map(|input| data.values.get(input.0 as usize));
        let constants = constants.iter().take(count);
        let constants = constants.map(|constant| data.constants.get(constant.0 as usize));
        let bytes: Option<Vec<&&[u8]>> = inputs.chain(constants).collect();
        let slots = local.slots.iter().zip(bytes.ok_or(none)?);
        let slots = slots.map(|(&extent, bytes)| Rows { extent, first: 0, bytes }).collect();
        let whole = Whole { slots };
        let claimed = data.sums.get(value.0 as usize).copied().flatten();
        let (sums, stride) = match claimed.zip(right_operand(&local)) {
            Some((sums, right)) => {
                let shape = whole.product(right).ok_or(none)?;
                if method.recomputes(program.macs(value, &head.run), &shape) {
                    (None, 0)
                } else {
                    check_sums(value, &whole, right, shape, sums, method)?;
                    (Some(sums), shape.n as usize)
                }
            }
            None => (None, 0),
        };
        let committed = data.values.get(value.0 as usize).ok_or(none)?;
        let work = Work { local: &local, whole: &whole, value, sums, stride };
        work.check(Rows { extent: local.output, first: 0, bytes: committed })?;
        Ok(sums.is_some())
    }
}

/// The slot of the right operand of a product whose sums any party may hand in:
/// the weights, or a scaled product's second input.
fn right_operand(local: &Local<'_>) -> Option<usize> {
    match local.op {
        Op::Linear { .. } => Some(local.inputs),
        Op::Training(TrainingOp::ScaledProduct { .. }) => Some(1),
        _ => None,
    }
}

/// The bytes that checking a step takes: copies of a product's operands with the
/// vectors of Freivalds' check, and on each thread a block of rows with what it
/// reads.
fn step_memory(local: &Local<'_>, threads: u64) -> u64 {
    let columns = |extent: &Extent| u64::from(extent.padded_columns());
    let right = right_operand(local).and_then(|right| local.slots.get(right));
    let product = match local.slots.first().zip(right) {
        Some((a, b)) => {
            let vectors = 16 * u64::from(b.padded_rows()) + 32 * columns(a) * (1 + 4 * threads);
            a.bytes() + b.bytes() + vectors
        }
        _ => 0,
    };
    let rows = local.block_rows().max(1).min(local.output.padded_rows());
    let region = Region { rows: 0..rows, columns: 0..local.output.padded_columns() };
    let read = |slot: &Extent, rows: u32| u64::from(rows) * columns(slot) * 4;
    let mut block = u64::from(rows) * columns(&local.output) * 4 * 3;
    if let Some(within) = local.within(&region) {
        for Read { slot, rows } in local.reads(&within) {
            block += local.slots.get(slot).map_or(0, |extent| read(extent, rows.len() as u32));
        }
    }
    // Rows that a row names: one for each.
    block += local.slots.iter().map(|extent| read(extent, 2 * rows)).sum::<u64>();
    product + threads * (2 * block + (4 << 10))
}

/// Freivalds' check of claimed sums. `right` is the slot of the right operand.
fn check_sums(
    value: ValueId,
    whole: &Whole<'_>,
    right: usize,
    shape: Shape,
    sums: &[i32],
    method: &Method,
) -> Result<(), TraceError> {
    let pair = whole.slots.first().zip(whole.slots.get(right));
    let (a, b) = pair.ok_or(TraceMalformed::Value(value))?;
    let signed = |bytes: &[u8]| -> Vec<i8> { bytes.iter().map(|&byte| byte as i8).collect() };
    let (a, b) = (signed(a.bytes), signed(b.bytes));
    match check_product(shape, &a, &b, sums, &method.seed, method.rounds) {
        Ok(()) => Ok(()),
        Err(source @ FreivaldsError::Wrong { .. }) => {
            Err(TraceInvalid::Sums { value, source }.into())
        }
        Err(source) => Err(TraceMalformed::Sums { value, source }.into()),
    }
}

/// Whole tensors as a step's slots.
struct Whole<'a> {
    slots: Vec<Rows<'a>>,
}

impl Whole<'_> {
    /// The padded shape of a product whose right operand is in slot `right`.
    fn product(&self, right: usize) -> Option<Shape> {
        let (a, b) = self.slots.first().zip(self.slots.get(right))?;
        let (a, b) = (a.extent, b.extent);
        Some(Shape { m: a.padded_rows(), n: b.padded_rows(), k: a.padded_columns() })
    }
}

impl RowSource for Whole<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let missing = StepError::Missing { slot, row };
        self.slots.get(slot).and_then(|rows| rows.read(row, to)).ok_or(missing)
    }

    fn read_from(
        &self,
        slot: usize,
        row: u32,
        first: u32,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        let missing = StepError::Missing { slot, row };
        self.slots.get(slot).and_then(|rows| rows.read_from(row, first, to)).ok_or(missing)
    }
}

/// A step's output, compared with its recomputation.
struct Work<'a> {
    local: &'a Local<'a>,
    whole: &'a Whole<'a>,
    value: ValueId,
    sums: Option<&'a [i32]>,
    stride: usize,
}

impl Work<'_> {
    fn check(&self, committed: Rows<'_>) -> Result<(), TraceInvalid> {
        // A block has as many rows as share what they are computed from.
        let rows = self.local.block_rows().max(1);
        let all = self.local.output.padded_rows();
        let blocks = all.div_ceil(rows);
        let block = |index: u32| {
            self.block(index * rows..(index + 1).saturating_mul(rows).min(all), &committed)
        };
        try_each(blocks, block)
    }

    fn block(&self, rows: core::ops::Range<u32>, committed: &Rows<'_>) -> Result<(), TraceInvalid> {
        let Extent { columns, .. } = self.local.output;
        let value = self.value;
        let region = Region { rows: rows.clone(), columns: 0..committed.extent.padded_columns() };
        let width = columns as usize;
        let mut own = vec![];
        if let Some(within) = self.local.within(&region) {
            own = vec![0; within.rows.len() * width];
            let dense = self.sums.map(|sums| {
                let start = within.rows.start as usize * self.stride;
                let rows = sums.get(start..).unwrap_or_default().chunks_exact(self.stride.max(1));
                let rows = rows.take(within.rows.len());
                rows.flat_map(|row| row.get(..width).unwrap_or_default()).copied().collect()
            });
            let dense: Option<Vec<i32>> = dense;
            self.local
                .compute(self.whole, &within, dense.as_deref(), &mut own)
                .map_err(|source| TraceInvalid::Step { value, source })?;
        }
        let mut entries = vec![0; committed.extent.padded_columns() as usize];
        for (at, row) in rows.enumerate() {
            let wrong = |column| TraceInvalid::Value { value, row, column };
            committed.read(row, &mut entries).ok_or(wrong(0))?;
            let expected = own.get(at * width..(at + 1) * width).unwrap_or_default();
            let expected = expected.iter().copied().chain(core::iter::repeat(0));
            for (column, (&entry, expected)) in (0..).zip(entries.iter().zip(expected)) {
                if entry != expected {
                    return Err(wrong(column));
                }
            }
        }
        Ok(())
    }
}

/// The commitments of tensors.
fn roots(tensors: &[&[u8]]) -> Vec<Root> {
    let root = |bytes: &&[u8]| Root(*blake3::hash(bytes).as_bytes());
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        tensors.par_iter().map(root).collect()
    }
    #[cfg(not(feature = "parallel"))]
    {
        tensors.iter().map(root).collect()
    }
}

/// Runs `work` on all blocks; on all threads with feature `parallel`.
fn try_each(
    blocks: u32,
    block: impl Fn(u32) -> Result<(), TraceInvalid> + Sync,
) -> Result<(), TraceInvalid> {
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        // Returns the first wrong entry, whichever thread finishes first.
        let found = (0..blocks).into_par_iter().map(&block).find_first(Result::is_err);
        found.unwrap_or(Ok(()))
    }
    #[cfg(not(feature = "parallel"))]
    {
        (0..blocks).try_for_each(block)
    }
}
