//! Files in memory maps.

use crate::DecoderError;
use std::fs::File;
use std::path::Path;

/// The bytes of a file. The system reads pages as they are used.
#[derive(Debug)]
pub(crate) struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file. A process that changes or truncates the file while the map
    /// exists may end this one, as with any mapped file.
    #[allow(unsafe_code)]
    pub(crate) fn open(path: &Path) -> Result<Mapped, DecoderError> {
        let failed = |source| DecoderError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // SAFETY: The map is private to this type, read-only, and given out as
        // shared bytes alone. Its bytes are plain data, valid for any value.
        // That no process changes the file meanwhile is a condition that the
        // documentation of `DecoderCheckpoint::open` states.
        let map = unsafe { memmap2::Mmap::map(&file) };
        map.map(Mapped).map_err(failed)
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
