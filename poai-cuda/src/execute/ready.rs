//! A step's arguments and launches.

use crate::backend::Cuda;
use crate::error::CudaError;
use crate::gpu::{Argument, Launch, Memory};
use poai_core::program::ops::Local;
use poai_core::program::{Clamp, Extent, GroupWindow, Window};
use std::sync::Arc;

/// Threads of a block of every step kernel, and rows of a block if each warp
/// makes one row.
const THREADS: u32 = 256;
const ROWS: u32 = THREADS / 32;

/// A step whose slots are on the GPU.
pub(super) struct Ready<'a> {
    pub(super) cuda: &'a Cuda,
    pub(super) local: &'a Local<'a>,
    /// The inputs, then the constants.
    pub(super) slots: Vec<Arc<Memory>>,
    pub(super) out: &'a Memory,
    /// Error words of all steps, and the index of this step's word. A word
    /// holds the first row with an entry that has no result, or all ones if no
    /// entry lacks one.
    pub(super) errors: (&'a Memory, u64),
}

impl<'a> Ready<'a> {
    pub(super) fn slot(&self, slot: usize) -> Argument<'_> {
        // The program's check guarantees that the slot exists.
        self.slots.get(slot).map_or(Argument::Null, |memory| Argument::Memory(memory))
    }

    /// An input that the step may not have.
    pub(super) fn optional(&self, slot: usize) -> Argument<'_> {
        if slot < self.local.inputs { self.slot(slot) } else { Argument::Null }
    }

    /// A constant by its number.
    pub(super) fn constant(&self, constant: usize) -> Argument<'_> {
        self.slot(self.local.inputs + constant)
    }

    pub(super) fn extent(&self, slot: usize) -> Extent {
        // As in `slot`.
        self.local.slots.get(slot).copied().unwrap_or(self.local.output)
    }

    /// A slot's type, in the form that kernels take.
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

    /// Launches a kernel in which each warp makes a padded row of the output.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes for this step.
    pub(super) unsafe fn by_rows(
        &self,
        file: &'static str,
        kernel: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        // SAFETY: guaranteed by the caller.
        unsafe { self.by_some_rows(self.local.output.padded_rows(), file, kernel, arguments) }
    }

    /// Launches a kernel for some of the padded rows, a multiple of 32.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes for these rows.
    pub(super) unsafe fn by_some_rows(
        &self,
        rows: u32,
        file: &'static str,
        kernel: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        // SAFETY: guaranteed by the caller; the grid covers the rows.
        unsafe { self.launch(file, kernel, [rows / ROWS, 1, 1], arguments) }
    }

    /// Launches a kernel in which each thread makes a padded entry of the
    /// output.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes for this step.
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
        // SAFETY: guaranteed by the caller; the grid covers the padded entries.
        unsafe { self.launch(file, kernel, grid, arguments) }
    }

    /// # Safety
    /// Grid and arguments are those that the kernel takes for this step.
    pub(super) unsafe fn launch(
        &self,
        file: &'static str,
        kernel: &'static str,
        grid: [u32; 3],
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        let launch = Launch { file, kernel, grid, block: THREADS, shared: 0 };
        // SAFETY: guaranteed by the caller; no step kernel takes maps.
        unsafe { self.cuda.gpu().launch(&launch, arguments) }
    }
}

fn dtype(extent: &Extent) -> Argument<'static> {
    // Exact: 1, 2 or 4.
    Argument::U32(extent.dtype.size() as u32)
}

/// A signed number, passed as its bits.
pub(super) fn signed(value: i32) -> Argument<'static> {
    Argument::U32(value.cast_unsigned())
}

pub(super) fn small(value: impl Into<u32>) -> Argument<'static> {
    Argument::U32(value.into())
}

/// The least and the largest entry of an output.
pub(super) fn bounds(clamp: &Clamp) -> [Argument<'static>; 2] {
    [signed(clamp.min), signed(clamp.max)]
}

/// A window's ten numbers.
pub(super) fn window(window: &Window) -> Result<[Argument<'static>; 10], CudaError> {
    numbers(window, window.output())
}

/// The channels of a group, the groups, the gaps, the fill, and a window's ten
/// numbers.
pub(super) fn group_window(
    moved: &GroupWindow,
    channels: u32,
) -> Result<[Argument<'static>; 15], CudaError> {
    let GroupWindow { ref window, dilation: [down, right], groups, fill } = *moved;
    let each = channels.checked_div(groups).ok_or(CudaError::Bounds)?;
    let own = [each, groups, down, right].map(Argument::U32).into_iter().chain([signed(fill)]);
    let window = numbers(window, moved.covered().and_then(|covered| covered.output()))?;
    let mut all = own.chain(window);
    Ok(std::array::from_fn(|_| all.next().unwrap_or(Argument::Null)))
}

/// A window's ten numbers, given the height and width of its output.
fn numbers(
    window: &Window,
    output: Option<[u32; 2]>,
) -> Result<[Argument<'static>; 10], CudaError> {
    let Window { height, width, kernel: [down, right], stride, pads: [top, left, ..] } = *window;
    let [out_height, out_width] = output.ok_or(CudaError::Bounds)?;
    let [stride_down, stride_right] = stride;
    let sizes =
        [height, width, down, right, stride_down, stride_right, top, left, out_height, out_width];
    Ok(sizes.map(Argument::U32))
}
