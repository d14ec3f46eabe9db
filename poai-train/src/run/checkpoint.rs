//! Checkpoints: a run's states in one file, whole or not there.
//!
//! ```text
//! "poai training 1\n" ‖ program_id ‖ dataset ‖ seed ‖ u32 t ‖ u32 N ‖
//!     (f64 mean loss ‖ u32 right ‖ u32 answers) of t iterations ‖
//!     padded bytes of every state ‖ BLAKE3 of all bytes before
//! ```

use super::{Loss, TrainingRun};
use poai_core::program::Extent;
use poai_engine::execute::{SharedInput, Tensor, TensorError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first bytes of a checkpoint.
const MAGIC: &[u8; 16] = b"poai training 1\n";
/// The file's name in its folder.
const NAME: &str = "checkpoint";
/// Bytes before the losses.
const HEAD: usize = 16 + 32 + 32 + 32 + 4 + 4;
/// Bytes of a loss.
const LOSS: usize = 16;
/// Bytes of the hash at the end.
const HASH: usize = 32;

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
        head.extend(self.identity().concat());
        head.extend(self.t.to_le_bytes());
        head.extend(self.total.to_le_bytes());
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
        let mut file = File::open(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut head = [0; HEAD];
        file.read_exact(&mut head).map_err(|_| corrupt("fewer bytes than a head has"))?;
        let (magic, rest) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(corrupt("another kind of file"));
        }
        let whats = ["program", "dataset", "seed"];
        for ((own, found), what) in self.identity().iter().zip(rest.chunks_exact(32)).zip(whats) {
            if own != found {
                return Err(CheckpointError::Foreign { path: path.clone(), what });
            }
        }
        let number = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&head[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let (t, total) = (number(HEAD - 8), number(HEAD - 4));
        if total != self.total || t > total {
            return Err(CheckpointError::Foreign { path: path.clone(), what: "iterations" });
        }
        // The length is known before anything is read into memory.
        let extents: Vec<Extent> = self.states.iter().map(|state| *state.tensor.extent()).collect();
        let states: u64 = extents.iter().map(Extent::bytes).sum();
        let expected = (HEAD + HASH) as u64 + u64::from(t) * LOSS as u64 + states;
        if length != expected {
            return Err(corrupt("another number of bytes"));
        }
        let mut from = Hashing { from: io::BufReader::new(file), hasher: blake3::Hasher::new() };
        from.hasher.update(&head);
        let mut history = Vec::with_capacity(t as usize);
        for _ in 0..t {
            let bytes = from.take(LOSS).map_err(io)?;
            let (mean, rest) = bytes.split_at(8);
            let word = |at: usize| {
                u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]])
            };
            let mean = f64::from_le_bytes(mean.try_into().unwrap_or_default());
            history.push(Loss { mean, right: word(0), answers: word(4) });
        }
        let mut read = Vec::with_capacity(extents.len());
        for extent in extents {
            // Exact: a tensor's bytes fit memory, as the run's own states do.
            read.push((extent, from.take(extent.bytes() as usize).map_err(io)?));
        }
        let mut hash = [0; HASH];
        from.from.read_exact(&mut hash).map_err(io)?;
        if blake3::Hash::from_bytes(hash) != from.hasher.finalize() {
            return Err(corrupt("bytes with another hash"));
        }
        let mut states = Vec::with_capacity(read.len());
        for (extent, bytes) in read {
            let tensor = Arc::new(Tensor::from_bytes(extent, bytes)?);
            states.push(SharedInput { tensor, tree: None });
        }
        (self.states, self.t, self.history) = (states, t, history);
        Ok(())
    }
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

/// A reader that hashes what it reads.
struct Hashing<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Hashing<R> {
    fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.from.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}
