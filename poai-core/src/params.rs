//! Consensus constants, and other values that are permitted for research.
//!
//! | parameter | permitted | in a block | what the bound prevents |
//! | --- | --- | --- | --- |
//! | rank `r` | power of two, 32..=256 | 128 | an odd cycle length, which would make a step factor singular; grinding, because the miner does not choose the rank |
//! | tile `t` | multiple of 16, 16..=64 | 32 | the same |
//! | `k` | multiple of `r`, below 2^17 | 1024..=16384 | i32 overflow (2^17 terms of magnitude 2^14); for a block, too little transcript entropy below and too large a proof above |
//! | `m`, `n` | multiples of `t`, u32 | up to 2^24 | partial tiles; for a block, oversized encodings |
//! | clean entries | -64..=63 | same | a noised entry outside i8 |

/// The smallest clean operand entry.
pub const ENTRY_MIN: i8 = -64;
/// The largest clean operand entry.
pub const ENTRY_MAX: i8 = 63;
/// The exclusive upper bound of `k`.
///
/// A sum of 2^17 products of magnitude up to 2^14 could leave i32. No shorter
/// sum can.
pub const K_END: u32 = 1 << 17;
/// The least `k` of a block's product. Below it, a transcript has too little
/// entropy.
pub const BLOCK_K_MIN: u32 = 1024;
/// The largest `k` of a block's product. It bounds a proof's length and a
/// verifier's time.
pub const BLOCK_K_MAX: u32 = 16384;
/// The largest permitted rank.
pub const RANK_MAX: usize = 256;
/// The largest permitted tile edge.
pub const TILE_MAX: usize = 64;

/// Why a (rank, tile) pair is not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// The rank is not a power of two in 32..=256.
    #[error("expected a rank that is a power of two in 32..=256, got rank {0}; blocks use 128")]
    Rank(u16),
    /// The tile edge is not a multiple of 16 in 16..=64.
    #[error("expected a tile that is a multiple of 16 in 16..=64, got tile {0}; blocks use 32")]
    Tile(u16),
}

/// A permitted (rank, tile) pair.
///
/// Both come from the verifier, never from a proof. The seeds bind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "RawParams"))]
pub struct Params {
    rank: u16,
    tile: u16,
}

#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct RawParams {
    rank: u16,
    tile: u16,
}

#[cfg(feature = "serde")]
impl TryFrom<RawParams> for Params {
    type Error = ParamsError;

    fn try_from(raw: RawParams) -> Result<Self, ParamsError> {
        Params::new(raw.rank, raw.tile)
    }
}

impl Params {
    /// The pair that blocks use, rank 128 and tile 32.
    ///
    /// A pair outside the module's table would not compile here.
    pub const CONSENSUS: Params = match Params::new(128, 32) {
        Ok(params) => params,
        Err(_) => panic!("the consensus pair is permitted"),
    };

    /// A pair from the permitted table.
    ///
    /// # Errors
    /// [`ParamsError`] if a value is not permitted; it names the value.
    pub const fn new(rank: u16, tile: u16) -> Result<Params, ParamsError> {
        if !rank.is_power_of_two() || rank < 32 || rank as usize > RANK_MAX {
            return Err(ParamsError::Rank(rank));
        }
        if !tile.is_multiple_of(16) || tile < 16 || tile as usize > TILE_MAX {
            return Err(ParamsError::Tile(tile));
        }
        Ok(Params { rank, tile })
    }

    /// The rank `r` of the noise, which is also the columns of one rank-step.
    pub const fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The edge `t` of a tile, which is also the number of rows of a strip.
    pub const fn tile(&self) -> usize {
        self.tile as usize
    }

    /// The MACs behind one ticket of depth `k`: `t·t·k`.
    pub const fn macs_per_ticket(&self, k: u32) -> u64 {
        self.tile as u64 * self.tile as u64 * k as u64
    }
}
