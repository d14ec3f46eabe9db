//! Attacks on training runs: each is convicted, by a watcher and by every audit that
//! draws the iteration.

use poai_core::Beacon;
use poai_core::program::ValueId;
use poai_core::trace::SampleStream;
use poai_core::training_run::{Demanded, TrainedRun};
use poai_engine::execute::{Tensor, TensorBytes, Trace};
use poai_testing::traces::moved;
use poai_testing::training_runs::{
    BEACON, Claims, RULES, SEGMENT, Trained, dataset, iteration, outputs_of, run, small, traced,
};
use poai_train::commit::Claimed;
use poai_train::{Lie, initial};
use poai_verify::trace::Wrong;
use poai_verify::train::{
    IterationClaim, TrainingAnswered, TrainingError, TrainingInvalid, TrainingWrong,
};

/// What a watcher convicts a run of. The proof is small, and convicts no honest run.
fn convicted(trained: &Trained, claims: &Claims) -> (u64, TrainingWrong) {
    let (index, lie) = claims.watched(trained).expect("a lie is found");
    let Lie::Proven(proof) = lie else { panic!("withheld: {lie:?}") };
    let (checker, segment) = (trained.checker(), &claims.segments[index as usize]);
    assert!(proof.as_bytes().len() as u64 <= checker.fraud_bytes_max(segment).unwrap());
    let convicted = checker.fraud(segment, &proof).unwrap();
    let honest = &trained.honest().segments[index as usize];
    assert!(checker.fraud(honest, &proof).is_err());
    (convicted.t, convicted.wrong)
}

/// Audits of a segment of a run, under many beacons: each that draws iteration t
/// finds what is wrong, and every other passes.
fn audited(
    trained: &Trained,
    claims: &Claims,
    t: u64,
    expected: impl Fn(&TrainingInvalid) -> bool,
) {
    let checker = trained.checker();
    let segment = &claims.segments[t as usize / SEGMENT as usize];
    let range = claims.parameters.iterations_of(segment.index).unwrap();
    let program = trained.iteration.network().program();
    let extents = program.extents(&claims.parameters.run).unwrap();
    let (run, rules) = (&claims.parameters.run, &RULES.trace);
    let sampling = poai_core::trace::Sampling { program, extents: &extents, run, rules };
    let mut passed = [0; 2];
    for byte in 0..32 {
        let beacon = Beacon([byte; 32]);
        let mut stream = SampleStream::of_segment(&segment.root(&claims.parameters), &beacon);
        let drawn = (0..RULES.iteration_samples).any(|_| {
            let place = stream.below(u128::from(range.end - range.start)) as u64;
            sampling.drawn(&mut stream);
            range.start + place == t
        });
        let audit = claims.audit(segment.index, &beacon, &RULES);
        let result = checker.audit(segment, &beacon, &audit);
        passed[usize::from(result.is_ok())] += 1;
        match result {
            Ok(_) => assert!(!drawn, "beacon {byte} drew the lie and found nothing"),
            Err(TrainingError::Invalid(why)) => assert!(drawn && expected(&why), "{byte}: {why}"),
            Err(why) => panic!("beacon {byte}: {why}"),
        }
    }
    assert!(passed.iter().all(|&count| count > 3), "{passed:?}");
}

#[test]
fn a_skipped_iteration() {
    // Iteration 2 copies the trace of iteration 1, and the state stays.
    let trained = small();
    let honest = &trained.traces;
    let mut traces = honest[..2].to_vec();
    traces.push(honest[1].clone());
    traces.extend(trained.continued(3, outputs_of(&honest[1], trained.program().states())));
    let claims = Claims::of(trained, traces).with(|claims| {
        claims[2].before = claims[1].after;
        claims[2].after = claims[1].after;
    });
    let checker = trained.checker();
    assert!(
        checker.run(&claims.trained(), &claims.claims).is_ok(),
        "the chain alone shows nothing"
    );
    let why = checker.iterations(&claims.trained(), &claims.claims, &claims.openings());
    assert_eq!(why, Err(TrainingInvalid::States { t: 2 }.into()));
    let expected = (2, TrainingWrong::Inputs);
    assert_eq!(convicted(trained, &claims), expected);
    audited(trained, &claims, 2, |why| *why == TrainingInvalid::States { t: 2 });
}

