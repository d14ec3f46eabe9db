//! A run's tensors with their trees, and the messages that open them: audits,
//! fraud proofs, answers to demands and links from mined products (spec §13 and
//! §14).

mod fraud;
mod published;

pub use published::{OpenedPart, Published, ReceivedError};

use crate::execute::error::ValueError;
use crate::execute::lazy::Lazy;
use crate::execute::network::Network;
use crate::execute::tensor::Tensor;
use core::ops::Range;
use poai_core::control::Cancelled;
use poai_core::digest::{
    Beacon, Job, ProgramId, Prover, ReceiptDigest, Root, RulesDigest, TraceRoot,
};
use poai_core::program::ops::{Local, Read, RowSource, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{Extent, RunShape, ValueId};
use poai_core::puzzle::commitment::opening::OpeningError;
use poai_core::puzzle::commitment::{Opening, Tree};
use poai_core::trace::record::{self, Record, RecordBytes};
use poai_core::trace::{
    Audit, Link, Receipt, Sample, Sampling, TraceDecodeError, TraceHeader, TraceRules, header,
};
use std::sync::Arc;

/// Why a tile or a record could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The value has no such tile.
    #[error("value {} has no tile {tile}", value.0)]
    Tile {
        /// The value.
        value: ValueId,
        /// The tile.
        tile: u64,
    },
    /// A receipt is not of this trace under its rules.
    #[error(
        "expected a receipt of trace {expected} under its rules, got one of trace {got} under rules \
         {rules}; make it with this trace, or set the rules by `with_rules`"
    )]
    Receipt {
        /// This trace.
        expected: TraceRoot,
        /// The trace that the receipt names.
        got: TraceRoot,
        /// The rules that the receipt names.
        rules: RulesDigest,
    },
    /// A demand is about another receipt.
    #[error("expected a demand about receipt {expected}, got one about {got}")]
    Demand {
        /// The digest of the receipt.
        expected: ReceiptDigest,
        /// The digest that the demand names.
        got: ReceiptDigest,
    },
    /// A message could not be made. This is a defect of the library.
    #[error(transparent)]
    Message(#[from] TraceDecodeError),
    /// An answer does not open the rows that were demanded.
    #[error("the answer does not open tile {tile} of value {}: {source}", value.0)]
    Answer {
        /// The value.
        value: ValueId,
        /// The tile.
        tile: u64,
        /// The reason.
        source: OpeningError,
    },
    /// The caller cancelled the search for a fraud.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A tensor that has to be opened cannot be read.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// A program, a run of it, and a tensor and tree for each value. Other parties
/// check whether the tensors are what the program computes. A test can make a
/// trace that carries a fault, to see a checker find it.
#[derive(Clone, Debug)]
pub struct Trace {
    network: Arc<Network>,
    header: TraceHeader,
    rules: TraceRules,
    extents: Vec<Extent>,
    values: Vec<Lazy>,
    trees: Vec<Tree>,
    sums: Arc<[Option<Vec<i32>>]>,
    /// Encoded, because published bytes may not be a valid record.
    records: Vec<RecordBytes>,
    leaves: Vec<[u8; 32]>,
}

impl Trace {
    pub(in crate::execute) fn new(
        network: Arc<Network>,
        run: RunShape,
        extents: Vec<Extent>,
        values: Vec<Lazy>,
        trees: Vec<Tree>,
        sums: Vec<Option<Vec<i32>>>,
    ) -> Trace {
        let program = network.program().program_id();
        let (records, leaves) = (vec![], vec![]);
        let header = unwritten(program, run);
        let (sums, rules) = (sums.into(), TraceRules::DEFAULT);
        let mut trace =
            Trace { network, header, rules, extents, values, trees, sums, records, leaves };
        trace.write_records();
        trace
    }

    /// A trace from given parts; its records and header may lie.
    pub(in crate::execute) fn of_parts(
        network: Arc<Network>,
        header: TraceHeader,
        extents: Vec<Extent>,
        values: Vec<Lazy>,
        trees: Vec<Tree>,
        records: Vec<RecordBytes>,
    ) -> Trace {
        let leaves = leaves(&records);
        let (sums, rules) = (Arc::new([]), TraceRules::DEFAULT);
        Trace { network, header, rules, extents, values, trees, sums, records, leaves }
    }

    fn write_records(&mut self) {
        let program = self.network.program();
        let run = self.header.run;
        let records = (0..self.values.len()).map(|index| {
            let value = ValueId(index as u32);
            let inputs = program.step_of(value).map_or(&[][..], |step| &step.inputs);
            let record = Record {
                value,
                root: *self.trees[index].root(),
                extent: self.extents[index],
                macs: program.macs(value, &run),
                inputs: inputs.iter().map(|input| *self.trees[input.0 as usize].root()).collect(),
            };
            RecordBytes(record.to_bytes())
        });
        self.records = records.collect();
        self.leaves = leaves(&self.records);
        let roots: Vec<Root> = self.trees.iter().map(|tree| *tree.root()).collect();
        let inputs = &roots[..program.inputs().len()];
        let outputs = program.outputs().iter().map(|output| roots[output.0 as usize]);
        let output = header::output_root(program, &outputs.collect::<Vec<_>>());
        self.header = TraceHeader {
            program: self.header.program,
            run,
            input: header::input_root(&run, inputs),
            // There is a root for each output, so there is a root of them.
            output: output.unwrap_or_default(),
            macs: program.total_macs(&run),
            records: record::records_root(&self.leaves),
        };
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The run.
    pub fn run(&self) -> &RunShape {
        &self.header.run
    }

    /// A value's tensor. If a device ran the program, the first call fetches
    /// the tensor and releases the device's memory.
    ///
    /// # Errors
    /// [`ValueError`]: the value does not exist, or its device failed.
    pub fn value(&self, value: ValueId) -> Result<&Tensor, ValueError> {
        self.values.get(value.0 as usize).ok_or(ValueError::None(value))?.fetch(value)
    }

    /// The tree of a value's commitment, or `None` if there is no such value.
    pub fn tree(&self, value: ValueId) -> Option<&Tree> {
        self.trees.get(value.0 as usize)
    }

    /// Fetches the tensors that a device still keeps. Afterwards the trace does
    /// not need the device.
    ///
    /// # Errors
    /// [`ValueError::Fetch`].
    pub fn fetch(&self) -> Result<(), ValueError> {
        (0..).map(ValueId).zip(&self.values).try_for_each(|(value, tensor)| {
            tensor.fetch(value)?;
            Ok(())
        })
    }

    /// The sums of a product with weights, if they were kept: row-major,
    /// (padded rows of the input)×(padded rows of the weights). No root commits
    /// to them.
    pub fn sums(&self, value: ValueId) -> Option<&[i32]> {
        self.sums.get(value.0 as usize)?.as_deref()
    }

    /// The same trace with another tensor for a value, as a prover commits to
    /// it that computed the value wrongly. The tensors of later steps stay. For
    /// tests and demonstrations of audits and fraud proofs. `None` if the value
    /// does not exist or the tensor does not fit.
    pub fn with_fault(&self, value: ValueId, tensor: Tensor) -> Option<Trace> {
        let index = value.0 as usize;
        if self.extents.get(index)? != tensor.extent() {
            return None;
        }
        let mut faulty = self.clone();
        faulty.trees[index] = tensor.tree();
        faulty.values[index] = Lazy::here(Arc::new(tensor));
        faulty.write_records();
        Some(faulty)
    }

    /// The header.
    pub fn header(&self) -> TraceHeader {
        self.header
    }

    /// The trace root.
    pub fn root(&self) -> TraceRoot {
        self.header().root()
    }

    /// The same trace, to be verified under these rules. Receipts, audits and
    /// answers are for [`TraceRules::DEFAULT`] until they are set.
    pub fn with_rules(mut self, rules: TraceRules) -> Trace {
        self.rules = rules;
        self
    }

    /// The rules under which the trace is to be verified.
    pub fn rules(&self) -> &TraceRules {
        &self.rules
    }

    /// A receipt of this trace for a job and a prover, under the trace's rules.
    /// The prover commits to it before the beacon is known (spec §14).
    pub fn receipt(&self, job: Job, prover: Prover) -> Receipt {
        let program = self.network.program();
        let header = self.header();
        let macs_weights = program.macs_with_weights(&header.run);
        Receipt {
            program: header.program,
            input: header.input,
            output: header.output,
            trace: header.root(),
            macs_weights,
            macs_activations: header.macs.saturating_sub(macs_weights),
            job,
            prover,
            rules: self.rules.digest(),
        }
    }

    /// All records, inputs first, encoded.
    pub fn records(&self) -> &[RecordBytes] {
        &self.records
    }

    /// An audit of a receipt of this trace. The beacon must have been fixed
    /// after the receipt was admitted (spec §14).
    ///
    /// # Errors
    /// [`OpenError::Receipt`] for a receipt of another trace or other rules.
    pub fn audit(&self, receipt: &Receipt, beacon: &Beacon) -> Result<Audit, OpenError> {
        self.check_receipt(receipt)?;
        let mut bytes = self.header().to_bytes();
        self.records.iter().for_each(|record| bytes.extend(&record.0));
        for Sample { value, tile } in self.audit_tiles(receipt, beacon) {
            bytes.extend(self.tile_openings(value, tile)?);
        }
        Ok(Audit::try_from(bytes)?)
    }

    /// The tiles that an audit of a receipt opens under a beacon, in their order.
    pub fn audit_tiles(&self, receipt: &Receipt, beacon: &Beacon) -> Vec<Sample> {
        let (program, rules) = (self.network.program(), &self.rules);
        let sampling = Sampling { program, extents: &self.extents, run: &self.header.run, rules };
        sampling.tiles(&self.root(), &receipt.digest(), beacon)
    }

    /// Checks that a receipt is of this trace, under the trace's rules.
    fn check_receipt(&self, receipt: &Receipt) -> Result<(), OpenError> {
        if *receipt != self.receipt(receipt.job, receipt.prover) {
            let (expected, got) = (self.root(), receipt.trace);
            return Err(OpenError::Receipt { expected, got, rules: receipt.rules });
        }
        Ok(())
    }

    /// A link, which shows that a product with weights or a scaled product was
    /// mined on operands of this trace.
    ///
    /// # Errors
    /// [`OpenError`] if the value is not a step's.
    pub fn link(&self, value: ValueId) -> Result<Link, OpenError> {
        let no_step = OpenError::Tile { value, tile: 0 };
        self.network.program().step_of(value).ok_or(no_step.clone())?;
        let mut bytes = self.header().to_bytes();
        bytes.extend(value.0.to_le_bytes());
        let opening = record_openings(&self.records, &self.leaves, &[value]);
        bytes.extend(opening.ok_or(no_step)?);
        Ok(Link::try_from(bytes)?)
    }

    /// A step in this run.
    fn local(&self, value: ValueId) -> Option<Local<'_>> {
        Local::new(self.network.program(), &self.extents, self.header.run, value)
    }

    /// A value's record and its path. `None` if there is no such value.
    pub fn record_opening(&self, value: ValueId) -> Option<Vec<u8>> {
        record_openings(&self.records, &self.leaves, &[value])
    }

    /// Everything that a tile's recomputation needs: first the openings of the
    /// rows that the tile is computed from, in order, then of the tile's own
    /// rows.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn tile_openings(&self, value: ValueId, tile: u64) -> Result<Vec<u8>, OpenError> {
        let (tensor, index) = (self.value(value)?, value.0 as usize);
        let no_tile = OpenError::Tile { value, tile };
        let tree = self.trees.get(index).ok_or(no_tile)?;
        self.openings(value, tile, tree, tensor.bytes())
    }

    /// As [`Trace::tile_openings`], with other padded bytes as the value's tensor: those
    /// that another trace with the same inputs of the step commits to.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Tile`] also for bytes of another length.
    pub fn tile_openings_of(
        &self,
        value: ValueId,
        tile: u64,
        bytes: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        if bytes.len() != self.value(value)?.bytes().len() {
            return Err(OpenError::Tile { value, tile });
        }
        self.openings(value, tile, &Tree::new(bytes), bytes)
    }

    fn openings(
        &self,
        value: ValueId,
        tile: u64,
        tree: &Tree,
        own: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let no_tile = OpenError::Tile { value, tile };
        let local = self.local(value).ok_or(no_tile.clone())?;
        let region = local.grid().tile(tile).ok_or(no_tile.clone())?;
        self.fetch_slots(value)?;
        let source = Values { trace: self, value };
        let mut bytes = vec![];
        if let Some(within) = local.within(&region) {
            for Read { slot, rows } in local.reads(&within) {
                bytes.extend(source.open(slot, &local.slot(slot), rows).ok_or(no_tile.clone())?);
            }
            // If a row names no other row, it needs no further opening; it is
            // then wrong by itself.
            for Read { slot, rows } in local.further_reads(&within, &source).unwrap_or_default() {
                bytes.extend(source.open(slot, &local.slot(slot), rows).ok_or(no_tile.clone())?);
            }
        }
        let chunks = local.own_chunks(&region).ok_or(no_tile.clone())?;
        let opening = tree.open_chunks(own, &chunks);
        let Opening { bytes: held, siblings } = opening.map_err(|_| no_tile)?;
        bytes.extend(held);
        bytes.extend(siblings.concat());
        Ok(bytes)
    }

    /// Fetches the tensors that a step reads, for [`Values`].
    fn fetch_slots(&self, value: ValueId) -> Result<(), ValueError> {
        let inputs = self.network.program().step_of(value).map_or(&[][..], |step| &step.inputs);
        inputs.iter().try_for_each(|&input| self.value(input).map(drop))
    }
}

