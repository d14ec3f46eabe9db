//! A block's difficulty: retargeting, base targets, compact difficulties
//! (specification §17).

use crate::border::{array, guard, put, read, write};
use crate::code::{
    POAI_ERROR_ASERT, POAI_ERROR_DIFFICULTY, POAI_ERROR_TARGET, POAI_MALFORMED_COMPACT,
};
use poai_verify::Difficulty;
use poai_verify::chain::{Anchor, Asert, BaseTarget, CompactDifficulty};

/// A chain's retargeting, from an anchor on. All of it is the chain's
/// constitution; a peer supplies none of it. Numbers of more than 64 bits are
/// bytes, the highest first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct poai_asert {
    /// The anchor's height.
    pub anchor_height: u64,
    /// The time of the anchor's *parent*, in seconds. A genesis has no parent; it takes its own
    /// time minus the block time.
    pub anchor_parent_time: u64,
    /// Seconds between blocks: 1 to 86400.
    pub block_time: u32,
    /// Seconds behind schedule that halve the difficulty: 16 block times to 365
    /// days.
    pub half_life: u32,
    /// The anchor's base target, not rounded; poai_base_target computes it from
    /// a difficulty.
    pub anchor_target: [u8; 32],
    /// The least difficulty, which poai_compact_encode must not round. A block's rules require
    /// 2^24. poai_asert_next accepts another easiest target.
    pub difficulty_min: [u8; 16],
}

/// Writes the difficulty of the block after a parent of this height and time,
/// in seconds, and its base target. A header is valid at this difficulty and no
/// other. If a chain's headers carry compact difficulties, poai_compact_encode
/// and poai_compact_decode round it first.
///
/// First compare the block's height with its parent's plus one, and the
/// header's parent hash with the parent's hash. Another block's parent, or a
/// height that is only claimed, yields any difficulty.
///
/// - `asert`: the chain's.
/// - `easiest`: null, and the easiest target is that of the least difficulty.
///   Or 32 bytes, the highest first: the easiest target itself, for a chain
///   whose least difficulty has no compact form. `difficulty_min` is then
///   checked, but limits nothing. It is the chain's constitution, too.
/// - `difficulty`: null, or where to write 16 bytes, the highest first.
/// - `target`: null, or where to write 32 bytes, the highest first.
///
/// Returns POAI_OK, POAI_ERROR_ARGUMENT if `asert` is null, POAI_ERROR_DIFFICULTY if its least
/// difficulty is 0, POAI_ERROR_TARGET if a target is 0, or POAI_ERROR_ASERT. Writes only on
/// POAI_OK. Defined for every height and time.
///
/// # Safety
/// `asert` is null or points to a readable struct, `easiest` to 32 readable bytes, `difficulty` to
/// 16 writable ones, `target` to 32. The function keeps none of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_asert_next(
    asert: *const poai_asert,
    easiest: *const u8,
    parent_height: u64,
    parent_time: u64,
    difficulty: *mut u8,
    target: *mut u8,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees the struct, in which every bit pattern
        // is a value.
        let asked = unsafe { read(asert) }?;
        let min = number(asked.difficulty_min)?;
        let asert = Asert::new(asked.block_time, asked.half_life, min);
        let mut asert = asert.map_err(|_| POAI_ERROR_ASERT)?;
        let anchor = Anchor {
            height: asked.anchor_height,
            parent_time: asked.anchor_parent_time,
            target: base_target(asked.anchor_target)?,
        };
        if !easiest.is_null() {
            // SAFETY: the caller guarantees it.
            asert = asert.with_easiest(base_target(unsafe { array(easiest) }?)?);
        }
        let next = asert.next(&anchor, parent_height, parent_time);
        // SAFETY: the caller guarantees both; bytes need no alignment.
        unsafe {
            put(difficulty.cast::<[u8; 16]>(), next.difficulty().macs().to_be_bytes());
            put(target.cast::<[u8; 32]>(), next.to_be_bytes());
        }
        Ok(())
    })
}

/// Writes the base target of a difficulty, `⌊2^256 / difficulty⌋`, or 2^256 − 1
/// for difficulty 1. It is the target of one multiply-accumulate, not of a
/// ticket. Returns POAI_OK, POAI_ERROR_DIFFICULTY for 0, or POAI_ERROR_ARGUMENT
/// if either pointer is null.
///
/// # Safety
/// `difficulty` is null or points to 16 readable bytes, `target` to 32 writable
/// ones. Numbers are bytes, the highest first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_base_target(difficulty: *const u8, target: *mut u8) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let difficulty = number(unsafe { array(difficulty) }?)?;
        // SAFETY: the caller guarantees it.
        unsafe { write(target, BaseTarget::new(difficulty).to_be_bytes()) }
    })
}

/// Writes the difficulty of a base target, `⌊2^256 / target⌋`, below 2^128. It
/// inverts poai_base_target for every difficulty. Returns POAI_OK,
/// POAI_ERROR_TARGET for 0, or POAI_ERROR_ARGUMENT if either pointer is null.
///
/// # Safety
/// `target` is null or points to 32 readable bytes, `difficulty` to 16 writable
/// ones. Numbers are bytes, the highest first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_base_target_difficulty(
    target: *const u8,
    difficulty: *mut u8,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let target = base_target(unsafe { array(target) }?)?;
        // SAFETY: the caller guarantees it.
        unsafe { write(difficulty, target.difficulty().macs().to_be_bytes()) }
    })
}

/// Writes a difficulty in the 32 bits that a header has for it, rounded down by a factor under
/// 2^-15. Returns POAI_OK, POAI_ERROR_DIFFICULTY for 0, or POAI_ERROR_ARGUMENT if either pointer is
/// null.
///
/// # Safety
/// `difficulty` is null or points to 16 readable bytes, the highest first; `bits`
/// is null or points to a writable number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_compact_encode(difficulty: *const u8, bits: *mut u32) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let difficulty = number(unsafe { array(difficulty) }?)?;
        // SAFETY: the caller guarantees it.
        unsafe { write(bits, CompactDifficulty::new(difficulty).bits()) }
    })
}

/// Writes the exact difficulty that a header's 32 bits stand for. Returns
/// POAI_OK, POAI_MALFORMED_COMPACT if poai_compact_encode makes these bits of
/// no difficulty, or POAI_ERROR_ARGUMENT if `difficulty` is null.
///
/// # Safety
/// `difficulty` is null or points to 16 writable bytes; the highest is written
/// first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_compact_decode(bits: u32, difficulty: *mut u8) -> i32 {
    guard(|| {
        let compact = CompactDifficulty::from_bits(bits).map_err(|_| POAI_MALFORMED_COMPACT)?;
        // SAFETY: the caller guarantees it.
        unsafe { write(difficulty, compact.difficulty().macs().to_be_bytes()) }
    })
}

pub(crate) fn number(bytes: [u8; 16]) -> Result<Difficulty, i32> {
    Difficulty::new(u128::from_be_bytes(bytes)).map_err(|_| POAI_ERROR_DIFFICULTY)
}

fn base_target(bytes: [u8; 32]) -> Result<BaseTarget, i32> {
    BaseTarget::from_be_bytes(bytes).map_err(|_| POAI_ERROR_TARGET)
}
