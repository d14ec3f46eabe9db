//! Verifying keys in both kinds of file: the points alone, and the points after
//! a header that states their purpose.

use crate::failure::Failure;
use crate::files;
use poai::inference::VerifyingKey;
use poai::prover::keys::{self, KeyKind};
use std::path::Path;

/// The first bytes of key files with a header.
const MAGIC: &[u8] = b"poai key";

/// The content of a file that may hold a key.
pub enum Content {
    /// A key with a header. Only its start was read, because it may be larger
    /// than a file that is read whole.
    Key,
    /// All bytes of another file, or of a key without a header.
    Other(Vec<u8>),
}

/// Reads a verifying key.
pub fn verifying(path: &Path) -> Result<VerifyingKey, Failure> {
    if let Content::Other(bytes) = content(path)? {
        return VerifyingKey::from_bytes(&bytes).map_err(|why| Failure::in_file(path)(&why));
    }
    let header = keys::read_header(path)?;
    if header.kind != KeyKind::Verifying {
        let why = "expected a verifying key, got a proving key; name verifying.key beside it";
        return Err(Failure::in_file(path)(&why));
    }
    // The purpose in the header is not checked: the caller names the file, and
    // so its purpose.
    Ok(keys::read_verifying_key(path, &header.identity.purpose)?.1)
}

/// Reads a file that may hold a key. It is opened once, because bytes read from
/// a pipe cannot be read again.
pub fn content(path: &Path) -> Result<Content, Failure> {
    let file = files::Start::read(path, MAGIC.len() as u64)?;
    if file.bytes() != MAGIC {
        return Ok(Content::Other(file.rest(files::FILE_MAX)?));
    }
    // Keys are read by file name, from the start.
    files::regular_len(path)?;
    Ok(Content::Key)
}
