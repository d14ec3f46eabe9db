//! Conditions on scaled products, operands and rescales.

use super::*;
use poai_core::program::training::Shift;
use poai_core::program::{Builder, ValueId};

#[test]
fn shapes_of_scaled_products() {
    let op = |base, signs: &[Sign], bias, bias_shift, clamp| TrainingOp::ScaledProduct {
        shift: Shift::new(base, signs),
        bias,
        bias_shift,
        clamp,
    };
    let plain = || op(0, &[], false, 0, NARROW);
    let (a, b) = (fixed(4, 7, I8), shared(3, 7, I8));
    assert_eq!(step(plain(), &[a, b], &[]), Ok(fixed(4, 3, I16)));
    assert_eq!(step(plain(), &[shared(4, 7, I8), b], &[]), Ok(shared(4, 3, I16)));
    assert_eq!(step(plain(), &[tokens(7, I8), b], &[]), Ok(tokens(3, I16)));
    // Over the batch: the output is shared.
    let over = [turned(4, 7, I8), turned(3, 7, I8)];
    assert_eq!(step(plain(), &over, &[]), Ok(shared(4, 3, I16)));
    count(&plain(), &[a, b], &[]);
    for b in [shared(3, 6, I8), fixed(3, 7, I8), turned(3, 7, I8)] {
        refused(step(plain(), &[a, b], &[]), "input 1 expected");
    }
    for b in [shared(3, 7, I8), fixed(3, 7, I8), turned(3, 6, I8)] {
        refused(step(plain(), &[over[0], b], &[]), "input 1 expected");
    }
    refused(step(plain(), &[fixed(4, 7, I16), b], &[]), "input 0 expected i8");
    refused(step(plain(), &[a, shared(3, 7, I32)], &[]), "input 1 expected i8");
    let growing = Form::shared(Dim::TOKENS, Dim::fixed(7), I8);
    refused(step(plain(), &[a, growing], &[]), "expected rows of b that are a number");
    // As many columns as a tensor of the output's type may have.
    let of_type =
        |dtype, n| step(op(0, &[], false, 0, Clamp::full(dtype)), &[a, shared(n, 7, I8)], &[]);
    let most = (1 << 17) - 1;
    assert_eq!(of_type(I8, most), Ok(fixed(4, most, I8)));
    assert_eq!(of_type(I32, 1 << 20), Ok(fixed(4, 1 << 20, I32)));
    for (dtype, n) in [(I8, 1 << 17), (I16, (1 << 20) + 1), (I32, (1 << 20) + 1)] {
        refused(of_type(dtype, n), "expected a product of fewer columns");
    }
    // The bias.
    let bias = shared(3, 1, I32);
    assert_eq!(step(op(0, &[], true, 62, NARROW), &[a, b, bias], &[]), Ok(fixed(4, 3, I16)));
    count(&op(0, &[], true, 62, NARROW), &[a, b, bias], &[]);
    for bias in [shared(4, 1, I32), shared(3, 2, I32), shared(3, 1, I16), fixed(3, 1, I32)] {
        refused(step(op(0, &[], true, 0, NARROW), &[a, b, bias], &[]), "input 2 expected 3×1 i32");
    }
    refused(step(op(0, &[], true, 63, NARROW), &[a, b, bias], &[]), "expected shifts up to 62");
    let none = "expected a shift of 0 without a bias";
    refused(step(op(0, &[], false, 1, NARROW), &[a, b], &[]), none);
    refused(step(op(0, &[], false, 0, WIDE), &[a, b], &[]), "expected a clamp within");
    exponents(|base, signs| op(base, signs, false, 0, NARROW), &[a, b], fixed(4, 1, I32));
    exponents(|base, signs| op(base, signs, true, 3, NARROW), &[a, b, bias], fixed(4, 1, I32));
    exponents(|base, signs| op(base, signs, false, 0, NARROW), &over, shared(4, 1, I32));
}

