//! Any bytes as a BERT encoder: its safetensors, and its configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_core::import::bert::Encoder;

fuzz_target!(|input: (&[u8], &[u8])| {
    let _ = Encoder::read(input.0, input.1);
});
