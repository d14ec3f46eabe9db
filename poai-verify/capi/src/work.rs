//! The work of a branch, which decides between two branches (specification
//! §17).

use crate::border::{array, guard, write};
use crate::chain::number;
use crate::code::POAI_ERROR_WORK;
use poai_verify::chain::Work;

/// Writes the work with one more block. `difficulty` is the one that the block
/// was *checked against*: a ticket far below the target counts no more. 32 zero
/// bytes are no work; adding one difficulty to them gives the work of one
/// block.
///
/// Returns POAI_OK, POAI_ERROR_DIFFICULTY for 0, POAI_ERROR_WORK if the sum is beyond 256 bits, or
/// POAI_ERROR_ARGUMENT if any pointer is null. Writes only on POAI_OK. `sum` may be `work`.
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
        // SAFETY: the caller guarantees both.
        let (work, difficulty) = unsafe { (array(work)?, array(difficulty)?) };
        let with = Work::from_be_bytes(work).with(number(difficulty)?);
        let with = with.ok_or(POAI_ERROR_WORK)?;
        // SAFETY: the caller guarantees it; both others were read.
        unsafe { write(sum, with.to_be_bytes()) }
    })
}

/// Writes -1 if branch `a` has less work than `b`, 1 if it has more, and 0 if
/// both have the same. The branch with more work is the chain, not the longer
/// one. Returns POAI_OK, or POAI_ERROR_ARGUMENT if any pointer is null.
///
/// # Safety
/// `a` and `b` are null or point to 32 readable bytes, the highest first; `order`
/// is null or points to a writable number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_work_compare(a: *const u8, b: *const u8, order: *mut i32) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees both.
        let (a, b) = unsafe { (array(a)?, array(b)?) };
        let order_of = Work::from_be_bytes(a).cmp(&Work::from_be_bytes(b));
        // SAFETY: the caller guarantees it.
        unsafe { write(order, order_of as i32) }
    })
}
