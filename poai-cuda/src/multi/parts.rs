//! The rows of each GPU, and the parts of host memory that belong to them.

use crate::backend::Cuda;
use core::ops::Range;
use poai_engine::backend::{BackendError, Output};
use std::sync::Arc;

/// The data of a handle on each GPU.
pub(super) struct OnGpus<T> {
    /// The GPUs that made it: one GPU cannot use memory of another.
    pub(super) owner: Arc<[Cuda]>,
    /// One part for each GPU, `None` if it got no rows. Of side B each GPU has
    /// all rows.
    pub(super) parts: Vec<Option<Part<T>>>,
}

/// One GPU's rows.
pub(super) struct Part<T> {
    pub(super) rows: Range<u32>,
    pub(super) data: T,
}

impl<T> Part<T> {
    /// The number of rows.
    pub(super) fn count(&self) -> u32 {
        self.rows.end - self.rows.start
    }
}

/// The bytes of some rows of k columns.
pub(super) fn rows_of<'a>(bytes: &'a [u8], rows: &Range<u32>, k: u32) -> Option<&'a [u8]> {
    bytes.get(rows.start as usize * k as usize..rows.end as usize * k as usize)
}

/// Each GPU's rows of both sides.
pub(super) type Pairs<'a, T> = Vec<Option<(&'a Part<T>, &'a T)>>;

/// Pairs each GPU's rows of A with its copy of B.
pub(super) fn pairs<'a, T>(
    a: &'a OnGpus<T>,
    b: &'a OnGpus<T>,
) -> Result<Pairs<'a, T>, BackendError> {
    let pair = |(a, b): (&'a Option<Part<T>>, &'a Option<Part<T>>)| match (a, b) {
        (None, _) => Ok(None),
        (Some(a), Some(b)) => Ok(Some((a, &b.data))),
        // Every GPU has all of B, so `b` is not side B.
        (Some(_), None) => Err(BackendError::Pair),
    };
    a.parts.iter().zip(&b.parts).map(pair).collect()
}

/// Cuts memory for rows of n entries into the part that each GPU writes, in
/// order.
pub(super) fn cut<T>(
    rows: impl Iterator<Item = Option<Range<u32>>>,
    n: u32,
    mut memory: &mut [T],
) -> Vec<Option<&mut [T]>> {
    let own = |rows: Option<Range<u32>>| {
        rows.and_then(|rows| memory.split_off_mut(..rows.len() * n as usize))
    };
    rows.map(own).collect()
}

/// The rows of each GPU.
pub(super) fn ranges<T>(parts: &[Option<Part<T>>]) -> impl Iterator<Item = Option<Range<u32>>> {
    parts.iter().map(|part| part.as_ref().map(|part| part.rows.clone()))
}

/// The output of each GPU's rows.
pub(super) fn outputs<'m, T>(
    parts: &[Option<Part<T>>],
    n: u32,
    output: Output<'m>,
) -> Vec<Option<Output<'m>>> {
    let each = |memory, own: fn(&'m mut [i32]) -> Output<'m>| {
        let memory = cut(ranges(parts), n, memory).into_iter();
        memory.map(|memory| memory.map(own)).collect()
    };
    match output {
        Output::Tickets => ranges(parts).map(|rows| rows.map(|_| Output::Tickets)).collect(),
        Output::Noised(memory) => each(memory, Output::Noised),
        Output::Exact(memory) => each(memory, Output::Exact),
    }
}
