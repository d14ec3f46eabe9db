//! Steps that move entries, and pools of pixels.

use crate::steps::{Step, error, steps};
use poai_core::program::{Extent, GroupWindow, Op, Window};
use poai_testing::emulated::{Arg, Kernels, Shape, values};

fn window(window: &Window) -> [Arg<'static>; 10] {
    let Window { height, width, kernel, stride, pads } = *window;
    let [out_height, out_width] = window.output().unwrap();
    let [top, left, ..] = pads;
    let sizes = [height, width, kernel[0], kernel[1], stride[0], stride[1]];
    let mut args = [top, left, out_height, out_width].into_iter();
    let mut sizes = sizes.into_iter();
    std::array::from_fn(|_| Arg::U32(sizes.next().or_else(|| args.next()).unwrap()))
}

fn check(kernels: &Kernels, step: &Step) {
    let (x, dtype, out) = (step.slot(0), step.dtype(0), step.out());
    let (rows, columns) = (step.rows(), step.columns());
    let run = |kernel: &str, args: &[Arg]| step.check(kernels, kernel, step.warps(), args);
    match step.op {
        Op::Transpose => {
            let item_rows = Arg::U32(step.output.rows / step.run.batch);
            let down = step.output.padded_rows() / 32;
            let across = step.output.padded_columns().div_ceil(32);
            let shape = Shape::new(1, 256).grid(down, across, 1);
            let args = [x, out, dtype, rows, columns, item_rows];
            step.check(kernels, "step_transpose", shape, &args);
        }
        Op::Reshape { .. } => {
            let in_columns = Arg::U32(step.extent(0).columns);
            run("step_reshape", &[x, out, dtype, rows, columns, in_columns]);
        }
        Op::Unfold(ref moved) => {
            let channels = Arg::U32(step.extent(0).columns);
            let args = [&[x, out, rows, channels][..], &window(moved)].concat();
            run("step_unfold", &args);
        }
        Op::GroupUnfold(ref moved) => {
            let GroupWindow { window: own, dilation, groups, fill } = *moved;
            let channels = step.extent(0).columns / groups;
            let gaps = [channels, groups, dilation[0], dilation[1], fill.cast_unsigned()];
            let mut numbers = window(&moved.covered().unwrap());
            // The kernel without its gaps, and all else as what it covers.
            (numbers[2], numbers[3]) = (Arg::U32(own.kernel[0]), Arg::U32(own.kernel[1]));
            run(
                "step_group_unfold",
                &[&[x, out, rows][..], &gaps.map(Arg::U32), &numbers].concat(),
            );
        }
        Op::MaxPool(ref moved) | Op::AveragePool(ref moved) => {
            let mean = Arg::U32(matches!(step.op, Op::AveragePool(_)).into());
            let args = [&[x, out, dtype, rows, columns, mean][..], &window(moved)].concat();
            run("step_pool", &args);
        }
        _ => panic!("{}: no kernel", step.name),
    }
}

fn check_all(kind: impl Fn(&Op) -> bool) {
    let Some(kernels) = Kernels::compile("steps_move.cu") else { return };
    for step in steps(kind) {
        check(kernels, &step);
    }
}

#[test]
fn items_are_transposed() {
    check_all(|op| matches!(op, Op::Transpose));
}

#[test]
fn entries_keep_their_order_under_another_shape() {
    check_all(|op| matches!(op, Op::Reshape { .. }));
}

#[test]
fn windows_become_rows() {
    check_all(|op| matches!(op, Op::Unfold(_)));
}

#[test]
fn windows_with_gaps_become_rows_of_groups() {
    check_all(|op| matches!(op, Op::GroupUnfold(_)));
}

/// One launch for each input, the first of which writes every entry.
fn check_arrange(kernels: &Kernels, step: &Step) {
    let item_rows = |rows: u32| rows / step.run.batch;
    let inputs = &step.slots[..step.inputs];
    let entries = |extent: &Extent| item_rows(extent.rows) * extent.columns;
    let all: u32 = inputs.iter().map(|input| entries(input.extent())).sum();
    let (mut first, mut out) = (0, vec![0x55; step.output.bytes() as usize]);
    for (slot, input) in inputs.iter().enumerate() {
        let extent = input.extent();
        let numbers = [item_rows(extent.rows), extent.columns, first, all].map(Arg::U32);
        let args = [
            &[step.slot(slot), step.constant(0), Arg::InOut(&out), step.out_dtype()][..],
            &[step.rows(), step.columns(), Arg::U32(item_rows(step.output.rows))],
            &numbers,
            &[error()],
        ];
        let made = kernels.run("step_arrange", step.warps(), &args.concat());
        let reported = values::<u32>(&made[1])[0];
        if first == 0 {
            let row = step.expected.as_ref().err().copied();
            assert_eq!(reported, row.unwrap_or(u32::MAX), "{}", step.name);
        }
        out.clone_from(&made[0]);
        first += entries(extent);
    }
    if let Ok(expected) = &step.expected {
        assert_eq!(&out, expected, "{}", step.name);
    }
}

#[test]
fn entries_are_arranged_and_a_number_outside_is_told() {
    let Some(kernels) = Kernels::compile("steps_move.cu") else { return };
    let steps = steps(|op| matches!(op, Op::Arrange { .. }));
    steps.iter().for_each(|step| check_arrange(kernels, step));
    assert!(steps.iter().any(|step| step.expected.is_err()));
}

#[test]
fn windows_become_pixels() {
    check_all(|op| matches!(op, Op::MaxPool(_) | Op::AveragePool(_)));
}
