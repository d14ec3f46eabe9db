//! The constants that are indices of arrange steps.
//!
//! An index says which entries a circuit connects. It is therefore a part of
//! the circuit, and no witness. A commitment to weights binds its root.

use poai_core::program::{Constant, Op, Program};

/// For each constant of a program, whether an arrange step reads it as its
/// index.
pub(super) fn of(program: &Program) -> Vec<bool> {
    let mut flags = vec![false; program.constants().len()];
    for step in program.steps() {
        let Op::Arrange { index } = step.op else { continue };
        if let Some(flag) = flags.get_mut(index.0 as usize) {
            *flag = true;
        }
    }
    flags
}

/// The name of the first index that differs between two programs of one
/// architecture.
pub(super) fn first_difference<'a>(one: &'a Program, other: &Program) -> Option<&'a str> {
    let both = one.constants().iter().zip(other.constants()).zip(of(one));
    let differs = |((one, other), is_index): &((&Constant, &Constant), bool)| {
        *is_index && one.root != other.root
    };
    both.into_iter().find(differs).map(|((one, _), _)| one.name.as_str())
}
