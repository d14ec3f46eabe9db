//! Training runs: an honest one passes every check and no message convicts it; each
//! message is read as it is or not at all.

use poai_core::program::ValueId;
use poai_core::trace::{Demand, TraceRules};
use poai_core::training_run::{Demanded, FraudKind, TrainingReceipt, TrainingRules};
use poai_core::{Beacon, Job, Prover, Root, SegmentRoot};
use poai_testing::training_runs::{
    BEACON, Claims, ITERATIONS, JOB, RULES, SEGMENT, Trained, iteration, small,
};
use poai_train::commit::{CommitError, output_roots};
use poai_train::{Committer, JobParameters};
use poai_verify::trace::{Checker, TraceMalformed};
use poai_verify::train::{
    DatasetRoots, RunChecker, RunCheckerError, RunParameters, TrainingAnswer, TrainingAnswered,
    TrainingAudit, TrainingError, TrainingFraud, TrainingInvalid, TrainingMalformed,
};

fn invalid(why: TrainingError) -> TrainingInvalid {
    match why {
        TrainingError::Invalid(why) => why,
        why => panic!("not invalid: {why}"),
    }
}

#[test]
fn an_honest_run_passes_every_check() {
    let trained = small();
    let (claims, checker) = (trained.honest(), trained.checker());
    let mut previous = None;
    for segment in &claims.segments {
        let root = checker.segment(previous, segment).unwrap();
        assert_eq!(root, segment.root(&claims.parameters));
        assert_eq!(checker.claims(segment, claims.of_segment(segment.index)), Ok(()));
        for byte in 0..8 {
            let beacon = Beacon([byte; 32]);
            let audit = claims.audit(segment.index, &beacon, &RULES);
            assert!(audit.as_bytes().len() as u64 <= checker.audit_bytes_max(segment).unwrap());
            let audited = checker.audit(segment, &beacon, &audit).unwrap();
            assert_eq!((audited.segment, audited.iterations), (root, 2));
            // A tile of each of 9 outputs, and up to one by MACs and one by steps.
            assert!((18..=22).contains(&audited.tiles), "{}", audited.tiles);
            assert_eq!(audited.rules, RULES.digest());
        }
        previous = Some(segment);
    }
    let trained_run = claims.trained();
    let run = trained_run.root(&claims.parameters);
    assert_eq!(checker.run(&trained_run, &claims.claims), Ok(run));
    let openings = claims.openings();
    assert_eq!(checker.iterations(&trained_run, &claims.claims, &openings), Ok(run));
    assert_eq!(claims.watched(trained), None);
}

#[test]
fn a_committer_makes_the_same_claims() {
    let trained = small();
    let claims = trained.honest();
    let program = trained.iteration.network().program();
    let mut committer = Committer::new(program, trained.job.clone()).unwrap();
    assert_eq!(committer.trained(), None);
    for (t, trace) in trained.traces.iter().enumerate() {
        // Only the next iteration's trace continues the run.
        for (other, wrong) in trained.traces.iter().enumerate().filter(|(other, _)| *other != t) {
            let why = committer.push(wrong).unwrap_err();
            assert!(matches!(why, CommitError::Trace { .. }), "{other} as {t}: {why}");
        }
        assert_eq!(committer.push(trace).unwrap(), claims.claims[t]);
        assert_eq!(committer.segments().len(), (t + 1) / SEGMENT as usize + (t + 1) / ITERATIONS);
    }
    assert!(committer.push(&trained.traces[0]).is_err());
    assert_eq!(committer.claims(), claims.claims);
    assert_eq!(committer.segments(), claims.segments);
    assert_eq!(committer.trained(), Some(claims.trained()));
    let trace_of = |t: u64| Ok::<_, CommitError>(&trained.traces[t as usize]);
    let audit = committer.audit(1, &BEACON, &RULES, trace_of).unwrap();
    assert_eq!(audit, claims.audit(1, &BEACON, &RULES));
    assert!(committer.messages(3).is_err());
}

