//! Encodings that all formats share: byte strings as hexadecimal digits, and
//! their serialisation.
//!
//! - [`bytes`]: types of a fixed number of bytes;
//! - `hex_or_bytes` (feature `serde`): hex in human-readable formats, plain
//!   bytes in binary ones.

pub mod bytes;
#[cfg(feature = "serde")]
pub mod hex_or_bytes;

pub use bytes::ParseBytesError;
