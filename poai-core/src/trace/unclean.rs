//! What convicts a trace whose input is unclean.

use super::header::TraceHeader;
use super::record::{self, Record};
use crate::params::Params;
use crate::program::{Extent, Program, ValueId};
use crate::puzzle::commitment::Tree;
use alloc::vec::Vec;
use core::ops::Range;

/// How many padded rows a strip of an input has.
const STRIP: u32 = Params::CONSENSUS.tile() as u32;

/// The padded rows of strip number `strip` of an input; `None` beyond it.
pub fn strip_rows(extent: &Extent, strip: u64) -> Option<Range<u32>> {
    let first = u32::try_from(strip).ok()?.checked_mul(STRIP)?;
    let end = first.checked_add(STRIP)?;
    (end <= extent.padded_rows()).then_some(first..end)
}

/// The first row of some padded rows that holds an i8 entry out of range, or
/// padding other than zero.
pub fn first_unclean(extent: &Extent, first: u32, bytes: &[u8]) -> Option<u32> {
    let rows = bytes.chunks_exact(extent.row_bytes().max(1));
    (first..).zip(rows).find(|&(row, bytes)| !extent.is_clean(row, bytes)).map(|(row, _)| row)
}

/// A fraud proof against a trace whose input is committed with an entry out of
/// range or with padding other than zero: `header ‖ u32 value ‖ u64 strip + 1 ‖
/// record ‖ path ‖ opening of the strip's rows`. No honest run has such an
/// input, and no audit opens the rows that no step reads.
///
/// `records` are the trace's, all of them, encoded; `bytes` are the input's
/// padded ones. `None` where these are clean, or not of this run.
pub fn accuse_input(
    program: &Program,
    header: &TraceHeader,
    records: &[Vec<u8>],
    input: ValueId,
    bytes: &[u8],
) -> Option<Vec<u8>> {
    let index = input.0 as usize;
    let extent = *program.extents(&header.run).ok()?.get(index)?;
    if index >= program.inputs().len() || bytes.len() as u64 != extent.bytes() {
        return None;
    }
    let strip = u64::from(first_unclean(&extent, 0, bytes)? / STRIP);
    let rows = extent.strip(&strip_rows(&extent, strip)?)?;
    let opening = Tree::new(bytes).open(bytes, &rows).ok()?;
    let leaves: Vec<[u8; 32]> = records.iter().map(|record| Record::leaf(record)).collect();
    let mut proof = header.encode();
    proof.extend(input.0.to_le_bytes());
    proof.extend((strip + 1).to_le_bytes());
    proof.extend(records.get(index)?);
    proof.extend(record::path(&leaves, index as u64).concat());
    proof.extend(opening.bytes);
    proof.extend(opening.siblings.concat());
    Some(proof)
}
