//! `--out` of several files: a folder, there whole or not at all.

use super::place::{cannot_write, parent, probe};
use crate::failure::Failure;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The place of a folder that is not there yet. It is checked before the work,
/// and nothing is there until [`NewFolder::start`]: a process that is killed at
/// its work leaves no folder behind.
pub struct NewFolder {
    path: PathBuf,
}

impl NewFolder {
    /// Checks that the folder can be made and is not there.
    pub fn new(path: &Path) -> Result<NewFolder, Failure> {
        // A link to nowhere is there, too.
        if path.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!(
                "{}: it is there already; --out makes a new folder",
                path.display()
            )));
        }
        probe(parent(path)).map_err(cannot_write(path))?;
        Ok(NewFolder { path: path.to_owned() })
    }

    /// Makes the folder beside its place, for what is there to write.
    pub fn start(self) -> Result<Folder, Failure> {
        let mut builder = tempfile::Builder::new();
        // Who may read it is for the umask to say, as of any folder.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let beside = builder.tempdir_in(parent(&self.path));
        // The temporary folder's own name is of no interest.
        let beside = beside.map_err(|error| cannot_write(&self.path)(error.kind().into()))?;
        Ok(Folder { path: self.path, beside })
    }
}

/// A folder beside its place, until all is in it.
pub struct Folder {
    path: PathBuf,
    beside: TempDir,
}

impl Folder {
    /// Where files are put until [`Folder::finish`].
    pub fn beside(&self) -> &Path {
        self.beside.path()
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, false)
    }

    /// Writes a file into it that its owner alone may read, where the system
    /// knows of owners.
    pub fn write_secret(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, true)
    }

    fn write_as(&self, name: &str, bytes: &[u8], secret: bool) -> Result<(), Failure> {
        let path = self.beside.path().join(name);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o666 });
        #[cfg(not(unix))]
        let _ = secret;
        let write = || {
            let mut file = options.open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(cannot_write(&self.path.join(name)))
    }

    /// Moves it to its place. Fails, too, where another process made the folder
    /// meanwhile.
    pub fn finish(self) -> Result<(), Failure> {
        std::fs::rename(self.beside.path(), &self.path).map_err(cannot_write(&self.path))?;
        // It is no temporary folder any more.
        _ = self.beside.keep();
        Ok(())
    }
}

/// Checks that files can be written into a folder, or that the folder can be
/// made. Makes nothing that stays.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    let mut nearest = path;
    while !nearest.exists() {
        // Nothing can be made in the place of a link that leads nowhere.
        if nearest.is_symlink() {
            let why = format!("{} is a link to nothing", nearest.display());
            return Err(cannot_write(path)(std::io::Error::other(why)));
        }
        nearest = parent(nearest);
    }
    probe(nearest).map_err(cannot_write(path))
}
