//! Bounds of messages and tiles: honest ones are below them, and not by far.

use crate::{bounds_decoder, bounds_training};
use poai_core::Beacon;
use poai_core::Root;
use poai_core::program::ops::{Local, RowSource, StepError};
use poai_core::program::{
    Builder, Clamp, Dim, Dtype, Extent, Form, GroupWindow, Op, Program, RunShape, TrainingOp,
    ValueId, Window,
};
use poai_core::trace::{Record, TraceHeader, record};
use poai_engine::execute::{Network, Tensor};
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, RULES, run, steps, tile_openings, tiles,
};
use poai_testing::zoo;
use poai_verify::trace::{Checker, TraceError, TraceMalformed, TraceRules};
use proptest::prelude::*;

/// The largest ratio of a bound to what the worst tile of a step opens.
const SLACK: f64 = 2.0;

/// The same for steps of the oddest sizes, such as images one pixel wide.
const FAR: f64 = 6.0;

type Case = (fn() -> Network, fn(&RunShape) -> Vec<Tensor>, Vec<RunShape>);

fn cases() -> [Case; 4] {
    let shape = |(batch, sequence)| RunShape::new(batch, sequence);
    let encoder = [(1, 1), (1, 70), (2, 33), (3, 40), (5, 7), (33, 2), (40, 1), (2, 64), (4, 32)];
    let classifier = [(1, 1), (2, 1), (7, 1), (40, 1)];
    let gates = [(1, 1), (3, 1), (8, 1), (50, 1)];
    [
        (zoo::encoder, zoo::tokens, encoder.map(shape).to_vec()),
        (zoo::classifier, zoo::images, classifier.map(shape).to_vec()),
        (zoo::gates, zoo::small_images, gates.map(shape).to_vec()),
        (zoo::relative, zoo::states, encoder.map(shape).to_vec()),
    ]
}

#[test]
fn honest_messages_of_the_zoo_are_within() {
    let rules = TraceRules { sequence_max: 70, ..RULES };
    for (network, inputs, shapes) in cases() {
        for shape in shapes {
            let trace = run(network(), shape, inputs(&shape));
            let checker = Checker::new(trace.network().program().clone(), rules);
            let audit_max = checker.audit_bytes_max(&shape).unwrap();
            let fraud_max = checker.fraud_bytes_max(&shape).unwrap();
            let mut longest = 0;
            for value in steps(&trace) {
                let bound = checker.tile_bound(&shape, value).unwrap().unwrap();
                let mut worst = 0;
                for tile in 0..tiles(&trace, value) {
                    worst = worst.max(tile_openings(&trace, value, tile).len());
                    let proof = trace.fraud_proof(value, tile).unwrap().to_bytes().len();
                    assert!(proof as u64 <= fraud_max, "{shape:?} {value:?}");
                    longest = longest.max(proof);
                }
                let name = trace.network().program().step_of(value).unwrap().op.name();
                assert!(worst as u64 <= bound.bytes, "{shape:?} {name}: {worst} {bound:?}");
                let slack = bound.bytes as f64 / worst as f64;
                // A bound allows for any index, and this one names few rows.
                let most = if name == "arrange" { f64::MAX } else { SLACK };
                assert!(slack <= most, "{shape:?} {name}: {worst} {bound:?}");
                if name == "linear" {
                    let link = trace.link(value).unwrap().to_bytes().len() as u64;
                    let max = checker.link_bytes_max();
                    assert!(link <= max && max <= link + 64, "{link} {max}");
                }
            }
            let arranges = steps(&trace).any(|value| {
                let step = trace.network().program().step_of(value).unwrap();
                matches!(step.op, Op::Arrange { .. })
            });
            let most = if arranges { f64::MAX } else { SLACK * longest as f64 };
            assert!(fraud_max as f64 <= most, "{shape:?} {longest} {fraud_max}");
            let trace = trace.with_rules(rules);
            let receipt = trace.receipt(JOB, PROVER);
            for beacon in 0..40 {
                let beacon = Beacon([beacon; 32]);
                let audit = trace.audit(&receipt, &beacon).unwrap().to_bytes();
                assert!((audit.len() as u64) <= audit_max, "{shape:?}");
                checker.check_audit(&receipt, &beacon, &audit).unwrap();
            }
        }
    }
}

