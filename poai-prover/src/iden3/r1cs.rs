//! `.r1cs` files, version 1: a system of constraints, for a ceremony.
//!
//! Signals are written as public inputs, witnesses as private ones. Each wire
//! has the number of its variable.

use super::container::{write_head, write_section};
use crate::matrices::{Matrices, MatricesError, Row, canonical};
use crate::points::FIELD_BYTES;
use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use std::io::{self, Write};

const HEADER: u32 = 1;
const CONSTRAINTS: u32 = 2;
const WIRES: u32 = 3;
/// Number of bytes of a term: its wire and its coefficient.
const TERM_BYTES: u64 = 4 + FIELD_BYTES as u64;

/// Why a system or an assignment was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The operating system reported an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The matrices are not a system that can have a key.
    #[error(transparent)]
    Matrices(#[from] MatricesError),
    /// A count exceeds the format's 32 bits.
    #[error("expected a number of {what} below 2^32, got {count}; export a smaller system")]
    TooMany {
        /// What was counted.
        what: &'static str,
        /// The count.
        count: usize,
    },
}

/// Writes a system as an `.r1cs` file.
///
/// `to` should be buffered.
///
/// # Errors
/// [`ExportError::Matrices`] if the system can have no key, which includes a
/// signal that no constraint uses.
pub fn write_r1cs(matrices: &Matrices, to: &mut impl Write) -> Result<(), ExportError> {
    matrices.check()?;
    matrices.check_signals()?;
    let wires = count32("variables", matrices.variables)?;
    let signals = count32("signals", matrices.signals)?;
    let witnesses = count32("witnesses", matrices.witnesses())?;
    let constraints = count32("constraints", matrices.rows())?;
    write_head(to, "r1cs", 1, 3)?;

    write_section(to, HEADER, 4 + FIELD_BYTES as u64 + 4 * 4 + 8 + 4)?;
    write_order(to)?;
    let outputs = 0;
    for count in [wires, outputs, signals, witnesses] {
        to.write_all(&count.to_le_bytes())?;
    }
    to.write_all(&u64::from(wires).to_le_bytes())?;
    to.write_all(&constraints.to_le_bytes())?;

    let rows = || matrices.a.iter().zip(&matrices.b).zip(&matrices.c);
    let bytes = |row: &Row| 4 + canonical(row).len() as u64 * TERM_BYTES;
    let length = rows().map(|((a, b), c)| bytes(a) + bytes(b) + bytes(c)).sum();
    write_section(to, CONSTRAINTS, length)?;
    for ((a, b), c) in rows() {
        for row in [a, b, c] {
            write_row(to, row)?;
        }
    }

    write_section(to, WIRES, u64::from(wires) * 8)?;
    for wire in 0..u64::from(wires) {
        to.write_all(&wire.to_le_bytes())?;
    }
    Ok(())
}

/// Writes a row's terms, in the order of their wires and without zeros.
fn write_row(to: &mut impl Write, row: &Row) -> Result<(), ExportError> {
    let row = canonical(row);
    to.write_all(&count32("terms", row.len())?.to_le_bytes())?;
    for (coefficient, variable) in row.iter() {
        to.write_all(&count32("variables", *variable)?.to_le_bytes())?;
        to.write_all(&coefficient.into_bigint().to_bytes_le())?;
    }
    Ok(())
}

/// Writes the scalar field's order, after the length of its elements.
pub(super) fn write_order(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&(FIELD_BYTES as u32).to_le_bytes())?;
    to.write_all(&Fr::MODULUS.to_bytes_le())
}

pub(super) fn count32(what: &'static str, count: usize) -> Result<u32, ExportError> {
    u32::try_from(count).map_err(|_| ExportError::TooMany { what, count })
}
