//! Elements of BN254's scalar field, the values of signals.

use super::field;
use crate::encoding::bytes::through_bytes;
use ark_bn254::Fr;
use core::fmt;

/// An element of BN254's scalar field: a signal, a commitment, or packed
/// entries.
///
/// Its bytes are a 32-byte big-endian number below the field's modulus, in the
/// EVM's format. It prints as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldElement(pub(super) Fr);

/// Why bytes are not a field element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldElementError {
    /// There are more or fewer than 32 bytes.
    #[error("expected {len} bytes of a field element, got {0}", len = FieldElement::LEN)]
    Length(usize),
    /// The number is not below the field's modulus. Otherwise, two byte strings
    /// would encode one element.
    #[error("expected a number below the field's modulus, got a larger number")]
    Large,
}

through_bytes!(FieldElement);

impl FieldElement {
    /// The length of an element's bytes.
    pub const LEN: usize = 32;

    /// Zero.
    pub const ZERO: FieldElement = FieldElement(ark_ff::MontFp!("0"));

    /// The canonical bytes: a big-endian number below the modulus.
    pub fn to_bytes(&self) -> [u8; FieldElement::LEN] {
        field::to_word(&self.0)
    }

    /// Reads the canonical bytes, which `to_bytes` reproduces exactly.
    ///
    /// # Errors
    /// [`FieldElementError`] for another length, and for a number that is not
    /// below the modulus.
    pub fn from_bytes(bytes: &[u8]) -> Result<FieldElement, FieldElementError> {
        let length = FieldElementError::Length(bytes.len());
        let word: &[u8; FieldElement::LEN] = bytes.try_into().map_err(|_| length)?;
        field::of_word(word).map(FieldElement).ok_or(FieldElementError::Large)
    }
}

impl From<u64> for FieldElement {
    fn from(number: u64) -> FieldElement {
        FieldElement(Fr::from(number))
    }
}

impl fmt::Display for FieldElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FieldElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldElement({self})")
    }
}
