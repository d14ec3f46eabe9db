//! A cursor over a message's bytes. It allocates nothing.

use super::error::TraceMalformed;

pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor(bytes)
    }

    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], TraceMalformed> {
        let len = usize::try_from(len).map_err(|_| TraceMalformed::Short)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(TraceMalformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next bytes, at most `most`, without taking them.
    pub(crate) fn peek(&self, most: usize) -> &'a [u8] {
        self.0.get(..most).unwrap_or(self.0)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], TraceMalformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(TraceMalformed::Short)?;
        self.0 = rest;
        Ok(*array)
    }

    /// The next `count` 32-byte hashes.
    pub(crate) fn hashes(&mut self, count: u64) -> Result<&'a [[u8; 32]], TraceMalformed> {
        let bytes = self.take(count.checked_mul(32).ok_or(TraceMalformed::Short)?)?;
        Ok(bytes.as_chunks().0)
    }

    /// All bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<(), TraceMalformed> {
        if self.0.is_empty() { Ok(()) } else { Err(TraceMalformed::Long(self.0.len())) }
    }
}
