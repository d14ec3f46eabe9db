//! Fraud proofs, and answers to demands (spec §14).

use super::{OpenError, Trace, Values, open, record_openings};
use crate::execute::error::ValueError;
use poai_core::control::Control;
use poai_core::digest::Root;
use poai_core::program::ops::{Grid, Local, Region, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{Program, ValueId};
use poai_core::trace::{Answer, Demand, FraudProof, Receipt, Record, TraceHeader, header, unclean};
use rayon::prelude::*;

impl Trace {
    /// A fraud proof about a tile. If the tile is wrong, it convinces every
    /// verifier that has the trace root: `header ‖ u32 value ‖ u64 tile ‖
    /// record ‖ path ‖ (record ‖ path of each input's value)… ‖ tile openings`.
    ///
    /// For any input of the program, tile 0 is the records of all inputs, which
    /// show whether the header's input is theirs: `header ‖ u32 0 ‖ u64 0 ‖
    /// (record ‖ path) of every input`. Tile s + 1 of an input is its padded
    /// rows 32s to 32s + 31, which show whether they are clean. Tile 0 of
    /// [`Demand::of_outputs`] is the records of all listed outputs. If a step's
    /// record lies, the proof is about tile 0 and ends after the records.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn fraud_proof(&self, value: ValueId, tile: u64) -> Result<FraudProof, OpenError> {
        let no_tile = OpenError::Tile { value, tile };
        let program = self.network.program();
        let inputs = program.inputs().len();
        let is_input = (value.0 as usize) < inputs;
        let mut bytes = self.header().to_bytes();
        bytes.extend(if is_input && tile == 0 { 0 } else { value.0 }.to_le_bytes());
        bytes.extend(tile.to_le_bytes());
        let mut records = |values: &[ValueId]| -> Result<(), OpenError> {
            bytes.extend(
                record_openings(&self.records, &self.leaves, values).ok_or(no_tile.clone())?,
            );
            Ok(())
        };
        match program.step_of(value) {
            None if Demand::of_outputs(program) == Some(value) && tile == 0 => {
                records(program.outputs())?;
            }
            None if !is_input => return Err(no_tile),
            None if tile == 0 => {
                // Exact: at most 4096 inputs.
                records(&(0..inputs as u32).map(ValueId).collect::<Vec<_>>())?;
            }
            None => {
                records(&[value])?;
                bytes.extend(self.strip_opening(value, tile - 1)?);
            }
            Some(step) => {
                records(&[value])?;
                records(&step.inputs)?;
                if tile > 0 || !self.record_lies(value) {
                    bytes.extend(self.tile_openings(value, tile)?);
                }
            }
        }
        Ok(FraudProof::try_from(bytes)?)
    }

    /// The answer to a demand: [`Trace::fraud_proof`] of its tile. It shows no
    /// fraud if the tile is right. If a prover does not answer before the
    /// deadline, the chain rejects its receipt.
    ///
    /// # Errors
    /// [`OpenError`]: a receipt of another trace, a demand about another
    /// receipt, or a tile that the run does not have.
    pub fn answer(&self, receipt: &Receipt, demand: &Demand) -> Result<Answer, OpenError> {
        self.check_receipt(receipt)?;
        let (expected, got) = (receipt.digest(), demand.receipt);
        if expected != got {
            return Err(OpenError::Demand { expected, got });
        }
        let Demand { value, tile, .. } = *demand;
        if value.0 > 0 && (value.0 as usize) < self.network.program().inputs().len() && tile == 0 {
            // The first input's message carries all inputs' records.
            return Err(OpenError::Tile { value, tile });
        }
        Ok(self.fraud_proof(value, tile)?.into())
    }

    /// The opening of an input's strip.
    fn strip_opening(&self, value: ValueId, strip: u64) -> Result<Vec<u8>, OpenError> {
        let no_tile = OpenError::Tile { value, tile: strip + 1 };
        let tensor = self.value(value)?;
        let rows = unclean::strip_rows(tensor.extent(), strip).ok_or(no_tile.clone())?;
        open(&self.trees[value.0 as usize], tensor, &rows).ok_or(no_tile)
    }

    /// Whether the record of a step, or of a value that it reads, differs from
    /// what the program implies, or the records do not fit together.
    fn record_lies(&self, value: ValueId) -> bool {
        let implied = |value: ValueId| self.implied(value);
        record_lies(self.network.program(), &self.header.output, implied, value)
    }

    /// A value's record, if its fields follow from the program.
    fn implied(&self, value: ValueId) -> Option<Record> {
        let (program, run) = (self.network.program(), &self.header.run);
        let bytes = self.records.get(value.0 as usize)?;
        Record::from_bytes(&bytes.0, program, &self.extents, run, value).ok()
    }

    /// Recomputes everything and proves the first lie: a message for
    /// `Checker::fraud`, or `None` if the trace is honest. It works tile by
    /// tile, so it takes as much work as the run and is slower.
    ///
    /// # Errors
    /// [`OpenError`]: a device that keeps a tensor failed, or this library has
    /// a bug.
    pub fn find_fraud(&self) -> Result<Option<FraudProof>, OpenError> {
        self.find_fraud_with(&Control::new())
    }

    /// As [`Trace::find_fraud`], with progress and cancellation. The unit of
    /// progress is a value. Beyond the trace, each thread takes the memory of
    /// one tile (`Checker::tile_bound` of poai-verify).
    ///
    /// # Errors
    /// As [`Trace::find_fraud`], or [`OpenError::Cancelled`].
    pub fn find_fraud_with(&self, control: &Control) -> Result<Option<FraudProof>, OpenError> {
        let program = self.network().program();
        let header = self.header();
        if header.macs != program.total_macs(&header.run) {
            return Ok(Some(header.into()));
        }
        if let Some(value) = lie_of_header(program, &header, |value| self.implied(value)) {
            return self.fraud_proof(value, 0).map(Some);
        }
        let total = program.values() as u64;
        for value in (0..program.values() as u32).map(ValueId) {
            control.check()?;
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
            control.report(u64::from(value.0) + 1, total);
        }
        Ok(None)
    }

    /// The first tile of a step that differs from what the step computes from
    /// its committed inputs.
    fn wrong_tile(&self, value: ValueId) -> Result<Option<u64>, ValueError> {
        let Some(local) = self.local(value) else { return Ok(None) };
        self.fetch_slots(value)?;
        let (grid, committed) = (local.grid(), self.value(value)?.rows());
        let source = Values { trace: self, value };
        let wrong = |tile: &u64| !right(&local, &grid, *tile, &source, &committed);
        Ok((0..grid.tiles()).into_par_iter().find_first(wrong))
    }
}

