//! What a challenger receives of a trace: first its header and records, then
//! its tensors. If any of them is withheld, [`Published::demands`] makes the
//! demands (spec §14).

use super::fraud::{lie_of_header, record_lies};
use super::{OpenError, Trace, leaves, record_openings};
use crate::execute::lazy::Lazy;
use crate::execute::network::Network;
use crate::execute::tensor::{Tensor, TensorBytes};
use core::ops::Range;
use poai_core::program::ops::Local;
use poai_core::program::{Extent, Program, RunShapeError, ValueId};
use poai_core::puzzle::commitment::{Chunks, OpeningView, Tree};
use poai_core::trace::{
    Answer, Demand, FraudProof, Receipt, Record, RecordBytes, TraceHeader, record, unclean,
};
use std::sync::Arc;

/// The part of a value that an answer to a demand opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedPart {
    /// The padded rows.
    pub rows: Range<u32>,
    /// The padded columns: all of each row, or those of a scaled product's
    /// tile.
    pub columns: Range<u32>,
    /// The bytes of these columns, row by row, in the committed layout.
    pub bytes: Vec<u8>,
}

/// Why received data is not a trace's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceivedError {
    /// What was received proves that the trace lies. It holds a message that
    /// `Checker::fraud` of poai-verify takes.
    #[error("the header or a record lies; post the fraud proof of {} bytes", .0.as_bytes().len())]
    Fraud(Box<FraudProof>),
    /// The header is of another program.
    #[error("expected a header of this program, got one of another program")]
    Program,
    /// The header's run has no tensors or too large ones; no node audits it.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// The number of tensors or records is not the program's number of values.
    #[error("expected {expected} {what}, one for each value, got {got}")]
    Count {
        /// Tensors or records.
        what: &'static str,
        /// The program's values.
        expected: usize,
        /// The number received.
        got: usize,
    },
    /// A tensor has the wrong length.
    #[error("expected {expected} bytes of value {}, got {got}", value.0)]
    Length {
        /// The value.
        value: ValueId,
        /// The length of its padded bytes.
        expected: u64,
        /// The length received.
        got: usize,
    },
    /// A record does not have the length that every record of this value has.
    #[error("expected a record of the program's length for value {}, got another length", value.0)]
    Record {
        /// The value.
        value: ValueId,
    },
    /// A tensor does not hash to its record's root.
    #[error("expected the tensor that the record of value {} commits to, got another", value.0)]
    Root {
        /// The value.
        value: ValueId,
    },
    /// The records do not lead to the header.
    #[error("expected the records that the header commits to, got others")]
    Records,
}

/// A received trace with its header and records, before any tensor. The records
/// are those that the header commits to, and none of them lies.
#[derive(Clone, Debug)]
pub struct Published {
    network: Arc<Network>,
    header: TraceHeader,
    extents: Vec<Extent>,
    records: Vec<RecordBytes>,
}

impl Published {
    /// Reads the bytes of a header and of every record, inputs first, as the
    /// prover published them. They are small, so a challenger asks for them
    /// before it asks for tensors.
    ///
    /// # Errors
    /// [`ReceivedError::Fraud`] with the proof if the header or a record lies.
    /// All other errors prove nothing. What was received is then not the
    /// trace's, and counts as withheld.
    pub fn new(
        network: Arc<Network>,
        header: TraceHeader,
        records: Vec<RecordBytes>,
    ) -> Result<Published, ReceivedError> {
        let program = network.program();
        if header.program != program.program_id() {
            return Err(ReceivedError::Program);
        }
        let extents = program.extents(&header.run)?;
        if header.macs != program.total_macs(&header.run) {
            return Err(ReceivedError::Fraud(Box::new(header.into())));
        }
        let (expected, got) = (extents.len(), records.len());
        if got != expected {
            return Err(ReceivedError::Count { what: "records", expected, got });
        }
        for (value, bytes) in (0..).map(ValueId).zip(&records) {
            let inputs = program.step_of(value).map_or(0, |step| step.inputs.len());
            if bytes.0.len() != Record::len(inputs) {
                return Err(ReceivedError::Record { value });
            }
        }
        if record::records_root(&leaves(&records)) != header.records {
            return Err(ReceivedError::Records);
        }
        let published = Published { network, header, extents, records };
        match published.lie() {
            Some(proof) => Err(ReceivedError::Fraud(Box::new(proof))),
            None => Ok(published),
        }
    }

