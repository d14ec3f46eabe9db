//! What a block is paid, and what exists after it (specification §18).

use crate::border::{guard, read, write};
use crate::code::POAI_ERROR_SUPPLY;
use poai_verify::chain::Profile;

/// A chain's schedule of supply, all of it the chain's constitution. Amounts are
/// in base units, and bytes, the highest first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct poai_supply {
    /// The most that will ever exist.
    pub supply_max: [u8; 16],
    /// Of it, what the foundation has from the genesis on.
    pub foundation: [u8; 16],
    /// Blocks of an era, within which every block has the same subsidy: at least
    /// 1.
    pub era_blocks: u64,
    /// An era pays one in so many of what is left to pay when it begins: at least
    /// 1. The number of eras that pay anything is at most some ninety times this.
    pub era_divisor: u8,
}

/// Writes EthereumAI's schedule. POAI_OK, or POAI_ERROR_ARGUMENT where `supply` is
/// null.
///
/// # Safety
/// `supply` is null or points to a writable struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_supply_eai(supply: *mut poai_supply) -> i32 {
    guard(|| {
        let eai = poai_supply {
            supply_max: Profile::EAI.supply_max.to_be_bytes(),
            foundation: Profile::EAI.foundation.to_be_bytes(),
            era_blocks: Profile::EAI.era_blocks,
            era_divisor: Profile::EAI.era_divisor,
        };
        // SAFETY: the caller's word.
        unsafe { write(supply, eai) }
    })
}

/// Writes what the block of a height is paid. The genesis, at height 0, is paid
/// nothing. POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT where either
/// pointer is null. Written on POAI_OK alone. Defined for every height.
///
/// # Safety
/// `supply` is null or points to a readable struct, `subsidy` to 16 writable
/// bytes; the highest is written first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_supply_subsidy(
    supply: *const poai_supply,
    height: u64,
    subsidy: *mut u8,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's word.
        let profile = unsafe { profile(supply) }?;
        // SAFETY: the caller's word.
        unsafe { write(subsidy, profile.subsidy(height).to_be_bytes()) }
    })
}

/// Writes all that exists after the block of a height: the foundation's part and
/// every subsidy up to this one. It is never above the most that will exist.
/// POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT where either pointer is
/// null. Written on POAI_OK alone. Defined for every height.
///
/// # Safety
/// `supply` is null or points to a readable struct, `issued` to 16 writable
/// bytes; the highest is written first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_supply_issued(
    supply: *const poai_supply,
    height: u64,
    issued: *mut u8,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's word.
        let profile = unsafe { profile(supply) }?;
        // SAFETY: the caller's word.
        unsafe { write(issued, profile.issued(height).to_be_bytes()) }
    })
}

/// Writes the last height whose block is paid: 2^64 − 1 where that is beyond every
/// height, and 0 where none is. POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT
/// where either pointer is null. Written on POAI_OK alone.
///
/// # Safety
/// `supply` is null or points to a readable struct, `height` to a writable number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_supply_last_paid_height(
    supply: *const poai_supply,
    height: *mut u64,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's word.
        let profile = unsafe { profile(supply) }?;
        // SAFETY: the caller's word.
        unsafe { write(height, profile.last_paid_height()) }
    })
}

/// # Safety
/// `supply` is null, or points to a readable struct.
unsafe fn profile(supply: *const poai_supply) -> Result<Profile, i32> {
    // SAFETY: the caller's word on the struct, in which every bit pattern is a
    // value.
    let asked = unsafe { read(supply) }?;
    let mut profile = Profile::EAI;
    profile.supply_max = u128::from_be_bytes(asked.supply_max);
    profile.foundation = u128::from_be_bytes(asked.foundation);
    profile.era_blocks = asked.era_blocks;
    profile.era_divisor = asked.era_divisor;
    // Rust's profile takes these for something; a caller has meant something else.
    if profile.foundation > profile.supply_max
        || profile.era_blocks == 0
        || profile.era_divisor == 0
    {
        return Err(POAI_ERROR_SUPPLY);
    }
    Ok(profile)
}
