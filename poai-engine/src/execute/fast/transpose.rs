//! Transposes of 8-bit entries, eight by eight.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use poai_core::program::Op;
use rayon::prelude::*;

/// Rows and columns of a block.
const SIDE: usize = 8;

/// Rows of the output that a task writes.
const ROWS: usize = 8 * SIDE;

/// Transposes every item of an i8 tensor, or the whole tensor.
pub(super) fn transpose(task: &Task<'_>, output: &mut Tensor) -> Result<(), RunError> {
    let x = task.slots.0.first().ok_or(RunError::Layout)?;
    // A transpose by tiles takes the whole value as one item.
    let rows = match task.local.op {
        Op::Transpose => task.local.output_item_rows(),
        _ => task.local.output.rows,
    } as usize;
    let columns = task.local.output.columns as usize;
    let (from_bytes, to_bytes) = (x.extent.row_bytes(), task.local.output.row_bytes());
    let used = task.local.output.rows as usize * to_bytes;
    let items = output.bytes_mut()[..used].par_chunks_mut(rows * to_bytes).enumerate();
    let parts = items.flat_map(|(item, bytes)| {
        let parts = bytes.par_chunks_mut(ROWS * to_bytes).enumerate();
        parts.map(move |(part, bytes)| (item, part, bytes))
    });
    parts.for_each(|(item, part, bytes)| {
        let from = &x.bytes[item * columns * from_bytes..][..columns * from_bytes];
        for (band, to) in bytes.chunks_mut(SIDE * to_bytes).enumerate() {
            let first = part * ROWS + band * SIDE;
            transpose_band(from, from_bytes, first, to, to_bytes);
        }
    });
    Ok(())
}

/// Turns up to eight columns of an item, from `first` on, into rows.
fn transpose_band(from: &[u8], from_bytes: usize, first: usize, to: &mut [u8], to_bytes: usize) {
    let height = to.len() / to_bytes;
    for (row, from) in (0..).step_by(SIDE).zip(from.chunks(SIDE * from_bytes)) {
        let width = from.len() / from_bytes;
        let mut block = [0; SIDE];
        for (word, from) in block.iter_mut().zip(from.chunks_exact(from_bytes)) {
            *word = load(&from[first..][..height]);
        }
        for (word, to) in transposed(block).into_iter().zip(to.chunks_exact_mut(to_bytes)) {
            to[row..][..width].copy_from_slice(&word.to_le_bytes()[..width]);
        }
    }
}

/// Up to eight bytes as a word.
fn load(bytes: &[u8]) -> u64 {
    match bytes.as_array() {
        Some(&whole) => u64::from_le_bytes(whole),
        None => bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Exchanges rows and columns of eight words of eight bytes: halves, then
/// quarters, then single bytes.
fn transposed(mut block: [u64; SIDE]) -> [u64; SIDE] {
    for (distance, mask) in
        [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)]
    {
        let bits = 8 * distance;
        for row in (0..SIDE).filter(|row| row & distance == 0) {
            let (low, high) = (block[row], block[row + distance]);
            block[row] = (low & mask) | ((high & mask) << bits);
            block[row + distance] = ((low >> bits) & mask) | (high & !mask);
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let block: [[u8; SIDE]; SIDE] =
            core::array::from_fn(|row| core::array::from_fn(|column| (8 * row + column) as u8));
        let words = transposed(block.map(u64::from_le_bytes)).map(u64::to_le_bytes);
        for (row, word) in words.iter().enumerate() {
            for (column, &byte) in word.iter().enumerate() {
                assert_eq!(usize::from(byte), 8 * column + row);
            }
        }
        assert_eq!(load(&[1, 2, 3]), 0x03_02_01);
    }
}
