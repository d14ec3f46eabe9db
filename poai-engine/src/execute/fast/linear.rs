//! Products with weights: sums become entries of the output tile by tile, while
//! they are in a cache.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::entries::Entry;
use super::vectorise;
use crate::backend::Plain;
use crate::operand::OperandView;
use poai_core::params::Params;
use poai_core::program::ops::RowSource;
use poai_core::program::ops::arithmetic::{clamp, rsh, rsh_product, sat32};
use poai_core::program::{Clamp, Dtype, Op};
use poai_core::puzzle::statement::{Side, Tile};
use std::sync::{Mutex, PoisonError};

/// Rows and columns of a tile.
const T: usize = Params::CONSENSUS.tile();

/// The numbers of a tile's columns: the bias before, the multiplier, the bias
/// after. Columns of padding have zeros.
#[derive(Clone, Copy)]
struct Channels {
    before: [i32; T],
    multiplier: [i32; T],
    after: [i32; T],
}

/// What requantises a tile.
struct Requantise<'a> {
    channels: &'a Channels,
    /// The scales of the tile's rows, if the step has any.
    scales: Option<&'a [i32]>,
    shifts: [u8; 3],
    clamp: Clamp,
    /// Whether no number before the last saturates, see [`is_calm`].
    calm: bool,
}

/// The place of a tile in a strip of the output.
struct Place {
    row_bytes: usize,
    column: usize,
    width: usize,
}

/// Computes a linear step.
pub(in crate::execute) fn linear(
    task: &Task<'_>,
    weights: &Plain,
    output: &mut Tensor,
) -> Result<(), RunError> {
    let Op::Linear { shifts, clamp, .. } = *task.local.op else { return Err(RunError::Layout) };
    let x = task.slots.0.first().ok_or(RunError::Layout)?;
    let k = x.extent.row_bytes();
    let a = OperandView::new(&Params::CONSENSUS, Side::A, bytemuck::cast_slice(x.bytes), k)?;
    let extent = task.local.output;
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let channels = channels(task, columns)?;
    let calm = is_calm(&channels, x.extent.columns, shifts, &clamp);
    let mut scales = vec![];
    if task.local.inputs > 1 {
        scales.resize(rows, 0);
        task.slots.read_rows(1, 0..extent.rows, 1, &mut scales).map_err(RunError::Local)?;
    }
    let row_bytes = extent.row_bytes();
    let strips = output.bytes_mut()[..rows * row_bytes].chunks_mut(T * row_bytes);
    // A strip's lock is free nearly always: tasks take strips in turn.
    let strips: Vec<Mutex<&mut [u8]>> = strips.map(Mutex::new).collect();
    task.host.device.apply_tiles(a, weights, &|tile: Tile, sums: &[i32]| {
        let (row, column) = (tile.row as usize, tile.column as usize);
        // Tiles of padding alone have no strip or no columns.
        let (Some(strip), Some(channels)) = (strips.get(row), channels.get(column)) else { return };
        let Some(sums) = sums.as_array() else { return };
        let scales = scales.get(row * T..).filter(|scales| !scales.is_empty());
        let how = Requantise { channels, scales, shifts, clamp, calm };
        let place = Place { row_bytes, column: column * T, width: T.min(columns - column * T) };
        let mut strip = strip.lock().unwrap_or_else(PoisonError::into_inner);
        match clamp.dtype {
            Dtype::I8 => requantise_i8(sums, &how, &place, &mut strip),
            Dtype::I16 => requantise_i16(sums, &how, &place, &mut strip),
            Dtype::I32 => requantise::<i32>(sums, &how, &place, &mut strip),
        }
    })?;
    Ok(())
}

/// The channels of all columns, a tile's width at a time.
fn channels(task: &Task<'_>, columns: usize) -> Result<Vec<Channels>, RunError> {
    let slot = task.local.inputs + 1;
    let mut entries = vec![0; columns * 3];
    // Exact: an extent's columns fit 32 bits.
    let all = 0..columns as u32;
    task.slots.read_rows(slot, all, 3, &mut entries).map_err(RunError::Local)?;
    let none = Channels { before: [0; T], multiplier: [0; T], after: [0; T] };
    let mut channels = vec![none; columns.div_ceil(T)];
    for (column, &[before, multiplier, after]) in entries.as_chunks::<3>().0.iter().enumerate() {
        let of = &mut channels[column / T];
        of.before[column % T] = before;
        of.multiplier[column % T] = multiplier;
        of.after[column % T] = after;
    }
    Ok(channels)
}