#[test]
fn a_repeated_iteration() {
    // Iteration 6 does iteration 5 again, on its new state.
    let trained = small();
    let session = session(trained);
    let mut inputs = inputs_of(&trained.traces[6]);
    let states = trained.program().states();
    inputs[states + 1] = Tensor::new(1, 1, poai_core::program::Dtype::I32, &[5]).unwrap();
    let shape = *trained.traces[6].run();
    let again = session.trace((shape, inputs)).unwrap().trace.with_rules(RULES.trace);
    let claims = trained.from_lie(6, again);
    let why = TrainingInvalid::Inputs { t: 6 };
    let all = trained.checker().iterations(&claims.trained(), &claims.claims, &claims.openings());
    assert_eq!(all, Err(why.into()));
    let expected = (6, TrainingWrong::Inputs);
    assert_eq!(convicted(trained, &claims), expected);
    audited(trained, &claims, 6, |got| *got == why);
}

#[test]
fn swapped_iterations() {
    let trained = small();
    let checker = trained.checker();
    let swapped = trained.honest().with(|claims| claims.swap(1, 2));
    let numbered = TrainingInvalid::Number { expected: 1, got: 2 };
    let segment = &swapped.segments[0];
    assert_eq!(checker.claims(segment, swapped.of_segment(0)), Err(numbered.into()));
    assert_eq!(checker.run(&swapped.trained(), &swapped.claims), Err(numbered.into()));
    let expected = (1, TrainingWrong::Number { got: 2 });
    assert_eq!(convicted(trained, &swapped), expected);
    // An answer to a demand shows it as well.
    let demand = swapped.messages(0).demand(1, Demanded::Records);
    let trace = &trained.traces[2];
    let answer = swapped.messages(0).records(1, &trace.header(), trace.records()).unwrap();
    let answered = checker.answer(segment, &demand, &answer);
    let Ok(TrainingAnswered::Convicted(found)) = answered else { panic!("{answered:?}") };
    assert_eq!((found.t, found.wrong), expected);

    // With numbers that fit, the links do not.
    let renumbered = swapped.with(|claims| (claims[1].t, claims[2].t) = (1, 2));
    let why = checker.claims(&renumbered.segments[0], renumbered.of_segment(0));
    assert_eq!(why, Err(TrainingInvalid::Link { t: 1 }.into()));
    let expected = (1, TrainingWrong::Link);
    assert_eq!(convicted(trained, &renumbered), expected);
}

#[test]
fn broken_links_at_the_ends() {
    let trained = small();
    let checker = trained.checker();
    // The first claim of a segment begins with another state than the segment.
    let other = trained.honest().with(|claims| claims[4].before = claims[3].before);
    let why = checker.claims(&other.segments[1], other.of_segment(1));
    assert_eq!(why, Err(TrainingInvalid::Link { t: 4 }.into()));
    let expected = (4, TrainingWrong::Link);
    assert_eq!(convicted(trained, &other), expected);
    // The segment ends in another state than its last claim.
    let mut other = trained.honest();
    other.segments[2].after = other.claims[0].after;
    let why = checker.claims(&other.segments[2], other.of_segment(2));
    assert_eq!(why, Err(TrainingInvalid::End { t: 9 }.into()));
    let expected = (10, TrainingWrong::Link);
    assert_eq!(convicted(trained, &other), expected);
    let run = TrainedRun { last: other.claims[0].after, ..other.trained() };
    assert_eq!(checker.run(&run, &other.claims), Err(TrainingInvalid::End { t: 9 }.into()));
    // Claims that the segment does not commit to.
    let honest = trained.honest();
    let why = checker.claims(
        &honest.segments[0],
        &other
            .with(|claims| {
                claims[1].trace = claims[2].trace;
            })
            .claims[..4],
    );
    assert!(matches!(why, Err(TrainingError::Invalid(TrainingInvalid::Chain { .. }))));
}

fn session(trained: &Trained) -> poai_engine::execute::Session {
    let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
    trained.iteration.network().clone().on(device).unwrap()
}

fn inputs_of(trace: &Trace) -> Vec<Tensor> {
    let count = trace.network().program().inputs().len() as u32;
    (0..count).map(|input| trace.value(ValueId(input)).unwrap().clone()).collect()
}

