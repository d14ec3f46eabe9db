//! Entries in another order.

use super::{Local, Read, Region, RowSource, StepError};
use alloc::vec;
use alloc::vec::Vec;

/// The place of an entry: the slot, the row within the item, and the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: usize,
    row: u32,
    column: u32,
}

/// The inputs of an item, one after another.
struct Places {
    /// For each input: the entries of an item, its rows and its columns.
    inputs: Vec<(u64, u32, u32)>,
}

impl Places {
    fn new(local: &Local<'_>) -> Places {
        let of = |slot: usize| {
            let (rows, columns) = (local.item_rows(slot), local.slot(slot).columns.max(1));
            (u64::from(rows) * u64::from(columns), rows, columns)
        };
        Places { inputs: (0..local.inputs).map(of).collect() }
    }

    /// The place of entry `number`, or `None` for −1.
    ///
    /// `row` is the row of the index, for the error.
    fn of(&self, local: &Local<'_>, row: u32, number: i32) -> Result<Option<Place>, StepError> {
        let Ok(mut rest) = u64::try_from(number) else {
            return if number == -1 { Ok(None) } else { Err(self.outside(local, row, number)) };
        };
        for (slot, &(entries, _, columns)) in self.inputs.iter().enumerate() {
            if rest < entries {
                // Exact: both are below the input's rows and columns.
                let (row, column) = (rest / u64::from(columns), rest % u64::from(columns));
                return Ok(Some(Place { slot, row: row as u32, column: column as u32 }));
            }
            rest -= entries;
        }
        Err(self.outside(local, row, number))
    }

    fn outside(&self, local: &Local<'_>, row: u32, value: i32) -> StepError {
        let entries: u64 = self.inputs.iter().map(|input| input.0).sum();
        let max = u32::try_from(entries.saturating_sub(1)).unwrap_or(u32::MAX);
        StepError::Index { slot: local.inputs, row, value, min: 0, max }
    }
}

/// Writes the entries that the index names.
pub(super) fn arrange(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let places = Places::new(local);
    let (per_item, end) = (local.output_item_rows(), region.columns.end as usize);
    let mut index = vec![0; end];
    // The last row that was read of each input: neighbours mostly share it.
    let mut held: Vec<(Option<u32>, Vec<i32>)> =
        places.inputs.iter().map(|&(_, _, columns)| (None, vec![0; columns as usize])).collect();
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let (item, own) = (row / per_item, row % per_item);
        source.read(local.inputs, own, &mut index)?;
        for (out, &number) in out.iter_mut().zip(&index[region.columns.start as usize..]) {
            let Some(place) = places.of(local, own, number)? else {
                *out = 0;
                continue;
            };
            let rows = places.inputs.get(place.slot).map_or(1, |input| input.1);
            let from = item * rows + place.row;
            let Some((last, entries)) = held.get_mut(place.slot) else {
                return Err(StepError::Region);
            };
            if *last != Some(from) {
                source.read(place.slot, from, entries)?;
                *last = Some(from);
            }
            *out = entries.get(place.column as usize).copied().unwrap_or(0);
        }
    }
    Ok(())
}

/// The rows of the inputs that a region's index names.
pub(super) fn reads(
    local: &Local<'_>,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    let places = Places::new(local);
    let per_item = local.output_item_rows();
    let mut index = vec![0; region.columns.end as usize];
    let mut reads: Vec<Read> = vec![];
    for row in region.rows.clone() {
        let (item, own) = (row / per_item, row % per_item);
        source.read(local.inputs, own, &mut index)?;
        for &number in &index[region.columns.start as usize..] {
            let Some(place) = places.of(local, own, number)? else { continue };
            let rows = places.inputs.get(place.slot).map_or(1, |input| input.1);
            let from = item * rows + place.row;
            let read = Read { slot: place.slot, rows: from..from + 1 };
            // Neighbours mostly name the same row.
            if reads.last() != Some(&read) {
                reads.push(read);
            }
        }
    }
    Ok(reads)
}
