//! The ranges of committed constants and multipliers.
//!
//! Ranges are part of a circuit, so that the circuit is the same for every
//! network whose numbers fit.
//!
//! A circuit for all values of i32 would have to prove of every sum that it
//! does not saturate, at several times the cost. Importers produce far smaller
//! numbers. So the circuit limits i32 and i16 constants to the number of bits
//! in the network that it is made of. It does so column by column if there are
//! few columns (a product's biases and multipliers).
//!
//! A party that has the key learns these numbers of bits, and no entry. An i8
//! weight always has the range of its type. Ranges of the standard form follow
//! from the architecture and reveal nothing.

use super::CircuitError;
use crate::{indices, multipliers};
use poai_core::program::{Dtype, Op, Program, standard};
use poai_engine::execute::{Network, Tensor};

/// The largest number of columns for which each column has its own range.
const COLUMNS: usize = 4;

/// The range of one column, or of a whole constant.
///
/// An unsigned range has the 2^bits values from 0, and with 0 bits only 0. A
/// range with `signed` also has the 2^bits values from −2^bits to −1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct EntryRange {
    /// Number of bits of the largest magnitude.
    pub(super) bits: u8,
    /// Whether entries may be below 0.
    pub(super) signed: bool,
}

impl EntryRange {
    /// The least and the largest entry.
    pub(super) fn bounds(&self) -> (i128, i128) {
        let end = 1i128 << self.bits;
        (if self.signed { -end } else { 0 }, end - 1)
    }

    fn of(entries: impl Iterator<Item = i32>) -> EntryRange {
        entries.fold(EntryRange::default(), |range, entry| {
            // −2^bits is in the range: its magnitude minus one has that number
            // of bits.
            let magnitude = if entry < 0 { !entry } else { entry };
            let bits = (i32::BITS - magnitude.leading_zeros()) as u8;
            EntryRange { bits: range.bits.max(bits), signed: range.signed || entry < 0 }
        })
    }
}

/// The ranges of all constants, in order, and of the steps' committed
/// multipliers.
///
/// A constant has one range for each column, or one for all. An index of an
/// arrange step has no range, because it is part of the circuit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ranges {
    pub(super) constants: Vec<Vec<EntryRange>>,
    pub(super) multipliers: Vec<EntryRange>,
}

impl Ranges {
    /// The narrowest ranges that a network's constants and multipliers fit.
    pub fn of(network: &Network) -> Ranges {
        let held = network.constants().iter().zip(indices::of(network.program()));
        let constants = held.map(|(held, is_index)| match is_index {
            true => vec![],
            false => ranges_of(&held.tensor),
        });
        let multipliers = multipliers::of(network.program());
        Ranges {
            constants: constants.collect(),
            multipliers: multipliers.map(|one| EntryRange::of([one].into_iter())).collect(),
        }
    }

    /// The ranges of the standard form ([`standard`]).
    ///
    /// They are the same for all programs of an architecture in that form, and
    /// so is the circuit.
    pub fn standard(program: &Program) -> Ranges {
        let range = |bits, signed| EntryRange { bits, signed };
        let channels = [
            range(standard::BIAS_BITS, true),
            range(standard::CHANNEL_BITS, false),
            EntryRange::default(),
        ];
        let of_type = |dtype: Dtype| match dtype {
            Dtype::I8 => range(6, true),
            Dtype::I16 => range(15, true),
            Dtype::I32 => range(31, true),
        };
        let constants = program.constants().iter().map(|constant| of_type(constant.extent.dtype));
        let mut constants: Vec<Vec<EntryRange>> = constants.map(|range| vec![range]).collect();
        for step in program.steps() {
            let (Op::Linear { requantise, .. } | Op::GroupLinear { requantise, .. }) = &step.op
            else {
                continue;
            };
            if let Some(ranges) = constants.get_mut(requantise.0 as usize) {
                *ranges = channels.to_vec();
            }
        }
        for (ranges, is_index) in constants.iter_mut().zip(indices::of(program)) {
            if is_index {
                ranges.clear();
            }
        }
        let multiplier = range(standard::MULTIPLIER_BITS, false);
        let multipliers = multipliers::of(program).map(|_| multiplier).collect();
        Ranges { constants, multipliers }
    }

    /// The narrowest ranges that include both, for networks of one
    /// architecture.
    pub fn union(&self, other: &Ranges) -> Ranges {
        let wider = |a: &EntryRange, b: &EntryRange| EntryRange {
            bits: a.bits.max(b.bits),
            signed: a.signed || b.signed,
        };
        let both = |(a, b): (&Vec<EntryRange>, &Vec<EntryRange>)| {
            a.iter().zip(b).map(|(a, b)| wider(a, b)).collect()
        };
        Ranges {
            constants: self.constants.iter().zip(&other.constants).map(both).collect(),
            multipliers: both((&self.multipliers, &other.multipliers)),
        }
    }

    /// Checks that a network's constants and multipliers fit.
    ///
    /// # Errors
    /// - [`CircuitError::Constant`] or [`CircuitError::Multiplier`] names the first number that
    ///   does not fit.
    /// - [`CircuitError::Architecture`] if the number of constants or multipliers differs.
    pub(super) fn check(&self, network: &Network) -> Result<(), CircuitError> {
        let named = network.program().constants();
        let multipliers = multipliers::of(network.program()).count();
        if (self.constants.len(), self.multipliers.len()) != (named.len(), multipliers) {
            return Err(CircuitError::Architecture);
        }
        let all = network.constants().iter().zip(named).zip(&self.constants);
        let all = all.zip(indices::of(network.program())).filter(|(_, is_index)| !is_index);
        for (((held, constant), ranges), _) in all {
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
        let mut ranges = self.multipliers.iter();
        for step in network.program().steps() {
            for &multiplier in multipliers::of_step(&step.op) {
                let (least, most) = ranges.next().copied().unwrap_or_default().bounds();
                if !(least..=most).contains(&multiplier.into()) {
                    return Err(CircuitError::Multiplier {
                        name: step.name.clone(),
                        multiplier,
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
pub(super) fn column(ranges: &[EntryRange], column: usize) -> EntryRange {
    ranges.get(column).or(ranges.first()).copied().unwrap_or_default()
}

fn ranges_of(tensor: &Tensor) -> Vec<EntryRange> {
    let extent = tensor.extent();
    let columns = extent.columns as usize;
    if extent.dtype == Dtype::I8 {
        return vec![EntryRange { bits: 6, signed: true }];
    }
    let entries = tensor.entries();
    if columns > COLUMNS {
        return vec![EntryRange::of(entries.into_iter())];
    }
    let of = |column| EntryRange::of(entries.iter().copied().skip(column).step_by(columns));
    (0..columns).map(of).collect()
}
