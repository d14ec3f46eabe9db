//! Tensors, stored in the layout in which they are committed.

use super::buffers::{Buffer, Buffers};
use super::error::RunError;
use crate::operand::Operand;
use ndarray::Array2;
use poai_core::digest::Root;
use poai_core::params::Params;
use poai_core::program::tensor::{Rows, write_row};
use poai_core::program::{Dtype, Extent};
use poai_core::puzzle::commitment::Tree;
use poai_core::puzzle::statement::Side;

/// Why entries do not form a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The extent is empty, or larger than spec §11 permits.
    #[error("no tensor can be {rows}×{columns} {dtype}; see spec §11 for the permitted sizes")]
    Extent {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// Type.
        dtype: Dtype,
    },
    /// The number of entries is not rows·columns.
    #[error("expected {expected} entries for {extent}, got {got}")]
    Length {
        /// The extent.
        extent: Extent,
        /// The extent's number of entries.
        expected: u64,
        /// The number of entries that the caller passed.
        got: usize,
    },
    /// An entry is outside the type's range.
    #[error("entry [{row}, {column}] = {value} is outside {}..={}", dtype.range().0, dtype.range().1)]
    Entry {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// Its value.
        value: i32,
        /// The type.
        dtype: Dtype,
    },
    /// The padding of padded bytes is not zero.
    #[error("the padding of a tensor of {0} is not zero; pad it with zeros")]
    Padding(Extent),
}

/// A tensor: padded, row-major, little-endian bytes (spec §11). `{:?}` prints
/// its extent but no entries, which may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    extent: Extent,
    bytes: Buffer,
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("extent", &self.extent).finish_non_exhaustive()
    }
}

/// A tensor's padded bytes as a caller received them. Nothing about them is
/// checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorBytes(pub Vec<u8>);

