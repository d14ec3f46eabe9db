//! Byte strings as hex in human-readable formats, and as bytes in binary ones.

use alloc::format;
use alloc::vec::Vec;
use serde::de::Error;
use serde::{Deserializer, Serializer};

/// Serialises a byte string.
///
/// # Errors
/// The serialiser's errors.
pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    serdect::slice::serialize_hex_lower_or_bin(&bytes, to)
}

/// Deserialises a byte string.
///
/// # Errors
/// The deserialiser's errors, or an error for text that is not hexadecimal.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    serdect::slice::deserialize_hex_or_bin_vec(from)
}

/// Serialises a byte string of a fixed length.
///
/// # Errors
/// The serialiser's errors.
pub(crate) fn serialize_array<const LEN: usize, S: Serializer>(
    bytes: &[u8; LEN],
    to: S,
) -> Result<S::Ok, S::Error> {
    serdect::array::serialize_hex_lower_or_bin(bytes, to)
}

/// Deserialises a byte string of a fixed length.
///
/// # Errors
/// The deserialiser's errors, or an error for text that is not hexadecimal or
/// bytes of another length.
pub(crate) fn deserialize_array<'de, const LEN: usize, D: Deserializer<'de>>(
    from: D,
) -> Result<[u8; LEN], D::Error> {
    let mut bytes = [0; LEN];
    // `serdect` accepts a shorter text, so this function checks the length.
    let len = serdect::array::deserialize_hex_or_bin(&mut bytes, from)?.len();
    if len != LEN {
        return Err(D::Error::invalid_length(len, &format!("{LEN} bytes").as_str()));
    }
    Ok(bytes)
}

/// Serialisation of a list of 32-byte values, each as hex or as bytes.
pub mod chaining_values {
    use alloc::vec::Vec;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// One value of the list.
    struct Value([u8; 32]);

    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            super::serialize_array(&self.0, to)
        }
    }

    impl<'de> Deserialize<'de> for Value {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
            super::deserialize_array(from).map(Value)
        }
    }

    /// Serialises the list.
    ///
    /// # Errors
    /// The serialiser's errors.
    pub fn serialize<S: Serializer>(values: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().copied().map(Value))
    }

    /// Deserialises the list.
    ///
    /// # Errors
    /// The deserialiser's errors, or an error for a value that is not 32 bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<[u8; 32]>, D::Error> {
        Ok(Vec::<Value>::deserialize(from)?.into_iter().map(|value| value.0).collect())
    }
}
