//! Scaled products of two values: sums become entries of the output tile by
//! tile, while they are in a cache.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::entries::Entry;
use super::vectorise;
use crate::backend::Plain;
use crate::operand::OperandView;
use ndarray::{ArrayViewMut2, s};
use poai_core::params::Params;
use poai_core::program::ops::RowSource;
use poai_core::program::ops::arithmetic::{clamp, rsh};
use poai_core::program::ops::training::{row_shift, shift};
use poai_core::program::{Clamp, Dtype, Op, TrainingOp};
use poai_core::puzzle::statement::{Side, Tile};

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
    let (row_bytes, entry) = (extent.row_bytes(), extent.dtype.size());
    let bytes = &mut output.bytes_mut()[..rows * row_bytes];
    let mut whole =
        ArrayViewMut2::from_shape((rows, row_bytes), bytes).map_err(|_| RunError::Layout)?;
    let own = whole.slice_mut(s![.., ..columns * entry]);
    task.host.device.apply_into(a, b, own, entry, &|tile: Tile, sums: &[i32], part| {
        let (row, column) = (tile.row as usize, tile.column as usize);
        let (Some(biases), Some(shifts)) = (biases.get(column), shifts.get(row * T..)) else {
            return;
        };
        let Some(sums) = sums.as_array() else { return };
        let how = Scale { shifts, biases, plain: !*bias, calm, clamp: *clamp };
        match clamp.dtype {
            Dtype::I8 => scale_i8(sums, &how, part),
            Dtype::I16 => scale_i16(sums, &how, part),
            Dtype::I32 => scale_i32(sums, &how, part),
        }
    })?;
    Ok(())
}

vectorise! {
    fn scale_i8(sums: &[i32; T * T], how: &Scale<'_>, part: ArrayViewMut2<'_, u8>) {
        scale::<i8>(sums, how, part);
    }

    fn scale_i16(sums: &[i32; T * T], how: &Scale<'_>, part: ArrayViewMut2<'_, u8>) {
        scale::<i16>(sums, how, part);
    }

    fn scale_i32(sums: &[i32; T * T], how: &Scale<'_>, part: ArrayViewMut2<'_, u8>) {
        scale::<i32>(sums, how, part);
    }
}

/// Scales a tile into its place.
#[inline(always)]
fn scale<E: Entry>(sums: &[i32; T * T], how: &Scale<'_>, mut part: ArrayViewMut2<'_, u8>) {
    let Clamp { min, max, .. } = how.clamp;
    let rows = part.rows_mut().into_iter().zip(sums.as_chunks::<T>().0);
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
        // A row's bytes lie side by side.
        let to = E::of_mut(bytes.into_slice().unwrap_or_default());
        match to.as_mut_array::<T>() {
            Some(to) => {
                for i in 0..T {
                    to[i] = E::write(v[i]);
                }
            }
            None => {
                for (to, &v) in to.iter_mut().zip(&v) {
                    *to = E::write(v);
                }
            }
        }
    }
}
