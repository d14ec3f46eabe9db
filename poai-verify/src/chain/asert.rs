//! Retargeting by ASERT: absolutely scheduled, exponentially rising targets
//! (spec §17).
//!
//! The algorithm is *aserti3-2d*, of Bitcoin Cash since November 2020
//! (Lundeberg 2020; the CHIP "ASERT Difficulty Adjustment Algorithm"), on
//! targets that are not rounded. The target doubles for every half-life that
//! the chain is behind its anchor's schedule. It halves for every half-life
//! that the chain is ahead. The algorithm reads only the parent's height and
//! time, so neither errors nor a miner's influence accumulate.

use super::base_target::BaseTarget;
use super::compact::CompactDifficulty;
use poai_core::Difficulty;
use ruint::{Uint, aliases::U256};

/// The type of a target times a factor of 17 bits.
type U320 = Uint<320, 5>;

/// Fractional bits of the exponent.
const RADIX_BITS: u32 = 16;

/// Where a schedule starts: a block whose target is given, not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Anchor {
    /// The block's height.
    pub height: u64,
    /// The time of the block's *parent*, in seconds. A genesis has no parent;
    /// it takes its own time minus the block time.
    pub parent_time: u64,
    /// The block's target.
    pub target: BaseTarget,
}

/// Why parameters are not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsertError {
    /// The block time is 0, or more than a day.
    #[error("expected a block time in 1..=86400 s, got {block_time}")]
    BlockTime {
        /// Seconds between blocks.
        block_time: u32,
    },
    /// The half-life is below sixteen block times, or above a year.
    #[error("expected a half-life in {min}..=31536000 s, got {half_life}")]
    HalfLife {
        /// The half-life in seconds.
        half_life: u32,
        /// The least one.
        min: u32,
    },
    /// The least difficulty is one that headers round to a value below it.
    #[error(
        "expected a least difficulty with a compact encoding, got {difficulty_min} MACs; round it"
    )]
    DifficultyMin {
        /// The difficulty.
        difficulty_min: Difficulty,
    },
}

/// The parameters of a chain's retargeting.
///
/// | parameter | permitted | what the bound stops |
/// | --- | --- | --- |
/// | block time | 1..=86400 s | a division by zero; a schedule too slow to check |
/// | half-life | 16 block times..=365 days | one block's time moving the difficulty by more than a few per cent |
/// | least difficulty | any with a compact encoding of its own | a chain that halts at its floor; one so easy that a proof's price saturates |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Asert {
    block_time: u32,
    half_life: u32,
    easiest: BaseTarget,
}

impl Asert {
    /// Retargeting with a block every `block_time` seconds. It halves the
    /// difficulty for every `half_life` seconds behind schedule, and never goes
    /// below `difficulty_min`.
    ///
    /// [`CompactDifficulty`] must represent the least difficulty exactly, as it represents the
    /// block rules'. Headers round any other value down, and a verifier that requires the least
    /// difficulty itself would then refuse every block at the floor. Chains that do not use compact
    /// difficulties take [`Asert::with_easiest`].
    ///
    /// # Errors
    /// [`AsertError`].
    pub fn new(
        block_time: u32,
        half_life: u32,
        difficulty_min: Difficulty,
    ) -> Result<Asert, AsertError> {
        if !(1..=86_400).contains(&block_time) {
            return Err(AsertError::BlockTime { block_time });
        }
        let min = 16 * block_time;
        if !(min..=31_536_000).contains(&half_life) {
            return Err(AsertError::HalfLife { half_life, min });
        }
        if CompactDifficulty::new(difficulty_min).difficulty() != difficulty_min {
            return Err(AsertError::DifficultyMin { difficulty_min });
        }
        Ok(Asert { block_time, half_life, easiest: BaseTarget::new(difficulty_min) })
    }

    /// Seconds between blocks.
    pub fn block_time(&self) -> u32 {
        self.block_time
    }

    /// Seconds behind schedule that halve the difficulty.
    pub fn half_life(&self) -> u32 {
        self.half_life
    }

    /// The same retargeting with another easiest target, as other chains have
    /// it.
    pub fn with_easiest(self, easiest: BaseTarget) -> Asert {
        Asert { easiest, ..self }
    }