#[test]
fn another_order_of_data() {
    // Iteration 5 takes other samples.
    let trained = small();
    let honest = &trained.traces[5];
    let draw = trained.program().draws()[0];
    let tensor = honest.value(draw).unwrap();
    let mut samples = tensor.entries();
    samples.rotate_left(1);
    let other = Tensor::new(8, 1, tensor.extent().dtype, &samples).unwrap();
    let claims = trained.from_lie(5, honest.with_fault(draw, other).unwrap());
    let expected = (5, TrainingWrong::Order { value: draw });
    assert_eq!(convicted(trained, &claims), expected);
    audited(trained, &claims, 5, |why| *why == TrainingInvalid::Order { t: 5, value: draw });
    // The order is that of the second implementation's and the runner's draw.
    let place = |item: u32| 5 * 8 + u64::from(item);
    let drawn = (0..8).map(|item| {
        let seed = &trained.job.parameters.seed.0;
        poai_core::program::ops::training::sample_at(seed, place(item), 40) as i32
    });
    assert_eq!(tensor.entries(), drawn.collect::<Vec<_>>());
}

#[test]
fn another_dataset() {
    let trained = small();
    let other = dataset("other samples");
    let traces = traced(&trained.iteration, &other, trained.first.clone(), trained.job.seed());
    let claims = Claims::of(trained, traces);
    let expected = (0, TrainingWrong::Inputs);
    assert_eq!(convicted(trained, &claims), expected);
    let why = trained.checker().iterations(&claims.trained(), &claims.claims, &claims.openings());
    assert_eq!(why, Err(TrainingInvalid::Inputs { t: 0 }.into()));
    let audit = claims.audit(1, &BEACON, &RULES);
    let why = trained.checker().audit(&claims.segments[1], &BEACON, &audit);
    assert!(matches!(why, Err(TrainingError::Invalid(TrainingInvalid::Inputs { .. }))), "{why:?}");
}

#[test]
fn another_seed() {
    let trained = small();
    let traces = traced(&trained.iteration, &trained.dataset, trained.first.clone(), [9; 32]);
    let claims = Claims::of(trained, traces);
    let expected = (0, TrainingWrong::Inputs);
    assert_eq!(convicted(trained, &claims), expected);
    let audit = claims.audit(0, &BEACON, &RULES);
    let why = trained.checker().audit(&claims.segments[0], &BEACON, &audit);
    assert!(matches!(why, Err(TrainingError::Invalid(TrainingInvalid::Inputs { .. }))), "{why:?}");
}

#[test]
fn another_rate() {
    // All iterations are of a program with other rates.
    let trained = small();
    let other = iteration(0.05);
    let traces = traced(&other, &trained.dataset, trained.first.clone(), trained.job.seed());
    let claims = Claims::of(trained, traces);
    let expected = TrainingWrong::Header { what: "program" };
    assert_eq!(convicted(trained, &claims), (0, expected));
    let audit = claims.audit(0, &BEACON, &RULES);
    let why = trained.checker().audit(&claims.segments[0], &BEACON, &audit);
    let header = |why: &TrainingError| {
        matches!(why, TrainingError::Invalid(TrainingInvalid::Header { what: "program", .. }))
    };
    assert!(header(&why.unwrap_err()));
    let demand = claims.messages(0).demand(1, Demanded::Records);
    let trace = &claims.traces[1];
    let answer = claims.messages(0).records(1, &trace.header(), trace.records()).unwrap();
    let answered = trained.checker().answer(&claims.segments[0], &demand, &answer).unwrap();
    assert!(matches!(answered, TrainingAnswered::Convicted(_)));

    // Or one iteration claims another entry of the job's rates.
    let honest = &trained.traces[3];
    let program = trained.iteration.network().program();
    let rate = (program.inputs().len() as u32..program.values() as u32)
        .map(ValueId)
        .find(|&value| {
            let step = program.step_of(value).unwrap();
            step.op.name() == "gather" && step.op.constants().1 == 1
        })
        .unwrap();
    let doubled = moved(honest.value(rate).unwrap(), 0, 1);
    let claims = trained.from_lie(3, honest.with_fault(rate, doubled).unwrap());
    let found = convicted(trained, &claims);
    let TrainingWrong::Trace(fraud) = found.1 else { panic!("{found:?}") };
    assert_eq!((found.0, fraud.value), (3, rate));
    assert!(matches!(fraud.wrong, Wrong::Tile(_)));
}

