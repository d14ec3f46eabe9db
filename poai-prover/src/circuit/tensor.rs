//! Tensors of a run in a circuit: their true entries, row-major.

use super::number::Number;
use poai_core::program::Extent;

/// A tensor's entries.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    pub(super) extent: Extent,
    pub(super) entries: Vec<Number>,
}

impl Entries {
    pub(super) fn new(extent: Extent, entries: Vec<Number>) -> Entries {
        debug_assert_eq!(entries.len(), extent.rows as usize * extent.columns as usize);
        Entries { extent, entries }
    }

    /// Entries that are constants of the circuit.
    pub(super) fn fixed(extent: Extent, entries: &[i32]) -> Entries {
        let constant = |&entry: &i32| Number::constant(entry.into());
        Entries::new(extent, entries.iter().map(constant).collect())
    }

    /// The extent alone, for weights that are kept as integers.
    pub(super) fn none(extent: Extent) -> Entries {
        Entries { extent, entries: vec![] }
    }

    /// A row, which is empty if it does not exist.
    pub(super) fn row(&self, row: usize) -> &[Number] {
        let columns = self.extent.columns as usize;
        self.entries.get(row * columns..(row + 1) * columns).unwrap_or(&[])
    }

    /// All rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Number]> {
        self.entries.chunks_exact(self.extent.columns as usize)
    }

    /// One of `parts` equal parts of the rows, or `None` if they do not divide.
    pub(super) fn part_of_rows(&self, part: u32, parts: u32) -> Option<Entries> {
        let Extent { rows, columns, dtype } = self.extent;
        let own = Extent::new(rows.checked_div(parts)?, columns, dtype)?;
        let size = own.rows as usize * columns as usize;
        let entries = self.entries.get(part as usize * size..(part as usize + 1) * size)?;
        Some(Entries::new(own, entries.to_vec()))
    }

    /// One of `parts` equal parts of the columns, or `None` if they do not
    /// divide.
    pub(super) fn part_of_columns(&self, part: u32, parts: u32) -> Option<Entries> {
        let Extent { rows, columns, dtype } = self.extent;
        let own = Extent::new(rows, columns.checked_div(parts)?, dtype)?;
        let (first, size) = ((part * own.columns) as usize, own.columns as usize);
        let of_row = |row| self.row(row).get(first..first + size);
        let rows: Vec<&[Number]> = (0..rows as usize).map(of_row).collect::<Option<_>>()?;
        Some(Entries::new(own, rows.concat()))
    }

    /// The least and the largest bound of all entries, and 0.
    pub(super) fn bounds(&self) -> (i128, i128) {
        let bounds = self.entries.iter().map(Number::bounds);
        bounds.fold((0, 0), |(least, most), (a, b)| (least.min(a), most.max(b)))
    }
}
