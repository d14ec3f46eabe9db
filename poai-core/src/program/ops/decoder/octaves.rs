//! Weights that halve with every 256 of a distance, by a table of one octave.

/// Entries of a table.
const OCTAVE: i64 = 256;
/// The most halvings.
const HALVINGS_MAX: i64 = 62;

/// A table of one octave, whose entries are clipped to 0..=most.
pub(super) struct Octaves([i32; OCTAVE as usize]);

impl Octaves {
    /// The table of some entries.
    pub(super) fn new(entries: &[i32; OCTAVE as usize], most: i32) -> Octaves {
        // A table may hold entries that are no weights. Those are clipped.
        Octaves(entries.map(|entry| entry.clamp(0, most)))
    }

    /// The weight at a distance. A distance below 0 counts as 0.
    #[inline(always)]
    pub(super) fn at(&self, distance: i64) -> i32 {
        let distance = distance.max(0);
        let entry = self.0[(distance % OCTAVE) as usize];
        let halvings = (distance / OCTAVE).min(HALVINGS_MAX);
        // Exact: an entry and half a unit are below 2^63.
        let half = (1i64 << halvings) >> 1;
        ((i64::from(entry) + half) >> halvings) as i32
    }
}