#[test]
fn one_byte_more_is_refused_before_any_work() {
    let shape = RunShape::new(3, 40);
    let trace = run(zoo::encoder(), shape, zoo::tokens(&shape));
    let checker = Checker::new(trace.network().program().clone(), RULES);
    // Bytes after the header are not read: they may be anything.
    let longer = |honest: &[u8], max: u64| {
        let mut bytes = honest[..TraceHeader::LEN].to_vec();
        bytes.resize(max as usize + 1, 0xa5);
        bytes
    };
    let size = |max: u64| TraceError::from(TraceMalformed::Size { max, got: max as usize + 1 });
    let audit = trace.audit(&trace.receipt(JOB, PROVER), &BEACON).unwrap().to_bytes();
    let max = checker.audit_bytes_max(&shape).unwrap();
    let mut bytes = longer(&audit, max);
    assert_eq!(checker.check_audit(&trace.receipt(JOB, PROVER), &BEACON, &bytes), Err(size(max)));
    bytes.pop();
    let error = checker.check_audit(&trace.receipt(JOB, PROVER), &BEACON, &bytes).unwrap_err();
    assert!(matches!(error, TraceError::Invalid(_)), "the longest is read: {error}");
    // Each value has its own bound for fraud proofs. The bound for all is the
    // largest of them.
    let max = checker.fraud_bytes_max(&shape).unwrap();
    let bounds = (0..trace.network().program().values() as u32).map(|value| {
        let mut bytes = longer(&audit, max);
        bytes[TraceHeader::LEN..TraceHeader::LEN + 4].copy_from_slice(&value.to_le_bytes());
        let error = checker.check_fraud(&trace.root(), &bytes).unwrap_err();
        let TraceError::Malformed(TraceMalformed::Size { max: own, got }) = error else {
            panic!("{value}: {error}");
        };
        assert_eq!(got, bytes.len());
        bytes.truncate(own as usize);
        assert!(!matches!(
            checker.check_fraud(&trace.root(), &bytes),
            Err(TraceError::Malformed(TraceMalformed::Size { .. }))
        ));
        own
    });
    assert_eq!(bounds.max(), Some(max));
}

#[test]
fn runs_whose_tiles_take_too_much_memory_are_refused() {
    let shape = RunShape::new(3, 40);
    let trace = run(zoo::encoder(), shape, zoo::tokens(&shape));
    let program = trace.network().program();
    let checker = Checker::new(program.clone(), RULES);
    let bound = |value| checker.tile_bound(&shape, value).unwrap().unwrap().memory;
    let most = steps(&trace).map(bound).max().unwrap();
    let rules = |tile_memory_max| TraceRules { tile_memory_max, ..RULES };
    let limited = |most| Checker::new(program.clone(), rules(most));
    let own = |most| trace.clone().with_rules(rules(most));
    let exact = limited(most);
    let receipt = own(most).receipt(JOB, PROVER);
    let audit = own(most).audit(&receipt, &BEACON).unwrap().to_bytes();
    exact.check_audit(&receipt, &BEACON, &audit).unwrap();
    let value = steps(&trace).find(|&value| bound(value) == most).unwrap();
    let less = limited(most - 1);
    let memory = TraceMalformed::Memory { value, bytes: most, max: most - 1 };
    let receipt = own(most - 1).receipt(JOB, PROVER);
    assert_eq!(less.check_audit(&receipt, &BEACON, &audit), Err(memory.into()));
    let proof = trace.fraud_proof(value, 0).unwrap().to_bytes();
    assert_eq!(less.check_fraud(&trace.root(), &proof), Err(memory.into()));
    assert_eq!(less.audit_bytes_max(&shape), Err(memory));
    assert_eq!(less.fraud_bytes_max(&shape), Err(memory));
    // The limit decides what is admissible, so rules and receipts bind it.
    assert_eq!(less.receipt(&receipt, &trace.header()), Err(memory.into()));
    assert_ne!(less.rules().digest(), exact.rules().digest());
}

