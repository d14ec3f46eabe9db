//! A key and a proof that several modules share, made once.

use crate::program::{object, path, poai};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The prover and the job that the proof is bound to.
pub const PROVER: &str = "0x00000000000000000000000000000000000000aa";
pub const JOB: &str = "abababababababababababababababababababababababababababababababab";

/// A folder with the single-party key of the bundled perceptron under the
/// default visibility, and the output of making it.
pub static KEYS: LazyLock<Made> = LazyLock::new(|| {
    let folder = fresh("keys");
    let said = object(&poai(&["prove", "--json", "--keys", folder.to_str().unwrap()]));
    Made { folder, said }
});

/// The files of `--out` for that key, revealed, and the output of making them.
pub static WRITTEN: LazyLock<Made> = LazyLock::new(|| {
    let folder = fresh("proof");
    let out = folder.to_str().unwrap();
    let arguments = ["--json", "--out", out, "--reveal", "--prover", PROVER, "--job", JOB];
    let keys = ["prove", "--keys", KEYS.folder.to_str().unwrap()];
    let said = object(&poai(&[&keys[..], &arguments].concat()));
    Made { folder, said }
});

/// A folder that the program made, and its output.
pub struct Made {
    pub folder: PathBuf,
    pub said: Value,
}

impl Made {
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> String {
        path(&self.folder, name)
    }
}

/// An empty place under target/. Statics are never dropped, so a temporary
/// folder would stay behind. The next run replaces this one.
fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    folder
}