    /// The target of the block after a parent with this height and time, in
    /// seconds. The block's difficulty is [`BaseTarget::difficulty`] of it,
    /// rounded as the chain's headers round it.
    ///
    /// Defined for every input, including parents before the anchor.
    pub fn next(&self, anchor: &Anchor, parent_height: u64, parent_time: u64) -> BaseTarget {
        let passed = i128::from(parent_time) - i128::from(anchor.parent_time);
        let blocks = i128::from(parent_height) - i128::from(anchor.height) + 1;
        // At most 2^64 + 2^17·2^65, times 2^16: far below 2^127.
        let behind = passed - i128::from(self.block_time) * blocks;
        let exponent = (behind << RADIX_BITS) / i128::from(self.half_life);
        let target = scaled(anchor.target.uint(), exponent).min(self.easiest.uint());
        BaseTarget::from_uint(target).unwrap_or(BaseTarget::ONE)
    }
}

/// `⌊target · 2^(exponent / 2^16)⌋` by the approximation; 2^256 − 1 if it does
/// not fit.
fn scaled(target: U256, exponent: i128) -> U256 {
    // Rounds towards minus infinity, so the fraction is not negative.
    let whole = exponent >> RADIX_BITS;
    let fraction = (exponent & 0xffff) as u16;
    let product = U320::from(target) * U320::from(power_of_two(fraction));
    // The product has up to 273 bits, 16 of them below the point.
    let shift = whole - i128::from(RADIX_BITS);
    if shift <= 0 {
        return match usize::try_from(-shift) {
            Ok(right @ ..320) => (product >> right).saturating_to(),
            _ => U256::ZERO,
        };
    }
    let bits = i128::try_from(product.bit_len()).unwrap_or(i128::MAX);
    if bits + shift > 256 {
        return U256::MAX;
    }
    // Below 256, because the sum is.
    (product << shift as usize).saturating_to()
}

/// `2^16 · 2^(fraction / 2^16)`, between 2^16 and 2^17, by a cubic whose error
/// is below 0.013 %.
const fn power_of_two(fraction: u16) -> u32 {
    let x = fraction as u64;
    // Below 2^64 at the largest fraction; a test checks it.
    let sum = 195_766_423_245_049 * x + 971_821_376 * x * x + 5_127 * x * x * x + (1 << 47);
    65_536 + (sum >> 48) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;

    /// Compares the cubic with the exact power, computed from square roots of 2
    /// to 256 bits after the point.
    #[test]
    fn the_cubic_is_close_to_the_power_at_every_fraction() {
        let one: BigUint = BigUint::from(1u8) << 256u32;
        let mut roots = [const { BigUint::ZERO }; 16]; // 2^(1/2), 2^(1/4), …
        let mut root: BigUint = BigUint::from(2u8) << 256u32;
        for entry in &mut roots {
            root = BigUint::sqrt(&(root << 256u32));
            *entry = root.clone();
        }
        let (mut largest, mut last) = (BigUint::ZERO, 0);
        for fraction in 0..=u16::MAX {
            let mut power = one.clone();
            for (bit, root) in roots.iter().enumerate() {
                if fraction >> (15 - bit) & 1 == 1 {
                    power = (power * root) >> 256;
                }
            }
            let factor = power_of_two(fraction);
            assert!(factor >= last, "monotone at {fraction}");
            last = factor;
            let ours: BigUint = BigUint::from(factor) << 240u32;
            let error = if ours > power { &ours - &power } else { &power - &ours };
            largest = largest.max((error << 40) / power);
        }
        // In units of 2^-40: below 0.0114 %, and at least 0.011 %.
        let percent = |ten_thousandths: u64| BigUint::from((ten_thousandths << 40) / 1_000_000);
        assert!(largest < percent(130), "{largest}");
        assert!(largest > percent(100), "{largest}");
    }

    #[test]
    fn the_largest_sum_fits() {
        let x = u128::from(u16::MAX);
        let sum = 195_766_423_245_049 * x + 971_821_376 * x * x + 5_127 * x * x * x + (1 << 47);
        assert!(sum < 1 << 64);
        assert_eq!(power_of_two(0), 65_536);
        assert!(power_of_two(u16::MAX) <= 131_072);
    }
}