#[test]
fn another_first_state() {
    let trained = small();
    let other = initial(&trained.iteration, &[2; 32]).unwrap();
    let traces = traced(&trained.iteration, &trained.dataset, other, trained.job.seed());
    let claims = Claims::of(trained, traces);
    let checker = trained.checker();
    let link = TrainingInvalid::Link { t: 0 };
    assert_eq!(checker.run(&claims.trained(), &claims.claims), Err(link.into()));
    let expected = (0, TrainingWrong::Link);
    assert_eq!(convicted(trained, &claims), expected);
    // A segment that says so is not admitted.
    let mut segment = claims.segments[0];
    segment.before = claims.claims[0].before;
    let why = TrainingInvalid::Previous { what: "the state" };
    assert_eq!(checker.segment(None, &segment), Err(why.into()));
}

#[test]
fn a_second_start() {
    // A prover that does not like a beacon trains again, with other traces.
    let trained = small();
    let (honest, checker) = (trained.honest(), trained.checker());
    let output = trained.iteration.network().program().outputs()[0];
    let lie = trained.traces[0].clone();
    let lie = lie.with_fault(output, moved(lie.value(output).unwrap(), 0, 1)).unwrap();
    let second = trained.from_lie(0, lie);
    let [first, again] = [&honest.segments[0], &second.segments[0]];
    assert_ne!(first.root(&honest.parameters), again.root(&second.parameters));
    // Nothing continues the first sequence but its next segment.
    for wrong in [again, first, &second.segments[1], &honest.segments[2]] {
        let why = checker.segment(Some(first), wrong).unwrap_err();
        assert!(matches!(why, TrainingError::Invalid(TrainingInvalid::Previous { .. })));
    }
    assert!(checker.segment(None, &honest.segments[1]).is_err());
    assert!(checker.segment(Some(first), &honest.segments[1]).is_ok());
    // An audit is of one segment.
    let audit = honest.audit(0, &BEACON, &RULES);
    assert!(checker.audit(again, &BEACON, &audit).is_err());
}

/// One wrong entry of a state after iteration t.
fn wrong_update(trained: &Trained, t: usize, state: usize, by: i32) -> (Claims, ValueId) {
    let output = trained.iteration.network().program().outputs()[state];
    let honest = &trained.traces[t];
    let tensor = honest.value(output).unwrap();
    let at = tensor.entries().len() / 2;
    let lie = honest.with_fault(output, moved(tensor, at, by)).unwrap();
    (trained.from_lie(t, lie), output)
}

#[test]
fn one_wrong_update_of_a_weight() {
    let trained = small();
    for (t, state) in [(0, 0), (3, 1), (6, 2), (9, 4)] {
        let (claims, output) = wrong_update(trained, t, state, 1);
        let checker = trained.checker();
        assert!(checker.iterations(&claims.trained(), &claims.claims, &claims.openings()).is_ok());
        let found = convicted(trained, &claims);
        let TrainingWrong::Trace(fraud) = found.1 else { panic!("{found:?}") };
        assert_eq!((found.0, fraud.value), (t as u64, output));
        assert!(matches!(fraud.wrong, Wrong::Tile(_)));
    }
    // Every tile of a small state is opened, so an audit that draws the iteration
    // finds it.
    let (claims, output) = wrong_update(trained, 6, 2, 1);
    audited(
        trained,
        &claims,
        6,
        |why| matches!(why, TrainingInvalid::Trace { t: 6, source: poai_verify::trace::TraceInvalid::Entry { value, .. } } if *value == output),
    );
}

#[test]
fn a_claim_of_another_next_state() {
    // The claim goes on from a state that its trace does not give.
    let trained = small();
    let (lie, _) = wrong_update(trained, 5, 0, 1);
    let mut traces = lie.traces.clone();
    traces[5] = trained.traces[5].clone();
    let claims = Claims::of(trained, traces)
        .with(|claims| claims[5] = IterationClaim { after: lie.claims[5].after, ..claims[5] });
    let checker = trained.checker();
    assert!(checker.run(&claims.trained(), &claims.claims).is_ok());
    let expected = (5, TrainingWrong::Outputs);
    assert_eq!(convicted(trained, &claims), expected);
    audited(trained, &claims, 5, |why| *why == TrainingInvalid::After { t: 5 });
}

