//! The codes that functions return.

use poai_verify::{Invalid, Malformed, VerifyError};
use std::ffi::{CStr, c_char};

/// The proof holds, or the function did its work.
pub const POAI_OK: i32 = 0;
/// A pointer is null that must not be, or a length is beyond all memory.
pub const POAI_ERROR_ARGUMENT: i32 = 1;
/// No such rules exist.
pub const POAI_ERROR_RULES: i32 = 2;
/// The difficulty is 0, or below the least that the rules permit.
pub const POAI_ERROR_DIFFICULTY: i32 = 3;
/// A defect of the library; it decided nothing about the proof.
pub const POAI_ERROR_INTERNAL: i32 = 4;
/// Retargeting does not permit the block time, the half-life or the least
/// difficulty.
pub const POAI_ERROR_ASERT: i32 = 5;
/// A target of 0, which no block can meet.
pub const POAI_ERROR_TARGET: i32 = 6;
/// An invalid supply: the foundation has more than the maximum, an era has no
/// blocks, or the divisor is 0.
pub const POAI_ERROR_SUPPLY: i32 = 7;
/// A median of a number of ancestors that is even, 0 or above 101.
pub const POAI_ERROR_TIMES: i32 = 8;
/// Work beyond 256 bits, which takes 2^128 blocks.
pub const POAI_ERROR_WORK: i32 = 9;
/// The bytes are not a proof: length, shape or tile.
pub const POAI_MALFORMED_ENCODING: i32 = 16;
/// The bytes are not a proof: a dimension that the rules do not permit.
pub const POAI_MALFORMED_LIMIT: i32 = 17;
/// The bytes are not a proof: an opened entry out of range.
pub const POAI_MALFORMED_ENTRY: i32 = 18;
/// The bits are not a compact difficulty.
pub const POAI_MALFORMED_COMPACT: i32 = 19;
/// The proof is false: its ticket does not win.
pub const POAI_INVALID_TARGET: i32 = 32;
/// The proof is false: an opening does not lead to its root.
pub const POAI_INVALID_OPENING: i32 = 33;
/// The proof is false: the recomputed transcript differs.
pub const POAI_INVALID_TRANSCRIPT: i32 = 34;
/// The block's time is not after the median of its ancestors. It never becomes
/// valid.
pub const POAI_INVALID_PAST: i32 = 35;
/// The block is too far ahead of the clock. It may become valid later.
pub const POAI_INVALID_FUTURE: i32 = 36;

pub(crate) fn of(error: &VerifyError) -> i32 {
    match error {
        VerifyError::Malformed(Malformed::Encoding(_)) => POAI_MALFORMED_ENCODING,
        VerifyError::Malformed(Malformed::Limit { .. }) => POAI_MALFORMED_LIMIT,
        VerifyError::Malformed(Malformed::Difficulty { .. }) => POAI_ERROR_DIFFICULTY,
        VerifyError::Malformed(Malformed::Entry { .. }) => POAI_MALFORMED_ENTRY,
        VerifyError::Invalid(Invalid::Target { .. }) => POAI_INVALID_TARGET,
        VerifyError::Invalid(Invalid::Opening { .. }) => POAI_INVALID_OPENING,
        VerifyError::Invalid(Invalid::Transcript { .. }) => POAI_INVALID_TRANSCRIPT,
        // This interface has no memory of failures. A new kind of error gets its
        // own code here; without one, the proof is still refused.
        _ => POAI_ERROR_INTERNAL,
    }
}

const MESSAGES: [(i32, &CStr); 19] = [
    (POAI_OK, c"ok"),
    (POAI_ERROR_ARGUMENT, c"a pointer is null, or a length beyond all memory"),
    (POAI_ERROR_RULES, c"no such rules"),
    (POAI_ERROR_DIFFICULTY, c"the difficulty is 0 or below the least permitted"),
    (POAI_ERROR_INTERNAL, c"a defect of the library"),
    (POAI_ERROR_ASERT, c"no such retargeting: block time, half-life or least difficulty"),
    (POAI_ERROR_TARGET, c"a target of 0"),
    (POAI_ERROR_SUPPLY, c"no such supply: foundation, blocks of an era or divisor"),
    (POAI_ERROR_TIMES, c"no such median: it takes an odd number of times within 1 and 101"),
    (POAI_ERROR_WORK, c"work beyond 256 bits"),
    (POAI_MALFORMED_ENCODING, c"malformed: length, shape or tile"),
    (POAI_MALFORMED_LIMIT, c"malformed: a dimension that the rules do not permit"),
    (POAI_MALFORMED_ENTRY, c"malformed: an opened entry out of range"),
    (POAI_MALFORMED_COMPACT, c"malformed: no compact difficulty"),
    (POAI_INVALID_TARGET, c"invalid: the ticket does not win"),
    (POAI_INVALID_OPENING, c"invalid: an opening does not lead to its root"),
    (POAI_INVALID_TRANSCRIPT, c"invalid: the recomputed transcript is another"),
    (POAI_INVALID_PAST, c"invalid: the time is not after the median of the ancestors"),
    (POAI_INVALID_FUTURE, c"invalid: the time is too far ahead of the clock"),
];

/// The message of a code, as text that ends with a zero and is never freed. For
/// a code that no function returns it is "unknown code".
#[unsafe(no_mangle)]
pub extern "C" fn poai_error_message(code: i32) -> *const c_char {
    let known = MESSAGES.iter().find(|(known, _)| *known == code);
    known.map_or(c"unknown code", |(_, message)| *message).as_ptr()
}
