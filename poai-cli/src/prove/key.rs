//! The proving key: read, taken from a ceremony, or made by this process.

use crate::failure::Failure;
use crate::files;
use crate::terminal::{bar_of_bytes, follow, spinner};
use poai::Control;
use poai::prover::keys::{KeyOrigin, read_verifying_key};
use poai::prover::{Circuit, Estimate, ProvingKey};
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The files of `--keys`.
const PROVING: &str = "proving.key";
const VERIFYING: &str = "verifying.key";

/// The source of the key.
#[derive(Clone, Debug)]
pub enum Source {
    /// A new key, which is not kept.
    New,
    /// A folder: the key is read from it, or made and kept in it.
    Folder(PathBuf),
    /// A ceremony's file.
    Ceremony(PathBuf),
}

/// The origin of a key, which determines who may be able to forge proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The key was made in this process.
    Made,
    /// The key was read from a folder, whose file states this origin.
    Read(KeyOrigin),
    /// The key was read from a ceremony's file, with this number of
    /// contributions.
    Ceremony(NonZeroU32),
}

impl Origin {
    /// The origin in one word.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Made => "single-party",
            Origin::Read(KeyOrigin::SingleParty) => "single-party file",
            Origin::Read(KeyOrigin::Ceremony { .. }) => "ceremony file",
            Origin::Ceremony(_) => "ceremony",
        }
    }

    /// The meaning of the origin.
    pub fn warning(self) -> String {
        match self {
            Origin::Made => "a single-party key: its maker, this process, can forge proofs of \
                             anything"
                .to_owned(),
            Origin::Read(KeyOrigin::SingleParty) => {
                "read from a file, which says that it is a single-party key: its maker can forge \
                 proofs of anything"
                    .to_owned()
            }
            Origin::Read(KeyOrigin::Ceremony { contributions }) => format!(
                "read from a file, which says that it is of a ceremony with {contributions} \
                 contributions; `snarkjs zkey verify` checks the ceremony's own file"
            ),
            Origin::Ceremony(count) => format!(
                "of a ceremony that says it had {count} contributions; `snarkjs zkey verify` \
                 checks them, `poai prove` does not"
            ),
        }
    }
}

/// A key with its origin and its costs.
pub struct Key {
    /// The key with its circuit.
    pub key: ProvingKey,
    /// The key's origin.
    pub origin: Origin,
    /// The seconds that making it took.
    pub setup_seconds: Option<f64>,
    /// The seconds that reading it took.
    pub load_seconds: Option<f64>,
}

impl Source {
    /// The key that the flags name. If a folder has to keep it, this checks before any work that it
    /// can.
    pub fn new(folder: Option<&Path>, ceremony: Option<&Path>) -> Result<Source, Failure> {
        match (folder, ceremony) {
            (_, Some(path)) => Ok(Source::Ceremony(path.to_owned())),
            (Some(folder), None) => {
                let [proving, verifying] = halves(folder)?;
                if !(proving && verifying) {
                    files::check_folder(folder)?;
                }
                Ok(Source::Folder(folder.to_owned()))
            }
            (None, None) => Ok(Source::New),
        }
    }

    /// The key for a circuit.
    ///
    /// # Errors
    /// [`Failure`]: a file that is not a key, or the key of something else.
    pub fn key(&self, circuit: &Circuit, estimate: &Estimate) -> Result<Key, Failure> {
        let start = Instant::now();
        match self {
            Source::New => make(circuit, estimate),
            Source::Folder(folder) => in_folder(folder, circuit, estimate),
            Source::Ceremony(path) => {
                let bar = bar_of_bytes("checking the ceremony's key");
                let key = circuit.ceremony_key_with(path, &Control::new().progress(follow(&bar)));
                bar.finish_and_clear();
                let key = key?;
                let KeyOrigin::Ceremony { contributions } = key.origin() else {
                    return Err(Failure::failed("expected a ceremony's key, got another"));
                };
                let origin = Origin::Ceremony(contributions);
                let load_seconds = Some(start.elapsed().as_secs_f64());
                Ok(Key { key, origin, setup_seconds: None, load_seconds })
            }
        }
    }
}

/// Whether the folder has the proving and the verifying key.
///
/// # Errors
/// Where it has the verifying key alone: someone may have registered it, and a
/// new one in its place would be the key of no proof that was made before.
fn halves(folder: &Path) -> Result<[bool; 2], Failure> {
    let there = |name: &str| {
        let path = folder.join(name);
        // A link to nowhere is there, too.
        match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
            Err(error) => Err(files::cannot_read(&path)(error)),
        }
    };
    match [there(PROVING)?, there(VERIFYING)?] {
        [false, true] => Err(Failure::in_file(&folder.join(VERIFYING))(
            &"expected proving.key beside it, got a verifying key alone; put its proving.key \
              there, or name another folder with --keys",
        )),
        both => Ok(both),
    }
}

/// Compares the verifying key's file with the proving key beside it.
fn check_verifying(path: &Path, proving: &ProvingKey) -> Result<(), Failure> {
    let purpose = proving.circuit().key_identity()?.purpose;
    let (header, _) = read_verifying_key(path, &purpose)?;
    let (expected, got) = (proving.verifying_key().digest(), header.verifying_key);
    if expected == got {
        return Ok(());
    }
    let why = format!(
        "expected the key {expected} of proving.key beside it, got {got}; move it away, and \
         `poai prove --keys` writes the right one"
    );
    Err(Failure::in_file(path)(&why))
}

fn in_folder(folder: &Path, circuit: &Circuit, estimate: &Estimate) -> Result<Key, Failure> {
    let (path, beside) = (folder.join(PROVING), folder.join(VERIFYING));
    let [proving, verifying] = halves(folder)?;
    if proving {
        let start = Instant::now();
        let bar = bar_of_bytes("reading the key");
        let key = circuit.load_key_with(&path, &Control::new().progress(follow(&bar)));
        bar.finish_and_clear();
        let load_seconds = Some(start.elapsed().as_secs_f64());
        let key = key?;
        match verifying {
            true => check_verifying(&beside, &key)?,
            false => key.save_verifying_key(&beside)?,
        }
        let origin = Origin::Read(key.origin());
        return Ok(Key { key, origin, setup_seconds: None, load_seconds });
    }
    let made = make(circuit, estimate)?;
    std::fs::create_dir_all(folder).map_err(files::cannot_write(folder))?;
    // The proving key comes first: if it is alone, the other is written again.
    let bar = bar_of_bytes("writing the key");
    let written = made.key.save_with(&path, &Control::new().progress(follow(&bar)));
    bar.finish_and_clear();
    written?;
    made.key.save_verifying_key(&beside)?;
    Ok(made)
}

fn make(circuit: &Circuit, estimate: &Estimate) -> Result<Key, Failure> {
    let waiting = spinner("making a single-party key", estimate.setup_seconds);
    let start = Instant::now();
    let key = circuit.insecure_single_party_key();
    waiting.finish_and_clear();
    let setup_seconds = Some(start.elapsed().as_secs_f64());
    Ok(Key { key: key?, origin: Origin::Made, setup_seconds, load_seconds: None })
}
