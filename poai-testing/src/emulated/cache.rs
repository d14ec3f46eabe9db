//! Compiled libraries, stored under the target folder by a hash of their
//! inputs, so that every test program finds what another one compiled.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{env, io, process};

/// A hash of all inputs of a compilation: sources, the files that they include,
/// flags, and the compiler.
#[derive(Clone, Debug, Default)]
pub struct Content(blake3::Hasher);

impl Content {
    /// Adds some bytes, with their number, so that different lists hash
    /// differently.
    pub fn add(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }

    /// Adds a source, and every file that it includes in quotes. Such a file is
    /// in the source's own folder, if it has one, or in one of `folders`. The
    /// system's headers belong to the compiler.
    ///
    /// # Panics
    /// If an existing file cannot be read.
    pub fn add_source(&mut self, text: &str, own: Option<&Path>, folders: &[PathBuf]) {
        self.source(text, own, folders, &mut vec![]);
    }

    fn source(
        &mut self,
        text: &str,
        own: Option<&Path>,
        folders: &[PathBuf],
        seen: &mut Vec<PathBuf>,
    ) {
        self.add(text);
        for name in text.lines().filter_map(included) {
            let places = own.into_iter().chain(folders.iter().map(PathBuf::as_path));
            let found = places.map(|folder| folder.join(name)).find(|path| path.is_file());
            self.add(name);
            // The compiler reports a missing file.
            let Some(path) = found.filter(|path| !seen.contains(path)) else { continue };
            let text = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            seen.push(path.clone());
            self.source(&text, path.parent(), folders, seen);
        }
    }
}

/// The file that a line includes in quotes, if any.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?;
    Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0)
}

/// The path of the file with this content and name, if it exists.
fn find(content: &Content, name: &str) -> Option<PathBuf> {
    Some(entry(content).join(name)).filter(|path| path.is_file())
}

/// The path of the file with this content and name; makes it if it does not
/// exist. `make` writes to the path that it is given, and the file appears only
/// when that is complete. Another process that needs it meanwhile waits. After
/// an error no file exists.
///
/// # Errors
/// Those of `make`.
///
/// # Panics
/// If the target folder cannot be written.
pub fn made<E>(
    content: &Content,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    if let Some(path) = find(content, name) {
        return Ok(path);
    }
    let folder = entry(content);
    let path = folder.join(name);
    let written = |result: io::Result<()>| {
        result.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    };
    written(fs::create_dir_all(&folder));
    let lock = File::create(folder.join("lock"));
    // Held until this returns, to exclude other processes and threads.
    let lock = lock.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    written(lock.lock());
    if !path.is_file() {
        let part = folder.join(format!("{}.part", process::id()));
        make(&part)?;
        written(fs::rename(part, &path));
    }
    Ok(path)
}

/// The folder of a content.
fn entry(content: &Content) -> PathBuf {
    folder().join(content.0.finalize().to_hex().as_str())
}

/// `emulated` in the target folder that this program was built in, or beside
/// the program if it is elsewhere.
fn folder() -> PathBuf {
    let program = env::current_exe().expect("a program knows its path");
    // Cargo marks its target folder, for backup programs.
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let beside = || program.parent().expect("a program is in a folder");
    target.unwrap_or_else(beside).join("emulated")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn hash(text: &str, folders: &[PathBuf]) -> blake3::Hash {
        let mut content = Content::default();
        content.add_source(text, None, folders);
        content.0.finalize()
    }

    #[test]
    fn what_a_source_includes_is_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.hpp", "#pragma once\n #  include \"b.hpp\"\n");
        write("b.hpp", "#include \"a.hpp\"\nint b;");
        let source = "#include \"a.hpp\"\n#include <vector>\n";
        let first = hash(source, &folders);
        assert_eq!(hash(source, &folders), first);
        write("b.hpp", "#include \"a.hpp\"\nint c;");
        assert_ne!(hash(source, &folders), first);
        // A missing file changes nothing until it exists.
        let missing = "#include \"c.hpp\"\n";
        let without = hash(missing, &folders);
        write("c.hpp", "");
        assert_ne!(hash(missing, &folders), without);
    }

    #[test]
    fn lists_do_not_run_together() {
        let of = |parts: &[&str]| {
            let mut content = Content::default();
            parts.iter().for_each(|part| content.add(part));
            content.0.finalize()
        };
        assert_ne!(of(&["-O2", "-g"]), of(&["-O2-g"]));
    }

    /// Several threads at once, then a failure that leaves no file.
    #[test]
    fn what_is_wanted_at_once_is_made_once() {
        let mut content = Content::default();
        content.add(format!("{:?}", std::time::SystemTime::now()));
        content.add(process::id().to_le_bytes());
        let failed = made(&content, "thing", |_| Err("not made")).unwrap_err();
        assert_eq!(failed, "not made");
        let makes = AtomicUsize::new(0);
        let make = || {
            made(&content, "thing", |path| {
                makes.fetch_add(1, Ordering::Relaxed);
                fs::write(path, "whole")
            })
        };
        let paths: Vec<PathBuf> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert_eq!(makes.into_inner(), 1);
        assert!(paths.iter().all(|path| fs::read_to_string(path).unwrap() == "whole"));
        fs::remove_dir_all(paths[0].parent().unwrap()).unwrap();
    }
}
