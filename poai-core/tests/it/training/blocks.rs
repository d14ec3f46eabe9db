//! Conditions on block products and on attention in training.

use super::*;
use poai_core::program::ConstantId;
use poai_core::program::training::{BlockKind, Shift};

#[test]
fn shapes_of_blocks() {
    let op = |kind, heads, base, signs: &[Sign], offset, clamp| TrainingOp::Block {
        kind,
        heads,
        shift: Shift::new(base, signs),
        offset,
        multiplier: i32::MIN,
        clamp,
    };
    let kinds = [BlockKind::Scores, BlockKind::Mix, BlockKind::MixBack];
    let per_token = |rows, columns| Form::new(Dim::per_token(rows), columns, I8);
    for (value, scores) in [
        (fixed(4, 6, I8), fixed(12, 4, I8)),
        (tokens(6, I8), per_token(3, Dim::TOKENS)),
        (per_token(2, Dim::fixed(6)), per_token(6, Dim::per_token(2))),
    ] {
        for kind in kinds {
            let (a, output) =
                if kind == BlockKind::Scores { (value, scores) } else { (scores, value) };
            let by_row = Form { columns: Dim::fixed(1), dtype: I32, ..output };
            let plain = |inputs: &[Form]| step(op(kind, 3, 0, &[], 0, NARROW), inputs, &[]);
            assert_eq!(plain(&[a, value]), Ok(Form { dtype: I16, ..output }));
            count(&op(kind, 3, 0, &[], 0, NARROW), &[a, value], &[]);
            exponents(|base, signs| op(kind, 3, base, signs, 0, NARROW), &[a, value], by_row);
            for offset in [0, 64] {
                assert!(step(op(kind, 3, 0, &[], offset, NARROW), &[a, value], &[]).is_ok());
            }
            for offset in [-1, 65, i32::MIN] {
                let result = step(op(kind, 3, 0, &[], offset, NARROW), &[a, value], &[]);
                refused(result, "expected an offset in 0..=64");
            }
            refused(
                step(op(kind, 3, 0, &[], 0, WIDE), &[a, value], &[]),
                "expected a clamp within",
            );
            for heads in [0, 4, 5] {
                let result = step(op(kind, heads, 0, &[], 0, NARROW), &[a, value], &[]);
                refused(result, "input 1 expected a multiple of");
            }
            let wider = |x: Form| Form { dtype: I16, ..x };
            refused(plain(&[wider(a), value]), "input 0 expected i8");
            refused(plain(&[a, wider(value)]), "input 1 expected i8");
            for batch in [BatchAxis::None, BatchAxis::Columns] {
                let other = |x: Form| Form { batch, ..x };
                refused(plain(&[other(a), value]), "input 0 expected rows for every item");
                refused(plain(&[a, other(value)]), "input 1 expected rows for every item");
            }
            let more = |x: Form| Form { rows: Dim { units: x.rows.units + 1, ..x.rows }, ..x };
            refused(plain(&[more(a), value]), "expected batch·");
        }
    }
    // Heads that the columns do not divide, and the columns of the weights.
    let value = fixed(4, 6, I8);
    for kind in [BlockKind::Mix, BlockKind::MixBack] {
        for scores in [fixed(12, 5, I8), fixed(8, 4, I8)] {
            let result = step(op(kind, 3, 0, &[], 0, NARROW), &[scores, value], &[]);
            refused(result, "input 0 expected batch·12×4 i8");
        }
    }
    let growing = Form::new(Dim::fixed(4), Dim::TOKENS, I8);
    let result = step(op(BlockKind::Scores, 1, 0, &[], 0, NARROW), &[growing; 2], &[]);
    refused(result, "input 1 expected a multiple of 1 columns");
    let long = |rows, heads| {
        let x = fixed(rows, 1 << 16, I8);
        step(op(BlockKind::Scores, heads, 0, &[], 0, NARROW), &[x; 2], &[])
    };
    assert_eq!(long(1 << 20, 1), Ok(fixed(1 << 20, 1 << 20, I16)));
    refused(long((1 << 20) + 1, 1), "expected a product of fewer columns");
    refused(long(1 << 31, 2), "expected fewer than 2^32 rows of scores");
}

#[test]
fn shapes_of_attention() {
    let op = |multiplier, shift| TrainingOp::Exponentials {
        table: ConstantId(0),
        causal: true,
        multiplier,
        shift,
    };
    let weights = |multiplier, shift, x, table| step(op(multiplier, shift), &[x], &[table]);
    let per_token = |rows, columns| Form::new(Dim::per_token(rows), Dim::per_token(columns), I32);
    for x in [fixed(12, 4, I32), fixed(12, 4, I8), per_token(6, 2)] {
        assert_eq!(weights(i32::MAX, 62, x, TABLE), Ok(Form { dtype: I8, ..x }));
    }
    let x = fixed(12, 4, I32);
    refused(weights(-1, 0, x, TABLE), "expected a multiplier of at least 0");
    refused(weights(0, 63, x, TABLE), "expected shifts up to 62");
    for table in [(256, 1, I8), (257, 1, I16), (256, 2, I16)] {
        refused(weights(0, 0, x, table), "table expected 256×1 i16");
    }
    count(&op(0, 0), &[x], &[TABLE]);
    for x in [shared(12, 4, I32), turned(12, 4, I32)] {
        refused(weights(0, 0, x, TABLE), "input 0 expected rows for every item");
    }
    let mixed = Form::new(Dim::per_token(12), Dim::fixed(4), I32);
    let uneven = "rows an item that the columns divide";
    for x in [fixed(12, 5, I32), mixed, per_token(3, 2), fixed(12, 0, I32)] {
        refused(weights(0, 0, x, TABLE), uneven);
    }

    let op = |shift, clamp| TrainingOp::DivideBySums { shift, clamp };
    let divide = |inputs: &[Form]| step(op(62, NARROW), inputs, &[]);
    let (x, w) = (fixed(4, 6, I32), fixed(12, 4, I8));
    assert_eq!(divide(&[x, w]), Ok(fixed(4, 6, I16)));
    let tokens_of = Form { dtype: I8, ..per_token(3, 1) };
    assert_eq!(divide(&[tokens(6, I32), tokens_of]), Ok(tokens(6, I16)));
    count(&op(0, FULL), &[x, w], &[]);
    refused(step(op(63, NARROW), &[x, w], &[]), "expected shifts up to 62");
    refused(step(op(0, WIDE), &[x, w], &[]), "expected a clamp within");
    refused(divide(&[shared(4, 6, I32), w]), "input 0 expected rows for every item");
    refused(divide(&[x, shared(12, 4, I8)]), "input 1 expected rows for every item");
    refused(divide(&[x, fixed(12, 4, I16)]), "input 1 expected i8");
    refused(divide(&[x, fixed(12, 5, I8)]), uneven);
    refused(divide(&[x, fixed(9, 3, I8)]), "input 1 expected 4 columns");
    for columns in [5, 7] {
        refused(divide(&[fixed(4, columns, I32), w]), "input 0 expected a multiple of 3 columns");
    }

    let gradient = |inputs: &[Form]| step(TrainingOp::SoftmaxGradient, inputs, &[]);
    assert_eq!(gradient(&[w, fixed(12, 4, I16)]), Ok(fixed(12, 4, I32)));
    refused(gradient(&[fixed(12, 4, I16); 2]), "input 0 expected i8");
    count(&TrainingOp::SoftmaxGradient, &[w, w], &[]);
    alike(gradient, I8, I32);
}
