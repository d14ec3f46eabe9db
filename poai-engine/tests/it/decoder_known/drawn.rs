//! Drawn programs of grouped attention and of choices: a prefix of a run has the
//! rows of the whole, and a batch those of its items.

use poai_core::program::{Builder, DecoderOp, Dim, Dtype, Form, Op, RunShape};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Session, Tensor};
use poai_testing::decoder::{octave, sampling};
use poai_testing::zoo::entries;
use proptest::prelude::*;
use std::sync::Arc;

const I8: Dtype = Dtype::I8;
const I32: Dtype = Dtype::I32;

/// Attention of some heads, then a choice of a column for each token.
fn network(heads: u32, key_heads: u32, width: u32, window: u32) -> Network {
    let rows = |heads: u32, columns: u32, dtype: Dtype| {
        Form::new(Dim::per_token(heads), Dim::fixed(columns), dtype)
    };
    let an_item = |columns: u32| Form::new(Dim::fixed(1), Dim::fixed(columns), I32);
    let mut builder = Builder::new(&[
        rows(heads, width, I8),
        rows(heads, 1, I32),
        rows(key_heads, width, I8),
        rows(key_heads, 1, I32),
        Form::new(Dim::fixed(key_heads * width), Dim::TOKENS, I8),
        an_item(1),
        an_item(11),
    ]);
    let mut held = Constants::default();
    let columns = (heads * width) as usize;
    let alpha = vec![1 << 28; heads as usize];
    let scale = entries("scale", columns, 1 << 15, 1 << 16);
    let mut constant = |name: &str, dtype: Dtype, entries: &[i32]| {
        held.add(&mut builder, name, (entries.len(), 1), dtype, entries).unwrap()
    };
    let alpha = constant("alpha", I32, &alpha);
    let table = constant("octave", Dtype::I16, &octave());
    let scale = constant("scale", I32, &scale);
    let sampling = constant("sampling", I32, &sampling());
    let shifts = [4, 15, 40, 24];
    let op = DecoderOp::Attention { heads, key_heads, window, alpha, table, scale, shifts };
    let inputs: Vec<_> = (0..6).map(|input| builder.input(input)).collect();
    let context = builder.step("context", Op::Decoder(op), &inputs).unwrap();
    let op = Op::Decoder(DecoderOp::Sample { table: sampling, shift: 18 });
    let request = builder.input(6);
    let choice = builder.step("choice", op, &[context, request]).unwrap();
    let program = builder.finish_with(&[context, choice], 0).unwrap();
    Network::new(program, held.into_tensors()).unwrap()
}

/// What an item reads: rows of each head, and columns of values.
struct Item {
    rows: [Vec<Vec<i32>>; 4],
    values: Vec<Vec<i32>>,
    length: i32,
    request: Vec<i32>,
}

impl Item {
    fn new(seed: &str, [heads, key_heads, width]: [u32; 3], sequence: u32, length: i32) -> Item {
        let rows = |name: &str, heads: u32, columns: u32, least: i32, most: i32| {
            let count = (heads * sequence * columns) as usize;
            let all = entries(&format!("{seed} {name}"), count, least, most);
            all.chunks(columns as usize).map(<[i32]>::to_vec).collect::<Vec<_>>()
        };
        let values = rows("values", key_heads * width, 1, -64, 63).concat();
        Item {
            rows: [
                rows("queries", heads, width, -64, 63),
                rows("scales of queries", heads, 1, 1, 1 << 15),
                rows("keys", key_heads, width, -64, 63),
                rows("scales of keys", key_heads, 1, 1, 1 << 15),
            ],
            values: values.chunks(sequence as usize).map(<[i32]>::to_vec).collect(),
            length,
            request: entries(&format!("{seed} request"), 11, 0, 1 << 20),
        }
    }

    /// The first tokens of the item.
    fn first(&self, sequence: usize, tokens: usize) -> Item {
        let of_heads = |rows: &Vec<Vec<i32>>| {
            rows.chunks(sequence).flat_map(|head| head[..tokens].to_vec()).collect()
        };
        Item {
            rows: self.rows.each_ref().map(of_heads),
            values: self.values.iter().map(|row| row[..tokens].to_vec()).collect(),
            length: self.length.min(tokens as i32),
            request: self.request.clone(),
        }
    }
}

/// Both outputs of a run, as rows of each item.
fn run(network: &Network, items: &[Item], sequence: usize) -> Vec<[Vec<i32>; 2]> {
    let shape = RunShape::new(items.len() as u32, sequence as u32);
    let tensor = |rows: Vec<Vec<i32>>, dtype: Dtype| {
        Tensor::new(rows.len(), rows[0].len(), dtype, &rows.concat()).unwrap()
    };
    let all = |of: &dyn Fn(&Item) -> Vec<Vec<i32>>| items.iter().flat_map(of).collect::<Vec<_>>();
    let mut inputs = vec![];
    for (slot, dtype) in [I8, I32, I8, I32].into_iter().enumerate() {
        inputs.push(tensor(all(&|item: &Item| item.rows[slot].clone()), dtype));
    }
    inputs.push(tensor(all(&|item: &Item| item.values.clone()), I8));
    inputs.push(tensor(all(&|item: &Item| vec![vec![item.length]]), I32));
    inputs.push(tensor(all(&|item: &Item| vec![item.request.clone()]), I32));
    let session = Session::new(network.clone(), Arc::new(poai_engine::Cpu::new())).unwrap();
    let trace = session.trace((shape, inputs)).unwrap().trace;
    let outputs = network.program().outputs();
    let both = [0, 1].map(|at| trace.value(outputs[at]).unwrap().entries());
    let of = |all: &[i32], item: usize| {
        let each = all.len() / items.len();
        all[item * each..][..each].to_vec()
    };
    (0..items.len()).map(|item| both.each_ref().map(|all| of(all, item))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn decoder_known_drawn_prefixes_and_items_are_those_of_the_whole(
        groups in 1u32..4, key_heads in 1u32..4, width in 1u32..12,
        window in prop_oneof![Just(0u32), 1u32..9, Just(u32::MAX)],
        sequence in 1u32..50, first: prop::sample::Index,
        lengths in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let shape = [groups * key_heads, key_heads, width];
        let network = network(shape[0], key_heads, width, window);
        let items: Vec<Item> = lengths
            .iter()
            .enumerate()
            .map(|(at, length)| {
                let length = 1 + length.index(sequence as usize) as i32;
                Item::new(&format!("item {at}"), shape, sequence, length)
            })
            .collect();
        let whole = run(&network, &items, sequence as usize);
        let tokens = 1 + first.index(sequence as usize);
        for (item, whole) in items.iter().zip(&whole) {
            let alone = run(&network, std::slice::from_ref(item), sequence as usize);
            prop_assert_eq!(&alone[0], whole);
            let short = run(&network, &[item.first(sequence as usize, tokens)], tokens);
            for (short, whole) in short[0].iter().zip(whole) {
                prop_assert_eq!(&short[..], &whole[..short.len()]);
            }
        }
    }
}
