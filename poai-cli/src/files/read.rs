//! Reads of bounded length.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of the largest file that is read whole.
pub const FILE_MAX: u64 = 1 << 30;

/// Reads at most `max` bytes of a file or pipe.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than permitted tells a file that is too long.
    let file = File::open(path).map_err(cannot_read(path))?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot_read(path))?;
    if bytes.len() as u64 > max {
        return Err(Failure::usage(format!("{} is longer than {max} bytes", path.display())));
    }
    Ok(bytes)
}

/// The length of a regular file: what an endless device does not have.
pub fn regular_len(path: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(path).map_err(cannot_read(path))?;
    if !metadata.is_file() {
        return Err(Failure::usage(format!(
            "cannot read {}: it is no regular file",
            path.display()
        )));
    }
    Ok(metadata.len())
}

/// Names the file that was not read.
pub fn cannot_read(path: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |error| Failure::usage(format!("cannot read {}: {error}", path.display()))
}
