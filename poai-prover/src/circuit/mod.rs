//! Programs as constraint systems: the statement that a proof of inference is
//! about.
//!
//! - [`number`]: integers with bounds, bits, choices.
//! - `bits`: decompositions; floors, saturation and maxima that share them.
//! - `packing`, `poseidon`: entries as field elements, and hashes of them.
//! - [`ranges`]: how far committed constants and multipliers may go.
//! - `tensor`, `gadgets`, `product`, `table`: a run's tensors and its steps.
//! - `weights`: constants and multipliers, fixed or committed.
//! - this file: signals, commitments, and the program from end to end.
//!
//! Every number's bounds are enforced by constraints, by induction: what comes
//! from outside is held to its type's range, sums and products inherit, floors
//! are decomposed. So no value wraps around the field, and a step that cannot
//! saturate needs no constraint to say so.

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

/// Terms of the matrices beyond which no circuit is built: some 40 GiB.
pub const TERMS_MAX: usize = 1 << 30;

/// Why there is no circuit of a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// The run has no tensors, or too large ones.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// A step of a kind that circuits do not have.
    #[error("proofs do not have steps of kind {kind}")]
    Unsupported {
        /// The kind.
        kind: &'static str,
    },
    /// The same, named.
    #[error("step {name}: {source}")]
    Step {
        /// The step's name.
        name: String,
        /// What is wrong with it.
        source: Box<CircuitError>,
    },
    /// More than one input.
    #[error("proofs are of programs with one input, this one has {0}")]
    Inputs(usize),
    /// More signals than a proof may have.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// Too large for any machine that proves.
    #[error("more than {TERMS_MAX} terms")]
    Large,
    /// An input of another extent.
    #[error("the input is {got}, this run takes {expected}")]
    Input {
        /// What the run takes.
        expected: Extent,
        /// What was given.
        got: Extent,
    },
    /// A constant that the circuit has no room for.
    #[error("constant {name} has the entry {entry}, the circuit takes {least}..={most} there")]
    Constant {
        /// The constant's name.
        name: String,
        /// The entry.
        entry: i32,
        /// The least that the circuit takes.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// A multiplier of a step that the circuit has no room for.
    #[error("step {name} has the multiplier {multiplier}, the circuit takes {least}..={most}")]
    Multiplier {
        /// The step's name.
        name: String,
        /// The multiplier.
        multiplier: i32,
        /// The least that the circuit takes.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// Another architecture than the circuit's.
    #[error("the network is of another architecture than the circuit")]
    Architecture,
    /// The circuit's architecture with other shifts or ranges of steps, which
    /// are part of a circuit, whatever is committed. Networks in standard form
    /// ([`poai_core::program::standard`]) have those of their architecture.
    #[error("the network has other shifts or ranges than the circuit")]
    Numbers,
    /// Tensors do not have the shapes that the program implies, or the hash has
    /// no parameters: a defect of the library.
    #[error("tensors do not have the shapes that the program implies")]
    Layout,
    /// Poseidon has no such instance: a defect of the library.
    #[error(transparent)]
    Poseidon(#[from] PoseidonError),
}

/// The statement's shape: which program, on which run, what of it is seen. One
/// key is for one of these; with committed weights, for all networks of the
/// program's architecture, shifts and ranges whose constants and multipliers fit
/// the same [`Ranges`]: in standard form ([`Circuit::standard`]) for all of the
/// architecture.
#[derive(Clone, Debug)]
pub struct Circuit {
    network: Arc<Network>,
    run: RunShape,
    extents: Vec<Extent>,
    layout: Layout,
    ranges: Ranges,
}

/// What a proof is made of.
#[derive(Clone)]
pub struct Witness {
    /// The input.
    pub input: Tensor,
    /// What the proof is bound to, [`poai_core::inference`]'s `binding`.
    pub binding: Fr,
    /// What hides the commitments to input, weights and output, where they are
    /// committed to.
    pub salts: [Salt; 3],
}

impl std::fmt::Debug for Witness {
    /// Nothing that the proof hides.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("binding", &self.binding).finish_non_exhaustive()
    }
}

impl Circuit {
    /// A statement about a network, with visibilities. With committed weights
    /// the network's constants matter in [`Circuit::build`] alone.
    ///
    /// # Errors
    /// [`CircuitError`]: steps, shapes or numbers of signals that proofs do not
    /// have.
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
    /// ([`poai_core::program::standard`]): the same for all of its architecture.
    ///
    /// # Errors
    /// As [`Circuit::new`] and [`Circuit::with_ranges`].
    pub fn standard(
        network: Arc<Network>,
        run: RunShape,
        visibility: Visibility,
    ) -> Result<Circuit, CircuitError> {
        let ranges = Ranges::standard(network.program());
        Circuit::new(network, run, visibility)?.with_ranges(ranges)
    }

    /// The same statement about another network of the same architecture, shifts
    /// and ranges, with committed weights: the same rows, so the same key.
    ///
    /// # Errors
    /// [`CircuitError::Architecture`], [`CircuitError::Numbers`],
    /// [`CircuitError::Constant`], [`CircuitError::Multiplier`].
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

    /// The same statement with room for constants and multipliers of wider
    /// ranges.
    ///
    /// # Errors
    /// [`CircuitError::Constant`] or [`CircuitError::Multiplier`] where the
    /// network's own do not fit, [`CircuitError::Architecture`] where the ranges
    /// are another architecture's.
    pub fn with_ranges(self, ranges: Ranges) -> Result<Circuit, CircuitError> {
        ranges.check(&self.network)?;
        Ok(Circuit { ranges, ..self })
    }

    /// What committed constants and multipliers are held to.
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

    /// What is seen, and which signals show it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The extent of the input.
    pub fn input_extent(&self) -> Extent {
        // There is an input: `new` looked.
        self.extents.first().copied().unwrap_or(self.output_extent())
    }

    /// The extent of the output.
    pub fn output_extent(&self) -> Extent {
        self.extents[self.extents.len() - 1]
    }

    /// The system, with the assignment of a witness; without one, of zeros,
    /// which satisfies nothing but has the same rows. `keep_rows` as
    /// [`System::new`] has it.
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

    /// The input's entries, held to its type's range.
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
        // Clean i8 entries have a bit less than bytes.
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

/// A circuit's system, and the output that it computed on the way.
pub struct Built {
    /// The system.
    pub system: System,
    /// The output's entries, row-major.
    pub output: Vec<i32>,
}

impl std::fmt::Debug for Built {
    /// No values: a proof may hide them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("system", &self.system).finish_non_exhaustive()
    }
}

struct Builder {
    system: System,
    /// How many are set.
    signals: usize,
}

impl Builder {
    /// The next signal is equal to an element.
    fn signal(&mut self, element: &Element) {
        let lc = self.system.signal(self.signals, element.value);
        self.signals += 1;
        let signal = Element { lc, value: element.value };
        Element::enforce_equal(&mut self.system, &signal, element);
    }

    /// The first signal. Squared, so that a constraint has it and a proof is worth
    /// nothing with another; besides, challenges are hashes of it ([`product`]). A
    /// circuit without a challenge has it in the square alone.
    fn bind(&mut self, value: Fr) -> Element {
        let lc = self.system.signal(self.signals, value);
        self.signals += 1;
        let binding = Element { lc, value };
        Element::product(&mut self.system, &binding, &binding);
        binding
    }

    /// A salt, which nobody sees.
    fn secret(&mut self, salt: Option<Salt>) -> Element {
        let value = salt.map_or(Fr::ZERO, |salt| salt.element());
        Element { lc: self.system.witness(value), value }
    }

    /// Witnesses, row-major, that are held within ranges.
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

    /// A tensor's signals.
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

/// Whether a value is read by `Relu`s and nothing else.
fn is_rectified(program: &Program, value: ValueId) -> bool {
    let mut readers = program.steps().iter().filter(|step| step.inputs.contains(&value)).peekable();
    value != program.output()
        && readers.peek().is_some()
        && readers.all(|step| matches!(step.op, Op::Relu))
}
