//! Recomputes one tile from its openings.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use alloc::vec;
use alloc::vec::Vec;
use poai_core::Root;
use poai_core::program::ops::{Columns, Local, Read, Region, RowSource, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{Extent, ValueId};
use poai_core::puzzle::commitment::OpeningView;
use poai_core::trace::Sample;

/// The result of recomputing a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The committed tile is what the step computes.
    Right,
    /// The committed tile differs from what the step computes.
    Wrong(TraceInvalid),
}

/// The rows that were opened, slot by slot.
struct Opened<'a> {
    rows: Vec<(usize, Rows<'a>)>,
}

impl RowSource for Opened<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        self.read_from(slot, row, 0, to)
    }

    fn read_from(
        &self,
        slot: usize,
        row: u32,
        first: u32,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        // The rows are in the order of slots, then rows: take the last that
        // starts no later.
        let at = self.rows.partition_point(|(own, rows)| (*own, rows.first) <= (slot, row));
        let missing = StepError::Missing { slot, row };
        let (own, rows) = at.checked_sub(1).and_then(|at| self.rows.get(at)).ok_or(missing)?;
        if *own != slot {
            return Err(missing);
        }
        rows.read_from(row, first, to).ok_or(missing)
    }
}

impl Checker {
    /// Reads a tile's openings, checks each against its root, recomputes the
    /// tile and compares. `inputs` are the commitments of the step's inputs,
    /// `output` that of its output.
    pub(crate) fn tile(
        &self,
        head: &Head,
        sample: Sample,
        inputs: &[Root],
        output: &Root,
        from: &mut Cursor<'_>,
    ) -> Result<Verdict, TraceError> {
        let Sample { value, tile } = sample;
        let local = Local::new(self.program(), &head.extents, head.run, value)
            .ok_or(TraceMalformed::Value(value))?;
        let no_tile = TraceMalformed::Tile { value, tile };
        let region = local.grid().tile(tile).ok_or(no_tile)?;
        let within = local.within(&region);
        let mut opened = Opened { rows: vec![] };
        let mut wrong = None;
        if let Some(within) = &within {
            for read in local.reads(within) {
                let root = self.root_of(value, inputs, read.slot).ok_or(no_tile)?;
                opened.rows.push(open(value, &local, &read, &root, from)?);
            }
            match local.further_reads(within, &opened) {
                Ok(reads) => {
                    for read in reads {
                        let root = self.root_of(value, inputs, read.slot).ok_or(no_tile)?;
                        opened.rows.push(open(value, &local, &read, &root, from)?);
                    }
                    // An index comes after the inputs whose entries it names.
                    opened.rows.sort_unstable_by_key(|(slot, rows)| (*slot, rows.first));
                }
                // An honest run would have stopped here.
                Err(source @ StepError::Index { .. }) => {
                    wrong = Some(TraceInvalid::Step { value, source });
                }
                Err(_) => return Err(no_tile.into()),
            }
            // No honest run has such a tensor.
            let unclean =
                |(_, rows): &&(usize, Rows<'_>)| !rows.extent.is_clean(rows.first, rows.bytes);
            if let Some(&(slot, _)) = opened.rows.iter().find(unclean) {
                wrong = Some(TraceInvalid::Unclean { value, slot });
            }
        }
        let committed = open_own(value, &local, &region, output, from)?;
        if let Some(wrong) = wrong {
            return Ok(Verdict::Wrong(wrong));
        }
        let own = match &within {
            Some(within) => match compute(&local, &opened, within) {
                Ok(own) => own,
                Err(StepError::Missing { .. } | StepError::Region) => return Err(no_tile.into()),
                Err(source) => return Ok(Verdict::Wrong(TraceInvalid::Step { value, source })),
            },
            None => vec![],
        };
        Ok(match local.first_difference(&region, &own, &committed) {
            Some((row, column)) => Verdict::Wrong(TraceInvalid::Entry { value, tile, row, column }),
            None => Verdict::Right,
        })
    }

    /// The commitment of the tensor that a step reads in a slot.
    fn root_of(&self, value: ValueId, inputs: &[Root], slot: usize) -> Option<Root> {
        if let Some(root) = inputs.get(slot) {
            return Some(*root);
        }
        let (constants, count) = self.program().step_of(value)?.op.constants();
        let constant = constants.get(..count)?.get(slot.checked_sub(inputs.len())?)?;
        Some(self.program().constants().get(constant.0 as usize)?.root)
    }
}

fn open<'a>(
    value: ValueId,
    local: &Local<'_>,
    read: &Read,
    root: &Root,
    from: &mut Cursor<'a>,
) -> Result<(usize, Rows<'a>), TraceError> {
    let none = TraceMalformed::Value(value);
    let extent = *local.slots.get(read.slot).ok_or(none)?;
    let rows = open_rows(value, read.slot, extent, read.rows.clone(), root, from)?;
    Ok((read.slot, rows))
}

/// Reads the opening of a tile's own rows and checks it.
fn open_own<'a>(
    value: ValueId,
    local: &Local<'_>,
    region: &Region,
    root: &Root,
    from: &mut Cursor<'a>,
) -> Result<Columns<'a>, TraceError> {
    let chunks = local.own_chunks(region).ok_or(TraceMalformed::Value(value))?;
    let bytes = from.take(chunks.opened_len())?;
    let siblings = from.hashes(chunks.siblings().into())?;
    let slot = local.slots.len();
    OpeningView { bytes, siblings }
        .check_chunks(&chunks, root)
        .map_err(|source| TraceInvalid::Opening { value, slot, source })?;
    Ok(Columns { extent: local.output, chunks, bytes })
}

/// Reads the opening of some rows and checks it.
pub(super) fn open_rows<'a>(
    value: ValueId,
    slot: usize,
    extent: Extent,
    rows: core::ops::Range<u32>,
    root: &Root,
    from: &mut Cursor<'a>,
) -> Result<Rows<'a>, TraceError> {
    let strip = extent.strip(&rows).ok_or(TraceMalformed::Value(value))?;
    let bytes = from.take(strip.opened_len())?;
    let siblings = from.hashes(strip.siblings().into())?;
    OpeningView { bytes, siblings }
        .check(&strip, root)
        .map_err(|source| TraceInvalid::Opening { value, slot, source })?;
    let own = bytes.get(strip.own()).ok_or(TraceMalformed::Short)?;
    Ok(Rows { extent, first: rows.start, bytes: own })
}

fn compute(local: &Local<'_>, opened: &Opened<'_>, within: &Region) -> Result<Vec<i32>, StepError> {
    let mut own = vec![0; within.rows.len() * within.width()];
    local.compute(opened, within, None, &mut own)?;
    Ok(own)
}
