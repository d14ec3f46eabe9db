//! The two sections of a program's bytes, as fields are written to them and read
//! from them.

use super::ProgramDecodeError;
use crate::program::builder::{INPUTS_MAX, LISTED_MAX};
use crate::program::op::{Clamp, Window};
use crate::program::tensor::{BatchAxis, Dim, Dtype, Form, Per};
use alloc::vec::Vec;

/// The flag of the rows of an input that is shared.
const SHARED: u8 = 2;
/// The flag of an input that has rows for every answer.
const ANSWERS: u8 = 4;

/// A pass over the fields, which writes or reads them.
pub(in crate::program) trait Codec {
    /// A byte of the structure.
    fn byte(&mut self, field: &mut u8) -> Result<(), ProgramDecodeError>;
    /// A u32 of the structure.
    fn index(&mut self, field: &mut u32) -> Result<(), ProgramDecodeError>;
    /// A byte of 0 or 1 of the structure.
    fn flag(&mut self, field: &mut bool) -> Result<(), ProgramDecodeError>;
    /// A type of the structure.
    fn type_of(&mut self, field: &mut Dtype) -> Result<(), ProgramDecodeError>;
    /// An i32 of the numbers.
    fn number(&mut self, field: &mut i32) -> Result<(), ProgramDecodeError>;
    /// A byte of the numbers.
    fn shift(&mut self, field: &mut u8) -> Result<(), ProgramDecodeError>;

    fn clamp(&mut self, field: &mut Clamp) -> Result<(), ProgramDecodeError> {
        self.type_of(&mut field.dtype)?;
        self.number(&mut field.min)?;
        self.number(&mut field.max)
    }

    fn dim(&mut self, field: &mut Dim) -> Result<(), ProgramDecodeError> {
        self.index(&mut field.units)?;
        let mut per = field.per.tag();
        self.byte(&mut per)?;
        let error = ProgramDecodeError::Field { what: "a dimension's kind", value: per.into() };
        field.per = Per::of_tag(per).ok_or(error)?;
        Ok(())
    }

    fn window(&mut self, field: &mut Window) -> Result<(), ProgramDecodeError> {
        let Window { height, width, kernel, stride, pads } = field;
        let all = [height, width].into_iter().chain(kernel).chain(stride).chain(pads);
        all.into_iter().try_for_each(|number| self.index(number))
    }
}

/// The writer of the two sections.
#[derive(Default)]
pub(super) struct Sections {
    pub(super) structure: Vec<u8>,
    pub(super) numbers: Vec<u8>,
}

impl Sections {
    pub(super) fn inputs(&mut self, inputs: &[Form]) {
        match u8::try_from(inputs.len()) {
            Ok(count) if inputs.len() <= INPUTS_MAX => self.structure.push(count),
            _ => {
                self.structure.push(0);
                // Exact: at most `LISTED_MAX`.
                self.structure.extend((inputs.len() as u32).to_le_bytes());
            }
        }
        for form in inputs {
            self.form(form);
        }
    }

    fn form(&mut self, form: &Form) {
        let Form { rows, mut columns, dtype, batch } = *form;
        let shared = if batch == BatchAxis::Rows { 0 } else { SHARED };
        self.structure.extend(rows.units.to_le_bytes());
        let per = match rows.per {
            Per::Item => 0,
            Per::Token => 1,
            Per::Answer => ANSWERS,
        };
        self.structure.push(per | shared);
        // Writing never fails.
        let _ = self.dim(&mut columns);
        self.structure.push(dtype.tag());
    }
}

impl Codec for Sections {
    fn byte(&mut self, field: &mut u8) -> Result<(), ProgramDecodeError> {
        self.structure.push(*field);
        Ok(())
    }

    fn index(&mut self, field: &mut u32) -> Result<(), ProgramDecodeError> {
        self.structure.extend(field.to_le_bytes());
        Ok(())
    }

    fn flag(&mut self, field: &mut bool) -> Result<(), ProgramDecodeError> {
        self.structure.push(u8::from(*field));
        Ok(())
    }

    fn type_of(&mut self, field: &mut Dtype) -> Result<(), ProgramDecodeError> {
        self.structure.push(field.tag());
        Ok(())
    }

