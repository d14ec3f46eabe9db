//! Every kernel by itself, for a table of the time each takes. Kernels are
//! launched as the backend launches them, on operands of one side.

use super::{Measure, MeasuredOperand, OnGpu};
use crate::backend::multiply::{RANK, THIN_BYTES};
use crate::backend::operand::{
    CHUNK_BYTES, COMMIT_LEVELS, COMMIT_THREADS, NODE_BYTES, NOISE_COLUMNS, NOISE_ROWS,
};
use crate::error::CudaError;
use crate::gpu::{Argument, Launch, Memory};
use poai_core::Seed;
use poai_core::puzzle::noise::{RankStepNoise, RowNoise};
use poai_engine::Operand;
use std::sync::Arc;

/// One kernel, which can be launched any number of times: it overwrites none of
/// its inputs.
#[derive(Debug)]
pub struct MeasuredKernel<'a> {
    measure: &'a Measure,
    launch: Launch,
    arguments: Vec<Owned>,
}

/// An argument that keeps its memory alive.
#[derive(Debug)]
enum Owned {
    Memory(Arc<Memory>, u64),
    U32(u32),
    U64(u64),
}

impl MeasuredKernel<'_> {
    /// Its name in the sources.
    pub fn name(&self) -> &'static str {
        self.launch.kernel
    }

    /// Queues one launch.
    ///
    /// # Errors
    /// An error of the driver.
    pub fn queue(&self) -> Result<(), CudaError> {
        let arguments = self.arguments.iter().map(|argument| match argument {
            Owned::Memory(memory, offset) => Argument::At(memory, *offset),
            Owned::U32(number) => Argument::U32(*number),
            Owned::U64(number) => Argument::U64(*number),
        });
        let arguments: Vec<_> = arguments.collect();
        // SAFETY: only the functions below make kernels; they pass the
        // arguments that each takes, and keep as much memory as it uses.
        unsafe { self.measure.cuda.gpu.launch(&self.launch, &arguments) }
    }
}

