//! Which programs are causal, and what an error says of those that are not.

use super::{AN_ITEM, REQUEST, attention};
use crate::program_checks::{I16, I32, fixed, tokens};
use poai_core::Root;
use poai_core::program::{
    Builder, CausalityError, Clamp, ConstantId, DecoderOp, Dim, Dtype, Extent, Form, Op, Uncausal,
    ValueId,
};

const WIDE: Clamp = Clamp::full(I32);

/// A program under construction, whose every constant has zeros.
struct Sketch(Builder);

impl Sketch {
    fn new(inputs: &[Form]) -> Sketch {
        Sketch(Builder::new(inputs))
    }

    fn constant(&mut self, rows: u32, columns: u32, dtype: Dtype) -> ConstantId {
        self.0.constant("κ", Root([0; 32]), Extent::new(rows, columns, dtype).unwrap())
    }

    fn step(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        self.0.step(name, op, inputs).unwrap()
    }

    fn mix(&mut self, name: &str, x: ValueId, scales: u32) -> ValueId {
        let scale = self.constant(scales, 1, I32);
        let op = DecoderOp::Mix { scale, block: 2, shift: 0, clamp: WIDE };
        self.step(name, Op::Decoder(op), &[x])
    }

    fn add(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        self.step(name, Op::Add { multipliers: [1; 2], shift: 0, clamp: WIDE }, &[a, b])
    }

    fn causality(self) -> Result<(), CausalityError> {
        let program = self.0.finish().unwrap();
        assert_eq!(program.is_causal(), program.causality().is_ok());
        program.causality()
    }

    /// Checks that the program fails at a step, for this reason.
    fn fails(self, step: &str, why: Uncausal) {
        let error = self.causality().expect_err(step);
        assert_eq!((error.step.as_str(), error.why), (step, why), "{error}");
    }
}

fn reshape(rows: Dim, columns: u32) -> Op {
    Op::Reshape { rows, columns: Dim::fixed(columns) }
}

const X: ValueId = ValueId(0);

#[test]
fn rows_of_tokens_keep_their_places() {
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let x = sketch.step("relu", Op::Relu, &[X]);
    let parts = sketch.step("parts", reshape(Dim::per_token(4), 2), &[x]);
    let scale = sketch.step("scale", Op::RowScale, &[parts]);
    let parts = sketch.step("operand", Op::Quantise, &[parts, scale]);
    let other = sketch.step("other parts", reshape(Dim::per_token(2), 4), &[parts]);
    let mixed = sketch.mix("mixed", other, 4);
    let whole = sketch.step("whole", reshape(Dim::TOKENS, 8), &[mixed]);
    let turned = sketch.step("turned", Op::Transpose, &[whole]);
    let back = sketch.step("back", Op::Transpose, &[turned]);
    let table = sketch.constant(40, 8, I16);
    let narrow = Op::Requantise { multiplier: 1, shift: 0, clamp: Clamp::full(I16) };
    let back = sketch.step("narrow", narrow, &[back]);
    let back = sketch.step("places", Op::AddRows { table }, &[back]);
    sketch.add("sum", back, x);
    assert_eq!(sketch.causality(), Ok(()));
}

#[test]
fn steps_that_mix_tokens_are_named() {
    let kind = |op: Op| {
        let mut sketch = Sketch::new(&[tokens(8, I16)]);
        sketch.step("it", op, &[X]);
        sketch.fails("it", Uncausal::Kind);
    };
    kind(Op::MeanPool);
    kind(Op::Reshape { rows: Dim::fixed(8), columns: Dim::TOKENS });
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let table = sketch.constant(256, 1, I16);
    let op = Op::Softmax { table, multiplier: 1, shift: 0, one: 1, clamp: WIDE };
    sketch.step("softmax", op, &[X]);
    sketch.fails("softmax", Uncausal::Kind);
    // Rows that are no tokens, and rows of several parts.
    for x in [fixed(4, 8, I16), Form::new(Dim::per_token(2), Dim::fixed(8), I16)] {
        let mut sketch = Sketch::new(&[x]);
        sketch.step("relu", Op::Relu, &[X]);
        sketch.fails("relu", Uncausal::Input { input: 0 });
    }
    // Columns that are tokens.
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let turned = sketch.step("turned", Op::Transpose, &[X]);
    sketch.step("relu", Op::Relu, &[turned]);
    sketch.fails("relu", Uncausal::Input { input: 0 });
    // An item's number is not a token's.
    let mut sketch = Sketch::new(&[tokens(1, I32), AN_ITEM]);
    let rows = sketch.step("rows", Op::Relu, &[X]);
    let item = sketch.step("item", Op::Relu, &[ValueId(1)]);
    let program = sketch.0.finish_with(&[rows, item], 0).unwrap();
    let error = program.causality().unwrap_err();
    assert_eq!(error.value, item);
    let text = error.to_string();
    let expected = "step item (relu), value 3: expected values of a token from this token and \
                    earlier ones, got tokens in other places, or in none, in input 0";
    assert_eq!(text, expected);
}

