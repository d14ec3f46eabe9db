//! Real attacks on traces, audits and receipts (spec §13, §14).

use poai_core::Root;
use poai_core::program::{Builder, Clamp, Dim, Dtype, Extent, Form, Op, RunShapeError, ValueId};
use poai_core::program::{Program, RunShape};
use poai_core::trace::{Answer, Demand, Receipt, Record, RecordBytes, TraceHeader, record};
use poai_core::{Beacon, Job, Prover};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, OpenError, Published, RunError, Session};
use poai_engine::execute::{ReceivedError, Tensor, TensorBytes, Trace};
use poai_testing::forge::Forged;
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, RULES, checker, run, steps, tiles, traces,
};
use poai_testing::zoo;
use poai_verify::trace::{
    Answered, Checker, ReceiptError, TraceError, TraceInvalid, TraceMalformed, TraceRules, Wrong,
    escape,
};
use std::sync::Arc;

const ONE_RUN: RunShape = RunShape::new(1, 1);

fn beacon(number: u32) -> Beacon {
    Beacon(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A product followed by ReLUs: `rows` rows of `columns` columns.
fn chain(rows: u32, columns: u32, relus: u32) -> Trace {
    let mut builder = Builder::new(&[Form::new(Dim::fixed(rows), Dim::fixed(columns), Dtype::I8)]);
    let mut constants = Constants::default();
    let (n, count) = (columns as usize, (columns * columns) as usize);
    let entries = zoo::entries("chain weights", count, -63, 63);
    let weights = constants.add(&mut builder, "weights", (n, n), Dtype::I8, &entries).unwrap();
    let scales = [0, 1 << 20, 0].repeat(n);
    let requantise = constants.add(&mut builder, "scales", (n, 3), Dtype::I32, &scales).unwrap();
    let op = Op::Linear { weights, requantise, shifts: [28, 0, 0], clamp: Clamp::SYMMETRIC };
    let mut value = builder.step("linear", op, &[ValueId(0)]).unwrap();
    for _ in 0..relus {
        value = builder.step("relu", Op::Relu, &[value]).unwrap();
    }
    let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
    let (rows, columns) = (rows as usize, columns as usize);
    let entries = zoo::entries("chain input", rows * columns, -63, 63);
    run(network, ONE_RUN, vec![Tensor::new(rows, columns, Dtype::I8, &entries).unwrap()])
}

/// The trace with some entries of a value wrong and all later ReLUs right: only
/// one step lies. The wrong entries are positive, so that ReLUs pass them on.
fn lie_at(trace: &Trace, value: ValueId, wrong: impl Fn(u32, u32) -> bool) -> Trace {
    let mut faulty = trace.clone();
    for value in (value.0..trace.network().program().values() as u32).map(ValueId) {
        let tensor = trace.value(value).unwrap();
        let Extent { rows, columns, dtype } = *tensor.extent();
        let mut entries = tensor.entries();
        for (index, entry) in (0u32..).zip(&mut entries) {
            if wrong(index / columns, index % columns) {
                *entry = if *entry == 63 { 62 } else { 63 };
            }
        }
        let tensor = Tensor::new(rows as usize, columns as usize, dtype, &entries).unwrap();
        faulty = faulty.with_fault(value, tensor).unwrap();
    }
    faulty
}

/// How many of `audits` audits a trace passes.
fn passed(trace: &Trace, rules: TraceRules, audits: u32) -> u32 {
    let trace = trace.clone().with_rules(rules);
    let checker = Checker::new(trace.network().program().clone(), rules);
    let receipt = trace.receipt(JOB, PROVER);
    let passes = |number: &u32| {
        let audit = trace.audit(&receipt, &beacon(*number)).unwrap().to_bytes();
        checker.check_audit(&receipt, &beacon(*number), &audit).is_ok()
    };
    (0..audits).filter(passes).count() as u32
}

/// Every output entry is wrong in a network of 24 steps. A step without
/// products used to have too little weight to be sampled.
#[test]
fn a_wrong_output_passes_no_audit() {
    let trace = chain(3, 128, 23);
    assert_eq!(passed(&trace, TraceRules::DEFAULT, 20), 20);
    let output = trace.network().program().output();
    let wrong = lie_at(&trace, output, |_, _| true);
    assert_eq!(passed(&wrong, TraceRules::DEFAULT, 300), 0);
    // The same holds if any one earlier step lies instead: at least one of 40
    // samples is of it.
    for value in steps(&trace) {
        let wrong = lie_at(&trace, value, |_, _| true);
        assert_eq!(passed(&wrong, TraceRules::DEFAULT, 20), 0, "{value:?}");
    }
}

/// The prover skips work without one wrong MAC. The rows of an early step
/// without a product are copies of one row, and all later steps are right,
/// given these rows.
#[test]
fn copied_rows_escape_as_rarely_as_soundness_says() {
    let (rows, columns) = (320, 128);
    let mut builder = Builder::new(&[Form::new(Dim::fixed(rows), Dim::fixed(columns), Dtype::I8)]);
    let mut constants = Constants::default();
    let n = columns as usize;
    let relu = builder.step("relu", Op::Relu, &[ValueId(0)]).unwrap();
    let entries = zoo::entries("copied", n * n, -63, 63);
    let weights = constants.add(&mut builder, "w", (n, n), Dtype::I8, &entries).unwrap();
    let scales = [0, 1 << 20, 0].repeat(n);
    let requantise = constants.add(&mut builder, "s", (n, 3), Dtype::I32, &scales).unwrap();
    let op = Op::Linear { weights, requantise, shifts: [26, 0, 0], clamp: Clamp::SYMMETRIC };
    let mut value = builder.step("linear", op, &[relu]).unwrap();
    for _ in 0..8 {
        value = builder.step("relu", Op::Relu, &[value]).unwrap();
    }
    let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
    let input = |entries: &[i32]| vec![Tensor::new(rows as usize, n, Dtype::I8, entries).unwrap()];
    let own = zoo::entries("rows", rows as usize * n, -63, 63);
    // Half of the rows are what the run would make of the first row.
    let mut copied = own.clone();
    for row in 160..320 {
        copied.copy_within(..n, row * n);
    }
    let asked = run(network.clone(), ONE_RUN, input(&own));
    let cheap = run(network, ONE_RUN, input(&copied));
    let mut liar = asked.clone();
    for value in steps(&asked) {
        liar = liar.with_fault(value, cheap.value(value).unwrap().clone()).unwrap();
    }
    let rules = TraceRules { product_samples: 30, step_samples: 12, output_tiles: 4, ..RULES };
    let checker = Checker::new(asked.network().program().clone(), rules);
    let said = checker.soundness(&ONE_RUN, 0.5, 0).unwrap();
    let rate = f64::from(passed(&liar, rules, 400)) / 400.0;
    // No MAC is wrong. Samples by MACs find nothing, and do not claim to.
    assert!(said.macs_wrong < 1e-8 && rate > 0.2, "{said:?} {rate}");
    assert!(rate <= said.work_skipped + 0.1, "{said:?} {rate}");
}

/// One wrong tile among many escapes as often as `Soundness` states, and no
/// more often.
#[test]
fn one_wrong_tile_escapes_as_rarely_as_soundness_says() {
    let trace = chain(128, 128, 3);
    let rules = TraceRules { product_samples: 3, step_samples: 4, ..RULES };
    let checker = Checker::new(trace.network().program().clone(), rules);
    let said = checker.soundness(&ONE_RUN, 0.5, 0).unwrap();
    assert_eq!(said.macs_wrong, escape(3, 0.5 * (1.0 - 1.0 / 32768.0), 0));
    let audits = 400;
    let slack = 4.0 * (0.25 / f64::from(audits)).sqrt();
    let mut worst = 0.0f64;
    for value in steps(&trace).filter(|value| *value != trace.network().program().output()) {
        // The tile of the last rows and, for a product, of the last columns.
        let wrong = lie_at(&trace, value, |row, column| row == 127 && column == 127);
        let rate = f64::from(passed(&wrong, rules, audits)) / f64::from(audits);
        assert!(rate <= said.answer_wrong + slack, "{value:?}: {rate} {said:?}");
        worst = worst.max(rate);
    }
    assert!(worst >= said.answer_wrong - slack, "{worst} {said:?}");
    // Grinding multiplies all chances, up to certainty.
    let ground = checker.soundness(&ONE_RUN, 0.5, 1).unwrap();
    assert_eq!(ground.macs_wrong, 2.0 * said.macs_wrong);
    assert_eq!(ground.work_skipped, (2.0 * said.work_skipped).min(1.0));
    assert_eq!(ground.answer_wrong, (2.0 * said.answer_wrong).min(1.0));
}

/// The one large tile of 33×33 entries is skipped, 94 % of the work. Audits
/// used to draw tiles as if all had the same size, and it escaped 24 % of them.
#[test]
fn skipped_work_of_a_large_tile_beside_slivers_is_found() {
    let mut builder = Builder::new(&[Form::new(Dim::fixed(33), Dim::fixed(128), Dtype::I8)]);
    let mut constants = Constants::default();
    let entries = zoo::entries("ragged", 33 * 128, -63, 63);
    let weights = constants.add(&mut builder, "w", (33, 128), Dtype::I8, &entries).unwrap();
    let scales = [0, 1 << 20, 0].repeat(33);
    let requantise = constants.add(&mut builder, "s", (33, 3), Dtype::I32, &scales).unwrap();
    let op = Op::Linear { weights, requantise, shifts: [26, 0, 0], clamp: Clamp::SYMMETRIC };
    builder.step("linear", op, &[ValueId(0)]).unwrap();
    let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
    let trace = run(network, ONE_RUN, vec![Tensor::new(33, 128, Dtype::I8, &entries).unwrap()]);
    let value = ValueId(1);
    // Only the product's samples: the output's tiles would all be opened.
    let rules =
        |product_samples| TraceRules { product_samples, step_samples: 0, output_tiles: 0, ..RULES };
    let large = lie_at(&trace, value, |row, column| row < 32 && column < 32);
    assert_eq!(passed(&large, rules(5), 2000), 0);
    // The chance to find a sliver is its share of the work, because an entry is
    // drawn, not a tile.
    let sliver = lie_at(&trace, value, |row, column| row == 32 && column < 32);
    let (audits, share) = (4000, 32.0 / 1089.0);
    let rate = f64::from(passed(&sliver, rules(1), audits)) / f64::from(audits);
    assert!((1.0 - rate - share).abs() < 0.01, "{rate} {share}");
    assert!(rate <= escape(1, share, 0) + 0.01);
}

/// Each sample escapes with the same chance: q of them with the q-th power of it,
/// if each stratum has its share of what is wrong.
#[test]
fn samples_escape_as_powers_of_one() {
    let trace = chain(128, 128, 0);
    // A quarter of each row's tiles.
    let quarter = lie_at(&trace, ValueId(1), |_, column| column < 32);
    for product_samples in [1, 2, 3, 5] {
        let rules = TraceRules { product_samples, step_samples: 0, output_tiles: 0, ..RULES };
        let rate = f64::from(passed(&quarter, rules, 3000)) / 3000.0;
        let expected = escape(product_samples, 0.25, 0);
        assert!((rate - expected).abs() < 0.03, "{product_samples}: {rate} {expected}");
    }
}

/// A garbage chunk in the last step's input is kept secret and all else is
/// published. No challenger has the data for a fraud proof. A demand forces the
/// chunk open.
#[test]
fn a_withheld_chunk_is_forced_open() {
    let trace = chain(70, 128, 2);
    let program = trace.network().program();
    let network = Arc::new(trace.network().clone());
    let secret = ValueId(2);
    let liar = lie_at(&trace, secret, |row, _| row == 40);
    let checker = checker(&trace);
    assert_eq!(checker.receipt(&liar.receipt(JOB, PROVER), &liar.header()), Ok(()));
    let published =
        Published::new(network.clone(), liar.header(), liar.records().to_vec()).unwrap();
    let values = |of: &Trace| -> Vec<TensorBytes> {
        let all = (0..program.values() as u32).map(ValueId);
        all.map(|value| TensorBytes(of.value(value).unwrap().bytes().to_vec())).collect()
    };
    // Without the chunk, its tensor is not the trace's, and no guess convicts
    // the trace.
    let mut known = values(&liar);
    known[2] = TensorBytes(trace.value(secret).unwrap().bytes().to_vec());
    let refused = published.clone().with_tensors(known.clone()).unwrap_err();
    assert_eq!(refused, ReceivedError::Root { value: secret });
    let guess = Forged::new(&liar, secret, known[2].0.clone());
    for (value, tile) in [(secret, 1), (program.output(), 1)] {
        let guess = guess.fraud_proof(value, tile);
        let guess = [&liar.header().to_bytes()[..], &guess[TraceHeader::LEN..]].concat();
        assert!(checker.check_fraud(&liar.root(), &guess).is_err(), "{value:?}");
    }
    // The challenger demands what was withheld. The prover answers for honest
    // tiles.
    let receipt = liar.receipt(JOB, PROVER);
    let demands = published.demands(&receipt, secret, 0..96);
    assert_eq!(demands.len() as u64, tiles(&trace, secret));
    assert_eq!(published.demands(&receipt, secret, 32..33).len(), 1);
    assert_eq!(published.demands(&receipt, secret, 96..200), vec![]);
    let mut convicted = 0;
    for demand in &demands {
        let most = checker.demand(&receipt, &liar.header(), demand).unwrap();
        let answer = liar.answer(&liar.receipt(JOB, PROVER), demand).unwrap().to_bytes();
        assert!(answer.len() as u64 <= most);
        let message = Answer::from_bytes(&answer).unwrap();
        let part = published.opened_part(demand, &message).unwrap();
        assert_eq!(part.columns, 0..128);
        let at = part.rows.start as usize * 128;
        known[2].0[at..at + part.bytes.len()].copy_from_slice(&part.bytes);
        match checker.check_answer(&receipt, demand, &answer).unwrap() {
            Answered::Right => assert_ne!(demand.tile, 1),
            Answered::Fraud(fraud) => {
                assert_eq!((fraud.value, demand.tile), (secret, 1));
                assert!(matches!(fraud.wrong, Wrong::Tile(TraceInvalid::Entry { row: 40, .. })));
                convicted += 1;
            }
        }
        // Bytes that do not answer leave the demand open, until it is late at
        // the deadline.
        let other = Demand { tile: (demand.tile + 1) % 3, ..*demand };
        let other = liar.answer(&liar.receipt(JOB, PROVER), &other).unwrap().to_bytes();
        let (value, tile) = (demand.value, demand.tile);
        let none = Err(TraceMalformed::Answer { value, tile }.into());
        assert_eq!(checker.check_answer(&receipt, demand, &other), none);
        assert_eq!(checker.check_answer(&receipt, demand, &liar.header().to_bytes()), none);
        for cut in [0, 1, TraceHeader::LEN - 1, TraceHeader::LEN + 11, answer.len() - 1] {
            assert!(checker.check_answer(&receipt, demand, &answer[..cut]).is_err(), "{cut}");
        }
        assert!(checker.check_answer(&receipt, demand, &[&answer[..], &[0]].concat()).is_err());
        let own = Demand { receipt: trace.receipt(JOB, PROVER).digest(), ..*demand };
        let honest = trace.answer(&trace.receipt(JOB, PROVER), &own).unwrap().to_bytes();
        assert!(checker.check_answer(&receipt, demand, &honest).is_err(), "another trace's");
        assert!(published.opened_part(demand, &Answer::from_bytes(&honest).unwrap()).is_err());
    }
    assert_eq!(convicted, 1);
    // The opened bytes fill the gap, and the challenger then finds the proof
    // locally.
    let received = published.with_tensors(known).unwrap();
    let proof = received.find_fraud().unwrap().unwrap().to_bytes();
    assert_eq!(checker.check_fraud(&liar.root(), &proof).unwrap().value, secret);
}

/// An honest prover answers every demand that a chain accepts.
#[test]
fn no_demand_convicts_an_honest_trace() {
    for trace in traces() {
        let (checker, header) = (checker(trace), trace.header());
        let program = trace.network().program();
        let inputs = program.inputs().len() as u32;
        let receipt = trace.receipt(JOB, PROVER);
        let digest = receipt.digest();
        let of = |value, tile| Demand { receipt: digest, value: ValueId(value), tile };
        let mut demands = vec![of(0, 0)];
        for input in 0..inputs {
            let strips = trace.value(ValueId(input)).unwrap().extent().padded_rows() / 32;
            demands.extend((1..=u64::from(strips)).map(|tile| of(input, tile)));
            assert!(checker.demand(&receipt, &header, &of(input, u64::from(strips) + 1)).is_err());
        }
        for value in steps(trace) {
            let count = tiles(trace, value);
            demands.extend((0..count).map(|tile| of(value.0, tile)));
            let none = TraceMalformed::Tile { value, tile: count };
            assert_eq!(checker.demand(&receipt, &header, &of(value.0, count)), Err(none.into()));
        }
        for demand in &demands {
            assert_eq!(Demand::from_bytes(&demand.to_bytes()), Ok(*demand));
            let most = checker.demand(&receipt, &header, demand).unwrap();
            let answer = trace.answer(&trace.receipt(JOB, PROVER), demand).unwrap().to_bytes();
            assert!(answer.len() as u64 <= most, "{demand:?}");
            assert_eq!(
                checker.check_answer(&receipt, demand, &answer),
                Ok(Answered::Right),
                "{demand:?}"
            );
        }
        for input in 1..inputs {
            assert!(
                checker.demand(&receipt, &header, &of(input, 0)).is_err(),
                "all go by the first"
            );
            assert!(trace.answer(&trace.receipt(JOB, PROVER), &of(input, 0)).is_err());
        }
        assert!(checker.demand(&receipt, &header, &of(program.values() as u32, 0)).is_err());
        assert!(checker.demand(&receipt, &header, &of(u32::MAX, u64::MAX)).is_err());
        // A demand about another prover's receipt of the same trace concerns
        // only that prover's silence.
        let copy = trace.receipt(JOB, Prover([9; 32]));
        let another = Demand { receipt: copy.digest(), ..of(0, 0) };
        let refused: TraceError =
            TraceInvalid::Demand { expected: digest, got: another.receipt }.into();
        assert_eq!(checker.demand(&receipt, &header, &another), Err(refused));
        let answer = trace.answer(&trace.receipt(JOB, PROVER), &of(0, 0)).unwrap().to_bytes();
        assert_eq!(checker.check_answer(&receipt, &another, &answer), Err(refused));
        assert_eq!(checker.check_answer(&copy, &another, &answer), Ok(Answered::Right));
        assert!(matches!(
            trace.answer(&trace.receipt(JOB, PROVER), &another),
            Err(OpenError::Demand { .. })
        ));
    }
}

/// One computation under many trace roots. A program without tokens used to
/// have runs of any sequence, and each cost only one hash to grind.
#[test]
fn a_sequence_that_changes_nothing_is_refused() {
    let trace = &traces()[1];
    let program = trace.network().program();
    assert!(!program.has_tokens() && traces()[0].network().program().has_tokens());
    let checker = Checker::new(program.clone(), TraceRules::DEFAULT);
    for sequence in [2, 3, 64, 1 << 14] {
        let run = RunShape { sequence, ..*trace.run() };
        let refused = RunShapeError::Tokens { sequence };
        assert_eq!(program.extents(&run), Err(refused));
        let roots: Vec<Root> = trace.records()[..program.inputs().len()]
            .iter()
            .map(|record| Root(record.0[Record::ROOT].try_into().unwrap()))
            .collect();
        let input = poai_core::trace::header::input_root(&run, &roots);
        let header = TraceHeader { run, input, ..trace.header() };
        let receipt = Receipt { trace: header.root(), input, ..trace.receipt(JOB, PROVER) };
        let refused: TraceError = TraceMalformed::Run(refused).into();
        assert_eq!(checker.receipt(&receipt, &header), Err(refused));
        let mut audit = trace.audit(&trace.receipt(JOB, PROVER), &BEACON).unwrap().to_bytes();
        audit[..TraceHeader::LEN].copy_from_slice(&header.to_bytes());
        assert_eq!(checker.check_audit(&receipt, &BEACON, &audit), Err(refused));
        assert_eq!(checker.check_fraud(&header.root(), &audit), Err(refused));
        let demand = Demand { receipt: receipt.digest(), value: ValueId(1), tile: 0 };
        assert_eq!(checker.demand(&receipt, &header, &demand), Err(refused));
        // Such a run cannot be traced either.
        let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
        let model = Session::new(trace.network().clone(), device).unwrap();
        let done = model.run((run, zoo::images(trace.run())));
        assert!(matches!(done, Err(RunError::Run(_))), "{:?}", done.map(drop));
    }
}

/// Another prover posts a receipt of a trace that it copied. The receipt states
/// nothing false, but its audit is not the one that the prover copied.
#[test]
fn a_copied_trace_has_no_copied_audit() {
    for trace in traces() {
        let checker = checker(trace);
        let audit = trace.audit(&trace.receipt(JOB, PROVER), &BEACON).unwrap().to_bytes();
        let own = checker.check_audit(&trace.receipt(JOB, PROVER), &BEACON, &audit).unwrap();
        assert_eq!(own.receipt, trace.receipt(JOB, PROVER).digest());
        for (job, prover) in [(JOB, Prover([9; 32])), (Job([9; 32]), PROVER)] {
            let receipt = trace.receipt(job, prover);
            assert_eq!(checker.receipt(&receipt, &trace.header()), Ok(()));
            assert!(checker.check_audit(&receipt, &BEACON, &audit).is_err(), "{receipt:?}");
            assert_ne!(
                trace.audit_tiles(&receipt, &BEACON),
                trace.audit_tiles(&trace.receipt(JOB, PROVER), &BEACON)
            );
        }
        // A receipt that states something else about the trace has no audit at
        // all.
        let other = Receipt { output: Root([1; 32]), ..trace.receipt(JOB, PROVER) };
        assert!(matches!(
            checker.check_audit(&other, &BEACON, &audit),
            Err(TraceError::Invalid(TraceInvalid::Receipt(ReceiptError::Output { .. })))
        ));
    }
}

/// Wide attention over the longest sequence that the default rules permit.
fn wide() -> Program {
    let form = Form::new(Dim::TOKENS, Dim::fixed(8192), Dtype::I8);
    let mut builder = Builder::new(&[form, form]);
    let extent = |rows, columns, dtype| Extent::new(rows, columns, dtype).unwrap();
    let alpha = builder.constant("alpha", Root([1; 32]), extent(2, 1, Dtype::I32));
    let table = builder.constant("table", Root([2; 32]), extent(256, 1, Dtype::I16));
    let op = Op::AttentionWeights { heads: 2, alpha, shift: 20, table, causal: false };
    builder.step("scores", op, &[ValueId(0), ValueId(1)]).unwrap();
    builder.finish().unwrap()
}

/// An invented header of a run whose tiles no node recomputes. Its receipt used
/// to be admitted.
#[test]
fn a_receipt_of_a_run_that_nobody_checks_is_refused() {
    let program = wide();
    let checker = Checker::new(program.clone(), TraceRules::DEFAULT);
    let run = RunShape::new(1, 1 << 14);
    let header = TraceHeader {
        program: program.program_id(),
        run,
        input: Root([3; 32]),
        output: Root([4; 32]),
        macs: program.total_macs(&run),
        records: [5; 32],
    };
    let receipt = Receipt {
        program: header.program,
        input: header.input,
        output: header.output,
        trace: header.root(),
        macs_weights: 0,
        macs_activations: header.macs,
        job: Job::default(),
        prover: Prover::default(),
        rules: TraceRules::DEFAULT.digest(),
    };
    let memory = checker.receipt(&receipt, &header).unwrap_err();
    let TraceError::Malformed(TraceMalformed::Memory { bytes, max, .. }) = memory else {
        panic!("{memory}");
    };
    assert!(bytes > max && max == TraceRules::DEFAULT.tile_memory_max);
    // Registration detects that the rules permit such a run, and fits them.
    assert!(checker.largest().is_err());
    let fitted = checker.fitted().unwrap();
    let largest = fitted.largest().unwrap();
    let rules = *fitted.rules();
    assert_eq!(largest.run, RunShape::new(rules.batch_max, rules.sequence_max));
    assert!(largest.tile.memory <= max && rules.sequence_max < 1 << 14);
    for longer in [
        TraceRules { sequence_max: rules.sequence_max + 1, batch_max: 1, ..rules },
        TraceRules { batch_max: rules.batch_max + 1, ..rules },
    ] {
        assert!(Checker::new(program.clone(), longer).largest().is_err(), "{longer:?}");
    }
    assert!(Checker::new(program, TraceRules { tile_memory_max: 0, ..rules }).fitted().is_none());
}

/// No run that the rules permit costs more than the largest one.
#[test]
fn the_largest_run_bounds_every_other() {
    for trace in traces() {
        let program = trace.network().program();
        let rules = TraceRules { batch_max: 40, sequence_max: 70, ..RULES };
        let checker = Checker::new(program.clone(), rules);
        let largest = checker.largest().unwrap();
        let sequences = if program.has_tokens() { 1..=70 } else { 1..=1 };
        assert_eq!(largest.run, RunShape::new(40, *sequences.end()));
        for sequence in sequences {
            for batch in 1..=40 {
                let run = RunShape::new(batch, sequence);
                assert!(checker.audit_bytes_max(&run).unwrap() <= largest.audit_bytes);
                assert!(checker.fraud_bytes_max(&run).unwrap() <= largest.fraud_bytes);
                for value in steps(trace) {
                    let bound = checker.tile_bound(&run, value).unwrap().unwrap();
                    assert!(bound.bytes <= largest.tile.bytes, "{run:?}");
                    assert!(bound.memory <= largest.tile.memory, "{run:?}");
                }
            }
        }
        assert_eq!(largest.link_bytes, checker.link_bytes_max());
        // Rules that fit stay unchanged.
        assert_eq!(*checker.fitted().unwrap().rules(), rules);
    }
}

/// A challenger proves lies of header and records before it asks for a tensor.
#[test]
fn lies_in_records_are_proven_without_tensors() {
    for trace in traces() {
        let network = Arc::new(trace.network().clone());
        let lies = |header: TraceHeader, records: Vec<RecordBytes>| {
            let error = Published::new(network.clone(), header, records).unwrap_err();
            let ReceivedError::Fraud(proof) = error else { panic!("{error}") };
            checker(trace).fraud(&header.root(), &proof).unwrap().wrong
        };
        let records = trace.records().to_vec();
        // The lie about the header's MACs needs no record.
        let macs = TraceHeader { macs: 1, ..trace.header() };
        assert!(matches!(lies(macs, vec![]), Wrong::Header(TraceInvalid::Macs { .. })));
        let input = TraceHeader { input: Root([1; 32]), ..trace.header() };
        assert_eq!(lies(input, records.clone()), Wrong::Header(TraceInvalid::Input));
        let output = TraceHeader { output: Root([1; 32]), ..trace.header() };
        assert_eq!(lies(output, records.clone()), Wrong::Record(TraceInvalid::Output));
        let mut wired = records;
        *wired.last_mut().unwrap().0.last_mut().unwrap() ^= 1;
        let leaves: Vec<_> = wired.iter().map(|record| Record::leaf(&record.0)).collect();
        let header = TraceHeader { records: record::records_root(&leaves), ..trace.header() };
        assert!(matches!(lies(header, wired), Wrong::Record(TraceInvalid::Record(_))));
    }
}