#[test]
fn every_wrong_tile_of_an_iteration() {
    // Each step's value in turn, so that a lie hides in no kind of step.
    let trained = small();
    let checker = trained.checker();
    let honest = &trained.traces[4];
    let program = trained.iteration.network().program();
    let draw = trained.program().draws()[0];
    for value in (program.inputs().len() as u32..program.values() as u32).map(ValueId) {
        let tensor = honest.value(value).unwrap();
        let at = tensor.entries().len() - 1;
        let lie = honest.with_fault(value, moved(tensor, at, 1)).unwrap();
        // The run stops after the lie: only its segment is watched.
        let mut traces = trained.traces.clone();
        traces[4] = lie;
        let claims = Claims::of(trained, traces);
        let mut watch = trained.watch();
        let first = watch.segment(&claims.segments[0], claims.of_segment(0), &claims);
        assert_eq!(first.unwrap(), None);
        let segment = &claims.segments[1];
        let found = watch.segment(segment, claims.of_segment(1), &claims).unwrap();
        let Some(Lie::Proven(proof)) = found else { panic!("{value:?}: {found:?}") };
        let found = checker.fraud(segment, &proof).unwrap();
        assert_eq!(found.t, 4);
        match found.wrong {
            TrainingWrong::Order { value: own } => assert_eq!((own, value), (draw, draw)),
            TrainingWrong::Trace(fraud) => assert_eq!(fraud.value, value),
            wrong => panic!("{wrong:?}"),
        }
    }
}

/// A prover that withholds what the test says.
struct Withholding<'a> {
    claims: &'a Claims,
    records: bool,
}

impl Claimed for Withholding<'_> {
    fn records(
        &self,
        t: u64,
    ) -> Option<(poai_core::trace::TraceHeader, Vec<poai_core::trace::RecordBytes>)> {
        if self.records { None } else { self.claims.records(t) }
    }

    fn tensor(&self, t: u64, value: ValueId) -> Option<TensorBytes> {
        // Other bytes than those of the record count as withheld.
        let TensorBytes(mut bytes) = self.claims.tensor(t, value)?;
        bytes[0] ^= 1;
        Some(TensorBytes(bytes))
    }
}

#[test]
fn withheld_data_is_demanded() {
    let trained = small();
    let (claims, output) = wrong_update(trained, 1, 1, 1);
    let (segment, messages) = (&claims.segments[0], claims.messages(0));
    let checker = trained.checker();
    let lie = |records| {
        let claimed = Withholding { claims: &claims, records };
        trained.watch().segment(segment, claims.of_segment(0), &claimed).unwrap().unwrap()
    };
    let records = messages.demand(1, Demanded::Records);
    assert_eq!(lie(true), Lie::Withheld(vec![records]));
    let Lie::Withheld(demands) = lie(false) else { panic!("expected demands") };
    // One of the answers convicts.
    let trace = &claims.traces[1];
    let mut frauds = 0;
    for demand in &demands {
        let Demanded::Tile { value, tile } = demand.what else { panic!("{demand:?}") };
        assert_eq!((value, demand.place), (output, 1));
        let answer = trace.fraud_proof(value, tile).unwrap().into();
        let answer = messages.tile(1, &answer).unwrap();
        match checker.answer(segment, demand, &answer).unwrap() {
            TrainingAnswered::Right => {}
            TrainingAnswered::Convicted(found) => {
                assert_eq!(found.t, 1);
                frauds += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(frauds, 1);
}

#[test]
fn a_watcher_takes_its_own_job_alone() {
    let trained = small();
    let of = |run| poai_train::Watcher::new(run, trained.job.clone()).map(drop).unwrap_err();
    let own = &trained.iteration;
    let data = &trained.dataset;
    let first = trained.first.clone();
    let seed = trained.job.seed();
    let wrong = [
        ("program", run(&iteration(0.2), data, first.clone(), seed)),
        ("dataset", run(own, &dataset("other samples"), first.clone(), seed)),
        ("seed", run(own, data, first.clone(), [0; 32])),
        ("first state", run(own, data, initial(own, &[2; 32]).unwrap(), seed)),
    ];
    for (what, run) in wrong {
        assert!(of(run).to_string().contains(what), "{what}");
    }
    let honest = trained.honest();
    let mut watch = trained.watch();
    let later = watch.segment(&honest.segments[1], honest.of_segment(1), &honest);
    assert!(later.is_err());
    let (lie, _) = wrong_update(trained, 1, 1, 1);
    let others = watch.segment(&honest.segments[0], lie.of_segment(0), &honest);
    assert!(others.unwrap_err().to_string().contains("commits to"));
}
