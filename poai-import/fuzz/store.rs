//! Reads a network's two files after arbitrary changes. A network that is read
//! has the constants that its program names, and is written as the same bytes.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_import::store::{CONSTANTS_FILE, PROGRAM_FILE, load, save};
use poai_testing::layers;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

struct Files {
    /// Folders of the altered files, and of the files written again.
    altered: TempDir,
    again: TempDir,
    /// The honest program and constants.
    honest: [Vec<u8>; 2],
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    save(&layers::mlp(3), directory.path()).unwrap();
    let honest = [PROGRAM_FILE, CONSTANTS_FILE];
    let honest = honest.map(|name| fs::read(directory.path().join(name)).unwrap());
    Files { altered: directory, again: TempDir::new().unwrap(), honest }
});

#[derive(Arbitrary, Debug, Default)]
struct Change {
    bits: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
}

impl Change {
    fn of(&self, honest: &[u8]) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        for (at, mask) in &self.bits {
            let at = usize::from(*at) % bytes.len();
            bytes[at] ^= mask;
        }
        bytes.truncate(self.cut.map_or(bytes.len(), usize::from));
        bytes.extend(&self.add);
        bytes
    }
}

fuzz_target!(|changes: [Change; 2]| {
    let Files { altered, again, honest } = &*FILES;
    for (name, (change, honest)) in
        [PROGRAM_FILE, CONSTANTS_FILE].iter().zip(changes.iter().zip(honest))
    {
        fs::write(altered.path().join(name), change.of(honest)).unwrap();
    }
    let Ok(network) = load(altered.path()) else { return };
    for (held, constant) in network.constants().iter().zip(network.program().constants()) {
        assert_eq!(held.tensor.root(), constant.root);
    }
    save(&network, again.path()).unwrap();
    let program = |directory: &TempDir| fs::read(directory.path().join(PROGRAM_FILE)).unwrap();
    assert_eq!(program(altered), program(again));
    assert_eq!(load(again.path()).unwrap().program(), network.program());
});
