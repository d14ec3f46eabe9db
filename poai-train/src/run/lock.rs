//! The lock of a run's folder, which one process holds at a time.

use super::CheckpointError;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// The file's name in its folder. It is empty, and stays.
const NAME: &str = "lock";

/// The right to write into a run's folder. The operating system takes it back when the
/// value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Locks a folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`CheckpointError::Locked`] if another process has it, or
    /// [`CheckpointError::Io`].
    pub fn acquire(folder: &Path) -> Result<RunLock, CheckpointError> {
        let of = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(of(folder))?;
        let path = folder.join(NAME);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        RunLock::of(folder, file.map_err(of(&path))?)
    }

    /// Locks a folder that was locked before. `None` if it was not; this call then
    /// changes nothing in it.
    ///
    /// # Errors
    /// As [`RunLock::acquire`].
    pub fn existing(folder: &Path) -> Result<Option<RunLock>, CheckpointError> {
        let path = folder.join(NAME);
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => RunLock::of(folder, file).map(Some),
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) =>
            {
                Ok(None)
            }
            Err(source) => Err(CheckpointError::Io { path, source }),
        }
    }

    fn of(folder: &Path, file: File) -> Result<RunLock, CheckpointError> {
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(CheckpointError::Locked { path: folder.to_owned() })
            }
            Err(TryLockError::Error(source)) => {
                Err(CheckpointError::Io { path: folder.join(NAME), source })
            }
        }
    }
}