/// A strip of an input may be longer than all that any tile opens.
#[test]
fn strips_of_inputs_are_within() {
    // The mean of one row of 19·19 columns: a tile opens that row.
    let program = program(8, [19, 19, 1, 1]).unwrap();
    let run = RunShape::new(64, 1);
    let checker = Checker::new(program.clone(), RULES);
    let extent = program.extents(&run).unwrap()[0];
    let strip = extent.strip(&(32..64)).unwrap();
    let record = Record::len(0) + 32 * record::path_len(3, 0);
    let opening = strip.opened_len() + 32 * u64::from(strip.siblings());
    let proof = (TraceHeader::LEN + 4 + 8 + record) as u64 + opening;
    assert!(opening > checker.tile_bound(&run, program.output()).unwrap().unwrap().bytes);
    let max = checker.fraud_bytes_max(&run).unwrap();
    assert!(proof <= max && max < proof + 2048, "{proof} {max}");
}

/// For tensors that are opened whole the bounds are exact: the longest messages
/// are as long as the bounds, and records and places match to the byte.
#[test]
fn bounds_of_small_tensors_are_exact() {
    let form = Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I8);
    let mut builder = Builder::new(&[form]);
    let mut value = builder.input(0);
    for _ in 0..60 {
        value = builder.step("relu", Op::Relu, &[value]).unwrap();
    }
    let network = Network::new(builder.finish().unwrap(), vec![]).unwrap();
    let shape = RunShape::new(1, 1);
    let input = Tensor::new(1, 1, Dtype::I8, &[5]).unwrap();
    let trace = run(network, shape, vec![input]);
    let rules = TraceRules { product_samples: 0, step_samples: 1, output_tiles: 1, ..RULES };
    let checker = Checker::new(trace.network().program().clone(), rules);
    let trace = trace.with_rules(rules);
    let audit = trace.audit(&trace.receipt(JOB, PROVER), &BEACON).unwrap();
    let audit = audit.as_bytes().len() as u64;
    assert_eq!(checker.audit_bytes_max(&shape), Ok(audit));
    let longest =
        steps(&trace).map(|value| trace.fraud_proof(value, 0).unwrap().as_bytes().len() as u64);
    assert_eq!(checker.fraud_bytes_max(&shape).ok(), longest.max());
}

/// Bounds of the largest possible runs are computed at once, and never wrap.
#[test]
fn bounds_of_huge_runs_are_arithmetic() {
    let rules = TraceRules {
        batch_max: u32::MAX,
        sequence_max: u32::MAX,
        tile_memory_max: u64::MAX,
        product_samples: u32::MAX,
        step_samples: u32::MAX,
        output_tiles: u32::MAX,
    };
    let checker = Checker::new(zoo::classifier().program().clone(), rules);
    let small = checker.audit_bytes_max(&RunShape::new(32, 1)).unwrap();
    let batch = (1..=u32::MAX / 63)
        .rev()
        .step_by(1 << 16)
        .find(|&batch| checker.audit_bytes_max(&RunShape::new(batch, 1)).is_ok());
    let shape = RunShape::new(batch.unwrap(), 1);
    let large = checker.audit_bytes_max(&shape).unwrap();
    // Only paths are longer: 32 bytes a level on either side of a range.
    assert!(large > small && large < 4 * small, "{shape:?} {small} {large}");
}

/// A bound, and the most that any tile opens.
pub struct Bounded {
    pub bound: u64,
    pub worst: u64,
}

/// Ids that name every other row of a table, or an index that names an entry of
/// every other row of the inputs, which is the worst case.
struct Spread<'a>(&'a Local<'a>);

impl RowSource for Spread<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        if let Op::Training(TrainingOp::ScatterAdd { .. }) = self.0.op {
            // Every other row is added to the first tile's rows.
            to.fill(if row.is_multiple_of(2) { 0 } else { self.0.output.rows as i32 - 1 });
            return Ok(());
        }
        let Op::Arrange { .. } = self.0.op else {
            // The ids of a gather follow the table.
            let table = self.0.slots.get(1 - slot).map_or(1, |extent| extent.rows);
            to.fill((row % table.div_ceil(2) * 2) as i32);
            return Ok(());
        };
        let (mut firsts, mut before) = (vec![], 0);
        for input in &self.0.slots[..self.0.inputs] {
            let rows = input.rows / self.0.run.batch;
            firsts.extend((0..rows).step_by(2).map(|row| before + row * input.columns));
            before += rows * input.columns;
        }
        let columns = self.0.output.columns;
        for (to, column) in to.iter_mut().zip(0..) {
            *to = firsts[(row * columns + column) as usize % firsts.len()] as i32;
        }
        Ok(())
    }
}

