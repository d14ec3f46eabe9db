//! Files: bounded reads, whole-or-nothing writes, operands in safetensors.

use super::Failure;
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// The largest file of operands that is read.
pub const OPERANDS_MAX: u64 = 1 << 36;

/// Reads a file of at most `max` bytes.
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

/// Writes a file whole or not at all: beside it first, synced, then renamed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::Usage(format!("cannot write {}: {error}", path.display()));
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = builder().tempfile_in(directory).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
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
        return Err(Failure::Usage(format!(
            "tensor `{name}` has shape {:?}, not two dimensions",
            view.shape()
        )));
    };
    let entries = view.data().iter().map(|&byte| byte as i8).collect();
    Array2::from_shape_vec((rows, columns), entries).map_err(Failure::usage)
}
