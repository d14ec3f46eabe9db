//! The constants of a chain, and what follows from them (spec §18).

use super::asert::{Anchor, Asert};
use super::base_target::BaseTarget;
use super::times::TimeRules;
use poai_core::Difficulty;

/// The constants that a chain fixes around its proofs. Amounts are in base
/// units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Profile {
    /// The chain's name.
    pub name: &'static str,
    /// Decimals of a coin: one coin is 10^decimals base units.
    pub decimals: u8,
    /// The largest supply that can ever exist.
    pub supply_max: u128,
    /// The foundation's part of it, which exists from the genesis on.
    pub foundation: u128,
    /// Number of blocks in an era, within which every block has the same
    /// subsidy.
    pub era_blocks: u64,
    /// The era divisor, n: an era pays 1/n of what is left to pay when it
    /// begins. The number of eras that pay anything is at most about 90·n.
    pub era_divisor: u8,
    /// Seconds between blocks.
    pub block_time: u32,
    /// Seconds behind schedule that halve the difficulty.
    pub half_life: u32,
    /// Number of ancestors whose median time a block's time has to be after.
    pub time_ancestors: usize,
    /// Seconds that a block may be ahead of the clock.
    pub future_limit: u64,
    /// The difficulty of the network that the profile was made for, in MACs.
    pub reference_difficulty: u128,
    /// The genesis divisor, n: the genesis has 1/n of that difficulty.
    pub initial_divisor: u128,
}

/// 10^18, as in Ethereum.
const COIN: u128 = 1_000_000_000_000_000_000;

impl Profile {
    /// EthereumAI. `docs/spec.md` §18 has the table, `docs/design.md` the
    /// reasons.
    pub const EAI: Profile = Profile {
        name: "EAI",
        decimals: 18,
        supply_max: 2_500_000_000 * COIN,
        foundation: 250_000_000 * COIN,
        // 365 days of 15 seconds.
        era_blocks: 2_102_400,
        era_divisor: 16,
        block_time: 15,
        half_life: 7_200,
        time_ancestors: 11,
        future_limit: 15,
        // 5000 GPUs of 5·10^14 MAC/s, for 15 seconds.
        reference_difficulty: 37_500_000_000_000_000_000,
        initial_divisor: 5_000,
    };

    /// The amount left to the miners at the genesis.
    pub const fn mined_max(&self) -> u128 {
        self.supply_max.saturating_sub(self.foundation)
    }

    /// The subsidy of the block at a height. The genesis, at height 0, is paid
    /// nothing.
    pub fn subsidy(&self, height: u64) -> u128 {
        match height.checked_sub(1) {
            Some(index) => self.era(self.era_of(index)).subsidy,
            None => 0,
        }
    }

    /// The supply after the block at a height: the foundation's part and every
    /// subsidy up to this one. Never above [`Profile::supply_max`].
    pub fn issued(&self, height: u64) -> u128 {
        let Some(index) = height.checked_sub(1) else {
            return self.foundation.min(self.supply_max);
        };
        let era = self.era(self.era_of(index));
        let blocks = index % self.blocks() + 1;
        self.supply_max - era.left + era.subsidy * u128::from(blocks)
    }

    /// The last height whose block is paid: `u64::MAX` if that is beyond every
    /// height, 0 if no block is paid.
    pub fn last_paid_height(&self) -> u64 {
        let (mut era, mut number) = (self.era(0), 0u64);
        while era.subsidy > 0 {
            era = self.after(&era);
            number += 1;
        }
        number.saturating_mul(self.blocks())
    }

    /// The genesis' difficulty.
    pub fn initial_difficulty(&self) -> Difficulty {
        let macs = self.reference_difficulty / self.initial_divisor.max(1);
        Difficulty::new(macs).unwrap_or(Difficulty::ONE)
    }

    /// The anchor of a chain whose genesis has this time.
    pub fn anchor(&self, genesis_time: u64) -> Anchor {
        Anchor {
            height: 0,
            parent_time: genesis_time.saturating_sub(u64::from(self.block_time)),
            target: BaseTarget::new(self.initial_difficulty()),
        }
    }

    /// The retargeting, down to the least difficulty of a block.
    ///
    /// # Errors
    /// [`super::AsertError`] for constants that are not permitted; never for
    /// [`Profile::EAI`].
    pub fn asert(&self) -> Result<Asert, super::AsertError> {
        Asert::new(self.block_time, self.half_life, Difficulty::BLOCK_MIN)
    }

    /// The time rules.
    ///
    /// # Errors
    /// [`super::TimeError`] for constants that are not permitted; never for
    /// [`Profile::EAI`].
    pub fn times(&self) -> Result<TimeRules, super::TimeError> {
        TimeRules::new(self.time_ancestors, self.future_limit)
    }

    fn era_of(&self, index: u64) -> u64 {
        index / self.blocks()
    }

    /// Takes 0 as 1, because an era of no blocks would never end.
    fn blocks(&self) -> u64 {
        self.era_blocks.max(1)
    }

    /// Walks from the first era, and stops at the first that pays nothing. It
    /// takes some hundreds of steps, whatever the number.
    fn era(&self, number: u64) -> Era {
        let mut era = self.beginning(self.mined_max());
        for _ in 0..number {
            if era.subsidy == 0 {
                break;
            }
            era = self.after(&era);
        }
        era
    }

    /// The next era.
    fn after(&self, era: &Era) -> Era {
        // Each era pays at most a part of what is left, so this never
        // underflows.
        self.beginning(era.left - era.subsidy * u128::from(self.blocks()))
    }

    /// An era at whose beginning `left` is left to pay.
    fn beginning(&self, left: u128) -> Era {
        let parts = u128::from(self.era_divisor.max(1)) * u128::from(self.blocks());
        Era { left, subsidy: left / parts }
    }
}

/// The state at the beginning of an era.
struct Era {
    /// The amount not yet paid.
    left: u128,
    /// The subsidy of each of its blocks.
    subsidy: u128,
}