/// What the worst tile of a step opens, found by walking all tiles.
pub fn worst(program: &Program, run: RunShape, value: ValueId) -> u64 {
    let extents = program.extents(&run).unwrap();
    let local = Local::new(program, &extents, run, value).unwrap();
    let bytes = |extent: &Extent, rows| {
        let strip = extent.strip(&rows).unwrap();
        strip.opened_len() + 32 * u64::from(strip.siblings())
    };
    let tile = |tile| {
        let region = local.grid().tile(tile).unwrap();
        let within = local.within(&region).unwrap();
        let mut reads = local.reads(&within);
        reads.extend(local.further_reads(&within, &Spread(&local)).unwrap());
        let own = local.own_chunks(&region).unwrap();
        let own = own.opened_len() + 32 * u64::from(own.siblings());
        reads.into_iter().map(|read| bytes(&local.slots[read.slot], read.rows)).sum::<u64>() + own
    };
    (0..local.grid().tiles()).map(tile).max().unwrap()
}

/// The number of kinds besides the steps of training and of decoders.
const KINDS: u32 = 22;

/// The number of the first kind of decoders.
const DECODERS: u32 = KINDS + bounds_training::ALL;

/// One step of a kind, given by number, of any size.
fn program(kind: u32, [a, b, c, d]: [u32; 4]) -> Option<Program> {
    let fixed = Dim::fixed;
    let form = |rows, columns, dtype| Form::new(rows, columns, dtype);
    let (i8, i16, i32) = (Dtype::I8, Dtype::I16, Dtype::I32);
    let window = Window {
        height: a,
        width: b,
        kernel: [1 + c % 4, 1 + d % 4],
        stride: [1 + c % 3, 1 + d % 3],
        pads: [c % 2, d % 2, c % 3 % 2, d % 3 % 2].map(|pad| pad.min(c % 4).min(d % 4)),
    };
    if let Some(kind) = kind.checked_sub(DECODERS) {
        return bounds_decoder::program(kind, [a, b, c, d]);
    }
    if let Some(kind) = kind.checked_sub(KINDS) {
        return bounds_training::program(kind, [a, b, c, d], window);
    }
    let hidden = c * d;
    let inputs = match kind {
        0 => vec![form(fixed(a), fixed(8 * b), i8), form(fixed(a), fixed(1), i32)],
        1..=3 => vec![form(fixed(a * b), fixed(c * d), i8)],
        4 => vec![form(fixed(a), fixed(b * d), i16)],
        5 => vec![form(Dim::TOKENS, fixed(a * b), i8)],
        6 | 20 => vec![form(Dim::TOKENS, fixed(hidden), i8), form(Dim::TOKENS, fixed(hidden), i8)],
        12 | 21 => vec![
            form(Dim::TOKENS, fixed(hidden), i8),
            form(Dim::TOKENS, fixed(hidden), i8),
            form(fixed(1), fixed(1), i32),
        ],
        7 => vec![form(Dim::per_token(c), Dim::TOKENS, i8), form(fixed(hidden), Dim::TOKENS, i8)],
        8 => vec![form(Dim::TOKENS, fixed(a * b), i16), form(fixed(1), fixed(1), i32)],
        9 => vec![form(fixed(a), fixed(1), i32)],
        10 => vec![form(Dim::TOKENS, fixed(a), i16)],
        14 => vec![form(fixed(a), fixed(b * c), i16)],
        15 => vec![form(fixed(a), fixed(b), i8), form(fixed(c), fixed(d), i8)],
        16 => vec![form(fixed(a * b), fixed(c * d), i8)],
        17 => vec![form(fixed(a), fixed(b * c), i8), form(fixed(a), fixed(1), i32)],
        18 => vec![form(fixed(a * c), fixed(8 * b), i8), form(fixed(d * c), fixed(8 * b), i8)],
        19 => [(); 2].map(|()| form(Dim::per_token(c), fixed(8 * b), i8)).to_vec(),
        _ => vec![form(fixed(a), fixed(b * c), i16), form(fixed(a), fixed(b * c), i32)],
    };
    let mut builder = Builder::new(&inputs);
    let values: Vec<ValueId> = (0..inputs.len()).map(|input| builder.input(input)).collect();
    let mut constant = |rows, columns, dtype| {
        builder.constant("constant", Root([0; 32]), Extent::new(rows, columns, dtype).unwrap())
    };
    let op = match kind {
        0 => Op::Linear {
            weights: constant(c * d, 8 * b, i8),
            requantise: constant(c * d, 3, i32),
            shifts: [1; 3],
            clamp: Clamp::SYMMETRIC,
        },
        1 => Op::Unfold(window),
        2 => Op::MaxPool(window),
        3 => Op::AveragePool(window),
        4 => Op::Reshape { rows: fixed(a * d), columns: fixed(b) },
        5 => Op::Transpose,
        6 | 12 => Op::AttentionWeights {
            heads: c,
            alpha: constant(c, 1, i32),
            shift: 1,
            table: constant(256, 1, i16),
            causal: false,
        },
        7 => Op::AttentionContext { heads: c, scale: constant(hidden, 1, i32), shifts: [1; 2] },
        8 => Op::MeanPool,
        9 => Op::Embed {
            table: constant(b * c * d, a, i8),
            scales: constant(b * c * d, 1, i32),
            shift: 1,
        },
        10 => Op::AddRows { table: constant(70, a, i16) },
        13 => Op::Mul { shift: 1, clamp: Clamp::full(i16) },
        14 => Op::Curve { table: constant(257, 1, i16), shift: 1, pass_above: false },
        15 => Op::Arrange { index: constant(c * d, a, i32) },
        16 => {
            let dilation = [1 + d % 2, 1 + c % 3];
            Op::GroupUnfold(GroupWindow { window, dilation, groups: c, fill: -64 })
        }
        17 => Op::GroupLinear {
            weights: constant(c * d, b, i8),
            requantise: constant(c * d, 3, i32),
            groups: c,
            shifts: [1; 3],
            clamp: Clamp::SYMMETRIC,
        },
        18 | 19 => Op::Product { blocks: c, shift: 1, clamp: Clamp::full(i16) },
        20 | 21 => Op::RelativeAttentionWeights {
            heads: c,
            alpha: constant(c, 1, i32),
            shift: 1,
            table: constant(256, 1, i16),
            causal: false,
            bias: constant(c, 2 * a - 1, i32),
        },
        _ => Op::Add { multipliers: [1; 2], shift: 1, clamp: Clamp::full(i16) },
    };
    builder.step("step", op, &values).ok()?;
    builder.finish().ok()
}

