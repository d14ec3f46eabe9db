//! The edges of the steps of decoders: empty masks, windows, lengths, starts
//! beyond the sequence, more answers than tokens, ties, and shifts of 0 and 62.

use super::{Edges, Given, I8, I16, I32, Input, MAX, MIN, ProgramCase, TYPES};
use super::{fixed, given, lengths, mixed, tokens};
use crate::decoder::{octave, sampling};
use poai_core::program::{Clamp, ConstantId, DecoderOp, Dim, Form, Op, RunShape};

/// Programs of one step of decoders each. Some runs have a false entry, and so
/// no output: [`decoder_cases_without_output`].
pub fn decoder_cases() -> Vec<ProgramCase> {
    let mut edges = Edges(Vec::new());
    norms(&mut edges);
    turns(&mut edges);
    mixes(&mut edges);
    attention(&mut edges);
    tails(&mut edges);
    samples(&mut edges);
    limbs(&mut edges);
    edges.0
}

/// Programs of one step of decoders each, with an entry that has no output.
pub fn decoder_cases_without_output() -> Vec<ProgramCase> {
    let mut edges = Edges(Vec::new());
    for start in [-1, MIN] {
        let run = RunShape::new(2, 3).answers(2);
        let x = tokens((2, 3), 5, I16, "x");
        let starts = lengths(&[1, start]);
        edges.add_run("a false start", run, &[x, starts], &[], |_| Op::Decoder(DecoderOp::Tail));
        let requests = [request(1, 3, 0, 1), request(start, 3, 0, 1)];
        sample(&mut edges, "a false start", (2, 3, 1), &requests, 8, sampling());
    }
    for length in [0, -1, 4, MIN, MAX] {
        let case = Attention { lengths: Some(vec![length, 2]), ..Attention::new((2, 3)) };
        case.add(&mut edges, "a false length");
    }
    edges.0
}

/// Wide tensors: rows of more than 2^16 columns, as vocabularies have.
pub fn wide_cases() -> Vec<ProgramCase> {
    let mut edges = Edges(Vec::new());
    let columns = (1 << 16) + 3;
    let x = fixed("x", 1, 1, columns, I32);
    let affine = given("affine", columns as usize, 2, I32);
    edges.add("wide", (1, 1), &[x], &[affine], |ids| norm(ids, 168, 18));
    let requests = [request(3, 1 << 12, 5, 7)];
    sample(&mut edges, "wide", (1, 1, columns), &requests, 12, sampling());
    // All entries are the largest, so that sums of 2^16 of them need 32 bits.
    let form = Form::new(Dim::fixed(1), Dim::fixed(columns), I16);
    let x = Input(form, [i16::MAX.into()].repeat(columns as usize));
    let affine = given("affine", columns as usize, 2, I32);
    edges.add("wide", (1, 1), &[x], &[affine], |ids| Op::Normalise {
        affine: ids[0],
        centre: true,
        shift: 9,
    });
    edges.0.iter_mut().for_each(|case| case.name.insert_str(0, "wide "));
    edges.0
}

fn norm(ids: &[ConstantId], epsilon: i32, shift: u8) -> Op {
    Op::Decoder(DecoderOp::RmsNorm { affine: ids[0], epsilon, shift })
}

fn norms(edges: &mut Edges) {
    for dtype in [I16, I32] {
        for (columns, epsilon, shift) in
            [(1, 0, 0), (7, 84, 1), (40, 168, 18), (129, MAX, 31), (300, 168, 62), (33, 0, 14)]
        {
            let affine = || given("affine", columns as usize, 2, I32);
            let x = fixed("x", 3, 2, columns, dtype);
            edges.add("", (3, 1), &[x], &[affine()], |ids| norm(ids, epsilon, shift));
            // Rows of zeros, of one entry, and of the largest ones.
            let mut rows = vec![0; 4 * columns as usize];
            rows[columns as usize] = 1;
            let (min, max) = dtype.range();
            rows[2 * columns as usize..3 * columns as usize].fill(max);
            rows[3 * columns as usize..].fill(min);
            let x = Input(Form::new(Dim::TOKENS, Dim::fixed(columns), dtype), rows);
            edges.add("even", (2, 2), &[x], &[affine()], |ids| norm(ids, epsilon, shift));
        }
    }
}

fn turns(edges: &mut Edges) {
    for run in [(1, 1), (3, 5), (2, 33)] {
        for (heads, width, turned, shift) in
            [(1, 2, 2, 14), (3, 8, 8, 14), (2, 5, 4, 0), (4, 3, 2, 1), (3, 40, 38, 62)]
        {
            let x = tokens(run, heads * width, I16, "x");
            let places = run.1 as usize + (heads as usize) % 3;
            let turns = given("turns", places, turned, I16);
            let about = format!("{run:?}, {heads} heads of {width}, {turned} turned");
            edges.add(&about, run, &[x], &[turns], |ids| {
                Op::Decoder(DecoderOp::Rotary { turns: ids[0], heads, shift })
            });
        }
    }
}

