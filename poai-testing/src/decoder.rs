//! A tiny decoder made of integers alone (`test_vectors/decoder/tiny.txt`).
//!
//! Two layers of grouped attention with rotary places and a gated product, as
//! Llama has them. Its constants are drawn by [`entries`].

use poai_core::program::{
    Builder, Clamp, ConstantId, DecoderOp, Dim, Dtype, Form, Op, RunShape, ValueId,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};

const LAYERS: u32 = 2;
const WIDTH: usize = 48;
const INNER: usize = 96;
const HEADS: u32 = 6;
const KEY_HEADS: u32 = 2;
/// Columns of a head.
const HEAD: usize = 8;
/// Words of the vocabulary.
pub const WORDS: usize = 200;
/// The longest sequence.
pub const PLACES: usize = 64;
/// The tokens of `tiny.txt`.
pub const TOKENS: usize = 40;

const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;

/// Entries of a tag: low + ⌊w·(high − low + 1)/2^32⌋ for the u32 words w of
/// BLAKE3 in derive-key mode.
pub fn entries(tag: &str, count: usize, low: i32, high: i32) -> Vec<i32> {
    let mut bytes = vec![0; 4 * count];
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 tiny decoder");
    hasher.update(tag.as_bytes()).finalize_xof().fill(&mut bytes);
    let span = (i64::from(high) - i64::from(low) + 1) as u64;
    let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    words.map(|word| low + ((u64::from(word) * span) >> 32) as i32).collect()
}

/// One octave of weights that fall from `most` by powers of two.
fn falling(most: f64) -> Vec<i32> {
    (0..256).map(|at| (most * (-f64::from(at) / 256.0).exp2()).round() as i32).collect()
}

/// Attention's table of weights.
pub fn octave() -> Vec<i32> {
    falling(16256.0)
}

/// The table of weights of a choice.
pub fn sampling() -> Vec<i32> {
    falling(f64::from(1 << 30))
}

/// A program under construction.
struct Decoder {
    builder: Builder,
    constants: Constants,
    lengths: Option<ValueId>,
}

/// Rows with their scales.
#[derive(Clone, Copy)]
struct Operand {
    x: ValueId,
    scale: ValueId,
}

impl Decoder {
    fn new(inputs: &[Form]) -> Decoder {
        Decoder { builder: Builder::new(inputs), constants: Constants::default(), lengths: None }
    }

    fn constant(
        &mut self,
        name: &str,
        (rows, columns): (usize, usize),
        dtype: Dtype,
        entries: &[i32],
    ) -> ConstantId {
        self.constants.add(&mut self.builder, name, (rows, columns), dtype, entries).unwrap()
    }

    fn drawn(
        &mut self,
        tag: &str,
        shape: (usize, usize),
        dtype: Dtype,
        range: (i32, i32),
    ) -> ConstantId {
        let entries = entries(tag, shape.0 * shape.1, range.0, range.1);
        self.constant(tag, shape, dtype, &entries)
    }

    fn step(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        self.builder.step(name, op, inputs).unwrap()
    }