/// Every fraud proof that can be made of an honest segment, whatever it is about.
fn accusations(trained: &Trained, claims: &Claims, index: u32) -> Vec<TrainingFraud> {
    let messages = claims.messages(index);
    let start = claims.parameters.iterations_of(index).unwrap().start;
    let draw = trained.program().draws()[0];
    let count = messages.claims.len() as u64;
    let mut all = vec![messages.link(count).unwrap()];
    for place in 0..count {
        let trace = &claims.traces[(start + place) as usize];
        let header = trace.header();
        let record = trace.record_opening(draw).unwrap();
        all.extend(
            [
                messages.number(place),
                messages.link(place),
                messages.header(place, &header),
                messages.inputs(place, &header, &claims.state_roots(trace)),
                messages.outputs(place, &header, &output_roots(trace)),
                messages.order(place, &header, draw, &record),
                messages.trace(place, &header.into()),
            ]
            .map(Option::unwrap),
        );
        let program = trace.network().program();
        for value in [0, draw.0, draw.0 + 5, program.values() as u32 - 1].map(ValueId) {
            let proof = trace.fraud_proof(value, 0).unwrap();
            all.push(messages.trace(place, &proof).unwrap());
        }
        let outputs = Demand::of_outputs(program).unwrap();
        all.push(messages.trace(place, &trace.fraud_proof(outputs, 0).unwrap()).unwrap());
    }
    all
}

#[test]
fn no_message_convicts_an_honest_run() {
    let trained = small();
    let (claims, checker) = (trained.honest(), trained.checker());
    for segment in &claims.segments {
        let most = checker.fraud_bytes_max(segment).unwrap();
        for proof in accusations(trained, &claims, segment.index) {
            assert!(proof.as_bytes().len() as u64 <= most);
            let why = invalid(checker.fraud(segment, &proof).unwrap_err());
            assert!(matches!(why, TrainingInvalid::NoFraud { .. }), "{why}");
            // With a byte more or less it is no message, or of other data.
            let bytes = proof.to_bytes();
            let longer = TrainingFraud::from_bytes(&[&bytes[..], &[0]].concat()).unwrap();
            let shorter = TrainingFraud::from_bytes(&bytes[..bytes.len() - 1]).unwrap();
            assert!(checker.fraud(segment, &longer).is_err());
            let why = checker.fraud(segment, &shorter).unwrap_err();
            assert!(matches!(why, TrainingError::Malformed(_)), "{why}");
        }
    }
    // A proof against one segment proves nothing against another.
    for proof in accusations(trained, &claims, 0) {
        assert!(checker.fraud(&claims.segments[1], &proof).is_err());
    }
}

#[test]
fn an_audit_holds_unaltered_alone() {
    let trained = small();
    let (claims, checker) = (trained.honest(), trained.checker());
    let (segment, audit) = (&claims.segments[0], claims.audit(0, &BEACON, &RULES).to_bytes());
    let check = |bytes: &[u8]| checker.audit(segment, &BEACON, &TrainingAudit::from_bytes(bytes)?);
    assert!(check(&audit).is_ok());
    for at in (4..audit.len()).step_by(97) {
        let mut altered = audit.clone();
        altered[at] ^= 1;
        assert!(check(&altered).is_err(), "byte {at} changes nothing");
        let why = check(&audit[..at]).unwrap_err();
        assert!(matches!(why, TrainingError::Malformed(_) | TrainingError::Invalid(_)));
    }
    let longer = check(&[&audit[..], &[0]].concat()).unwrap_err();
    assert_eq!(longer, TrainingMalformed::Trace(TraceMalformed::Long(1)).into());
    let most = checker.audit_bytes_max(segment).unwrap() as usize;
    let huge = check(&[&audit[..], &vec![0; most]].concat()).unwrap_err();
    assert!(matches!(huge, TrainingError::Malformed(TrainingMalformed::Size { .. })));
    let other =
        checker.audit(segment, &Beacon([7; 32]), &TrainingAudit::from_bytes(&audit).unwrap());
    assert!(other.is_err());
    let elsewhere = TrainingAudit::from_bytes(&audit).unwrap();
    assert!(checker.audit(&claims.segments[1], &BEACON, &elsewhere).is_err());
}

