//! Products of groups of columns with weights, and of two values block by
//! block.

use crate::steps::{Step, bounds, steps};
use poai_core::program::Op;
use poai_testing::emulated::{Arg, Kernels};

fn check(kernels: &Kernels, step: &Step) {
    let (out, out_dtype) = (step.out(), step.out_dtype());
    let (rows, columns) = (step.rows(), step.columns());
    let shift = |shift: u8| Arg::U32(shift.into());
    let run = |kernel: &str, args: &[Arg]| step.check(kernels, kernel, step.warps(), args);
    match step.op {
        Op::GroupLinear { groups, shifts, ref clamp, .. } => {
            let memory = [step.slot(0), step.constant(0), step.constant(1), step.optional(1)];
            let k = step.extent(step.inputs).columns;
            let shape = [out, out_dtype, rows, columns, Arg::U32(groups), Arg::U32(k)];
            let args = [&memory[..], &shape, &shifts.map(shift), &bounds(clamp)].concat();
            run("step_group_linear", &args);
        }
        Op::Product { blocks, shift: s, ref clamp } => {
            let own_rows = step.extent(0).rows / step.run.batch / blocks;
            let memory = [step.slot(0), step.slot(1), out, out_dtype];
            let k = Arg::U32(step.extent(0).columns);
            let shape = [rows, columns, Arg::U32(own_rows), k, shift(s)];
            run("step_product", &[&memory[..], &shape, &bounds(clamp)].concat());
        }
        _ => panic!("{}: no kernel", step.name),
    }
}

fn check_all(kind: impl Fn(&Op) -> bool) {
    let Some(kernels) = Kernels::compile("steps_products.cu") else { return };
    for step in steps(kind) {
        check(kernels, &step);
    }
}

#[test]
fn groups_are_multiplied_and_requantised() {
    check_all(|op| matches!(op, Op::GroupLinear { .. }));
}

#[test]
fn blocks_are_multiplied_and_clamped() {
    check_all(|op| matches!(op, Op::Product { .. }));
}
