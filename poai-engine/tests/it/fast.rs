//! Steps with loops of their own, compared with the definition of each step. Numbers lie on both
//! sides of the bounds at which a loop chooses narrower arithmetic.

use poai_core::program::ops::{Local, Region, RowSource, StepError};
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, RunShape, ValueId,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Session, Tensor};
use poai_testing::zoo::entries;

const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;

/// The tensors that a step reads.
struct Slots(Vec<Tensor>);

impl RowSource for Slots {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let rows = self.0.get(slot).map(Tensor::rows);
        rows.and_then(|rows| rows.read(row, to)).ok_or(StepError::Missing { slot, row })
    }
}

/// Entries of which many are extreme.
pub(super) fn mixed(seed: &str, count: usize, (min, max): (i32, i32)) -> Vec<i32> {
    let choice = entries(&format!("{seed} choice"), count, 0, 5);
    let any = entries(seed, count, min, max);
    let of = |(choice, any)| match choice {
        0 => min,
        1 => max,
        _ => any,
    };
    choice.into_iter().zip(any).map(of).collect()
}

/// A constant: rows, columns, type and entries.
pub(super) type Given = (usize, usize, Dtype, Vec<i32>);

/// Runs a step on all inputs and constants, and compares its output with what
/// the step's definition gives.
pub(super) fn check(
    about: &str,
    run: RunShape,
    inputs: &[(Form, Vec<i32>)],
    constants: &[Given],
    op: impl FnOnce(&[ConstantId]) -> Op,
) {
    let forms: Vec<Form> = inputs.iter().map(|input| input.0).collect();
    let (mut builder, mut held) = (Builder::new(&forms), Constants::default());
    let add = |(rows, columns, dtype, entries): &Given| {
        held.add(&mut builder, "constant", (*rows, *columns), *dtype, entries).unwrap()
    };
    let ids: Vec<ConstantId> = constants.iter().map(add).collect();
    let values: Vec<ValueId> = (0..inputs.len()).map(|index| builder.input(index)).collect();
    builder.step("step", op(&ids), &values).unwrap();
    let network = Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap();
    let tensor = |(form, entries): &(Form, Vec<i32>)| {
        let Extent { rows, columns, dtype } = Extent::of(form, &run).unwrap();
        Tensor::new(rows as usize, columns as usize, dtype, entries).unwrap()
    };
    let tensors: Vec<Tensor> = inputs.iter().map(tensor).collect();

    let program = network.program();
    let extents = program.extents(&run).unwrap();
    let local = Local::new(program, &extents, run, ValueId(inputs.len() as u32)).unwrap();
    let (ids, count) = local.op.constants();
    let read = ids[..count].iter().map(|id| network.constants()[id.0 as usize].tensor.clone());
    let slots = Slots(tensors.iter().cloned().chain(read).collect());
    let Extent { rows, columns, .. } = local.output;
    let mut expected = vec![0; (rows * columns) as usize];
    let whole = Region { rows: 0..rows, columns: 0..columns };
    local.compute(&slots, &whole, None, &mut expected).unwrap();

    for device in poai_engine::choose::present() {
        let name = device.name();
        let session = Session::new(network.clone(), device).unwrap();
        let output = session.run((run, tensors.clone())).unwrap().output;
        assert!(output.entries() == expected, "{about} on {name}");
        let again = Tensor::from_bytes(*output.extent(), output.bytes().to_vec());
        assert!(again.is_ok(), "{about} on {name}: {again:?}");
    }
}

pub(super) fn tokens(columns: usize, dtype: Dtype) -> Form {
    Form::new(Dim::TOKENS, Dim::fixed(columns as u32), dtype)
}

/// Runs with rows and columns below, at and above whole registers and tiles.
pub(super) const SIZES: [(u32, u32, usize); 4] =
    [(1, 1, 1), (2, 33, 31), (3, 32, 64), (1, 70, 129)];

