//! `--out`: a folder of what was made, there whole or not at all.

use crate::failure::Failure;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder beside its place, until all is in it.
pub struct Out {
    path: PathBuf,
    beside: TempDir,
}

impl Out {
    /// Checks, before any work, that the folder can be made and is not there.
    ///
    /// # Errors
    /// [`Failure::Exists`], [`Failure::Io`].
    pub fn new(path: &Path) -> Result<Out, Failure> {
        // A link to nowhere is there, too.
        if path.symlink_metadata().is_ok() {
            return Err(Failure::Exists(path.to_owned()));
        }
        let parent = folder_of(path);
        let mut builder = tempfile::Builder::new();
        // Who may read it is for the umask to say, as of any folder.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let beside = builder.tempdir_in(parent).map_err(Failure::io(parent))?;
        Ok(Out { path: path.to_owned(), beside })
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, false)
    }

    /// Writes a file into it that its owner alone may read, where the system
    /// knows of owners.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn write_secret(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, true)
    }

    fn write_as(&self, name: &str, bytes: &[u8], secret: bool) -> Result<(), Failure> {
        let path = self.beside.path().join(name);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o666 });
        let write = || {
            let mut file = options.open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(Failure::io(self.path.join(name)))
    }

    /// Moves it to its place.
    ///
    /// # Errors
    /// [`Failure::Io`], also where somebody else made the folder meanwhile.
    pub fn finish(self) -> Result<(), Failure> {
        std::fs::rename(self.beside.path(), &self.path).map_err(Failure::io(&self.path))?;
        // It is no temporary folder any more.
        _ = self.beside.keep();
        Ok(())
    }
}

/// Writes one file, whole or not at all.
///
/// # Errors
/// What `write` says, and [`Failure::Io`].
pub fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(Failure::io(path))?;
    let mut to = BufWriter::new(file.as_file());
    write(&mut to)?;
    to.flush().map_err(Failure::io(path))?;
    drop(to);
    file.as_file().sync_all().map_err(Failure::io(path))?;
    file.persist(path).map_err(|error| Failure::io(path)(error.error))?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