/// The value whose tile 0 shows that the header's input, or its listed outputs,
/// are not those of the records: the first input, or [`Demand::of_outputs`].
/// `implied` returns a value's record if its fields follow from the program.
pub(super) fn lie_of_header(
    program: &Program,
    header: &TraceHeader,
    implied: impl Fn(ValueId) -> Option<Record>,
) -> Option<ValueId> {
    let root = |value: ValueId| Some(implied(value)?.root);
    // Exact: at most 4096 inputs.
    let inputs = (0..program.inputs().len() as u32).map(|input| root(ValueId(input)));
    let inputs: Option<Vec<Root>> = inputs.collect();
    let input = inputs.map(|roots| header::input_root(&header.run, &roots));
    if input != Some(header.input) {
        return Some(ValueId(0));
    }
    let listed = Demand::of_outputs(program)?;
    let outputs: Option<Vec<Root>> = program.outputs().iter().map(|&value| root(value)).collect();
    let output = outputs.and_then(|roots| header::output_root(program, &roots));
    (output != Some(header.output)).then_some(listed)
}

/// Whether the record of a step, or of a value that it reads, differs from what
/// the program implies, or the records do not fit together. `implied` returns a
/// value's record if its fields follow from the program.
pub(super) fn record_lies(
    program: &Program,
    output: &Root,
    implied: impl Fn(ValueId) -> Option<Record>,
    value: ValueId,
) -> bool {
    let Some(step) = program.step_of(value) else { return false };
    let Some(own) = implied(value) else { return true };
    let made: Option<Vec<Record>> = step.inputs.iter().map(|&input| implied(input)).collect();
    let Some(made) = made else { return true };
    own.check_wiring(made.iter().map(|record| &record.root)).is_err()
        || (!program.has_list() && value == program.output() && own.root != *output)
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

/// The tile as the step computes it from rows that are all clean.
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
