//! Products with weights: sums become entries of the output tile by tile, while
//! they are in a cache.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::entries::Entry;
use crate::backend::Plain;
use crate::operand::OperandView;
use multiversion::multiversion;
use poai_core::params::Params;
use poai_core::program::ops::RowSource;
use poai_core::program::ops::arithmetic::{clamp, rsh_product, sat32};
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
        let how = Requantise { channels, scales, shifts, clamp };
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

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn requantise_i8(sums: &[i32; T * T], how: &Requantise<'_>, place: &Place, strip: &mut [u8]) {
    requantise::<i8>(sums, how, place, strip);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn requantise_i16(sums: &[i32; T * T], how: &Requantise<'_>, place: &Place, strip: &mut [u8]) {
    requantise::<i16>(sums, how, place, strip);
}

/// Requantises a tile into its place.
#[inline(always)]
fn requantise<E: Entry>(
    sums: &[i32; T * T],
    how: &Requantise<'_>,
    place: &Place,
    strip: &mut [u8],
) {
    let Channels { before, multiplier, after } = how.channels;
    let [first, second, third] = how.shifts;
    let rows = strip.chunks_exact_mut(place.row_bytes).zip(sums.as_chunks::<T>().0);
    for (row, (bytes, sums)) in rows.enumerate() {
        let mut v = [0; T];
        for i in 0..T {
            v[i] = sat32(rsh_product(sums[i].saturating_add(before[i]), multiplier[i], first));
        }
        if let Some(scale) = how.scales.map(|scales| scales.get(row).copied().unwrap_or(0)) {
            for v in &mut v {
                *v = sat32(rsh_product(*v, scale, second));
            }
        }
        for i in 0..T {
            v[i] = clamp(rsh_product(v[i].saturating_add(after[i]), 1, third), &how.clamp);
        }
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
