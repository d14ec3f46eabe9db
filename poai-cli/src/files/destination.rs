//! `--out` of one file, which is written whole or not at all.

use super::place::{TEMPORARY, cannot_write, parent, probe};
use crate::failure::Failure;
use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The place of a result. It is checked before the work, so that a bad path
/// costs no work. No file appears before the result is complete: if the process
/// is killed during the work, the folder stays as it was.
pub struct Destination {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A file, written whole or not at all: first beside its place, then
    /// renamed. A file that it replaces passes on its permissions.
    File { before: Option<Permissions> },
    /// A device or pipe, which is written into.
    Stream(File),
}

impl Destination {
    /// Checks that the path can be written. A link stands for its target.
    pub fn new(path: &Path) -> Result<Destination, Failure> {
        let failed =
            |why: String| Failure::usage(format!("cannot write {}: {why}", path.display()));
        let path = resolve(path).ok_or_else(|| {
            failed(
                "expected a regular file's path, got a stream of this process; name a file".into(),
            )
        })?;
        let before = std::fs::metadata(&path).ok();
        let kind = match &before {
            Some(metadata) if metadata.is_dir() => {
                return Err(failed("it is a folder; name a file in it".into()));
            }
            Some(metadata) if !metadata.is_file() => {
                let stream = File::options().write(true).open(&path);
                Kind::Stream(
                    stream.map_err(|error| failed(format!("{error}; choose another place")))?,
                )
            }
            Some(metadata) if metadata.permissions().readonly() => {
                return Err(failed("it is read-only; choose another place".into()));
            }
            _ => {
                probe(parent(&path))
                    .map_err(|error| failed(format!("{error}; choose another place")))?;
                Kind::File { before: before.map(|file| file.permissions()) }
            }
        };
        Ok(Destination { path, kind })
    }

    /// Whether both write to the same place.
    pub fn is_same(&self, other: &Destination) -> bool {
        self.path == other.path
    }

    /// Writes everything.
    pub fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let failed = cannot_write(&self.path);
        self.write_with(|to| to.write_all(bytes).map_err(&failed))
    }

    /// Writes the bytes that `write` produces.
    pub fn write_with(
        self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let failed = cannot_write(&self.path);
        match self.kind {
            Kind::Stream(stream) => {
                let mut to = BufWriter::new(stream);
                write(&mut to)?;
                to.flush().map_err(failed)
            }
            Kind::File { before } => {
                let beside = builder().tempfile_in(parent(&self.path));
                let beside = beside.map_err(|error| failed(error.kind().into()))?;
                let mut to = BufWriter::new(beside.as_file());
                write(&mut to)?;
                to.flush().map_err(&failed)?;
                drop(to);
                if let Some(before) = before {
                    beside.as_file().set_permissions(before).map_err(&failed)?;
                }
                beside.as_file().sync_all().map_err(&failed)?;
                beside.persist(&self.path).map_err(|error| failed(error.error))?;
                Ok(())
            }
        }
    }
}

/// The path after following links, even if their target does not exist yet.
/// `None` for an open file of the process, like /dev/stdout: text goes there.
fn resolve(path: &Path) -> Option<PathBuf> {
    // The number of links that systems follow.
    let mut path = path.to_owned();
    for _ in 0..40 {
        let folder = parent(&path);
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if folder == Path::new("/dev/fd") || folder.starts_with("/proc") && folder.ends_with("fd") {
            return None;
        }
        path = path.file_name().map_or_else(|| folder.clone(), |name| folder.join(name));
        match std::fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => break,
        }
    }
    Some(path)
}

/// Temporary files are private by default. Results are ordinary files of the
/// user, so the umask decides.
#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).permissions(std::fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    builder
}
