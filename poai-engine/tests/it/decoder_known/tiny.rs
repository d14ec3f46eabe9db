//! The tiny decoder, value by value, and that its values do not depend on what
//! follows them.

use poai_core::program::ValueId;
use poai_engine::execute::{Network, Session, Tensor};
use poai_testing::decoder::{PLACES, TOKENS, answering, answering_inputs, ids, tiny, tiny_inputs};
use poai_testing::vectors;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The steps' values in a run, each with the step's name.
fn values(
    network: &Network,
    inputs: (poai_core::program::RunShape, Vec<Tensor>),
) -> Vec<(String, Vec<i32>)> {
    let device = Arc::new(poai_engine::Cpu::new());
    let trace = Session::new(network.clone(), device).unwrap().trace(inputs).unwrap().trace;
    let program = network.program();
    let first = program.inputs().len() as u32;
    let steps = program.steps().iter().zip(first..);
    steps
        .map(|(step, value)| (step.name.clone(), trace.value(ValueId(value)).unwrap().entries()))
        .collect()
}

/// The rows of several heads, token by token: row i has the heads side by side.
fn by_token(entries: &[i32], rows: usize, tokens: usize) -> Vec<i32> {
    let (heads, columns) = (rows / tokens, entries.len() / rows);
    let row = |row: usize| &entries[row * columns..][..columns];
    let all = (0..tokens).flat_map(|i| (0..heads).map(move |head| head * tokens + i));
    all.flat_map(row).copied().collect()
}

/// A line of `tiny.txt`.
fn line(name: &str, entries: &[i32]) -> String {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let hash = &blake3::hash(&bytes).to_hex()[..16];
    let (min, max) = (entries.iter().min().unwrap(), entries.iter().max().unwrap());
    format!("{name:<18} {hash} {min:>8} {max:>8}")
}

#[test]
fn decoder_known_tiny_decoder() {
    let known = std::fs::read_to_string(vectors("decoder/tiny.txt")).unwrap();
    let network = tiny();
    let program = network.program();
    program.causality().unwrap();
    let of = |kept: i32| values(&network, tiny_inputs(&ids(), kept));
    let mut lines = vec![];
    let extents = program.extents(&tiny_inputs(&ids(), 1).0).unwrap();
    let all = of(1);
    for ((name, entries), extent) in all.iter().zip(&extents[program.inputs().len()..]) {
        let name = match name.as_str() {
            "v transposed" | "choice" => continue,
            "head" => "logits",
            name => name,
        };
        lines.push(line(name, &by_token(entries, extent.rows as usize, TOKENS)));
    }
    let choice = |all: &[(String, Vec<i32>)]| all.last().unwrap().1.clone();
    lines.push(format!("argmax {:?}", choice(&all)));
    lines.push(format!("sample {:?}", choice(&of(10))));
    assert_eq!(lines, known.lines().collect::<Vec<_>>());
}

/// The rows of some tokens of a value, by name.
fn prefixes(
    network: &Network,
    all: &[(String, Vec<i32>)],
    tokens: usize,
    first: usize,
) -> BTreeMap<String, Vec<i32>> {
    let mut found = BTreeMap::new();
    for (index, (name, entries)) in all.iter().enumerate() {
        let step = &network.program().steps()[index];
        if name == "v transposed" {
            continue;
        }
        let rows = step.form.rows.units as usize * tokens;
        let whole = by_token(entries, rows, tokens);
        found.insert(name.clone(), whole[..whole.len() / tokens * first].to_vec());
    }
    found
}

/// Decoding word by word gives these values, so they must not depend on what
/// follows.
#[test]
fn decoder_known_values_do_not_depend_on_what_follows() {
    let network = tiny();
    let all = values(&network, tiny_inputs(&ids(), 10));
    for first in [1, 17, 39] {
        let short = values(&network, tiny_inputs(&ids()[..first], 10));
        let mut other = ids();
        other[first..].iter_mut().for_each(|id| *id = (*id + 77) % 200);
        let changed = values(&network, tiny_inputs(&other, 10));
        let expected = prefixes(&network, &all, TOKENS, first);
        assert_eq!(prefixes(&network, &short, first, first), expected);
        assert_eq!(prefixes(&network, &changed, TOKENS, first), expected);
        assert!(changed != all);
    }
}

/// A batch of prompts of different lengths, padded on the right, chooses what
/// each alone chooses at every place.
#[test]
fn decoder_known_answers_of_a_batch_are_those_of_each_item() {
    let network = answering();
    network.program().causality().unwrap();
    let lengths = [40, 7, 23];
    let starts = [38, 2, 0];
    let items: Vec<Vec<i32>> = lengths
        .iter()
        .zip(1..)
        .map(|(&length, times)| {
            let mut item: Vec<i32> = ids().iter().map(|id| id * times % 200).collect();
            item.resize(PLACES, 0);
            item[length as usize..].fill(0);
            item
        })
        .collect();
    let answers = 5;
    let inputs = answering_inputs(&items, &lengths, &starts, answers);
    let batched = values(&network, inputs);
    let batched = &batched.last().unwrap().1;
    let places = tiny();
    for (at, item) in items.iter().enumerate() {
        let length = lengths[at] as usize;
        let alone = values(&places, tiny_inputs(&item[..length], 10));
        let alone = &alone.last().unwrap().1;
        // Places from the length on see what precedes them, as padding does.
        for answer in 0..answers as usize {
            let place = starts[at] as usize + answer;
            if place < length {
                assert_eq!(batched[at * answers as usize + answer], alone[place], "{at}, {place}");
            }
        }
    }
}