/// Bounds of a step of each kind and some sizes, one a line: bytes and memory of the worst tile,
/// bytes of an audit and of a fraud proof.
fn table() -> String {
    let sizes = [
        [1, 1, 1, 1],
        [2, 3, 4, 5],
        [7, 5, 3, 2],
        [19, 4, 2, 3],
        [6, 17, 5, 2],
        [11, 9, 7, 4],
        [40, 13, 3, 4],
        [64, 3, 8, 18],
        [5, 29, 12, 12],
        [90, 2, 3, 64],
    ];
    let mut lines = String::new();
    let of_decoders = DECODERS..DECODERS + bounds_decoder::ALL;
    for kind in (0..KINDS + bounds_training::FIXED).chain(of_decoders) {
        for (sizes, (batch, sequence)) in sizes.into_iter().flat_map(|sizes| {
            [(1, 1), (3, 40), (60, 5), (2, 64), (5, 24), (7, 16)].map(|run| (sizes, run))
        }) {
            let Some(program) = program(kind, sizes) else { continue };
            let run = bounds_decoder::run(&program, batch, sequence, sizes[3]);
            let sequence = run.sequence;
            let (value, name) = (program.output(), program.steps()[0].op.name());
            let checker = Checker::new(program.clone(), RULES);
            let Ok(Some(bound)) = checker.tile_bound(&run, value) else { continue };
            let (bytes, memory) = (bound.bytes, bound.memory);
            let [audit, fraud] =
                [checker.audit_bytes_max(&run), checker.fraud_bytes_max(&run)].map(Result::unwrap);
            let run = format!("{batch}x{sequence}");
            lines += &format!("{name} {sizes:?} {run}: {bytes} {memory} {audit} {fraud}\n");
        }
    }
    lines
}

