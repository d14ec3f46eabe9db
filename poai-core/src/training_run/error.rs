//! Why bytes are not a message about a training run.

/// Why bytes are not a message about a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingDecodeError {
    /// The number of bytes is not that of the message.
    #[error("expected {expected} bytes, got {got}")]
    Length {
        /// The message's length.
        expected: usize,
        /// The number of bytes received.
        got: usize,
    },
    /// The number of bytes is not that of whole claims.
    #[error("expected 4 bytes and {each} for each iteration, got {got}")]
    Claims {
        /// The bytes of a claim.
        each: usize,
        /// The number of bytes received.
        got: usize,
    },
    /// There are too few bytes for the version.
    #[error("expected a message that begins with its version, got {got} bytes")]
    Short {
        /// The number of bytes received.
        got: usize,
    },
    /// The bytes are of another version of the format.
    #[error(
        "expected version {expected} of training runs, got {got}; make the message again with this \
         version"
    )]
    UnsupportedVersion {
        /// The version that this library reads.
        expected: u32,
        /// The version in the first four bytes.
        got: u32,
    },
    /// A byte names no order of the data.
    #[error("expected 1, which names draw, as the order of the data, got {0}")]
    Order(u8),
    /// A kind of demand that this version does not have.
    #[error("expected 0 for records or 1 for a tile as what is demanded, got {0}")]
    Demanded(u8),
    /// A demand of records names a value or a tile.
    #[error("expected value 0 and tile 0 in a demand of records, got others")]
    Place,
    /// Parameters are outside their limits.
    #[error(transparent)]
    Parameters(#[from] RunParametersError),
}

/// Which parameter of a run is outside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunParametersError {
    /// The number of iterations: t is an i32.
    #[error("expected 1 to 2^31 iterations, got {0}")]
    Iterations(u64),
    /// The number of iterations of a segment.
    #[error("expected 1 to 2^16 iterations a segment, got {0}")]
    Segment(u32),
}

/// Takes fields off the front of a message whose length was checked.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields after the version, of a message that must have `expected` bytes.
    pub(super) fn after_version(
        bytes: &'a [u8],
        expected: usize,
    ) -> Result<Fields<'a>, TrainingDecodeError> {
        let rest = after_version(bytes)?;
        let got = bytes.len();
        if got == expected {
            Ok(Fields(rest))
        } else {
            Err(TrainingDecodeError::Length { expected, got })
        }
    }

    /// The fields of bytes whose length the caller has checked.
    pub(super) fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
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
    pub(super) fn u8(&mut self) -> u8 {
        let [byte] = self.next();
        byte
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

/// The bytes after the version, if it is this one.
pub(super) fn after_version(bytes: &[u8]) -> Result<&[u8], TrainingDecodeError> {
    let short = TrainingDecodeError::Short { got: bytes.len() };
    let (version, rest) = bytes.split_first_chunk().ok_or(short)?;
    let (expected, got) = (super::TRAINING_VERSION, u32::from_le_bytes(*version));
    if expected != got {
        return Err(TrainingDecodeError::UnsupportedVersion { expected, got });
    }
    Ok(rest)
}