/// Whether requantisation needs no saturation but the last.
///
/// The sum with its bias, and its product with the multiplier, then fit 32
/// bits. A number that the row's scale takes out of 32 bits ends beyond the
/// clamp on the same side, saturated or not: the last bias is below 2^30, and
/// the last shift below 15 leaves 2^16 of what remains.
fn is_calm(channels: &[Channels], k: u32, shifts: [u8; 3], clamp: &Clamp) -> bool {
    // A product of two clean entries is at most 2^12.
    let bound = i64::from(k) << 12;
    let fits = |value: i64| value <= i64::from(i32::MAX);
    let calm = |(before, (multiplier, after)): (&i32, (&i32, &i32))| {
        let sum = bound + i64::from(before.unsigned_abs());
        let product = || sum.saturating_mul(i64::from(multiplier.unsigned_abs()));
        fits(sum) && fits(rsh(product(), shifts[0])) && after.unsigned_abs() <= 1 << 30
    };
    let mut all = channels.iter();
    shifts[2] < 15
        && clamp.dtype != Dtype::I32
        && all.all(|of| {
            let numbers = of.multiplier.iter().zip(&of.after);
            of.before.iter().zip(numbers).all(calm)
        })
}

vectorise! {
    fn requantise_i8(sums: &[i32; T * T], how: &Requantise<'_>, place: &Place, strip: &mut [u8]) {
        requantise::<i8>(sums, how, place, strip);
    }

    fn requantise_i16(sums: &[i32; T * T], how: &Requantise<'_>, place: &Place, strip: &mut [u8]) {
        requantise::<i16>(sums, how, place, strip);
    }
}

/// Requantises a tile into its place.
#[inline(always)]
fn requantise<E: Entry>(
    sums: &[i32; T * T],
    how: &Requantise<'_>,
    place: &Place,
    strip: &mut [u8],
) {
    let rows = strip.chunks_exact_mut(place.row_bytes).zip(sums.as_chunks::<T>().0);
    for (row, (bytes, sums)) in rows.enumerate() {
        let scale = how.scales.map(|scales| scales.get(row).copied().unwrap_or(0));
        let v = match how.calm {
            true => calm_row(sums, how, scale),
            false => any_row(sums, how, scale),
        };
        let to = &mut E::of_mut(bytes)[place.column..];
        match to.first_chunk_mut::<T>() {
            Some(to) if place.width == T => {
                for i in 0..T {
                    to[i] = E::write(v[i]);
                }
            }
            _ => {
                for (to, &v) in to.iter_mut().zip(&v).take(place.width) {
                    *to = E::write(v);
                }
            }
        }
    }
}

#[inline(always)]
fn any_row(sums: &[i32; T], how: &Requantise<'_>, scale: Option<i32>) -> [i32; T] {
    let Channels { before, multiplier, after } = how.channels;
    let [first, second, third] = how.shifts;
    let mut v = [0; T];
    for i in 0..T {
        v[i] = sat32(rsh_product(sums[i].saturating_add(before[i]), multiplier[i], first));
    }
    if let Some(scale) = scale {
        for v in &mut v {
            *v = sat32(rsh_product(*v, scale, second));
        }
    }
    for i in 0..T {
        v[i] = clamp(rsh_product(v[i].saturating_add(after[i]), 1, third), &how.clamp);
    }
    v
}

/// The same row, if [`is_calm`].
#[inline(always)]
fn calm_row(sums: &[i32; T], how: &Requantise<'_>, scale: Option<i32>) -> [i32; T] {
    let Channels { before, multiplier, after } = how.channels;
    let [first, second, third] = how.shifts;
    let half = (1i64 << third) >> 1;
    let mut v = [0; T];
    match scale {
        Some(scale) => {
            for i in 0..T {
                let scaled = rsh_product(sums[i].wrapping_add(before[i]), multiplier[i], first);
                let scaled = rsh_product(scaled as i32, scale, second);
                v[i] = clamp((scaled + (i64::from(after[i]) + half)) >> third, &how.clamp);
            }
        }
        None => {
            for i in 0..T {
                let scaled = rsh_product(sums[i].wrapping_add(before[i]), multiplier[i], first);
                v[i] = clamp((scaled + (i64::from(after[i]) + half)) >> third, &how.clamp);
            }
        }
    }
    v
}
