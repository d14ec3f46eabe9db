//! Fraud proofs against a trace whose input is unclean.

use super::header::TraceHeader;
use super::message::FraudProof;
use super::record::{self, Record, RecordBytes};
use crate::params::Params;
use crate::program::{Extent, Program, ValueId};
use crate::puzzle::commitment::Tree;
use alloc::vec::Vec;
use core::ops::Range;

/// The number of padded rows in a strip of an input.
const STRIP: u32 = Params::CONSENSUS.tile() as u32;

/// The padded rows of strip `strip` of an input; `None` if it does not exist.
pub fn strip_rows(extent: &Extent, strip: u64) -> Option<Range<u32>> {
    let first = u32::try_from(strip).ok()?.checked_mul(STRIP)?;
    let end = first.checked_add(STRIP)?;
    (end <= extent.padded_rows()).then_some(first..end)
}

/// The first of some padded rows with an i8 entry out of range or with non-zero
/// padding.
pub fn first_unclean(extent: &Extent, first: u32, bytes: &[u8]) -> Option<u32> {
    let rows = bytes.chunks_exact(extent.row_bytes().max(1));
    (first..).zip(rows).find(|&(row, bytes)| !extent.is_clean(row, bytes)).map(|(row, _)| row)
}

/// A fraud proof against a trace whose input is committed with an entry out of
/// range or with non-zero padding: `header ‖ u32 value ‖ u64 strip + 1 ‖ record
/// ‖ path ‖ opening of the strip's rows`. No honest run has such an input. No
/// audit opens the rows that no step reads.
///
/// `records` are all records of the trace. `bytes` are the input's
/// padded bytes. `None` if they are clean, or are not of this run.
pub fn accuse_input(
    program: &Program,
    header: &TraceHeader,
    records: &[RecordBytes],
    input: ValueId,
    bytes: &[u8],
) -> Option<FraudProof> {
    let index = input.0 as usize;
    let extent = *program.extents(&header.run).ok()?.get(index)?;
    if index >= program.inputs().len() || bytes.len() as u64 != extent.bytes() {
        return None;
    }
    let strip = u64::from(first_unclean(&extent, 0, bytes)? / STRIP);
    let rows = extent.strip(&strip_rows(&extent, strip)?)?;
    let opening = Tree::new(bytes).open(bytes, &rows).ok()?;
    let leaves: Vec<[u8; 32]> = records.iter().map(|record| Record::leaf(&record.0)).collect();
    let mut proof = header.to_bytes();
    proof.extend(input.0.to_le_bytes());
    proof.extend((strip + 1).to_le_bytes());
    proof.extend(&records.get(index)?.0);
    proof.extend(record::path(&leaves, index as u64).concat());
    proof.extend(opening.bytes);
    proof.extend(opening.siblings.concat());
    FraudProof::try_from(proof).ok()
}
