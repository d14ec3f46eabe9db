//! The transcript of a tile, which folds its partial sums step by step (spec
//! §5).

/// The number of words of a transcript.
pub const WORDS: usize = 16;
/// The length of a transcript in bytes.
pub const BYTES: usize = 4 * WORDS;

/// `T` of the spec, the 16 words that fold a tile's partial sums.
///
/// The fold is XOR and keeps all 32 bits. A miner could compute sums, or low
/// bits alone, for a fraction of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transcript(pub [u32; WORDS]);

impl Transcript {
    /// Folds in `x`, the XOR of the partial sums after step `step`.
    ///
    /// `T[ℓ mod 16] = rotl32(T[ℓ mod 16], 13) XOR x`.
    pub fn fold(&mut self, step: u32, x: u32) {
        let word = &mut self.0[step as usize % WORDS];
        *word = word.rotate_left(13) ^ x;
    }

    /// The 64 bytes, with the words in little-endian order.
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The transcript of 64 bytes. Every string of 64 bytes is a transcript.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Transcript {
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*chunk);
        }
        Transcript(words)
    }
}
