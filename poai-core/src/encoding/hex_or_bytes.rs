//! Byte strings as hex in human-readable formats, as bytes in binary ones.

use alloc::vec::Vec;
use serde::{Deserializer, Serializer};

/// Serialises a byte string.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    serdect::slice::serialize_hex_lower_or_bin(&bytes, to)
}

/// Deserialises a byte string.
///
/// # Errors
/// The deserialiser's, or a text that is not hexadecimal.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    serdect::slice::deserialize_hex_or_bin_vec(from)
}

/// A list of 32-byte values, each as hex or as bytes.
pub(crate) mod chaining_values {
    use crate::digest::Root;
    use alloc::vec::Vec;
    use serde::{Deserialize, Deserializer, Serializer};

    // `Root` is any digest type here: they all serialise alike.
    pub(crate) fn serialize<S: Serializer>(values: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().copied().map(Root))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<[u8; 32]>, D::Error> {
        Ok(Vec::<Root>::deserialize(from)?.into_iter().map(|value| value.0).collect())
    }
}
