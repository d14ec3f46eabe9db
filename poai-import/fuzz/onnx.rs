//! Reads arbitrary bytes as an ONNX file, within small limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_import::onnx::{Limits, read};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { bytes: 1 << 20, nodes: 1 << 10, weights: 1 << 20 };
    let _ = read(bytes, &limits);
});
