//! Steps that look through windows, and their gradients.

use super::Reading;
use crate::real::error::RealError;
use crate::real::value::{Real, RealValue};
use ndarray::{Array2, ArrayView2, Axis};
use poai_core::program::Window;

/// The pixels under a window at every position, down, then right; `None` outside the
/// image.
struct Seen {
    /// One list a position.
    positions: Vec<Vec<Option<usize>>>,
}

impl Seen {
    /// The window is what the kernel covers. `dilation` is the distance between
    /// neighbours of the kernel.
    fn new(window: &Window, dilation: [u32; 2]) -> Seen {
        let Window { height, width, kernel, stride, pads } = *window;
        let [down, right] = window.output().unwrap_or([0, 0]);
        let inside = |at: u32, stride: u32, offset: u32, pad: u32, size: u32| {
            (at * stride + offset).checked_sub(pad).filter(|&at| at < size)
        };
        let steps = dilation.map(|distance| distance.max(1) as usize);
        let mut positions = vec![];
        for (y, x) in (0..down).flat_map(|y| (0..right).map(move |x| (y, x))) {
            let mut seen = vec![];
            for below in (0..kernel[0]).step_by(steps[0]) {
                for beside in (0..kernel[1]).step_by(steps[1]) {
                    let row = inside(y, stride[0], below, pads[0], height);
                    let column = inside(x, stride[1], beside, pads[1], width);
                    let pixel = row.zip(column).map(|(row, column)| row * width + column);
                    seen.push(pixel.map(|pixel| pixel as usize));
                }
            }
            positions.push(seen);
        }
        Seen { positions }
    }
}

/// The rows of an item, copied to every position that sees them.
fn copy<T: Copy>(x: &ArrayView2<'_, T>, seen: &Seen, groups: usize, fill: T, y: &mut [T]) {
    let channels = x.ncols() / groups.max(1);
    let size = seen.positions.first().map_or(0, Vec::len) * channels;
    let rows = seen.positions.iter().zip(y.chunks_exact_mut((size * groups).max(1)));
    for (pixels, y) in rows {
        for (group, y) in y.chunks_exact_mut(size.max(1)).enumerate() {
            for (pixel, y) in pixels.iter().zip(y.chunks_exact_mut(channels.max(1))) {
                match pixel {
                    Some(pixel) => {
                        let x = x.row(*pixel);
                        let x = x.iter().skip(group * channels);
                        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x);
                    }
                    None => y.fill(fill),
                }
            }
        }
    }
}

impl<F: Real> Reading<'_, F> {
    fn unfolded<T: Copy>(
        &self,
        x: &ArrayView2<'_, T>,
        seen: &Seen,
        groups: usize,
        fill: T,
    ) -> Array2<T> {
        let mut y = Array2::from_elem(self.output(), fill);
        let items = x.axis_chunks_iter(Axis(0), self.item_rows(0));
        let rows = self.local.output_item_rows() as usize;
        for (x, mut y) in items.zip(y.axis_chunks_iter_mut(Axis(0), rows)) {
            // Rows of a whole array are one after another.
            if let Some(y) = y.as_slice_mut() {
                copy(&x, seen, groups, fill, y);
            }
        }
        y
    }

    pub(super) fn unfold(
        &self,
        window: &Window,
        dilation: [u32; 2],
        groups: u32,
        fill: i32,
    ) -> Result<RealValue<F>, RealError> {
        let (seen, groups) = (Seen::new(window, dilation), groups as usize);
        Ok(match self.input(0)? {
            RealValue::Exact(x) => RealValue::Exact(self.unfolded(&x.view(), &seen, groups, fill)),
            RealValue::Real(x) => {
                RealValue::Real(self.unfolded(&x.view(), &seen, groups, F::of(fill.into())))
            }
        })
    }

    pub(super) fn unfold_gradient(&self, window: &Window) -> Result<Array2<F>, RealError> {
        let (dy, seen) = (self.reals(0)?, Seen::new(window, [1, 1]));
        let mut dx = Array2::zeros(self.output());
        let (channels, rows) = (dx.ncols(), self.local.output_item_rows() as usize);
        let items = dy.axis_chunks_iter(Axis(0), self.item_rows(0));
        for (dy, mut dx) in items.zip(dx.axis_chunks_iter_mut(Axis(0), rows)) {
            for (dy, pixels) in dy.rows().into_iter().zip(&seen.positions) {
                for (dy, pixel) in dy.axis_chunks_iter(Axis(0), channels).zip(pixels) {
                    if let Some(pixel) = pixel {
                        let mut dx = dx.row_mut(*pixel);
                        dx += &dy;
                    }
                }
            }
        }
        Ok(dx)
    }

    /// For each position and column, what `fold` makes of the pixels seen, each with
    /// its number in the item.
    fn pooled<A: Copy>(
        &self,
        window: &Window,
        none: A,
        mut fold: impl FnMut(A, usize, F) -> A,
        mut each: impl FnMut(usize, usize, usize, A),
    ) -> Result<(), RealError> {
        let (x, seen) = (self.reals(0)?, Seen::new(window, [1, 1]));
        let items = x.axis_chunks_iter(Axis(0), self.item_rows(0));
        for (item, x) in items.enumerate() {
            for (position, pixels) in seen.positions.iter().enumerate() {
                for (column, x) in x.columns().into_iter().enumerate() {
                    let pixels = pixels.iter().flatten();
                    let of = |all: A, &pixel: &usize| fold(all, pixel, x[pixel]);
                    each(item, position, column, pixels.fold(none, of));
                }
            }
        }
        Ok(())
    }

    pub(super) fn max_pool(&self, window: &Window) -> Result<Array2<F>, RealError> {
        let mut y = Array2::zeros(self.output());
        let rows = self.local.output_item_rows() as usize;
        let none = F::neg_infinity();
        self.pooled(
            window,
            none,
            |max, _, x| max.max(x),
            |item, position, column, max| {
                y[(item * rows + position, column)] = max;
            },
        )?;
        Ok(y)
    }

    pub(super) fn average_pool(&self, window: &Window) -> Result<Array2<F>, RealError> {
        let mut y = Array2::zeros(self.output());
        let rows = self.local.output_item_rows() as usize;
        let add = |(sum, count), _, x| (sum + x, count + F::one());
        self.pooled(window, (F::zero(), F::zero()), add, |item, position, column, all| {
            y[(item * rows + position, column)] = all.0 / all.1;
        })?;
        Ok(y)
    }

    /// Each window's gradient goes to its first largest pixel.
    pub(super) fn max_pool_gradient(&self, window: &Window) -> Result<Array2<F>, RealError> {
        let dy = self.reals(1)?;
        let mut dx = Array2::zeros(self.output());
        let (pixels, positions) = (self.item_rows(0), self.item_rows(1));
        let none = (F::neg_infinity(), 0);
        let largest = |max: (F, usize), pixel, x| if x > max.0 { (x, pixel) } else { max };
        self.pooled(window, none, largest, |item, position, column, (_, pixel)| {
            dx[(item * pixels + pixel, column)] += dy[(item * positions + position, column)];
        })?;
        Ok(dx)
    }
}