    fn norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let gamma = entries("gamma", WIDTH, 2000, 6000);
        let beta = entries("beta", WIDTH, -50, 50);
        let both: Vec<i32> = gamma.into_iter().zip(beta).flat_map(<[i32; 2]>::from).collect();
        let affine = self.constant(name, (WIDTH, 2), I32, &both);
        self.step(name, Op::Decoder(DecoderOp::RmsNorm { affine, epsilon: 168, shift: 14 }), &[x])
    }

    fn operand(&mut self, name: &str, x: ValueId) -> Operand {
        let scale = self.step(&format!("{name} scale"), Op::RowScale, &[x]);
        let x = self.step(&format!("{name} operand"), Op::Quantise, &[x, scale]);
        Operand { x, scale }
    }

    fn product(
        &mut self,
        name: &str,
        operand: Operand,
        (n, k): (usize, usize),
        last: u8,
        clamp: Clamp,
    ) -> ValueId {
        let weights = self.drawn(name, (n, k), I8, (-63, 63));
        let of = |part: &str, low, high| entries(&format!("{name} {part}"), n, low, high);
        let [before, multiplier, after] =
            [of("b0", -9, 9), of("M", 1 << 26, 1 << 27), of("b1", -99, 99)];
        let channels: Vec<i32> =
            (0..n).flat_map(|at| [before[at], multiplier[at], after[at]]).collect();
        let requantise = self.constant(name, (n, 3), I32, &channels);
        let op = Op::Linear { weights, requantise, shifts: [14, last, 6], clamp };
        self.step(name, op, &[operand.x, operand.scale])
    }

    /// Turns a value of some heads by its places, and mixes each head.
    fn turned(&mut self, name: &str, x: ValueId, heads: u32) -> Operand {
        let turns = self.drawn("turns", (PLACES, HEAD), I16, (-16384, 16384));
        let op = Op::Decoder(DecoderOp::Rotary { turns, heads, shift: 14 });
        let x = self.step(&format!("{name} turned"), op, &[x]);
        let scale = self.drawn("level", (heads as usize * HEAD, 1), I32, (5000, 6000));
        let clamp = Clamp::full(I16);
        let op = Op::Decoder(DecoderOp::Mix { scale, block: HEAD as u32, shift: 14, clamp });
        let x = self.step(&format!("{name} mixed"), op, &[x]);
        self.operand(name, x)
    }

    fn layer(&mut self, at: u32, bus: ValueId) -> ValueId {
        let name = |text: &str| format!("{at} {text}");
        let keys = KEY_HEADS as usize * HEAD;
        let narrow = Clamp::full(I16);
        let x = self.norm(&name("norm1"), bus);
        let x = self.operand(&name("norm1"), x);
        let q = self.product(&name("q"), x, (WIDTH, WIDTH), 19, narrow);
        let q = self.turned(&name("q"), q, HEADS);
        let k = self.product(&name("k"), x, (keys, WIDTH), 19, narrow);
        let k = self.turned(&name("k"), k, KEY_HEADS);
        let v = self.product(&name("v"), x, (keys, WIDTH), 28, Clamp::SYMMETRIC);
        let v = self.step("v transposed", Op::Transpose, &[v]);
        let heads = HEADS as usize;
        let op = Op::Decoder(DecoderOp::Attention {
            heads: HEADS,
            key_heads: KEY_HEADS,
            window: 0,
            alpha: self.drawn(&name("alpha"), (heads, 1), I32, (1 << 28, 1 << 29)),
            table: self.constant("octave", (256, 1), I16, &octave()),
            scale: self.drawn(&name("context"), (WIDTH, 1), I32, (1 << 15, 1 << 16)),
            shifts: [4, 15, 40, 24],
        });
        let mut inputs = vec![q.x, q.scale, k.x, k.scale, v];
        inputs.extend(self.lengths);
        let context = self.step(&name("context"), op, &inputs);
        let context = self.operand(&name("context"), context);
        let wide = Clamp::full(I32);
        let o = self.product(&name("o"), context, (WIDTH, WIDTH), 19, wide);
        let sum = || Op::Add { multipliers: [1; 2], shift: 0, clamp: wide };
        let middle = self.step(&name("middle"), sum(), &[bus, o]);
        let x = self.norm(&name("norm2"), middle);
        let x = self.operand(&name("norm2"), x);
        let gate = self.product(&name("gate"), x, (INNER, WIDTH), 19, narrow);
        let up = self.product(&name("up"), x, (INNER, WIDTH), 19, narrow);
        let table = self.drawn(&name("silu"), (257, 1), I16, (-300, 16000));
        let silu = Op::Curve { table, shift: 7, pass_above: true };
        let silu = self.step(&name("silu"), silu, &[gate]);
        let inner = self.step(&name("a"), Op::Mul { shift: 9, clamp: wide }, &[silu, up]);
        let scale = self.drawn(&name("mix"), (INNER, 1), I32, (1 << 16, 1 << 17));
        let op = Op::Decoder(DecoderOp::Mix { scale, block: 32, shift: 24, clamp: narrow });
        let mixed = self.step(&name("mixed"), op, &[inner]);
        let mixed = self.operand(&name("mixed"), mixed);
        let down = self.product(&name("down"), mixed, (WIDTH, INNER), 19, wide);
        self.step(&name("out"), sum(), &[middle, down])
    }

    /// The last norm, the logits, and the choices of the requests.
    fn head(&mut self, bus: ValueId, request: ValueId) {
        let x = self.norm("norm", bus);
        let x = self.operand("norm", x);
        let logits = self.product("head", x, (WORDS, WIDTH), 19, Clamp::full(I16));
        let table = self.constant("sampling", (256, 1), I32, &sampling());
        let op = Op::Decoder(DecoderOp::Sample { table, shift: 18 });
        self.step("choice", op, &[logits, request]);
    }

    fn bus(&mut self) -> ValueId {
        let ids = self.builder.input(0);
        let table = self.drawn("words", (WORDS, WIDTH), I8, (-63, 63));
        let scales = self.drawn("scales", (WORDS, 1), I32, (1 << 23, 1 << 24));
        let x = self.step("embed", Op::Embed { table, scales, shift: 16 }, &[ids]);
        let op = Op::Requantise { multiplier: 3, shift: 1, clamp: Clamp::full(I32) };
        let bus = self.step("bus", op, &[x]);
        (0..LAYERS).fold(bus, |bus, at| self.layer(at, bus))
    }

    fn network(self) -> Network {
        Network::new(self.builder.finish().unwrap(), self.constants.into_tensors()).unwrap()
    }
}

