//! How far the entries of committed constants may go: part of a circuit, so
//! that it is the same for every network whose constants fit.
//!
//! A circuit for all that i32 can be would prove of every sum that it does not
//! saturate, at several times the cost. Importers leave far smaller numbers. So
//! i32 and i16 constants are held to as many bits as the network has that the
//! circuit is made of, column by column where there are few (a product's
//! biases and multipliers). Whoever has the key learns these numbers of bits,
//! and no entry; i8 weights have their type's range whatever they are.

use super::super::circuit::CircuitError;
use crate::execute::{Network, Tensor};
use crate::program::Dtype;

/// Columns up to which each has a range of its own.
const COLUMNS: usize = 4;

/// Of one column, or all of a constant: 2^bits values from 0 on, or where
/// `signed` from −2^bits on as many as above; none but 0 with 0 bits unsigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    /// Bits of the largest magnitude.
    pub bits: u8,
    /// Whether entries may be below 0.
    pub signed: bool,
}

impl Range {
    /// The least and the largest entry.
    pub(super) fn bounds(&self) -> (i128, i128) {
        let end = 1i128 << self.bits;
        (if self.signed { -end } else { 0 }, end - 1)
    }

    fn of(entries: impl Iterator<Item = i32>) -> Range {
        entries.fold(Range::default(), |range, entry| {
            // −2^bits is in the range, as its magnitude less one shows.
            let magnitude = if entry < 0 { !entry } else { entry };
            let bits = (i32::BITS - magnitude.leading_zeros()) as u8;
            Range { bits: range.bits.max(bits), signed: range.signed || entry < 0 }
        })
    }
}

/// The ranges of all constants, in order: of a constant one for each column, or
/// one for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ranges(pub(super) Vec<Vec<Range>>);

impl Ranges {
    /// The narrowest that a network's constants fit.
    pub fn of(network: &Network) -> Ranges {
        Ranges(network.constants().iter().map(|held| ranges_of(&held.tensor)).collect())
    }

    /// The narrowest that both fit: for networks of one architecture.
    pub fn union(&self, other: &Ranges) -> Ranges {
        let wider =
            |a: &Range, b: &Range| Range { bits: a.bits.max(b.bits), signed: a.signed || b.signed };
        let both = self.0.iter().zip(&other.0);
        let both = both.map(|(a, b)| a.iter().zip(b).map(|(a, b)| wider(a, b)).collect());
        Ranges(both.collect())
    }

    /// Whether a network's constants fit.
    ///
    /// # Errors
    /// [`CircuitError::Constant`] names the first entry that does not.
    pub(super) fn check(&self, network: &Network) -> Result<(), CircuitError> {
        let all = network.constants().iter().zip(network.program().constants()).zip(&self.0);
        for ((held, constant), ranges) in all {
            let columns = constant.extent.columns as usize;
            for (at, entry) in held.tensor.entries().into_iter().enumerate() {
                let range = column(ranges, at % columns);
                let (least, most) = range.bounds();
                if !(least..=most).contains(&entry.into()) {
                    return Err(CircuitError::Constant {
                        name: constant.name.clone(),
                        entry,
                        least: least as i64,
                        most: most as i64,
                    });
                }
            }
        }
        Ok(())
    }
}

/// The range of a column.
pub(super) fn column(ranges: &[Range], column: usize) -> Range {
    ranges.get(column).or(ranges.first()).copied().unwrap_or_default()
}

fn ranges_of(tensor: &Tensor) -> Vec<Range> {
    let extent = tensor.extent();
    let columns = extent.columns as usize;
    if extent.dtype == Dtype::I8 {
        return vec![Range { bits: 6, signed: true }];
    }
    let entries = tensor.entries();
    if columns > COLUMNS {
        return vec![Range::of(entries.into_iter())];
    }
    let of = |column| Range::of(entries.iter().copied().skip(column).step_by(columns));
    (0..columns).map(of).collect()
}
