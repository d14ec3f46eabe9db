//! Programs as constraint systems: the statement of an inference proof.
//!
//! - [`number`]: integers with bounds, bits, choices.
//! - `bits`: decompositions, and the floors, saturation and maxima that share
//!   them.
//! - `packing`, `poseidon`: entries as field elements, and hashes of them.
//! - [`ranges`]: the ranges of committed constants and multipliers.
//! - `tensor`, `gadgets`, `product`, `table`: a run's tensors and its steps.
//! - `weights`: constants and multipliers, fixed or committed.
//! - this file: signals, commitments, and the program from end to end.
//!
//! Constraints enforce the bounds of every number, by induction: values from
//! outside are limited to the range of their type, sums and products inherit
//! bounds, and floors are decomposed. So no value wraps around the field, and a
//! step that cannot saturate needs no constraint that states so.

mod bits;
mod gadgets;
pub mod number;
mod packing;
mod poseidon;
mod product;
pub mod ranges;
mod table;
mod tensor;
#[cfg(test)]
mod tests;
mod weights;

use super::commitment::{Salt, tag};
use super::multipliers;
use super::system::System;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use bits::hold;
use gadgets::Step;
use light_poseidon::PoseidonError;
use number::Number;
use packing::{Element, pack};
use poai_core::inference::packing::bits as entry_bits;
use poai_core::inference::{
    Entries as Packed, Layout, SignalsError, TensorVisibility, Visibility, WeightsVisibility,
};
use poai_core::program::ops::Local;
use poai_core::program::{Dtype, Extent, Op, Program, RunShape, RunShapeError, ValueId};
use poai_engine::execute::{Network, Tensor};
use poseidon::chain;
use ranges::{EntryRange, Ranges, column};
use std::sync::Arc;
use tensor::Entries;
use weights::Weights;

/// The largest number of terms of a circuit's matrices, which take about 40
/// GiB.
pub const TERMS_MAX: usize = 1 << 30;

/// Why a program has no circuit.
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
        "constant {name}: expected an entry in {least}..={most}, got {entry}; widen the ranges"
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
        "step {name}: expected a multiplier in {least}..={most}, got {multiplier}; widen the ranges"
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
    /// The network has the circuit's architecture, but other shifts or ranges
    /// of steps.
    ///
    /// Shifts and ranges are part of a circuit, even if weights are committed.
    /// Networks in standard form ([`poai_core::program::standard`]) have the
    /// shifts and ranges of their architecture.
    #[error("expected the circuit's shifts and ranges, got others; make a circuit for the network")]
    Numbers,
    /// Tensors do not have the shapes that the program implies, or the hash has
    /// no parameters. This is a defect of the library.
    #[error(
        "expected tensors of the shapes that the program implies, got others; report this defect"
    )]
    Layout,
    /// Poseidon has no such instance. This is a defect of the library.
    #[error(transparent)]
    Poseidon(#[from] PoseidonError),
}

/// The shape of a statement: a program, a run, and the visibility of its parts.
///
/// A key is for one circuit. With committed weights, the circuit is the same for all networks with
/// the program's architecture, shifts and ranges, if their constants and multipliers fit the same
/// [`Ranges`]. In standard form ([`Circuit::standard`]), it is the same for all networks of the
/// architecture.
#[derive(Clone, Debug)]
pub struct Circuit {
    network: Arc<Network>,
    run: RunShape,
    extents: Vec<Extent>,
    layout: Layout,
    ranges: Ranges,
}

/// The values that a proof is made from.
#[derive(Clone)]
pub struct Witness {
    /// The input.
    pub input: Tensor,
    /// The `binding` of [`poai_core::inference`] that the proof is bound to.
    pub binding: Fr,
    /// The salts of the commitments to input, weights and output, if they are
    /// committed.
    pub salts: [Salt; 3],
}

impl std::fmt::Debug for Witness {
    /// Omits everything that the proof hides.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("binding", &self.binding).finish_non_exhaustive()
    }
}

impl Circuit {
    /// A statement about a network, with visibilities.
    ///
    /// With committed weights, only [`Circuit::build`] reads the values of the
    /// network's constants.
    ///
    /// # Errors
    /// [`CircuitError`] for steps, shapes or numbers of signals that proofs do
    /// not support.
    pub fn new(
        network: Arc<Network>,
        run: RunShape,
        visibility: Visibility,
    ) -> Result<Circuit, CircuitError> {
        let program = network.program();
        let extents = program.extents(&run)?;
        if program.inputs().len() != 1 {
            return Err(CircuitError::Inputs(program.inputs().len()));
        }
        let (Some(input), Some(output)) = (extents.first(), extents.last()) else {
            return Err(CircuitError::Layout);
        };
        let layout = Layout::new(visibility, packed(input), packed(output))?;
        let ranges = Ranges::of(&network);
        Ok(Circuit { network, run, extents, layout, ranges })
    }

