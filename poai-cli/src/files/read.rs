//! Reads of bounded length.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The bytes of the largest file that is read whole.
pub const FILE_MAX: u64 = 1 << 30;

/// Reads at most `max` bytes of a file or pipe.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    Start::read(path, 0)?.rest(max)
}

/// A file or pipe whose start was read.
pub struct Start<'a> {
    path: &'a Path,
    file: File,
    bytes: Vec<u8>,
}

impl<'a> Start<'a> {
    /// Reads the first bytes, or all if there are fewer.
    pub fn read(path: &'a Path, len: u64) -> Result<Start<'a>, Failure> {
        let file = File::open(path).map_err(cannot_read(path))?;
        let mut bytes = vec![];
        (&file).take(len).read_to_end(&mut bytes).map_err(cannot_read(path))?;
        Ok(Start { path, file, bytes })
    }

    /// The first bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes, including the first ones; at most `max` are read.
    pub fn rest(self, max: u64) -> Result<Vec<u8>, Failure> {
        let Start { path, file, mut bytes } = self;
        // Reading one byte more than permitted detects a longer file.
        let more = max.saturating_add(1).saturating_sub(bytes.len() as u64);
        file.take(more).read_to_end(&mut bytes).map_err(cannot_read(path))?;
        if bytes.len() as u64 > max {
            return Err(Failure::usage(format!(
                "{}: expected at most {max} bytes, got more; name another file",
                path.display()
            )));
        }
        Ok(bytes)
    }
}

/// The length of a regular file; an endless device has none.
pub fn regular_len(path: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(path).map_err(cannot_read(path))?;
    if !metadata.is_file() {
        return Err(Failure::usage(format!(
            "cannot read {}: it is not a regular file; copy it into one",
            path.display()
        )));
    }
    Ok(metadata.len())
}

/// Names the file that could not be read.
pub fn cannot_read(path: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |error| Failure::usage(format!("cannot read {}: {error}; check the path", path.display()))
}
