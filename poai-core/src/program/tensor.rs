//! What a value of a program is: its symbolic form, its extent in one run, and
//! the one layout in which every tensor is committed (spec §11).

use crate::params::Params;
use crate::puzzle::commitment::Strip;
use crate::vectorise::vectorise;
use core::fmt;
use core::ops::Range;

/// The type of a tensor's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Dtype {
    /// 8-bit entries in −64..=63: clean entries of an operand.
    I8,
    /// 16-bit entries.
    I16,
    /// 32-bit entries.
    I32,
}

impl Dtype {
    /// Bytes of one entry.
    pub const fn size(self) -> usize {
        match self {
            Dtype::I8 => 1,
            Dtype::I16 => 2,
            Dtype::I32 => 4,
        }
    }

    /// The least and the largest entry.
    pub const fn range(self) -> (i32, i32) {
        match self {
            Dtype::I8 => (crate::params::ENTRY_MIN as i32, crate::params::ENTRY_MAX as i32),
            Dtype::I16 => (i16::MIN as i32, i16::MAX as i32),
            Dtype::I32 => (i32::MIN, i32::MAX),
        }
    }

    /// The byte that stands for it in encodings.
    pub const fn tag(self) -> u8 {
        match self {
            Dtype::I8 => 1,
            Dtype::I16 => 2,
            Dtype::I32 => 4,
        }
    }

    /// The type that a byte stands for.
    pub const fn of_tag(tag: u8) -> Option<Dtype> {
        match tag {
            1 => Some(Dtype::I8),
            2 => Some(Dtype::I16),
            4 => Some(Dtype::I32),
            _ => None,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::I8 => "i8",
            Dtype::I16 => "i16",
            Dtype::I32 => "i32",
        })
    }
}

/// A dimension of one item of a batch: a number, or a number for every token
/// of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Dim {
    /// The number.
    pub units: u32,
    /// Whether it is multiplied by the sequence's length.
    pub per_token: bool,
}

impl Dim {
    /// One for every token.
    pub const TOKENS: Dim = Dim { units: 1, per_token: true };

    /// So many, whatever the sequence.
    pub const fn fixed(units: u32) -> Dim {
        Dim { units, per_token: false }
    }

    /// So many for every token.
    pub const fn per_token(units: u32) -> Dim {
        Dim { units, per_token: true }
    }

    /// The dimension in a run, or `None` beyond 32 bits.
    pub fn of(self, run: &RunShape) -> Option<u32> {
        if self.per_token { self.units.checked_mul(run.sequence) } else { Some(self.units) }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.per_token, self.units) {
            (false, units) => write!(f, "{units}"),
            (true, 1) => f.write_str("seq"),
            (true, units) => write!(f, "{units}·seq"),
        }
    }
}

/// The symbolic shape of a value: `rows` for every item of a batch, by
/// `columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Form {
    /// Rows of one item.
    pub rows: Dim,
    /// Columns.
    pub columns: Dim,
    /// Entries.
    pub dtype: Dtype,
}

impl Form {
    /// A form.
    pub const fn new(rows: Dim, columns: Dim, dtype: Dtype) -> Form {
        Form { rows, columns, dtype }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch·{}×{} {}", self.rows, self.columns, self.dtype)
    }
}

/// How large one run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunShape {
    /// Items.
    pub batch: u32,
    /// Tokens of every item, padding included; 1 for programs without tokens.
    pub sequence: u32,
}

/// No tensor has more bytes than this.
pub const TENSOR_BYTES_MAX: u64 = 1 << 38;

/// The shape of a tensor in one run, and with it its layout: row-major,
/// little-endian; rows padded with zero rows to a multiple of the tile; the
/// columns of i8 tensors padded with zeros to a multiple of the rank, those of
/// wider ones, which are never operands, not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extent {
    /// True rows.
    pub rows: u32,
    /// True columns.
    pub columns: u32,
    /// Entries.
    pub dtype: Dtype,
}

impl Extent {
    /// A constant's or value's extent, or `None` where it is empty or its
    /// padded bytes would pass [`TENSOR_BYTES_MAX`].
    pub fn new(rows: u32, columns: u32, dtype: Dtype) -> Option<Extent> {
        let extent = Extent { rows, columns, dtype };
        // One formula for every type, which also keeps rows below 2^31 and so
        // every row number that steps compute within 32 bits.
        let padded = u64::from(rows) + Params::CONSENSUS.tile() as u64;
        let stride = u64::from(columns) + Params::CONSENSUS.rank() as u64;
        let bytes = padded.checked_mul(stride)?.checked_mul(dtype.size() as u64)?;
        (rows > 0 && columns > 0 && columns <= COLUMNS_MAX && bytes <= TENSOR_BYTES_MAX)
            .then_some(extent)
    }

