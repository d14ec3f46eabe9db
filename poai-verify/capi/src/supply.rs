//! A block's subsidy, and the supply after it (specification §18).

use crate::border::{guard, read, write};
use crate::code::POAI_ERROR_SUPPLY;
use poai_verify::chain::Profile;

/// A chain's schedule of supply, all of it the chain's constitution. Amounts
/// are in base units, and are bytes, the highest first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct poai_supply {
    /// The largest supply that can ever exist.
    pub supply_max: [u8; 16],
    /// The foundation's part of it, which exists from the genesis on.
    pub foundation: [u8; 16],
    /// The number of blocks in an era, within which every block has the same
    /// subsidy: at least 1.
    pub era_blocks: u64,
    /// The era divisor, n: an era pays 1/n of what is left to pay when it begins. At least 1. The
    /// number of eras that pay anything is at most about 90·n.
    pub era_divisor: u8,
}

/// Writes EthereumAI's schedule. Returns POAI_OK, or POAI_ERROR_ARGUMENT if `supply` is null.
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
        // SAFETY: the caller guarantees it.
        unsafe { write(supply, eai) }
    })
}

/// Writes the subsidy of the block at a height. The genesis, at height 0, is
/// paid nothing. Returns POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT if
/// either pointer is null. Writes only on POAI_OK. Defined for every height.
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
        // SAFETY: the caller guarantees it.
        let profile = unsafe { profile(supply) }?;
        // SAFETY: the caller guarantees it.
        unsafe { write(subsidy, profile.subsidy(height).to_be_bytes()) }
    })
}

/// Writes the supply after the block at a height: the foundation's part and
/// every subsidy up to this one. It is never above the largest supply. Returns
/// POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT if either pointer is
/// null. Writes only on POAI_OK. Defined for every height.
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
        // SAFETY: the caller guarantees it.
        let profile = unsafe { profile(supply) }?;
        // SAFETY: the caller guarantees it.
        unsafe { write(issued, profile.issued(height).to_be_bytes()) }
    })
}

/// Writes the last height whose block is paid: 2^64 − 1 if that is beyond every height, and 0 if no
/// block is paid. Returns POAI_OK, POAI_ERROR_SUPPLY, or POAI_ERROR_ARGUMENT if either pointer is
/// null. Writes only on POAI_OK.
///
/// # Safety
/// `supply` is null or points to a readable struct, `height` to a writable number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_supply_last_paid_height(
    supply: *const poai_supply,
    height: *mut u64,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let profile = unsafe { profile(supply) }?;
        // SAFETY: the caller guarantees it.
        unsafe { write(height, profile.last_paid_height()) }
    })
}

/// # Safety
/// `supply` is null, or points to a readable struct.
unsafe fn profile(supply: *const poai_supply) -> Result<Profile, i32> {
    // SAFETY: the caller guarantees the struct, in which every bit pattern is a
    // value.
    let asked = unsafe { read(supply) }?;
    let mut profile = Profile::EAI;
    profile.supply_max = u128::from_be_bytes(asked.supply_max);
    profile.foundation = u128::from_be_bytes(asked.foundation);
    profile.era_blocks = asked.era_blocks;
    profile.era_divisor = asked.era_divisor;
    // Rust's profile gives these values a meaning, but a caller that passes them meant something
    // else.
    if profile.foundation > profile.supply_max
        || profile.era_blocks == 0
        || profile.era_divisor == 0
    {
        return Err(POAI_ERROR_SUPPLY);
    }
    Ok(profile)
}