#[test]
fn rows_of_16_bits() {
    for (batch, sequence, columns) in SIZES {
        let run = RunShape::new(batch, sequence);
        let count = (batch * sequence) as usize * columns;
        let range = I16.range();
        let x = |seed| (tokens(columns, I16), mixed(seed, count, range));
        let narrow = Clamp { dtype: I16, min: -1000, max: 20_000 };
        for (multipliers, shift) in
            [([1, 1], 0), ([1, 1], 3), ([i32::MIN, i32::MAX], 31), ([-7, 3], 62)]
        {
            for clamp in [Clamp::full(I16), narrow] {
                let about = format!("add {multipliers:?} {shift}, {columns} columns");
                let op = |_: &[ConstantId]| Op::Add { multipliers, shift, clamp };
                check(&about, run, &[x("a"), x("b")], &[], op);
            }
        }
        for most in [32_767, 32_768, i32::MAX] {
            for shift in [0, 1, 30, 31, 62] {
                let scales = (columns, 1, I32, mixed("scales", columns, (-most, most)));
                let op =
                    |ids: &[ConstantId]| Op::ScaleColumns { scale: ids[0], shift, clamp: narrow };
                check(&format!("scale {most} {shift}"), run, &[x("x")], &[scales], op);
            }
        }
        check("row scale", run, &[x("x")], &[], |_| Op::RowScale);
        for centre in [false, true] {
            for (shift, most) in [(0, 3), (14, 1 << 20), (62, i32::MAX)] {
                let affine = mixed("affine", 2 * columns, (-most, most));
                let affine = (columns, 2, I32, affine);
                let op = |ids: &[ConstantId]| Op::Normalise { affine: ids[0], centre, shift };
                check(&format!("normalise {shift}"), run, &[x("x")], &[affine], op);
            }
        }
        for pass_above in [false, true] {
            for shift in [0, 1, 7, 8, 15, 16, 40] {
                let table = (256, 1, I16, mixed("table", 256, range));
                let op = |ids: &[ConstantId]| Op::Table { table: ids[0], shift, pass_above };
                check(&format!("table {shift}"), run, &[x("x")], &[table], op);
            }
        }
    }
}

#[test]
fn operands_by_row_scales_around_32_bits() {
    // At 1008 and 1009 the product of the least entry leaves 32 bits.
    let scales: Vec<i32> =
        (1000..1020).chain([i32::MIN, -1, 0, 1, 2, 32_767, 32_768, i32::MAX]).collect();
    let run = RunShape::new(1, scales.len() as u32);
    let x = (tokens(65, I16), mixed("x", 65 * scales.len(), I16.range()));
    check("quantise", run, &[x, (tokens(1, I32), scales)], &[], |_| Op::Quantise);
}

#[test]
fn transposes_of_bytes() {
    for (batch, sequence, columns) in SIZES {
        let run = RunShape::new(batch, sequence);
        let x = mixed("x", (batch * sequence) as usize * columns, I8.range());
        check("transpose", run, &[(tokens(columns, I8), x)], &[], |_| Op::Transpose);
    }
}