    /// The header.
    pub fn header(&self) -> TraceHeader {
        self.header
    }

    /// The extents of all values, inputs first.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The trace with every value's padded bytes, inputs first. The tensors are
    /// those that the records commit to. [`Trace::find_fraud`] checks whether
    /// they are right.
    ///
    /// # Errors
    /// [`ReceivedError`]: a tensor is not the trace's, and counts as withheld.
    /// [`Published::demands`] then returns what to demand.
    pub fn with_tensors(self, values: Vec<TensorBytes>) -> Result<Trace, ReceivedError> {
        let Published { network, header, extents, records } = self;
        let (expected, got) = (extents.len(), values.len());
        if got != expected {
            return Err(ReceivedError::Count { what: "tensors", expected, got });
        }
        for ((value, extent), bytes) in (0..).map(ValueId).zip(&extents).zip(&values) {
            let TensorBytes(bytes) = bytes;
            if bytes.len() as u64 != extent.bytes() {
                let (expected, got) = (extent.bytes(), bytes.len());
                return Err(ReceivedError::Length { value, expected, got });
            }
        }
        let trees: Vec<Tree> = values.iter().map(|bytes| Tree::new(&bytes.0)).collect();
        let mut pairs = (0..).map(ValueId).zip(trees.iter().zip(&records));
        let other = |(_, (tree, record)): &(ValueId, (&Tree, &RecordBytes))| {
            record.0.get(Record::ROOT) != Some(tree.root().as_bytes().as_slice())
        };
        if let Some((value, _)) = pairs.find(other) {
            return Err(ReceivedError::Root { value });
        }
        let tensors = extents.iter().zip(values);
        let tensors = tensors
            .map(|(extent, bytes)| Lazy::here(Arc::new(Tensor::unchecked(*extent, bytes.0))));
        let tensors = tensors.collect();
        Ok(Trace::of_parts(network, header, extents, tensors, trees, records))
    }

    /// The demands on a receipt's prover that together open some padded rows of a value. A
    /// challenger makes them for rows that were withheld, or whose bytes do not match the root.
    /// Empty for rows that the value does not have.
    pub fn demands(&self, receipt: &Receipt, value: ValueId, rows: Range<u32>) -> Vec<Demand> {
        let receipt = receipt.digest();
        let demand = |tile| Demand { receipt, value, tile };
        let Some(extent) = self.extents.get(value.0 as usize) else { return vec![] };
        let rows = rows.start..rows.end.min(extent.padded_rows());
        if rows.is_empty() {
            return vec![];
        }
        let Some(local) = self.local(value) else {
            let strips =
                (0..).map_while(|strip| Some((strip, unclean::strip_rows(extent, strip)?)));
            let wanted = strips.filter(|(_, own)| own.start < rows.end && rows.start < own.end);
            return wanted.map(|(strip, _)| demand(strip + 1)).collect();
        };
        let grid = local.grid();
        let tiles = (0..grid.tiles()).filter_map(|tile| Some((tile, grid.tile(tile)?.rows)));
        let wanted = tiles.filter(|(_, own)| own.start < rows.end && rows.start < own.end);
        wanted.map(|(tile, _)| demand(tile)).collect()
    }

