//! Poseidon as circom has it (x⁵, state of one more than the inputs, which
//! begin behind a 0; the first of the state is the hash), as constraints.
//! Source: Grassi et al., "Poseidon", USENIX Security 2021; the numbers are
//! light-poseidon's.

use super::super::system::System;
use super::packing::Element;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use light_poseidon::parameters::bn254_x5::get_poseidon_parameters;
use light_poseidon::{PoseidonError, PoseidonParameters};
use std::collections::BTreeMap;

/// Inputs of the widest instance.
const INPUTS_MAX: usize = 12;

/// Instances by their number of inputs, each made when it is first used.
#[derive(Default)]
pub(super) struct Poseidon(BTreeMap<usize, PoseidonParameters<Fr>>);

impl Poseidon {
    /// The hash of 1 to 12 elements.
    fn hash(&mut self, system: &mut System, inputs: &[Element]) -> Result<Element, PoseidonError> {
        let parameters = match self.0.entry(inputs.len()) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                // As wide as the inputs and one more: 255 at most.
                let width = u8::try_from(inputs.len() + 1).unwrap_or(u8::MAX);
                free.insert(get_poseidon_parameters::<Fr>(width)?)
            }
        };
        let mut state = vec![Element::constant(Fr::ZERO)];
        state.extend_from_slice(inputs);
        let (full, partial) = (parameters.full_rounds, parameters.partial_rounds);
        let width = parameters.width;
        for (round, constants) in parameters.ark.chunks_exact(width).enumerate() {
            for (element, &constant) in state.iter_mut().zip(constants) {
                let constant = Element::constant(constant);
                *element = Element::sum([(Fr::from(1u64), &*element), (Fr::from(1u64), &constant)]);
            }
            let is_full = round < full / 2 || round >= full / 2 + partial;
            let powered = if is_full { width } else { 1 };
            for element in state.iter_mut().take(powered) {
                *element = fifth_power(system, element);
            }
            state = parameters
                .mds
                .iter()
                .map(|row| {
                    let parts: Vec<_> = row.iter().copied().zip(&state).collect();
                    Element::sum(parts.iter().copied())
                })
                .collect();
        }
        // There is a first: the 0's place.
        Ok(state.swap_remove(0))
    }

    /// The hash of any number of elements: as long as they are too many for one
    /// instance, the first 12 become one. Injective for messages of one length.
    pub(super) fn chain(
        &mut self,
        system: &mut System,
        elements: &[Element],
    ) -> Result<Element, PoseidonError> {
        let (first, rest) = elements.split_at(elements.len().min(INPUTS_MAX));
        let mut hash = self.hash(system, first)?;
        for part in rest.chunks(INPUTS_MAX - 1) {
            let inputs: Vec<Element> = [&hash].into_iter().chain(part).cloned().collect();
            hash = self.hash(system, &inputs)?;
        }
        Ok(hash)
    }
}

/// x⁵ in three constraints; of a constant in none.
fn fifth_power(system: &mut System, x: &Element) -> Element {
    if x.lc.is_constant() {
        let square = x.value * x.value;
        return Element::constant(square * square * x.value);
    }
    let square = Element::product(system, x, x);
    let fourth = Element::product(system, &square, &square);
    Element::product(system, &fourth, x)
}
