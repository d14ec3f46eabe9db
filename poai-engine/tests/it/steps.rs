//! Compares every step's values with an independent implementation of docs/spec.md. That
//! implementation is scripts/check-programs.py, in Python, which wrote `test_vectors/steps.txt`. It
//! reads the cases that `emit_cases` writes.

use poai_core::program::{RunShape, ValueId};
use poai_core::trace::TraceRules;
use poai_core::{Beacon, Job, Prover};
use poai_engine::execute::Device;
use poai_engine::execute::{RunError, Session, Tensor, Trace};
use poai_testing::decoder;
use poai_testing::edges;
use poai_testing::edges::ProgramCase;
use poai_testing::runs;
use poai_testing::training::{self, OneStep};
use poai_testing::training_network;
use serde_json::{Value, json};
use std::sync::Arc;

/// Small numbers, so that some cases have outputs with more tiles than an audit opens.
const RULES: TraceRules =
    TraceRules { product_samples: 7, step_samples: 9, output_tiles: 2, ..TraceRules::DEFAULT };
const JOB: Job = Job([0x11; 32]);
const PROVER: Prover = Prover([0x22; 32]);
const BEACON: Beacon = Beacon([0x33; 32]);

/// The zoo's programs, one program per edge, programs of the steps of training,
/// programs with state, and programs of the steps of decoders.
fn cases() -> Vec<ProgramCase> {
    let of_zoo = runs::runs().into_iter().map(|runs::ZooRun { name, network, run, inputs }| {
        let name = format!("{name}, {} of {}", run.batch, run.sequence);
        ProgramCase { name, about: String::new(), network, inputs, run }
    });
    // Their names have the details.
    let case = |(name, network, inputs, run): OneStep| {
        let about = String::new();
        ProgramCase { name, about, network, inputs, run }
    };
    let of_training = training::one_step_programs().into_iter();
    let of_training = of_training.chain(training::programs_without_output()).map(case);
    // Programs with state, whose row-local steps have tiles of fewer rows.
    let listed = [1, 33].map(|batch| {
        let run = RunShape::new(batch, 1);
        let inputs = training_network::samples(&run);
        case((format!("perceptron, {batch}"), training_network::perceptron(), inputs, run))
    });
    let run = RunShape::new(40, 1);
    let deep = training_network::deep_samples(&run);
    let deep = case(("deep product".to_owned(), training_network::deep(), deep, run));
    // The tiny decoder, which answers at the ends of its prompts.
    let prompts = [decoder::ids()[..9].to_vec(), decoder::ids()[11..20].to_vec()];
    let (run, inputs) = decoder::answering_inputs(&prompts, &[9, 4], &[6, 3], 4);
    let answering = case(("answering".to_owned(), decoder::answering(), inputs, run));
    let of_decoders = edges::decoder_cases().into_iter();
    let of_decoders = of_decoders.chain(edges::decoder_cases_without_output());
    let of_decoders = of_decoders.chain(edges::wide_cases()).chain([answering]);
    let earlier = of_zoo.chain(edges::cases()).chain(of_training).chain(listed).chain([deep]);
    earlier.chain(of_decoders).collect()
}

/// The trace of a run, or `None` if a step has no output.
fn traced(case: &ProgramCase, backend: Arc<dyn Device>) -> Option<Trace> {
    let model = Session::new(case.network.clone(), backend).unwrap();
    match model.trace((case.run, case.inputs.clone())) {
        Ok(run) => Some(run.trace.with_rules(RULES)),
        Err(RunError::Step { .. }) => None,
        Err(error) => panic!("{}: {error}", case.name),
    }
}

fn values(trace: &Trace) -> impl Iterator<Item = (ValueId, &Tensor)> {
    (0..).map(ValueId).map_while(|value| Some((value, trace.value(value).ok()?)))
}

