//! `.wtns` files, version 2: an assignment, for snarkjs' own prover.
//!
//! **Such a file holds every private value.** It is meant for comparing
//! provers.

use super::container::{write_head, write_section};
use super::r1cs::{ExportError, count32, write_order};
use crate::points::FIELD_BYTES;
use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use std::io::Write;

const HEADER: u32 = 1;
const VALUES: u32 = 2;

/// Writes an assignment: the one, the signals and the witnesses.
///
/// `to` should be buffered.
///
/// # Errors
/// [`ExportError`] if `to` cannot be written, or if there are more values than
/// the format can count.
pub fn write_wtns(assignment: &[Fr], to: &mut impl Write) -> Result<(), ExportError> {
    let count = count32("values", assignment.len())?;
    write_head(to, "wtns", 2, 2)?;
    write_section(to, HEADER, 4 + FIELD_BYTES as u64 + 4)?;
    write_order(to)?;
    to.write_all(&count.to_le_bytes())?;
    write_section(to, VALUES, u64::from(count) * FIELD_BYTES as u64)?;
    for value in assignment {
        to.write_all(&value.into_bigint().to_bytes_le())?;
    }
    Ok(())
}
