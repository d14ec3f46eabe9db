//! Checkpoints: a run's states in one file, whole or not there.
//!
//! ```text
//! "poai training 2\n" ‖ u32 s ‖ (u16 ‖ name ‖ u16 ‖ value) of s settings ‖
//!     program_id ‖ dataset ‖ seed ‖ u32 batch ‖ u32 t ‖ u32 N ‖
//!     f64 seconds ‖ u128 mined MACs ‖ u64 tickets ‖
//!     (f64 mean loss ‖ u32 right ‖ u32 answers) of t iterations ‖
//!     padded bytes of every state ‖ BLAKE3 of all bytes before
//! ```
//!
//! Version 1 had neither settings nor batch nor totals. It is refused: it does not say
//! how long the run's segments are.

use super::{Loss, RunTotals, SETTING_BYTES_MAX, SETTINGS_MAX, TrainingRun};
use poai_core::program::Extent;
use poai_engine::execute::{SharedInput, Tensor, TensorError};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first bytes of a checkpoint, which end with the version and a line feed.
const MAGIC: &[u8; 16] = b"poai training 2\n";
/// The place of the version in them.
const VERSION: usize = 14;
/// The file's name in its folder.
const NAME: &str = "checkpoint";
/// Bytes of a loss.
const LOSS: usize = 16;
/// Bytes of the hash at the end.
const HASH: usize = 32;
/// What is wrong with a file that ends early.
const SHORT: &str = "fewer bytes than a head has";
/// What is wrong with a file whose length does not fit its head.
const LENGTH: &str = "another number of bytes";

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be written or read. The last whole checkpoint is still
    /// there.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not a whole checkpoint.
    #[error("{}: expected a whole checkpoint, got {got}; resume from another copy", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        got: &'static str,
    },
    /// The file is a checkpoint of another version of the format.
    #[error(
        "{}: expected a checkpoint of version 2, got one of version {got}; start the run again, or resume \
         with the poai that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version.
        got: char,
    },
    /// Another process writes into the folder.
    #[error(
        "{}: expected a folder that no process writes, got a folder that another process writes; wait \
         until it ends, or take another folder",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The checkpoint's run has another setting.
    #[error(
        "{}: expected {name} {expected}, with which this run began, got {got}; resume with the options \
         that made it",
        path.display()
    )]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting, as the caller of [`TrainingRun::bind`] names it.
        name: String,
        /// The checkpoint's value, or `none`.
        expected: String,
        /// The value of the run that goes on, or `none`.
        got: String,
    },
    /// The checkpoint is of another run.
    #[error("{}: expected this run's {what}, got another's; resume with the options that made it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A state in the file is no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl TrainingRun {
    /// Writes a checkpoint into a folder, which is made if it is missing.
    ///
    /// The file is written beside the last one, synchronised and renamed, so
    /// that there is a whole checkpoint at every moment.
    ///
    /// # Errors
    /// [`CheckpointError::Io`]. The last checkpoint stays.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let of = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(of(folder))?;
        let path = folder.join(NAME);
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(of(folder))?;
        self.write(&mut file).map_err(of(&path))?;
        file.as_file().sync_all().map_err(of(&path))?;
        file.persist(&path)
            .map_err(|error| CheckpointError::Io { path: path.clone(), source: error.error })?;
        // The new name is on the disk when the folder is.
        #[cfg(unix)]
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(of(folder))?;
        Ok(())
    }

    fn write(&self, to: impl Write) -> io::Result<()> {
        let mut to = Hashed { to: io::BufWriter::new(to), hasher: blake3::Hasher::new() };
        to.write_all(&self.head())?;
        for Loss { mean, right, answers } in &self.history {
            to.write_all(&mean.to_le_bytes())?;
            to.write_all(&right.to_le_bytes())?;
            to.write_all(&answers.to_le_bytes())?;
        }
        for state in &self.states {
            to.write_all(state.tensor.bytes())?;
        }
        let hash = to.hasher.finalize();
        to.to.write_all(hash.as_bytes())?;
        to.to.flush()
    }

    /// The bytes that say of which run a checkpoint is, and how far it is.
    fn head(&self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        // Exact: `bind` keeps both limits.
        head.extend((self.settings.len() as u32).to_le_bytes());
        for text in self.settings.iter().flat_map(|(name, value)| [name, value]) {
            head.extend((text.len() as u16).to_le_bytes());
            head.extend(text.as_bytes());
        }
        head.extend(self.identity().concat());
        for number in [self.iteration.shape().batch, self.t, self.total] {
            head.extend(number.to_le_bytes());
        }
        head.extend(self.totals.to_bytes());
        head
    }

    /// Program, dataset and seed.
    fn identity(&self) -> [[u8; 32]; 3] {
        let mut dataset = blake3::Hasher::new();
        for input in [self.dataset.samples(), self.dataset.labels()] {
            dataset.update(input.tensor.root().as_bytes());
        }
        let program = self.iteration.network().program().program_id();
        [program.0, *dataset.finalize().as_bytes(), self.seed]
    }

    /// Goes on from the checkpoint in a folder.
    ///
    /// # Errors
    /// [`CheckpointError`]. The run stays as it was, and the folder untouched.
    pub fn resume(&mut self, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join(NAME);
        let corrupt = |got| CheckpointError::Corrupt { path: path.clone(), got };
        let io = |source| CheckpointError::Io { path: path.clone(), source };
        let foreign = |what| CheckpointError::Foreign { path: path.clone(), what };
        let mut file = File::open(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        check_whole(&mut file, length, &path)?;
        let mut from = Fields { from: io::BufReader::new(file), path: &path };
        let found = from.settings()?;
        if let Some((name, expected, got)) = difference(&found, &self.settings) {
            return Err(CheckpointError::Setting { path: path.clone(), name, expected, got });
        }
        for (own, what) in self.identity().iter().zip(["program", "dataset", "seed"]) {
            if *own != from.array()? {
                return Err(foreign(what));
            }
        }
        let [batch, t, total] = [from.u32()?, from.u32()?, from.u32()?];
        if batch != self.iteration.shape().batch {
            return Err(foreign("batch"));
        }
        if total != self.total || t > total {
            return Err(foreign("iterations"));
        }
        let totals = RunTotals::from_array(&from.array()?);
        // The length is known before anything is read into memory.
        let extents: Vec<Extent> = self.states.iter().map(|state| *state.tensor.extent()).collect();
        let states: u64 = extents.iter().map(Extent::bytes).sum();
        let head = from.from.stream_position().map_err(io)?;
        if length != head + u64::from(t) * LOSS as u64 + states + HASH as u64 {
            return Err(corrupt(LENGTH));
        }
        let mut history = Vec::with_capacity(t as usize);
        for _ in 0..t {
            let mean = f64::from_le_bytes(from.array()?);
            history.push(Loss { mean, right: from.u32()?, answers: from.u32()? });
        }
        let mut states = Vec::with_capacity(extents.len());
        for extent in extents {
            // Exact: a tensor's bytes fit memory, as the run's own states do.
            let bytes = from.take(extent.bytes() as usize)?;
            let tensor = Arc::new(Tensor::from_bytes(extent, bytes)?);
            states.push(SharedInput { tensor, tree: None });
        }
        (self.states, self.t, self.history, self.totals) = (states, t, history, totals);
        Ok(())
    }
}

