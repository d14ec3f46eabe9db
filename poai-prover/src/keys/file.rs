//! Writing and reading of key files.

use super::header::{HEADER_BYTES, digest, same};
use super::{
    KeyError, KeyField, KeyHeader, KeyIdentity, KeyKind, KeyOrigin, KeyProblem, KeyPurpose,
};
use crate::points::{self, Encoded, ReadError, Subgroup};
use crate::verifying;
use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_groth16::ProvingKey;
use poai_core::Control;
use poai_core::inference::{PointError, VerifyingKey, VerifyingKeyDigest};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const HASH_BYTES: usize = 32;

type ArkVerifyingKey = ark_groth16::VerifyingKey<Bn254>;

/// Writes a proving key, and returns the digest of its verifying key.
///
/// `origin` is what the file states about who made it. Use [`KeyOrigin::Ceremony`] only for a key
/// of [`read_zkey`](crate::iden3::zkey::read_zkey). The unit of progress is a byte.
///
/// # Errors
/// [`KeyError`] if the file cannot be written, or if the key has other numbers of points than
/// `identity` implies.
pub fn write_proving_key(
    path: &Path,
    identity: &KeyIdentity,
    origin: KeyOrigin,
    key: &ProvingKey<Bn254>,
    control: &Control,
) -> Result<VerifyingKeyDigest, KeyError> {
    let parts = Parts::of(identity);
    located(path, control, || {
        parts.check_verifying(&key.vk)?;
        parts.check_proving(key)?;
        let verifying_key = digest(&key.vk)?;
        let (kind, identity) = (KeyKind::Proving, *identity);
        let header = KeyHeader { kind, identity, verifying_key, origin };
        write_file(path, &header, &parts, control, |to| {
            put_verifying(to, &key.vk)?;
            points::write(to, &[key.beta_g1, key.delta_g1])?;
            points::write(to, &key.a_query)?;
            points::write(to, &key.b_g1_query)?;
            points::write(to, &key.b_g2_query)?;
            points::write(to, &key.h_query)?;
            points::write(to, &key.l_query)
        })?;
        Ok(verifying_key)
    })
}

/// Writes a verifying key, and returns its digest.
///
/// # Errors
/// As for [`write_proving_key`].
pub fn write_verifying_key(
    path: &Path,
    identity: &KeyIdentity,
    origin: KeyOrigin,
    key: &ArkVerifyingKey,
) -> Result<VerifyingKeyDigest, KeyError> {
    let parts = Parts::of(identity);
    located(path, &Control::new(), || {
        parts.check_verifying(key)?;
        let verifying_key = digest(key)?;
        let (kind, identity) = (KeyKind::Verifying, *identity);
        let header = KeyHeader { kind, identity, verifying_key, origin };
        write_file(path, &header, &parts, &Control::new(), |to| put_verifying(to, key))?;
        Ok(verifying_key)
    })
}

/// Reads the header of a key file, and checks the file's length.
///
/// # Errors
/// [`KeyError`] if the file is not a key, or is truncated.
pub fn read_header(path: &Path) -> Result<KeyHeader, KeyError> {
    located(path, &Control::new(), || Ok(open(path)?.1))
}

/// Reads a proving key for an identity, and the header of its file.
///
/// The unit of progress is a byte.
///
/// # Errors
/// [`KeyError`] if the file is not a whole key, or if the key is for something else:
/// [`KeyProblem::Differs`] names the field.
pub fn read_proving_key(
    path: &Path,
    identity: &KeyIdentity,
    control: &Control,
) -> Result<(KeyHeader, ProvingKey<Bn254>), KeyError> {
    located(path, control, || {
        let (file, header) = open(path)?;
        header.expect(KeyKind::Proving, identity)?;
        let parts = Parts::of(&header.identity);
        let mut from = Hashed::new(file, &header, parts.file_bytes(header.kind)?, control);
        let vk = from.verifying(&parts)?;
        let key = ProvingKey {
            vk,
            beta_g1: from.one("β")?,
            delta_g1: from.one("δ")?,
            a_query: from.points("A", parts.variables, Subgroup::Skip)?,
            b_g1_query: from.points("B", parts.variables, Subgroup::Skip)?,
            b_g2_query: from.points("B in G2", parts.variables, Subgroup::Skip)?,
            h_query: from.points("the quotient", parts.domain, Subgroup::Skip)?,
            l_query: from.points("witnesses", parts.witnesses, Subgroup::Skip)?,
        };
        from.finish()?;
        same(KeyField::VerifyingKey, &header.verifying_key, &digest(&key.vk)?)?;
        Ok((header, key))
    })
}

