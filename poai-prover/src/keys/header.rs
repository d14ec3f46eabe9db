//! The header of a key file, which has 140 bytes. Numbers are little-endian.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0..8 | `poai key` |
//! | 8..10 | the version, 2 |
//! | 10 | the curve, 1 for BN254 |
//! | 11 | 0 for a proving key, 1 for a verifying key |
//! | 12 | 0 for a program, 1 for an architecture |
//! | 13 | the visibility |
//! | 14..16 | number of signals, without the one |
//! | 16..48 | the program's or architecture's id |
//! | 48..80 | the digest of the constraints |
//! | 80..112 | the digest of the verifying key |
//! | 112..120 | number of variables |
//! | 120..128 | number of points of the evaluation domain |
//! | 128..132 | the run's batch |
//! | 132..136 | the run's sequence |
//! | 136..140 | contributions of the key's ceremony; 0 for a single party |
//!
//! Version 1 had neither the run nor the contributions. Its files are rejected.

use super::KeyProblem;
use crate::matrices::{ConstraintDigest, Matrices};
use crate::verifying;
use ark_bn254::Bn254;
use ark_groth16::VerifyingKey;
use poai_core::digest::{ArchitectureId, ProgramId};
use poai_core::inference::{VerifyingKeyDigest, Visibility};
use poai_core::program::RunShape;
use std::fmt;
use std::num::NonZeroU32;

/// The first bytes of a key file.
const MAGIC: [u8; 8] = *b"poai key";
const VERSION: u16 = 2;
/// BN254 is the only curve.
const CURVE: u8 = 1;

/// Number of bytes of a header.
pub(super) const HEADER_BYTES: usize = 8 + 2 + 6 + 3 * 32 + 2 * 8 + 3 * 4;

/// A field of a key's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyField {
    /// Proving or verifying key.
    Kind,
    /// The curve.
    Curve,
    /// Whether a program or an architecture is named.
    OwnerKind,
    /// The program or the architecture.
    Owner,
    /// The visibility of input, output and weights.
    Visibility,
    /// The run: batch and sequence.
    Run,
    /// The digest of the constraints.
    Constraints,
    /// The digest of the verifying key.
    VerifyingKey,
    /// The number of signals.
    Signals,
    /// The number of variables.
    Variables,
    /// The points of the evaluation domain.
    Domain,
}

impl fmt::Display for KeyField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "kind",
            Self::Curve => "curve",
            Self::OwnerKind => "kind of owner",
            Self::Owner => "owner",
            Self::Visibility => "visibility",
            Self::Run => "run",
            Self::Constraints => "constraint digest",
            Self::VerifyingKey => "verifying key digest",
            Self::Signals => "number of signals",
            Self::Variables => "number of variables",
            Self::Domain => "domain",
        })
    }
}

/// Which half of a key a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The half that a prover needs, the verifying key included.
    Proving,
    /// The half that a verifier needs.
    Verifying,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proving => "proving",
            Self::Verifying => "verifying",
        })
    }
}

/// The program or the architecture that a key proves runs of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// One program: its weights are constants of the constraints.
    Program(ProgramId),
    /// Every program of an architecture that fits the circuit; weights are witnesses.
    ///
    /// The program must have the numbers (shifts, ranges, multipliers) that the circuit was made
    /// for, and fit its ranges of constants. The digest of the constraints identifies these numbers
    /// and ranges.
    Architecture(ArchitectureId),
}

impl KeyOwner {
    fn to_bytes(self) -> (u8, [u8; 32]) {
        match self {
            Self::Program(id) => (0, id.0),
            Self::Architecture(id) => (1, id.0),
        }
    }
}

impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(id) => write!(f, "program {id}"),
            Self::Architecture(id) => write!(f, "architecture {id}"),
        }
    }
}

