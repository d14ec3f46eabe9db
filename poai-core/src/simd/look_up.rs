//! Look-ups in tables of 256 entries.
//!
//! A processor with byte permutations keeps the whole table in registers. Other
//! processors read one entry after another.

/// Writes `table[index]` for every index, little-endian.
///
/// It stops at the end of the shorter slice.
pub fn look_up(table: &[i16; 256], indices: &[u8], to: &mut [[u8; 2]]) {
    let len = indices.len().min(to.len());
    #[cfg_attr(not(all(feature = "std", target_arch = "x86_64")), allow(unused_mut))]
    let mut done = 0;
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let Some(avx512) = super::avx512::Avx512::find() {
        done = len / 32 * 32;
        avx512.look_up(table, &indices[..done], to[..done].as_flattened_mut());
    }
    for (to, &index) in to[done..len].iter_mut().zip(&indices[done..len]) {
        *to = table[usize::from(index)].to_le_bytes();
    }
}

/// Writes `table[index]` for every index.
///
/// It stops at the end of the shorter slice.
pub fn look_up_bytes(table: &[u8; 256], indices: &[u8], to: &mut [u8]) {
    let len = indices.len().min(to.len());
    #[cfg_attr(not(all(feature = "std", target_arch = "x86_64")), allow(unused_mut))]
    let mut done = 0;
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let Some(avx512) = super::avx512::Avx512::find() {
        done = len / 64 * 64;
        avx512.look_up_bytes(table, &indices[..done], &mut to[..done]);
    }
    for (to, &index) in to[done..len].iter_mut().zip(&indices[done..len]) {
        *to = table[usize::from(index)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_reads_the_same_entries() {
        let words = core::array::from_fn(|at| (at as i16).wrapping_mul(257) ^ 0x1234);
        let bytes = core::array::from_fn(|at| (at as u8).wrapping_mul(167));
        for len in [0, 1, 31, 32, 33, 64, 127, 128, 300] {
            let indices: alloc::vec::Vec<u8> =
                (0..len).map(|at: usize| (at as u8).wrapping_mul(89) ^ 0xa5).collect();
            let mut to = alloc::vec![[0; 2]; len];
            look_up(&words, &indices, &mut to);
            let mut to_bytes = alloc::vec![0; len];
            look_up_bytes(&bytes, &indices, &mut to_bytes);
            for (at, &index) in indices.iter().enumerate() {
                assert_eq!(i16::from_le_bytes(to[at]), words[usize::from(index)]);
                assert_eq!(to_bytes[at], bytes[usize::from(index)]);
            }
        }
    }
}
