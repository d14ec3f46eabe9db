//! The income of a block's miner, and the account of a whole chain.

use super::profile::Profile;

/// A block's income in base units: the issued coins, and the fees that
/// requesters of the work in it pay. Fees move existing coins; they issue none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Income {
    /// Issued by the schedule.
    pub subsidy: u128,
    /// Gas fees of the block's transactions, as the chain's execution computes
    /// them.
    pub fees: u128,
}

/// Why a block's income is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IncomeError {
    /// The block issues another amount than the schedule.
    #[error("block {height}: expected a subsidy of {expected}, got {got}")]
    Subsidy {
        /// The block's height.
        height: u64,
        /// The schedule's amount.
        expected: u128,
        /// The amount that the block issues.
        got: u128,
    },
    /// The block collects more fees than coins exist.
    #[error("block {height}: expected fees of at most {supply}, which exist, got {fees}")]
    Fees {
        /// The block's height.
        height: u64,
        /// The fees.
        fees: u128,
        /// The supply before the block.
        supply: u128,
    },
    /// The sum of fees, over all blocks, does not fit 128 bits.
    #[error("block {height}: expected all fees to fit 128 bits, got a larger sum")]
    Overflow {
        /// The block's height.
        height: u64,
    },
}

impl Income {
    /// The sum of both parts, which the miner receives. `None` if it does not
    /// fit 128 bits.
    pub fn total(&self) -> Option<u128> {
        self.subsidy.checked_add(self.fees)
    }

    /// The share of fees in the income, in basis points (1/10 000), rounded
    /// down; 0 if the income is 0. As the subsidy falls, it shows how far the
    /// work pays for itself.
    pub fn fee_share(&self) -> u16 {
        let (mut fees, mut subsidy) = (self.fees, self.subsidy);
        // The shift leaves enough leading zeros for the product. The bits that
        // it cuts off do not change the four digits shown.
        let excess = 16u32.saturating_sub(fees.leading_zeros().min(subsidy.leading_zeros()));
        fees >>= excess;
        subsidy >>= excess;
        match fees + subsidy {
            0 => 0,
            total => (fees * 10_000 / total) as u16,
        }
    }
}

/// A chain's income up to some block: the issued coins, and how miners' income
/// splits into subsidies and fees.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Account {
    profile: Profile,
    height: u64,
    income: Income,
}

impl Account {
    /// The account of a chain that has only its genesis.
    pub fn new(profile: Profile) -> Account {
        Account { profile, height: 0, income: Income::default() }
    }

    /// Enters the next block's income. On an error it changes nothing.
    ///
    /// # Errors
    /// [`IncomeError`] if the block issues another amount than the schedule, or
    /// its fees are impossible.
    pub fn enter(&mut self, income: Income) -> Result<(), IncomeError> {
        let height =
            self.height.checked_add(1).ok_or(IncomeError::Overflow { height: u64::MAX })?;
        let expected = self.profile.subsidy(height);
        if income.subsidy != expected {
            return Err(IncomeError::Subsidy { height, expected, got: income.subsidy });
        }
        let supply = self.supply();
        if income.fees > supply {
            return Err(IncomeError::Fees { height, fees: income.fees, supply });
        }
        let overflow = IncomeError::Overflow { height };
        self.income = Income {
            subsidy: self.income.subsidy.checked_add(income.subsidy).ok_or(overflow)?,
            fees: self.income.fees.checked_add(income.fees).ok_or(overflow)?,
        };
        self.height = height;
        Ok(())
    }

    /// The height of the last block that was entered.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The sum of all miners' income.
    pub fn income(&self) -> Income {
        self.income
    }

    /// The existing supply: the foundation's part and all subsidies.
    pub fn supply(&self) -> u128 {
        self.profile.issued(0).saturating_add(self.income.subsidy)
    }

    /// An upper bound of what can still be issued: the cap minus the supply.
    pub fn left(&self) -> u128 {
        self.profile.supply_max.saturating_sub(self.supply())
    }
}
