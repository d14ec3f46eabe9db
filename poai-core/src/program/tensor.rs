//! The shapes of a program's values (spec §11).
//!
//! A value has a symbolic form and, in one run, an extent. Every tensor is
//! committed in the same layout.

use crate::params::Params;
use crate::puzzle::commitment::Strip;
use crate::vectorise::vectorise;
use core::fmt;
use core::ops::Range;

/// The type of a tensor's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Dtype {
    /// 8-bit entries in −64..=63, which are clean entries of an operand.
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

    /// The largest number of columns of a tensor of this type.
    ///
    /// Operands are i8 and may be transposed batches, of fewer than 2^17
    /// columns. This keeps sums of products in i32, and Freivalds' check sound.
    /// Wider tensors have a column for each word of a vocabulary, up to 2^20.
    pub const fn columns_max(self) -> u32 {
        match self {
            Dtype::I8 => (1 << 17) - 1,
            Dtype::I16 | Dtype::I32 => 1 << 20,
        }
    }

    /// The byte that denotes the type in encodings.
    pub const fn tag(self) -> u8 {
        match self {
            Dtype::I8 => 1,
            Dtype::I16 => 2,
            Dtype::I32 => 4,
        }
    }

    /// The type that a byte denotes, or `None` if it denotes no type.
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

/// What multiplies a dimension of one item of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Per {
    /// Nothing: no run changes the number.
    #[default]
    Item,
    /// The tokens of the sequence.
    Token,
    /// The answers of the run.
    Answer,
}

impl Per {
    /// The byte that denotes it in encodings.
    pub const fn tag(self) -> u8 {
        match self {
            Per::Item => 0,
            Per::Token => 1,
            Per::Answer => 2,
        }
    }

    /// What a byte denotes, or `None` if it denotes nothing.
    pub const fn of_tag(tag: u8) -> Option<Per> {
        match tag {
            0 => Some(Per::Item),
            1 => Some(Per::Token),
            2 => Some(Per::Answer),
            _ => None,
        }
    }
}

/// A dimension of one item of a batch.
///
/// It is a number, a number for every token of a sequence, or a number for
/// every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Dim {
    /// The number, per item, per token or per answer.
    pub units: u32,
    /// What multiplies the number.
    pub per: Per,
}

impl Dim {
    /// One for every token.
    pub const TOKENS: Dim = Dim::per_token(1);
    /// One for every answer.
    pub const ANSWERS: Dim = Dim::per_answer(1);

    /// A dimension of `units` for every sequence.
    pub const fn fixed(units: u32) -> Dim {
        Dim { units, per: Per::Item }
    }

    /// A dimension of `units` for every token.
    pub const fn per_token(units: u32) -> Dim {
        Dim { units, per: Per::Token }
    }

    /// A dimension of `units` for every answer.
    pub const fn per_answer(units: u32) -> Dim {
        Dim { units, per: Per::Answer }
    }

    /// Whether no run changes the dimension.
    pub const fn is_fixed(self) -> bool {
        matches!(self.per, Per::Item)
    }

    /// The dimension in a run, or `None` if it does not fit 32 bits.
    pub fn of(self, run: &RunShape) -> Option<u32> {
        match self.per {
            Per::Item => Some(self.units),
            Per::Token => self.units.checked_mul(run.sequence),
            Per::Answer => self.units.checked_mul(run.answers),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.per, self.units) {
            (Per::Item, units) => write!(f, "{units}"),
            (Per::Token, 1) => f.write_str("seq"),
            (Per::Token, units) => write!(f, "{units}·seq"),
            (Per::Answer, 1) => f.write_str("answers"),
            (Per::Answer, units) => write!(f, "{units}·answers"),
        }
    }
}

/// The dimension of a value that grows with the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BatchAxis {
    /// The value has rows for every item.
    #[default]
    Rows,
    /// The value has columns for every item: the transpose of a value with
    /// rows for every item.
    Columns,
    /// The value is shared, and no batch changes its shape. Weights, states and
    /// exponents are shared.
    None,
}

