//! Key files.
use crate::{PEAK, alone};
use ark_bn254::{Bn254, G1Affine};
use ark_ec::AffineRepr;
use ark_groth16::ProvingKey;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::digest::{ArchitectureId, ProgramId};
use poai_core::inference::{PointError, TensorVisibility, Visibility, WeightsVisibility};
use poai_core::program::RunShape;
use poai_core::{Cancel, Control, Progress};
use poai_prover::internal::{
    Matrices, insecure_single_party_setup, read_proving_key, verifying_key, write_proving_key,
    write_verifying_key,
};
use poai_prover::keys::{
    ConstraintDigest, KeyError, KeyField, KeyHeader, KeyIdentity, KeyKind, KeyOrigin, KeyOwner,
    KeyProblem, KeyPurpose, read_header, read_verifying_key,
};
use poai_testing::chain::{Chain, chain, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const PURPOSE: KeyPurpose = KeyPurpose {
    owner: KeyOwner::Program(ProgramId([7; 32])),
    visibility: Visibility {
        input: TensorVisibility::Hashed,
        output: TensorVisibility::Hashed,
        weights: WeightsVisibility::Fixed,
    },
    run: RunShape::new(3, 1),
};
const ORIGIN: KeyOrigin = KeyOrigin::SingleParty;
const HEADER: usize = 140;

/// A key's files in their own directory.
struct Files {
    directory: TempDir,
    chain: Chain,
    identity: KeyIdentity,
    key: ProvingKey<Bn254>,
}

impl Files {
    fn new() -> Self {
        let chain = chain(5, 3, 11);
        let mut rng = StdRng::seed_from_u64(3);
        let key = insecure_single_party_setup(&chain.matrices, &mut rng).unwrap();
        let identity = KeyIdentity::new(PURPOSE, &chain.matrices).unwrap();
        let files = Self { directory: TempDir::new().unwrap(), chain, identity, key };
        write_proving_key(&files.proving(), &identity, ORIGIN, &files.key, &Control::new())
            .unwrap();
        write_verifying_key(&files.verifying(), &identity, ORIGIN, &files.key.vk).unwrap();
        files
    }

    fn proving(&self) -> PathBuf {
        self.directory.path().join("proving.key")
    }

    fn verifying(&self) -> PathBuf {
        self.directory.path().join("verifying.key")
    }

    fn read(&self) -> Result<ProvingKey<Bn254>, KeyProblem> {
        self.read_for(&self.identity)
    }

    fn read_for(&self, identity: &KeyIdentity) -> Result<ProvingKey<Bn254>, KeyProblem> {
        read_proving_key(&self.proving(), identity, &Control::new()).map(|read| read.1).map_err(why)
    }

    /// Reads the proving key's file with other bytes.
    fn read_bytes(&self, bytes: &[u8]) -> Result<ProvingKey<Bn254>, KeyProblem> {
        fs::write(self.proving(), bytes).unwrap();
        self.read()
    }
}

fn why(error: KeyError) -> KeyProblem {
    match error {
        KeyError::File { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

/// Replaces the hash with that of the bytes before it.
fn rehash(bytes: &mut [u8]) {
    let body = bytes.len() - 32;
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 key file");
    hasher.update(&bytes[..body]);
    bytes[body..].copy_from_slice(hasher.finalize().as_bytes());
}

#[test]
fn keys_come_back() {
    let _alone = alone();
    let files = Files::new();
    let key = files.read().unwrap();
    assert_eq!(key, files.key);
    let digest = verifying_key(&key.vk).unwrap().digest();
    let (header, verifying) = read_verifying_key(&files.verifying(), &PURPOSE).unwrap();
    assert_eq!(verifying, verifying_key(&key.vk).unwrap());
    let expected = KeyHeader {
        kind: KeyKind::Verifying,
        identity: files.identity,
        verifying_key: digest,
        origin: ORIGIN,
    };
    assert_eq!(header, expected);
    let expected = KeyHeader { kind: KeyKind::Proving, ..expected };
    assert_eq!(read_header(&files.proving()).unwrap(), expected);
    let proof = files.chain.prove(&key, &mut StdRng::seed_from_u64(4));
    assert!(verify(&key.vk, files.chain.signals(), &proof));
    // 8 variables, 3 instances, 8 points of the domain.
    let points = 64 * (1 + 3 + 2 + 2 * 8 + 8 + 5) + 128 * (3 + 8);
    assert_eq!(fs::metadata(files.proving()).unwrap().len(), HEADER as u64 + points + 32);
    let points = 64 * (1 + 3) + 128 * 3;
    assert_eq!(fs::metadata(files.verifying()).unwrap().len(), HEADER as u64 + points + 32);
}

#[test]
fn a_larger_key_comes_back_in_parts() {
    let _alone = alone();
    // More points than are read at a time.
    let files = Files::new();
    let rows = 20_000;
    let point = |at: usize| (G1Affine::generator() * ark_bn254::Fr::from(at as u64 + 1)).into();
    let mut key = files.key.clone();
    let mut identity = files.identity;
    (identity.variables, identity.domain) = (rows, 1 << 15);
    key.a_query = (0..rows as usize).map(point).collect();
    key.b_g1_query = key.a_query.iter().rev().copied().collect();
    key.b_g2_query = vec![key.vk.delta_g2; rows as usize];
    key.h_query = vec![key.delta_g1; 1 << 15];
    key.l_query = key.a_query[3..].to_vec();
    let path = files.proving();
    let seen = Arc::new(Mutex::new(vec![]));
    let control = || {
        let seen = seen.clone();
        Control::new().progress(move |progress| seen.lock().unwrap().push(progress))
    };
    let check = |bytes: u64| {
        let calls = std::mem::take(&mut *seen.lock().unwrap());
        assert!(calls.len() > 10);
        assert!(calls.windows(2).all(|pair| pair[0].done <= pair[1].done));
        assert!(calls.iter().all(|call| call.total == bytes));
        assert_eq!(calls.last().unwrap().done, bytes);
    };
    write_proving_key(&path, &identity, ORIGIN, &key, &control()).unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    check(bytes);
    assert_eq!(read_proving_key(&path, &identity, &control()).unwrap().1, key);
    check(bytes);
    // Both stop in the middle, and a file that was not written whole is not
    // there.
    let cancelled = || {
        let cancel = Cancel::new();
        let switch = cancel.clone();
        let half = move |progress: Progress| {
            assert!(progress.done < progress.total);
            if progress.done > progress.total / 2 {
                switch.cancel();
            }
        };
        Control::new().cancel(&cancel).progress(half)
    };
    let stopped = read_proving_key(&path, &identity, &cancelled());
    assert!(matches!(stopped, Err(KeyError::Cancelled(_))));
    let other = files.directory.path().join("other.key");
    let stopped = write_proving_key(&other, &identity, ORIGIN, &key, &cancelled());
    assert!(matches!(stopped, Err(KeyError::Cancelled(_))) && !other.exists());
}

#[test]
fn a_wrong_key_is_named_by_the_field_that_differs() {
    let _alone = alone();
    let files = Files::new();
    let field = |change: &dyn Fn(&mut KeyIdentity)| {
        let mut identity = files.identity;
        change(&mut identity);
        match files.read_for(&identity) {
            Err(KeyProblem::Differs { field, expected, got }) => {
                assert_ne!(expected, got);
                field
            }
            other => panic!("{other:?}"),
        }
    };
    let owner = |owner| KeyPurpose { owner, ..PURPOSE };
    let other = owner(KeyOwner::Program(ProgramId([8; 32])));
    assert_eq!(field(&|wanted| wanted.purpose = other), KeyField::Owner);
    // An architecture with the program's id.
    let architecture = owner(KeyOwner::Architecture(ArchitectureId([7; 32])));
    assert_eq!(field(&|wanted| wanted.purpose = architecture), KeyField::Owner);
    let shown = KeyPurpose { visibility: Visibility::PUBLIC, ..PURPOSE };
    assert_eq!(field(&|wanted| wanted.purpose = shown), KeyField::Visibility);
    let [batch, sequence] = [(4, 1), (3, 2)]
        .map(|(batch, sequence)| KeyPurpose { run: RunShape::new(batch, sequence), ..PURPOSE });
    assert_eq!(field(&|wanted| wanted.purpose = batch), KeyField::Run);
    assert_eq!(field(&|wanted| wanted.purpose = sequence), KeyField::Run);
    let constraints = ConstraintDigest([1; 32]);
    assert_eq!(field(&|wanted| wanted.constraints = constraints), KeyField::Constraints);
    assert_eq!(field(&|wanted| wanted.signals += 1), KeyField::Signals);
    assert_eq!(field(&|wanted| wanted.variables += 1), KeyField::Variables);
    assert_eq!(field(&|wanted| wanted.domain *= 2), KeyField::Domain);
    // One half of the key in the place of the other.
    let kind = |result: Result<(), KeyError>| match result.map_err(why) {
        Err(KeyProblem::Differs { field: KeyField::Kind, expected, got }) => (expected, got),
        other => panic!("{other:?}"),
    };
    let proving = read_proving_key(&files.verifying(), &files.identity, &Control::new()).map(drop);
    assert_eq!(kind(proving), ("proving".to_owned(), "verifying".to_owned()));
    let verifying = read_verifying_key(&files.proving(), &PURPOSE).map(drop);
    assert_eq!(kind(verifying), ("verifying".to_owned(), "proving".to_owned()));
    // Errors state in words what a key is for.
    for (purpose, expected) in [
        (architecture, "expected owner architecture 0707"),
        (
            shown,
            "expected visibility input=public,output=public,weights=fixed, got \
             input=hashed,output=hashed,weights=fixed; take another key",
        ),
        (batch, "expected run batch 4, sequence 1, got batch 3, sequence 1; take another key"),
    ] {
        let error = read_verifying_key(&files.verifying(), &purpose).unwrap_err().to_string();
        assert!(error.contains(&format!("a key for something else: {expected}")), "{error}");
    }
}

/// A file states whether a ceremony made its key, for either half.
#[test]
fn a_files_origin_comes_back() {
    let _alone = alone();
    let files = Files::new();
    assert_eq!(read_header(&files.proving()).unwrap().origin, KeyOrigin::SingleParty);
    for contributions in [1, 3, u32::MAX] {
        let contributions = contributions.try_into().unwrap();
        let origin = KeyOrigin::Ceremony { contributions };
        let Files { identity, key, .. } = &files;
        write_proving_key(&files.proving(), identity, origin, key, &Control::new()).unwrap();
        let (header, _) = read_proving_key(&files.proving(), identity, &Control::new()).unwrap();
        assert_eq!(header.origin, origin);
        write_verifying_key(&files.verifying(), identity, origin, &key.vk).unwrap();
        assert_eq!(read_verifying_key(&files.verifying(), &PURPOSE).unwrap().0.origin, origin);
        let said = format!("a ceremony of {contributions} contributions");
        assert_eq!(origin.to_string(), said);
    }
}

/// Version 1 had a header that was 12 bytes shorter. Neither version is read as
/// the other.
#[test]
fn files_of_version_1_are_refused() {
    let _alone = alone();
    let files = Files::new();
    let whole = fs::read(files.proving()).unwrap();
    let mut old = whole[..128].to_vec();
    old[8] = 1;
    old.extend(&whole[HEADER..]);
    rehash(&mut old);
    for bytes in [old, [&whole[..8], &[1, 0], &whole[10..]].concat()] {
        let error = files.read_bytes(&bytes).unwrap_err();
        assert!(matches!(error, KeyProblem::Version { expected: 2, got: 1 }), "{error}");
        let text = "expected a key file of version 2, got version 1; make the key again";
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(read_header(&files.proving()).is_err());
    }
}

#[test]
fn a_cut_file_is_refused() {
    let _alone = alone();
    let files = Files::new();
    for (path, read) in [
        (files.proving(), &(|| files.read().map(drop)) as &dyn Fn() -> Result<(), KeyProblem>),
        (files.verifying(), &|| {
            read_verifying_key(&files.verifying(), &PURPOSE).map(drop).map_err(why)
        }),
    ] {
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            match read() {
                Err(KeyProblem::NotAKey) => assert!(length < HEADER),
                Err(KeyProblem::Length { expected, got }) => {
                    assert!(length >= HEADER);
                    assert_eq!((expected, got), (whole.len() as u64, length as u64));
                }
                other => panic!("{length} bytes: {other:?}"),
            }
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(matches!(read(), Err(KeyProblem::Length { .. })));
    }
}

#[test]
fn no_byte_can_change_a_key() {
    let _alone = alone();
    let files = Files::new();
    let whole = fs::read(files.proving()).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = files.read_bytes(&bytes).unwrap_err();
        // The hash covers the verifying key's digest, but the identity does not
        // contain it.
        let hashed = at >= whole.len() - 32 || (80..112).contains(&at);
        assert!(!hashed || matches!(error, KeyProblem::Damaged), "byte {at}: {error}");
    }
    let whole = fs::read(files.verifying()).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(files.verifying(), bytes).unwrap();
        let read = read_verifying_key(&files.verifying(), &PURPOSE);
        assert!(read.is_err(), "byte {at}");
    }
}

#[test]
fn what_the_header_says_is_checked() {
    let _alone = alone();
    let files = Files::new();
    let whole = fs::read(files.proving()).unwrap();
    let error = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        files.read_bytes(&bytes).unwrap_err()
    };
    assert!(matches!(error(0, b'q'), KeyProblem::NotAKey));
    for (at, expected) in [
        (10, KeyField::Curve),
        (11, KeyField::Kind),
        (12, KeyField::OwnerKind),
        (13, KeyField::Visibility),
    ] {
        let error = error(at, 0x29);
        assert!(
            matches!(error, KeyProblem::Unknown { field, got: 0x29 } if field == expected),
            "{at}: {error}"
        );
    }
    assert!(matches!(error(8, 9), KeyProblem::Version { expected: 2, got: 9 }));
    let mut zkey = include_bytes!("../../../test_vectors/ceremony/final.zkey").to_vec();
    assert!(matches!(files.read_bytes(&zkey), Err(KeyProblem::NotAKey)));
    zkey.truncate(3);
    assert!(matches!(files.read_bytes(&zkey), Err(KeyProblem::NotAKey)));
}

#[test]
fn claims_of_size_allocate_nothing() {
    let _alone = alone();
    let files = Files::new();
    let whole = fs::read(files.proving()).unwrap();
    PEAK.reset_peak_usage();
    let before = PEAK.current_usage();
    for at in [112, 120] {
        for claim in [u64::MAX, u64::MAX / 64, u64::MAX / 128, 1 << 40, 0] {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(&claim.to_le_bytes());
            let error = files.read_bytes(&bytes).unwrap_err();
            let sized = matches!(
                error,
                KeyProblem::Length { .. } | KeyProblem::Unknown { field: KeyField::Variables, .. }
            );
            assert!(sized, "{at}, {claim}: {error}");
        }
    }
    let most = PEAK.peak_usage() - before;
    assert!(most < 1 << 20, "{most} bytes");
}

#[test]
fn points_are_checked_under_a_right_hash() {
    let _alone = alone();
    let files = Files::new();
    let whole = fs::read(files.proving()).unwrap();
    let refused = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        rehash(&mut bytes);
        files.read_bytes(&bytes).unwrap_err()
    };
    // The first points of the parts, in the file's order.
    let parts: [(&str, usize, usize); 12] = [
        ("α", 64, 1),
        ("β in G2", 128, 1),
        ("γ", 128, 1),
        ("δ in G2", 128, 1),
        ("signals", 64, 3),
        ("β", 64, 1),
        ("δ", 64, 1),
        ("A", 64, 8),
        ("B", 64, 8),
        ("B in G2", 128, 8),
        ("the quotient", 64, 8),
        ("witnesses", 64, 5),
    ];
    let mut at = HEADER;
    for (name, bytes, points) in parts {
        let last = at + (points - 1) * bytes;
        let off = refused(&|file| file[last..last + bytes].fill(1));
        assert!(
            matches!(off, KeyProblem::Point { part, index, why: PointError::Curve }
                if part == name && index == points - 1),
            "{name}: {off}"
        );
        let large = refused(&|file| file[last..last + bytes].fill(0xff));
        assert!(matches!(large, KeyProblem::Point { why: PointError::Encoding, .. }), "{name}");
        if points == 1 || name == "signals" {
            let infinity = refused(&|file| file[last..last + bytes].fill(0));
            assert!(
                matches!(infinity, KeyProblem::Point { why: PointError::Infinity, .. }),
                "{name}"
            );
        }
        at += bytes * points;
    }
    assert_eq!(at, whole.len() - 32);
}

