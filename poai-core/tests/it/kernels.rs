//! Tests of kernels without a backend.
//!
//! Several strips and steps at once have to give the result of single steps.

use poai_core::params::Params;
use poai_core::puzzle::statement::Side;
use poai_core::simd::{ALL, Kernel};
use poai_engine::operand::pseudorandom;

/// The parameters of blocks, or smaller ones under Miri, which is slow.
const P: Params =
    match Params::new(if cfg!(miri) { 32 } else { 128 }, if cfg!(miri) { 16 } else { 32 }) {
        Ok(params) => params,
        Err(_) => panic!("both pairs are permitted"),
    };

/// `strips` strips of `count` packed steps each.
fn packed(kernel: &dyn Kernel, side: Side, strips: usize, count: usize) -> Vec<Vec<i8>> {
    let (t, step) = (P.tile(), P.tile() * P.rank());
    // Noised entries use the whole range of i8.
    let entries = pseudorandom(&[strips as u8, count as u8, side as u8], strips * count, step)
        .mapv(|entry| entry.wrapping_mul(2).wrapping_add(entry & 1));
    let rows = entries.as_slice().expect("row-major");
    rows.chunks_exact(count * step)
        .map(|rows| {
            let mut packed = vec![0; count * kernel.packed_len(&P, side)];
            let steps = packed.chunks_exact_mut(kernel.packed_len(&P, side));
            for (rows, packed) in rows.chunks_exact(step).zip(steps) {
                kernel.pack(side, t, rows, packed);
                let mut unpacked = vec![0; step];
                kernel.unpack(side, t, packed, &mut unpacked);
                assert!(unpacked == rows, "unpacking is the inverse of packing");
            }
            packed
        })
        .collect()
}

fn check_shape(kernel: &dyn Kernel, strips: usize, count: usize) {
    let t = P.tile();
    let a = packed(kernel, Side::A, strips, count);
    let b = packed(kernel, Side::B, 1, count).remove(0);
    let start: Vec<i32> = (0..strips * t * t).map(|i| i as i32 * 7 - 100_000).collect();

    let (mut sums, mut xs) = (start.clone(), Vec::new());
    for (a, sums) in a.iter().zip(sums.chunks_exact_mut(t * t)) {
        let steps = a.chunks_exact(a.len() / count).zip(b.chunks_exact(b.len() / count));
        for (a, b) in steps {
            let x = kernel.step(t, a, b, sums);
            assert_eq!(x, sums.iter().fold(0, |x, &sum| x ^ sum as u32), "the XOR of all sums");
            xs.push(x);
        }
    }
    let a: Vec<&[i8]> = a.iter().map(Vec::as_slice).collect();
    let name = format!("{strips} strips of {count} steps on {kernel:?}");
    let (mut folded, mut folded_xs) = (start.clone(), vec![1; strips * count]);
    kernel.fold(t, &a, &b, &mut folded, &mut folded_xs);
    assert!(folded == sums && folded_xs == xs, "fold: {name}");
    let mut accumulated = start;
    kernel.accumulate(t, &a, &b, count, &mut accumulated);
    assert!(accumulated == sums, "accumulate: {name}");
    check_from_zero(kernel, &a, &b, count);
}

/// Sums that start from zero hold the products alone, whatever was there.
fn check_from_zero(kernel: &dyn Kernel, a: &[&[i8]], b: &[i8], count: usize) {
    let t = P.tile();
    let (mut expected, mut sums) = (vec![0; a.len() * t * t], vec![7; a.len() * t * t]);
    kernel.accumulate(t, a, b, count, &mut expected);
    kernel.multiply(t, a, b, count, &mut sums);
    assert!(sums == expected, "multiply: {} strips of {count} steps on {kernel:?}", a.len());
}

/// A step whose columns from `columns` on are zeros gives the same sums if a
/// kernel omits these columns.
#[test]
fn narrow_steps_are_whole_steps_with_zeros() {
    let (t, rank) = (P.tile(), P.rank());
    for kernel in ALL.iter().filter_map(|entry| (entry.find)()) {
        for columns in [1, 3, 4, 5, rank / 4, rank / 2 + 1, rank - 1, rank] {
            let pack = |side: Side| {
                let entries = pseudorandom(&[side as u8], t, rank);
                let mut rows = entries.into_raw_vec_and_offset().0;
                rows.chunks_exact_mut(rank).for_each(|row| row[columns..].fill(0));
                let mut packed = vec![0; kernel.packed_len(&P, side)];
                kernel.pack(side, t, &rows, &mut packed);
                packed
            };
            let (a, b) = (pack(Side::A), pack(Side::B));
            let start: Vec<i32> = (0..(t * t) as i32).collect();
            let (mut whole, mut narrow) = (start.clone(), start);
            kernel.accumulate(t, &[&a], &b, 1, &mut whole);
            kernel.accumulate_narrow(t, columns, &a, &b, &mut narrow);
            assert!(whole == narrow, "{columns} columns on {kernel:?}");
        }
    }
}

/// Checks shapes around every bound inside the kernels.
///
/// The bounds are strips and steps of a block, steps that stay in the
/// first-level cache, and tiles and lanes of one call.
fn check(kernel: &dyn Kernel) {
    if cfg!(miri) {
        return check_shape(kernel, 2, 3);
    }
    for (strips, count) in [
        (1, 1),
        (1, 4),
        (2, 3),
        (3, 5),
        (5, 2),
        (16, 4),
        (17, 4),
        (65, 1),
        (1, 64),
        (2, 65),
        (1, 130),
    ] {
        check_shape(kernel, strips, count);
    }
}

#[test]
fn kernels_do_at_once_what_they_do_step_by_step() {
    ALL.iter().filter_map(|entry| (entry.find)()).for_each(check);
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn emulated_amx_does_at_once_what_it_does_step_by_step() {
    if let Some(amx) = poai_testing::amx::emulated() {
        check(amx);
    }
}