    /// The extent of a form in a run.
    pub fn of(form: &Form, run: &RunShape) -> Option<Extent> {
        let rows = form.rows.of(run)?.checked_mul(run.batch)?;
        Extent::new(rows, form.columns.of(run)?, form.dtype)
    }

    /// Rows with their padding.
    pub fn padded_rows(&self) -> u32 {
        self.rows.next_multiple_of(Params::CONSENSUS.tile() as u32)
    }

    /// Columns with their padding.
    pub fn padded_columns(&self) -> u32 {
        match self.dtype {
            Dtype::I8 => self.columns.next_multiple_of(Params::CONSENSUS.rank() as u32),
            _ => self.columns,
        }
    }

    /// Bytes of one padded row.
    pub fn row_bytes(&self) -> usize {
        self.padded_columns() as usize * self.dtype.size()
    }

    /// Bytes of the padded tensor.
    pub fn bytes(&self) -> u64 {
        u64::from(self.padded_rows()) * self.row_bytes() as u64
    }

    /// Whether padded rows starting at `first` are clean: i8 entries in range,
    /// padding zero.
    pub fn is_clean(&self, first: u32, bytes: &[u8]) -> bool {
        let used = self.columns as usize * self.dtype.size();
        let (min, max) = self.dtype.range();
        let rows = bytes.chunks_exact(self.row_bytes().max(1));
        (first..).zip(rows).all(|(row, bytes)| {
            let used = if row < self.rows { used.min(bytes.len()) } else { 0 };
            let (own, padding) = bytes.split_at(used);
            let bad = |byte: &u8| !(min..=max).contains(&i32::from(*byte as i8));
            padding.iter().all(|&byte| byte == 0)
                && !(self.dtype == Dtype::I8 && own.iter().any(bad))
        })
    }

    /// Where some of the padded rows lie in the commitment's tree.
    pub fn strip(&self, rows: &Range<u32>) -> Option<Strip> {
        Strip::of_rows(rows, self.padded_rows(), self.row_bytes() as u64)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{} {}", self.rows, self.columns, self.dtype)
    }
}

/// No tensor has more columns: sums of products of i8 entries stay in i32.
pub const COLUMNS_MAX: u32 = 1 << 16;

/// Some consecutive padded rows of a tensor, as bytes in the committed layout.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The whole tensor's extent.
    pub extent: Extent,
    /// The first row.
    pub first: u32,
    /// The rows' bytes.
    pub bytes: &'a [u8],
}

impl Rows<'_> {
    /// Whether a row is among them.
    pub fn has(&self, row: u32) -> bool {
        row.checked_sub(self.first)
            .is_some_and(|at| (at as usize) < self.bytes.len() / self.extent.row_bytes().max(1))
    }

    /// Reads the first `to.len()` entries of a row; `None` where the row is not
    /// among them or is shorter.
    pub fn read(&self, row: u32, to: &mut [i32]) -> Option<()> {
        let (size, row_bytes) = (self.extent.dtype.size(), self.extent.row_bytes());
        let start = (row.checked_sub(self.first)? as usize).checked_mul(row_bytes)?;
        let bytes = self.bytes.get(start..start.checked_add(row_bytes)?)?;
        let bytes = bytes.get(..to.len().checked_mul(size)?)?;
        match self.extent.dtype {
            Dtype::I8 => read_i8(to, bytes),
            Dtype::I16 => read_i16(to, bytes),
            Dtype::I32 => {
                for (to, word) in to.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *to = i32::from_le_bytes(*word);
                }
            }
        }
        Some(())
    }
}

/// Writes a row's entries as bytes; entries are in the type's range.
pub fn write_row(dtype: Dtype, entries: &[i32], to: &mut [u8]) {
    match dtype {
        Dtype::I8 => write_i8(to, entries),
        Dtype::I16 => write_i16(to, entries),
        Dtype::I32 => {
            for (to, entry) in to.as_chunks_mut::<4>().0.iter_mut().zip(entries) {
                *to = entry.to_le_bytes();
            }
        }
    }
}

vectorise! {
    /// i8 entries out of bytes.
    fn read_i8(to: &mut [i32], bytes: &[u8]) {
        for (to, &byte) in to.iter_mut().zip(bytes) {
            *to = i32::from(byte as i8);
        }
    }

    /// i16 entries out of bytes.
    fn read_i16(to: &mut [i32], bytes: &[u8]) {
        for (to, pair) in to.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *to = i32::from(i16::from_le_bytes(*pair));
        }
    }
}

vectorise! {
    /// i8 entries into bytes.
    fn write_i8(to: &mut [u8], entries: &[i32]) {
        for (to, &entry) in to.iter_mut().zip(entries) {
            *to = entry as u8;
        }
    }

    /// i16 entries into bytes.
    fn write_i16(to: &mut [u8], entries: &[i32]) {
        for (to, &entry) in to.as_chunks_mut::<2>().0.iter_mut().zip(entries) {
            *to = (entry as i16).to_le_bytes();
        }
    }
}
