//! The work of a branch: what decides between two (specification §17).

use crate::border::{array, guard, write};
use crate::chain::number;
use crate::code::POAI_ERROR_WORK;
use poai_verify::chain::Work;

/// Writes the work with one more block, of the difficulty that the block was
/// *held against*: a ticket far below the target counts no more. 32 zero bytes
/// are no work, and with one difficulty they are its work.
///
/// POAI_OK, POAI_ERROR_DIFFICULTY for 0, POAI_ERROR_WORK where the sum is beyond
/// 256 bits, or POAI_ERROR_ARGUMENT where any pointer is null. Written on POAI_OK
/// alone. `sum` may be `work`.
///
/// # Safety
/// `work` is null or points to 32 readable bytes, `difficulty` to 16, `sum` to 32
/// writable ones. Numbers are bytes, the highest first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_work_add(
    work: *const u8,
    difficulty: *const u8,
    sum: *mut u8,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's word on both.
        let (work, difficulty) = unsafe { (array(work)?, array(difficulty)?) };
        let with = Work::from_be_bytes(work).with(number(difficulty)?);
        let with = with.ok_or(POAI_ERROR_WORK)?;
        // SAFETY: the caller's word; both others were read.
        unsafe { write(sum, with.to_be_bytes()) }
    })
}

/// Writes -1 where branch `a` has less work than `b`, 1 where it has more, and 0
/// where they have the same. The branch with more of it is the chain, not the
/// longer one. POAI_OK, or POAI_ERROR_ARGUMENT where any pointer is null.
///
/// # Safety
/// `a` and `b` are null or point to 32 readable bytes, the highest first; `order`
/// is null or points to a writable number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_work_compare(a: *const u8, b: *const u8, order: *mut i32) -> i32 {
    guard(|| {
        // SAFETY: the caller's word on both.
        let (a, b) = unsafe { (array(a)?, array(b)?) };
        let order_of = Work::from_be_bytes(a).cmp(&Work::from_be_bytes(b));
        // SAFETY: the caller's word.
        unsafe { write(order, order_of as i32) }
    })
}
