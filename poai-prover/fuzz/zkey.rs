//! Reads any bytes as a ceremony's key, and as snarkjs' JSON. Readers check
//! them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_prover::internal::json::{proof_from_json, signals_from_json, verifying_key_from_json};
use poai_prover::internal::zkey::read_zkey;
use poai_testing::chain;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_zkey(Cursor::new(bytes), &chain::chain(5, 7, 1234).matrices);
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = (proof_from_json(text), signals_from_json(text), verifying_key_from_json(text));
    }
});
