//! Conditions on gradients of rows, moved rows and optimisers.

use super::*;
use poai_core::program::ConstantId;

#[test]
fn shapes_of_gradients_of_rows() {
    let gate = |index_shift, shift, clamp, inputs: &[Form], table| {
        step(TrainingOp::Gate { table: ConstantId(0), index_shift, shift, clamp }, inputs, &[table])
    };
    let (g, x) = (fixed(4, 7, I32), fixed(4, 7, I8));
    for table in [(256, 1, I8), TABLE] {
        assert_eq!(gate(62, 62, NARROW, &[g, x], table), Ok(fixed(4, 7, I16)));
    }
    assert_eq!(gate(0, 0, NARROW, &[shared(4, 7, I8); 2], TABLE), Ok(shared(4, 7, I16)));
    for table in [(256, 1, I32), (257, 1, I16), (256, 2, I16)] {
        refused(gate(0, 0, NARROW, &[g, x], table), "table expected 256×1 i8 or i16");
    }
    for shifts in [[63, 0], [0, 63]] {
        refused(gate(shifts[0], shifts[1], NARROW, &[g, x], TABLE), "expected shifts up to 62");
    }
    refused(gate(0, 0, WIDE, &[g, x], TABLE), "expected a clamp within");
    let op = TrainingOp::Gate { table: ConstantId(1), index_shift: 0, shift: 0, clamp: FULL };
    refused(step(op, &[g, x], &[TABLE]), "expected an existing constant, got 1");
    let op = TrainingOp::Gate { table: ConstantId(0), index_shift: 0, shift: 0, clamp: FULL };
    count(&op, &[g, x], &[TABLE]);
    alike(|inputs| step(op.clone(), inputs, &[TABLE]), I32, I8);

    let normalise = |shift, clamp, inputs: &[Form]| {
        step(TrainingOp::NormaliseGradient { centre: true, shift, clamp }, inputs, &[])
    };
    let (x, dz) = (fixed(4, 7, I16), fixed(4, 7, I32));
    assert_eq!(normalise(62, NARROW, &[x, dz]), Ok(fixed(4, 7, I16)));
    refused(normalise(63, NARROW, &[x, dz]), "expected shifts up to 62");
    refused(normalise(0, WIDE, &[x, dz]), "expected a clamp within");
    refused(normalise(0, NARROW, &[fixed(4, 7, I8), dz]), "input 0 expected i16");
    refused(normalise(0, NARROW, &[x, fixed(4, 7, I16)]), "input 1 expected i32");
    count(&TrainingOp::NormaliseGradient { centre: false, shift: 0, clamp: FULL }, &[x, dz], &[]);
    alike(|inputs| normalise(0, NARROW, inputs), I16, I32);

    let loss = |multiplier, shift, fraction, inputs: &[Form], table| {
        let table_id = ConstantId(0);
        let op = TrainingOp::CrossEntropy { table: table_id, multiplier, shift, fraction };
        step(op, inputs, &[table])
    };
    for (x, labels) in [
        (fixed(4, 7, I8), fixed(4, 1, I32)),
        (shared(4, 7, I16), shared(4, 1, I32)),
        (tokens(7, I32), tokens(1, I32)),
    ] {
        assert_eq!(loss(i32::MAX, 62, 30, &[x, labels], TABLE), Ok(Form { dtype: I32, ..x }));
    }
    let (x, labels) = (fixed(4, 7, I8), fixed(4, 1, I32));
    let numbers = "expected a multiplier of at least 0 and a fraction of at most 30";
    refused(loss(-1, 0, 0, &[x, labels], TABLE), numbers);
    refused(loss(0, 0, 31, &[x, labels], TABLE), numbers);
    refused(loss(0, 63, 0, &[x, labels], TABLE), "expected shifts up to 62");
    for table in [(256, 1, I8), (255, 1, I16), (256, 2, I16)] {
        refused(loss(0, 0, 0, &[x, labels], table), "table expected 256×1 i16");
    }
    for labels in [fixed(3, 1, I32), fixed(4, 2, I32), fixed(4, 1, I16), shared(4, 1, I32)] {
        refused(loss(0, 0, 0, &[x, labels], TABLE), "input 1 expected batch·4×1 i32");
    }
    let of_batch = [turned(4, 7, I8), turned(4, 1, I32)];
    refused(loss(0, 0, 0, &of_batch, TABLE), "expected rows that the batch multiplies");
    let op =
        TrainingOp::CrossEntropy { table: ConstantId(0), multiplier: 0, shift: 0, fraction: 0 };
    count(&op, &[x, labels], &[TABLE]);
}

