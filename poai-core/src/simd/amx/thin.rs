//! The thin factors of recovery in 8-bit limbs, so that AMX can multiply them.
//!
//! A projected entry v is `256·high + low`, both in i8. Row factors are
//! negated, so adding the products subtracts the correction. A negated row
//! factor is within −31..=32.
//!
//! A packed strip has three steps. A's steps are low, row factors, high. B's
//! steps are high, row factors, low. Two neighbouring steps of A thus multiply
//! with the right two of B. The first two of A and the last two of B give the
//! products of the low limbs. The last two of A and the first two of B give the
//! products of the high limbs.

use super::super::avx512::{Avx512, R, STEP, T};
use super::tiles::Tiles;
use crate::puzzle::statement::Side;

/// The number of steps of a packed thin strip.
const STEPS: usize = 3;
/// The length of a packed thin strip in 16-bit words.
pub(super) const LEN: usize = STEPS * STEP / 2;
/// The number of tiles whose products of high limbs are kept at once, in the
/// first-level cache.
const TOGETHER: usize = 4;

/// Packs t×2r joined thin rows, which are `[projected | row]` for A and `[row |
/// projected]` for B.
///
/// It returns `false` if a projected entry is above 32 639, because its high
/// limb would be 128.
pub(super) fn pack(avx512: Avx512, side: Side, rows: &[i16], packed: &mut [i16]) -> bool {
    let mut steps = [[0i8; STEP]; STEPS];
    let [first, negated, last] = &mut steps;
    let (low, high) = match side {
        Side::A => (first, last),
        Side::B => (last, first),
    };
    for (row, joined) in rows.as_chunks::<{ 2 * R }>().0.iter().enumerate() {
        let (left, right) = joined.split_at(R);
        let (projected, factors) = match side {
            Side::A => (left, right),
            Side::B => (right, left),
        };
        for (i, (&value, &factor)) in (row * R..).zip(projected.iter().zip(factors)) {
            low[i] = value as i8;
            let Ok(limb) = i8::try_from((i32::from(value) - i32::from(low[i])) >> 8) else {
                return false;
            };
            high[i] = limb;
            // Exact: row factors lie within −32..=31.
            negated[i] = -(factor as i8);
        }
    }
    let packed: &mut [i8] = bytemuck::cast_slice_mut(packed);
    for (step, packed) in steps.iter().zip(packed.as_chunks_mut::<STEP>().0) {
        match side {
            Side::A => *packed = *step,
            Side::B => avx512.transpose(step, packed),
        }
    }
    true
}

/// The products of high limbs, at the start of a cache line.
#[repr(C, align(64))]
struct High([[i32; T * T]; TOGETHER]);

/// Subtracts the thin strips' products from their tiles.
pub(super) fn correct(
    avx512: Avx512,
    tiles: &Tiles,
    a: &[&[i16]],
    b: &[i16],
    sums: &mut [[i32; T * T]],
) {
    let b: &[i8] = bytemuck::cast_slice(b);
    let b = b.as_chunks().0;
    for (strips, sums) in a.chunks(TOGETHER).zip(sums.chunks_mut(TOGETHER)) {
        let mut a: [&[i8]; TOGETHER] = [&[]; TOGETHER];
        let a = &mut a[..strips.len()];
        let mut high = High([[0; T * T]; TOGETHER]);
        let high = &mut high.0[..strips.len()];
        for (a, strip) in a.iter_mut().zip(strips) {
            *a = &bytemuck::cast_slice(strip)[STEP..];
        }
        tiles.accumulate(a, &b[..2], high);
        for (a, strip) in a.iter_mut().zip(strips) {
            *a = &bytemuck::cast_slice(strip)[..2 * STEP];
        }
        tiles.accumulate(a, &b[1..], sums);
        avx512.add_shifted(high.as_flattened(), sums.as_flattened_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests values around the largest that two limbs hold, on both sides.
    #[test]
    fn limbs_hold_what_they_say_and_refuse_the_rest() {
        let Some(avx512) = Avx512::find() else {
            println!("SKIPPED: packing needs AVX-512 F, BW, VBMI and VNNI");
            return;
        };
        for (side, at) in [(Side::A, 0), (Side::A, R - 1), (Side::B, R), (Side::B, 2 * R - 1)] {
            for value in [i16::MIN + 1, -32640, -129, -128, 127, 128, 32639, 32640, i16::MAX] {
                let (mut rows, mut packed) = (vec![0; 2 * STEP], vec![0; LEN]);
                rows[at] = value;
                assert_eq!(pack(avx512, side, &rows, &mut packed), value <= 32639, "{value}");
                if value > 32639 {
                    continue;
                }
                let packed: &[i8] = bytemuck::cast_slice(&packed);
                let limb = |step: usize| -> i32 {
                    packed[step * STEP..][..STEP].iter().map(|&entry| i32::from(entry)).sum()
                };
                let (low, high) = match side {
                    Side::A => (limb(0), limb(2)),
                    Side::B => (limb(2), limb(0)),
                };
                assert_eq!((256 * high + low, limb(1)), (i32::from(value), 0), "{value}");
            }
        }
    }
}
