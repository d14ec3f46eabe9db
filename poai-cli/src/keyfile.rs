//! Verifying keys in both of their files: the points alone, and the points with
//! a header that says what they are for.

use crate::failure::Failure;
use crate::files;
use poai::inference::VerifyingKey;
use poai::prover::keys::{self, KeyKind};
use std::path::Path;

/// What key files with a header start with.
const MAGIC: &[u8] = b"poai key";

/// Reads a verifying key.
pub fn verifying(path: &Path) -> Result<VerifyingKey, Failure> {
    if !starts_with_magic(path)? {
        let bytes = files::read(path, files::FILE_MAX)?;
        return VerifyingKey::decode(&bytes).map_err(|why| Failure::in_file(path)(&why));
    }
    let header = keys::read_header(path)?;
    if header.kind != KeyKind::Verifying {
        let why = "expected a verifying key, got a proving key; name verifying.key beside it";
        return Err(Failure::in_file(path)(&why));
    }
    // Whatever the key is for: the caller names the file and so the purpose.
    let (_, key) =
        keys::read_verifying_key(path, header.identity.owner, header.identity.visibility)?;
    let ark_groth16::VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1 } = key;
    Ok(VerifyingKey::new(alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1)?)
}

/// Whether the file has a header.
pub fn starts_with_magic(path: &Path) -> Result<bool, Failure> {
    use std::io::Read;
    let mut start = vec![];
    let file = std::fs::File::open(path).map_err(files::cannot_read(path))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(files::cannot_read(path))?;
    Ok(start == MAGIC)
}