/// The symbolic shape of a value: `rows`×`columns`, of which the batch
/// multiplies one or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Form {
    /// Rows of one item, or all rows of a value whose batch axis is not rows.
    pub rows: Dim,
    /// Columns, or those of one item if the batch axis is columns.
    pub columns: Dim,
    /// The type of the entries.
    pub dtype: Dtype,
    /// The dimension that the batch multiplies.
    pub batch: BatchAxis,
}

impl Form {
    /// A form with the given rows of every item, columns and type.
    pub const fn new(rows: Dim, columns: Dim, dtype: Dtype) -> Form {
        Form { rows, columns, dtype, batch: BatchAxis::Rows }
    }

    /// A form of the given rows, columns and type that no batch changes.
    pub const fn shared(rows: Dim, columns: Dim, dtype: Dtype) -> Form {
        Form { rows, columns, dtype, batch: BatchAxis::None }
    }

    /// Rows and columns in a run, or `None` if one does not fit 32 bits.
    pub fn size(&self, run: &RunShape) -> Option<[u32; 2]> {
        let (rows, columns) = (self.rows.of(run)?, self.columns.of(run)?);
        Some(match self.batch {
            BatchAxis::Rows => [rows.checked_mul(run.batch)?, columns],
            BatchAxis::Columns => [rows, columns.checked_mul(run.batch)?],
            BatchAxis::None => [rows, columns],
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Form { rows, columns, dtype, batch } = self;
        match batch {
            BatchAxis::Rows => write!(f, "batch·{rows}×{columns} {dtype}"),
            BatchAxis::Columns => write!(f, "{rows}×batch·{columns} {dtype}"),
            BatchAxis::None => write!(f, "{rows}×{columns} {dtype}, shared"),
        }
    }
}

/// The size of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunShape {
    /// The number of items.
    pub batch: u32,
    /// The number of tokens of every item, padding included. It is 1 for
    /// programs without tokens.
    pub sequence: u32,
    /// The number of answers of every item. It is 0 for programs without
    /// answers.
    #[cfg_attr(feature = "serde", serde(default))]
    pub answers: u32,
}

impl RunShape {
    /// A run without answers.
    pub const fn new(batch: u32, sequence: u32) -> RunShape {
        RunShape { batch, sequence, answers: 0 }
    }

    /// The same batch and sequence, with a number of answers.
    pub const fn answers(self, answers: u32) -> RunShape {
        RunShape { answers, ..self }
    }
}

/// The largest length of a padded tensor in bytes.
pub const TENSOR_BYTES_MAX: u64 = 1 << 38;

/// The shape of a tensor in one run, which also determines its layout.
///
/// The layout is row-major and little-endian. Zero rows pad the rows to a
/// multiple of the tile. Zeros pad the columns of i8 tensors to a multiple of
/// the rank. Wider tensors are never operands, and their columns are not
/// padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extent {
    /// The true rows, without padding.
    pub rows: u32,
    /// The true columns, without padding.
    pub columns: u32,
    /// The type of the entries.
    pub dtype: Dtype,
}

impl Extent {
    /// The extent of a constant or value.
    ///
    /// It is `None` if the tensor is empty, has too many columns, or if its
    /// padded bytes would exceed [`TENSOR_BYTES_MAX`].
    pub fn new(rows: u32, columns: u32, dtype: Dtype) -> Option<Extent> {
        let extent = Extent { rows, columns, dtype };
        // One formula serves every type. It also keeps rows below 2^31, so
        // every row number that steps compute fits 32 bits.
        let padded = u64::from(rows) + Params::CONSENSUS.tile() as u64;
        let stride = u64::from(columns) + Params::CONSENSUS.rank() as u64;
        let bytes = padded.checked_mul(stride)?.checked_mul(dtype.size() as u64)?;
        (rows > 0 && columns > 0 && columns <= dtype.columns_max() && bytes <= TENSOR_BYTES_MAX)
            .then_some(extent)
    }

    /// The extent of a form in a run, or `None` if the run cannot have it.
    pub fn of(form: &Form, run: &RunShape) -> Option<Extent> {
        let [rows, columns] = form.size(run)?;
        Extent::new(rows, columns, form.dtype)
    }

