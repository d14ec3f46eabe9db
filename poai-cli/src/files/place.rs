//! The places that files are written to.

use crate::failure::Failure;
use std::path::Path;

/// Names the file that was not written.
pub fn cannot_write(path: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |error| Failure::usage(format!("cannot write {}: {error}", path.display()))
}

/// The folder that a path is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
