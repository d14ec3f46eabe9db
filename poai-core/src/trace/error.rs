//! Why bytes are not a header, a receipt, a demand or another message.

/// Why bytes are not a [`super::TraceHeader`], a [`super::Receipt`], a
/// [`super::Demand`] or another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceDecodeError {
    /// The number of bytes is not that of the message.
    #[error("expected {expected} bytes, got {got}")]
    Length {
        /// The message's length.
        expected: usize,
        /// The number of bytes received.
        got: usize,
    },
    /// There are too few bytes for the header at the front of a message.
    #[error("expected at least {least} bytes, got {got}")]
    Short {
        /// The header's length.
        least: usize,
        /// The number of bytes received.
        got: usize,
    },
    /// The bytes are of another version of the format: an earlier one, or one
    /// that this library does not know yet.
    #[error(
        "expected version {expected} of traces, got {got}; make the message again with this version"
    )]
    UnsupportedVersion {
        /// The version that this library reads.
        expected: u32,
        /// The version in the first four bytes.
        got: u32,
    },
    /// A header of a run with answers has none.
    #[error(
        "expected at least 1 answer in a header with answers, got 0; leave the field and the flag out"
    )]
    Answers,
}

/// Takes fields off the front of a message whose length was checked.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields after the version, of a message that must have `expected`
    /// bytes.
    pub(super) fn after_version(
        bytes: &'a [u8],
        expected: usize,
    ) -> Result<Fields<'a>, TraceDecodeError> {
        Fields::after(super::VERSION, bytes, expected)
    }

    /// The same, after the bytes of another first number.
    pub(super) fn after(
        first: u32,
        bytes: &'a [u8],
        expected: usize,
    ) -> Result<Fields<'a>, TraceDecodeError> {
        let got = bytes.len();
        let length = TraceDecodeError::Length { expected, got };
        let (version, rest) = bytes.split_first_chunk().ok_or(length)?;
        let version = u32::from_le_bytes(*version);
        if version != first {
            let (expected, got) = (super::VERSION, version);
            return Err(TraceDecodeError::UnsupportedVersion { expected, got });
        }
        if got == expected { Ok(Fields(rest)) } else { Err(length) }
    }

    /// The next field.
    pub(super) fn next<const N: usize>(&mut self) -> [u8; N] {
        // The length was checked, so the field is there. Zeros here would be a
        // bug, which the round-trip test finds.
        let Some((field, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *field
    }

    /// The next field as a number.
    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    /// The next field as a number.
    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }
}