#[test]
fn demands_are_answered() {
    let trained = small();
    let (claims, checker) = (trained.honest(), trained.checker());
    let (segment, messages) = (&claims.segments[1], claims.messages(1));
    for place in 0..4 {
        let trace = &claims.traces[SEGMENT as usize + place as usize];
        let demand = messages.demand(place, Demanded::Records);
        let answer = messages.records(place, &trace.header(), trace.records()).unwrap();
        let most = checker.demand(segment, &demand).unwrap();
        assert_eq!(answer.as_bytes().len() as u64, most);
        let answered = checker.answer(segment, &demand, &answer);
        assert_eq!(answered, Ok(TrainingAnswered::Records));
        // Records of another iteration, or fewer, are no answer.
        let fewer = TrainingAnswer::from_bytes(&answer.as_bytes()[..answer.as_bytes().len() - 1]);
        assert!(checker.answer(segment, &demand, &fewer.unwrap()).is_err());
        let other = messages.demand((place + 1) % 4, Demanded::Records);
        assert!(checker.answer(segment, &other, &answer).is_err());
        let swapped: Vec<_> = trace.records().iter().rev().cloned().collect();
        let swapped = messages.records(place, &trace.header(), &swapped).unwrap();
        assert!(checker.answer(segment, &demand, &swapped).is_err());

        for value in [0, 9, trace.network().program().values() as u32 - 1].map(ValueId) {
            let demand = messages.demand(place, Demanded::Tile { value, tile: 0 });
            let receipt = trace.receipt(JOB, Prover([0; 32]));
            let own = Demand { receipt: receipt.digest(), value, tile: 0 };
            let Ok(answer) = trace.answer(&receipt, &own) else {
                assert!(checker.demand(segment, &demand).is_err());
                continue;
            };
            let answer = messages.tile(place, &answer).unwrap();
            assert!(answer.as_bytes().len() as u64 <= checker.demand(segment, &demand).unwrap());
            assert_eq!(checker.answer(segment, &demand, &answer), Ok(TrainingAnswered::Right));
        }
    }
    let none = [
        messages.demand(4, Demanded::Records),
        messages.demand(0, Demanded::Tile { value: ValueId(9), tile: 1 << 40 }),
        messages.demand(0, Demanded::Tile { value: ValueId(1 << 20), tile: 0 }),
    ];
    for demand in none {
        let why = checker.demand(segment, &demand).unwrap_err();
        assert!(matches!(why, TrainingError::Malformed(_)), "{why}");
    }
    let demand = messages.demand(0, Demanded::Records);
    let why = invalid(checker.demand(&claims.segments[0], &demand).unwrap_err());
    assert!(matches!(why, TrainingInvalid::Demand { .. }));
}

#[test]
fn a_receipt_says_what_the_run_is() {
    let trained = small();
    let (claims, checker) = (trained.honest(), trained.checker());
    let run = claims.trained();
    let receipt = TrainingReceipt::of(&claims.parameters, &run, checker.macs(), Prover([4; 32]));
    assert_eq!(receipt.macs, u128::from(claims.traces[0].header().macs) * ITERATIONS as u128);
    assert_eq!(checker.receipt(&run, &receipt), Ok(()));
    let wrong = [
        ("job", TrainingReceipt { job: Job([0; 32]), ..receipt }),
        ("dataset", TrainingReceipt { dataset: [0; 32].into(), ..receipt }),
        ("first state", TrainingReceipt { first: [0; 32].into(), ..receipt }),
        ("last state", TrainingReceipt { last: [0; 32].into(), ..receipt }),
        ("number of MACs", TrainingReceipt { macs: receipt.macs + 1, ..receipt }),
        ("rules", TrainingReceipt { rules: [0; 32].into(), ..receipt }),
        ("run", TrainingReceipt { run: [0; 32].into(), ..receipt }),
    ];
    for (what, wrong) in wrong {
        assert_eq!(checker.receipt(&run, &wrong), Err(TrainingInvalid::Receipt { what }));
    }
}

