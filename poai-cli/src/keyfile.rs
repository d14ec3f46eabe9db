//! Verifying keys in both of their files: the points alone, and the points with
//! a header that says what they are for.

use crate::failure::Failure;
use crate::files;
use poai::inference::VerifyingKey;
use poai::prover::keys::{self, KeyKind};
use std::path::Path;

/// What key files with a header start with.
const MAGIC: &[u8] = b"poai key";

/// A file that may be a key's.
pub enum Content {
    /// A key with a header. Only its start was read: the rest may be larger than
    /// what is read whole.
    Key,
    /// All bytes of another file, or of a key without a header.
    Other(Vec<u8>),
}

/// Reads a verifying key.
pub fn verifying(path: &Path) -> Result<VerifyingKey, Failure> {
    if let Content::Other(bytes) = content(path)? {
        return VerifyingKey::decode(&bytes).map_err(|why| Failure::in_file(path)(&why));
    }
    let header = keys::read_header(path)?;
    if header.kind != KeyKind::Verifying {
        let why = "expected a verifying key, got a proving key; name verifying.key beside it";
        return Err(Failure::in_file(path)(&why));
    }
    // Whatever the key is for: the caller names the file and so the purpose.
    let (_, key) = keys::read_verifying_key(path, &header.identity.purpose)?;
    let ark_groth16::VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1 } = key;
    Ok(VerifyingKey::new(alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1)?)
}

/// Reads a file that may be a key's. It is opened once: what was read of a pipe
/// is gone.
pub fn content(path: &Path) -> Result<Content, Failure> {
    let file = files::Start::read(path, MAGIC.len() as u64)?;
    if file.bytes() != MAGIC {
        return Ok(Content::Other(file.rest(files::FILE_MAX)?));
    }
    // Keys are read by their names, from the start.
    files::regular_len(path)?;
    Ok(Content::Key)
}