#[test]
fn products_that_saturate_and_products_that_cannot() {
    // The last bias and shift lie at the bounds beyond which saturation in
    // between shows, and past them.
    let numbers = [
        (1000, 1 << 20, 1 << 30, [20, 20, 14]),
        (1000, 1 << 20, (1 << 30) + 1, [20, 20, 14]),
        (1000, 1 << 20, 1 << 30, [20, 0, 15]),
        (i32::MAX, i32::MAX, i32::MAX, [31, 31, 0]),
        (i32::MAX, i32::MAX, i32::MAX, [62, 62, 62]),
        (50, 300, 5, [3, 2, 0]),
        (0, i32::MAX, 1 << 30, [18, 0, 1]),
    ];
    for (batch, sequence, columns) in SIZES {
        let run = RunShape::new(batch, sequence);
        let rows = (batch * sequence) as usize;
        for (before, multiplier, after, shifts) in numbers {
            for dtype in [I8, I16, I32] {
                let k = 2 * columns;
                let of = |seed: &str, most: i32| mixed(seed, columns, (-most, most));
                let channels = of("before", before).into_iter().zip(of("multiplier", multiplier));
                let channels = channels.zip(of("after", after));
                let channels = channels.flat_map(|((before, m), after)| [before, m, after]);
                let weights = (columns, k, I8, mixed("weights", columns * k, I8.range()));
                let requantise = (columns, 3, I32, channels.collect());
                let x = (tokens(k, I8), mixed("x", rows * k, I8.range()));
                let m = (tokens(1, I32), mixed("m", rows, I32.range()));
                let op = |ids: &[ConstantId]| Op::Linear {
                    weights: ids[0],
                    requantise: ids[1],
                    shifts,
                    clamp: Clamp::full(dtype),
                };
                let constants = [weights, requantise];
                let about = format!("linear {shifts:?} {dtype}, {rows}×{columns}");
                check(&about, run, std::slice::from_ref(&x), &constants, op);
                check(&format!("{about}, scaled"), run, &[x, m], &constants, op);
            }
        }
    }
}

#[test]
fn attention_of_narrow_and_wide_heads() {
    let lengths = Form::new(Dim::fixed(1), Dim::fixed(1), I32);
    for (batch, sequence, d) in [(1, 1, 1), (2, 33, 3), (2, 70, 32), (1, 130, 129)] {
        let (run, heads) = (RunShape::new(batch, sequence), 2);
        let (rows, columns) = ((batch * sequence) as usize, 2 * d);
        let x = |seed| (tokens(columns, I8), mixed(seed, rows * columns, I8.range()));
        let ends = (0..batch).map(|item| if item == 0 { sequence } else { 1 } as i32).collect();
        for (alpha, shift) in [(i32::MAX, 20), (1 << 18, 24), (3, 0), (0, 62)] {
            for causal in [false, true] {
                let constants = [
                    (2, 1, I32, vec![alpha, alpha / 2]),
                    (256, 1, I16, (0..256).map(|i| 300 - 3 * i).collect()),
                ];
                let inputs = [x("q"), x("k"), (lengths, Vec::clone(&ends))];
                let op = |ids: &[ConstantId]| Op::AttentionWeights {
                    heads,
                    alpha: ids[0],
                    shift,
                    table: ids[1],
                    causal,
                };
                check(&format!("weights {alpha} {shift}"), run, &inputs, &constants, op);
                for farthest in [0, 3, sequence as usize + 9] {
                    let range = if shift == 0 { I32.range() } else { (-300, 300) };
                    let columns = 2 * farthest + 1;
                    let bias = (2, columns, I32, mixed("bias", 2 * columns, range));
                    let constants = [constants[0].clone(), constants[1].clone(), bias];
                    let op = |ids: &[ConstantId]| Op::RelativeAttentionWeights {
                        heads,
                        alpha: ids[0],
                        shift,
                        table: ids[1],
                        causal,
                        bias: ids[2],
                    };
                    let about = format!("relative weights {alpha} {shift} {farthest}");
                    check(&about, run, &inputs, &constants, op);
                }
            }
        }
        let weights = Form::new(Dim::per_token(heads), Dim::TOKENS, I8);
        let values = Form::new(Dim::fixed(columns as u32), Dim::TOKENS, I8);
        let weights = (weights, mixed("w", 2 * rows * sequence as usize, I8.range()));
        let values = (values, mixed("v", batch as usize * columns * sequence as usize, I8.range()));
        for shifts in [[0, 0], [12, 18], [62, 1]] {
            let scale = (columns, 1, I32, mixed("scale", columns, I32.range()));
            let op = |ids: &[ConstantId]| Op::AttentionContext { heads, scale: ids[0], shifts };
            let inputs = [weights.clone(), values.clone()];
            check(&format!("context {shifts:?}"), run, &inputs, &[scale], op);
        }
    }
}
