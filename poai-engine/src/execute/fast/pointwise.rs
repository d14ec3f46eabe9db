//! Steps whose 16-bit entries come from the same row of their inputs.
//!
//! Where the numbers of a step permit it, 32-bit arithmetic replaces that in 64
//! bits. Each such place says why the result is the same.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::entries::Entry;
use super::vectorise;
use poai_core::params::Params;
use poai_core::program::ops::RowSource;
use poai_core::program::ops::arithmetic::{clamp, rdiv, rsh, rsh_product, sat16, sat32};
use poai_core::program::{Clamp, Dtype, Op};
use poai_core::simd;
use rayon::prelude::*;

/// The constants of a step and its own numbers, as its loop takes them.
enum Loop {
    Add { multipliers: [i32; 2], shift: u8, clamp: Clamp },
    Scale { scales: Vec<i32>, shift: u8, clamp: Clamp, narrow: bool },
    RowScale,
    Quantise,
    Table { table: Box<[i16; 256]>, shift: u8, pass: bool },
    Normalise { gamma: Vec<i32>, beta: Vec<i32>, centre: bool, shift: u8 },
}

/// Computes a step that [`super::rows`] has chosen.
pub(super) fn rows(task: &Task<'_>, output: &mut Tensor) -> Result<(), RunError> {
    let step = prepare(task)?;
    let extent = task.local.output;
    let row_bytes = extent.row_bytes();
    let used = extent.columns as usize * extent.dtype.size();
    let x = task.slots.0.first().ok_or(RunError::Layout)?;
    let x_bytes = x.extent.row_bytes();
    let y = task.slots.0.get(1).filter(|_| task.local.inputs > 1);
    let y_bytes = y.map_or(0, |y| y.extent.row_bytes());
    let rows = Params::CONSENSUS.tile();
    let bytes = &mut output.bytes_mut()[..extent.rows as usize * row_bytes];
    let blocks = bytes.par_chunks_mut(rows * row_bytes).enumerate();
    blocks.for_each_init(Vec::new, |memory, (block, bytes)| {
        let x = x.bytes[block * rows * x_bytes..].chunks_exact(x_bytes);
        let mut y = y.map(|y| y.bytes[block * rows * y_bytes..].chunks_exact(y_bytes));
        for (to, x) in bytes.chunks_exact_mut(row_bytes).zip(x) {
            let y = y.as_mut().and_then(Iterator::next).unwrap_or_default();
            row(&step, &mut to[..used], x, y, memory);
        }
    });
    Ok(())
}

fn prepare(task: &Task<'_>) -> Result<Loop, RunError> {
    let constant = |rows: u32, width: usize| {
        let mut entries = vec![0; rows as usize * width];
        let read = task.slots.read_rows(task.local.inputs, 0..rows, width, &mut entries);
        read.map(|()| entries).map_err(RunError::Local)
    };
    let columns = task.local.output.columns;
    Ok(match *task.local.op {
        Op::Add { multipliers, shift, clamp } => Loop::Add { multipliers, shift, clamp },
        Op::ScaleColumns { shift, clamp, .. } => {
            let scales = constant(columns, 1)?;
            // A product is then below 2^30, and so is half a unit.
            let narrow = shift <= 30 && scales.iter().all(|scale| scale.abs_diff(0) < 1 << 15);
            Loop::Scale { scales, shift, clamp, narrow }
        }
        Op::RowScale => Loop::RowScale,
        Op::Quantise => Loop::Quantise,
        Op::Table { shift, pass_above, .. } => {
            let mut table = Box::new([0; 256]);
            for (to, entry) in table.iter_mut().zip(constant(256, 1)?) {
                // Exact: the entries have the output's type.
                *to = entry as i16;
            }
            Loop::Table { table, shift, pass: pass_above }
        }
        Op::Normalise { centre, shift, .. } => {
            let affine = constant(columns, 2)?;
            let of = |at: usize| affine.as_chunks::<2>().0.iter().map(|pair| pair[at]).collect();
            Loop::Normalise { gamma: of(0), beta: of(1), centre, shift }
        }
        _ => return Err(RunError::Layout),
    })
}

/// Computes one row. `y` is the row of the second input, if there is one.
fn row(step: &Loop, to: &mut [u8], x: &[u8], y: &[u8], memory: &mut Vec<u8>) {
    match step {
        Loop::Add { multipliers, shift, clamp } => add(to, x, y, *multipliers, *shift, clamp),
        Loop::Scale { scales, shift, clamp, narrow: true } => {
            scale_narrow(to, x, scales, *shift, clamp);
        }
        Loop::Scale { scales, shift, clamp, .. } => scale(to, x, scales, *shift, clamp),
        Loop::RowScale => {
            for to in i32::of_mut(to) {
                *to = magnitude(x).max(1).to_le_bytes();
            }
        }
        Loop::Quantise => {
            let m = i32::of(y).first().map_or(1, |&m| i64::from(i32::read(m)).max(1));
            quantise(to, x, m);
        }
        Loop::Table { table, shift, pass } => {
            memory.resize(x.len() / 2, 0);
            indices(memory, x, *shift);
            simd::look_up(table, memory, to.as_chunks_mut().0);
            if *pass {
                pass_above(to, x, *shift);
            }
        }
        Loop::Normalise { gamma, beta, centre, shift } => {
            normalise(to, x, gamma, beta, *centre, *shift);
        }
    }
}

fn add(to: &mut [u8], a: &[u8], b: &[u8], multipliers: [i32; 2], shift: u8, clamp: &Clamp) {
    if multipliers == [1, 1] && shift == 0 {
        sum(to, a, b, clamp);
    } else {
        weighted_sum(to, a, b, multipliers, shift, clamp);
    }
}

