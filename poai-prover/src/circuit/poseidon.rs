//! Poseidon as in circom, as constraints.
//!
//! The S-box is x⁵. The state has one element more than the inputs: a 0, then the inputs. The hash
//! is the first element of the final state. Source: Grassi et al., "Poseidon", USENIX Security
//! 2021. The constants are light-poseidon's.
//!
//! A partial round raises one element of the state to its fifth power and mixes all elements. Over
//! all partial rounds, the state is a linear combination of the state before them and of the powers
//! so far. An [`Instance`] computes these combinations once in a process, so that no hash
//! multiplies the matrix with combinations again.

use super::super::system::System;
use super::packing::Element;
use crate::defect::Defect;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use light_poseidon::parameters::bn254_x5::get_poseidon_parameters;
use light_poseidon::{PoseidonError, PoseidonParameters};
use std::sync::OnceLock;

/// Number of inputs of the widest instance.
const INPUTS_MAX: usize = 12;

/// Instances by their number of inputs minus one. Each is made at its first use.
static INSTANCES: [OnceLock<Instance>; INPUTS_MAX] = [const { OnceLock::new() }; INPUTS_MAX];

/// The hash for one number of inputs.
struct Instance {
    parameters: PoseidonParameters<Fr>,
    /// The value that each partial round raises to the fifth power: a constant,
    /// then factors of the state before the first partial round, then factors
    /// of the earlier powers.
    powered: Vec<Vec<Fr>>,
    /// The same for each element of the state after the last partial round.
    after: Vec<Vec<Fr>>,
}

impl Instance {
    /// The instance for 1 to 12 inputs.
    fn of(inputs: usize) -> Result<&'static Instance, PoseidonError> {
        let place = inputs.checked_sub(1).and_then(|at| INSTANCES.get(at));
        let wrong = PoseidonError::InvalidNumberOfInputs {
            inputs,
            max_limit: INPUTS_MAX,
            width: inputs.saturating_add(1),
        };
        let place = place.ok_or(wrong)?;
        if let Some(made) = place.get() {
            return Ok(made);
        }
        let made = Instance::new(inputs)?;
        Ok(place.get_or_init(|| made))
    }

    fn new(inputs: usize) -> Result<Instance, PoseidonError> {
        // The width is the number of inputs plus one, at most 13.
        let width = u8::try_from(inputs + 1).unwrap_or(u8::MAX);
        let parameters = get_poseidon_parameters::<Fr>(width)?;
        let (width, partial) = (parameters.width, parameters.partial_rounds);
        // Each element is factors of one, of the elements before, and of the
        // powers.
        let unit = |at: usize| -> Vec<Fr> {
            (0..1 + width + partial).map(|of| Fr::from(u64::from(of == at))).collect()
        };
        let mut state: Vec<Vec<Fr>> = (0..width).map(|at| unit(1 + at)).collect();
        let mut powered = Vec::with_capacity(partial);
        let constants = parameters.ark.chunks_exact(width).skip(parameters.full_rounds / 2);
        for (round, constants) in constants.take(partial).enumerate() {
            for (element, constant) in state.iter_mut().zip(constants) {
                if let Some(one) = element.first_mut() {
                    *one += constant;
                }
            }
            let power = unit(1 + width + round);
            if let Some(first) = state.first_mut() {
                let mut taken = std::mem::replace(first, power);
                taken.truncate(1 + width + round);
                powered.push(taken);
            }
            state = mixed(&parameters, |row| {
                let factor = |at: usize| {
                    let parts = row.iter().zip(&state);
                    parts.map(|(by, element)| element.get(at).map_or(Fr::ZERO, |of| *by * of)).sum()
                };
                (0..1 + width + partial).map(factor).collect()
            });
        }
        Ok(Instance { parameters, powered, after: state })
    }

    /// The hash.
    fn hash(&self, system: &mut System, inputs: &[Element]) -> Element {
        let parameters = &self.parameters;
        let (half, partial) = (parameters.full_rounds / 2, parameters.partial_rounds);
        let mix = |state: &[Element]| {
            mixed(parameters, |row| Element::sum(row.iter().copied().zip(state)))
        };
        let mut state = vec![Element::constant(Fr::ZERO)];
        state.extend_from_slice(inputs);
        for constants in parameters.ark.chunks_exact(parameters.width).take(half) {
            state = mix(&full(system, &state, constants));
        }
        // The state before the partial rounds, then the powers.
        let mut of = state;
        for factors in &self.powered {
            let power = fifth_power(system, &combination(factors, &of));
            of.push(power);
        }
        state = self.after.iter().map(|factors| combination(factors, &of)).collect();
        for constants in parameters.ark.chunks_exact(parameters.width).skip(half + partial) {
            state = mix(&full(system, &state, constants));
        }
        // The first element exists: it is in the place of the 0.
        state.swap_remove(0)
    }
}

/// The matrix's rows, each mapped to an element.
fn mixed<T>(parameters: &PoseidonParameters<Fr>, row: impl FnMut(&Vec<Fr>) -> T) -> Vec<T> {
    parameters.mds.iter().map(row).collect()
}

/// A constant plus a linear combination of elements.
fn combination(factors: &[Fr], of: &[Element]) -> Element {
    let Some((constant, factors)) = factors.split_first() else {
        return Element::constant(Fr::ZERO);
    };
    let constant = Element::constant(*constant);
    let parts = factors.iter().copied().zip(of);
    Element::sum([(Fr::from(1u64), &constant)].into_iter().chain(parts))
}

/// A full round without its matrix: adds the constants, then raises all elements to the fifth
/// power.
fn full(system: &mut System, state: &[Element], constants: &[Fr]) -> Vec<Element> {
    let mut powers = Vec::with_capacity(state.len());
    for (element, &constant) in state.iter().zip(constants) {
        let constant = Element::constant(constant);
        let sum = Element::sum([(Fr::from(1u64), element), (Fr::from(1u64), &constant)]);
        powers.push(fifth_power(system, &sum));
    }
    powers
}

/// The hash of any number of elements.
///
/// While there are too many elements for one instance, the first 12 become one.
/// The result is injective for messages of one length.
pub(super) fn chain(system: &mut System, elements: &[Element]) -> Result<Element, Defect> {
    let instance = |inputs| {
        Instance::of(inputs).map_err(Defect::of("expected an instance of Poseidon, got none"))
    };
    let (first, rest) = elements.split_at(elements.len().min(INPUTS_MAX));
    let mut hash = instance(first.len())?.hash(system, first);
    for part in rest.chunks(INPUTS_MAX - 1) {
        let inputs: Vec<Element> = [&hash].into_iter().chain(part).cloned().collect();
        hash = instance(inputs.len())?.hash(system, &inputs);
    }
    Ok(hash)
}

/// x⁵, which takes three constraints, or none if x is constant.
fn fifth_power(system: &mut System, x: &Element) -> Element {
    if x.lc.is_constant() {
        let square = x.value * x.value;
        return Element::constant(square * square * x.value);
    }
    let square = Element::product(system, x, x);
    let fourth = Element::product(system, &square, &square);
    Element::product(system, &fourth, x)
}
