//! The places that files are written to.

use crate::failure::Failure;
use std::path::Path;

/// The prefix of the names of temporary files and folders. A process that is
/// killed while it writes may leave one beside its output.
pub const TEMPORARY: &str = ".poai-";

/// Names the file that could not be written.
pub fn cannot_write(path: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |error| {
        Failure::usage(format!("cannot write {}: {error}; choose another place", path.display()))
    }
}

/// The folder that contains a path.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether files can be made in a folder. On Linux the test file has no name,
/// and elsewhere it loses it at once, so a killed process leaves no file. The
/// error omits that name, which does not help the caller.
pub fn probe(folder: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(folder).map(drop).map_err(|error| error.kind().into())
}