    /// The statement with committed weights about a network in standard form
    /// ([`poai_core::program::standard`]).
    ///
    /// It is the same for all networks of the architecture.
    ///
    /// # Errors
    /// As for [`Circuit::new`] and [`Circuit::with_ranges`].
    pub fn standard(
        network: Arc<Network>,
        run: RunShape,
        visibility: Visibility,
    ) -> Result<Circuit, CircuitError> {
        let ranges = Ranges::standard(network.program());
        Circuit::new(network, run, visibility)?.with_ranges(ranges)
    }

    /// The same statement about another network, with committed weights.
    ///
    /// The network must have the same architecture, shifts and ranges. The rows are the same, so
    /// the key is the same.
    ///
    /// # Errors
    /// [`CircuitError::Architecture`], [`CircuitError::Numbers`], [`CircuitError::Constant`],
    /// [`CircuitError::Multiplier`].
    pub fn for_network(&self, network: Arc<Network>) -> Result<Circuit, CircuitError> {
        let architecture = |network: &Network| network.program().architecture_id();
        let fixed = self.layout.visibility().weights == WeightsVisibility::Fixed;
        if fixed || architecture(&network) != architecture(&self.network) {
            return Err(CircuitError::Architecture);
        }
        if !multipliers::differ_alone(network.program(), self.network.program()) {
            return Err(CircuitError::Numbers);
        }
        self.ranges.check(&network)?;
        Ok(Circuit { network, ..self.clone() })
    }

    /// The same statement with wider ranges for constants and multipliers.
    ///
    /// # Errors
    /// - [`CircuitError::Constant`] or [`CircuitError::Multiplier`] if the network's own numbers do
    ///   not fit.
    /// - [`CircuitError::Architecture`] if the ranges are for another architecture.
    pub fn with_ranges(self, ranges: Ranges) -> Result<Circuit, CircuitError> {
        ranges.check(&self.network)?;
        Ok(Circuit { ranges, ..self })
    }

    /// The ranges of committed constants and multipliers.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// The network.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The run.
    pub fn run(&self) -> &RunShape {
        &self.run
    }

    /// The visibilities, and the signals that show each part.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The extent of the input.
    pub fn input_extent(&self) -> Extent {
        // `new` checked that there is an input.
        self.extents.first().copied().unwrap_or(self.output_extent())
    }

    /// The extent of the output.
    pub fn output_extent(&self) -> Extent {
        self.extents[self.extents.len() - 1]
    }

    /// The system with the assignment of a witness.
    ///
    /// Without a witness, the assignment is zeros. It does not satisfy the
    /// system, but the rows are the same. `keep_rows` is as in [`System::new`].
    ///
    /// # Errors
    /// [`CircuitError`].
    pub fn build(&self, witness: Option<&Witness>, keep_rows: bool) -> Result<Built, CircuitError> {
        let program = self.network.program();
        let mut builder =
            Builder { system: System::new(self.layout.count(), keep_rows), signals: 0 };
        let binding = builder.bind(witness.map_or(Fr::ZERO, |witness| witness.binding));
        let salt = |which: usize| witness.map(|witness| witness.salts[which]);
        let visibility = self.layout.visibility();
        let input = self.input(&mut builder, witness)?;
        builder.show(visibility.input, &input, salt(0))?;
        let weights = self.weights(&mut builder, salt(1))?;
        let mut values = vec![input];
        for index in 1..program.values() {
            // Exact: at most 2^16 + 16 values.
            let output =
                self.step(&mut builder, &binding, &values, &weights, ValueId(index as u32))?;
            values.push(output);
            if builder.system.terms() > TERMS_MAX {
                return Err(CircuitError::Large);
            }
        }
        let output = values.last().ok_or(CircuitError::Layout)?;
        builder.show(visibility.output, output, salt(2))?;
        let entries = output.entries.iter().map(|entry| entry.value() as i32).collect();
        Ok(Built { system: builder.system, output: entries })
    }

    /// The input's entries, constrained to the range of their type.
    fn input(
        &self,
        builder: &mut Builder,
        witness: Option<&Witness>,
    ) -> Result<Entries, CircuitError> {
        let expected = self.input_extent();
        let entries = match witness {
            Some(witness) if *witness.input.extent() != expected => {
                return Err(CircuitError::Input { expected, got: *witness.input.extent() });
            }
            Some(witness) => witness.input.entries(),
            None => vec![0; expected.rows as usize * expected.columns as usize],
        };
        let bits = 8 * expected.dtype.size() as u8;
        // Clean i8 entries have one bit less than a byte.
        let bits = if expected.dtype == Dtype::I8 { 6 } else { bits - 1 };
        let columns = expected.columns as usize;
        let held = builder.held(columns, &entries, &[EntryRange { bits, signed: true }]);
        Ok(Entries::new(expected, held))
    }

