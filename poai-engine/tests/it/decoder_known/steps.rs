//! Every step on explicit entries. `POAI_DECODER` names another file like
//! `test_vectors/decoder/steps.json` to compare with.

use poai_core::program::{Builder, Clamp, ConstantId, DecoderOp, Dim, Dtype, Form, Op, RunShape};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Session, Tensor};
use poai_testing::{decoder, vectors};
use serde_json::Value;
use std::collections::BTreeMap;

const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;

/// Rows of entries of one type.
struct Given(Dtype, Vec<Vec<i32>>);

impl Given {
    fn shape(&self) -> (usize, usize) {
        (self.1.len(), self.1[0].len())
    }
}

fn number(value: &Value) -> i32 {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or_else(|| {
        panic!("expected an i32, got {value}");
    })
}

fn numbers(value: &Value) -> Vec<i32> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("expected a list, got {value}"))
        .iter()
        .map(number)
        .collect()
}

fn rows(value: &Value) -> Vec<Vec<i32>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn column(dtype: Dtype, entries: &[i32]) -> Given {
    Given(dtype, entries.iter().map(|&entry| vec![entry]).collect())
}

fn shift(value: &Value) -> u8 {
    u8::try_from(number(value)).unwrap()
}

fn clamp(value: &Value) -> Clamp {
    let bounds = numbers(value);
    let all = [I8, I16, I32].map(Clamp::full);
    let found = all.into_iter().find(|clamp| [clamp.min, clamp.max] == bounds[..]);
    found.unwrap_or(Clamp { dtype: I32, min: bounds[0], max: bounds[1] })
}

/// The output of a step on one item, as rows.
fn output(
    inputs: &[(Form, Given)],
    constants: &[Given],
    run: RunShape,
    op: impl FnOnce(&[ConstantId]) -> Op,
) -> Vec<i32> {
    let forms: Vec<Form> = inputs.iter().map(|(form, _)| *form).collect();
    let mut builder = Builder::new(&forms);
    let mut held = Constants::default();
    let ids: Vec<ConstantId> = constants
        .iter()
        .map(|given| {
            held.add(&mut builder, "κ", given.shape(), given.0, &given.1.concat()).unwrap()
        })
        .collect();
    let values: Vec<_> = (0..inputs.len()).map(|index| builder.input(index)).collect();
    builder.step("it", op(&ids), &values).unwrap();
    let network = Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap();
    let session =
        Session::new(network, poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    let tensor = |(_, Given(dtype, rows)): &(Form, Given)| {
        Tensor::new(rows.len(), rows[0].len(), *dtype, &rows.concat()).unwrap()
    };
    let inputs: Vec<Tensor> = inputs.iter().map(tensor).collect();
    session.run((run, inputs)).unwrap().output.entries()
}

/// An input whose rows are a number, or whose rows are the tokens.
fn input(dtype: Dtype, rows: Vec<Vec<i32>>, tokens: bool) -> (Form, Given) {
    let units = if tokens { Dim::TOKENS } else { Dim::fixed(rows.len() as u32) };
    (Form::new(units, Dim::fixed(rows[0].len() as u32), dtype), Given(dtype, rows))
}

fn row(dtype: Dtype, value: &Value) -> (Form, Given) {
    input(dtype, vec![numbers(value)], false)
}

/// The row of a place, of one head. The queries of other places are zeros.
fn attention(case: &Value, table: &[i32]) -> Vec<i32> {
    let (keys, place) = (rows(&case["keys"]), number(&case["place"]) as usize);
    let (q, values) = (numbers(&case["q"]), rows(&case["values"]));
    let (tokens, width) = (keys.len(), q.len());
    let mut queries = vec![vec![0; width]; tokens];
    queries[place] = q;
    let mq = vec![vec![number(&case["mq"])]; tokens];
    let mk = column(I32, &numbers(&case["mk"])).1;
    let transposed: Vec<Vec<i32>> =
        (0..width).map(|at| values.iter().map(|row| row[at]).collect()).collect();
    let values = Form::new(Dim::fixed(width as u32), Dim::TOKENS, I8);
    let mut inputs = vec![
        input(I8, queries, true),
        input(I32, mq, true),
        input(I8, keys, true),
        input(I32, mk, true),
        (values, Given(I8, transposed)),
    ];
    if !case["length"].is_null() {
        inputs.push(input(I32, vec![vec![number(&case["length"])]], false));
    }
    let constants = [
        column(I32, &[number(&case["alpha"])]),
        column(I16, table),
        column(I32, &numbers(&case["scale"])),
    ];
    let shifts: Vec<u8> = case["shifts"].as_array().unwrap().iter().map(shift).collect();
    let all = output(&inputs, &constants, RunShape::new(1, tokens as u32), |ids| {
        Op::Decoder(DecoderOp::Attention {
            heads: 1,
            key_heads: 1,
            window: number(&case["window"]) as u32,
            alpha: ids[0],
            table: ids[1],
            scale: ids[2],
            shifts: shifts.try_into().unwrap(),
        })
    });
    all[place * width..][..width].to_vec()
}

/// What this implementation computes for a case.
fn computed(case: &Value, known: &Value) -> Vec<i32> {
    let one = RunShape::new(1, 1);
    let x = || row(I32, &case["x"]);
    let of = |shift_of: &Value| shift(shift_of);
    match case["step"].as_str().unwrap() {
        "rms norm" => {
            let affine = Given(I32, rows(&case["affine"]));
            output(&[x()], &[affine], one, |ids| {
                let (epsilon, shift) = (number(&case["epsilon"]), of(&case["shift"]));
                Op::Decoder(DecoderOp::RmsNorm { affine: ids[0], epsilon, shift })
            })
        }
        "rotary" => {
            let x = input(I16, vec![numbers(&case["x"])], true);
            let turns = Given(I16, vec![numbers(&case["turn"])]);
            output(&[x], &[turns], one, |ids| {
                let (heads, shift) = (number(&case["heads"]) as u32, of(&case["shift"]));
                Op::Decoder(DecoderOp::Rotary { turns: ids[0], heads, shift })
            })
        }
        "mix" => {
            let scale = column(I32, &numbers(&case["scale"]));
            output(&[x()], &[scale], one, |ids| {
                let (block, shift) = (number(&case["block"]) as u32, of(&case["shift"]));
                let clamp = clamp(&case["clamp"]);
                Op::Decoder(DecoderOp::Mix { scale: ids[0], block, shift, clamp })
            })
        }
        "curve" => {
            let table = column(I16, &numbers(&case["table"]));
            output(&[x()], &[table], one, |ids| {
                let pass_above = case["pass_above"].as_bool().unwrap();
                Op::Curve { table: ids[0], shift: of(&case["shift"]), pass_above }
            })
        }
        "mul" => {
            let inputs = [row(I32, &case["a"]), row(I32, &case["b"])];
            let op = Op::Mul { shift: of(&case["shift"]), clamp: clamp(&case["clamp"]) };
            output(&inputs, &[], one, |_| op)
        }
        "attention" => {
            let named = case["table"].as_str().map(|name| numbers(&known[name]));
            attention(case, &named.unwrap_or_else(|| numbers(&case["table"])))
        }
        "tail" => {
            let x = rows(&case["x"]);
            let tokens = x.len() as u32;
            let start = input(I32, vec![vec![number(&case["start"])]], false);
            let run = RunShape::new(1, tokens).answers(number(&case["answers"]) as u32);
            output(&[input(I32, x, true), start], &[], run, |_| Op::Decoder(DecoderOp::Tail))
        }
        "sample" => {
            let named = ["place", "multiplier", "k"].map(|name| number(&case[name]));
            let mut request = named.to_vec();
            let seed = hex::decode(case["seed"].as_str().unwrap()).unwrap();
            request.extend(seed.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word)));
            let inputs = [x(), input(I32, vec![request], false)];
            let table = column(I32, &numbers(&known["sampling"]));
            output(&inputs, &[table], one, |ids| {
                Op::Decoder(DecoderOp::Sample { table: ids[0], shift: of(&case["shift"]) })
            })
        }
        "limb" => {
            let limb = |low| {
                let given = |name: &str| input(I32, vec![vec![number(&case[name])]], false);
                let inputs = [given("x"), given("m")];
                output(&inputs, &[], one, |_| Op::Decoder(DecoderOp::Limb { low }))
            };
            [limb(false), limb(true)].concat()
        }
        other => panic!("expected the name of a step, got {other}"),
    }
}

