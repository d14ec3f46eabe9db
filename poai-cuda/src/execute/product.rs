//! Products with weights and scaled products: sums band by band, and what follows
//! them.

use super::Executor;
use super::ready::{Ready, bounds, small};
use super::training::TRAINING;
use crate::backend::BAND_BYTES;
use crate::backend::multiply::Place;
use crate::error::CudaError;
use crate::gpu::{Argument, Memory};
use poai_core::program::{ConstantId, Extent, Op, TrainingOp, ValueId};
use poai_core::{Cancelled, Control, Side};
use poai_engine::backend::Prepared;
use poai_engine::execute::{MinedStep, Mining, RunError};
use poai_engine::{MineError, Miner};
use std::sync::{Arc, PoisonError};

/// Rows whose sums are ready.
struct Part<'a> {
    sums: &'a Memory,
    first: u32,
    rows: u32,
}

impl Part<'_> {
    /// Its rows that are true ones: the last part may have padding.
    fn true_rows(&self, output: &Extent) -> Argument<'static> {
        Argument::U32(output.rows.saturating_sub(self.first).min(self.rows))
    }
}

impl Executor {
    /// Computes a product with weights or a scaled product that is not mined.
    /// Returns its sums if `keep` is set.
    pub(super) fn multiply(
        &self,
        ready: &Ready<'_>,
        keep: bool,
    ) -> Result<Option<Vec<i32>>, CudaError> {
        let [m, n, k] = shape(ready);
        let gpu = self.cuda.gpu();
        let multiprocessors = gpu.info().multiprocessors;
        let band = self.cuda.variant().band(n, multiprocessors, Some(BAND_BYTES)).min(m);
        let sums = gpu.allocate(4 * u64::from(band) * u64::from(n))?;
        let mut kept = if keep { Some(zeros(m, n)?) } else { None };
        let [Some(x), Some(other)] = [ready.slots.first(), ready.slots.get(right_slot(ready))]
        else {
            return Err(CudaError::Bounds);
        };
        for first in (0..m).step_by(band as usize) {
            let rows = band.min(m - first);
            self.cuda.plain(x, first, other, &sums, [rows, n, k])?;
            self.follow(ready, &Part { sums: &sums, first, rows })?;
            if let Some(kept) = &mut kept {
                let start = first as usize * n as usize;
                let entries = &mut kept[start..][..rows as usize * n as usize];
                gpu.download(&sums, 0, bytemuck::cast_slice_mut(entries))?;
            }
        }
        Ok(kept)
    }

    /// Launches what follows the sums of some rows.
    fn follow(&self, ready: &Ready<'_>, part: &Part<'_>) -> Result<(), CudaError> {
        let Op::Linear { shifts, ref clamp, .. } = *ready.local.op else {
            return scale(ready, part);
        };
        let output = &ready.local.output;
        let row_bytes = output.row_bytes() as u64;
        let scales = match ready.slots.get(1) {
            Some(scales) if ready.local.inputs > 1 => {
                Argument::At(scales, 4 * u64::from(part.first))
            }
            _ => Argument::Null,
        };
        let ([s0, s1, s2], [least, most]) = (shifts.map(small), bounds(clamp));
        let [_, n, _] = shape(ready);
        let arguments = [
            Argument::Memory(part.sums),
            Argument::U32(n),
            ready.constant(1),
            scales,
            Argument::At(ready.out, u64::from(part.first) * row_bytes),
            ready.out_dtype(),
            part.true_rows(output),
            ready.columns(),
            s0,
            s1,
            s2,
            least,
            most,
        ];
        // SAFETY: step_linear's arguments, in order: sums of `rows` rows of n
        // entries, and the same number of rows of the output from `first` on.
        unsafe { ready.by_some_rows(part.rows, "steps_rows", "step_linear", &arguments) }
    }