/// The digest of a verifying key's points. Proofs name the key by it.
pub(super) fn digest(key: &VerifyingKey<Bn254>) -> Result<VerifyingKeyDigest, KeyProblem> {
    Ok(verifying::checked(key)?.digest())
}

/// Who made a key, as its file claims.
///
/// A party that can write a file can write either. The record of a ceremony is
/// its `.zkey` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// One party, which can forge proofs of anything.
    SingleParty,
    /// A ceremony that lists one or more contributions.
    Ceremony {
        /// Number of contributions, the beacon included.
        contributions: NonZeroU32,
    },
}

impl KeyOrigin {
    fn encode(self) -> u32 {
        match self {
            Self::SingleParty => 0,
            Self::Ceremony { contributions } => contributions.get(),
        }
    }

    fn from_bytes(contributions: u32) -> Self {
        let ceremony = |contributions| Self::Ceremony { contributions };
        NonZeroU32::new(contributions).map_or(Self::SingleParty, ceremony)
    }
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SingleParty => f.write_str("a single party"),
            Self::Ceremony { contributions } => {
                write!(f, "a ceremony of {contributions} contributions")
            }
        }
    }
}

/// What a key is for, in terms that a verifier knows without the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPurpose {
    /// The program or the architecture that the key proves runs of.
    pub owner: KeyOwner,
    /// The visibility of input, output and weights.
    pub visibility: Visibility,
    /// The run: a key is for one batch and one sequence.
    pub run: RunShape,
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, visibility, run } = self;
        write!(f, "{owner}, {visibility}, {}", Run(*run))
    }
}

/// Prints a run.
#[derive(PartialEq)]
struct Run(RunShape);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {}, sequence {}", self.0.batch, self.0.sequence)
    }
}

/// The purpose and the constraints of a key, by which a prover finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIdentity {
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// The digest of the constraints.
    pub constraints: ConstraintDigest,
    /// Number of signals, without the one.
    pub signals: u16,
    /// Number of variables: the one, the signals and the witnesses.
    pub variables: u64,
    /// Number of points of the evaluation domain.
    pub domain: u64,
}

impl KeyIdentity {
    /// The identity of keys for these constraints.
    ///
    /// # Errors
    /// - [`KeyProblem::Matrices`] if the matrices can have no key.
    /// - [`KeyProblem::Unknown`] if the number of signals does not fit 16 bits.
    pub(crate) fn of(
        purpose: KeyPurpose,
        matrices: &Matrices,
        constraints: ConstraintDigest,
    ) -> Result<Self, KeyProblem> {
        matrices.check()?;
        let signals = matrices.signals;
        let too_many = |_| KeyProblem::Unknown { field: KeyField::Signals, got: signals as u64 };
        Ok(Self {
            purpose,
            constraints,
            signals: u16::try_from(signals).map_err(too_many)?,
            variables: matrices.variables as u64,
            domain: matrices.domain()? as u64,
        })
    }
}

/// The header of a key's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    /// Which half of a key the file holds.
    pub kind: KeyKind,
    /// What the key is for.
    pub identity: KeyIdentity,
    /// The digest of the verifying key. For a proving key, that of its
    /// verifying half.
    pub verifying_key: VerifyingKeyDigest,
    /// Who made the key, as the file claims.
    pub origin: KeyOrigin,
}

