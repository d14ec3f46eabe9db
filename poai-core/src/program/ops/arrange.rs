//! Entries in another order.

use super::{Local, Read, Region, RowSource, StepError};
use alloc::collections::BTreeSet;
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

/// Consecutive entries of one output row that come from consecutive columns of
/// one input row, or that are all 0.
struct Run {
    /// The first entry's place, or `None` if the entries are 0.
    place: Option<Place>,
    /// How many entries.
    len: usize,
}

impl Places {
    /// The run that a row's numbers start with. There is at least one number.
    fn run(&self, local: &Local<'_>, row: u32, numbers: &[i32]) -> Result<Run, StepError> {
        let first = numbers.first().copied().unwrap_or(-1);
        let place = self.of(local, row, first)?;
        // What is left of the input's row ends the run, too.
        let (most, step) = match place {
            Some(Place { slot, column, .. }) => {
                let columns = self.inputs.get(slot).map_or(0, |input| input.2);
                (columns.saturating_sub(column) as usize, 1)
            }
            None => (numbers.len(), 0),
        };
        let next = (0i64..).map(|at| i64::from(first) + step * at);
        let same = numbers.iter().zip(next).take(most);
        let len = same.take_while(|&(&number, next)| i64::from(number) == next).count();
        Ok(Run { place, len: len.max(1) })
    }

    /// The row of a place's slot, for an item of the batch.
    fn row(&self, item: u32, place: &Place) -> u32 {
        item * self.inputs.get(place.slot).map_or(1, |input| input.1) + place.row
    }
}

/// Calls `each` for every run of a region with its item, and with the number of
/// its first entry in the region.
fn runs(
    local: &Local<'_>,
    region: &Region,
    source: &dyn RowSource,
    mut each: impl FnMut(&Places, u32, usize, &Run) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let places = Places::new(local);
    let per_item = local.output_item_rows();
    let mut index = vec![0; region.width()];
    for (above, row) in region.rows.clone().enumerate() {
        let (item, own) = (row / per_item, row % per_item);
        source.read_from(local.inputs, own, region.columns.start, &mut index)?;
        let mut at = 0;
        while let Some(numbers) = index.get(at..).filter(|numbers| !numbers.is_empty()) {
            let run = places.run(local, own, numbers)?;
            each(&places, item, above * region.width() + at, &run)?;
            at += run.len;
        }
    }
    Ok(())
}

/// Writes the entries that the index names.
pub(super) fn arrange(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    runs(local, region, source, |places, item, at, run| {
        let out = out.get_mut(at..at + run.len).ok_or(StepError::Region)?;
        match run.place {
            Some(place) => {
                source.read_from(place.slot, places.row(item, &place), place.column, out)
            }
            None => {
                out.fill(0);
                Ok(())
            }
        }
    })
}

/// The rows of the inputs that a region's index names.
pub(super) fn reads(
    local: &Local<'_>,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    // A set, because a tile may name one row once for each of its entries.
    let mut rows = BTreeSet::new();
    runs(local, region, source, |places, item, _, run| {
        if let Some(place) = run.place {
            rows.insert((place.slot, places.row(item, &place)));
        }
        Ok(())
    })?;
    Ok(rows.into_iter().map(|(slot, row)| Read { slot, rows: row..row + 1 }).collect())
}