    /// Mines a product with weights or a scaled product. Returns its sums if
    /// `keep` is set.
    pub(super) fn mine(
        &self,
        ready: &Ready<'_>,
        value: ValueId,
        (mining, control): (&Mining, &Control),
        mined: &mut Vec<MinedStep>,
        keep: bool,
    ) -> Result<Option<Vec<i32>>, RunError> {
        let a = self.operand(Side::A, ready, 0)?;
        let b = match *ready.local.op {
            Op::Linear { weights, .. } => self.right(weights)?,
            _ => self.operand(Side::B, ready, right_slot(ready))?,
        };
        let backend = Arc::new(self.cuda.clone());
        let miner = Miner::new(backend);
        let round = miner.round(&mining.challenge, &b)?;
        let [m, n, _] = shape(ready);
        let gpu = self.cuda.gpu();
        let sums = gpu.allocate(4 * u64::from(m) * u64::from(n))?;
        let options = mining.options.clone().cancelled_with(control);
        let found = round.mine_with(&a, options, |multiplication, watch| {
            self.cuda.draw(&self.cuda.work(multiplication)?, Place::Gpu(&sums), watch)
        });
        let found = match found {
            Err(MineError::Cancelled { found }) => {
                mined.push(MinedStep { value, found: *found });
                return Err(Cancelled.into());
            }
            found => found?,
        };
        mined.push(MinedStep { value, found });
        self.follow(ready, &Part { sums: &sums, first: 0, rows: m })?;
        if !keep {
            return Ok(None);
        }
        let mut kept = zeros(m, n)?;
        gpu.download(&sums, 0, bytemuck::cast_slice_mut(&mut kept))?;
        Ok(Some(kept))
    }

    /// An input of the product as an operand. The host fetches its entries too,
    /// to open strips if a ticket wins.
    fn operand(&self, side: Side, ready: &Ready<'_>, slot: usize) -> Result<Prepared, RunError> {
        let memory = ready.slots.get(slot).ok_or(RunError::Layout)?;
        let operand = self.fetch(memory, &ready.extent(slot))?.operand(side)?;
        Ok(self.cuda.resident_operand(operand, memory.clone(), None)?)
    }

    /// Weights as side B, prepared when they are first mined.
    fn right(&self, id: ConstantId) -> Result<Prepared, RunError> {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = weights.get(&id) {
            return Ok(prepared.clone());
        }
        let at = id.0 as usize;
        let held = self.network.constants().get(at).ok_or(RunError::Layout)?;
        let memory = self.constants.get(at).ok_or(RunError::Layout)?;
        let operand = held.tensor.operand(Side::B)?;
        let tree = Some(held.tree.clone());
        let prepared = self.cuda.resident_operand(operand, memory.clone(), tree)?;
        weights.insert(id, prepared.clone());
        Ok(prepared)
    }
}

/// Host memory for sums.
fn zeros(m: u32, n: u32) -> Result<Vec<i32>, CudaError> {
    let entries = m as usize * n as usize;
    // Checks that there is room, then allocates zeroed memory without touching
    // it.
    let room = Vec::<i32>::new().try_reserve_exact(entries);
    room.map_err(|_| CudaError::OutOfHostMemory { bytes: 4 * entries as u64 })?;
    Ok(vec![0; entries])
}

/// The slot of the right operand: the first constant, or the other value of a
/// scaled product.
fn right_slot(ready: &Ready<'_>) -> usize {
    match ready.local.op {
        Op::Training(_) => 1,
        _ => ready.local.inputs,
    }
}

/// The product's m, n and k.
fn shape(ready: &Ready<'_>) -> [u32; 3] {
    let (x, other) = (ready.extent(0), ready.extent(right_slot(ready)));
    [x.padded_rows(), other.padded_rows(), x.padded_columns()]
}

/// Launches what follows the sums of some rows of a scaled product.
fn scale(ready: &Ready<'_>, part: &Part<'_>) -> Result<(), CudaError> {
    let Op::Training(TrainingOp::ScaledProduct { shift, bias, bias_shift, clamp }) = ready.local.op
    else {
        return Err(CudaError::Bounds);
    };
    let output = &ready.local.output;
    let at = u64::from(part.first) * output.row_bytes() as u64;
    let [_, n, _] = shape(ready);
    let (added, first) = if *bias { (ready.slot(2), 3) } else { (Argument::Null, 2) };
    let sums = [Argument::Memory(part.sums), Argument::U32(n), added, small(*bias_shift)];
    let out = [Argument::At(ready.out, at), ready.out_dtype()];
    let rows = [part.true_rows(output), ready.columns()];
    let exponents = ready.shift(shift, first, part.first);
    let arguments = [&sums[..], &exponents, &out, &rows, &bounds(clamp)].concat();
    // SAFETY: step_scaled_product's arguments, in order: sums of `rows` rows of
    // n entries, and the same number of rows of exponents and of the output from
    // `first` on.
    unsafe { ready.by_some_rows(part.rows, TRAINING, "step_scaled_product", &arguments) }
}