#[test]
fn a_checker_takes_the_jobs_parameters_alone() {
    let trained = small();
    let own = trained.job.parameters;
    let checker = |parameters: RunParameters, dataset: &DatasetRoots, beacon| {
        let program = trained.iteration.network().program().clone();
        let checker = Checker::new(program, RULES.trace);
        RunChecker::new(checker, parameters, dataset.clone(), beacon, RULES.iteration_samples)
            .map(drop)
    };
    let roots = &trained.job.dataset;
    assert_eq!(checker(own, roots, &BEACON), Ok(()));
    // A seed that somebody chose, or that another beacon gives.
    let chosen = RunParameters { seed: [0; 32].into(), ..own };
    assert!(matches!(checker(chosen, roots, &BEACON), Err(RunCheckerError::Seed { .. })));
    let why = checker(own, roots, &Beacon([0; 32]));
    assert!(matches!(why, Err(RunCheckerError::Seed { .. })));
    // The seed binds the job, the dataset and the first state.
    for other in
        [RunParameters { job: Job([0; 32]), ..own }, RunParameters { first: [0; 32].into(), ..own }]
    {
        assert!(matches!(checker(other, roots, &BEACON), Err(RunCheckerError::Seed { .. })));
    }
    let other = RunParameters { program: [0; 32].into(), ..own };
    let why = checker(other, roots, &BEACON);
    assert!(matches!(why, Err(RunCheckerError::OtherProgram { .. })));
    let mut swapped = roots.clone();
    swapped.roots.reverse();
    let why = checker(own, &swapped, &BEACON);
    assert!(matches!(why, Err(RunCheckerError::OtherDataset { .. })));
    let fewer = DatasetRoots { rows: roots.rows - 1, ..roots.clone() };
    assert!(matches!(checker(own, &fewer, &BEACON), Err(RunCheckerError::Dataset { .. })));
    let rules = TrainingRules { iteration_samples: 1, ..RULES };
    let other = RunParameters { rules: rules.digest(), ..own };
    assert!(matches!(checker(other, roots, &BEACON), Err(RunCheckerError::Rules { .. })));
    let small = TraceRules { batch_max: 7, ..RULES.trace };
    let rules = TrainingRules { trace: small, ..RULES };
    let few = Checker::new(trained.iteration.network().program().clone(), small);
    let other = RunParameters { rules: rules.digest(), ..own };
    let why = RunChecker::new(few, other, roots.clone(), &BEACON, RULES.iteration_samples);
    assert!(matches!(why.map(drop), Err(RunCheckerError::Trace(TraceMalformed::Limit { .. }))));
    let other = RunParameters { segment: 0, ..own };
    assert!(matches!(checker(other, roots, &BEACON), Err(RunCheckerError::Parameters(_))));
    // Another rate is another program.
    let job = JobParameters::new(
        &iteration(0.2),
        &trained.dataset,
        &trained.first,
        JOB,
        &BEACON,
        SEGMENT,
        &RULES,
    )
    .unwrap();
    let why = checker(job.parameters, roots, &BEACON);
    assert!(matches!(why, Err(RunCheckerError::OtherProgram { .. })));
}