/// Checks that a file is a checkpoint of this version with the hash at its end, and
/// leaves the file behind its first bytes.
fn check_whole(file: &mut File, length: u64, path: &Path) -> Result<(), CheckpointError> {
    let corrupt = |got| CheckpointError::Corrupt { path: path.to_owned(), got };
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(|_| corrupt(SHORT))?;
    if magic != *MAGIC {
        let version = char::from(magic[VERSION]);
        let same =
            magic[..VERSION] == MAGIC[..VERSION] && magic[VERSION + 1..] == MAGIC[VERSION + 1..];
        return Err(match same && version.is_ascii_digit() {
            true => CheckpointError::Version { path: path.to_owned(), got: version },
            false => corrupt("another kind of file"),
        });
    }
    let body = length.checked_sub((MAGIC.len() + HASH) as u64).ok_or_else(|| corrupt(SHORT))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&magic).update_reader((&*file).take(body)).map_err(io)?;
    let mut hash = [0; HASH];
    file.read_exact(&mut hash).map_err(|_| corrupt(LENGTH))?;
    if blake3::Hash::from_bytes(hash) != hasher.finalize() {
        return Err(corrupt("bytes with another hash"));
    }
    file.seek(SeekFrom::Start(MAGIC.len() as u64)).map_err(io)?;
    Ok(())
}

/// The first setting that differs: its name, the checkpoint's value and the run's.
fn difference(
    found: &[(String, String)],
    own: &[(String, String)],
) -> Option<(String, String, String)> {
    let value = |all: &[(String, String)], name: &str| {
        let setting = all.iter().find(|(own, _)| own == name);
        setting.map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
    };
    let names = found.iter().chain(own).map(|(name, _)| name);
    let both = names.map(|name| (name.clone(), value(found, name), value(own, name)));
    both.into_iter().find(|(_, expected, got)| expected != got)
}

/// A writer that hashes what it writes.
struct Hashed<W> {
    to: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.to.write_all(bytes)
    }
}

/// Reads the fields of a checkpoint whose hash is right.
struct Fields<'a, R> {
    from: R,
    path: &'a Path,
}

impl<R: Read> Fields<'_, R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        self.from.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.corrupt(LENGTH),
            _ => CheckpointError::Io { path: self.path.to_owned(), source },
        })
    }

    fn corrupt(&self, got: &'static str) -> CheckpointError {
        CheckpointError::Corrupt { path: self.path.to_owned(), got }
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, CheckpointError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn settings(&mut self) -> Result<Vec<(String, String)>, CheckpointError> {
        let count = self.u32()?;
        if count as usize > SETTINGS_MAX {
            return Err(self.corrupt("more settings than a run has"));
        }
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect()
    }

    fn text(&mut self) -> Result<String, CheckpointError> {
        let len = u16::from_le_bytes(self.array()?) as usize;
        if len > SETTING_BYTES_MAX {
            return Err(self.corrupt("a longer setting than a run has"));
        }
        let bytes = self.take(len)?;
        String::from_utf8(bytes).map_err(|_| self.corrupt("a setting that is no text"))
    }
}