    /// The rows with their padding.
    pub fn padded_rows(&self) -> u32 {
        self.rows.next_multiple_of(Params::CONSENSUS.tile() as u32)
    }

    /// The columns with their padding.
    pub fn padded_columns(&self) -> u32 {
        match self.dtype {
            Dtype::I8 => self.columns.next_multiple_of(Params::CONSENSUS.rank() as u32),
            _ => self.columns,
        }
    }

    /// The bytes of one padded row.
    pub fn row_bytes(&self) -> usize {
        self.padded_columns() as usize * self.dtype.size()
    }

    /// The bytes of the padded tensor.
    pub fn bytes(&self) -> u64 {
        u64::from(self.padded_rows()) * self.row_bytes() as u64
    }

    /// Whether the padded rows that start at `first` are clean.
    ///
    /// Rows are clean if their i8 entries are in range and their padding is
    /// zero.
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

    /// The place of some padded rows in the commitment's tree.
    pub fn strip(&self, rows: &Range<u32>) -> Option<Strip> {
        Strip::of_rows(rows, self.padded_rows(), self.row_bytes() as u64)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{} {}", self.rows, self.columns, self.dtype)
    }
}

/// The largest number of columns that windows, and the inner sums of products,
/// may have. [`Dtype::columns_max`] bounds the columns of tensors.
pub const COLUMNS_MAX: u32 = 1 << 16;

/// Consecutive padded rows of a tensor, as bytes in the committed layout.
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
    /// Whether a row is among these rows.
    pub fn has(&self, row: u32) -> bool {
        row.checked_sub(self.first)
            .is_some_and(|at| (at as usize) < self.bytes.len() / self.extent.row_bytes().max(1))
    }

    /// Reads the first `to.len()` entries of a row.
    ///
    /// It returns `None` if the row is not among these rows or is shorter.
    pub fn read(&self, row: u32, to: &mut [i32]) -> Option<()> {
        self.read_from(row, 0, to)
    }

    /// Reads the entries of a row from the column `first` on.
    ///
    /// It returns `None` if the row is not among these rows or is shorter.
    pub fn read_from(&self, row: u32, first: u32, to: &mut [i32]) -> Option<()> {
        let (size, row_bytes) = (self.extent.dtype.size(), self.extent.row_bytes());
        let start = (row.checked_sub(self.first)? as usize).checked_mul(row_bytes)?;
        let bytes = self.bytes.get(start..start.checked_add(row_bytes)?)?;
        let bytes = bytes.get((first as usize).checked_mul(size)?..)?;
        let bytes = bytes.get(..to.len().checked_mul(size)?)?;
        read_entries(self.extent.dtype, bytes, to);
        Some(())
    }
}

/// Reads entries from their bytes, as many as both have.
pub(crate) fn read_entries(dtype: Dtype, bytes: &[u8], to: &mut [i32]) {
    match dtype {
        Dtype::I8 => read_i8(to, bytes),
        Dtype::I16 => read_i16(to, bytes),
        Dtype::I32 => {
            for (to, word) in to.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *to = i32::from_le_bytes(*word);
            }
        }
    }
}

/// Writes a row's entries as bytes.
///
/// The caller ensures that the entries are in the type's range.
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
    /// Reads i8 entries from bytes.
    fn read_i8(to: &mut [i32], bytes: &[u8]) {
        for (to, &byte) in to.iter_mut().zip(bytes) {
            *to = i32::from(byte as i8);
        }
    }

    /// Reads i16 entries from bytes.
    fn read_i16(to: &mut [i32], bytes: &[u8]) {
        for (to, pair) in to.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *to = i32::from(i16::from_le_bytes(*pair));
        }
    }
}

vectorise! {
    /// Writes i8 entries to bytes.
    fn write_i8(to: &mut [u8], entries: &[i32]) {
        for (to, &entry) in to.iter_mut().zip(entries) {
            *to = entry as u8;
        }
    }

    /// Writes i16 entries to bytes.
    fn write_i16(to: &mut [u8], entries: &[i32]) {
        for (to, &entry) in to.as_chunks_mut::<2>().0.iter_mut().zip(entries) {
            *to = (entry as i16).to_le_bytes();
        }
    }
}
