//! The frame of iden3's binary files: a magic word of four letters, a version,
//! the number of sections, then each section's number, length and bytes. All
//! numbers are little-endian.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Take, Write};
use std::ops::RangeInclusive;

/// Why bytes are no such file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The system says so; the file ends early among others.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It starts with another word.
    #[error("it is no {expected} file")]
    Magic {
        /// The word that was looked for.
        expected: &'static str,
    },
    /// It is of another version.
    #[error("version {got}, not {expected}")]
    Version {
        /// The one that is read here.
        expected: u32,
        /// The file's.
        got: u32,
    },
    /// A section has a number that the format does not know.
    #[error("section {id} is unknown")]
    UnknownSection {
        /// Its number.
        id: u32,
    },
    /// A section is there twice.
    #[error("section {id} is there twice")]
    RepeatedSection {
        /// Its number.
        id: u32,
    },
    /// A section is missing.
    #[error("section {id} is missing")]
    MissingSection {
        /// Its number.
        id: u32,
    },
    /// A section claims more bytes than the file has.
    #[error("section {id} of {length} bytes ends after the file")]
    Truncated {
        /// Its number.
        id: u32,
        /// Its claim.
        length: u64,
    },
    /// Bytes follow the last section.
    #[error("{bytes} bytes follow the last section")]
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// A section has another length than its content takes.
    #[error("section {id} has {got} bytes, not {expected}")]
    SectionLength {
        /// Its number.
        id: u32,
        /// What its content takes.
        expected: u64,
        /// What it has.
        got: u64,
    },
}

/// A file of which the frame was read and checked.
#[derive(Debug)]
pub(super) struct Container<R> {
    reader: R,
    /// Where each section starts, and its length.
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
        // The loop ends early on whatever a large number would claim.
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

    /// A section's length.
    pub fn length(&self, id: u32) -> Result<u64, ContainerError> {
        let section = self.sections.get(&id).ok_or(ContainerError::MissingSection { id })?;
        Ok(section.1)
    }

    /// A section of exactly so many bytes.
    pub fn section(&mut self, id: u32, expected: u64) -> Result<Take<&mut R>, ContainerError> {
        let got = self.length(id)?;
        if got != expected {
            return Err(ContainerError::SectionLength { id, expected, got });
        }
        self.start(id)
    }

    /// A section of at least so many bytes, of which the rest is not read.
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

/// Writes a section's head: so many bytes have to follow.
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
