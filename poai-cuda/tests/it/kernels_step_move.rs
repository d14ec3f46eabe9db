//! Steps that move entries, and pools of pixels.

use crate::steps::{Step, steps};
use poai_core::program::{Op, Window};
use poai_testing::emulated::{Arg, Kernels, Shape};

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
fn windows_become_pixels() {
    check_all(|op| matches!(op, Op::MaxPool(_) | Op::AveragePool(_)));
}
