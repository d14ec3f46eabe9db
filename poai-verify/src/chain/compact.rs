//! A difficulty in four bytes, as a header carries it.

use core::fmt;
use poai_core::Difficulty;

/// A difficulty of 16 to 24 significant bits, encoded in 32 bits. The highest
/// eight bits are its number of bytes, the others its leading three bytes. The
/// encoding resembles Bitcoin's nBits, but holds a difficulty in MACs instead
/// of a target, has no sign bit, and each value has one encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct CompactDifficulty(u32);

/// Why 32 bits are not a compact difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// No difficulty has that number of bytes.
    #[error("compact difficulty {bits:#010x}: expected 1 to 16 bytes, got {length}")]
    Length {
        /// The encoding.
        bits: u32,
        /// The number of bytes that the encoding states.
        length: u32,
    },
    /// The leading byte is zero, or bytes are set that the value does not have:
    /// the value has another encoding.
    #[error("expected the one encoding of a difficulty, got {bits:#010x}")]
    NotCanonical {
        /// The encoding.
        bits: u32,
    },
}

/// The leading byte of a mantissa.
const LEADING: u32 = 0x00ff_0000;

impl CompactDifficulty {
    /// The largest compact difficulty that is not above `difficulty`. It is
    /// lower by a factor under 2^-15, and equal if 16 significant bits are
    /// enough.
    pub fn new(difficulty: Difficulty) -> CompactDifficulty {
        let macs = difficulty.macs();
        let length = 16 - macs.leading_zeros() / 8;
        let mantissa = match length {
            0..=3 => macs << (8 * (3 - length)),
            _ => macs >> (8 * (length - 3)),
        };
        // Exact: only three bytes of it are left.
        CompactDifficulty(length << 24 | mantissa as u32)
    }

    /// Reads an encoding.
    ///
    /// # Errors
    /// [`CompactError`] if [`CompactDifficulty::new`] makes this encoding of no
    /// difficulty.
    pub fn from_bits(bits: u32) -> Result<CompactDifficulty, CompactError> {
        let (length, mantissa) = (bits >> 24, bits & 0x00ff_ffff);
        if !(1..=16).contains(&length) {
            return Err(CompactError::Length { bits, length });
        }
        let absent = (1 << (8 * 3u32.saturating_sub(length))) - 1;
        if mantissa & LEADING == 0 || mantissa & absent != 0 {
            return Err(CompactError::NotCanonical { bits });
        }
        Ok(CompactDifficulty(bits))
    }

    /// The encoding. A header writes it little-endian, or as its own format
    /// requires.
    pub const fn bits(&self) -> u32 {
        self.0
    }

    /// The value, exactly.
    pub fn difficulty(&self) -> Difficulty {
        let (length, mantissa) = (self.0 >> 24, u128::from(self.0 & 0x00ff_ffff));
        let macs = match length {
            0..=3 => mantissa >> (8 * (3 - length)),
            _ => mantissa << (8 * (length - 3)),
        };
        // Never 0, because the leading byte is not 0.
        Difficulty::new(macs).unwrap_or(Difficulty::ONE)
    }
}

impl From<CompactDifficulty> for u32 {
    fn from(compact: CompactDifficulty) -> u32 {
        compact.bits()
    }
}

impl TryFrom<u32> for CompactDifficulty {
    type Error = CompactError;

    fn try_from(bits: u32) -> Result<Self, CompactError> {
        CompactDifficulty::from_bits(bits)
    }
}

impl fmt::Display for CompactDifficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}
