//! Scaled products of two values: sums become entries of the output tile by
//! tile, while they are in a cache.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::entries::Entry;
use super::vectorise;
use crate::backend::Plain;
use crate::operand::OperandView;
use poai_core::params::Params;
use poai_core::program::ops::RowSource;
use poai_core::program::ops::arithmetic::{clamp, rsh};
use poai_core::program::ops::training::{row_shift, shift};
use poai_core::program::{Clamp, Dtype, Op, TrainingOp};
use poai_core::puzzle::statement::{Side, Tile};
use std::sync::{Mutex, PoisonError};

/// Rows and columns of a tile.
const T: usize = Params::CONSENSUS.tile();

/// The largest right shift after which a sum and half a unit fit 32 bits: sums
/// of fewer than 2^17 products are below 2^29.
const NARROW_MAX: i64 = 29;

/// The largest magnitude of a bias whose sum with a shifted sum fits 32 bits.
const CALM_MAX: u64 = 1 << 30;

/// What scales a tile.
struct Scale<'a> {
    /// The shift of each row.
    shifts: &'a [i64],
    /// The shifted bias of each column.
    biases: &'a [i64; T],
    /// Whether no column has a bias.
    plain: bool,
    /// Whether all biases are at most [`CALM_MAX`].
    calm: bool,
    clamp: Clamp,
}

/// The place of a tile in a strip of the output.
struct Place {
    row_bytes: usize,
    column: usize,
    width: usize,
}

/// Computes a scaled product.
pub(in crate::execute) fn scaled_product(
    task: &Task<'_>,
    b: &Plain,
    output: &mut Tensor,
) -> Result<(), RunError> {
    let Op::Training(TrainingOp::ScaledProduct { shift, bias, bias_shift, clamp }) = task.local.op
    else {
        return Err(RunError::Layout);
    };
    let x = task.slots.0.first().ok_or(RunError::Layout)?;
    let k = x.extent.row_bytes();
    let a = OperandView::new(&Params::CONSENSUS, Side::A, bytemuck::cast_slice(x.bytes), k)?;
    let extent = task.local.output;
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let mut biases = vec![[0; T]; columns.div_ceil(T)];
    if *bias {
        let mut entries = vec![0; columns];
        task.slots.read_rows(2, 0..extent.columns, 1, &mut entries).map_err(RunError::Local)?;
        for (bias, entry) in biases.as_flattened_mut().iter_mut().zip(entries) {
            *bias = rsh(entry.into(), *bias_shift);
        }
    }
    let calm = biases.as_flattened().iter().all(|bias| bias.unsigned_abs() <= CALM_MAX);
    let first = if *bias { 3 } else { 2 };
    let shift_of = |row: u32| row_shift(&task.slots, &task.local, shift, first, row);
    let shifts: Result<Vec<i64>, _> = (0..extent.rows).map(shift_of).collect();
    let shifts = shifts.map_err(RunError::Local)?;
    let row_bytes = extent.row_bytes();
    let strips = output.bytes_mut()[..rows * row_bytes].chunks_mut(T * row_bytes);
    // A strip's lock is free nearly always: tasks take strips in turn.
    let strips: Vec<Mutex<&mut [u8]>> = strips.map(Mutex::new).collect();
    task.host.device.apply_tiles(a, b, &|tile: Tile, sums: &[i32]| {
        let (row, column) = (tile.row as usize, tile.column as usize);
        // Tiles of padding alone have no strip or no columns.
        let (Some(strip), Some(biases)) = (strips.get(row), biases.get(column)) else { return };
        let (Some(sums), Some(shifts)) = (sums.as_array(), shifts.get(row * T..)) else { return };
        let how = Scale { shifts, biases, plain: !*bias, calm, clamp: *clamp };
        let place = Place { row_bytes, column: column * T, width: T.min(columns - column * T) };
        let mut strip = strip.lock().unwrap_or_else(PoisonError::into_inner);
        match clamp.dtype {
            Dtype::I8 => scale_i8(sums, &how, &place, &mut strip),
            Dtype::I16 => scale_i16(sums, &how, &place, &mut strip),
            Dtype::I32 => scale_i32(sums, &how, &place, &mut strip),
        }
    })?;
    Ok(())
}

vectorise! {
    fn scale_i8(sums: &[i32; T * T], how: &Scale<'_>, place: &Place, strip: &mut [u8]) {
        scale::<i8>(sums, how, place, strip);
    }

    fn scale_i16(sums: &[i32; T * T], how: &Scale<'_>, place: &Place, strip: &mut [u8]) {
        scale::<i16>(sums, how, place, strip);
    }

    fn scale_i32(sums: &[i32; T * T], how: &Scale<'_>, place: &Place, strip: &mut [u8]) {
        scale::<i32>(sums, how, place, strip);
    }
}

/// Scales a tile into its place.
#[inline(always)]
fn scale<E: Entry>(sums: &[i32; T * T], how: &Scale<'_>, place: &Place, strip: &mut [u8]) {
    let Clamp { min, max, .. } = how.clamp;
    let rows = strip.chunks_exact_mut(place.row_bytes).zip(sums.as_chunks::<T>().0);
    for ((bytes, sums), &p) in rows.zip(how.shifts) {
        let mut v = [0; T];
        if how.calm && (0..=NARROW_MAX).contains(&p) {
            let half = (1i32 << p) >> 1;
            for i in 0..T {
                // Exact: a calm bias fits 32 bits.
                let shifted = (sums[i].wrapping_add(half) >> p).wrapping_add(how.biases[i] as i32);
                v[i] = shifted.max(min).min(max);
            }
        } else if how.plain && (-31..0).contains(&p) {
            let (least, most) = (i32::MIN >> -p, i32::MAX >> -p);
            for i in 0..T {
                // A sum whose shift exceeds 32 bits exceeds the range, too.
                let shifted = (sums[i] << -p).max(min).min(max);
                let shifted = if sums[i] > most { max } else { shifted };
                v[i] = if sums[i] < least { min } else { shifted };
            }
        } else {
            for i in 0..T {
                let shifted = shift(sums[i].into(), p);
                v[i] = clamp(shifted.saturating_add(how.biases[i]), &how.clamp);
            }
        }
        let to = &mut E::of_mut(bytes)[place.column..];
        match to.first_chunk_mut::<T>().filter(|_| place.width == T) {
            Some(to) => *to = v.map(E::write),
            None => {
                for (to, &v) in to.iter_mut().zip(&v).take(place.width) {
                    *to = E::write(v);
                }
            }
        }
    }
}