/// A case's output, flat.
fn expected(case: &Value) -> Vec<i32> {
    match &case["output"] {
        Value::Array(entries) if entries.iter().any(Value::is_array) => {
            rows(&case["output"]).concat()
        }
        Value::Array(_) => numbers(&case["output"]),
        single => vec![number(single)],
    }
}

/// The numbers of the cases that differ, and how many cases each step has.
fn differing(known: &Value) -> (Vec<usize>, BTreeMap<String, usize>) {
    let (mut different, mut kinds) = (vec![], BTreeMap::new());
    for (index, case) in known["cases"].as_array().unwrap().iter().enumerate() {
        *kinds.entry(case["step"].as_str().unwrap().to_owned()).or_default() += 1;
        if computed(case, known) != expected(case) {
            different.push(index);
        }
    }
    (different, kinds)
}

fn read(path: &std::path::Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn decoder_known_answers_of_every_step() {
    let path = std::env::var_os("POAI_DECODER").map(std::path::PathBuf::from);
    let known = read(&path.clone().unwrap_or_else(|| vectors("decoder/steps.json")));
    let (different, kinds) = differing(&known);
    assert_eq!(different, Vec::<usize>::new(), "cases that differ");
    assert!(!kinds.is_empty(), "expected cases, got none");
    if path.is_none() {
        assert_eq!(kinds.len(), 9, "{kinds:?}");
        assert_eq!(numbers(&known["octave"]), decoder::octave());
        assert_eq!(numbers(&known["sampling"]), decoder::sampling());
    }
}

#[test]
fn decoder_known_answers_with_a_changed_entry_differ() {
    let known = read(&vectors("decoder/steps.json"));
    let mut changed = known.clone();
    let (mut seen, mut expected) = (BTreeMap::<String, usize>::new(), vec![]);
    for (index, case) in changed["cases"].as_array_mut().unwrap().iter_mut().enumerate() {
        let count = seen.entry(case["step"].as_str().unwrap().to_owned()).or_default();
        *count += 1;
        // The first case of each step.
        if *count > 1 {
            continue;
        }
        let mut entry = &mut case["output"];
        while entry.is_array() {
            entry = &mut entry[0];
        }
        *entry = (entry.as_i64().unwrap() + 1).into();
        expected.push(index);
    }
    assert_eq!(differing(&changed).0, expected);
}