    fn step(
        &self,
        builder: &mut Builder,
        binding: &Element,
        values: &[Entries],
        weights: &Weights,
        value: ValueId,
    ) -> Result<Entries, CircuitError> {
        let program = self.network.program();
        let step = program.step_of(value).ok_or(CircuitError::Layout)?;
        let local =
            Local::new(program, &self.extents, self.run, value).ok_or(CircuitError::Layout)?;
        let inputs = step.inputs.iter().map(|input| values.get(input.0 as usize));
        let own = weights.of_step(&self.network, step, value)?;
        let held = own.constants.iter().map(|entries| Some(&**entries));
        let slots: Option<Vec<&Entries>> = inputs.chain(held).collect();
        let slots = slots.ok_or(CircuitError::Layout)?;
        let rectified = is_rectified(program, value);
        let (fixed, multipliers) = (own.fixed.as_deref(), own.multipliers);
        let step_of = Step { local: &local, slots, fixed, multipliers, binding, rectified };
        step_of.build(&mut builder.system).map_err(|source| CircuitError::Step {
            name: step.name.clone(),
            source: Box::new(source),
        })
    }
}

/// A circuit's system, and the output that building it computed.
pub struct Built {
    /// The system.
    pub system: System,
    /// The output's entries, row-major.
    pub output: Vec<i32>,
}

impl std::fmt::Debug for Built {
    /// Omits all values, because a proof may hide them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("system", &self.system).finish_non_exhaustive()
    }
}

struct Builder {
    system: System,
    /// Number of signals that are set.
    signals: usize,
}

impl Builder {
    /// Constrains the next signal to equal an element.
    fn signal(&mut self, element: &Element) {
        let lc = self.system.signal(self.signals, element.value);
        self.signals += 1;
        let signal = Element { lc, value: element.value };
        Element::enforce_equal(&mut self.system, &signal, element);
    }

    /// Sets the first signal, the binding.
    ///
    /// Its square is a constraint, so that a proof is invalid with another binding. Challenges are
    /// also hashes of it ([`product`]). A circuit without a challenge has it in the square alone.
    fn bind(&mut self, value: Fr) -> Element {
        let lc = self.system.signal(self.signals, value);
        self.signals += 1;
        let binding = Element { lc, value };
        Element::product(&mut self.system, &binding, &binding);
        binding
    }

    /// A salt, which stays private.
    fn secret(&mut self, salt: Option<Salt>) -> Element {
        let value = salt.map_or(Fr::ZERO, |salt| salt.element());
        Element { lc: self.system.witness(value), value }
    }

    /// Witnesses, row-major, that are constrained to ranges.
    fn held(&mut self, columns: usize, entries: &[i32], ranges: &[EntryRange]) -> Vec<Number> {
        let entry = |(at, &entry): (usize, &i32)| {
            let range = column(ranges, at % columns);
            if range == EntryRange::default() {
                return Number::constant(0);
            }
            let number = Number::witness(&mut self.system, entry.into(), range.bounds());
            hold(&mut self.system, &number);
            number
        };
        entries.iter().enumerate().map(entry).collect()
    }

    /// Sets the signals of a tensor.
    fn show(
        &mut self,
        visibility: TensorVisibility,
        entries: &Entries,
        salt: Option<Salt>,
    ) -> Result<(), CircuitError> {
        let packed = pack(&entries.entries, entry_bits(entries.extent.dtype) as usize);
        match visibility {
            TensorVisibility::Private => {}
            TensorVisibility::Public => packed.iter().for_each(|element| self.signal(element)),
            TensorVisibility::Hashed => {
                let head = [Element::constant(tag(&entries.extent)), self.secret(salt)];
                let elements: Vec<Element> = head.into_iter().chain(packed).collect();
                let commitment = chain(&mut self.system, &elements)?;
                self.signal(&commitment);
            }
        }
        Ok(())
    }
}

fn packed(extent: &Extent) -> Packed {
    let count = u64::from(extent.rows) * u64::from(extent.columns);
    Packed { dtype: extent.dtype, count }
}

/// Whether only `Relu` steps read a value.
fn is_rectified(program: &Program, value: ValueId) -> bool {
    let mut readers = program.steps().iter().filter(|step| step.inputs.contains(&value)).peekable();
    value != program.output()
        && readers.peek().is_some()
        && readers.all(|step| matches!(step.op, Op::Relu))
}