impl Measure {
    /// The launches that hash bytes on the GPU: `commit_chunks`, and one
    /// `commit_merge` for every further group of levels.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], or an error of the driver.
    pub fn commit_kernels(&self, of: &OnGpu) -> Result<Vec<MeasuredKernel<'_>>, CudaError> {
        self.own(&of.memory)?;
        // The first node of each level, and its number of nodes.
        let mut levels = vec![(0, of.bytes.div_ceil(CHUNK_BYTES))];
        while let Some(&(start, count @ 2..)) = levels.last() {
            levels.push((start + count, count.div_ceil(2)));
        }
        let nodes: u64 = levels.iter().map(|(_, count)| count).sum();
        let values = self.empty(nodes * NODE_BYTES)?;
        let at = |on_gpu: &OnGpu| Owned::Memory(on_gpu.memory.clone(), 0);
        let kernel = |kernel, count: u64, arguments| {
            let grid = [u32::try_from(count.div_ceil(COMMIT_THREADS)).unwrap_or(u32::MAX), 1, 1];
            self.kernel("commit", kernel, grid, COMMIT_THREADS as u32, arguments)
        };
        let (_, chunks) = levels.first().copied().unwrap_or_default();
        // commit_chunks(matrix, bytes, values): room for the nodes of all levels.
        let arguments = vec![at(of), Owned::U64(of.bytes), at(&values)];
        let mut kernels = vec![kernel("commit_chunks", chunks, arguments)];
        for &(start, count) in levels.iter().skip(COMMIT_LEVELS).step_by(COMMIT_LEVELS) {
            if count >= 2 {
                // commit_merge(values, level_start, count), of a level written
                // before.
                let arguments = vec![at(&values), Owned::U64(start), Owned::U64(count)];
                kernels.push(kernel("commit_merge", count, arguments));
            }
        }
        Ok(kernels)
    }

    /// The launches that noise an operand: `noise_rows`, `noise_steps` and
    /// `noise_operand`.
    ///
    /// # Errors
    /// As [`Measure::noise`].
    pub fn noise_kernels(
        &self,
        seed: &Seed,
        operand: &Operand,
        clean: &OnGpu,
    ) -> Result<Vec<MeasuredKernel<'_>>, CudaError> {
        let [rows, k] = self.noisable(operand, clean)?;
        let steps = k / RANK;
        let keys = [*RowNoise::new(seed).key(), *RankStepNoise::new(operand.params(), seed).key()];
        let keys = self.upload(keys.as_flattened())?;
        let factors = self.empty(u64::from(rows) * u64::from(RANK))?;
        let words = 4 * u64::from(steps) * u64::from(RANK);
        let (columns, by_row) = (self.empty(words)?, self.empty(words)?);
        let noised = self.empty(u64::from(rows) * u64::from(k))?;
        let at = |on_gpu: &OnGpu| Owned::Memory(on_gpu.memory.clone(), 0);
        let number = Owned::U32;

        // noise_rows(key, first, rows, rank, factors): rows·rank bytes.
        let threads = u64::from(rows) * u64::from(RANK / 64);
        let arguments = vec![at(&keys), number(0), number(rows), number(RANK), at(&factors)];
        let grid = [threads.div_ceil(128) as u32, 1, 1];
        let of_rows = self.kernel("noise", "noise_rows", grid, 128, arguments);
        // noise_steps(key, first, rank, columns, by_row): steps·rank words each.
        let key = Owned::Memory(keys.memory.clone(), 32);
        let arguments = vec![key, number(0), number(RANK), at(&columns), at(&by_row)];
        let of_steps = self.kernel("noise", "noise_steps", [steps, 1, 1], 32, arguments);
        // noise_operand(clean, factors, columns, noised, rows, k, rank): rows·k
        // bytes each of clean and noised.
        let down = rows.div_ceil(NOISE_ROWS);
        let wanted = (8 * self.cuda.gpu.info().multiprocessors).div_ceil(down);
        let grid = [down, wanted.clamp(1, k.div_ceil(NOISE_COLUMNS)), 1];
        let mut arguments = vec![at(clean), at(&factors), at(&columns), at(&noised)];
        arguments.extend([number(rows), number(k), number(RANK)]);
        // `noise_operand` reads columns, so a step must have written them.
        of_steps.queue()?;
        let of_operand = self.kernel("noise", "noise_operand", grid, 256, arguments);
        Ok(vec![of_rows, of_steps, of_operand])
    }

    /// The launches of one side's recovery, without its thin product, which is
    /// a plain product of 128 columns: `recover_factors` and `recover_digits`.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], or an error of the driver.
    pub fn recover_kernels(
        &self,
        of: &MeasuredOperand,
    ) -> Result<Vec<MeasuredKernel<'_>>, CudaError> {
        self.own(of.at())?;
        let (rows, k) = (of.rows, of.k);
        let words = 4 * u64::from(k / RANK) * u64::from(RANK);
        let bytes = |columns: u32| u64::from(rows) * u64::from(columns);
        // Zeros only; the time is the same, because every entry is written.
        let (by_row, row_factors) = (self.zeros(words)?, self.zeros(bytes(RANK))?);
        let product = self.zeros(bytes(4 * RANK))?;
        let factors = self.empty(u64::from(RANK) * u64::from(k))?;
        let (thin, wide) = (self.empty(bytes(THIN_BYTES))?, self.zeros(4)?);
        let at = |on_gpu: &OnGpu| Owned::Memory(on_gpu.memory.clone(), 0);
        // recover_factors(by_row, factors, k): k words and r·k bytes.
        let arguments = vec![at(&by_row), at(&factors), Owned::U32(k)];
        let first = self.kernel("recover", "recover_factors", [k / RANK, 1, 1], RANK, arguments);
        // recover_digits(product, row_factors, thin, wide, rows,
        // product_first): rows of r i32, r bytes and 6r bytes, one word.
        let mut arguments = vec![at(&product), at(&row_factors), at(&thin), at(&wide)];
        arguments.extend([Owned::U32(rows), Owned::U32(1)]);
        let grid = [(u64::from(rows) * 32).div_ceil(256) as u32, 1, 1];
        let second = self.kernel("recover", "recover_digits", grid, 256, arguments);
        Ok(vec![first, second])
    }

    fn zeros(&self, bytes: u64) -> Result<OnGpu, CudaError> {
        let memory = self.empty(bytes)?;
        self.cuda.gpu.clear(&memory.memory)?;
        Ok(memory)
    }

    fn kernel(
        &self,
        file: &'static str,
        kernel: &'static str,
        grid: [u32; 3],
        block: u32,
        arguments: Vec<Owned>,
    ) -> MeasuredKernel<'_> {
        let launch = Launch { file, kernel, grid, block, shared: 0 };
        MeasuredKernel { measure: self, launch, arguments }
    }
}
