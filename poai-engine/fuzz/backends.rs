//! Compares every CPU backend of this processor with the plain reference, on
//! operands that the fuzzer chooses.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use poai_core::{Challenge, Params};
use poai_testing::tester::{Case, compare};

#[derive(Arbitrary, Debug)]
struct Input {
    params: u8,
    tiles: (u8, u8),
    steps: u8,
    challenge: [u8; 32],
    /// Pattern of A's entries. Both patterns repeat over the operands, so that
    /// few bytes reach every entry.
    a: Vec<i8>,
    bt: Vec<i8>,
}

fn operand(rows: usize, k: usize, pattern: &[i8]) -> Array2<i8> {
    let pattern = if pattern.is_empty() { &[0] } else { pattern };
    // Keep entries clean: 7 bits, with their sign.
    let entry = |index: usize| pattern[index % pattern.len()] << 1 >> 1;
    Array2::from_shape_fn((rows, k), |(row, column)| entry(row * (k + 1) + column))
}

fuzz_target!(|input: Input| {
    let (rank, tile) = [(128, 32), (32, 16), (64, 64), (128, 48)][usize::from(input.params % 4)];
    let params = Params::new(rank, tile).unwrap();
    // Small shapes, because the reference is slow under sanitizers and many
    // cases should run.
    let rows = |tiles: u8| usize::from(tiles % 2 + 1) * usize::from(tile);
    let k = usize::from(input.steps % 2 + 1) * usize::from(rank);
    let case = Case {
        params,
        a: operand(rows(input.tiles.0), k, &input.a),
        bt: operand(rows(input.tiles.1), k, &input.bt),
        challenge: Challenge(input.challenge),
    };
    for backend in poai_engine::choose::present() {
        if backend.name() != "reference" && backend.supports(&params).is_ok() {
            compare(&*backend, &case, "a fuzzed product");
        }
    }
});
