//! Claims in a file beside a run's checkpoint, so that they survive a stop.
//!
//! ```text
//! "poai claims 1\n\0\0" ‖ (claim ‖ leaf) of each iteration, in order
//! ```
//!
//! A claim's leaf is the hash of its bytes, so every record shows whether it is
//! whole. Records after the checkpoint's last iteration are those of a process that
//! died before its next checkpoint. They are cut off when the run goes on.

use poai_core::training_run::IterationClaim;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The first bytes of the file.
const MAGIC: &[u8; 16] = b"poai claims 1\n\0\0";
/// The file's name in its folder.
const NAME: &str = "claims";
/// Bytes of a claim with its leaf.
const RECORD: usize = IterationClaim::LEN + 32;

/// Why claims could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The file could not be written or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file does not have the claims of the checkpoint's iterations.
    #[error("{}: expected {expected} whole claims, got {got}; resume from another copy", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The iterations that are done.
        expected: u32,
        /// What was found.
        got: String,
    },
}

/// The claims of a run in a file.
#[derive(Debug)]
pub struct ClaimsFile {
    path: PathBuf,
    file: File,
    count: usize,
}

impl ClaimsFile {
    /// Starts the file of a run that has done nothing, in a folder that is made if it
    /// is missing. An older file is replaced.
    ///
    /// # Errors
    /// [`ClaimsError::Io`].
    pub fn create(folder: &Path) -> Result<ClaimsFile, ClaimsError> {
        let path = folder.join(NAME);
        let create = || {
            std::fs::create_dir_all(folder)?;
            let mut file = File::create(&path)?;
            file.write_all(MAGIC)?;
            file.sync_all()?;
            Ok(file)
        };
        match create() {
            Ok(file) => Ok(ClaimsFile { path, file, count: 0 }),
            Err(source) => Err(ClaimsError::Io { path, source }),
        }
    }

