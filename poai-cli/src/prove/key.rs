//! The proving key: read, taken from a ceremony, or made by this process.

use crate::failure::Failure;
use crate::files;
use crate::terminal::{bar_of_bytes, follow, spinner};
use ark_bn254::Bn254;
use ark_groth16::ProvingKey;
use ark_std::rand::rngs::OsRng;
use poai::inference::WeightsVisibility;
use poai::prover::iden3::zkey::read_zkey;
use poai::prover::keys::{
    KeyHeader, KeyIdentity, KeyOrigin, KeyOwner, KeyPurpose, read_proving_key, read_verifying_key,
    write_proving_key, write_verifying_key,
};
use poai::prover::setup::insecure_single_party_setup;
use poai::prover::{Circuit, Estimate, Matrices};
use std::fs::File;
use std::io::{BufReader, ErrorKind};
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
    /// The points.
    pub key: ProvingKey<Bn254>,
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

    /// The key for a circuit with these matrices.
    ///
    /// # Errors
    /// [`Failure`]: a file that is not a key, or the key of something else.
    pub fn key(
        &self,
        circuit: &Circuit,
        matrices: &Matrices,
        estimate: &Estimate,
    ) -> Result<Key, Failure> {
        let start = Instant::now();
        match self {
            Source::New => make(matrices, estimate),
            Source::Folder(folder) => {
                in_folder(folder, &identity(circuit, matrices)?, || make(matrices, estimate))
            }
            Source::Ceremony(path) => {
                let file = BufReader::new(File::open(path).map_err(files::cannot_read(path))?);
                let waiting = spinner("checking the ceremony's key", None);
                let zkey = read_zkey(file, matrices);
                waiting.finish_and_clear();
                let zkey = zkey.map_err(|why| Failure::in_file(path)(&why))?;
                let origin = Origin::Ceremony(zkey.contributions);
                let load_seconds = Some(start.elapsed().as_secs_f64());
                Ok(Key { key: zkey.key, origin, setup_seconds: None, load_seconds })
            }
        }
    }
}

/// The identity of the circuit's key.
fn identity(circuit: &Circuit, matrices: &Matrices) -> Result<KeyIdentity, Failure> {
    let program = circuit.network().program();
    let visibility = circuit.layout().visibility();
    let owner = match visibility.weights {
        WeightsVisibility::Fixed => KeyOwner::Program(program.program_id()),
        WeightsVisibility::Committed => KeyOwner::Architecture(program.architecture_id()),
    };
    let purpose = KeyPurpose { owner, visibility, run: *circuit.run() };
    Ok(KeyIdentity::new(purpose, matrices)?)
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
fn check_verifying(path: &Path, proving: &KeyHeader) -> Result<(), Failure> {
    let (header, _) = read_verifying_key(path, &proving.identity.purpose)?;
    let (expected, got) = (proving.verifying_key, header.verifying_key);
    if expected == got {
        return Ok(());
    }
    let why = format!(
        "expected the key {expected} of proving.key beside it, got {got}; move it away, and \
         `poai prove --keys` writes the right one"
    );
    Err(Failure::in_file(path)(&why))
}

fn in_folder(
    folder: &Path,
    identity: &KeyIdentity,
    make: impl FnOnce() -> Result<Key, Failure>,
) -> Result<Key, Failure> {
    let (path, beside) = (folder.join(PROVING), folder.join(VERIFYING));
    let [proving, verifying] = halves(folder)?;
    if proving {
        let start = Instant::now();
        let bar = bar_of_bytes("reading the key");
        let key = read_proving_key(&path, identity, follow(&bar));
        bar.finish_and_clear();
        let load_seconds = Some(start.elapsed().as_secs_f64());
        let (header, key) = key?;
        match verifying {
            true => check_verifying(&beside, &header)?,
            false => {
                write_verifying_key(&beside, identity, header.origin, &key.vk)?;
            }
        }
        let origin = Origin::Read(header.origin);
        return Ok(Key { key, origin, setup_seconds: None, load_seconds });
    }
    let made = make()?;
    std::fs::create_dir_all(folder).map_err(files::cannot_write(folder))?;
    // The proving key comes first: if it is alone, the other is written again.
    let origin = KeyOrigin::SingleParty;
    let bar = bar_of_bytes("writing the key");
    let written = write_proving_key(&path, identity, origin, &made.key, follow(&bar));
    bar.finish_and_clear();
    written?;
    write_verifying_key(&beside, identity, origin, &made.key.vk)?;
    Ok(made)
}

fn make(matrices: &Matrices, estimate: &Estimate) -> Result<Key, Failure> {
    estimate.check_setup_memory()?;
    let waiting = spinner("making a single-party key", estimate.setup_seconds);
    let start = Instant::now();
    let key = insecure_single_party_setup(matrices, &mut OsRng);
    waiting.finish_and_clear();
    let setup_seconds = Some(start.elapsed().as_secs_f64());
    Ok(Key { key: key?, origin: Origin::Made, setup_seconds, load_seconds: None })
}
