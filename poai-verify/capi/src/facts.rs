//! Version, rules, limits.

use crate::border::{guard, put};
use crate::code::POAI_ERROR_RULES;
use poai_verify::Rules;
use std::ffi::{CStr, c_char};

/// A block's rules: rank 128, tile 32, k from 1024 to 16384, m and n up to
/// 2^24, difficulty at least 2^24.
pub const POAI_RULES_BLOCK: u32 = 0;
/// A pool's shares: a block's rules, but any difficulty from 1.
pub const POAI_RULES_SHARE: u32 = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

pub(crate) fn rules(number: u32) -> Result<Rules, i32> {
    match number {
        POAI_RULES_BLOCK => Ok(Rules::CONSENSUS),
        POAI_RULES_SHARE => Ok(Rules::SHARE),
        _ => Err(POAI_ERROR_RULES),
    }
}

/// The library's version, such as "0.1.0", as text that ends with a zero and is
/// never freed.
#[unsafe(no_mangle)]
pub extern "C" fn poai_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Writes the 32 bytes of the digest of `rules` (specification §10). Two nodes
/// that accept the same proofs have the same digest. Returns POAI_OK,
/// POAI_ERROR_RULES, or POAI_ERROR_ARGUMENT if `digest` is null.
///
/// # Safety
/// `digest` is null or points to 32 writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_rules_digest(rules: u32, digest: *mut u8) -> i32 {
    guard(|| {
        let rules = self::rules(rules)?;
        if digest.is_null() {
            return Err(crate::code::POAI_ERROR_ARGUMENT);
        }
        // SAFETY: the caller guarantees 32 writable bytes; bytes need no
        // alignment.
        unsafe { put(digest.cast::<[u8; 32]>(), rules.digest().0) };
        Ok(())
    })
}

/// The most bytes that a proof under `rules` has; 0 if there are no such rules.
/// Refuse longer messages unread.
#[unsafe(no_mangle)]
pub extern "C" fn poai_proof_bytes_max(rules: u32) -> u64 {
    self::rules(rules).map_or(0, |rules| rules.proof_bytes_max())
}
