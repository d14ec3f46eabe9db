//! The proving key: read, taken from a ceremony, or made here.

use crate::failure::Failure;
use ark_bn254::Bn254;
use ark_groth16::ProvingKey;
use ark_std::rand::rngs::OsRng;
use indicatif::{ProgressBar, ProgressStyle};
use poai_core::inference::WeightsVisibility;
use poai_prover::iden3::zkey::read_zkey;
use poai_prover::keys::{
    KeyIdentity, KeyOwner, read_proving_key, write_proving_key, write_verifying_key,
};
use poai_prover::setup::insecure_single_party_setup;
use poai_prover::{Circuit, Estimate, Matrices};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The files of `--keys`.
const PROVING: &str = "proving.key";
const VERIFYING: &str = "verifying.key";

/// Where the key comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made, and forgotten.
    New,
    /// A folder: read from there, or made and kept there.
    Folder(PathBuf),
    /// A ceremony's file.
    Ceremony(PathBuf),
}

/// Who may be able to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made in this process.
    Made,
    /// It was read from a folder, which does not say who made it.
    Read,
    /// A ceremony, of so many contributions.
    Ceremony(u32),
}

impl Origin {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Made => "single-party",
            Origin::Read => "file",
            Origin::Ceremony(_) => "ceremony",
        }
    }

    /// What it means.
    pub fn warning(self) -> String {
        match self {
            Origin::Made => "a single-party key: whoever made it, this process, can forge proofs \
                             of anything"
                .to_owned(),
            Origin::Read => "read from a file; if it was made by this example it is a \
                             single-party key, whose maker can forge proofs of anything"
                .to_owned(),
            Origin::Ceremony(count) => format!(
                "of a ceremony that says it had {count} contributions; `snarkjs zkey verify` \
                 checks them, this example does not"
            ),
        }
    }
}

/// A key.
pub struct Key {
    /// The points.
    pub key: ProvingKey<Bn254>,
    /// Where from.
    pub origin: Origin,
    /// Seconds that making it took.
    pub setup_seconds: Option<f64>,
    /// Seconds that reading it took.
    pub load_seconds: Option<f64>,
}

impl Source {
    /// The key for a circuit, whose matrices these are.
    ///
    /// # Errors
    /// [`Failure`]: a file that is no key, or the key of something else.
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
                let file = BufReader::new(File::open(path).map_err(Failure::io(path))?);
                let waiting = spinner("checking the ceremony's key", None);
                let zkey = read_zkey(file, matrices);
                waiting.finish_and_clear();
                let zkey = zkey.map_err(|source| Failure::Zkey { path: path.clone(), source })?;
                let origin = Origin::Ceremony(zkey.contributions);
                let load_seconds = Some(start.elapsed().as_secs_f64());
                Ok(Key { key: zkey.key, origin, setup_seconds: None, load_seconds })
            }
        }
    }
}

/// What a key of the circuit is for.
fn identity(circuit: &Circuit, matrices: &Matrices) -> Result<KeyIdentity, Failure> {
    let program = circuit.network().program();
    let visibility = circuit.layout().visibility();
    let owner = match visibility.weights {
        WeightsVisibility::Fixed => KeyOwner::Program(program.program_id()),
        WeightsVisibility::Committed => KeyOwner::Architecture(program.architecture_id()),
    };
    Ok(KeyIdentity::new(owner, visibility.encode(), matrices)?)
}

fn in_folder(
    folder: &Path,
    identity: &KeyIdentity,
    make: impl FnOnce() -> Result<Key, Failure>,
) -> Result<Key, Failure> {
    let path = folder.join(PROVING);
    if path.try_exists().map_err(Failure::io(&path))? {
        let start = Instant::now();
        let bar = bar("reading the key");
        let key = read_proving_key(&path, identity, told(&bar));
        bar.finish_and_clear();
        let load_seconds = Some(start.elapsed().as_secs_f64());
        return Ok(Key { key: key?, origin: Origin::Read, setup_seconds: None, load_seconds });
    }
    std::fs::create_dir_all(folder).map_err(Failure::io(folder))?;
    // A folder that takes no files says so before a key is made for it.
    tempfile::tempfile_in(folder).map_err(Failure::io(folder))?;
    let made = make()?;
    // The proving key last: where it is, both are.
    write_verifying_key(&folder.join(VERIFYING), identity, &made.key.vk)?;
    let bar = bar("writing the key");
    let written = write_proving_key(&path, identity, &made.key, told(&bar));
    bar.finish_and_clear();
    written?;
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

/// A bar of bytes on stderr, where that is a terminal.
fn bar(what: &'static str) -> ProgressBar {
    let style = "{msg} {bar:40} {bytes}/{total_bytes}, {eta} left";
    let style = ProgressStyle::with_template(style);
    let bar = ProgressBar::new(0).with_message(what);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn told(bar: &ProgressBar) -> impl FnMut(u64, u64) {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// For work that tells nothing of how far it is.
pub fn spinner(what: &str, expected: Option<f64>) -> ProgressBar {
    let message = match expected {
        Some(seconds) => format!("{what}, about {seconds:.1} s"),
        None => what.to_owned(),
    };
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