#[test]
fn soundness_is_that_of_independent_iterations() {
    let trained = small();
    let segment = trained.honest().segments[0];
    let of = |samples, fraction, bits| {
        trained.checker_of(samples).soundness(&segment, fraction, bits).unwrap()
    };
    let all = of(40, 0.1, 0);
    let expected = 0.9f64.powi(40);
    for chance in [all.iterations_wrong, all.macs_wrong] {
        assert!(chance >= expected && chance < expected * 1.0001, "{chance}");
    }
    // Every step's value is one tile, of which an audit of an iteration draws one.
    let program = trained.iteration.network().program();
    let inner = (program.steps().len() - program.outputs().len()) as f64;
    let expected = (1.0 - 1.0 / (4.0 * inner)).powi(40);
    assert!(all.update_wrong >= expected && all.update_wrong < expected * 1.001);
    let expected = (1.0 - 0.1 * (1.0 - (-1.0 / inner).exp())).powi(40);
    assert!(all.work_skipped >= expected && all.work_skipped < expected * 1.001);
    assert_eq!(of(0, 1.0, 0).iterations_wrong, 1.0);
    let grinding = of(40, 0.1, 3).iterations_wrong;
    assert!((grinding / all.iterations_wrong - 8.0).abs() < 1e-9);
    assert_eq!(of(40, 1.0, 0).iterations_wrong, of(40, 7.0, 0).iterations_wrong);
    assert_eq!(of(40, f64::NAN, 0).macs_wrong, 1.0);
    let none = poai_verify::train::Segment { index: 3, ..segment };
    assert!(trained.checker().soundness(&none, 0.1, 0).is_err());
}

#[test]
fn malformed_messages_are_told_apart() {
    let trained = small();
    let (claims, checker) = (trained.honest(), trained.checker());
    let segment = &claims.segments[0];
    let body = |place: u64, kind: u8| [&place.to_le_bytes()[..], &[kind]].concat();
    let check = |body: &[u8]| match checker.fraud(segment, &TrainingFraud::of_body(body)) {
        Err(TrainingError::Malformed(why)) => why,
        other => panic!("not malformed: {other:?}"),
    };
    assert_eq!(check(&body(0, 7)), TrainingMalformed::Kind(7));
    assert_eq!(check(&body(4, 0)), TrainingMalformed::Place(4));
    assert_eq!(check(&body(5, 1)), TrainingMalformed::Place(5));
    assert_eq!(check(&body(u64::MAX, 6)), TrainingMalformed::Place(u64::MAX));
    assert_eq!(check(&[]), TrainingMalformed::Trace(TraceMalformed::Short));
    assert_eq!(check(&body(0, 2)), TrainingMalformed::Trace(TraceMalformed::Short));
    let trace = &claims.traces[0];
    let value = ValueId(trace.network().program().values() as u32 - 1);
    let record = trace.record_opening(value).unwrap();
    let proof = claims.messages(0).order(0, &trace.header(), value, &record).unwrap();
    assert_eq!(check(proof.body()), TrainingMalformed::Draw(value));
    for kind in 0..7 {
        assert_eq!(FraudKind::of_tag(kind).unwrap().tag(), kind);
    }
    assert_eq!(FraudKind::of_tag(7), None);

    // Claims and openings in other numbers.
    let run = claims.trained();
    let count = |got| TrainingMalformed::Count { expected: 10, got }.into();
    assert_eq!(checker.run(&run, &claims.claims[..9]), Err(count(9)));
    let mut openings = claims.openings();
    openings.push(openings[0].clone());
    assert_eq!(checker.iterations(&run, &claims.claims, &openings), Err(count(11)));
    openings.truncate(9);
    assert_eq!(checker.iterations(&run, &claims.claims, &openings), Err(count(9)));
    openings[0].states.push(Root::default());
    let why = checker.iteration(&claims.claims[0], &openings[0]).unwrap_err();
    assert!(matches!(why, TrainingError::Malformed(TrainingMalformed::Roots { .. })));
    let beyond = poai_verify::train::Segment { index: 3, ..*segment };
    let why = checker.segment(None, &beyond).unwrap_err();
    assert_eq!(why, TrainingMalformed::Segment(3).into());
    assert_ne!(segment.root(&claims.parameters), SegmentRoot::default());
}