#[test]
fn the_header_names_the_verifying_key_that_follows() {
    let _alone = alone();
    let files = Files::new();
    let whole = fs::read(files.proving()).unwrap();
    let mut bytes = whole.clone();
    bytes[80] ^= 1;
    rehash(&mut bytes);
    let error = files.read_bytes(&bytes).unwrap_err();
    let field = KeyField::VerifyingKey;
    assert!(matches!(error, KeyProblem::Differs { field: got, .. } if got == field), "{error}");
    // For an unchanged file, the hash made here is the file's.
    let mut same = whole.clone();
    rehash(&mut same);
    assert_eq!(same, whole);
    // Queries may hold infinity, because a variable need not be in every
    // matrix. If the hash is right, the key is what its writer wrote.
    let a = HEADER + 64 * (1 + 3 + 2) + 128 * 3;
    let mut bytes = whole;
    bytes[a..a + 64].fill(0);
    rehash(&mut bytes);
    assert!(files.read_bytes(&bytes).unwrap().a_query[0].is_zero());
}

#[test]
fn a_key_that_is_not_written_leaves_the_old_one() {
    let _alone = alone();
    let files = Files::new();
    let part = |change: &dyn Fn(&mut ProvingKey<Bn254>)| {
        let mut key = files.key.clone();
        change(&mut key);
        let written =
            write_proving_key(&files.proving(), &files.identity, ORIGIN, &key, &Control::new());
        match written.map_err(why) {
            Err(KeyProblem::Points { part, .. }) => part,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(part(&|key| key.vk.gamma_abc_g1.truncate(1)), "signals");
    assert_eq!(part(&|key| key.a_query.truncate(1)), "A");
    assert_eq!(part(&|key| key.b_g1_query.truncate(1)), "B");
    assert_eq!(part(&|key| key.b_g2_query.truncate(1)), "B in G2");
    assert_eq!(part(&|key| key.h_query.truncate(1)), "the quotient");
    assert_eq!(part(&|key| key.l_query.truncate(1)), "witnesses");
    assert_eq!(files.read().unwrap(), files.key);
    let names = fs::read_dir(files.directory.path()).unwrap().count();
    assert_eq!(names, 2, "nothing else is left in the directory");
    let nowhere = files.directory.path().join("missing/proving.key");
    let written = write_proving_key(&nowhere, &files.identity, ORIGIN, &files.key, &Control::new());
    let error = written.unwrap_err();
    let at = |path: &Path| path == nowhere;
    assert!(matches!(&error, KeyError::File { path, source: KeyProblem::Io(_) } if at(path)));
    let error = read_proving_key(Path::new("missing.key"), &files.identity, &Control::new());
    assert!(matches!(error.map_err(why), Err(KeyProblem::Io(_))));
}

#[test]
fn identities_are_of_systems_that_can_have_keys() {
    let _alone = alone();
    let mut matrices = chain(70_000, 3, 11).matrices;
    matrices.signals = 1 << 16;
    let many = KeyIdentity::new(PURPOSE, &matrices);
    assert!(matches!(many, Err(KeyProblem::Unknown { field: KeyField::Signals, got: 0x1_0000 })));
    let none = KeyIdentity::new(PURPOSE, &Matrices::default());
    assert!(matches!(none, Err(KeyProblem::Matrices(_))));
}
