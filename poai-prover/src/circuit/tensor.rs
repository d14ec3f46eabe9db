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

    /// The least and the largest bound of all entries, and 0.
    pub(super) fn bounds(&self) -> (i128, i128) {
        let bounds = self.entries.iter().map(Number::bounds);
        bounds.fold((0, 0), |(least, most), (a, b)| (least.min(a), most.max(b)))
    }
}