impl Tensor {
    /// A tensor of row-major entries.
    ///
    /// # Errors
    /// [`TensorError`] names the problem, and the entry if an entry caused it.
    pub fn new(
        rows: usize,
        columns: usize,
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<Tensor, TensorError> {
        let size = u32::try_from(rows).ok().zip(u32::try_from(columns).ok());
        let extent = size
            .and_then(|(rows, columns)| Extent::new(rows, columns, dtype))
            .ok_or(TensorError::Extent { rows, columns, dtype })?;
        let expected = rows as u64 * columns as u64;
        if entries.len() as u64 != expected {
            return Err(TensorError::Length { extent, expected, got: entries.len() });
        }
        let (min, max) = dtype.range();
        if let Some(at) = entries.iter().position(|entry| !(min..=max).contains(entry)) {
            let (row, column) = (at / columns, at % columns);
            return Err(TensorError::Entry { row, column, value: entries[at], dtype });
        }
        let mut tensor = Tensor::zeros(extent);
        let row_bytes = extent.row_bytes();
        for (entries, bytes) in
            entries.chunks_exact(columns).zip(tensor.bytes.bytes_mut().chunks_exact_mut(row_bytes))
        {
            write_row(dtype, entries, bytes);
        }
        Ok(tensor)
    }

    /// The same tensor with another entry at row and column, for tests and
    /// demonstrations of faults.
    ///
    /// # Errors
    /// [`TensorError::Entry`] if the entry is out of the type's range, or the
    /// place is outside the tensor.
    pub fn with_entry(&self, row: u32, column: u32, value: i32) -> Result<Tensor, TensorError> {
        let Extent { rows, columns, dtype } = self.extent;
        let mut entries = self.entries();
        let index = row as usize * columns as usize + column as usize;
        let inside = row < rows && column < columns;
        match entries.get_mut(index).filter(|_| inside) {
            Some(entry) => *entry = value,
            None => {
                let (row, column) = (row as usize, column as usize);
                return Err(TensorError::Entry { row, column, value, dtype });
            }
        }
        Tensor::new(rows as usize, columns as usize, dtype, &entries)
    }

    /// A tensor from padded bytes, as they are committed.
    ///
    /// # Errors
    /// [`TensorError`] if the number of bytes is wrong, an i8 entry is outside
    /// its range, or padding is not zero.
    pub fn from_bytes(extent: Extent, bytes: Vec<u8>) -> Result<Tensor, TensorError> {
        if bytes.len() as u64 != extent.bytes() {
            let got = bytes.len();
            return Err(TensorError::Length { extent, expected: extent.bytes(), got });
        }
        let tensor = Tensor { extent, bytes: bytes.into() };
        let dtype = extent.dtype;
        let used = extent.columns as usize * dtype.size();
        let (min, max) = dtype.range();
        for (row, bytes) in tensor.bytes.chunks_exact(extent.row_bytes()).enumerate() {
            let (own, padding) = bytes.split_at(if row < extent.rows as usize { used } else { 0 });
            if padding.iter().any(|&byte| byte != 0) {
                return Err(TensorError::Padding(extent));
            }
            let bad = |&byte: &u8| !(min..=max).contains(&i32::from(byte as i8));
            if dtype == Dtype::I8
                && let Some(column) = own.iter().position(bad)
            {
                let value = i32::from(own[column] as i8);
                return Err(TensorError::Entry { row, column, value, dtype });
            }
        }
        Ok(tensor)
    }

    /// A tensor of received bytes. Their number is right, but the entries may
    /// be unclean.
    pub(super) fn unchecked(extent: Extent, bytes: Vec<u8>) -> Tensor {
        debug_assert_eq!(bytes.len() as u64, extent.bytes());
        Tensor { extent, bytes: bytes.into() }
    }

    pub(super) fn zeros(extent: Extent) -> Tensor {
        Tensor { extent, bytes: vec![0; extent.bytes() as usize].into() }
    }

    /// A tensor in reused memory. Its padding is zero. Its entries are stale
    /// and the caller must write all of them.
    pub(super) fn unwritten(extent: Extent, buffers: &Buffers) -> Tensor {
        let mut bytes = buffers.take(extent.bytes() as usize);
        let used = extent.columns as usize * extent.dtype.size();
        let row_bytes = extent.row_bytes();
        let (own, padding) = bytes.bytes_mut().split_at_mut(extent.rows as usize * row_bytes);
        padding.fill(0);
        if used < row_bytes {
            own.chunks_exact_mut(row_bytes).for_each(|row| row[used..].fill(0));
        }
        Tensor { extent, bytes }
    }

    /// The true extent.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The padded bytes, as they are committed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.bytes_mut()
    }

    /// All rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows { extent: self.extent, first: 0, bytes: &self.bytes }
    }

    /// The true entries, row-major.
    pub fn entries(&self) -> Vec<i32> {
        let columns = self.extent.columns as usize;
        let mut entries = vec![0; self.extent.rows as usize * columns];
        for (row, entries) in (0..).zip(entries.chunks_exact_mut(columns)) {
            // Every row exists, so reading cannot fail.
            let _ = self.rows().read(row, entries);
        }
        entries
    }

    /// An i8 tensor with its padding as an operand of a mined product.
    ///
    /// # Errors
    /// [`RunError::Operand`] if no operand can have the entries,
    /// [`RunError::Layout`] if the type is not i8.
    pub fn operand(&self, side: Side) -> Result<Operand, RunError> {
        if self.extent().dtype != Dtype::I8 {
            return Err(RunError::Layout);
        }
        rows_operand(side, self.bytes(), self.extent().row_bytes())
    }

    /// The commitment's cached tree.
    pub fn tree(&self) -> Tree {
        Tree::new(&self.bytes)
    }

    /// The commitment.
    pub fn root(&self) -> Root {
        *self.tree().root()
    }
}

/// A range of padded rows of an i8 tensor as an operand.
pub(super) fn rows_operand(
    side: Side,
    bytes: &[u8],
    row_bytes: usize,
) -> Result<Operand, RunError> {
    let entries: Vec<i8> = bytemuck::cast_slice(bytes).to_vec();
    let shape = (bytes.len() / row_bytes.max(1), row_bytes);
    let entries = Array2::from_shape_vec(shape, entries).map_err(|_| RunError::Layout)?;
    Ok(Operand::new(&Params::CONSENSUS, side, entries)?)
}