const IDS: Form = Form::new(Dim::TOKENS, Dim::fixed(1), I32);
const AN_ITEM: Form = Form::new(Dim::fixed(1), Dim::fixed(1), I32);
const REQUEST: Form = Form::new(Dim::fixed(1), Dim::fixed(11), I32);

/// The tiny decoder, which chooses a word at every place. Its inputs are ids and
/// a request.
pub fn tiny() -> Network {
    let mut decoder = Decoder::new(&[IDS, REQUEST]);
    let bus = decoder.bus();
    let request = decoder.builder.input(1);
    decoder.head(bus, request);
    decoder.network()
}

/// The tiny decoder, which chooses as many words as a run has answers. Its
/// inputs are ids, lengths, starts and a request.
pub fn answering() -> Network {
    let mut decoder = Decoder::new(&[IDS, AN_ITEM, AN_ITEM, REQUEST]);
    let [lengths, starts, request] = [1, 2, 3].map(|input| decoder.builder.input(input));
    decoder.lengths = Some(lengths);
    let bus = decoder.bus();
    let tail = decoder.step("tail", Op::Decoder(DecoderOp::Tail), &[bus, starts]);
    decoder.head(tail, request);
    decoder.network()
}

/// The ids of `tiny.txt`.
pub fn ids() -> Vec<i32> {
    entries("ids", TOKENS, 0, WORDS as i32 - 1)
}

/// The request of `tiny.txt`, which keeps some words: from a start on, of seed
/// bytes 0 to 31.
pub fn request(start: i32, kept: i32) -> Vec<i32> {
    let mut request = vec![start, 1 << 20, kept];
    let seed: Vec<u8> = (0..32).collect();
    request.extend(seed.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word)));
    request
}

/// Inputs of [`tiny`]: ids of one item, and a request.
pub fn tiny_inputs(ids: &[i32], kept: i32) -> (RunShape, Vec<Tensor>) {
    let run = RunShape::new(1, ids.len() as u32);
    let inputs = vec![
        Tensor::new(ids.len(), 1, I32, ids).unwrap(),
        Tensor::new(1, 11, I32, &request(0, kept)).unwrap(),
    ];
    (run, inputs)
}

/// Inputs of [`answering`]: the ids of items that are equally long with their
/// padding, their lengths and starts. Each item keeps 10 words.
pub fn answering_inputs(
    ids: &[Vec<i32>],
    lengths: &[i32],
    starts: &[i32],
    answers: u32,
) -> (RunShape, Vec<Tensor>) {
    let (batch, sequence) = (ids.len(), ids[0].len());
    let run = RunShape::new(batch as u32, sequence as u32).answers(answers);
    let requests: Vec<i32> = starts.iter().flat_map(|&start| request(start, 10)).collect();
    let inputs = vec![
        Tensor::new(batch * sequence, 1, I32, &ids.concat()).unwrap(),
        Tensor::new(batch, 1, I32, lengths).unwrap(),
        Tensor::new(batch, 1, I32, starts).unwrap(),
        Tensor::new(batch, 11, I32, &requests).unwrap(),
    ];
    (run, inputs)
}