impl KeyHeader {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let identity = &self.identity;
        let KeyPurpose { owner, visibility, run } = identity.purpose;
        let (owner_kind, owner) = owner.to_bytes();
        let kind = match self.kind {
            KeyKind::Proving => 0,
            KeyKind::Verifying => 1,
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[CURVE, kind, owner_kind, visibility.to_byte()]);
        bytes.extend_from_slice(&identity.signals.to_le_bytes());
        for digest in [owner, identity.constraints.0, self.verifying_key.0] {
            bytes.extend_from_slice(&digest);
        }
        bytes.extend_from_slice(&identity.variables.to_le_bytes());
        bytes.extend_from_slice(&identity.domain.to_le_bytes());
        for number in [run.batch, run.sequence, self.origin.encode()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    pub(super) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, KeyProblem> {
        let mut rest = bytes.as_slice();
        if take::<8>(&mut rest)? != MAGIC {
            return Err(KeyProblem::NotAKey);
        }
        let unknown = |field, got: u64| Err(KeyProblem::Unknown { field, got });
        let version = u16::from_le_bytes(take(&mut rest)?);
        if version != VERSION {
            return Err(KeyProblem::Version { expected: VERSION, got: version });
        }
        let [curve, kind, owner_kind, visibility] = take(&mut rest)?;
        let signals = u16::from_le_bytes(take(&mut rest)?);
        if curve != CURVE {
            return unknown(KeyField::Curve, curve.into());
        }
        let kind = match kind {
            0 => KeyKind::Proving,
            1 => KeyKind::Verifying,
            _ => return unknown(KeyField::Kind, kind.into()),
        };
        let byte = visibility;
        let Ok(visibility) = Visibility::from_byte(byte) else {
            return unknown(KeyField::Visibility, byte.into());
        };
        let owner = take(&mut rest)?;
        let owner = match owner_kind {
            0 => KeyOwner::Program(ProgramId(owner)),
            1 => KeyOwner::Architecture(ArchitectureId(owner)),
            _ => return unknown(KeyField::OwnerKind, owner_kind.into()),
        };
        let constraints = ConstraintDigest(take(&mut rest)?);
        let verifying_key = VerifyingKeyDigest(take(&mut rest)?);
        let variables = u64::from_le_bytes(take(&mut rest)?);
        let domain = u64::from_le_bytes(take(&mut rest)?);
        let batch = u32::from_le_bytes(take(&mut rest)?);
        let sequence = u32::from_le_bytes(take(&mut rest)?);
        let origin = KeyOrigin::from_bytes(u32::from_le_bytes(take(&mut rest)?));
        let purpose = KeyPurpose { owner, visibility, run: RunShape::new(batch, sequence) };
        let identity = KeyIdentity { purpose, constraints, signals, variables, domain };
        Ok(Self { kind, identity, verifying_key, origin })
    }

    /// Checks that this is a key of this kind and identity.
    pub(super) fn expect(&self, kind: KeyKind, identity: &KeyIdentity) -> Result<(), KeyProblem> {
        self.expect_use(kind, &identity.purpose)?;
        let (got, expected) = (&self.identity, identity);
        same(KeyField::Constraints, &expected.constraints, &got.constraints)?;
        same(KeyField::Signals, &expected.signals, &got.signals)?;
        same(KeyField::Variables, &expected.variables, &got.variables)?;
        same(KeyField::Domain, &expected.domain, &got.domain)
    }

    /// Checks only the kind and the purpose, which a verifier knows.
    pub(super) fn expect_use(
        &self,
        kind: KeyKind,
        expected: &KeyPurpose,
    ) -> Result<(), KeyProblem> {
        let got = &self.identity.purpose;
        same(KeyField::Kind, &kind, &self.kind)?;
        same(KeyField::Owner, &expected.owner, &got.owner)?;
        same(KeyField::Visibility, &expected.visibility, &got.visibility)?;
        same(KeyField::Run, &Run(expected.run), &Run(got.run))
    }
}

pub(super) fn same<T: PartialEq + fmt::Display>(
    field: KeyField,
    expected: &T,
    got: &T,
) -> Result<(), KeyProblem> {
    if expected == got {
        return Ok(());
    }
    let (expected, got) = (expected.to_string(), got.to_string());
    Err(KeyProblem::Differs { field, expected, got })
}

/// Takes the next bytes of a header.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], KeyProblem> {
    let (taken, left) = rest.split_first_chunk().ok_or(KeyProblem::NotAKey)?;
    *rest = left;
    Ok(*taken)
}
