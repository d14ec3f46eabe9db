//! Steps of training with loops over bytes, row by row.
//!
//! Rescaled entries have loops in `rescale`. Where the numbers of a step permit
//! it, 32-bit arithmetic replaces that in 64 bits.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::entries::Entry;
use super::rescale::{self, Scaling};
use super::{transpose, vectorise};
use poai_core::params::Params;
use poai_core::program::ops::arithmetic::{clamp, rsh, rsh_product};
use poai_core::program::ops::training::{Random, row_shift, shift};
use poai_core::program::ops::{RowSource, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::{Clamp, Dtype, Op, TrainingOp};
use poai_core::simd;
use rayon::prelude::*;

/// What the attention's weights are stored less.
const OFFSET: i32 = 64;

/// Computes a step of training, if there is a loop for it and for the types of
/// its values. Otherwise it returns `false`.
pub(in crate::execute) fn training_rows(
    task: &Task<'_>,
    op: &TrainingOp,
    output: &mut Tensor,
) -> Result<bool, RunError> {
    let dtype = |slot: usize| task.slots.0.get(slot).map(|rows| rows.extent.dtype);
    let to = task.local.output.dtype;
    match op {
        TrainingOp::TransposeTiles if to == Dtype::I8 => transpose::transpose(task, output)?,
        TrainingOp::Rescale { .. } if dtype(0) == Some(Dtype::I32) => {
            return rescaled(task, op, output);
        }
        TrainingOp::Gate { .. } if dtype(0) == Some(Dtype::I32) && to == Dtype::I32 => {
            gated(task, op, output)?;
        }
        TrainingOp::Descend { .. }
            if to == Dtype::I32 && (0..2).all(|slot| dtype(slot) == Some(Dtype::I32)) =>
        {
            descended(task, op, output)?;
        }
        TrainingOp::Exponentials { .. } if dtype(0) == Some(Dtype::I32) => {
            weights(task, op, output)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Computes a step of 32-bit entries that is not one of training alone.
pub(super) fn wide_rows(task: &Task<'_>, output: &mut Tensor) -> Result<(), RunError> {
    let (x, y) = (slot(task, 0)?, task.slots.0.get(1).unwrap_or(slot(task, 0)?));
    match *task.local.op {
        Op::RowScale => rows(
            task,
            output,
            || (),
            |(), row, to| {
                let scale = magnitude(entries(x, row)).max(1);
                i32::of_mut(to).iter_mut().for_each(|to| *to = scale.to_le_bytes());
                Ok(())
            },
        ),
        Op::Relu => rows(
            task,
            output,
            || (),
            |(), row, to| {
                relu(to, entries(x, row));
                Ok(())
            },
        ),
        Op::Add { multipliers, shift, clamp } => rows(
            task,
            output,
            || (),
            |(), row, to| {
                let (a, b) = (entries(x, row), entries(y, row));
                if multipliers == [1, 1] && shift == 0 {
                    sum(to, a, b, &clamp);
                } else {
                    weighted_sum(to, a, b, multipliers, shift, &clamp);
                }
                Ok(())
            },
        ),
        _ => Err(RunError::Layout),
    }
}

/// Computes the entries of each row of the output, on every thread. `state` makes a
/// task's memory.
fn rows<S>(
    task: &Task<'_>,
    output: &mut Tensor,
    state: impl Fn() -> S + Send + Sync,
    row: impl Fn(&mut S, u32, &mut [u8]) -> Result<(), StepError> + Sync,
) -> Result<(), RunError> {
    let extent = task.local.output;
    let (row_bytes, used) = (extent.row_bytes(), extent.columns as usize * extent.dtype.size());
    let bytes = &mut output.bytes_mut()[..extent.rows as usize * row_bytes];
    let together = Params::CONSENSUS.tile();
    let blocks = bytes.par_chunks_mut(together * row_bytes).enumerate();
    blocks.try_for_each_init(state, |state, (block, bytes)| {
        for (at, to) in bytes.chunks_exact_mut(row_bytes).enumerate() {
            // Exact: a tensor's rows are numbered by u32.
            let number = (block * together + at) as u32;
            row(state, number, &mut to[..used]).map_err(RunError::Local)?;
        }
        Ok(())
    })
}

fn slot<'a>(task: &'a Task<'_>, slot: usize) -> Result<&'a Rows<'a>, RunError> {
    task.slots.0.get(slot).ok_or(RunError::Layout)
}

/// The bytes of a row's entries. The caller has a row of the tensor.
fn entries<'a>(rows: &Rows<'a>, row: u32) -> &'a [u8] {
    let used = rows.extent.columns as usize * rows.extent.dtype.size();
    &rows.bytes[row as usize * rows.extent.row_bytes()..][..used]
}

fn rescaled(task: &Task<'_>, op: &TrainingOp, output: &mut Tensor) -> Result<bool, RunError> {
    let TrainingOp::Rescale { shift, stream, multiplier, clamp } = op else {
        return Err(RunError::Layout);
    };
    let x = slot(task, 0)?;
    let scaling = |row: u32| {
        let p = row_shift(&task.slots, &task.local, shift, 1, row)?;
        Ok(Scaling { multiplier: *multiplier, p, clamp })
    };
    let Some(stream) = stream else {
        rows(
            task,
            output,
            || (),
            |(), row, to| {
                rescale::near(to, entries(x, row), &scaling(row)?);
                Ok(())
            },
        )?;
        return Ok(true);
    };
    let (mut words, mut t) = ([0; 8], [0]);
    let random = 1 + shift.signs.len();
    let read = task.slots.read_rows(random, 0..8, 1, &mut words);
    read.and_then(|()| task.slots.read(random + 1, 0, &mut t)).map_err(RunError::Local)?;
    // The definition names the error of a negative number.
    let Ok(t) = u64::try_from(t[0]) else { return Ok(false) };
    let mut seed = [0; 32];
    for (bytes, word) in seed.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    let columns = task.local.output.columns as usize;
    let random = || Random::new(&seed, t, *stream, columns);
    rows(task, output, random, |random, row, to| {
        let how = scaling(row)?;
        // A shift to the left rounds nothing.
        match how.p > 0 {
            true => rescale::by(to, entries(x, row), random.row(row), &how),
            false => rescale::near(to, entries(x, row), &how),
        }
        Ok(())
    })?;
    Ok(true)
}

/// A table of 256 entries, which is the constant after the inputs.
fn table(task: &Task<'_>) -> Result<[i16; 256], RunError> {
    let mut entries = [0; 256];
    let read = task.slots.read_rows(task.local.inputs, 0..256, 1, &mut entries);
    read.map_err(RunError::Local)?;
    // Exact: tables are i8 or i16.
    Ok(entries.map(|entry| entry as i16))
}

fn gated(task: &Task<'_>, op: &TrainingOp, output: &mut Tensor) -> Result<(), RunError> {
    let TrainingOp::Gate { index_shift, shift, ref clamp, .. } = *op else {
        return Err(RunError::Layout);
    };
    let (g, x, table) = (slot(task, 0)?, slot(task, 1)?, table(task)?);
    let switch = shift == 0 && table.iter().all(|entry| (0..=1).contains(entry));
    let columns = task.local.output.columns as usize;
    let memory = || (vec![0; columns], vec![[0; 2]; columns]);
    rows(task, output, memory, |(at, found), row, to| {
        let (g, x_row) = (entries(g, row), entries(x, row));
        match x.extent.dtype {
            Dtype::I8 => indices_i8(at, x_row, index_shift),
            Dtype::I16 => indices_i16(at, x_row, index_shift),
            Dtype::I32 => indices_i32(at, x_row, index_shift),
        }
        simd::look_up(&table, at, found);
        match switch {
            true => gate_switch(to, g, found, clamp),
            false => gate(to, g, found, shift, clamp),
        }
        Ok(())
    })
}

fn descended(task: &Task<'_>, op: &TrainingOp, output: &mut Tensor) -> Result<(), RunError> {
    let TrainingOp::Descend { shift, decay, ref clamp } = *op else {
        return Err(RunError::Layout);
    };
    let (w, d) = (slot(task, 0)?, slot(task, 1)?);
    let mut rate = [0];
    task.slots.read(2, 0, &mut rate).map_err(RunError::Local)?;
    let how = Descent { rate: rate[0], p: shift.into(), decay, clamp };
    rows(
        task,
        output,
        || (),
        |(), row, to| {
            descend(to, entries(w, row), entries(d, row), &how);
            Ok(())
        },
    )
}

/// Attention's weights from scores.
fn weights(task: &Task<'_>, op: &TrainingOp, output: &mut Tensor) -> Result<(), RunError> {
    let TrainingOp::Exponentials { causal, multiplier, shift, .. } = *op else {
        return Err(RunError::Layout);
    };
    let x = slot(task, 0)?;
    // A table may hold entries that are not weights. Those are clipped.
    let stored = |entry: i16| (i32::from(entry).clamp(0, 127) - OFFSET) as u8;
    let table = table(task)?.map(stored);
    let columns = task.local.output.columns;
    rows(
        task,
        output,
        || vec![0; columns as usize],
        |at, row, to| {
            let seen = if causal { row % columns + 1 } else { columns } as usize;
            let (own, rest) = to.split_at_mut(seen);
            distances(at, &entries(x, row)[..4 * seen], multiplier, shift);
            simd::look_up_bytes(&table, at, own);
            rest.fill(-OFFSET as u8);
            Ok(())
        },
    )
}

/// The numbers of an update of weights.
struct Descent<'a> {
    rate: i32,
    p: i64,
    decay: u8,
    clamp: &'a Clamp,
}