    /// The part of the demanded value that an answer opens, checked against the
    /// value's record. A challenger fills in what was withheld with it.
    /// `Checker::answer` of poai-verify checks whether the answer is right.
    ///
    /// # Errors
    /// [`OpenError`]: a demand without rows, or bytes that do not open them.
    pub fn opened_part(&self, demand: &Demand, answer: &Answer) -> Result<OpenedPart, OpenError> {
        let Demand { value, tile, .. } = *demand;
        let no_tile = OpenError::Tile { value, tile };
        let extent = self.extents.get(value.0 as usize).ok_or(no_tile.clone())?;
        let part = match self.local(value) {
            Some(local) => local.grid().tile(tile).map(|region| {
                let columns = local.own_columns(&region);
                (region.rows, columns)
            }),
            None => tile
                .checked_sub(1)
                .and_then(|strip| unclean::strip_rows(extent, strip))
                .map(|rows| (rows, 0..extent.padded_columns())),
        };
        let (rows, columns) = part.ok_or(no_tile.clone())?;
        let size = extent.dtype.size();
        let of_row = columns.start as u64 * size as u64..columns.end as u64 * size as u64;
        let row_bytes = extent.row_bytes() as u64;
        let chunks = Chunks::of_columns(&rows, &of_row, extent.padded_rows(), row_bytes)
            .ok_or(no_tile.clone())?;
        let root = self.record(value).ok_or(no_tile.clone())?.root;
        // An answer ends with the opening of the value's own rows.
        let siblings = chunks.siblings() as usize * 32;
        let answer = answer.as_bytes();
        let (bytes, siblings) = answer.split_at(answer.len().saturating_sub(siblings));
        let len = usize::try_from(chunks.opened_len()).unwrap_or(usize::MAX);
        let (_, held) = bytes.split_at(bytes.len().saturating_sub(len));
        OpeningView { bytes: held, siblings: siblings.as_chunks().0 }
            .check_chunks(&chunks, &root)
            .map_err(|source| OpenError::Answer { value, tile, source })?;
        let mut bytes = vec![];
        for row in rows.clone() {
            let before = u64::from(row) * row_bytes;
            let own = chunks.find(&(before + of_row.start..before + of_row.end));
            // The check has compared the lengths.
            bytes.extend(own.and_then(|own| held.get(own)).ok_or(no_tile.clone())?);
        }
        Ok(OpenedPart { rows, columns, bytes })
    }

    /// The proof that the header's input, its outputs or a record lie.
    fn lie(&self) -> Option<FraudProof> {
        let program = self.network.program();
        let implied = |value: ValueId| self.record(value);
        match lie_of_header(program, &self.header, implied) {
            Some(ValueId(0)) => {
                // Exact: at most 4096 inputs.
                let inputs = (0..program.inputs().len() as u32).map(ValueId);
                return self.accuse(ValueId(0), &inputs.collect::<Vec<_>>());
            }
            Some(outputs) => return self.accuse(outputs, program.outputs()),
            None => {}
        }
        let lies = |value: &ValueId| record_lies(program, &self.header.output, implied, *value);
        // Exact: at most 2^16 + 4096 values.
        let value = (0..program.values() as u32).map(ValueId).find(lies)?;
        let mut values = vec![value];
        values.extend(&program.step_of(value)?.inputs);
        self.accuse(value, &values)
    }

    /// A fraud proof whose message ends after these records.
    fn accuse(&self, value: ValueId, records: &[ValueId]) -> Option<FraudProof> {
        let leaves = leaves(&self.records);
        let mut proof = self.header.to_bytes();
        proof.extend(value.0.to_le_bytes());
        proof.extend(0u64.to_le_bytes());
        proof.extend(record_openings(&self.records, &leaves, records)?);
        FraudProof::try_from(proof).ok()
    }

    /// A value's record, if its fields follow from the program.
    fn record(&self, value: ValueId) -> Option<Record> {
        let bytes = self.records.get(value.0 as usize)?;
        Record::from_bytes(&bytes.0, self.program(), &self.extents, &self.header.run, value).ok()
    }

    fn program(&self) -> &Program {
        self.network.program()
    }

    fn local(&self, value: ValueId) -> Option<Local<'_>> {
        Local::new(self.program(), &self.extents, self.header.run, value)
    }
}