fn mixes(edges: &mut Edges) {
    let tight = Clamp { dtype: I32, min: -1000, max: 70_000 };
    for (index, dtype) in TYPES.into_iter().enumerate() {
        for (columns, block, shift, clamp) in [
            (1, 1, 0, Clamp::full(I32)),
            (6, 2, 9, Clamp::full(I16)),
            (24, 8, 31, Clamp::full(I8)),
            (96, 32, 62, tight),
            (64, 64, 40, Clamp::full(I16)),
        ] {
            let about = format!("{columns} columns in blocks of {block}, shift {shift}");
            let op = |ids: &[ConstantId]| {
                Op::Decoder(DecoderOp::Mix { scale: ids[0], block, shift, clamp })
            };
            let x = fixed("x", 2, 3, columns, dtype);
            let scale = given("scale", columns as usize, 1, I32);
            edges.add(&about, (2, 1), &[x], &[scale], op);
            // Rows of heads, each with scales of its own.
            let heads = 2 + index as u32;
            let run = (2, 3 + columns % 5);
            let form = Form::new(Dim::per_token(heads), Dim::fixed(columns), dtype);
            let count = run.0 * run.1 * heads * columns;
            let x = Input(form, mixed("heads", count as usize, dtype));
            let scale = given("scale", (heads * columns) as usize, 1, I32);
            edges.add(&format!("{about}, {heads} heads"), run, &[x], &[scale], op);
        }
    }
}

/// A case of grouped attention.
struct Attention {
    run: (u32, u32),
    heads: u32,
    key_heads: u32,
    width: u32,
    window: u32,
    shifts: [u8; 4],
    lengths: Option<Vec<i32>>,
    /// Whether scales and the table are extreme.
    extreme: bool,
}

impl Attention {
    fn new(run: (u32, u32)) -> Attention {
        let (heads, key_heads, width, window) = (2, 1, 4, 0);
        let shifts = [4, 15, 40, 24];
        Attention { run, heads, key_heads, width, window, shifts, lengths: None, extreme: false }
    }

    fn add(&self, edges: &mut Edges, about: &str) {
        let &Attention { run, heads, key_heads, width, window, shifts, .. } = self;
        let rows = |seed: &str, heads: u32| {
            let form = Form::new(Dim::per_token(heads), Dim::fixed(width), I8);
            Input(form, mixed(seed, (run.0 * run.1 * heads * width) as usize, I8))
        };
        let scales = |seed: &str, heads: u32| {
            let form = Form::new(Dim::per_token(heads), Dim::fixed(1), I32);
            let count = (run.0 * run.1 * heads) as usize;
            let entries = match self.extreme {
                true => mixed(seed, count, I32),
                false => crate::zoo::entries(seed, count, 1, 1 << 15),
            };
            Input(form, entries)
        };
        let values = Form::new(Dim::fixed(key_heads * width), Dim::TOKENS, I8);
        let count = run.0 * run.1 * key_heads * width;
        let values = Input(values, mixed("values", count as usize, I8));
        let mut inputs = vec![
            rows("queries", heads),
            scales("scales of queries", heads),
            rows("keys", key_heads),
            scales("scales of keys", key_heads),
            values,
        ];
        inputs.extend(self.lengths.as_ref().map(|entries| lengths(entries)));
        let (alpha, table) = match self.extreme {
            true => (mixed("alpha", heads as usize, I32), mixed("table", 256, I16)),
            false => (vec![1 << 28; heads as usize], octave()),
        };
        let constants = [
            Given(heads as usize, 1, I32, alpha),
            Given(256, 1, I16, table),
            given("scale", (heads * width) as usize, 1, I32),
        ];
        let about = format!(
            "{about}, {run:?}, {heads} heads of {width} on {key_heads}, window {window}, {shifts:?}"
        );
        edges.add(&about, run, &inputs, &constants, |ids| {
            Op::Decoder(DecoderOp::Attention {
                heads,
                key_heads,
                window,
                alpha: ids[0],
                table: ids[1],
                scale: ids[2],
                shifts,
            })
        });
    }
}