/// The place of an entry in a table.
#[inline(always)]
fn index<E: Entry>(to: &mut [u8], x: &[u8], shift: u8) {
    // A shift by more than 31 also leaves only the sign.
    let shift = shift.min(31);
    for (to, &x) in to.iter_mut().zip(E::of(x)) {
        *to = ((E::read(x) >> shift).clamp(-128, 127) + 128) as u8;
    }
}

vectorise! {
    fn magnitude(x: &[u8]) -> i32 {
        // |−2³¹| does not fit and saturates.
        i32::of(x).iter().fold(0, |max, &x| max.max(i32::read(x).saturating_abs()))
    }

    fn relu(to: &mut [u8], x: &[u8]) {
        for (to, &x) in i32::of_mut(to).iter_mut().zip(i32::of(x)) {
            *to = i32::write(i32::read(x).max(0));
        }
    }

    fn sum(to: &mut [u8], a: &[u8], b: &[u8], clamp: &Clamp) {
        let pairs = i32::of(a).iter().zip(i32::of(b));
        for (to, (&a, &b)) in i32::of_mut(to).iter_mut().zip(pairs) {
            let sum = i32::read(a).saturating_add(i32::read(b));
            *to = i32::write(sum.max(clamp.min).min(clamp.max));
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
        let pairs = i32::of(a).iter().zip(i32::of(b));
        for (to, (&a, &b)) in i32::of_mut(to).iter_mut().zip(pairs) {
            let sum = (i64::from(i32::read(a)) * m0).saturating_add(i64::from(i32::read(b)) * m1);
            *to = i32::write(clamp(rsh(sum, shift), to_range));
        }
    }

    fn indices_i8(to: &mut [u8], x: &[u8], shift: u8) {
        index::<i8>(to, x, shift);
    }

    fn indices_i16(to: &mut [u8], x: &[u8], shift: u8) {
        index::<i16>(to, x, shift);
    }

    fn indices_i32(to: &mut [u8], x: &[u8], shift: u8) {
        index::<i32>(to, x, shift);
    }

    /// Passes gradients on where a table has 1.
    fn gate_switch(to: &mut [u8], g: &[u8], found: &[[u8; 2]], clamp: &Clamp) {
        let entries = i32::of(g).iter().zip(found);
        for (to, (&g, &on)) in i32::of_mut(to).iter_mut().zip(entries) {
            let passed = i32::read(g) & -i32::from(i16::from_le_bytes(on));
            *to = i32::write(passed.max(clamp.min).min(clamp.max));
        }
    }

    fn gate(to: &mut [u8], g: &[u8], found: &[[u8; 2]], shift: u8, to_range: &Clamp) {
        let entries = i32::of(g).iter().zip(found);
        for (to, (&g, &slope)) in i32::of_mut(to).iter_mut().zip(entries) {
            let slope = i16::from_le_bytes(slope).into();
            *to = i32::write(clamp(rsh_product(i32::read(g), slope, shift), to_range));
        }
    }

    fn descend(to: &mut [u8], w: &[u8], d: &[u8], how: &Descent<'_>) {
        let Descent { rate, p, decay, clamp: to_range } = *how;
        let rate = i64::from(rate);
        let entries = i32::of(w).iter().zip(i32::of(d));
        let entries = i32::of_mut(to).iter_mut().zip(entries);
        if decay == 0 && (1..=62).contains(&p) {
            let half = 1i64 << (p - 1);
            for (to, (&w, &d)) in entries {
                // Below 2^62 + 2^61.
                let down = (half - i64::from(i32::read(d)) * rate) >> p;
                *to = i32::write(clamp(i64::from(i32::read(w)) + down, to_range));
            }
            return;
        }
        for (to, (&w, &d)) in entries {
            let (w, d) = (i64::from(i32::read(w)), i64::from(i32::read(d)));
            let lost = if decay == 0 { 0 } else { rsh(w * rate, decay) };
            let moved = shift(-(d * rate), p).saturating_add(w - lost);
            *to = i32::write(clamp(moved, to_range));
        }
    }

    /// The index of each entry's distance from the largest.
    fn distances(to: &mut [u8], x: &[u8], multiplier: i32, shift: u8) {
        let x = i32::of(x);
        let most = x.iter().fold(i32::MIN, |most, &x| most.max(i32::read(x)));
        for (to, &x) in to.iter_mut().zip(x) {
            // Below 2^32·2^31.
            let distance = (i64::from(most) - i64::from(i32::read(x))) * i64::from(multiplier);
            *to = rsh(distance, shift).clamp(0, 255) as u8;
        }
    }

    /// Adds offset·(sum of a row of b) to each row's sums, for b as rows of k
    /// entries, one a sum.
    pub(in crate::execute) fn add_offset(sums: &mut [i32], b: &[i8], k: usize, offset: i32) {
        let total = |b: &[i8]| offset * b.iter().map(|&b| i32::from(b)).sum::<i32>();
        let totals: Vec<i32> = b.chunks_exact(k).map(total).collect();
        for sums in sums.chunks_exact_mut(totals.len()) {
            for (sum, total) in sums.iter_mut().zip(&totals) {
                *sum += total;
            }
        }
    }
}
