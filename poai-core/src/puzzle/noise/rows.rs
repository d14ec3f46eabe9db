//! The row factor `L[i][c]`, uniform in -32..=31.

use crate::digest::Seed;
use crate::digest::derive;
use crate::params::RANK_MAX;

/// The generator of the rows of one side's row factor.
#[derive(Clone, Copy)]
pub struct RowNoise([u8; 32]);

impl RowNoise {
    /// A generator with the key `H("noise rows", seed)`.
    pub fn new(seed: &Seed) -> RowNoise {
        RowNoise(derive!("noise rows", &seed.0))
    }

    /// The key, for devices that generate noise.
    pub fn key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes row `index` of the factor into `row`, whose length is the rank.
    ///
    /// # Panics
    /// If the row is longer than 256 entries.
    pub fn row(&self, index: u32, row: &mut [i8]) {
        let mut raw = [0; RANK_MAX];
        let raw = &mut raw[..row.len()];
        blake3::Hasher::new_keyed(&self.0).update(&index.to_le_bytes()).finalize_xof().fill(raw);
        for (entry, byte) in row.iter_mut().zip(raw) {
            *entry = (*byte & 63) as i8 - 32;
        }
    }
}