    fn number(&mut self, field: &mut i32) -> Result<(), ProgramDecodeError> {
        self.numbers.extend(field.to_le_bytes());
        Ok(())
    }

    fn shift(&mut self, field: &mut u8) -> Result<(), ProgramDecodeError> {
        self.numbers.push(*field);
        Ok(())
    }
}

/// The reader of the two sections.
pub(super) struct Reader<'a> {
    pub(super) structure: Bytes<'a>,
    pub(super) numbers: Bytes<'a>,
}

impl Reader<'_> {
    pub(super) fn dtype(&mut self) -> Result<Dtype, ProgramDecodeError> {
        let tag = self.structure.byte()?;
        let error = ProgramDecodeError::Field { what: "a type's tag", value: tag.into() };
        Dtype::of_tag(tag).ok_or(error)
    }

    /// Reads the forms of a program's inputs.
    ///
    /// More than 16 follow a byte of 0 and their number.
    pub(super) fn inputs(&mut self) -> Result<Vec<Form>, ProgramDecodeError> {
        let count = match self.structure.byte()? {
            0 => {
                let count = self.structure.u32()?;
                if !(INPUTS_MAX + 1..=LISTED_MAX).contains(&(count as usize)) {
                    return Err(ProgramDecodeError::Field { what: "inputs", value: count.into() });
                }
                count
            }
            // More inputs have only the long form.
            count if usize::from(count) > INPUTS_MAX => {
                return Err(ProgramDecodeError::Field { what: "inputs", value: count.into() });
            }
            count => count.into(),
        };
        (0..count).map(|_| self.form()).collect()
    }

    fn form(&mut self) -> Result<Form, ProgramDecodeError> {
        let units = self.structure.u32()?;
        let flags = self.structure.byte()?;
        let per = match flags & !SHARED {
            0 => Per::Item,
            1 => Per::Token,
            ANSWERS => Per::Answer,
            _ => {
                let what = "an input's flags";
                return Err(ProgramDecodeError::Field { what, value: flags.into() });
            }
        };
        let rows = Dim { units, per };
        let batch = if flags & SHARED == 0 { BatchAxis::Rows } else { BatchAxis::None };
        let mut columns = Dim::fixed(0);
        self.dim(&mut columns)?;
        Ok(Form { rows, columns, dtype: self.dtype()?, batch })
    }
}

impl Codec for Reader<'_> {
    fn byte(&mut self, field: &mut u8) -> Result<(), ProgramDecodeError> {
        *field = self.structure.byte()?;
        Ok(())
    }

    fn index(&mut self, field: &mut u32) -> Result<(), ProgramDecodeError> {
        *field = self.structure.u32()?;
        Ok(())
    }

    fn flag(&mut self, field: &mut bool) -> Result<(), ProgramDecodeError> {
        *field = match self.structure.byte()? {
            0 => false,
            1 => true,
            value => return Err(ProgramDecodeError::Field { what: "a flag", value: value.into() }),
        };
        Ok(())
    }

    fn type_of(&mut self, field: &mut Dtype) -> Result<(), ProgramDecodeError> {
        *field = self.dtype()?;
        Ok(())
    }

    fn number(&mut self, field: &mut i32) -> Result<(), ProgramDecodeError> {
        *field = self.numbers.u32()? as i32;
        Ok(())
    }

    fn shift(&mut self, field: &mut u8) -> Result<(), ProgramDecodeError> {
        *field = self.numbers.byte()?;
        Ok(())
    }
}

/// The bytes that are left to read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], ProgramDecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ProgramDecodeError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, ProgramDecodeError> {
        let (&[byte], rest) = self.0.split_first_chunk().ok_or(ProgramDecodeError::Length)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ProgramDecodeError> {
        let (word, rest) = self.0.split_first_chunk().ok_or(ProgramDecodeError::Length)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    pub(super) fn name(&mut self) -> Result<&'a str, ProgramDecodeError> {
        let len = self.byte()?;
        core::str::from_utf8(self.take(len.into())?).map_err(|_| ProgramDecodeError::Name)
    }
}
