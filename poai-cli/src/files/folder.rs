//! `--out` of several files: a folder, which is written whole or not at all.

use super::place::{TEMPORARY, cannot_write, parent, probe};
use crate::failure::Failure;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The place of a folder that does not exist yet. It is checked before the
/// work, and nothing exists before [`NewFolder::start`]: if the process is
/// killed during the work, no folder is left.
pub struct NewFolder {
    path: PathBuf,
}

impl NewFolder {
    /// Checks that the folder can be made and does not exist.
    pub fn new(path: &Path) -> Result<NewFolder, Failure> {
        // A link whose target is missing exists, too.
        if path.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!(
                "expected a new folder, got {}: it is there already; name another with --out, or move it",
                path.display()
            )));
        }
        probe(parent(path)).map_err(cannot_write(path))?;
        Ok(NewFolder { path: path.to_owned() })
    }

    /// Makes the folder beside its place, once there is something to write.
    pub fn start(self) -> Result<Folder, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY);
        // No other user reads what is half written, or what a killed process
        // leaves.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let start = || {
            let closed = builder.tempdir_in(parent(&self.path))?;
            // The umask decides who may read this one, as for any folder.
            let inner = closed.path().join("out");
            std::fs::create_dir(&inner)?;
            Ok((closed, inner))
        };
        // Errors omit the temporary folder's name, which does not help the
        // caller.
        let failed = |error: std::io::Error| cannot_write(&self.path)(error.kind().into());
        let (closed, inner) = start().map_err(failed)?;
        Ok(Folder { path: self.path, inner, closed })
    }
}

/// A folder beside its place, until all files are in it. It lies in a folder that
/// only its owner opens.
pub struct Folder {
    path: PathBuf,
    inner: PathBuf,
    closed: TempDir,
}

impl Folder {
    /// The place of files until [`Folder::finish`].
    pub fn beside(&self) -> &Path {
        &self.inner
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, false)
    }

    /// Writes a file into it that only its owner may read, if the system has
    /// owners.
    pub fn write_secret(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write_as(name, bytes, true)
    }

    fn write_as(&self, name: &str, bytes: &[u8], secret: bool) -> Result<(), Failure> {
        let path = self.inner.join(name);
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

    /// Moves the folder to its place. It fails if another process made the
    /// folder meanwhile.
    pub fn finish(self) -> Result<(), Failure> {
        std::fs::rename(&self.inner, &self.path).map_err(cannot_write(&self.path))?;
        // All files are in place, even if the empty folder stays.
        _ = self.closed.close();
        Ok(())
    }
}

/// Checks that files can be written into a folder, or that the folder can be
/// made. It leaves nothing behind.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    let mut nearest = path;
    while !nearest.exists() {
        // A folder cannot be made in the place of a link whose target is
        // missing.
        if nearest.is_symlink() {
            let why = format!("{} is a link to nothing", nearest.display());
            return Err(cannot_write(path)(std::io::Error::other(why)));
        }
        nearest = parent(nearest);
    }
    probe(nearest).map_err(cannot_write(path))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_half_written_is_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let names = || {
            let entries = std::fs::read_dir(directory.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
        };
        let out = NewFolder::new(&directory.path().join("out")).unwrap().start().unwrap();
        out.write("proof.bin", b"proof").unwrap();
        out.write_secret("private.json", b"{}").unwrap();
        let left: Vec<_> = names().collect();
        assert!(left.len() == 1 && left[0].starts_with(".poai-"), "{left:?}");
        assert_eq!(mode(&directory.path().join(&left[0])), 0o700);
        // Afterwards it is like any other folder.
        out.finish().unwrap();
        std::fs::create_dir(directory.path().join("other")).unwrap();
        let mut left: Vec<_> = names().collect();
        left.sort();
        assert_eq!(left, ["other", "out"]);
        let [other, out] = ["other", "out"].map(|name| directory.path().join(name));
        assert_eq!(mode(&out), mode(&other));
        assert_eq!(mode(&out.join("private.json")), 0o600);
        assert_eq!(std::fs::read(out.join("proof.bin")).unwrap(), b"proof");
    }
}
