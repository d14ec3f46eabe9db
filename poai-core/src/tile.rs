//! One rank-step of one tile (spec §5).
//!
//! Portable code that the compiler vectorises; verifiers and the portable CPU
//! kernel share it.

/// Adds one rank-step of noised rows to a tile's partial sums (row-major t×t)
/// and returns the XOR of all sums, which is what the transcript folds.
///
/// `a` and `b` hold `t` rows each, row-major, all of the length
/// `a.len() / t`, which is the rank.
///
/// # Panics
/// If the lengths do not fit: `sums` is no square of `t`, or `a` and `b` are
/// not equally many whole rows.
pub fn add_step(t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
    assert!(sums.len() == t * t && a.len() == b.len() && a.len().is_multiple_of(t));
    let rank = a.len() / t;
    let mut x = 0;
    for (a_row, sums) in a.chunks_exact(rank).zip(sums.chunks_exact_mut(t)) {
        for (b_row, sum) in b.chunks_exact(rank).zip(sums) {
            *sum += dot(a_row, b_row);
            x ^= *sum as u32;
        }
    }
    x
}

/// The exact dot product of two rows of one step.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    // At most 256 products of magnitude 2^14: no overflow. Widening to i16
    // first is what compilers turn into multiply-add-pairs instructions.
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a)) * i32::from(i16::from(b))).sum()
}