#[test]
fn shapes_of_moved_rows() {
    let gather = |inputs: &[Form]| step(TrainingOp::Gather { table: None }, inputs, &[]);
    let table = shared(9, 5, I16);
    assert_eq!(gather(&[table, fixed(4, 1, I32)]), Ok(fixed(4, 5, I16)));
    assert_eq!(gather(&[table, shared(4, 1, I32)]), Ok(shared(4, 5, I16)));
    assert_eq!(gather(&[table, tokens(1, I32)]), Ok(tokens(5, I16)));
    let per_token = Form::shared(Dim::TOKENS, Dim::fixed(5), I16);
    for table in [fixed(9, 5, I16), turned(9, 5, I16), per_token] {
        refused(gather(&[table, fixed(4, 1, I32)]), "input 0 expected a shared value");
    }
    refused(gather(&[table, fixed(4, 1, I16)]), "input 1 expected i32");
    for ids in [fixed(4, 2, I32), turned(4, 1, I32)] {
        refused(gather(&[table, ids]), "input 1 expected one column of ids");
    }
    count(&TrainingOp::Gather { table: None }, &[table, fixed(4, 1, I32)], &[]);
    let constant = |id, inputs: &[Form]| {
        step(TrainingOp::Gather { table: Some(ConstantId(id)) }, inputs, &[(9, 5, I8)])
    };
    assert_eq!(constant(0, &[fixed(4, 1, I32)]), Ok(fixed(4, 5, I8)));
    refused(constant(1, &[fixed(4, 1, I32)]), "expected an existing constant, got 1");
    refused(constant(0, &[fixed(4, 1, I16)]), "input 0 expected i32");
    refused(constant(0, &[fixed(4, 2, I32)]), "input 0 expected one column of ids");
    count(&TrainingOp::Gather { table: Some(ConstantId(0)) }, &[fixed(4, 1, I32)], &[(9, 5, I8)]);

    let scatter = |rows, inputs: &[Form]| step(TrainingOp::ScatterAdd { rows }, inputs, &[]);
    let x = fixed(4, 5, I16);
    assert_eq!(scatter(9, &[x, fixed(4, 1, I32)]), Ok(shared(9, 5, I32)));
    assert_eq!(scatter(9, &[tokens(5, I8), tokens(1, I32)]), Ok(shared(9, 5, I32)));
    refused(scatter(0, &[x, fixed(4, 1, I32)]), "expected entries in its output, got none");
    for x in [shared(4, 5, I16), turned(4, 5, I16)] {
        refused(scatter(9, &[x, fixed(4, 1, I32)]), "input 0 expected rows for every item");
    }
    for ids in [fixed(3, 1, I32), fixed(4, 2, I32), fixed(4, 1, I16), shared(4, 1, I32)] {
        refused(scatter(9, &[x, ids]), "input 1 expected batch·4×1 i32");
    }
    count(&TrainingOp::ScatterAdd { rows: 9 }, &[x, fixed(4, 1, I32)], &[]);

    let draw = |samples, inputs: &[Form]| step(TrainingOp::Draw { samples }, inputs, &[]);
    let seed = shared(8, 1, I32);
    for samples in [1, 1 << 31] {
        assert_eq!(draw(samples, &[seed, one()]), Ok(fixed(1, 1, I32)));
    }
    for samples in [0, (1 << 31) + 1, u32::MAX] {
        refused(draw(samples, &[seed, one()]), "expected 1 to 2^31 samples");
    }
    for seed in [shared(9, 1, I32), fixed(8, 1, I32)] {
        refused(draw(9, &[seed, one()]), "input 0 expected 8×1 i32, shared");
    }
    for t in [shared(1, 2, I32), fixed(1, 1, I32)] {
        refused(draw(9, &[seed, t]), "input 1 expected 1×1 i32, shared");
    }
    count(&TrainingOp::Draw { samples: 9 }, &[seed, one()], &[]);

    let spread = |rows, inputs: &[Form]| step(TrainingOp::MeanPoolGradient { rows }, inputs, &[]);
    let (dy, lengths) = (fixed(1, 7, I16), fixed(1, 1, I32));
    assert_eq!(spread(Dim::fixed(4), &[dy]), Ok(fixed(4, 7, I32)));
    assert_eq!(spread(Dim::TOKENS, &[dy, lengths]), Ok(tokens(7, I32)));
    refused(spread(Dim::fixed(0), &[dy]), "expected entries in its output, got none");
    for dy in [shared(1, 7, I16), turned(1, 7, I16)] {
        refused(spread(Dim::fixed(4), &[dy]), "input 0 expected rows for every item");
    }
    for dy in [fixed(2, 7, I16), tokens(7, I16)] {
        refused(spread(Dim::fixed(4), &[dy]), "input 0 expected one row an item");
    }
    for lengths in [shared(1, 1, I32), fixed(2, 1, I32), fixed(1, 2, I32), fixed(1, 1, I16)] {
        refused(spread(Dim::fixed(4), &[dy, lengths]), "input 1 expected batch·1×1 i32");
    }
    refused(spread(Dim::fixed(4), &[dy, lengths, lengths]), "expected 1 or 2 inputs, got 3");
    refused(spread(Dim::fixed(4), &[]), "inputs, got 0");
}