/// A header with only these two fields known so far.
fn unwritten(program: ProgramId, run: RunShape) -> TraceHeader {
    let (input, output) = (Root::default(), Root::default());
    TraceHeader { program, run, input, output, macs: 0, records: [0; 32] }
}

/// Some values' records, each with its path: `record ‖ siblings from the root
/// down`.
fn record_openings(
    records: &[RecordBytes],
    leaves: &[[u8; 32]],
    values: &[ValueId],
) -> Option<Vec<u8>> {
    let paths = record::paths(leaves, values.iter().map(|value| value.0.into()));
    let mut bytes = vec![];
    for (value, path) in values.iter().zip(paths) {
        bytes.extend(&records.get(value.0 as usize)?.0);
        bytes.extend(path.concat());
    }
    Some(bytes)
}

fn leaves(records: &[RecordBytes]) -> Vec<[u8; 32]> {
    records.iter().map(|record| Record::leaf(&record.0)).collect()
}

/// A trace's tensors as a step's slots. [`Trace::fetch_slots`] has fetched
/// them.
pub(in crate::execute) struct Values<'a> {
    pub(in crate::execute) trace: &'a Trace,
    pub(in crate::execute) value: ValueId,
}

impl Values<'_> {
    fn held(&self, slot: usize) -> Option<(&Tensor, &Tree)> {
        let step = self.trace.network.program().step_of(self.value)?;
        match step.inputs.get(slot) {
            Some(input) => {
                let index = input.0 as usize;
                Some((self.trace.values.get(index)?.get()?, self.trace.trees.get(index)?))
            }
            None => {
                let (constants, count) = step.op.constants();
                let constant = constants.get(..count)?.get(slot - step.inputs.len())?;
                let held = self.trace.network.constants().get(constant.0 as usize)?;
                Some((&held.tensor, &held.tree))
            }
        }
    }

    /// Whether rows that a step reads are clean, as in every honest run.
    pub(in crate::execute) fn is_clean(&self, read: &Read) -> bool {
        let Some((tensor, _)) = self.held(read.slot) else { return false };
        let row_bytes = tensor.extent().row_bytes();
        let bytes = read.rows.start as usize * row_bytes..read.rows.end as usize * row_bytes;
        let bytes = tensor.bytes().get(bytes);
        bytes.is_some_and(|bytes| tensor.extent().is_clean(read.rows.start, bytes))
    }

    fn open(&self, slot: usize, extent: &Extent, rows: Range<u32>) -> Option<Vec<u8>> {
        let (tensor, tree) = self.held(slot)?;
        debug_assert_eq!(tensor.extent(), extent);
        open(tree, tensor, &rows)
    }
}

impl RowSource for Values<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let missing = StepError::Missing { slot, row };
        let (tensor, _) = self.held(slot).ok_or(missing)?;
        let rows: Rows<'_> = tensor.rows();
        rows.read(row, to).ok_or(missing)
    }

    fn read_from(
        &self,
        slot: usize,
        row: u32,
        first: u32,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        let missing = StepError::Missing { slot, row };
        let (tensor, _) = self.held(slot).ok_or(missing)?;
        tensor.rows().read_from(row, first, to).ok_or(missing)
    }
}

/// The bytes and siblings of some rows.
fn open(tree: &Tree, tensor: &Tensor, rows: &Range<u32>) -> Option<Vec<u8>> {
    let strip = tensor.extent().strip(rows)?;
    let Opening { mut bytes, siblings } = tree.open(tensor.bytes(), &strip).ok()?;
    bytes.extend(siblings.concat());
    Some(bytes)
}
