//! Steps that scale a row by its own contents, and means over tokens.

use crate::steps::{Step, bounds, error, signed, steps, widest};
use poai_core::program::{Clamp, Dtype, Op};
use poai_testing::emulated::{Arg, Kernels};

fn check(kernels: &Kernels, step: &Step) {
    let (x, dtype, out) = (step.slot(0), step.dtype(0), step.out());
    let (rows, columns) = (step.rows(), step.columns());
    let shift = |shift: u8| Arg::U32(shift.into());
    let run = |kernel: &str, args: &[Arg]| step.check(kernels, kernel, step.warps(), args);
    match step.op {
        Op::Normalise { centre, shift: s, .. } => {
            let centre = Arg::U32(centre.into());
            let args = [x, step.constant(0), out, rows, columns, centre, shift(s)];
            run("step_normalise", &args);
        }
        Op::Softmax { multiplier, shift: s, one, ref clamp, .. } => {
            let [least, most] = bounds(clamp);
            let (table, out_dtype) = (step.constant(0), step.out_dtype());
            let (multiplier, s, one) = (signed(multiplier), shift(s), signed(one));
            run(
                "step_softmax",
                &[x, dtype, table, out, out_dtype, rows, columns, multiplier, s, one, least, most],
            );
        }
        Op::L2Normalise => run("step_l2_normalise", &[x, dtype, out, rows, columns]),
        Op::MeanPool => {
            let item_rows = Arg::U32(step.extent(0).rows / step.run.batch);
            let (lengths, sequence) = (step.optional(1), Arg::U32(step.run.sequence));
            let args = [x, dtype, lengths, out, rows, columns, item_rows, sequence, error()];
            step.check(kernels, "step_mean_pool", step.entries(), &args);
        }
        _ => panic!("{}: no kernel", step.name),
    }
}

fn check_all(kind: impl Fn(&Op) -> bool) {
    let Some(kernels) = Kernels::compile("steps_norms.cu") else { return };
    for step in steps(kind) {
        check(kernels, &step);
    }
}

#[test]
fn rows_are_normalised() {
    check_all(|op| matches!(op, Op::Normalise { .. }));
}

#[test]
fn rows_become_probabilities() {
    check_all(|op| matches!(op, Op::Softmax { .. }));
}

#[test]
fn rows_are_divided_by_their_lengths() {
    check_all(|op| matches!(op, Op::L2Normalise));
}

#[test]
fn tokens_are_averaged_and_a_false_length_is_told() {
    let mean = |op: &Op| matches!(op, Op::MeanPool);
    check_all(mean);
    assert!(steps(mean).iter().any(|step| step.expected.is_err()));
}

/// The largest sums that a row can have.
#[test]
fn the_widest_rows_stay_exact() {
    let Some(kernels) = Kernels::compile("steps_norms.cu") else { return };
    const COLUMNS: usize = 1 << 16;
    let least = [i32::MIN; COLUMNS];
    check(kernels, &widest(Dtype::I32, &least, None, |_| Op::L2Normalise));
    let least = [i32::from(i16::MIN); COLUMNS];
    let halves: Vec<i32> =
        (0..COLUMNS).map(|at| if at % 2 == 0 { -32768 } else { 32767 }).collect();
    for (centre, entries) in [(false, &least[..]), (true, &least), (true, &halves)] {
        let affine = [1 << 16, -5].repeat(COLUMNS);
        let affine = Some((COLUMNS, 2, Dtype::I32, affine));
        let op = |affine| Op::Normalise { affine, centre, shift: 20 };
        check(kernels, &widest(Dtype::I16, entries, affine, op));
    }
    let table = Some((256, 1, Dtype::I16, vec![127; 256]));
    let clamp = Clamp::full(Dtype::I32);
    let op = |table| Op::Softmax { table, multiplier: 1, shift: 0, one: i32::MAX, clamp };
    check(kernels, &widest(Dtype::I16, &halves, table, op));
}