vectorise! {
    fn sum(to: &mut [u8], a: &[u8], b: &[u8], clamp: &Clamp) {
        let entries = i16::of(a).iter().zip(i16::of(b));
        for (to, (&a, &b)) in i16::of_mut(to).iter_mut().zip(entries) {
            let sum = i16::read(a) + i16::read(b);
            *to = i16::write(sum.max(clamp.min).min(clamp.max));
        }
    }

    fn weighted_sum(
        to: &mut [u8],
        a: &[u8],
        b: &[u8],
        multipliers: [i32; 2],
        shift: u8,
        to_range: &Clamp,
    ) {
        let [m0, m1] = multipliers.map(i64::from);
        let entries = i16::of(a).iter().zip(i16::of(b));
        for (to, (&a, &b)) in i16::of_mut(to).iter_mut().zip(entries) {
            // Each product is at most 2^46.
            let sum = i64::from(i16::read(a)) * m0 + i64::from(i16::read(b)) * m1;
            *to = i16::write(clamp(rsh(sum, shift), to_range));
        }
    }

    fn scale(to: &mut [u8], x: &[u8], scales: &[i32], shift: u8, to_range: &Clamp) {
        for (to, (&x, &scale)) in i16::of_mut(to).iter_mut().zip(i16::of(x).iter().zip(scales)) {
            *to = i16::write(clamp(rsh_product(i16::read(x), scale, shift), to_range));
        }
    }

    fn scale_narrow(to: &mut [u8], x: &[u8], scales: &[i32], shift: u8, clamp: &Clamp) {
        let half = (1 << shift) >> 1;
        for (to, (&x, &scale)) in i16::of_mut(to).iter_mut().zip(i16::of(x).iter().zip(scales)) {
            let value = i16::read(x).wrapping_mul(scale).wrapping_add(half) >> shift;
            *to = i16::write(value.max(clamp.min).min(clamp.max));
        }
    }

    fn magnitude(x: &[u8]) -> i32 {
        let (mut least, mut most) = (0i16, 0i16);
        for &x in i16::of(x) {
            let x = i16::from_le_bytes(x);
            least = least.min(x);
            most = most.max(x);
        }
        (-i32::from(least)).max(most.into())
    }

    fn quantise(to: &mut [u8], x: &[u8], m: i64) {
        const SHIFT: u8 = 20;
        const HALF: i32 = 1 << (SHIFT - 1);
        const CLAMP: Clamp = Clamp::full(Dtype::I8);
        // Exact: at most 63·2^20 and a half.
        let reciprocal = (((63 << SHIFT) + m / 2) / m) as i32;
        let entries = i8::of_mut(to).iter_mut().zip(i16::of(x));
        // No product and half a unit then exceed 32 bits.
        if (i64::from(reciprocal) << 15) + i64::from(HALF) <= i64::from(i32::MAX) {
            for (to, &x) in entries {
                let value = i16::read(x).wrapping_mul(reciprocal).wrapping_add(HALF) >> SHIFT;
                *to = i8::write(value.clamp(CLAMP.min, CLAMP.max));
            }
        } else {
            for (to, &x) in entries {
                *to = i8::write(clamp(rsh_product(i16::read(x), reciprocal, SHIFT), &CLAMP));
            }
        }
    }

    /// The place of each entry in a table.
    fn indices(to: &mut [u8], x: &[u8], shift: u8) {
        // A shift by more than 15 also leaves only the sign.
        let shift = shift.min(15);
        for (to, &x) in to.iter_mut().zip(i16::of(x)) {
            *to = ((i16::from_le_bytes(x) >> shift).clamp(-128, 127) + 128) as u8;
        }
    }

    /// Entries above a table replace what was found.
    fn pass_above(to: &mut [u8], x: &[u8], shift: u8) {
        let shift = shift.min(15);
        for (to, &x) in i16::of_mut(to).iter_mut().zip(i16::of(x)) {
            let above = i16::from_le_bytes(x) >> shift > 127;
            *to = if above { x } else { *to };
        }
    }

    fn normalise(
        to: &mut [u8],
        x: &[u8],
        gamma: &[i32],
        beta: &[i32],
        centre: bool,
        shift: u8,
    ) {
        let x = i16::of(x);
        let n = x.len() as i64;
        // The sum of 2^16 entries fits 32 bits.
        let part = |x: &[[u8; 2]]| x.iter().fold(0i32, |sum, &x| sum.wrapping_add(i16::read(x)));
        let total: i64 = x.chunks(1 << 16).map(|x| i64::from(part(x))).sum();
        let mean = if centre { rdiv(total, n) as i32 } else { 0 };
        let squares = x.iter().map(|&x| {
            let distance = i64::from(i16::read(x) - mean);
            distance * distance
        });
        let variance = rdiv(squares.sum(), n);
        // Exact: a variance of 17-bit numbers is below 2^34.
        let deviation = ((variance as u64) << 8).isqrt().max(1) as i64;
        // At most 2^26.
        let inverse = ((1 << 26) / deviation) as i32;
        let affine = gamma.iter().zip(beta);
        for (to, (&x, (&gamma, &beta))) in i16::of_mut(to).iter_mut().zip(x.iter().zip(affine)) {
            let z = sat32((i64::from(i16::read(x) - mean) * i64::from(inverse)) >> 8);
            // The product is below 2^62 and its addend below 2^32.
            *to = i16::write(sat16(rsh_product(z, gamma, shift) + i64::from(beta)));
        }
    }
}
