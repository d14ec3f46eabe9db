//! The program from end to end, as constraints: its signals, commitments and
//! steps.

use super::bits::hold;
use super::gadgets::Step;
use super::number::Number;
use super::packing::{Element, pack};
use super::poseidon::chain;
use super::ranges::{EntryRange, Ranges, column};
use super::tensor::Entries;
use super::weights::Weights;
use super::{CircuitError, TERMS_MAX};
use crate::commitment::{Salt, Salts, tag};
use crate::system::System;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use poai_core::Control;
use poai_core::inference::packing::bits as entry_bits;
use poai_core::inference::{Entries as Packed, Layout, TensorVisibility, Visibility};
use poai_core::program::ops::Local;
use poai_core::program::{Dtype, Extent, Op, Program, RunShape, RunShapeError, ValueId};
use poai_engine::execute::{Network, Tensor};

/// What a circuit is about: a network, a run, visibilities, and ranges.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) network: Network,
    pub(crate) run: RunShape,
    pub(crate) layout: Layout,
    pub(crate) ranges: Ranges,
    pub(super) extents: Vec<Extent>,
}

/// The values that a proof is made from.
#[derive(Clone)]
pub struct Witness {
    /// The input.
    pub input: Tensor,
    /// The `binding` of [`poai_core::inference`] that the proof is bound to.
    pub binding: Fr,
    /// The salts of the commitments, if there are any.
    pub salts: Salts,
}

impl std::fmt::Debug for Witness {
    /// Omits everything that the proof hides.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("binding", &self.binding).finish_non_exhaustive()
    }
}

impl Subject {
    /// A subject that proofs support. `ranges` must fit the network.
    pub(super) fn new(
        network: Network,
        run: RunShape,
        visibility: Visibility,
        ranges: Ranges,
    ) -> Result<Subject, CircuitError> {
        let program = network.program();
        let extents = program.extents(&run)?;
        // Neither keys nor bindings name a run's answers.
        if run.answers > 0 {
            let expected = "no";
            return Err(RunShapeError::Answers { expected, answers: run.answers }.into());
        }
        if program.inputs().len() != 1 {
            return Err(CircuitError::Inputs(program.inputs().len()));
        }
        let (Some(input), Some(output)) = (extents.first(), extents.last()) else {
            return Err(CircuitError::Layout);
        };
        let layout = Layout::new(visibility, Packed::of(input), Packed::of(output))?;
        Ok(Subject { network, run, layout, ranges, extents })
    }

    /// The extent of the input.
    pub(crate) fn input_extent(&self) -> Extent {
        // `new` checked that there is an input.
        self.extents.first().copied().unwrap_or(self.output_extent())
    }

    /// The extent of the output.
    pub(crate) fn output_extent(&self) -> Extent {
        self.extents[self.extents.len() - 1]
    }

    /// The system with the assignment of a witness.
    ///
    /// Without a witness, the assignment is zeros. It does not satisfy the
    /// system, but the rows are the same. `system` is empty, and decides whether
    /// rows are kept and how many. Progress is counted in values of the program.
    ///
    /// # Errors
    /// [`CircuitError`].
    pub(crate) fn synthesise(
        &self,
        witness: Option<&Witness>,
        system: System,
        control: &Control,
    ) -> Result<Built, CircuitError> {
        let program = self.network.program();
        // Exact: at most 2^16 + 16 values.
        let total = program.values() as u64;
        control.check()?;
        let mut builder = Builder { system, signals: 0 };
        let binding = builder.bind(witness.map_or(Fr::ZERO, |witness| witness.binding));
        let salt = |of: fn(&Salts) -> &Salt| witness.map(|witness| *of(&witness.salts));
        let visibility = self.layout.visibility();
        let input = self.input(&mut builder, witness)?;
        builder.show(visibility.input, &input, salt(|salts| &salts.input))?;
        let weights = self.weights(&mut builder, salt(|salts| &salts.weights))?;
        builder.system.check_budget()?;
        let mut values = vec![input];
        control.report(1, total);
        for index in 1..program.values() {
            control.check()?;
            let output =
                self.step(&mut builder, &binding, &values, &weights, ValueId(index as u32))?;
            values.push(output);
            if builder.system.terms() > TERMS_MAX {
                return Err(CircuitError::Large);
            }
            builder.system.check_budget()?;
            control.report(index as u64 + 1, total);
        }
        let output = values.last().ok_or(CircuitError::Layout)?;
        builder.show(visibility.output, output, salt(|salts| &salts.output))?;
        builder.system.check_budget()?;
        let entries = output.entries.iter().map(|entry| entry.value() as i32).collect();
        Ok(Built { system: builder.system, output: entries })
    }

    /// The input's entries, constrained to the range of their type.
    pub(super) fn input(
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

pub(super) struct Builder {
    pub(super) system: System,
    /// Number of signals that are set.
    pub(super) signals: usize,
}

impl Builder {
    /// Constrains the next signal to equal an element.
    pub(super) fn signal(&mut self, element: &Element) {
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
    pub(super) fn secret(&mut self, salt: Option<Salt>) -> Element {
        let value = salt.map_or(Fr::ZERO, |salt| salt.element());
        Element { lc: self.system.witness(value), value }
    }

    /// Witnesses, row-major, that are constrained to ranges.
    pub(super) fn held(
        &mut self,
        columns: usize,
        entries: &[i32],
        ranges: &[EntryRange],
    ) -> Vec<Number> {
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
    pub(super) fn show(
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

/// Whether only `Relu` steps read a value.
fn is_rectified(program: &Program, value: ValueId) -> bool {
    let mut readers = program.steps().iter().filter(|step| step.inputs.contains(&value)).peekable();
    value != program.output()
        && readers.peek().is_some()
        && readers.all(|step| matches!(step.op, Op::Relu))
}
