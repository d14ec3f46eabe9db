//! Entries in another order, for entries of any type.
//!
//! The same functions move floats, and the numbers of entries from which the
//! lowering makes its steps.

use super::ValueShape;

/// The place of an entry along an axis; `None` is a zero.
pub type Index = Option<usize>;

/// The distance between neighbours along each axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The shape after a transposition.
pub fn transposed(shape: &ValueShape, permutation: &[usize]) -> ValueShape {
    ValueShape(permutation.iter().map(|&axis| shape.0.get(axis).copied().unwrap_or(1)).collect())
}

/// Axes in another order: axis `i` of the result is axis `permutation[i]`.
pub fn transpose<T: Copy>(shape: &ValueShape, permutation: &[usize], from: &[T]) -> Vec<T> {
    let to = transposed(shape, permutation);
    let own = strides(&shape.0);
    let steps: Vec<usize> = permutation.iter().map(|&axis| own[axis]).collect();
    let mut moved = Vec::with_capacity(from.len());
    let mut place = vec![0; to.rank()];
    let mut at = 0;
    for _ in 0..from.len() {
        moved.push(from[at]);
        for axis in (0..to.rank()).rev() {
            place[axis] += 1;
            at += steps[axis];
            if place[axis] < to.0[axis] {
                break;
            }
            at -= steps[axis] * to.0[axis];
            place[axis] = 0;
        }
    }
    moved
}

/// Entries along an axis by their index, or `zero`.
pub fn take<T: Copy>(
    shape: &ValueShape,
    axis: usize,
    indices: &[Index],
    zero: T,
    from: &[T],
) -> Vec<T> {
    let size = shape.0[axis];
    let inner: usize = shape.0[axis + 1..].iter().product();
    let outer: usize = shape.0[..axis].iter().product();
    let mut moved = Vec::with_capacity(outer * indices.len() * inner);
    for block in from.chunks_exact((size * inner).max(1)).take(outer) {
        for index in indices {
            match index {
                Some(index) => moved.extend_from_slice(&block[index * inner..(index + 1) * inner]),
                None => moved.extend(std::iter::repeat_n(zero, inner)),
            }
        }
    }
    moved
}

/// Several tensors, one after another along an axis.
pub fn concat<T: Copy>(parts: &[(&ValueShape, &[T])], axis: usize) -> Vec<T> {
    let Some((first, _)) = parts.first() else { return vec![] };
    let outer: usize = first.0[..axis].iter().product();
    let mut moved = Vec::with_capacity(parts.iter().map(|(_, entries)| entries.len()).sum());
    for block in 0..outer {
        for (shape, entries) in parts {
            let inner: usize = shape.0[axis..].iter().product();
            moved.extend_from_slice(&entries[block * inner..(block + 1) * inner]);
        }
    }
    moved
}

/// Entries repeated along axes of size 1, so that they fill `to`. Ranks are
/// equal.
pub fn broadcast<T: Copy>(shape: &[usize], to: &[usize], from: &[T]) -> Vec<T> {
    let own = strides(shape);
    let steps: Vec<usize> =
        own.iter().zip(shape).map(|(&step, &size)| if size == 1 { 0 } else { step }).collect();
    let count = to.iter().product();
    let mut moved = Vec::with_capacity(count);
    let mut place = vec![0; to.len()];
    let mut at = 0;
    for _ in 0..count {
        moved.push(from[at]);
        for axis in (0..to.len()).rev() {
            place[axis] += 1;
            at += steps[axis];
            if place[axis] < to[axis] {
                break;
            }
            at -= steps[axis] * to[axis];
            place[axis] = 0;
        }
    }
    moved
}
