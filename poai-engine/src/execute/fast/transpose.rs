//! Transposes of 8-bit entries, 64 by 64.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::vectorise;
use core::ops::Range;
use poai_core::program::Op;
use rayon::prelude::*;

/// Rows and columns of a block: the bytes of a line of a cache.
const SIDE: usize = 64;

/// The words of a block's row.
const WORDS: usize = SIDE / 8;

/// A block, row by row.
type Block = [[u8; SIDE]; SIDE];

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
    // Lines of a cache come in pairs. Fewer rows leave a thread without a part.
    let together = if rows >= 16 * SIDE { 2 * SIDE } else { SIDE };
    let parts = items.flat_map(|(item, bytes)| {
        let parts = bytes.par_chunks_mut(together * to_bytes).enumerate();
        parts.map(move |(part, bytes)| (item, part, bytes))
    });
    parts.for_each(|(item, part, bytes)| {
        let from = &x.bytes[item * columns * from_bytes..][..columns * from_bytes];
        let width = bytes.len() / to_bytes;
        let first = part * together;
        columns_to_rows(from, from_bytes, first..first + width, bytes, to_bytes);
    });
    Ok(())
}

/// Turns some columns of bytes with rows of `from_bytes` into rows of `to_bytes`.
///
/// Bytes of a row of the output beyond the number of rows stay as they are.
pub(in crate::execute) fn columns_to_rows(
    from: &[u8],
    from_bytes: usize,
    columns: Range<usize>,
    to: &mut [u8],
    to_bytes: usize,
) {
    let (mut block, mut turned) = ([[0; SIDE]; SIDE], [[0; SIDE]; SIDE]);
    for (at, from) in (0..).step_by(SIDE).zip(from.chunks(SIDE * from_bytes)) {
        let height = from.len() / from_bytes;
        for (band, to) in to.chunks_mut(SIDE * to_bytes).enumerate() {
            let first = columns.start + band * SIDE;
            let width = SIDE.min(columns.end.saturating_sub(first));
            for (row, from) in block.iter_mut().zip(from.chunks_exact(from_bytes)) {
                copy(&mut row[..width], &from[first..][..width]);
            }
            transpose_block(&block, &mut turned);
            for (row, to) in turned.iter().zip(to.chunks_exact_mut(to_bytes)).take(width) {
                copy(&mut to[at..][..height], &row[..height]);
            }
        }
    }
}

/// Copies bytes of equal number. A copy of a whole row takes no call.
fn copy(to: &mut [u8], from: &[u8]) {
    match (to.as_mut_array::<SIDE>(), from.as_array::<SIDE>()) {
        (Some(to), Some(from)) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

vectorise! {
    /// Exchanges rows and columns of a block.
    ///
    /// Eight rows at a time: each word of eight bytes is a row of an 8×8 block. Halves,
    /// then quarters, then single bytes change places, in all words at once.
    fn transpose_block(from: &Block, to: &mut Block) {
        for (band, from) in from.as_chunks::<8>().0.iter().enumerate() {
            let mut rows = [[0u64; WORDS]; 8];
            for (words, from) in rows.iter_mut().zip(from) {
                for (word, bytes) in words.iter_mut().zip(from.as_chunks::<8>().0) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
            for (distance, mask) in
                [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)]
            {
                let bits = 8 * distance;
                for row in 0..8 {
                    if row & distance != 0 {
                        continue;
                    }
                    let (above, below) = rows.split_at_mut(row + distance);
                    for (low, high) in above[row].iter_mut().zip(&mut below[0]) {
                        let (first, second) = (*low, *high);
                        *low = (first & mask) | ((second & mask) << bits);
                        *high = ((first >> bits) & mask) | (second & !mask);
                    }
                }
            }
            for (offset, words) in rows.iter().enumerate() {
                for (word, to) in words.iter().zip(to[offset..].iter_mut().step_by(8)) {
                    to[8 * band..][..8].copy_from_slice(&word.to_le_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        for (rows, stride, columns, to_bytes) in
            [(64, 64, 0..64, 64), (1, 1, 0..1, 1), (63, 70, 3..68, 65), (130, 200, 65..200, 192)]
        {
            let from: Vec<u8> = (0..rows * stride).map(|at| (at * 7 + at / 251) as u8).collect();
            let mut to = vec![0xff; columns.len() * to_bytes];
            columns_to_rows(&from, stride, columns.clone(), &mut to, to_bytes);
            for (column, to) in columns.clone().zip(to.chunks_exact(to_bytes)) {
                for (row, &byte) in to.iter().enumerate() {
                    let expected = if row < rows { from[row * stride + column] } else { 0xff };
                    assert_eq!(byte, expected, "{rows} rows, {columns:?}: {row}, {column}");
                }
            }
        }
    }
}