/// A case's lines in `test_vectors/steps.txt`. They are the trace root, which binds everything
/// else, the steps' roots if there are several steps, and the tiles that an audit opens.
fn answers(case: &ProgramCase, trace: Option<&Trace>) -> Vec<String> {
    let program = case.network.program();
    let Some(trace) = trace else { return vec![format!("{}: no output", case.name)] };
    let step = |(value, tensor): (ValueId, &Tensor)| {
        let name = &program.step_of(value)?.name;
        Some(format!("{} {name} {}", value.0, tensor.root()))
    };
    let mut lines: Vec<String> = values(trace).filter_map(step).collect();
    if lines.len() == 1 {
        lines.clear();
    }
    lines.push(format!("trace {}", trace.root()));
    let tiles = trace.audit_tiles(&trace.receipt(JOB, PROVER), &BEACON);
    let tiles: Vec<String> =
        tiles.iter().map(|sample| format!("{}/{}", sample.value.0, sample.tile)).collect();
    let tiles = blake3::hash(tiles.join(" ").as_bytes());
    lines.push(format!("audit {} {tiles}", trace.receipt(JOB, PROVER).digest()));
    lines.into_iter().map(|line| format!("{}: {line}", case.name)).collect()
}

#[test]
fn an_independent_implementation_has_the_same_answers() {
    let known = include_str!("../../../test_vectors/steps.txt");
    let cases = cases();
    for backend in poai_engine::choose::present() {
        let answers =
            cases.iter().flat_map(|case| answers(case, traced(case, backend.clone()).as_ref()));
        let mut known = known.lines();
        for line in answers {
            assert_eq!(known.next(), Some(line.as_str()), "{}", backend.name());
        }
        assert_eq!(known.next(), None);
    }
}

/// Writes the cases to the file named by `POAI_CASES`.
#[test]
#[ignore = "writes a file for scripts/check-programs.py"]
fn emit_cases() {
    let tensor = |tensor: &Tensor| {
        let rows: Vec<Vec<i32>> = tensor
            .entries()
            .chunks(tensor.extent().columns as usize)
            .map(<[i32]>::to_vec)
            .collect();
        let root = tensor.root().to_string();
        json!({ "type": tensor.extent().dtype.size(), "rows": rows, "root": root })
    };
    let emitted: Vec<Value> = cases()
        .iter()
        .map(|case| {
            let trace = traced(case, poai_engine::choose::by_name("reference").unwrap());
            let program = case.network.program();
            let constants = case.network.constants().iter();
            let audit = |trace: &Trace| {
                let tiles = trace.audit_tiles(&trace.receipt(JOB, PROVER), &BEACON);
                let tiles = tiles.iter().map(|sample| (sample.value.0, sample.tile));
                json!({
                    "rules": {
                        "batch_max": RULES.batch_max,
                        "sequence_max": RULES.sequence_max,
                        "tile_memory_max": RULES.tile_memory_max,
                        "product_samples": RULES.product_samples,
                        "step_samples": RULES.step_samples,
                        "output_tiles": RULES.output_tiles,
                    },
                    "job": JOB,
                    "prover": PROVER,
                    "beacon": BEACON,
                    "receipt": trace.receipt(JOB, PROVER).digest(),
                    "tiles": tiles.collect::<Vec<_>>(),
                })
            };
            json!({
                "name": case.name,
                "about": case.about,
                "program": hex::encode(program.to_bytes()),
                "architecture_id": program.architecture_id().to_string(),
                "program_id": program.program_id().to_string(),
                "batch": case.run.batch,
                "sequence": case.run.sequence,
                "answers": case.run.answers,
                "constants": constants.map(|held| tensor(&held.tensor)).collect::<Vec<_>>(),
                "inputs": case.inputs.iter().map(tensor).collect::<Vec<_>>(),
                "values": trace.iter().flat_map(values).map(|(_, t)| tensor(t)).collect::<Vec<_>>(),
                "trace_root": trace.as_ref().map(|trace| trace.root().to_string()),
                "audit": trace.as_ref().map(audit),
            })
        })
        .collect();
    let path = std::env::var("POAI_CASES").expect("POAI_CASES names the file to write");
    std::fs::write(path, serde_json::to_vec(&emitted).unwrap()).unwrap();
}
