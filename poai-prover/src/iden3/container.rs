//! The frame of iden3's binary files.
//!
//! A file has a magic word of four letters, a version, the number of sections,
//! then each section's number, length and bytes. All numbers are little-endian.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Take, Write};
use std::ops::RangeInclusive;

/// Why bytes are not such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The operating system reported an error, for instance that the file ends
    /// early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file starts with another word.
    #[error("expected a {expected} file, got another")]
    Magic {
        /// The expected word.
        expected: &'static str,
    },
    /// The file has another version.
    #[error("expected version {expected}, got {got}")]
    Version {
        /// The version that this library reads.
        expected: u32,
        /// The file's version.
        got: u32,
    },
    /// A section has a number that the format does not know.
    #[error("expected a known section, got section {id}")]
    UnknownSection {
        /// The section's number.
        id: u32,
    },
    /// A section occurs twice.
    #[error("expected section {id} once, got it twice")]
    RepeatedSection {
        /// The section's number.
        id: u32,
    },
    /// A section is missing.
    #[error("expected section {id}, got none")]
    MissingSection {
        /// The section's number.
        id: u32,
    },
    /// A section claims more bytes than the file has.
    #[error("expected section {id} of {length} bytes within the file, got a shorter file")]
    Truncated {
        /// The section's number.
        id: u32,
        /// The length that it claims.
        length: u64,
    },
    /// Bytes follow the last section.
    #[error("expected the file to end after the last section, got {bytes} more bytes")]
    Trailing {
        /// Number of bytes that follow.
        bytes: u64,
    },
    /// A section has another length than its content needs.
    #[error("expected {expected} bytes in section {id}, got {got}")]
    SectionLength {
        /// The section's number.
        id: u32,
        /// The length that the content needs.
        expected: u64,
        /// The section's length.
        got: u64,
    },
}

/// A file whose frame was read and checked.
#[derive(Debug)]
pub(super) struct Container<R> {
    reader: R,
    /// The start and the length of each section.
    sections: BTreeMap<u32, (u64, u64)>,
}

impl<R: Read + Seek> Container<R> {
    /// Reads the frame. Sections may come in any order, each of them once.
    pub fn open(
        mut reader: R,
        magic: &'static str,
        version: u32,
        known: RangeInclusive<u32>,
    ) -> Result<Self, ContainerError> {
        let end = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        let mut word = [0; 4];
        reader.read_exact(&mut word)?;
        if word != magic.as_bytes() {
            return Err(ContainerError::Magic { expected: magic });
        }
        let got = read_u32(&mut reader)?;
        if got != version {
            return Err(ContainerError::Version { expected: version, got });
        }
        let mut sections = BTreeMap::new();
        let mut at = 12u64;
        // If the count is too large, reading fails and ends the loop early.
        for _ in 0..read_u32(&mut reader)? {
            let id = read_u32(&mut reader)?;
            let length = read_u64(&mut reader)?;
            if !known.contains(&id) {
                return Err(ContainerError::UnknownSection { id });
            }
            let start = at + 12;
            at = match start.checked_add(length) {
                Some(next) if next <= end => next,
                _ => return Err(ContainerError::Truncated { id, length }),
            };
            if sections.insert(id, (start, length)).is_some() {
                return Err(ContainerError::RepeatedSection { id });
            }
            reader.seek(SeekFrom::Start(at))?;
        }
        match end - at {
            0 => Ok(Self { reader, sections }),
            bytes => Err(ContainerError::Trailing { bytes }),
        }
    }

    /// The length of a section.
    pub fn length(&self, id: u32) -> Result<u64, ContainerError> {
        let section = self.sections.get(&id).ok_or(ContainerError::MissingSection { id })?;
        Ok(section.1)
    }

    /// Opens a section that must have exactly `expected` bytes.
    pub fn section(&mut self, id: u32, expected: u64) -> Result<Take<&mut R>, ContainerError> {
        let got = self.length(id)?;
        if got != expected {
            return Err(ContainerError::SectionLength { id, expected, got });
        }
        self.start(id)
    }

    /// Opens a section that must have at least `least` bytes. The rest is not
    /// read.
    pub fn start_of(&mut self, id: u32, least: u64) -> Result<Take<&mut R>, ContainerError> {
        let got = self.length(id)?;
        if got < least {
            return Err(ContainerError::SectionLength { id, expected: least, got });
        }
        self.start(id)
    }

    fn start(&mut self, id: u32) -> Result<Take<&mut R>, ContainerError> {
        let missing = ContainerError::MissingSection { id };
        let &(start, length) = self.sections.get(&id).ok_or(missing)?;
        self.reader.seek(SeekFrom::Start(start))?;
        Ok(self.reader.by_ref().take(length))
    }
}

/// Writes a file's head.
pub(super) fn write_head(
    to: &mut impl Write,
    magic: &str,
    version: u32,
    sections: u32,
) -> io::Result<()> {
    to.write_all(magic.as_bytes())?;
    to.write_all(&version.to_le_bytes())?;
    to.write_all(&sections.to_le_bytes())
}

/// Writes a section's head. The caller must then write `length` bytes.
pub(super) fn write_section(to: &mut impl Write, id: u32, length: u64) -> io::Result<()> {
    to.write_all(&id.to_le_bytes())?;
    to.write_all(&length.to_le_bytes())
}

pub(super) fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_u64(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
