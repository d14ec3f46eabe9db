//! The folder of a report.

use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A folder that exists and accepted a file before the measurements began.
pub struct Out(PathBuf);

impl Out {
    /// Creates the folder and tests that it is writable.
    ///
    /// # Errors
    /// The path and the problem.
    pub fn open(folder: &Path) -> Result<Out, String> {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        NamedTempFile::new_in(folder)
            .map_err(|error| format!("cannot write into {}: {error}", folder.display()))?;
        Ok(Out(folder.to_owned()))
    }

    /// Replaces the files of an earlier run. All new files are first written
    /// beside their places, so that a full disk leaves the earlier files
    /// unchanged.
    ///
    /// # Errors
    /// The path and the problem.
    pub fn write(&self, files: &[(String, String)]) -> Result<(), String> {
        let mut written = Vec::new();
        for (name, text) in files {
            let path = self.0.join(name);
            let wrong = |error| format!("cannot write {}: {error}", path.display());
            let file = NamedTempFile::new_in(&self.0).map_err(wrong)?;
            std::fs::write(file.path(), text).map_err(wrong)?;
            written.push((file, path));
        }
        for (file, path) in written {
            file.persist(&path)
                .map_err(|error| format!("cannot write {}: {}", path.display(), error.error))?;
            readable(&path)?;
        }
        Ok(())
    }
}

/// Makes a file readable for all users: temporary files are private by default.
fn readable(path: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
            .map_err(|error| format!("cannot make {} readable: {error}", path.display()))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        let out = Out::open(&deep).expect("it can be made");
        for text in ["one", "two"] {
            out.write(&[("x.md".into(), text.into()), ("y.svg".into(), text.into())])
                .expect("written");
            assert_eq!(std::fs::read_to_string(deep.join("x.md")).expect("there"), text);
        }
        assert_eq!(std::fs::read_dir(&deep).expect("there").count(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_named_before_measuring() {
        let file = NamedTempFile::new().expect("a file");
        let error = Out::open(&file.path().join("below")).err().expect("a file is no folder");
        assert!(error.contains("below"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_others_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = Out::open(folder.path()).expect("it is there");
        out.write(&[("x.md".into(), "one".into())]).expect("written");
        std::fs::create_dir(folder.path().join("y.svg")).expect("made");
        let error = out
            .write(&[("y.svg".into(), "two".into()), ("x.md".into(), "two".into())])
            .expect_err("a folder is in the way");
        assert!(error.contains("y.svg"), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join("x.md")).expect("there"), "one");
    }
}
