//! Memory that a kernel gets a pointer to. Its end is rounded up to 256 bytes,
//! and pages that no access may touch follow. The bytes before it, and those
//! added by rounding, must not change.

use super::entries::Entries;
use super::launch::Arg;
use std::slice;

/// The alignment of a GPU's memory; at least this many bytes lie before a
/// buffer.
const ZONE: usize = 256;
/// The same value as in `emulated/shim/fault.hpp`.
const PAGES: usize = 64 << 10;

pub struct Buffer {
    entries: Entries,
    memory: *mut u8,
    mapped: usize,
    start: usize,
    len: usize,
    poison: u8,
}

impl Buffer {
    /// The memory that an argument points to; `None` for integers.
    pub fn of(entries: &Entries, arg: &Arg, poison: u8) -> Option<Buffer> {
        let (len, bytes) = match *arg {
            Arg::In(bytes) | Arg::Map(bytes) | Arg::InOut(bytes) => (bytes.len(), bytes),
            Arg::Out(len) => (len, [].as_slice()),
            Arg::Null | Arg::U32(_) | Arg::U64(_) => return None,
        };
        let mapped = (len + 2 * ZONE).next_multiple_of(PAGES);
        // SAFETY: it takes a multiple of PAGES.
        let memory = unsafe { (entries.map)(mapped) };
        assert!(!memory.is_null(), "no memory for a buffer of {len} bytes");
        let start = mapped - len.next_multiple_of(ZONE);
        let mut buffer = Buffer { entries: *entries, memory, mapped, start, len, poison };
        let all = buffer.all_mut();
        all.fill(poison);
        all[start..start + bytes.len()].copy_from_slice(bytes);
        Some(buffer)
    }

    fn all(&self) -> &[u8] {
        // SAFETY: mapped and filled in `of`, until dropped; kernels write to it
        // only during a launch, when no slice exists.
        unsafe { slice::from_raw_parts(self.memory, self.mapped) }
    }

    fn all_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, with an exclusive borrow; fresh pages hold zeros.
        unsafe { slice::from_raw_parts_mut(self.memory, self.mapped) }
    }

    pub fn address(&mut self) -> u64 {
        self.memory as u64 + self.start as u64
    }

    pub fn bytes(&self) -> &[u8] {
        &self.all()[self.start..self.start + self.len]
    }

    /// Describes an address that no access may touch, if it is near this
    /// buffer.
    pub fn describe(&self, address: u64) -> Option<String> {
        let start = self.memory as u64 + self.start as u64;
        let end = start + self.len as u64;
        let pages = PAGES as u64;
        let first = self.memory as u64 - pages;
        let last = self.memory as u64 + self.mapped as u64 + pages;
        match address {
            _ if !(first..last).contains(&address) => None,
            _ if address < start => {
                Some(format!("an access {} bytes before its start", start - address))
            }
            _ => Some(format!("an access {} bytes after its end", address - end)),
        }
    }

    /// Checks the bytes that the kernel must not change.
    pub fn check(&self, arg: &Arg) -> Result<(), String> {
        let end = self.start + self.len;
        let stray = |zone: &[u8]| zone.iter().position(|&byte| byte != self.poison);
        if let Some(at) = stray(&self.all()[..self.start]) {
            return Err(format!("a write {} bytes before its start", self.start - at));
        }
        if let Some(at) = stray(&self.all()[end..]) {
            return Err(format!("a write {at} bytes after its end"));
        }
        match arg {
            Arg::In(bytes) | Arg::Map(bytes) => {
                match self.bytes().iter().zip(*bytes).position(|(a, b)| a != b) {
                    Some(at) => Err(format!("a write to byte {at} of an input")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this size, and no slice outlives it.
        unsafe { (self.entries.unmap)(self.memory, self.mapped) }
    }
}