/// Reads a verifying key for a purpose, and the header of its file, which
/// [`ProvingKey::save_verifying_key`](super::ProvingKey::save_verifying_key)
/// wrote.
///
/// # Errors
/// [`KeyError::File`] if the file is no verifying key, is for another purpose,
/// or is damaged.
pub fn read_verifying_key(
    path: &Path,
    purpose: &KeyPurpose,
) -> Result<(KeyHeader, VerifyingKey), KeyError> {
    located(path, &Control::new(), || {
        let (file, header) = open(path)?;
        header.expect_use(KeyKind::Verifying, purpose)?;
        let parts = Parts::of(&header.identity);
        let silent = Control::new();
        let mut from = Hashed::new(file, &header, parts.file_bytes(header.kind)?, &silent);
        let key = from.verifying(&parts)?;
        from.finish()?;
        let key = verifying::checked(&key)?;
        same(KeyField::VerifyingKey, &header.verifying_key, &key.digest())?;
        Ok((header, key))
    })
}

/// The numbers of points that a header implies.
struct Parts {
    signals: u64,
    variables: u64,
    witnesses: u64,
    domain: u64,
}

impl Parts {
    fn of(identity: &KeyIdentity) -> Self {
        let signals = u64::from(identity.signals) + 1;
        let witnesses = identity.variables.saturating_sub(signals);
        Self { signals, variables: identity.variables, witnesses, domain: identity.domain }
    }

    /// Number of bytes of the whole file.
    fn file_bytes(&self, kind: KeyKind) -> Result<u64, KeyProblem> {
        let too_many = KeyProblem::Unknown { field: KeyField::Variables, got: self.variables };
        let (g1, g2) = match kind {
            KeyKind::Verifying => (Some(1 + self.signals), Some(3)),
            KeyKind::Proving => {
                let queries = self.variables.checked_mul(2);
                let queries = queries.and_then(|sum| sum.checked_add(self.domain));
                let queries = queries.and_then(|sum| sum.checked_add(self.witnesses));
                let g1 = queries.and_then(|sum| sum.checked_add(3 + self.signals));
                (g1, self.variables.checked_add(3))
            }
        };
        let bytes = |points: Option<u64>, each: usize| points?.checked_mul(each as u64);
        let body = bytes(g1, G1Affine::BYTES)
            .zip(bytes(g2, G2Affine::BYTES))
            .and_then(|(g1, g2)| g1.checked_add(g2))
            .and_then(|body| body.checked_add((HEADER_BYTES + HASH_BYTES) as u64));
        body.ok_or(too_many)
    }

    fn check_verifying(&self, key: &ArkVerifyingKey) -> Result<(), KeyProblem> {
        count("signals", self.signals, key.gamma_abc_g1.len())
    }

    fn check_proving(&self, key: &ProvingKey<Bn254>) -> Result<(), KeyProblem> {
        count("A", self.variables, key.a_query.len())?;
        count("B", self.variables, key.b_g1_query.len())?;
        count("B in G2", self.variables, key.b_g2_query.len())?;
        count("the quotient", self.domain, key.h_query.len())?;
        count("witnesses", self.witnesses, key.l_query.len())
    }
}

fn count(part: &'static str, expected: u64, got: usize) -> Result<(), KeyProblem> {
    match got as u64 {
        got if got == expected => Ok(()),
        got => Err(KeyProblem::Points { part, expected, got }),
    }
}

fn put_verifying(to: &mut impl Write, key: &ArkVerifyingKey) -> io::Result<()> {
    points::write(to, &[key.alpha_g1])?;
    points::write(to, &[key.beta_g2, key.gamma_g2, key.delta_g2])?;
    points::write(to, &key.gamma_abc_g1)
}

/// Opens a file, decodes its header, and checks its length.
fn open(path: &Path) -> Result<(File, KeyHeader), KeyProblem> {
    let mut file = File::open(path)?;
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => KeyProblem::NotAKey,
        _ => error.into(),
    })?;
    let header = KeyHeader::from_bytes(&bytes)?;
    let expected = Parts::of(&header.identity).file_bytes(header.kind)?;
    match file.metadata()?.len() {
        got if got == expected => Ok((file, header)),
        got => Err(KeyProblem::Length { expected, got }),
    }
}

