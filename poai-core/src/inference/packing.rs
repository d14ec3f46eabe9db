//! Packing of a public tensor's entries into field elements.
//!
//! An entry of `bits` bits, plus 2^(bits − 1), is one digit. The digits of
//! consecutive entries (row-major, without padding) make one element, the first
//! digit the least significant. An element has as many digits as fit into 248
//! bits.

use super::element::FieldElement;
use crate::program::{Dtype, Extent};
use alloc::vec::Vec;
use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};

/// Number of bits of an element that carry digits. It is below the modulus's
/// 254 bits, and whole bytes.
pub const BITS: u32 = 248;

/// The number and the type of a tensor's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entries {
    /// The type of the entries.
    pub dtype: Dtype,
    /// The number of entries: true rows times true columns.
    pub count: u64,
}

impl Entries {
    /// No entries.
    pub(super) const NONE: Entries = Entries { dtype: Dtype::I8, count: 0 };

    /// The true entries of a tensor of this extent.
    pub fn of(extent: &Extent) -> Entries {
        let count = u64::from(extent.rows) * u64::from(extent.columns);
        Entries { dtype: extent.dtype, count }
    }

    /// The number of elements that the entries pack into.
    pub const fn elements(self) -> u64 {
        self.count.div_ceil(per_element(self.dtype) as u64)
    }
}

/// Why entries cannot be packed, or elements cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackingError {
    /// An entry has more bits than its type.
    #[error("expected entry {index} of {bits} bits, got {value}")]
    Entry {
        /// Index of the entry.
        index: usize,
        /// The entry's value.
        value: i32,
        /// Number of bits of the type.
        bits: u32,
    },
    /// The number of elements does not fit the number of entries.
    #[error("expected {expected} elements for these entries, got {got}")]
    Count {
        /// Number of elements that the entries pack into.
        expected: u64,
        /// Number of given elements.
        got: usize,
    },
    /// An element has digits beyond its entries.
    #[error("expected only the entries' digits in element {index}, got more digits")]
    Large {
        /// Index of the element.
        index: usize,
    },
}

/// Number of bits of an entry.
pub const fn bits(dtype: Dtype) -> u32 {
    8 * dtype.size() as u32
}

/// Number of entries in one element: 31, 15 or 7.
pub const fn per_element(dtype: Dtype) -> usize {
    (BITS / bits(dtype)) as usize
}

/// Packs entries.
///
/// Any value of the type's width is permitted, also an 8-bit value that is not
/// a clean entry.
///
/// # Errors
/// [`PackingError::Entry`].
pub fn pack(dtype: Dtype, entries: &[i32]) -> Result<Vec<FieldElement>, PackingError> {
    let (bits, per_element) = (bits(dtype), per_element(dtype));
    let offset = 1_i64 << (bits - 1);
    let element = |(chunk_index, chunk): (usize, &[i32])| {
        let mut limbs = [0_u64; 4];
        for (place, &value) in chunk.iter().enumerate() {
            let digit = i64::from(value) + offset;
            if !(0..2 * offset).contains(&digit) {
                let index = chunk_index * per_element + place;
                return Err(PackingError::Entry { index, value, bits });
            }
            // Widths divide 64, so no digit is in two limbs.
            let at = place as u32 * bits;
            if let Some(limb) = limbs.get_mut((at / 64) as usize) {
                *limb |= (digit as u64) << (at % 64);
            }
        }
        // The element is below 2^248, so below the modulus, and the default is
        // never used.
        Ok(FieldElement(Fr::from_bigint(BigInt(limbs)).unwrap_or_default()))
    };
    entries.chunks(per_element).enumerate().map(element).collect()
}

/// Unpacks the entries of a public tensor from its elements. It is the inverse
/// of [`pack`].
///
/// # Errors
/// [`PackingError::Count`] and [`PackingError::Large`] if no entries pack into
/// these elements.
pub fn unpack(entries: Entries, elements: &[FieldElement]) -> Result<Vec<i32>, PackingError> {
    // Check the count first, because the code below allocates as much as the
    // elements hold.
    let expected = entries.elements();
    if expected != elements.len() as u64 {
        return Err(PackingError::Count { expected, got: elements.len() });
    }
    let (bits, per_element) = (bits(entries.dtype), per_element(entries.dtype));
    let (offset, mask) = (1_i64 << (bits - 1), u64::MAX >> (64 - bits));
    let mut left = entries.count;
    let mut unpacked = Vec::with_capacity(elements.len() * per_element);
    for (index, element) in elements.iter().enumerate() {
        let mut limbs = element.0.into_bigint().0;
        let digits = left.min(per_element as u64);
        left -= digits;
        for place in 0..digits as u32 {
            let at = place * bits;
            if let Some(limb) = limbs.get_mut((at / 64) as usize) {
                let digit = (*limb >> (at % 64)) & mask;
                *limb &= !(mask << (at % 64));
                // Exact: a digit minus the offset is in the type's range.
                unpacked.push((digit as i64 - offset) as i32);
            }
        }
        if limbs != [0; 4] {
            return Err(PackingError::Large { index });
        }
    }
    Ok(unpacked)
}
