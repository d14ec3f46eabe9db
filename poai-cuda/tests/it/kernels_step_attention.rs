//! Attention's products, with their own sums and with given sums.

use crate::steps::{Step, error, steps, strided, words};
use poai_core::program::Op;
use poai_testing::emulated::{Arg, Kernels, Shape, input, values};

fn check_weights(kernels: &Kernels, step: &Step) {
    let (Op::AttentionWeights { heads, shift, causal, .. }
    | Op::RelativeAttentionWeights { heads, shift, causal, .. }) = step.op
    else {
        panic!()
    };
    let stride = step.output.columns as usize + 5;
    let sums = strided(&scores(step, heads), stride - 5, stride);
    for sums in [Arg::Null, words(&sums)] {
        let args = [
            step.slot(0),
            step.slot(1),
            step.constant(0),
            step.constant(1),
            step.optional(2),
            sums,
            Arg::U32(stride as u32),
            step.out(),
            Arg::U32(step.run.batch),
            Arg::U32(step.run.sequence),
            Arg::U32(heads),
            Arg::U32(step.extent(0).columns),
            Arg::U32(shift.into()),
            Arg::U32(causal.into()),
            error(),
        ];
        let Op::RelativeAttentionWeights { .. } = step.op else {
            step.check(kernels, "step_attention_weights", step.warps(), &args);
            continue;
        };
        let distances = step.extent(step.inputs + 2).columns;
        let args = [&args[..], &[step.constant(2), Arg::U32(distances)]].concat();
        step.check(kernels, "step_relative_attention_weights", step.warps(), &args);
    }
}

/// Products of queries and keys: rows (item, head, i), columns j.
fn scores(step: &Step, heads: u32) -> Vec<i32> {
    let (columns, sequence) = (step.extent(0).columns as usize, step.run.sequence as usize);
    let d = columns / heads as usize;
    let (q, k) = (step.slots[0].entries(), step.slots[1].entries());
    let mut sums = Vec::new();
    for row in 0..step.output.rows as usize {
        let (block, i) = (row / sequence, row % sequence);
        let (item, head) = (block / heads as usize, block % heads as usize);
        let part = |of: &[i32], token: usize| {
            of[(item * sequence + token) * columns + head * d..][..d].to_vec()
        };
        sums.extend((0..sequence).map(|j| Step::dot(&part(&q, i), &part(&k, j))));
    }
    sums
}

fn check_context(kernels: &Kernels, step: &Step) {
    let Op::AttentionContext { heads, shifts, .. } = step.op else { panic!() };
    let stride = step.output.columns as usize + 5;
    let sums = strided(&sums_of_values(step, heads), stride - 5, stride);
    let totals = totals(kernels, step);
    for (sums, totals) in [(Arg::Null, Arg::Null), (words(&sums), input(&totals))] {
        let args = [
            step.slot(0),
            step.slot(1),
            step.constant(0),
            sums,
            Arg::U32(stride as u32),
            totals,
            step.out(),
            Arg::U32(step.run.batch),
            Arg::U32(step.run.sequence),
            Arg::U32(heads),
            step.columns(),
            Arg::U32(shifts[0].into()),
            Arg::U32(shifts[1].into()),
        ];
        step.check(kernels, "step_attention_context", step.warps(), &args);
    }
}

/// Products of stored weights and values: rows (item, i), columns as the output's.
fn sums_of_values(step: &Step, heads: u32) -> Vec<i32> {
    let (columns, sequence) = (step.output.columns as usize, step.run.sequence as usize);
    let (heads, d) = (heads as usize, columns / heads as usize);
    let (weights, values) = (step.slots[0].entries(), step.slots[1].entries());
    let mut sums = Vec::new();
    for row in 0..step.output.rows as usize {
        let (item, i) = (row / sequence, row % sequence);
        for column in 0..columns {
            let weights_row = (item * heads + column / d) * sequence + i;
            let weights = &weights[weights_row * sequence..][..sequence];
            let values = &values[(item * columns + column) * sequence..][..sequence];
            sums.push(Step::dot(weights, values));
        }
    }
    sums
}

/// The kernel's totals of the values' rows, after a check.
fn totals(kernels: &Kernels, step: &Step) -> Vec<i32> {
    let extent = step.extent(1);
    let rows = extent.padded_rows();
    let args = [step.slot(1), Arg::Out(rows as usize * 4), Arg::U32(extent.columns)];
    let out = kernels.run("step_row_totals", Shape::new(rows / 8, 256), &args);
    let totals: Vec<i32> = values(&out[0]);
    let entries = step.slots[1].entries();
    let mut expected: Vec<i32> =
        entries.chunks_exact(extent.columns as usize).map(|row| row.iter().sum()).collect();
    expected.resize(rows as usize, 0);
    assert_eq!(totals, expected, "{}", step.name);
    totals
}

#[test]
fn scores_become_weights_and_a_false_length_is_told() {
    let Some(kernels) = Kernels::compile("steps_attention.cu") else { return };
    let plain = steps(|op| matches!(op, Op::AttentionWeights { .. }));
    let relative = steps(|op| matches!(op, Op::RelativeAttentionWeights { .. }));
    for steps in [plain, relative] {
        steps.iter().for_each(|step| check_weights(kernels, step));
        assert!(steps.iter().any(|step| step.expected.is_err()));
    }
}

#[test]
fn weights_become_means_of_values() {
    let Some(kernels) = Kernels::compile("steps_attention.cu") else { return };
    for step in steps(|op| matches!(op, Op::AttentionContext { .. })) {
        check_context(kernels, &step);
    }
}
