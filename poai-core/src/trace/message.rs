//! Messages about a trace, as bytes that begin with the trace's header.
//!
//! Their other lengths follow from the program and the run, so only a checker,
//! which has the program, reads the rest. Here a message is the header and the
//! bytes, and one type keeps an audit from being passed as a fraud proof.

use super::error::TraceDecodeError;
use super::header::TraceHeader;
use alloc::vec::Vec;

/// Defines a message that begins with a header.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            header: TraceHeader,
            bytes: Vec<u8>,
        }

        impl $name {
            /// Reads a message: its version and header. A checker reads the
            /// rest. To bound memory, compare the number of bytes with the
            /// checker's limit first.
            ///
            /// # Errors
            /// [`TraceDecodeError`] if the bytes do not begin with a header of
            /// this version.
            pub fn from_bytes(bytes: &[u8]) -> Result<$name, TraceDecodeError> {
                $name::try_from(bytes.to_vec())
            }

            /// The bytes of the message.
            pub fn to_bytes(&self) -> Vec<u8> {
                self.bytes.clone()
            }

            /// The bytes of the message, without a copy.
            pub fn as_bytes(&self) -> &[u8] {
                &self.bytes
            }

            /// The header at the front. It names program, run and roots. Nothing
            /// about it is checked.
            pub fn header(&self) -> &TraceHeader {
                &self.header
            }
        }

        /// As `from_bytes`, without a copy.
        impl TryFrom<Vec<u8>> for $name {
            type Error = TraceDecodeError;

            fn try_from(bytes: Vec<u8>) -> Result<$name, TraceDecodeError> {
                Ok($name { header: TraceHeader::of_prefix(&bytes)?, bytes })
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let len = self.bytes.len();
                f.debug_struct(stringify!($name))
                    .field("header", &self.header)
                    .field("len", &len)
                    .finish()
            }
        }

        $crate::encoding::bytes::through_bytes!($name);
    };
}

message! {
    /// An audit of a receipt under a beacon (spec §14): `header ‖ all records ‖
    /// openings of the drawn tiles`.
    ///
    /// It names neither the receipt nor the beacon. The verifier supplies both,
    /// and draws the tiles itself.
    Audit
}
message! {
    /// A claim that the header, a record, an input or a tile of a trace is wrong
    /// (spec §14): `header`, or `header ‖ u32 value ‖ u64 tile ‖ records with
    /// paths ‖ openings`.
    ///
    /// It names no challenger, so a chain that rewards fraud proofs has a
    /// challenger commit to its message first.
    FraudProof
}
message! {
    /// The answer to a demand (spec §14), in the form of a [`FraudProof`] of the
    /// demanded tile. It proves fraud only if the tile is wrong.
    Answer
}
message! {
    /// A link from a mined product to a step of a trace (spec §14): `header ‖
    /// u32 value ‖ record ‖ path`.
    ///
    /// It does not name the win. The verifier supplies it.
    Link
}

/// An answer is the fraud proof of its tile if the tile is wrong.
impl From<Answer> for FraudProof {
    fn from(answer: Answer) -> FraudProof {
        FraudProof { header: answer.header, bytes: answer.bytes }
    }
}

impl From<FraudProof> for Answer {
    fn from(proof: FraudProof) -> Answer {
        Answer { header: proof.header, bytes: proof.bytes }
    }
}

/// A header by itself, which is a fraud proof if its MACs are wrong.
impl From<TraceHeader> for FraudProof {
    fn from(header: TraceHeader) -> FraudProof {
        FraudProof { header, bytes: header.to_bytes() }
    }
}
