//! The interleaved layout, in which SIMD lanes run over rows.
//!
//! Groups of `G` neighbouring columns of all rows lie side by side.

/// Interleaves: `packed[(q·rows + row)·G + g] = matrix[row·columns + q·G + g]`.
pub(super) fn interleave<const G: usize, T: Copy>(rows: usize, matrix: &[T], packed: &mut [T]) {
    let columns = matrix.len() / rows;
    for (row, entries) in matrix.chunks_exact(columns).enumerate() {
        let groups = entries.as_chunks::<G>().0;
        for (to, from) in packed.as_chunks_mut::<G>().0[row..].iter_mut().step_by(rows).zip(groups)
        {
            *to = *from;
        }
    }
}

/// The inverse of [`interleave`].
pub(super) fn deinterleave<const G: usize, T: Copy>(rows: usize, packed: &[T], matrix: &mut [T]) {
    let columns = matrix.len() / rows;
    for (row, entries) in matrix.chunks_exact_mut(columns).enumerate() {
        let groups = entries.as_chunks_mut::<G>().0;
        for (from, to) in packed.as_chunks::<G>().0[row..].iter().step_by(rows).zip(groups) {
            *to = *from;
        }
    }
}