/// Nodes whose bounds differ disagree on which messages they read. So bounds are as much a part of
/// the rules as a message's content.
#[test]
fn bounds_are_what_they_were() {
    let known = include_str!("../../../test_vectors/trace-bounds.txt");
    let table = table();
    for (line, known) in table.lines().zip(known.lines()) {
        assert_eq!(line, known);
    }
    assert!(table.lines().count() > 400);
    assert_eq!(table.lines().count(), known.lines().count(), "the table is:\n{table}");
}

/// A tile that reads few heads of many items has more ranges than one beside it
/// that reads all heads.
#[test]
fn tiles_of_few_heads_are_within_the_bound() {
    // Mix and mix back: the last tile reads the last head alone.
    for kind in [KINDS + 28, KINDS + 29] {
        let program = program(kind, [2, 1, 7, 5]).unwrap();
        let run = RunShape::new(9, 1);
        let rules = TraceRules { batch_max: 70, sequence_max: 70, ..TraceRules::DEFAULT };
        let value = program.output();
        let grid =
            Local::new(&program, &program.extents(&run).unwrap(), run, value).unwrap().grid();
        assert!(grid.across > 1, "expected tiles beside each other");
        let bound = Checker::new(program.clone(), rules).tile_bound(&run, value).unwrap().unwrap();
        let worst = worst(&program, run, value);
        assert!(worst <= bound.bytes, "{worst} opens {}", bound.bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// For any kind of step and any shape, no tile opens more than its bound.
    #[test]
    fn no_tile_of_any_step_is_beyond_its_bound(
        kind in 0u32..DECODERS + bounds_decoder::ALL, sizes in prop::array::uniform4(1u32..20),
        batch in prop_oneof![1u32..5, 1u32..70], sequence in prop_oneof![1u32..70, Just(32u32)],
    ) {
        let program = program(kind, sizes);
        prop_assume!(program.is_some());
        let program = program.unwrap();
        let run = bounds_decoder::run(&program, batch, sequence, sizes[3]);
        prop_assume!(program.extents(&run).is_ok());
        let rules = TraceRules { batch_max: 70, sequence_max: 70, ..TraceRules::DEFAULT };
        let checker = Checker::new(program.clone(), rules);
        let value = program.output();
        let bound = checker.tile_bound(&run, value).unwrap().unwrap();
        let worst = worst(&program, run, value);
        let slack = bound.bytes as f64 / worst as f64;
        prop_assert!(worst <= bound.bytes, "{} opens {}", worst, bound.bytes);
        prop_assert!(slack <= FAR, "{} opens {}", worst, bound.bytes);
    }
}

/// Kinds whose rows or columns grow with the run.
fn growing() -> Vec<u32> {
    let decoders = bounds_decoder::GROWING.map(|kind| DECODERS + kind);
    [5, 6, 7, 8, 10, 12, 19, 48, 49, 50, 51, 52].into_iter().chain(decoders).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Compares the costs that a registration gets with every run that it
    /// permits.
    #[test]
    fn no_run_is_beyond_the_largest(
        kind in prop::sample::select(growing()),
        sizes in prop::array::uniform4(1u32..9), batch_max in 1u32..70,
        // Positions end at 70.
        sequence_max in 1u32..150,
    ) {
        let sequence_max = if kind == 10 { sequence_max.min(70) } else { sequence_max };
        let program = program(kind, sizes);
        prop_assume!(program.is_some());
        let program = program.unwrap();
        let rules = TraceRules { batch_max, sequence_max, ..RULES };
        let checker = Checker::new(program.clone(), rules);
        let largest = checker.largest().unwrap();
        // A program of answers alone has a sequence of 1.
        let last = if program.has_tokens() { sequence_max } else { 1 };
        for sequence in 1..=last {
            for batch in 1..=batch_max {
                let answers = 1 + (7 * sequence + batch) % sequence_max;
                let run = bounds_decoder::run(&program, batch, sequence, answers);
                let bound = checker.tile_bound(&run, program.output()).unwrap().unwrap();
                prop_assert!(bound.bytes <= largest.tile.bytes, "{:?}", run);
                prop_assert!(bound.memory <= largest.tile.memory, "{:?}", run);
                prop_assert!(checker.audit_bytes_max(&run).unwrap() <= largest.audit_bytes);
                prop_assert!(checker.fraud_bytes_max(&run).unwrap() <= largest.fraud_bytes);
            }
        }
    }
}
