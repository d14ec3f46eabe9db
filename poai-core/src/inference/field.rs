//! Field elements as big-endian words, in the EVM's format.

use ark_ff::{BigInt, BigInteger, PrimeField};

/// The element that a word encodes, or `None` if the word is not below the
/// modulus. Otherwise, two words would encode one element.
pub(crate) fn of_word<F: PrimeField<BigInt = BigInt<4>>>(word: &[u8; 32]) -> Option<F> {
    let mut limbs = [0; 4];
    // A word is four chunks of eight bytes, the most significant first.
    for (limb, chunk) in limbs.iter_mut().rev().zip(word.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*chunk);
    }
    F::from_bigint(BigInt(limbs))
}

/// The word of an element.
pub(crate) fn to_word<F: PrimeField<BigInt = BigInt<4>>>(element: &F) -> [u8; 32] {
    let mut word = [0; 32];
    let bytes = element.into_bigint().to_bytes_le();
    // Four limbs are 32 bytes.
    for (to, from) in word.iter_mut().rev().zip(bytes) {
        *to = from;
    }
    word
}