#[test]
fn heads_are_other_rows_than_parts() {
    let rotary = |sketch: &mut Sketch, heads: u32| {
        let turns = sketch.constant(40, 2, I16);
        let op = DecoderOp::Rotary { turns, heads, shift: 0 };
        sketch.step("rotary", Op::Decoder(op), &[X])
    };
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let turned = rotary(&mut sketch, 4);
    let mixed = sketch.mix("of heads", turned, 8);
    let mixed = sketch.mix("alike", mixed, 2);
    sketch.step("scale", Op::RowScale, &[mixed]);
    assert_eq!(sketch.causality(), Ok(()));
    // Heads beside parts.
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let turned = rotary(&mut sketch, 4);
    let parts = sketch.step("parts", reshape(Dim::per_token(4), 2), &[X]);
    sketch.add("sum", turned, parts);
    sketch.fails("sum", Uncausal::Input { input: 1 });
    // Scales for each head of parts, whose rows are no heads'.
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let parts = sketch.step("parts", reshape(Dim::per_token(4), 2), &[X]);
    sketch.mix("mix", parts, 8);
    sketch.fails("mix", Uncausal::Input { input: 0 });
    // Heads are no rows of tokens.
    for (name, op) in [("reshape", reshape(Dim::TOKENS, 8)), ("transpose", Op::Transpose)] {
        let mut sketch = Sketch::new(&[tokens(8, I16)]);
        let turned = rotary(&mut sketch, 4);
        sketch.step(name, op, &[turned]);
        sketch.fails(name, Uncausal::Input { input: 0 });
    }
    // One head has plain rows.
    let mut sketch = Sketch::new(&[tokens(8, I16)]);
    let turned = rotary(&mut sketch, 1);
    sketch.step("transpose", Op::Transpose, &[turned]);
    assert_eq!(sketch.causality(), Ok(()));
}

/// A step of attention on projections of one value, with lengths from an input
/// or from a step.
fn attend(lengths_of_step: bool, keys_of_parts: bool) -> Sketch {
    let mut sketch = Sketch::new(&[tokens(8, I16), AN_ITEM]);
    let operand = |sketch: &mut Sketch, x: ValueId| {
        let scale = sketch.step("scale", Op::RowScale, &[x]);
        [sketch.step("operand", Op::Quantise, &[x, scale]), scale]
    };
    let turns = sketch.constant(40, 2, I16);
    let op = DecoderOp::Rotary { turns, heads: 4, shift: 0 };
    let q = sketch.step("q", Op::Decoder(op.clone()), &[X]);
    let [q, mq] = operand(&mut sketch, q);
    let k = match keys_of_parts {
        true => sketch.step("k", reshape(Dim::per_token(4), 2), &[X]),
        false => sketch.step("k", Op::Decoder(op), &[X]),
    };
    let [k, mk] = operand(&mut sketch, k);
    let narrow = Op::Requantise { multiplier: 1, shift: 9, clamp: Clamp::SYMMETRIC };
    let v = sketch.step("v", narrow, &[X]);
    let v = sketch.step("v transposed", Op::Transpose, &[v]);
    let lengths = match lengths_of_step {
        true => sketch.step("lengths", Op::RowScale, &[ValueId(1)]),
        false => ValueId(1),
    };
    let DecoderOp::Attention { heads, key_heads, window, shifts, .. } = attention(4, 4, 0, [0; 4])
    else {
        panic!("another kind");
    };
    let (alpha, table, scale) =
        (sketch.constant(4, 1, I32), sketch.constant(256, 1, I16), sketch.constant(8, 1, I32));
    let op = DecoderOp::Attention { heads, key_heads, window, alpha, table, scale, shifts };
    sketch.step("attention", Op::Decoder(op), &[q, mq, k, mk, v, lengths]);
    sketch
}

#[test]
fn attention_is_causal_with_lengths_of_inputs() {
    assert_eq!(attend(false, false).causality(), Ok(()));
    attend(false, true).fails("attention", Uncausal::Input { input: 2 });
    // The first step that has no place is the one that makes the lengths.
    attend(true, false).fails("lengths", Uncausal::Input { input: 0 });
}

#[test]
fn tails_and_samples_answer() {
    let build = |sample_all: bool| {
        let mut sketch = Sketch::new(&[tokens(8, I16), AN_ITEM, REQUEST]);
        let tail = sketch.step("tail", Op::Decoder(DecoderOp::Tail), &[X, ValueId(1)]);
        let tail = sketch.step("relu", Op::Relu, &[tail]);
        let table = sketch.constant(256, 1, I32);
        let sample = Op::Decoder(DecoderOp::Sample { table, shift: 0 });
        let first = sketch.step("answers", sample.clone(), &[tail, ValueId(2)]);
        if !sample_all {
            return sketch.0.finish().unwrap();
        }
        let second = sketch.step("places", sample, &[X, ValueId(2)]);
        sketch.0.finish_with(&[first, second], 0).unwrap()
    };
    assert_eq!(build(false).causality(), Ok(()));
    assert_eq!(build(true).causality(), Ok(()));
}
