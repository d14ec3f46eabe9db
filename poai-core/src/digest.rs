//! 32-byte values, one type per role, so that a root can never be passed where
//! a seed is meant.
//!
//! All print as 64 lower-case hexadecimal digits and parse from the same.

use core::fmt;
use core::str::FromStr;

/// Why a text is not a 32-byte value.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected 64 hexadecimal digits: {0}")]
pub struct ParseDigestError(hex::FromHexError);

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(ParseDigestError)?;
                Ok(Self(bytes))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                serdect::array::serialize_hex_lower_or_bin(&self.0, to)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                let mut bytes = [0; 32];
                // For text the length is ours to check: a shorter one decodes.
                let len = serdect::array::deserialize_hex_or_bin(&mut bytes, from)?.len();
                if len != bytes.len() {
                    return Err(D::Error::invalid_length(len, &"32 bytes"));
                }
                Ok(Self(bytes))
            }
        }
    };
}

digest! {
    /// The hash of everything in a block header except the proof, nonce
    /// included (spec §3). It binds neither the proof nor the operands: the
    /// seeds do.
    Challenge
}
digest! {
    /// Plain BLAKE3 of an operand's bytes (spec §3), the value that `b3sum`
    /// prints. It does not bind the operand's number of rows or columns: the
    /// seeds do.
    Root
}
digest! {
    /// A seed of one side's noise (spec §3).
    Seed
}
digest! {
    /// One lottery ticket (spec §5), ordered as a big-endian number.
    Ticket
}
digest! {
    /// Names the rules under which a proof was verified, so that a receipt can
    /// say what has to verify it.
    RulesDigest
}
digest! {
    /// Names a program's structure and shapes (spec §11). It binds neither the
    /// quantisation's numbers nor any constant.
    ArchitectureId
}
digest! {
    /// Names a program: its architecture, its numbers and its constants by
    /// (root, rows, columns, type) (spec §11). It does not bind names.
    ProgramId
}
digest! {
    /// The root over all records of one run (spec §13). It binds the program,
    /// the run's shape, inputs, every step's output, the output and the MACs.
    /// It does not say that any of them is right: audits do.
    TraceRoot
}