/// Writes a temporary file in the same directory, then moves it to its place.
fn write_file(
    path: &Path,
    header: &KeyHeader,
    parts: &Parts,
    control: &Control,
    body: impl FnOnce(&mut Hashed<'_, &File>) -> io::Result<()>,
) -> Result<(), KeyProblem> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut options = tempfile::Builder::new();
    options.prefix(".poai-");
    // The umask decides who may read the file, as for any file.
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = options.tempfile_in(directory)?;
    let bytes = header.to_bytes();
    file.as_file().write_all(&bytes)?;
    let mut to = Hashed::new(file.as_file(), header, parts.file_bytes(header.kind)?, control);
    body(&mut to)?;
    let hash = *to.hasher.finalize().as_bytes();
    to.write_all(&hash)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A file after its header. Every byte is hashed, and reported as progress.
struct Hashed<'a, F> {
    file: F,
    hasher: blake3::Hasher,
    done: u64,
    total: u64,
    control: &'a Control,
}

impl<'a, F> Hashed<'a, F> {
    fn new(file: F, header: &KeyHeader, total: u64, control: &'a Control) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 key file");
        hasher.update(&header.to_bytes());
        let done = HEADER_BYTES as u64;
        control.report(done, total);
        Self { file, hasher, done, total, control }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update_rayon(bytes);
        self.done += bytes.len() as u64;
        self.control.report(self.done, self.total);
    }
}

impl<F: Write> Write for Hashed<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.check().map_err(io::Error::other)?;
        let written = self.file.write(bytes)?;
        self.pass(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<F: Read> Read for Hashed<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.control.check().map_err(io::Error::other)?;
        let read = self.file.read(into)?;
        self.pass(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<F: Read> Hashed<'_, F> {
    fn points<P: Encoded>(
        &mut self,
        part: &'static str,
        count: u64,
        subgroup: Subgroup,
    ) -> Result<Vec<P>, KeyProblem> {
        // The file has these points, but this machine may be unable to address
        // them.
        let overflow = |_| KeyProblem::Unknown { field: KeyField::Variables, got: count };
        let count = usize::try_from(count).map_err(overflow)?;
        points::read(self, count, subgroup).map_err(|error| match error {
            ReadError::Io(error) => error.into(),
            ReadError::Point { index, why } => KeyProblem::Point { part, index, why },
        })
    }

    fn one<P: Encoded>(&mut self, part: &'static str) -> Result<P, KeyProblem> {
        points::read_one(self).map_err(|error| match error {
            ReadError::Io(error) => error.into(),
            ReadError::Point { index, why } => KeyProblem::Point { part, index, why },
        })
    }

    fn verifying(&mut self, parts: &Parts) -> Result<ArkVerifyingKey, KeyProblem> {
        let key = ArkVerifyingKey {
            alpha_g1: self.one("α")?,
            beta_g2: self.one("β in G2")?,
            gamma_g2: self.one("γ")?,
            delta_g2: self.one("δ in G2")?,
            gamma_abc_g1: self.points("signals", parts.signals, Subgroup::Check)?,
        };
        match key.gamma_abc_g1.iter().position(AffineRepr::is_zero) {
            None => Ok(key),
            Some(index) => {
                let why = PointError::Infinity;
                Err(KeyProblem::Point { part: "signals", index, why })
            }
        }
    }

    /// Compares the hash of all bytes read with the hash that follows them.
    fn finish(&mut self) -> Result<(), KeyProblem> {
        let expected = *self.hasher.finalize().as_bytes();
        let mut got = [0; HASH_BYTES];
        self.read_exact(&mut got)?;
        // The length was checked when the file was opened.
        match got == expected {
            true => Ok(()),
            false => Err(KeyProblem::Damaged),
        }
    }
}

/// Adds the file to an error. A cancelled call fails as a file that cannot be
/// read, so the control decides which of the two it was.
fn located<T>(
    path: &Path,
    control: &Control,
    work: impl FnOnce() -> Result<T, KeyProblem>,
) -> Result<T, KeyError> {
    work().map_err(|source| match (&source, control.check()) {
        (KeyProblem::Io(_), Err(cancelled)) => cancelled.into(),
        _ => KeyError::File { path: path.to_owned(), source },
    })
}
