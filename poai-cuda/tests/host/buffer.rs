//! Memory that a kernel gets a pointer to, with zones around it that it must
//! not write to.

use super::Arg;

/// Before and after a buffer; as large as what device memory is aligned to.
const ZONE: usize = 256;

pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
    poison: u8,
}

impl Buffer {
    /// What an argument points to; none for integers.
    pub fn of(arg: &Arg, poison: u8) -> Option<Buffer> {
        let (len, bytes) = match *arg {
            Arg::In(bytes) | Arg::InOut(bytes) => (bytes.len(), bytes),
            Arg::Out(len) => (len, [].as_slice()),
            Arg::Null | Arg::U32(_) | Arg::U64(_) => return None,
        };
        let mut memory = vec![poison; len + 3 * ZONE];
        let start = ZONE + memory[ZONE..].as_ptr().align_offset(ZONE);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        Some(Buffer { memory, start, len, poison })
    }

    pub fn address(&mut self) -> u64 {
        self.memory[self.start..].as_mut_ptr() as u64
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    /// What the kernel must have left alone.
    pub fn check(&self, arg: &Arg) -> Result<(), String> {
        let end = self.start + self.len;
        let stray = |zone: &[u8]| zone.iter().position(|&byte| byte != self.poison);
        if let Some(at) = stray(&self.memory[..self.start]) {
            return Err(format!("a write {} bytes before its start", self.start - at));
        }
        if let Some(at) = stray(&self.memory[end..]) {
            return Err(format!("a write {at} bytes after its end"));
        }
        match arg {
            Arg::In(bytes) => match self.bytes().iter().zip(*bytes).position(|(a, b)| a != b) {
                Some(at) => Err(format!("a write to byte {at} of an input")),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
