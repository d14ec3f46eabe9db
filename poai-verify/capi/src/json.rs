//! Decodes proofs for people and scripts to read.

use crate::border::{bytes, guard, put};
use crate::code::{POAI_ERROR_ARGUMENT, POAI_ERROR_INTERNAL, POAI_MALFORMED_ENCODING};
use crate::facts::rules;
use poai_core::Proof;
use std::ffi::{CString, c_char};

/// Decodes a proof into JSON, as Rust's `serde_json` writes a `Proof`: shape,
/// roots, tile, transcript and both openings, with bytes in hexadecimal. It
/// verifies nothing.
///
/// On POAI_OK `*json` is text that ends with a zero and that poai_string_free frees; otherwise
/// `*json` is null. Proofs above poai_proof_bytes_max(rules) are POAI_MALFORMED_ENCODING.
///
/// # Safety
/// `proof` is null or points to `proof_len` readable bytes; `json` is null, which
/// is POAI_ERROR_ARGUMENT, or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_decode_json(
    rules: u32,
    proof: *const u8,
    proof_len: usize,
    json: *mut *mut c_char,
) -> i32 {
    guard(|| {
        if json.is_null() {
            return Err(POAI_ERROR_ARGUMENT);
        }
        // SAFETY: not null, and the caller guarantees that it is writable.
        unsafe { put(json, std::ptr::null_mut()) };
        let rules = self::rules(rules)?;
        // SAFETY: the caller guarantees the proof.
        let proof = unsafe { bytes(proof, proof_len) }?;
        if proof.len() as u64 > rules.proof_bytes_max() {
            return Err(POAI_MALFORMED_ENCODING);
        }
        let proof = Proof::from_bytes(&rules.params, proof).map_err(|_| POAI_MALFORMED_ENCODING)?;
        let text = serde_json::to_string(&proof).map_err(|_| POAI_ERROR_INTERNAL)?;
        let text = CString::new(text).map_err(|_| POAI_ERROR_INTERNAL)?;
        // SAFETY: as above.
        unsafe { put(json, text.into_raw()) };
        Ok(())
    })
}

/// Frees a text of poai_decode_json, which must be freed only once. For null it
/// does nothing. The zero at the end determines how much to free, so a caller
/// may read the text but must not change it. To change it, copy it.
///
/// # Safety
/// `text` is null, or a result of poai_decode_json, unchanged and not yet
/// freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it comes from `CString::into_raw`; the caller guarantees that
        // its length is unchanged and that it is not yet freed.
        drop(unsafe { CString::from_raw(text) });
    }
}