fn attention(edges: &mut Edges) {
    let shifts = [[4, 15, 40, 24], [0; 4], [62; 4], [4, 10, 20, 30], [1, 31, 44, 8]];
    let shapes = [(1, 1, 1), (4, 2, 8), (3, 2, 5), (5, 1, 40), (2, 2, 64)];
    let runs =
        [((1, 1), vec![1]), ((2, 5), vec![5, 1]), ((1, 40), vec![33]), ((3, 34), vec![1, 34, 20])];
    let mut index = 0;
    for (run, seen) in &runs {
        for window in [0, 1, 3, 33, u32::MAX] {
            for lengths in [None, Some(seen.clone())] {
                let (heads, key_heads, width) = shapes[index % shapes.len()];
                let extreme = index % 3 == 2;
                let shifts = shifts[(index / 2) % shifts.len()];
                let run = *run;
                let case =
                    Attention { run, heads, key_heads, width, window, shifts, lengths, extreme };
                case.add(edges, if extreme { "extreme" } else { "" });
                index += 1;
            }
        }
    }
}

fn tails(edges: &mut Edges) {
    for dtype in TYPES {
        for ((batch, sequence, answers), starts) in [
            ((1, 1, 1), vec![0]),
            ((3, 5, 2), vec![0, 4, 3]),
            ((2, 4, 9), vec![MAX, 1]),
            ((2, 40, 33), vec![4, 39]),
            ((5, 3, 1), vec![2, 1, 0, 3, MAX]),
        ] {
            let run = RunShape::new(batch, sequence).answers(answers);
            let x = tokens((batch, sequence), 7, dtype, "x");
            let starts = [x, lengths(&starts)];
            edges.add_run(&format!("{run:?}"), run, &starts, &[], |_| Op::Decoder(DecoderOp::Tail));
        }
    }
}

/// A request: start, multiplier, number kept, and a seed.
fn request(start: i32, multiplier: i32, kept: i32, seed: i32) -> [i32; 11] {
    let mut request = [seed; 11];
    request[..3].copy_from_slice(&[start, multiplier, kept]);
    request[10] = seed ^ MIN;
    request
}

/// A case of sample on items of some rows.
fn sample(
    edges: &mut Edges,
    about: &str,
    (batch, rows, columns): (u32, u32, u32),
    requests: &[[i32; 11]],
    shift: u8,
    table: Vec<i32>,
) {
    let x = fixed(about, batch, rows, columns, I32);
    sample_of(edges, about, x, requests, shift, table);
}

fn sample_of(
    edges: &mut Edges,
    about: &str,
    x: Input,
    requests: &[[i32; 11]],
    shift: u8,
    table: Vec<i32>,
) {
    let form = Form::new(Dim::fixed(1), Dim::fixed(11), I32);
    let inputs = [x, Input(form, requests.concat())];
    // Rows of answers, if there are any, are 3 an item.
    let run = RunShape::new(requests.len() as u32, 3).answers(3);
    let table = [Given(256, 1, I32, table)];
    edges.add_run(about, run, &inputs, &table, |ids| {
        Op::Decoder(DecoderOp::Sample { table: ids[0], shift })
    });
}

fn samples(edges: &mut Edges) {
    let tables = [sampling(), vec![0; 256], mixed("table", 256, I32)];
    let mut index = 0;
    for columns in [1, 2, 50, 300] {
        for (multiplier, shift) in [(700, 8), (0, 0), (MAX, 62), (-1, 1), (1 << 20, 33)] {
            let kept = [0, 1, 2, 5, columns as i32, columns as i32 + 1, -1, MIN, MAX];
            let of = |at: usize| kept[(index + at) % kept.len()];
            let requests =
                [request(0, multiplier, of(0), 5), request(MAX, multiplier, of(1), index as i32)];
            let table = tables[if index % 4 == 3 { 1 + index / 4 % 2 } else { 0 }].clone();
            let about = format!("{columns} columns, keeps {} and {}", of(0), of(1));
            sample(edges, &about, (2, 3, columns), &requests, shift, table);
            index += 1;
        }
    }
    // Equal entries, whose order is that of columns.
    for kept in [0, 1, 2, 3] {
        for per in [Dim::TOKENS, Dim::ANSWERS] {
            for dtype in [I8, I16] {
                let form = Form::new(per, Dim::fixed(4), dtype);
                let x = Input(form, [3, 3, 3, 3, 1, 5, 5, 2, 2, 2, 1, 2].repeat(2));
                let requests = [request(9, 700, kept, 1), request(0, 0, kept, 2)];
                sample_of(edges, "ties", x, &requests, 8, sampling());
            }
        }
    }
}

fn limbs(edges: &mut Edges) {
    for dtype in TYPES {
        for low in [false, true] {
            let columns = 129;
            let x = tokens((3, 2), columns, dtype, "x");
            let form = Form::new(Dim::TOKENS, Dim::fixed(1), I32);
            let m = Input(form, vec![MIN, 0, 1, 777, 1 << 20, MAX]);
            edges.add("", (3, 2), &[x, m], &[], |_| Op::Decoder(DecoderOp::Limb { low }));
        }
    }
}
