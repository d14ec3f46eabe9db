//! Reads a key file after any changes, also with its hash corrected afterwards.
//!
//! A key that is read has only the file's bytes. The reader allocates nothing for bytes that the
//! file lacks.
#![no_main]

use arbitrary::Arbitrary;
use ark_bn254::Bn254;
use ark_groth16::ProvingKey;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use libfuzzer_sys::fuzz_target;
use poai_core::Control;
use poai_core::digest::ProgramId;
use poai_core::inference::Visibility;
use poai_core::program::RunShape;
use poai_prover::internal::{
    insecure_single_party_setup, read_proving_key, verifying_points, write_proving_key,
    write_verifying_key,
};
use poai_prover::keys::{
    KeyIdentity, KeyOrigin, KeyOwner, KeyPurpose, read_header, read_verifying_key,
};
use poai_testing::chain;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

const PURPOSE: KeyPurpose = KeyPurpose {
    owner: KeyOwner::Program(ProgramId([7; 32])),
    visibility: Visibility::PUBLIC,
    run: RunShape::new(1, 1),
};
const HASH: usize = 32;

/// A directory, and the bytes of the honest proving and verifying key files.
struct Files {
    directory: TempDir,
    honest: [Vec<u8>; 2],
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let matrices = chain::chain(5, 3, 11).matrices;
    let key: ProvingKey<Bn254> =
        insecure_single_party_setup(&matrices, &mut StdRng::seed_from_u64(3)).unwrap();
    let identity = KeyIdentity::new(PURPOSE, &matrices).unwrap();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("honest.key");
    let origin = KeyOrigin::SingleParty;
    write_proving_key(&path, &identity, origin, &key, &Control::new()).unwrap();
    let proving = fs::read(&path).unwrap();
    write_verifying_key(&path, &identity, origin, &key.vk).unwrap();
    let honest = [proving, fs::read(&path).unwrap()];
    Files { directory, honest }
});

#[derive(Arbitrary, Debug)]
struct Input {
    verifying: bool,
    changes: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
    /// Whether to replace the hash with that of the changed bytes.
    rehash: bool,
}

impl Input {
    fn bytes(&self, honest: &[u8]) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        for (at, mask) in &self.changes {
            let at = usize::from(*at) % bytes.len();
            bytes[at] ^= mask;
        }
        bytes.truncate(self.cut.map_or(bytes.len(), usize::from));
        bytes.extend(&self.add);
        if let (true, Some(body)) = (self.rehash, bytes.len().checked_sub(HASH)) {
            let mut hasher = blake3::Hasher::new_derive_key("poai-1 key file");
            hasher.update(&bytes[..body]);
            bytes[body..].copy_from_slice(hasher.finalize().as_bytes());
        }
        bytes
    }
}

/// Writes the key that was read, and compares the bytes.
fn same_again(path: &Path, bytes: &[u8], write: impl FnOnce(&Path)) {
    let again: PathBuf = path.with_extension("again");
    write(&again);
    assert_eq!(fs::read(again).unwrap(), bytes);
}

fuzz_target!(|input: Input| {
    let Files { directory, honest } = &*FILES;
    let bytes = input.bytes(&honest[usize::from(input.verifying)]);
    let path = directory.path().join("fuzzed.key");
    fs::write(&path, &bytes).unwrap();
    let Ok(header) = read_header(&path) else {
        return;
    };
    if let Ok((read, key)) = read_proving_key(&path, &header.identity, &Control::new()) {
        assert_eq!(read, header);
        same_again(&path, &bytes, |path| {
            write_proving_key(path, &header.identity, header.origin, &key, &Control::new())
                .unwrap();
        });
    }
    if let Ok((read, key)) = read_verifying_key(&path, &header.identity.purpose) {
        assert_eq!(read, header);
        same_again(&path, &bytes, |path| {
            let points = verifying_points(&key);
            write_verifying_key(path, &header.identity, header.origin, &points).unwrap();
        });
    }
});