    /// Opens the file of a run that goes on after `done` iterations, and reads their
    /// claims. Opening changes nothing; the next [`ClaimsFile::append`] cuts off what
    /// follows these claims.
    ///
    /// The claims are whole. [`super::Committer::resumed`] checks whether they are the
    /// run's.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn open(
        folder: &Path,
        done: u32,
    ) -> Result<(ClaimsFile, Vec<IterationClaim>), ClaimsError> {
        let path = folder.join(NAME);
        let io = |source| ClaimsError::Io { path: path.clone(), source };
        let file = File::options().read(true).write(true).open(&path).map_err(io)?;
        let claims = ClaimsFile::claims(&file, &path, done)?;
        Ok((ClaimsFile { path, file, count: done as usize }, claims))
    }

    /// Reads the claims of the first `done` iterations, as a verifier does: it needs no
    /// right to write. The claims are whole; a checker decides whether they are a run's.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn read(folder: &Path, done: u32) -> Result<Vec<IterationClaim>, ClaimsError> {
        let path = folder.join(NAME);
        let file = File::open(&path);
        let file = file.map_err(|source| ClaimsError::Io { path: path.clone(), source })?;
        ClaimsFile::claims(&file, &path, done)
    }

    fn claims(file: &File, path: &Path, done: u32) -> Result<Vec<IterationClaim>, ClaimsError> {
        let io = |source| ClaimsError::Io { path: path.to_owned(), source };
        let corrupt = |got| ClaimsError::Corrupt { path: path.to_owned(), expected: done, got };
        // The length is known before anything is read into memory.
        let length = file.metadata().map_err(io)?.len();
        let whole = length.saturating_sub(MAGIC.len() as u64) / RECORD as u64;
        if whole < u64::from(done) {
            return Err(corrupt(whole.to_string()));
        }
        let mut from = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(|_| corrupt("a shorter file".into()))?;
        if magic != *MAGIC {
            return Err(corrupt("another kind of file".into()));
        }
        let mut claims = Vec::with_capacity(done as usize);
        for t in 0..done {
            let (mut bytes, mut leaf) = ([0; IterationClaim::LEN], [0; 32]);
            from.read_exact(&mut bytes).map_err(io)?;
            from.read_exact(&mut leaf).map_err(io)?;
            let claim = IterationClaim::from_array(&bytes);
            if claim.leaf().0 != leaf {
                return Err(corrupt(format!("claim {t} with another hash")));
            }
            claims.push(claim);
        }
        Ok(claims)
    }

    /// Whether a folder has a file of claims with more than its first bytes: those of a
    /// run that did not end before its first checkpoint.
    ///
    /// # Errors
    /// [`ClaimsError::Io`].
    pub fn has_claims(folder: &Path) -> Result<bool, ClaimsError> {
        let path = folder.join(NAME);
        match path.symlink_metadata() {
            Ok(found) => Ok(!found.is_file() || found.len() > MAGIC.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ClaimsError::Io { path, source }),
        }
    }

    /// The number of claims that are stored.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds claims behind the stored ones, and waits until they are on the disk.
    ///
    /// # Errors
    /// [`ClaimsError::Io`]. The stored claims stay.
    pub fn append(&mut self, claims: &[IterationClaim]) -> Result<(), ClaimsError> {
        let mut bytes = Vec::with_capacity(claims.len() * RECORD);
        for claim in claims {
            bytes.extend(claim.to_bytes());
            bytes.extend(claim.leaf().0);
        }
        let end = (MAGIC.len() + self.count * RECORD) as u64;
        let mut append = || {
            self.file.set_len(end)?;
            self.file.seek(SeekFrom::Start(end))?;
            self.file.write_all(&bytes)?;
            self.file.sync_all()
        };
        append().map_err(|source| ClaimsError::Io { path: self.path.clone(), source })?;
        self.count += claims.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poai_core::{StateRoot, TraceRoot};

    fn claim(t: u64) -> IterationClaim {
        let [before, after] = [t as u8, t as u8 + 1].map(|byte| StateRoot([byte; 32]));
        IterationClaim { t, before, trace: TraceRoot([7; 32]), after }
    }

    #[test]
    fn what_follows_the_last_checkpoint_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let claims: Vec<_> = (0..6).map(claim).collect();
        let mut file = ClaimsFile::create(&folder.path().join("run")).unwrap();
        let folder = folder.path().join("run");
        file.append(&claims[..2]).unwrap();
        file.append(&claims[2..5]).unwrap();
        assert_eq!(file.count(), 5);
        let path = folder.join("claims");
        // A record that is torn, as by a kill during its write.
        let torn = std::fs::read(&path).unwrap().len() as u64 - 50;
        File::options().write(true).open(&path).unwrap().set_len(torn).unwrap();
        let before = std::fs::read(&path).unwrap();
        let why = ClaimsFile::open(&folder, 5).unwrap_err().to_string();
        assert!(why.contains("expected 5 whole claims, got 4"), "{why}");
        let (mut file, read) = ClaimsFile::open(&folder, 3).unwrap();
        assert_eq!(read, claims[..3]);
        assert_eq!(ClaimsFile::read(&folder, 3).unwrap(), read);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        file.append(&claims[3..]).unwrap();
        assert_eq!(ClaimsFile::open(&folder, 6).unwrap().1, claims);
    }

    #[test]
    fn other_bytes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(matches!(ClaimsFile::open(folder, 0), Err(ClaimsError::Io { .. })));
        let claims: Vec<_> = (0..3).map(claim).collect();
        ClaimsFile::create(folder).unwrap().append(&claims).unwrap();
        let path = folder.join("claims");
        let honest = std::fs::read(&path).unwrap();
        for at in (0..honest.len()).step_by(11) {
            let mut bytes = honest.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let read = ClaimsFile::open(folder, 3);
            assert!(matches!(read, Err(ClaimsError::Corrupt { .. })), "byte {at}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        for end in 0..honest.len() {
            std::fs::write(&path, &honest[..end]).unwrap();
            assert!(ClaimsFile::open(folder, 3).is_err(), "{end} bytes");
        }
    }
}
