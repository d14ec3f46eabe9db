//! Steps that move entries without changing them. They take no constraint.

use super::CircuitError;
use super::gadgets::Step;
use super::number::Number;
use poai_core::program::ops::pool::pixels;
use poai_core::program::{GroupWindow, Window};

impl Step<'_> {
    /// Every position of a window as a row.
    pub(super) fn unfold(&self, window: &Window) -> Result<Vec<Number>, CircuitError> {
        let x = self.slot(0)?;
        let zeros = vec![Number::constant(0); x.extent.columns as usize];
        let mut entries = vec![];
        for row in 0..self.local.output.rows {
            for pixel in pixels(self.local, window, row) {
                let pixel = pixel.map_or(&zeros[..], |pixel| x.row(pixel as usize));
                entries.extend_from_slice(pixel);
            }
        }
        Ok(entries)
    }

    /// Every position of a window with gaps as a row, group by group.
    pub(super) fn group_unfold(&self, moved: &GroupWindow) -> Result<Vec<Number>, CircuitError> {
        let x = self.slot(0)?;
        let covered = moved.covered().ok_or(CircuitError::Layout)?;
        let per_group = x.extent.columns.checked_div(moved.groups).ok_or(CircuitError::Layout)?;
        let [down, right] = moved.dilation.map(|distance| distance.max(1) as usize);
        let width = covered.kernel[1] as usize;
        let outside = vec![Number::constant(moved.fill.into()); x.extent.columns as usize];
        let mut entries = vec![];
        for row in 0..self.local.output.rows {
            // Of the pixels that the kernel covers, those that are not in a gap.
            let kept = pixels(self.local, &covered, row).enumerate().filter(|(at, _)| {
                (at / width).is_multiple_of(down) && (at % width).is_multiple_of(right)
            });
            let pixel = |pixel: Option<u32>| match pixel {
                Some(pixel) => x.row(pixel as usize),
                None => &outside[..],
            };
            let kept: Vec<&[Number]> = kept.map(|(_, of_pixel)| pixel(of_pixel)).collect();
            for group in 0..moved.groups {
                let columns = (group * per_group) as usize..((group + 1) * per_group) as usize;
                for pixel in &kept {
                    let own = pixel.get(columns.clone()).ok_or(CircuitError::Layout)?;
                    entries.extend_from_slice(own);
                }
            }
        }
        Ok(entries)
    }

    /// The entries that the index names, item by item.
    pub(super) fn arrange(&self) -> Result<Vec<Number>, CircuitError> {
        let index = self.fixed.ok_or(CircuitError::Layout)?;
        let batch = self.local.run.batch.max(1) as usize;
        let inputs: Vec<_> = (0..self.local.inputs)
            .map(|slot| Ok((self.slot(slot)?, self.slot(slot)?.entries.len() / batch)))
            .collect::<Result<_, CircuitError>>()?;
        let all: usize = inputs.iter().map(|(_, per_item)| per_item).sum();
        let outside = |entry| CircuitError::Index { entry, most: all as i64 - 1 };
        let mut entries = Vec::with_capacity(index.len().saturating_mul(batch));
        for item in 0..batch {
            for &number in index {
                let mut rest = match usize::try_from(number) {
                    Ok(rest) if rest < all => rest,
                    Err(_) if number == -1 => {
                        entries.push(Number::constant(0));
                        continue;
                    }
                    _ => return Err(outside(number)),
                };
                for (input, per_item) in &inputs {
                    if rest < *per_item {
                        let entry = input.entries.get(item * per_item + rest);
                        entries.push(entry.ok_or(CircuitError::Layout)?.clone());
                        break;
                    }
                    rest -= per_item;
                }
            }
        }
        Ok(entries)
    }

    /// The transpose of every item.
    pub(super) fn transpose(&self) -> Result<Vec<Number>, CircuitError> {
        let x = self.slot(0)?;
        let batch = self.local.run.batch.max(1);
        let (in_rows, columns) = (x.extent.rows / batch, x.extent.columns);
        let mut entries = vec![];
        for item in 0..batch {
            for column in 0..columns as usize {
                for row in 0..in_rows {
                    let row = x.row((item * in_rows + row) as usize);
                    entries.push(row.get(column).ok_or(CircuitError::Layout)?.clone());
                }
            }
        }
        Ok(entries)
    }
}
