//! Memory that starts at a cache line. Loads of whole registers then never
//! cross a line, which would turn each load into two.

use core::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A vector whose first entry starts a cache line.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    memory: Vec<T>,
    /// Index of the first entry: the number of padding entries before it.
    start: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// `len` zeros. The system hands out zeroed memory, so its pages stay
    /// untouched until they are written.
    pub(super) fn zeros(len: usize) -> Aligned<T> {
        let mut memory = vec![T::default(); len + padding::<T>()];
        let start = start(&memory);
        memory.truncate(start + len);
        Aligned { memory, start }
    }

    /// An empty vector with room for `len` entries. It never grows beyond them.
    pub(super) fn with_capacity(len: usize) -> Aligned<T> {
        let mut memory = Vec::with_capacity(len + padding::<T>());
        let start = start(&memory);
        memory.resize(start, T::default());
        Aligned { memory, start }
    }

    /// Appends `len` zeros and returns them for writing.
    ///
    /// # Panics
    /// Panics if there is no room: growing would move the entries.
    pub(super) fn extend(&mut self, len: usize) -> &mut [T] {
        let end = self.memory.len();
        assert!(len <= self.memory.capacity() - end, "there is room");
        self.memory.resize(end + len, T::default());
        &mut self.memory[end..]
    }
}

/// The most entries that may lie before the start of a line.
fn padding<T>() -> usize {
    LINE / size_of::<T>()
}

fn start<T>(memory: &[T]) -> usize {
    // `align_offset` may fail to find an offset. Alignment only affects speed,
    // so the result is then clamped.
    memory.as_ptr().align_offset(LINE).min(padding::<T>())
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_starts_a_line() {
        for len in [1, 63, 64, 1000] {
            let zeros = Aligned::<i16>::zeros(len);
            let mut grown = Aligned::<i8>::with_capacity(len);
            grown.extend(len).fill(7);
            assert!(zeros.as_ptr().cast::<u8>().addr().is_multiple_of(LINE));
            assert!(grown.as_ptr().addr().is_multiple_of(LINE));
            assert_eq!((&*zeros, &*grown), (&*vec![0i16; len], &*vec![7i8; len]));
        }
    }

    #[test]
    #[should_panic(expected = "there is room")]
    fn what_has_no_room_is_refused() {
        Aligned::<i8>::with_capacity(64).extend(200);
    }
}
