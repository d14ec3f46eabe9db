//! A network's constants and multipliers in a circuit: as constants of the circuit, or as witnesses
//! under a commitment.

use super::CircuitError;
use super::number::Number;
use super::packing::{Element, pack};
use super::poseidon::chain;
use super::synthesis::{Builder, Subject};
use super::tensor::Entries;
use crate::commitment::{Salt, index_element, weights_tag};
use crate::{indices, multipliers};
use poai_core::inference::WeightsVisibility;
use poai_core::inference::packing::bits as entry_bits;
use poai_core::program::{Dtype, Op, Step, ValueId};
use poai_engine::execute::Network;
use std::borrow::Cow;

/// The weights of a circuit, by their visibility.
pub(super) enum Weights {
    /// Constants of the circuit. Each step makes its own from the network's.
    Fixed,
    /// Witnesses under a commitment, but for the indices of arrange steps.
    Committed {
        /// The entries of each constant. Those of an index are empty.
        constants: Vec<Entries>,
        /// Whether each constant is an index of an arrange step.
        is_index: Vec<bool>,
        /// The multipliers of each step.
        multipliers: Vec<Vec<Number>>,
    },
}

/// The weights of one step.
pub(super) struct OfStep<'a> {
    /// The step's constants in the order of its slots.
    pub(super) constants: Vec<Cow<'a, Entries>>,
    /// A product's fixed weights or an index, whose slot is empty. They stay
    /// integers, because a layer has a large number of them.
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
        let fixed = |slot: usize, id: usize| -> Result<_, CircuitError> {
            let tensor = &network.constants().get(id).ok_or(CircuitError::Layout)?.tensor;
            let entries = tensor.entries();
            Ok(match (slot, &step.op) {
                (0, Op::Linear { .. } | Op::GroupLinear { .. } | Op::Arrange { .. }) => {
                    (Cow::Owned(Entries::none(*tensor.extent())), Some(entries))
                }
                _ => (Cow::Owned(Entries::fixed(*tensor.extent(), &entries)), None),
            })
        };
        let (mut of_slots, mut integers) = (vec![], None);
        for (slot, id) in ids.enumerate() {
            let id = id.0 as usize;
            match self {
                Weights::Committed { constants, is_index, .. }
                    if !is_index.get(id).copied().unwrap_or(false) =>
                {
                    let held = constants.get(id).ok_or(CircuitError::Layout)?;
                    of_slots.push(Cow::Borrowed(held));
                }
                _ => {
                    let (entries, own) = fixed(slot, id)?;
                    of_slots.push(entries);
                    integers = integers.or(own);
                }
            }
        }
        let multipliers = match self {
            Weights::Fixed => &[][..],
            Weights::Committed { multipliers, .. } => {
                // A program has one input, and one value for each step.
                let index = (value.0 as usize).checked_sub(1);
                let own = index.and_then(|index| multipliers.get(index));
                own.ok_or(CircuitError::Layout)?
            }
        };
        Ok(OfStep { constants: of_slots, fixed: integers, multipliers })
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
        let is_index = indices::of(program);
        let mut constants = vec![];
        for (((held, constant), ranges), &is_index) in
            all.zip(&self.ranges.constants).zip(&is_index)
        {
            if is_index {
                elements.push(Element::constant(index_element(&constant.root)));
                constants.push(Entries::none(constant.extent));
                continue;
            }
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
        Ok(Weights::Committed { constants, is_index, multipliers })
    }
}
