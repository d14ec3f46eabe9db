//! A network's constants and multipliers in a circuit: as constants of the circuit, or as witnesses
//! under a commitment.

use super::CircuitError;
use super::number::Number;
use super::packing::{Element, pack};
use super::poseidon::chain;
use super::synthesis::{Builder, Subject};
use super::tensor::Entries;
use crate::commitment::{Salt, weights_tag};
use crate::multipliers;
use poai_core::inference::WeightsVisibility;
use poai_core::inference::packing::bits as entry_bits;
use poai_core::program::{Dtype, Op, Step, ValueId};
use poai_engine::execute::Network;
use std::borrow::Cow;

/// The weights of a circuit, by their visibility.
pub(super) enum Weights {
    /// Constants of the circuit. Each step makes its own from the network's.
    Fixed,
    /// Witnesses under a commitment.
    Committed {
        /// The entries of each constant.
        constants: Vec<Entries>,
        /// The multipliers of each step.
        multipliers: Vec<Vec<Number>>,
    },
}

/// The weights of one step.
pub(super) struct OfStep<'a> {
    /// The step's constants in the order of its slots.
    pub(super) constants: Vec<Cow<'a, Entries>>,
    /// A product's fixed weights, whose slot is empty. They stay integers,
    /// because a layer has a large number of them.
    pub(super) fixed: Option<Vec<i32>>,
    /// The step's committed multipliers; empty if they are fixed.
    pub(super) multipliers: &'a [Number],
}

impl Weights {
    /// The weights of a step. Fixed weights are made for this step and dropped
    /// with it.
    pub(super) fn of_step(
        &self,
        network: &Network,
        step: &Step,
        value: ValueId,
    ) -> Result<OfStep<'_>, CircuitError> {
        let (ids, count) = step.op.constants();
        let ids = ids.iter().take(count);
        match self {
            Weights::Fixed => {
                let (mut made, mut fixed) = (vec![], None);
                for (slot, id) in ids.enumerate() {
                    let held = network.constants().get(id.0 as usize);
                    let tensor = &held.ok_or(CircuitError::Layout)?.tensor;
                    made.push(Cow::Owned(match (slot, &step.op) {
                        (0, Op::Linear { .. }) => {
                            fixed = Some(tensor.entries());
                            Entries::none(*tensor.extent())
                        }
                        _ => Entries::fixed(*tensor.extent(), &tensor.entries()),
                    }));
                }
                Ok(OfStep { constants: made, fixed, multipliers: &[] })
            }
            Weights::Committed { constants, multipliers } => {
                let held = ids.map(|id| constants.get(id.0 as usize).map(Cow::Borrowed));
                let constants = held.collect::<Option<_>>().ok_or(CircuitError::Layout)?;
                // A program has one input, and one value for each step.
                let index = (value.0 as usize).checked_sub(1);
                let own = index.and_then(|index| multipliers.get(index));
                let multipliers = own.ok_or(CircuitError::Layout)?;
                Ok(OfStep { constants, fixed: None, multipliers })
            }
        }
    }
}

impl Subject {
    /// The constants' entries and the multipliers. Sets the signal of their
    /// commitment.
    pub(super) fn weights(
        &self,
        builder: &mut Builder,
        salt: Option<Salt>,
    ) -> Result<Weights, CircuitError> {
        let program = self.network.program();
        let all = self.network.constants().iter().zip(program.constants());
        let steps = program.steps().iter().map(|step| multipliers::of_step(&step.op));
        if self.layout.visibility().weights == WeightsVisibility::Fixed {
            return Ok(Weights::Fixed);
        }
        let mut elements =
            vec![Element::constant(weights_tag(&program.architecture_id())), builder.secret(salt)];
        let mut constants = vec![];
        for ((held, constant), ranges) in all.zip(&self.ranges.constants) {
            let columns = constant.extent.columns as usize;
            let entries = builder.held(columns, &held.tensor.entries(), ranges);
            elements.extend(pack(&entries, entry_bits(constant.extent.dtype) as usize));
            constants.push(Entries::new(constant.extent, entries));
        }
        let mut ranges = &self.ranges.multipliers[..];
        let mut multipliers = vec![];
        for of_step in steps {
            let (own, rest) = ranges.split_at_checked(of_step.len()).ok_or(CircuitError::Layout)?;
            ranges = rest;
            multipliers.push(builder.held(of_step.len(), of_step, own));
        }
        elements.extend(pack(&multipliers.concat(), entry_bits(Dtype::I32) as usize));
        let commitment = chain(&mut builder.system, &elements)?;
        builder.signal(&commitment);
        Ok(Weights::Committed { constants, multipliers })
    }
}