#[test]
fn shapes_of_optimisers() {
    let op = |shift, decay, clamp| TrainingOp::Descend { shift, decay, clamp };
    let (w, d) = (shared(4, 7, I32), shared(4, 7, I16));
    let descend = |shift, decay, clamp| step(op(shift, decay, clamp), &[w, d, one()], &[]);
    for shift in [-62, 62] {
        assert_eq!(descend(shift, 62, NARROW), Ok(shared(4, 7, I16)));
    }
    for shift in [-63, 63] {
        refused(descend(shift, 0, NARROW), "expected a shift in −62..=62");
    }
    refused(descend(0, 63, NARROW), "expected shifts up to 62");
    refused(descend(0, 0, WIDE), "expected a clamp within");
    for rate in [fixed(1, 1, I32), shared(2, 1, I32), shared(1, 1, I16)] {
        let refusal = "input 2 expected 1×1 i32, shared";
        refused(step(op(0, 0, FULL), &[w, d, rate], &[]), refusal);
    }
    count(&op(0, 0, FULL), &[w, d, one()], &[]);
    alike(|inputs| step(op(0, 0, FULL), &[inputs, &[one()]].concat(), &[]), I32, I8);

    let moment = |shift, inputs: &[Form]| step(TrainingOp::SecondMoment { shift }, inputs, &[]);
    for shift in [1, 30] {
        assert_eq!(moment(shift, &[w, w]), Ok(w));
    }
    for shift in [0, 31, 255] {
        refused(moment(shift, &[w, w]), "expected a shift in 1..=30");
    }
    refused(moment(1, &[d, w]), "input 0 expected i32");
    refused(moment(1, &[w, d]), "input 1 expected i32");
    count(&TrainingOp::SecondMoment { shift: 1 }, &[w, w], &[]);
    alike(|inputs| moment(1, inputs), I32, I32);

    let ratio = |clamp, inputs: &[Form]| step(TrainingOp::Ratio { clamp }, inputs, &[]);
    assert_eq!(ratio(NARROW, &[w, w]), Ok(shared(4, 7, I16)));
    refused(ratio(WIDE, &[w, w]), "expected a clamp within");
    refused(ratio(FULL, &[d, w]), "input 0 expected i32");
    refused(ratio(FULL, &[w, d]), "input 1 expected i32");
    count(&TrainingOp::Ratio { clamp: FULL }, &[w, w], &[]);
    alike(|inputs| ratio(FULL, inputs), I32, I32);
}
