//! Tests of programs with steps of training, or with lists of outputs: the
//! conditions on them (spec §12), and their encoding (spec §11).
//!
//! Each condition is tested at its edges, and each is violated alone.

mod blocks;
mod encoding;
mod products;
mod rows;
mod windows;

use crate::program_checks::{I8, I16, I32, fixed, refused, tokens};
use poai_core::program::training::Sign;
use poai_core::program::{BatchAxis, Clamp, Dim, Dtype, Form, Op, TrainingOp};

const FULL: Clamp = Clamp::full(I32);
const NARROW: Clamp = Clamp { dtype: I16, min: -9, max: 300 };
const WIDE: Clamp = Clamp { dtype: I8, min: -65, max: 0 };
const TABLE: (u32, u32, Dtype) = (256, 1, I16);

fn shared(rows: u32, columns: u32, dtype: Dtype) -> Form {
    Form::shared(Dim::fixed(rows), Dim::fixed(columns), dtype)
}

/// The transpose of a batch, which no input of a program is.
fn turned(rows: u32, columns: u32, dtype: Dtype) -> Form {
    Form { batch: BatchAxis::Columns, ..shared(rows, columns, dtype) }
}

fn one() -> Form {
    shared(1, 1, I32)
}

/// The form of a step's output, or the reason why the step is refused.
fn step(op: TrainingOp, inputs: &[Form], constants: &[(u32, u32, Dtype)]) -> Result<Form, String> {
    crate::program_checks::step(Op::Training(op), inputs, constants)
}

/// Checks that a step takes exactly these inputs: neither fewer nor more.
fn count(op: &TrainingOp, inputs: &[Form], constants: &[(u32, u32, Dtype)]) {
    let fewer = &inputs[..inputs.len() - 1];
    let more = [inputs, &[one()]].concat();
    for inputs in [fewer, &more, &[]] {
        refused(step(op.clone(), inputs, constants), "inputs, got");
    }
}

/// Checks the conditions on a shift with exponents, of a step that takes `own`
/// inputs before them. An exponent may have the form `by_row`.
fn exponents(op: impl Fn(i32, &[Sign]) -> TrainingOp, own: &[Form], by_row: Form) {
    let with = |base: i32, exponents: &[Form]| {
        let signs: Vec<Sign> =
            [Sign::Plus, Sign::Minus].into_iter().cycle().take(exponents.len()).collect();
        step(op(base, &signs), &[own, exponents].concat(), &[])
    };
    let output = with(0, &[]).unwrap();
    for base in [-62, 62] {
        assert_eq!(with(base, &[]), Ok(output));
    }
    for base in [-63, 63, i32::MIN, i32::MAX] {
        refused(with(base, &[]), "expected a shift in −62..=62");
    }
    assert_eq!(with(1, &[one(), by_row, one(), by_row]), Ok(output));
    refused(with(1, &[one(); 5]), "expected at most 4 exponents");
    let signs = [Sign::Plus; 2];
    for count in [0, 1, 3] {
        let inputs = [own, &vec![one(); count]].concat();
        refused(step(op(0, &signs), &inputs, &[]), "as many as its operands");
    }
    let slot = own.len();
    let rows = by_row.rows.units;
    let other = match by_row.batch {
        BatchAxis::Rows => Form { batch: BatchAxis::None, ..by_row },
        _ => Form { batch: BatchAxis::Rows, ..by_row },
    };
    for exponent in [
        other,
        Form { batch: BatchAxis::Columns, ..by_row },
        Form { rows: Dim { units: rows + 1, ..by_row.rows }, ..by_row },
        Form { columns: Dim::fixed(2), ..by_row },
        Form { dtype: I16, ..by_row },
        shared(1, 1, I8),
        shared(1, 2, I32),
    ] {
        refused(with(0, &[exponent]), &format!("input {slot} expected 1×1 i32, shared, or"));
    }
}

/// Checks that a step of two inputs of one shape takes no others.
fn alike(step: impl Fn(&[Form]) -> Result<Form, String>, first: Dtype, second: Dtype) {
    let both = |x: Form, y: Form| step(&[Form { dtype: first, ..x }, Form { dtype: second, ..y }]);
    for x in [fixed(4, 7, I8), shared(4, 7, I8), tokens(7, I8)] {
        let output = both(x, x).unwrap();
        assert_eq!((output.rows, output.columns, output.batch), (x.rows, x.columns, x.batch));
    }
    let x = fixed(4, 7, I8);
    for y in [fixed(3, 7, I8), fixed(4, 6, I8), shared(4, 7, I8), tokens(7, I8)] {
        refused(both(x, y), "input 1 expected batch·4×7");
    }
    let of_batch = turned(4, 7, I8);
    refused(both(of_batch, of_batch), "input 0 expected rows for every item, or a shared value");
}
