//! Files: bounded reads, whole-or-nothing writes, operands in safetensors.

use super::Failure;
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors};
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Reads at most `max` bytes of a file or pipe.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    // One byte more than permitted tells a file that is too long.
    let file = File::open(path).map_err(failed)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(Failure::Usage(format!("{} is longer than {max} bytes", path.display())));
    }
    Ok(bytes)
}

/// The length of a regular file: what an endless device does not have.
pub fn regular_len(path: &Path) -> Result<u64, Failure> {
    let failed = |why: String| Failure::Usage(format!("cannot read {}: {why}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is no regular file".into()));
    }
    Ok(metadata.len())
}

/// Where a result goes. It is made before the work, so that a bad path costs
/// none of it.
pub struct Destination {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A file, written whole or not at all: beside it first, then renamed. The
    /// file that was there before keeps its permissions.
    File { beside: Box<NamedTempFile>, before: Option<Permissions> },
    /// A device or pipe, written into.
    Stream(File),
}

impl Destination {
    /// Checks that the path can be written. What a link points to is meant,
    /// not the link.
    pub fn new(path: &Path) -> Result<Destination, Failure> {
        let failed =
            |why: String| Failure::Usage(format!("cannot write {}: {why}", path.display()));
        let path = resolve(path);
        let before = std::fs::metadata(&path).ok();
        let kind = match &before {
            Some(metadata) if metadata.is_dir() => return Err(failed("it is a folder".into())),
            Some(metadata) if !metadata.is_file() => {
                let stream = File::options().write(true).open(&path);
                Kind::Stream(stream.map_err(|error| failed(error.to_string()))?)
            }
            Some(metadata) if metadata.permissions().readonly() => {
                return Err(failed("it is read-only".into()));
            }
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let beside = builder().tempfile_in(folder.unwrap_or(Path::new(".")));
                // The temporary file's own name is of no interest.
                let beside = beside
                    .map_err(|error| failed(std::io::Error::from(error.kind()).to_string()))?;
                Kind::File {
                    beside: Box::new(beside),
                    before: before.map(|file| file.permissions()),
                }
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
        let failed = |error: std::io::Error| {
            Failure::Usage(format!("cannot write {}: {error}", self.path.display()))
        };
        match self.kind {
            Kind::Stream(mut stream) => stream.write_all(bytes).map_err(failed),
            Kind::File { mut beside, before } => {
                beside.write_all(bytes).map_err(failed)?;
                if let Some(before) = before {
                    beside.as_file().set_permissions(before).map_err(failed)?;
                }
                beside.as_file().sync_all().map_err(failed)?;
                beside.persist(&self.path).map_err(|error| failed(error.error))?;
                Ok(())
            }
        }
    }
}

/// The path that is meant: links followed, even those to nowhere yet.
fn resolve(path: &Path) -> PathBuf {
    // As many links as systems follow.
    let mut path = path.to_owned();
    for _ in 0..40 {
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        path = path.file_name().map_or_else(|| folder.clone(), |name| folder.join(name));
        match std::fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => break,
        }
    }
    path
}

/// Temporary files are private by default; what is written here is the user's
/// like any other file, and the umask has its say.
#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.permissions(std::fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    tempfile::Builder::new()
}

/// The tensors `a` and `bt` of a safetensors file.
pub fn read_operands(bytes: &[u8]) -> Result<(Array2<i8>, Array2<i8>), Failure> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Failure::Usage(format!("no safetensors file: {error}")))?;
    Ok((tensor(&file, "a")?, tensor(&file, "bt")?))
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Array2<i8>, Failure> {
    let view =
        file.tensor(name).map_err(|_| Failure::Usage(format!("no tensor is called `{name}`")))?;
    if view.dtype() != Dtype::I8 {
        return Err(Failure::Usage(format!("tensor `{name}` is {:?}, not I8", view.dtype())));
    }
    let [rows, columns] = view.shape()[..] else {
        let shape = view.shape();
        return Err(Failure::Usage(format!(
            "tensor `{name}` has shape {shape:?}, not two dimensions"
        )));
    };
    let entries = view.data().iter().map(|&byte| byte as i8).collect();
    Array2::from_shape_vec((rows, columns), entries).map_err(Failure::usage)
}
