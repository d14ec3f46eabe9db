//! The multipliers of steps, which are committed along with constants.
//!
//! Multipliers are measured, and they distinguish networks of one architecture.
//! A multiplier without a shift is an integer of the step's form, and stays a
//! constant of the circuit.

use poai_core::program::{Op, Program};

/// The committed multipliers of a step.
pub(super) fn of_step(op: &Op) -> &[i32] {
    match op {
        Op::Add { multipliers, shift: 1.., .. } => multipliers,
        Op::Requantise { multiplier, shift: 1.., .. } => std::slice::from_ref(multiplier),
        _ => &[],
    }
}

/// The committed multipliers of all steps, in order.
pub(super) fn of(program: &Program) -> impl Iterator<Item = i32> {
    program.steps().iter().flat_map(|step| of_step(&step.op)).copied()
}

/// Whether the steps of two programs of one architecture differ at most in
/// committed multipliers.
///
/// A circuit has all other numbers of the steps as constants.
pub(super) fn differ_alone(one: &Program, other: &Program) -> bool {
    let mut pairs = one.steps().iter().zip(other.steps());
    pairs.all(|(one, other)| without(&one.op) == without(&other.op))
}

fn without(op: &Op) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Add { multipliers, shift: 1.., .. } => *multipliers = [0; 2],
        Op::Requantise { multiplier, shift: 1.., .. } => *multiplier = 0,
        _ => {}
    }
    op
}
