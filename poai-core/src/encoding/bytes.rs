//! Types for byte strings of a fixed length, one per role.
//!
//! They print as lower-case hexadecimal digits.

/// Why a text is not a byte string of the expected length.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits, got other text: {cause}")]
#[non_exhaustive]
pub struct ParseBytesError {
    /// The number of digits that the type has, without a prefix.
    pub digits: usize,
    pub(crate) cause: ::hex::FromHexError,
}

/// Defines a type of `$len` bytes.
///
/// Printing puts `$prefix` before the digits. Parsing accepts the text with or
/// without the prefix.
macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str($prefix)?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::encoding::ParseBytesError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $len];
                let digits = text.strip_prefix($prefix).unwrap_or(text);
                match ::hex::decode_to_slice(digits, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(cause) => {
                        Err($crate::encoding::ParseBytesError { digits: 2 * $len, cause })
                    }
                }
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::encoding::hex_or_bytes::serialize_array(&self.0, to)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::encoding::hex_or_bytes::deserialize_array(from).map(Self)
            }
        }
    };
}
pub(crate) use bytes;

/// Serialises a type through its canonical bytes, by `to_bytes` and `from_bytes`.
macro_rules! through_bytes {
    ($name:ident) => {
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::encoding::hex_or_bytes::serialize(&self.to_bytes(), to)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let bytes = $crate::encoding::hex_or_bytes::deserialize(from)?;
                <$name>::from_bytes(&bytes).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use through_bytes;