#[test]
fn shapes_of_operands() {
    let turn = |x| step(TrainingOp::TransposeTiles, &[x], &[]);
    assert_eq!(turn(fixed(4, 7, I16)), Ok(turned(7, 4, I16)));
    assert_eq!(turn(turned(7, 4, I16)), Ok(fixed(4, 7, I16)));
    assert_eq!(turn(shared(7, 4, I8)), Ok(shared(4, 7, I8)));
    count(&TrainingOp::TransposeTiles, &[fixed(4, 7, I8)], &[]);
    let sum = |x| step(TrainingOp::RowSum, &[x], &[]);
    assert_eq!(sum(fixed(4, 7, I16)), Ok(fixed(4, 1, I32)));
    assert_eq!(sum(turned(7, 4, I8)), Ok(shared(7, 1, I32)));
    assert_eq!(sum(shared(7, 4, I32)), Ok(shared(7, 1, I32)));
    count(&TrainingOp::RowSum, &[fixed(4, 7, I8)], &[]);
    let exponent = |per_row, m| step(TrainingOp::Exponent { per_row }, &[m], &[]);
    for m in [fixed(4, 1, I32), shared(4, 1, I32), tokens(1, I32)] {
        assert_eq!((exponent(true, m), exponent(false, m)), (Ok(m), Ok(one())));
    }
    let next = |e, m| step(TrainingOp::NextExponent, &[e, m], &[]);
    for m in [fixed(4, 1, I32), shared(4, 1, I32), tokens(1, I32)] {
        assert_eq!(next(one(), m), Ok(one()));
    }
    for m in [fixed(4, 2, I32), fixed(4, 1, I16), turned(4, 1, I32)] {
        for per_row in [false, true] {
            refused(exponent(per_row, m), "input 0 expected row scales: i32, one column");
        }
        refused(next(one(), m), "input 1 expected row scales: i32, one column");
    }
    for e in [fixed(1, 1, I32), shared(2, 1, I32), shared(1, 1, I16)] {
        refused(next(e, fixed(4, 1, I32)), "input 0 expected 1×1 i32, shared");
    }
    for per_row in [false, true] {
        count(&TrainingOp::Exponent { per_row }, &[fixed(4, 1, I32)], &[]);
    }
    count(&TrainingOp::NextExponent, &[one(), fixed(4, 1, I32)], &[]);
}

#[test]
fn shapes_of_rescales() {
    let op = |base, signs: &[Sign], stream, clamp| TrainingOp::Rescale {
        shift: Shift::new(base, signs),
        stream,
        multiplier: i32::MIN,
        clamp,
    };
    for x in [fixed(4, 7, I16), shared(4, 7, I8), turned(4, 7, I32)] {
        assert_eq!(step(op(0, &[], None, NARROW), &[x], &[]), Ok(Form { dtype: I16, ..x }));
        let rows = if x.batch == BatchAxis::Rows { fixed(4, 1, I32) } else { shared(4, 1, I32) };
        exponents(|base, signs| op(base, signs, None, NARROW), &[x], rows);
    }
    let x = turned(4, 7, I32);
    refused(step(op(0, &[], None, WIDE), &[x], &[]), "expected a clamp within");
    // The seed and t of a stochastic step.
    let stochastic = || op(0, &[Sign::Minus], Some(0), NARROW);
    let (x, seed) = (fixed(4, 7, I16), shared(8, 1, I32));
    assert_eq!(step(stochastic(), &[x, one(), seed, one()], &[]), Ok(x));
    count(&stochastic(), &[x, one(), seed, one()], &[]);
    for seed in [shared(7, 1, I32), shared(8, 1, I16), shared(8, 2, I32), fixed(8, 1, I32)] {
        let inputs = [x, one(), seed, one()];
        refused(step(stochastic(), &inputs, &[]), "input 2 expected 8×1 i32, shared");
    }
    for t in [shared(2, 1, I32), shared(1, 1, I8), fixed(1, 1, I32)] {
        let inputs = [x, one(), seed, t];
        refused(step(stochastic(), &inputs, &[]), "input 3 expected 1×1 i32, shared");
    }
    // Two steps have two streams.
    let both = |streams: [u32; 2]| {
        let mut builder = Builder::new(&[x, seed, one()]);
        let [x, seed, t] = [0, 1, 2].map(ValueId);
        let first = builder.step(
            "first",
            Op::Training(op(0, &[], Some(streams[0]), NARROW)),
            &[x, seed, t],
        );
        let inputs = [first.unwrap(), seed, t];
        builder
            .step("second", Op::Training(op(0, &[], Some(streams[1]), NARROW)), &inputs)
            .unwrap();
        builder.finish().map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(both([0, u32::MAX]), Ok(()));
    let error = both([7, 7]).unwrap_err();
    assert!(error.contains("step second: expected a stream that no other step has"), "{error}");
}
