//! What a challenger does: holds received tensors and records against the
//! program, and proves the first lie (spec §14).

use super::{OpenError, Trace, Values};
use crate::execute::error::ValueError;
use crate::execute::lazy::Lazy;
use crate::execute::network::Network;
use crate::execute::tensor::Tensor;
use poai_core::program::ops::{Grid, Local, Region, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{RunShapeError, ValueId};
use poai_core::puzzle::commitment::Tree;
use poai_core::trace::{Record, TraceHeader, header, record, unclean};
use rayon::prelude::*;
use std::sync::Arc;

/// Why received data is not a trace's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceivedError {
    /// The header is of another program.
    #[error("the header is of another program")]
    Program,
    /// The header's run has no tensors, or too large ones: no node audits it.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// Another number of tensors or records than the program has values.
    #[error("{got} {what}, the program has {expected} values")]
    Count {
        /// Tensors or records.
        what: &'static str,
        /// The program's values.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// A tensor of another length.
    #[error("value {} has {got} bytes, in this run it has {expected}", value.0)]
    Length {
        /// The value.
        value: ValueId,
        /// The length of its padded bytes.
        expected: u64,
        /// What was given.
        got: usize,
    },
    /// A record of another length than every record of this value has.
    #[error("the record of value {} has another length than the program implies", value.0)]
    Record {
        /// The value.
        value: ValueId,
    },
    /// A tensor that does not hash to its record's root.
    #[error("value {} is not the tensor that its record commits to", value.0)]
    Root {
        /// The value.
        value: ValueId,
    },
    /// The records do not lead to the header.
    #[error("the records are not those that the header commits to")]
    Records,
}

impl Trace {
    /// A trace as it was received from whoever published its root: the header,
    /// every record's bytes and every value's padded ones, inputs first.
    /// Nothing is believed but what hashes bind: the tensors are those that the
    /// records commit to and the records are the header's; whether they are
    /// right is for [`Trace::find_fraud`]. What is refused here nobody can
    /// audit either, and is as good as withheld.
    ///
    /// # Errors
    /// [`ReceivedError`]: what was received is not the trace's.
    pub fn received(
        network: Arc<Network>,
        header: TraceHeader,
        records: Vec<Vec<u8>>,
        values: Vec<Vec<u8>>,
    ) -> Result<Trace, ReceivedError> {
        let program = network.program();
        if header.program != program.program_id() {
            return Err(ReceivedError::Program);
        }
        let extents = program.extents(&header.run)?;
        for (what, got) in [("records", records.len()), ("tensors", values.len())] {
            if got != extents.len() {
                return Err(ReceivedError::Count { what, expected: extents.len(), got });
            }
        }
        for ((value, extent), bytes) in (0..).map(ValueId).zip(&extents).zip(&values) {
            if bytes.len() as u64 != extent.bytes() {
                let (expected, got) = (extent.bytes(), bytes.len());
                return Err(ReceivedError::Length { value, expected, got });
            }
        }
        for (value, bytes) in (0..).map(ValueId).zip(&records) {
            let inputs = program.step_of(value).map_or(0, |step| step.inputs.len());
            if bytes.len() != Record::len(inputs) {
                return Err(ReceivedError::Record { value });
            }
        }
        let trees: Vec<Tree> = values.iter().map(|bytes| Tree::new(bytes)).collect();
        let mut pairs = (0..).map(ValueId).zip(trees.iter().zip(&records));
        let own = |(_, (tree, record)): &(ValueId, (&Tree, &Vec<u8>))| {
            record.get(Record::ROOT) != Some(tree.root().as_bytes().as_slice())
        };
        if let Some((value, _)) = pairs.find(own) {
            return Err(ReceivedError::Root { value });
        }
        let leaves: Vec<_> = records.iter().map(|record| Record::leaf(record)).collect();
        if record::records_root(&leaves) != header.records {
            return Err(ReceivedError::Records);
        }
        let tensors = extents.iter().zip(values);
        let tensors =
            tensors.map(|(extent, bytes)| Lazy::here(Arc::new(Tensor::unchecked(*extent, bytes))));
        let tensors = tensors.collect();
        Ok(Trace::of_parts(network, header, extents, tensors, trees, records))
    }

    /// Recomputes everything and proves the first lie: a message for
    /// `Checker::fraud`, or `None` where the trace is honest. As much work as
    /// the run, and slower: it is done tile by tile.
    ///
    /// # Errors
    /// [`OpenError`]: a device that keeps a tensor failed, or the library is
    /// wrong.
    pub fn find_fraud(&self) -> Result<Option<Vec<u8>>, OpenError> {
        let program = self.network().program();
        let header = self.header();
        if header.macs != program.total_macs(&header.run) {
            return Ok(Some(header.encode()));
        }
        let inputs = program.inputs().len();
        let roots = (0..inputs as u32).map(|input| Some(self.implied(ValueId(input))?.root));
        let roots: Option<Vec<_>> = roots.collect();
        let root = roots.map(|roots| header::input_root(&header.run, &roots));
        if root != Some(header.input) {
            return self.fraud_proof(ValueId(0), 0).map(Some);
        }
        for value in (0..program.values() as u32).map(ValueId) {
            let found = match program.step_of(value) {
                None => {
                    let (records, tensor) = (self.records(), self.value(value)?);
                    unclean::accuse_input(program, &header, records, value, tensor.bytes())
                }
                Some(_) => {
                    let lies = self.record_lies(value);
                    let tile = if lies { Some(0) } else { self.wrong_tile(value)? };
                    tile.map(|tile| self.fraud_proof(value, tile)).transpose()?
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first tile of a step that is not what the step computes of its
    /// committed inputs.
    fn wrong_tile(&self, value: ValueId) -> Result<Option<u64>, ValueError> {
        let Some(local) = self.local(value) else { return Ok(None) };
        self.fetch_slots(value)?;
        let (grid, committed) = (local.grid(), self.value(value)?.rows());
        let source = Values { trace: self, value };
        let wrong = |tile: &u64| !right(&local, &grid, *tile, &source, &committed);
        Ok((0..grid.tiles()).into_par_iter().find_first(wrong))
    }
}

fn right(
    local: &Local<'_>,
    grid: &Grid,
    tile: u64,
    source: &Values<'_>,
    committed: &Rows<'_>,
) -> bool {
    let Some(region) = grid.tile(tile) else { return true };
    let within = local.within(&region);
    let expected = match &within {
        Some(within) => match recompute(local, within, source) {
            Ok(entries) => entries,
            Err(_) => return false,
        },
        None => vec![],
    };
    local.first_difference(&region, &expected, committed).is_none()
}

/// What the tile should be, of rows that are all clean.
fn recompute(
    local: &Local<'_>,
    within: &Region,
    source: &Values<'_>,
) -> Result<Vec<i32>, StepError> {
    let mut reads = local.reads(within);
    reads.extend(local.further_reads(within, source)?);
    for read in reads {
        if !source.is_clean(&read) {
            return Err(StepError::Region);
        }
    }
    let mut entries = vec![0; within.rows.len() * within.width()];
    local.compute(source, within, None, &mut entries)?;
    Ok(entries)
}
