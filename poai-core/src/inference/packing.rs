//! Entries of public tensors as field elements.
//!
//! An entry of `bits` bits, plus 2^(bits − 1), is one digit; the digits of
//! consecutive entries (row-major, without padding) make one element, the first
//! the least significant, as many as fit into 248 bits.

use super::Fr;
use crate::program::Dtype;
use alloc::vec::Vec;
use ark_ff::{BigInt, PrimeField};

/// The bits of an element that carry digits: below the modulus's 254, and whole
/// bytes.
pub const BITS: u32 = 248;

/// How many entries a tensor has, and of which type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entries {
    /// Their type.
    pub dtype: Dtype,
    /// Their number: true rows times true columns.
    pub count: u64,
}

impl Entries {
    /// The number of elements that they pack into.
    pub const fn elements(self) -> u64 {
        self.count.div_ceil(per_element(self.dtype) as u64)
    }
}

/// Why entries don't pack, or elements don't unpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackingError {
    /// An entry has more bits than its type.
    #[error("entry {index} = {value} does not fit {bits} bits")]
    Entry {
        /// Which.
        index: usize,
        /// Its value.
        value: i32,
        /// The type's bits.
        bits: u32,
    },
    /// The number of elements is not the one that the entries make.
    #[error("{expected} elements are as many as these entries make, got {got}")]
    Count {
        /// What they make.
        expected: u64,
        /// What came.
        got: usize,
    },
    /// An element has digits beyond its entries.
    #[error("element {index} is larger than its entries make it")]
    Large {
        /// Which.
        index: usize,
    },
}

/// Bits of an entry.
pub const fn bits(dtype: Dtype) -> u32 {
    8 * dtype.size() as u32
}

/// Entries in one element: 31, 15 or 7.
pub const fn per_element(dtype: Dtype) -> usize {
    (BITS / bits(dtype)) as usize
}

/// Packs entries. Any value of the type's width is permitted, also 8-bit ones
/// that are no clean entries.
///
/// # Errors
/// [`PackingError::Entry`].
pub fn pack(dtype: Dtype, entries: &[i32]) -> Result<Vec<Fr>, PackingError> {
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
            // Widths divide 64: no digit straddles two limbs.
            let at = place as u32 * bits;
            if let Some(limb) = limbs.get_mut((at / 64) as usize) {
                *limb |= (digit as u64) << (at % 64);
            }
        }
        // Below 2^248, so below the modulus: the default is never taken.
        Ok(Fr::from_bigint(BigInt(limbs)).unwrap_or_default())
    };
    entries.chunks(per_element).enumerate().map(element).collect()
}

/// The entries of a public tensor, read from its elements: the inverse of
/// [`pack`].
///
/// # Errors
/// [`PackingError::Count`] and [`PackingError::Large`] where no entries pack
/// into these elements.
pub fn unpack(entries: Entries, elements: &[Fr]) -> Result<Vec<i32>, PackingError> {
    // First of all: what follows allocates as much as the elements hold.
    let expected = entries.elements();
    if expected != elements.len() as u64 {
        return Err(PackingError::Count { expected, got: elements.len() });
    }
    let (bits, per_element) = (bits(entries.dtype), per_element(entries.dtype));
    let (offset, mask) = (1_i64 << (bits - 1), u64::MAX >> (64 - bits));
    let mut left = entries.count;
    let mut unpacked = Vec::with_capacity(elements.len() * per_element);
    for (index, element) in elements.iter().enumerate() {
        let mut limbs = element.into_bigint().0;
        let digits = left.min(per_element as u64);
        left -= digits;
        for place in 0..digits as u32 {
            let at = place * bits;
            if let Some(limb) = limbs.get_mut((at / 64) as usize) {
                let digit = (*limb >> (at % 64)) & mask;
                *limb &= !(mask << (at % 64));
                // Exact: a digit less the offset is in the type's range.
                unpacked.push((digit as i64 - offset) as i32);
            }
        }
        if limbs != [0; 4] {
            return Err(PackingError::Large { index });
        }
    }
    Ok(unpacked)
}
