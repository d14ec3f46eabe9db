//! Errors of describing and building a circuit.

use super::TERMS_MAX;
use crate::defect::Defect;
use crate::estimate::MemoryError;
use poai_core::Cancelled;
use poai_core::inference::SignalsError;
use poai_core::program::{Extent, RunShapeError};

/// Why a circuit was not described or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// The run has no tensors, or tensors that are too large.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// Circuits do not have steps of this kind.
    #[error("expected a kind of step that circuits support, got {kind}")]
    Unsupported {
        /// The step's kind.
        kind: &'static str,
    },
    /// An index of an arrange step names an entry that its inputs do not have.
    #[error("expected an index of entries in -1..={most}, got {entry}; correct the constant")]
    Index {
        /// The entry.
        entry: i32,
        /// The largest number that names an entry.
        most: i64,
    },
    /// An error in a step, with the step's name.
    #[error("step {name}: {source}")]
    Step {
        /// The step's name.
        name: String,
        /// What is wrong with the step.
        source: Box<CircuitError>,
    },
    /// The program does not have exactly one input.
    #[error("expected a program with one input, got {0} inputs")]
    Inputs(usize),
    /// The circuit has more signals than a proof may have.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// The circuit is too large for any machine that proves.
    #[error("expected at most {TERMS_MAX} terms, got more; prove a smaller program or run")]
    Large,
    /// The input has another extent than the run requires.
    #[error("expected an input of {expected}, got {got}")]
    Input {
        /// The extent that the run requires.
        expected: Extent,
        /// The extent of the given input.
        got: Extent,
    },
    /// A constant has an entry outside the circuit's range.
    #[error(
        "constant {name}: expected an entry in {least}..={most}, got {entry}; quantise in standard form, \
         or widen the ranges"
    )]
    Constant {
        /// The constant's name.
        name: String,
        /// The entry.
        entry: i32,
        /// The least entry in range.
        least: i64,
        /// The largest entry in range.
        most: i64,
    },
    /// A multiplier of a step is outside the circuit's range.
    #[error(
        "step {name}: expected a multiplier in {least}..={most}, got {multiplier}; quantise in \
         standard form, or widen the ranges"
    )]
    Multiplier {
        /// The step's name.
        name: String,
        /// The multiplier.
        multiplier: i32,
        /// The least multiplier in range.
        least: i64,
        /// The largest multiplier in range.
        most: i64,
    },
    /// The network has another architecture than the circuit.
    #[error("expected a network of the circuit's architecture, got another; make a circuit for it")]
    Architecture,
    /// The network has the circuit's architecture, but other shifts, ranges or
    /// fills of steps.
    ///
    /// These are part of a circuit, even if weights are committed. Networks in
    /// standard form ([`poai_core::program::standard`]) have those of their
    /// architecture.
    #[error(
        "expected the circuit's shifts, ranges and fills, got others; make a circuit for the network"
    )]
    Numbers,
    /// An index of an arrange step differs from the circuit's.
    ///
    /// Indices are part of a circuit, even if weights are committed.
    #[error(
        "constant {name}: expected the circuit's index, got another; make a circuit for the network"
    )]
    Arrangement {
        /// The constant's name.
        name: String,
    },
    /// A proof of the circuit would take more memory than is available.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The caller cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Tensors do not have the shapes that the program implies. This is a
    /// defect of the library.
    #[error(
        "expected tensors of the shapes that the program implies, got others; report this defect"
    )]
    Layout,
    /// Another defect of the library.
    #[error(transparent)]
    Defect(#[from] Defect),
}
