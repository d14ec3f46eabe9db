//! The rules of a node. They come from the node, and never from a proof.

use poai_core::params::{BLOCK_K_MAX, BLOCK_K_MIN, K_END};
use poai_core::puzzle::statement::Dimension;
use poai_core::{Difficulty, Params, RulesDigest, Shape};

/// Why rules are contradictory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A range contains no permitted value.
    #[error("expected a permitted {dimension} in {min}..={max}, got none; widen the range")]
    EmptyRange {
        /// The dimension.
        dimension: Dimension,
        /// The least value.
        min: u32,
        /// The largest value.
        max: u32,
    },
    /// The largest permitted `k` is so large that 32-bit sums are not exact.
    #[error("expected k of at most {}, got {k_max}", K_END - 1)]
    Deep {
        /// The largest k of the rules.
        k_max: u32,
    },
    /// The difficulty is below the least that the rules permit.
    #[error("expected a difficulty of at least {min}, got {difficulty}")]
    Difficulty {
        /// The given difficulty.
        difficulty: Difficulty,
        /// The least permitted difficulty.
        min: Difficulty,
    },
}

/// What a node permits: rank and tile, and the ranges of the dimensions and the difficulty.
///
/// Only [`Rules::CONSENSUS`] applies to blocks. A proof under other rules states nothing about a
/// block. For this reason, every [`crate::Verified`] names its rules by digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rules {
    /// Rank and tile.
    pub params: Params,
    /// The least k. Below 1024 a transcript has too little entropy.
    pub k_min: u32,
    /// The largest k. It bounds the proof's length and the verifier's time.
    pub k_max: u32,
    /// The largest m and n.
    pub rows_max: u32,
    /// The least difficulty.
    pub difficulty_min: Difficulty,
}

impl Rules {
    /// What a block needs (spec §2 and §6): rank 128, tile 32, 1024 ≤ k ≤
    /// 16384, m and n ≤ 2^24, difficulty ≥ 2^24.
    pub const CONSENSUS: Rules = Rules {
        params: Params::CONSENSUS,
        k_min: BLOCK_K_MIN,
        k_max: BLOCK_K_MAX,
        rows_max: 1 << 24,
        difficulty_min: Difficulty::BLOCK_MIN,
    };

    /// The rules for a pool's shares: as for a block, at any difficulty.
    pub const SHARE: Rules = Rules { difficulty_min: Difficulty::ONE, ..Rules::CONSENSUS };

    /// The widest rules for tests and research with the given rank and tile.
    pub const fn research(params: Params) -> Rules {
        Rules {
            params,
            k_min: 1,
            k_max: K_END - 1,
            rows_max: u32::MAX,
            difficulty_min: Difficulty::ONE,
        }
    }

    /// Checks that the rules permit at least one shape, and none that could
    /// overflow.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn check(&self) -> Result<(), RulesError> {
        if self.k_max >= K_END {
            return Err(RulesError::Deep { k_max: self.k_max });
        }
        let (rank, tile) = (self.params.rank() as u32, self.params.tile() as u32);
        let ranges =
            [(Dimension::K, self.k_min, self.k_max, rank), (Dimension::M, 1, self.rows_max, tile)];
        for (dimension, min, max, unit) in ranges {
            let first = u64::from(min.max(1)).next_multiple_of(u64::from(unit));
            if first > u64::from(max) {
                return Err(RulesError::EmptyRange { dimension, min, max });
            }
        }
        Ok(())
    }

    /// The ranges of the dimensions, with the values of a shape.
    pub(crate) fn limits(&self, shape: &Shape) -> [(Dimension, u32, u32, u32); 3] {
        [
            (Dimension::M, shape.m, 1, self.rows_max),
            (Dimension::N, shape.n, 1, self.rows_max),
            (Dimension::K, shape.k, self.k_min, self.k_max),
        ]
    }

    /// The largest number of bytes of a proof under these rules.
    ///
    /// A node can reject larger messages without reading them.
    pub fn proof_bytes_max(&self) -> u64 {
        let rank = self.params.rank() as u64;
        let k = u64::from(self.k_max) / rank * rank;
        let opened = self.params.tile() as u64 * k + 2 * 1023;
        // At most one sibling for each level on either side of the strip.
        let chunks = (u64::from(self.rows_max) * k).div_ceil(1024).max(1);
        let levels = u64::from(u64::BITS - chunks.leading_zeros());
        poai_core::puzzle::proof::HEADER_LEN as u64 + 2 * (opened + 32 * 2 * levels)
    }

    /// The digest that names these rules in a receipt.
    ///
    /// It is
    /// `H("rules", u16 r ‖ u16 t ‖ u32 k_min ‖ u32 k_max ‖ u32 rows_max ‖ u128 difficulty_min)`.
    pub fn digest(&self) -> RulesDigest {
        // Exact: rank and tile are at most 256.
        let (rank, tile) = (self.params.rank() as u16, self.params.tile() as u16);
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 rules");
        hasher.update(&rank.to_le_bytes());
        hasher.update(&tile.to_le_bytes());
        hasher.update(&self.k_min.to_le_bytes());
        hasher.update(&self.k_max.to_le_bytes());
        hasher.update(&self.rows_max.to_le_bytes());
        hasher.update(&self.difficulty_min.macs().to_le_bytes());
        RulesDigest(*hasher.finalize().as_bytes())
    }
}
