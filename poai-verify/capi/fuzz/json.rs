//! Passes any bytes through the C interface, and any text as a proof in JSON.
//! The interface decodes what Rust decodes, and no JSON makes it panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_capi::code::POAI_OK;
use poai_capi::facts::{POAI_RULES_BLOCK, poai_proof_bytes_max};
use poai_capi::json::{poai_decode_json, poai_string_free};
use poai_capi::verify::poai_verify;
use poai_core::inference::InferenceProof;
use poai_core::{Params, Proof};
use std::ffi::CStr;
use std::ptr;

/// The JSON that the C interface makes of bytes.
fn decoded(bytes: &[u8]) -> Option<String> {
    let mut text = ptr::null_mut();
    // SAFETY: the bytes are readable, the pointer is writable.
    let code =
        unsafe { poai_decode_json(POAI_RULES_BLOCK, bytes.as_ptr(), bytes.len(), &raw mut text) };
    assert_eq!(code == POAI_OK, !text.is_null());
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so it is text that ends with a zero.
    let owned = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    // SAFETY: it comes from poai_decode_json and is freed once.
    unsafe { poai_string_free(text) };
    Some(owned)
}

fuzz_target!(|bytes: &[u8]| {
    let params = Params::CONSENSUS;
    let proof = Proof::from_bytes(&params, bytes).ok();
    match (decoded(bytes), &proof) {
        (Some(text), Some(proof)) => {
            assert_eq!(&serde_json::from_str::<Proof>(&text).unwrap(), proof);
        }
        // Bytes beyond the limit of a block's proof are not read.
        (None, Some(_)) => assert!(
            bytes.len() as u64 > poai_proof_bytes_max(POAI_RULES_BLOCK),
            "a proof is not decoded"
        ),
        (None, None) => {}
        (Some(text), None) => panic!("decoded what is no proof: {text}"),
    }
    let (challenge, difficulty) = ([1; 32], (1u128 << 24).to_be_bytes());
    // SAFETY: every pointer has the required number of bytes, or is null.
    let code = unsafe {
        poai_verify(
            POAI_RULES_BLOCK,
            challenge.as_ptr(),
            difficulty.as_ptr(),
            bytes.as_ptr(),
            bytes.len(),
            ptr::null_mut(),
        )
    };
    assert_ne!(code, POAI_OK, "no proof was mined for this challenge");
    if let Ok(proof) = serde_json::from_slice::<Proof>(bytes) {
        // The parts of a decoded JSON proof may not fit together, and its bytes
        // are then refused, or read as parts that fit.
        for (rank, tile) in [(128, 32), (32, 16)] {
            let params = Params::new(rank, tile).unwrap();
            let bytes = proof.to_bytes();
            if let Ok(read) = Proof::from_bytes(&params, &bytes) {
                assert_eq!(read.to_bytes(), bytes);
            }
        }
        let text = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<Proof>(&text).unwrap(), proof);
    }
    if let Ok(proof) = serde_json::from_slice::<InferenceProof>(bytes) {
        assert_eq!(InferenceProof::from_bytes(&proof.to_bytes()).unwrap(), proof);
    }
});
