//! Programs as constraint systems: the statement of an inference proof.
//!
//! - `number`: integers with bounds, bits, choices.
//! - `bits`: decompositions, and the floors, saturation and maxima that share
//!   them.
//! - `packing`, `poseidon`: entries as field elements, and hashes of them.
//! - `ranges`: the ranges of committed constants and multipliers.
//! - `tensor`, `gadgets`: a run's tensors and its steps.
//! - `wiring`, `product`, `table`, `curve`, `normalise`: families of steps.
//! - `weights`: constants and multipliers, fixed or committed.
//! - `synthesis`: signals, commitments, and the program from end to end.
//! - `builder`: the description of a circuit.
//!
//! Constraints enforce the bounds of every number, by induction: values from
//! outside are limited to the range of their type, sums and products inherit
//! bounds, and floors are decomposed. So no value wraps around the field, and a
//! step that cannot saturate needs no constraint that states so.

mod bits;
mod builder;
mod curve;
mod error;
mod gadgets;
mod normalise;
mod number;
mod packing;
mod poseidon;
mod product;
mod ranges;
pub(crate) mod synthesis;
mod table;
mod tensor;
#[cfg(test)]
mod tests;
mod weights;
mod wiring;

pub use builder::CircuitBuilder;
pub use error::CircuitError;
pub use ranges::Ranges;

use super::estimate::Estimate;
use super::iden3::r1cs::{ExportError, write_r1cs};
use super::indices;
use super::matrices::{ConstraintDigest, Matrices};
use super::multipliers;
use poai_core::inference::{Layout, WeightsVisibility};
use poai_core::program::{Extent, RunShape};
use poai_engine::execute::Network;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use synthesis::Subject;

/// The largest number of terms of a circuit's matrices, which take about 40
/// GiB.
const TERMS_MAX: usize = 1 << 30;

/// The constraints of a statement: a network, a run, and the visibility of its
/// parts.
///
/// A key is for one circuit. With committed weights, the circuit is the same for all networks with
/// the program's architecture, shifts, ranges, fills and indices, if their constants and multipliers
/// fit the same [`Ranges`]. In standard form ([`CircuitBuilder::standard`]), it is the same for all
/// networks of the architecture.
///
/// The rows are built once. Clones share them, and so do the circuits of
/// [`Circuit::for_network`].
#[derive(Clone)]
pub struct Circuit {
    pub(crate) subject: Subject,
    rows: Arc<Rows>,
}

/// The rows, with what follows from them alone.
struct Rows {
    matrices: Matrices,
    estimate: Estimate,
    digest: OnceLock<ConstraintDigest>,
}

impl fmt::Debug for Circuit {
    /// Omits the rows, of which there are millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("run", &self.subject.run)
            .field("layout", &self.subject.layout)
            .field("estimate", &self.rows.estimate)
            .finish_non_exhaustive()
    }
}

impl Circuit {
    /// Describes a circuit for a network. [`CircuitBuilder::build`] makes it.
    #[allow(clippy::new_ret_no_self, reason = "a circuit starts with its description")]
    pub fn new(network: &Network) -> CircuitBuilder {
        CircuitBuilder::new(network)
    }

    fn of(subject: Subject, matrices: Matrices, estimate: Estimate) -> Circuit {
        Circuit { subject, rows: Arc::new(Rows { matrices, estimate, digest: OnceLock::new() }) }
    }

    /// The same statement about another network, with committed weights.
    ///
    /// The network must have the same architecture, shifts, ranges, fills and indices. The rows are the
    /// same, and shared, so the key is the same.
    ///
    /// # Errors
    /// [`CircuitError::Architecture`], [`CircuitError::Numbers`], [`CircuitError::Arrangement`],
    /// [`CircuitError::Constant`], [`CircuitError::Multiplier`].
    pub fn for_network(&self, network: &Network) -> Result<Circuit, CircuitError> {
        let Subject { network: own, layout, ranges, .. } = &self.subject;
        let architecture = |network: &Network| network.program().architecture_id();
        let fixed = layout.visibility().weights == WeightsVisibility::Fixed;
        if fixed || architecture(network) != architecture(own) {
            return Err(CircuitError::Architecture);
        }
        if !multipliers::differ_alone(network.program(), own.program()) {
            return Err(CircuitError::Numbers);
        }
        if let Some(name) = indices::first_difference(network.program(), own.program()) {
            return Err(CircuitError::Arrangement { name: name.to_owned() });
        }
        ranges.check(network)?;
        let subject = Subject { network: network.clone(), ..self.subject.clone() };
        Ok(Circuit { subject, rows: self.rows.clone() })
    }

    /// The ranges of committed constants and multipliers.
    pub fn ranges(&self) -> &Ranges {
        &self.subject.ranges
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.subject.network
    }

    /// The run.
    pub fn run(&self) -> &RunShape {
        &self.subject.run
    }

    /// The visibilities, and the signals that show each part.
    pub fn layout(&self) -> &Layout {
        &self.subject.layout
    }

    /// The extent of the input.
    pub fn input_extent(&self) -> Extent {
        self.subject.input_extent()
    }

    /// The extent of the output.
    pub fn output_extent(&self) -> Extent {
        self.subject.output_extent()
    }

    /// The sizes of the circuit, and the memory that a key and a proof take.
    ///
    /// It has no times; [`Estimate::measure`] adds them.
    pub fn estimate(&self) -> Estimate {
        self.rows.estimate.clone()
    }

    /// The digest of the constraints.
    pub fn digest(&self) -> ConstraintDigest {
        *self.rows.digest.get_or_init(|| self.rows.matrices.digest())
    }

    /// Writes the constraints as an `.r1cs` file, from which snarkjs starts a
    /// ceremony. `to` should be buffered.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn write_r1cs(&self, to: &mut impl Write) -> Result<(), ExportError> {
        write_r1cs(&self.rows.matrices, to)
    }

    /// The rows.
    pub(crate) fn matrices(&self) -> &Matrices {
        &self.rows.matrices
    }
}
