//! What a step is launched with.

use crate::backend::Cuda;
use crate::error::CudaError;
use crate::gpu::{Argument, Launch, Memory};
use poai_core::program::ops::Local;
use poai_core::program::{Clamp, Extent, Window};
use std::sync::Arc;

/// Threads of a block of every kernel of steps, and the rows that it makes where
/// a warp makes a row.
const THREADS: u32 = 256;
const ROWS: u32 = THREADS / 32;

/// A step whose slots are on the GPU.
pub(super) struct Ready<'a> {
    pub(super) cuda: &'a Cuda,
    pub(super) local: &'a Local<'a>,
    /// The inputs, then the constants.
    pub(super) slots: Vec<Arc<Memory>>,
    pub(super) out: &'a Memory,
    /// Words of steps that may find an entry without a result, and which of them
    /// is this step's: the first row of such an entry, all ones before.
    pub(super) errors: (&'a Memory, u64),
}

impl<'a> Ready<'a> {
    pub(super) fn slot(&self, slot: usize) -> Argument<'_> {
        // There are as many as the program's check found.
        self.slots.get(slot).map_or(Argument::Null, |memory| Argument::Memory(memory))
    }

    /// An input that may not be there.
    pub(super) fn optional(&self, slot: usize) -> Argument<'_> {
        if slot < self.local.inputs { self.slot(slot) } else { Argument::Null }
    }

    /// A constant by its number.
    pub(super) fn constant(&self, constant: usize) -> Argument<'_> {
        self.slot(self.local.inputs + constant)
    }

    pub(super) fn extent(&self, slot: usize) -> Extent {
        // As above.
        self.local.slots.get(slot).copied().unwrap_or(self.local.output)
    }

    /// A slot's type as kernels take it.
    pub(super) fn dtype(&self, slot: usize) -> Argument<'static> {
        dtype(&self.extent(slot))
    }

    pub(super) fn out(&self) -> Argument<'a> {
        Argument::Memory(self.out)
    }

    pub(super) fn out_dtype(&self) -> Argument<'static> {
        dtype(&self.local.output)
    }

    pub(super) fn rows(&self) -> Argument<'static> {
        Argument::U32(self.local.output.rows)
    }

    pub(super) fn columns(&self) -> Argument<'static> {
        Argument::U32(self.local.output.columns)
    }

    pub(super) fn error(&self) -> Argument<'a> {
        Argument::At(self.errors.0, self.errors.1 * 4)
    }

    /// A launch in which each warp makes a padded row of the output.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes, for this step.
    pub(super) unsafe fn by_rows(
        &self,
        file: &'static str,
        kernel: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's word.
        unsafe { self.by_some_rows(self.local.output.padded_rows(), file, kernel, arguments) }
    }

    /// The same for some of the padded rows, a multiple of 32.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes, for these rows.
    pub(super) unsafe fn by_some_rows(
        &self,
        rows: u32,
        file: &'static str,
        kernel: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's word; the grid covers the rows.
        unsafe { self.launch(file, kernel, [rows / ROWS, 1, 1], arguments) }
    }

    /// A launch in which each thread makes a padded entry of the output.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes, for this step.
    pub(super) unsafe fn by_entries(
        &self,
        file: &'static str,
        kernel: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        let Extent { columns, .. } = self.local.output;
        let entries = u64::from(self.local.output.padded_rows()) * u64::from(columns);
        let blocks = u32::try_from(entries.div_ceil(THREADS.into()));
        let grid = [blocks.map_err(|_| CudaError::Bounds)?, 1, 1];
        // SAFETY: the caller's word; the grid covers the padded entries.
        unsafe { self.launch(file, kernel, grid, arguments) }
    }

    /// # Safety
    /// Grid and arguments are those that the kernel takes, for this step.
    pub(super) unsafe fn launch(
        &self,
        file: &'static str,
        kernel: &'static str,
        grid: [u32; 3],
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        let launch = Launch { file, kernel, grid, block: THREADS, shared: 0 };
        // SAFETY: the caller's word; no kernel of steps takes maps.
        unsafe { self.cuda.gpu().launch(&launch, arguments) }
    }
}

fn dtype(extent: &Extent) -> Argument<'static> {
    // Exact: 1, 2 or 4.
    Argument::U32(extent.dtype.size() as u32)
}

/// A number with a sign, as its bits.
pub(super) fn signed(value: i32) -> Argument<'static> {
    Argument::U32(value.cast_unsigned())
}

pub(super) fn small(value: impl Into<u32>) -> Argument<'static> {
    Argument::U32(value.into())
}

/// Least and largest entry of an output.
pub(super) fn bounds(clamp: &Clamp) -> [Argument<'static>; 2] {
    [signed(clamp.min), signed(clamp.max)]
}

/// A window's ten numbers.
pub(super) fn window(window: &Window) -> Result<[Argument<'static>; 10], CudaError> {
    let Window { height, width, kernel: [down, right], stride, pads: [top, left, ..] } = *window;
    let [out_height, out_width] = window.output().ok_or(CudaError::Bounds)?;
    let [stride_down, stride_right] = stride;
    let sizes =
        [height, width, down, right, stride_down, stride_right, top, left, out_height, out_width];
    Ok(sizes.map(Argument::U32))
}
