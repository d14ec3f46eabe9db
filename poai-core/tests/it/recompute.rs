//! Tests of tiles recomputed from strips that fit, and from strips that do not.

use poai_core::puzzle::seeds::Seeds;
use poai_core::recompute::{StripError, transcript};
use poai_core::{Params, Root, Statement, Tile};

/// Strips of the wrong length, or not of whole steps, are refused on either
/// side.
#[test]
fn strips_of_another_length_are_refused() {
    let params = Params::CONSENSUS;
    let (tile, rank) = (params.tile(), params.rank() as u32);
    let statement = Statement {
        shape: poai_core::Shape { m: 32, n: 32, k: 2 * rank },
        root_a: Root([1; 32]),
        root_b: Root([2; 32]),
    };
    let seeds = Seeds::derive(&params, &poai_core::Challenge([3; 32]), &statement);
    let of = |k: u32, a: usize, b: usize| {
        let (a, b) = (vec![1; a], vec![2; b]);
        transcript(&params, &seeds, Tile { row: 0, column: 0 }, k, &a, &b)
    };
    let whole = tile * 2 * rank as usize;
    of(2 * rank, whole, whole).unwrap();
    for (k, a, b) in [
        (2 * rank, whole - 1, whole),
        (2 * rank, whole, whole - 1),
        (2 * rank, whole + 1, whole),
        (2 * rank, whole, 0),
        (rank, whole, whole),
        // The lengths fit, but the steps do not.
        (2 * rank - 1, tile * (2 * rank as usize - 1), tile * (2 * rank as usize - 1)),
        // Sums of this number of entries could overflow 32 bits.
        (1 << 17, tile << 17, tile << 17),
    ] {
        let expected = (a, b, tile * k as usize);
        let error: StripError = of(k, a, b).unwrap_err();
        assert_eq!((error.a, error.b, error.expected), expected, "{k}");
    }
    let longest = (1 << 17) - rank;
    of(longest, tile * longest as usize, tile * longest as usize).unwrap();
}
