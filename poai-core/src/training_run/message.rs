//! Messages about a segment, as bytes that begin with the version.
//!
//! Their other lengths follow from the program and the run, so only a checker reads
//! the rest. One type a message keeps an audit from being passed as a fraud proof.

use super::error::{TrainingDecodeError, after_version};
use alloc::vec::Vec;

/// Defines a message of any length.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            bytes: Vec<u8>,
        }

        impl $name {
            /// Reads a message's version. A checker reads the rest. To bound
            /// memory, compare the number of bytes with the checker's limit first.
            ///
            /// # Errors
            /// [`TrainingDecodeError`] if the bytes are of another version.
            pub fn from_bytes(bytes: &[u8]) -> Result<$name, TrainingDecodeError> {
                after_version(bytes)?;
                Ok($name { bytes: bytes.to_vec() })
            }

            /// The message whose bytes after the version are these.
            pub fn of_body(body: &[u8]) -> $name {
                let version = super::TRAINING_VERSION.to_le_bytes();
                $name { bytes: [&version[..], body].concat() }
            }

            /// The bytes of the message.
            pub fn to_bytes(&self) -> Vec<u8> {
                self.bytes.clone()
            }

            /// The bytes of the message, without a copy.
            pub fn as_bytes(&self) -> &[u8] {
                &self.bytes
            }

            /// The bytes after the version.
            pub fn body(&self) -> &[u8] {
                after_version(&self.bytes).unwrap_or_default()
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).field("len", &self.bytes.len()).finish()
            }
        }

        $crate::encoding::bytes::through_bytes!($name);
    };
}

message! {
    /// An audit of a segment under a beacon (spec §19): `u32 version`, then of each
    /// drawn iteration its claim, header, roots, records and openings.
    ///
    /// It names neither the segment nor the beacon. The verifier supplies both, and
    /// draws the iterations and tiles itself.
    TrainingAudit
}
message! {
    /// A claim that an iteration of a segment lies (spec §19): `u32 version ‖ u64
    /// place ‖ u8 kind`, then what the kind needs.
    ///
    /// It names no challenger, so a chain that rewards fraud proofs has a
    /// challenger commit to its message first.
    TrainingFraud
}
message! {
    /// The answer to a demand about a segment (spec §19): `u32 version ‖ claim ‖
    /// path`, then the header and all records, or the answer of §14 about a tile.
    TrainingAnswer
}
