//! Steps of single rows and look-ups of rows.

use crate::steps::{Step, bounds, error, signed, steps, strided, words};
use poai_core::program::Op;
use poai_testing::emulated::{Arg, Kernels};

/// Launches a step's kernel.
fn check(kernels: &Kernels, step: &Step) {
    let (out, out_dtype) = (step.out(), step.out_dtype());
    let (rows, columns) = (step.rows(), step.columns());
    let shift = |shift: u8| Arg::U32(shift.into());
    let run = |kernel: &str, args: &[Arg]| step.check(kernels, kernel, step.warps(), args);
    match step.op {
        Op::Linear { shifts, ref clamp, .. } => {
            let stride = step.output.columns as usize + 3;
            let sums = strided(&products(step), stride - 3, stride);
            let [least, most] = bounds(clamp);
            let (channels, scales) = (step.constant(1), step.optional(1));
            let [s0, s1, s2] = shifts.map(shift);
            let stride = Arg::U32(stride as u32);
            let sums = words(&sums);
            run(
                "step_linear",
                &[
                    sums, stride, channels, scales, out, out_dtype, rows, columns, s0, s1, s2,
                    least, most,
                ],
            );
        }
        Op::Add { multipliers, shift: s, ref clamp } => {
            let [m0, m1] = multipliers.map(signed);
            let [least, most] = bounds(clamp);
            let (a, b) = (step.slot(0), step.slot(1));
            let types = [step.dtype(0), step.dtype(1)];
            run(
                "step_add",
                &[
                    a,
                    types[0],
                    b,
                    types[1],
                    out,
                    out_dtype,
                    rows,
                    columns,
                    m0,
                    m1,
                    shift(s),
                    least,
                    most,
                ],
            );
        }
        Op::Mul { shift: s, ref clamp } => {
            let ([least, most], s) = (bounds(clamp), shift(s));
            let (a, b) = (step.slot(0), step.slot(1));
            let inputs = [a, step.dtype(0), b, step.dtype(1)];
            let rest = [out, out_dtype, rows, columns, s, least, most];
            run("step_mul", &[&inputs[..], &rest].concat());
        }
        Op::Curve { shift: s, pass_above, .. } => {
            let (x, dtype, points) = (step.slot(0), step.dtype(0), step.constant(0));
            let (s, pass) = (shift(s), Arg::U32(pass_above.into()));
            run("step_curve", &[x, dtype, points, out, rows, columns, s, pass]);
        }
        Op::Requantise { multiplier, shift: s, ref clamp } => {
            let [least, most] = bounds(clamp);
            let (x, dtype, multiplier) = (step.slot(0), step.dtype(0), signed(multiplier));
            let s = shift(s);
            run(
                "step_requantise",
                &[x, dtype, out, out_dtype, rows, columns, multiplier, s, least, most],
            );
        }
        Op::ScaleColumns { shift: s, ref clamp, .. } => {
            let [least, most] = bounds(clamp);
            let (x, dtype, scales) = (step.slot(0), step.dtype(0), step.constant(0));
            let s = shift(s);
            run(
                "step_scale_columns",
                &[x, dtype, scales, out, out_dtype, rows, columns, s, least, most],
            );
        }
        Op::Relu => run("step_relu", &[step.slot(0), out, out_dtype, rows, columns]),
        Op::Table { shift: s, pass_above, .. } => {
            let (x, dtype, table) = (step.slot(0), step.dtype(0), step.constant(0));
            let pass = Arg::U32(pass_above.into());
            let s = shift(s);
            run("step_table", &[x, dtype, table, out, out_dtype, rows, columns, s, pass]);
        }
        Op::RowScale => {
            let columns = Arg::U32(step.extent(0).columns);
            run("step_row_scale", &[step.slot(0), step.dtype(0), out, rows, columns]);
        }
        Op::Quantise => {
            let (x, dtype, scales) = (step.slot(0), step.dtype(0), step.slot(1));
            run("step_quantise", &[x, dtype, scales, out, rows, columns]);
        }
        Op::AddRows { .. } => {
            let item_rows = Arg::U32(step.output.rows / step.run.batch);
            let (x, table) = (step.slot(0), step.constant(0));
            run("step_add_rows", &[x, table, out, rows, columns, item_rows]);
        }
        Op::Embed { shift: s, .. } => {
            let (ids, table, scales) = (step.slot(0), step.constant(0), step.constant(1));
            let table_rows = Arg::U32(step.extent(1).rows);
            let s = shift(s);
            run("step_embed", &[ids, table, scales, out, rows, columns, table_rows, s, error()]);
        }
        _ => panic!("{}: no kernel", step.name),
    }
}

/// The sums of a product with weights.
fn products(step: &Step) -> Vec<i32> {
    let k = step.extent(0).columns as usize;
    let (x, weights) = (step.slots[0].entries(), step.slots[step.inputs].entries());
    let row = |x: &[i32]| weights.chunks_exact(k).map(|w| Step::dot(x, w)).collect::<Vec<_>>();
    x.chunks_exact(k).flat_map(row).collect()
}

fn check_all(kind: impl Fn(&Op) -> bool) {
    let Some(kernels) = Kernels::compile("steps_rows.cu") else { return };
    for step in steps(kind) {
        check(kernels, &step);
    }
}

#[test]
fn products_are_requantised() {
    check_all(|op| matches!(op, Op::Linear { .. }));
}

#[test]
fn entries_become_entries() {
    check_all(|op| {
        matches!(op, Op::Add { .. } | Op::Requantise { .. } | Op::ScaleColumns { .. } | Op::Relu)
    });
}

#[test]
fn entries_are_looked_up() {
    check_all(|op| matches!(op, Op::Table { .. }));
}

#[test]
fn rows_become_operands() {
    check_all(|op| matches!(op, Op::RowScale | Op::Quantise));
}

#[test]
fn entries_are_multiplied_and_follow_curves() {
    check_all(|op| matches!(op, Op::Mul { .. } | Op::Curve { .. }));
}

#[test]
fn rows_are_looked_up_and_an_id_outside_is_told() {
    let embed = |op: &Op| matches!(op, Op::Embed { .. } | Op::AddRows { .. });
    check_all(embed);
    assert!(steps(embed).iter().any(|step| step.expected.is_err()));
}
