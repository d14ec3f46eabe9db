//! Tests of what training runs commit to (spec §19), against the known answers of
//! the Python implementation.

use poai_core::program::ops::training::sample_at;
use poai_core::program::{Builder, Dim, Dtype, Form, Op, TrainingOp, ValueId};
use poai_core::trace::{SampleStream, Sampling, TraceHeader, TraceRules, header};
use poai_core::training_run::parameters::{ITERATIONS_MAX, SEGMENT_MAX};
use poai_core::training_run::*;
use poai_core::{
    Beacon, IterationLeaf, Job, Program, ProgramId, Prover, Root, RunRoot, SegmentRoot, StateRoot,
    TraceRoot, TrainingSeed,
};
use serde_json::Value;

fn known(file: &str) -> Value {
    let path = poai_testing::vectors("training").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn hash(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn roots(value: &Value) -> Vec<Root> {
    value.as_array().unwrap().iter().map(|root| Root(hash(root))).collect()
}

/// A run of the known answers, read.
struct Known {
    parameters: RunParameters,
    claims: Vec<IterationClaim>,
    segments: Vec<Segment>,
}

impl Known {
    fn of(run: &Value) -> Known {
        let list = |name: &str| run[name].as_array().unwrap().iter();
        let claim =
            |each: &Value| IterationClaim::from_array(&bytes(&each["claim"]).try_into().unwrap());
        Known {
            parameters: RunParameters::from_bytes(&bytes(&run["parameters"])).unwrap(),
            claims: list("iterations").map(claim).collect(),
            segments: list("segments")
                .map(|each| Segment::from_bytes(&bytes(&each["segment"])).unwrap())
                .collect(),
        }
    }

    fn leaves(&self) -> Vec<IterationLeaf> {
        self.claims.iter().map(IterationClaim::leaf).collect()
    }
}

#[test]
fn commitments_are_those_of_the_second_implementation() {
    let (runs, programs) = (known("commitments.json"), known("programs.json"));
    let runs = runs.as_object().unwrap();
    assert_eq!(runs.len(), 4);
    for (name, run) in runs {
        let program = Program::from_bytes(&bytes(&programs[name]["program"])).unwrap();
        let training = TrainingProgram::of(&program).unwrap();
        let Known { parameters, claims, segments } = Known::of(run);
        let dataset =
            DatasetRoots { rows: run["samples"].as_u64().unwrap(), roots: roots(&run["dataset"]) };
        assert!(training.takes(&dataset));
        assert_eq!(dataset.root(), parameters.dataset);
        assert_eq!(parameters.program, program.program_id());
        assert_eq!(parameters.job, Job([1; 32]));
        assert_eq!(parameters.to_bytes(), bytes(&run["parameters"]));
        assert_eq!(parameters.iterations, claims.len() as u64);
        let beacon = Beacon(hash(&run["beacon"]));
        let seeded = parameters.with_beacon(&beacon);
        assert_eq!(seeded.seed, TrainingSeed(hash(&run["seed of beacon"])));
        assert_eq!(RunParameters { seed: parameters.seed, ..seeded }, parameters);

        let iterations = run["iterations"].as_array().unwrap();
        for ((t, claim), each) in (0..).zip(&claims).zip(iterations) {
            let header = TraceHeader::from_bytes(&bytes(&each["header"])).unwrap();
            let (states, outputs) = (roots(&each["states"]), roots(&each["outputs"]));
            let own = IterationClaim {
                t,
                before: state_root(&states),
                trace: header.root(),
                after: state_root(&outputs[..training.states()]),
            };
            assert_eq!(*claim, own);
            assert_eq!(claim.to_bytes(), bytes(&each["claim"]));
            assert_eq!(claim.leaf().0, hash(&each["leaf"]));
            let input = training.header_input(&parameters, &states, t, &dataset);
            assert_eq!(header.input, input, "{name}, iteration {t}");
            assert_eq!(header::output_root(&program, &outputs), Some(header.output));
        }
        assert_eq!(claims[0].before, parameters.first);
        for (t, each) in (0..).zip(iterations) {
            let batch = u64::from(parameters.run.batch);
            let place = |item| t * batch + item;
            let seed = &parameters.seed.0;
            let drawn = (0..batch).map(|item| sample_at(seed, place(item), training.samples()));
            let known = each["samples"].as_array().unwrap().iter();
            assert!(drawn.map(u64::from).eq(known.map(|sample| sample.as_u64().unwrap())));
        }

        let rules = &run["rules"];
        let number = |name: &str| u32::try_from(rules[name].as_u64().unwrap()).unwrap();
        let trace = TraceRules {
            batch_max: number("batch_max"),
            sequence_max: number("sequence_max"),
            tile_memory_max: rules["tile_memory_max"].as_u64().unwrap(),
            product_samples: number("product_samples"),
            step_samples: number("step_samples"),
            output_tiles: number("output_tiles"),
        };
        let rules = TrainingRules { trace, iteration_samples: number("iteration_samples") };
        assert_eq!(rules.digest(), parameters.rules);

        assert_eq!(parameters.segments() as usize, segments.len());
        let extents = program.extents(&parameters.run).unwrap();
        let mut previous = SegmentRoot::default();
        for ((j, segment), each) in (0..).zip(&segments).zip(run["segments"].as_array().unwrap()) {
            let range = parameters.iterations_of(j).unwrap();
            let own = &claims[range.start as usize..range.end as usize];
            let leaves: Vec<IterationLeaf> = own.iter().map(IterationClaim::leaf).collect();
            let expected = Segment {
                previous,
                index: j,
                before: own[0].before,
                chain: chain_root(&leaves),
                after: own.last().unwrap().after,
            };
            assert_eq!(*segment, expected);
            previous = segment.root(&parameters);
            assert_eq!(previous.0, hash(&each["root"]));
            let mut stream = SampleStream::of_segment(&previous, &beacon);
            let run = &parameters.run;
            let sampling = Sampling { program: &program, extents: &extents, run, rules: &trace };
            for drawn in each["audit"].as_array().unwrap() {
                let place = stream.below(own.len() as u128);
                let tiles = sampling.drawn(&mut stream);
                let tiles = tiles.iter().map(|each| format!("{}/{}", each.value.0, each.tile));
                let tiles = tiles.collect::<Vec<_>>().join(" ");
                assert_eq!(format!("{place}: {tiles}"), drawn.as_str().unwrap(), "{name}");
            }
        }
        assert_eq!(parameters.iterations_of(segments.len() as u32), None);

        let known = Known { parameters, claims, segments };
        let last = known.claims.last().unwrap().after;
        let trained = TrainedRun { last, chain: chain_root(&known.leaves()) };
        assert_eq!(trained.root(&parameters), RunRoot(hash(&run["run"])));
        let macs = program.total_macs(&parameters.run);
        let receipt = TrainingReceipt::of(&parameters, &trained, macs, Prover([3; 32]));
        assert_eq!(receipt.to_bytes(), bytes(&run["receipt"]));
        assert_eq!(receipt.digest().0, hash(&run["receipt digest"]));
        let export = Export {
            run: trained.root(&parameters),
            trace: TraceRoot([0; 32]),
            program: program.program_id(),
        };
        assert_eq!(export.root().0, hash(&run["export"]));
    }
}

#[test]
fn the_builder_makes_the_tree_leaf_by_leaf() {
    let leaves: Vec<IterationLeaf> = (0..40u8).map(|byte| IterationLeaf([byte; 32])).collect();
    let mut builder = ChainBuilder::new();
    assert!(builder.is_empty());
    for count in 1..=leaves.len() {
        builder.push(leaves[count - 1]);
        let own = &leaves[..count];
        assert_eq!(builder.len(), count as u64);
        assert_eq!(builder.root(), chain_root(own), "{count} leaves");
        for (place, leaf) in (0..).zip(own) {
            let path = chain_path(own, place);
            assert_eq!(path.len(), chain_path_len(count as u64, place));
            let lead = |place| chain_path_root(leaf, count as u64, place, &path);
            assert_eq!(lead(place), Some(builder.root()));
            assert!(
                (0..count as u64 + 1).all(|at| at == place || lead(at) != Some(builder.root()))
            );
        }
    }
}

/// A message of one length reads its own bytes alone.
fn one_length<T: PartialEq + std::fmt::Debug>(
    value: T,
    bytes: Vec<u8>,
    read: fn(&[u8]) -> Result<T, TrainingDecodeError>,
) {
    assert_eq!(read(&bytes), Ok(value));
    let long = [&bytes[..], &[0]].concat();
    for other in [&bytes[..bytes.len() - 1], &long] {
        assert!(matches!(read(other), Err(TrainingDecodeError::Length { .. })));
    }
    let mut version = bytes.clone();
    version[0] ^= 2;
    assert!(matches!(read(&version), Err(TrainingDecodeError::UnsupportedVersion { .. })));
    for short in 0..4 {
        let short = read(&bytes[..short]);
        assert!(matches!(short, Err(TrainingDecodeError::Short { .. })));
    }
}

#[test]
fn messages_read_their_own_bytes_alone() {
    let Known { parameters, claims, segments } = Known::of(&known("commitments.json")["mlp sgd"]);
    one_length(parameters, parameters.to_bytes(), RunParameters::from_bytes);
    assert_eq!(parameters.to_bytes().len(), RunParameters::LEN);
    one_length(segments[0], segments[0].to_bytes(), Segment::from_bytes);
    assert_eq!(segments[0].to_bytes().len(), Segment::LEN);
    let trained = TrainedRun { last: claims[3].after, chain: segments[1].chain };
    one_length(trained, trained.to_bytes(), TrainedRun::from_bytes);
    let receipt = TrainingReceipt::of(&parameters, &trained, u64::MAX, Prover([3; 32]));
    assert_eq!(receipt.macs, 4 * u128::from(u64::MAX));
    one_length(receipt, receipt.to_bytes(), TrainingReceipt::from_bytes);
    let mut order = receipt.to_bytes();
    order[4 + 2 * 32] = 2;
    assert_eq!(TrainingReceipt::from_bytes(&order), Err(TrainingDecodeError::Order(2)));
    let (run, program) = (trained.root(&parameters), parameters.program);
    let export = Export { run, trace: claims[0].trace, program };
    one_length(export, export.to_bytes(), Export::from_bytes);

    let demand = |what| TrainingDemand { segment: SegmentRoot([9; 32]), place: 7, what };
    let tile = demand(Demanded::Tile { value: ValueId(3), tile: 5 });
    let records = demand(Demanded::Records);
    one_length(tile, tile.to_bytes(), TrainingDemand::from_bytes);
    one_length(records, records.to_bytes(), TrainingDemand::from_bytes);
    let mut other = records.to_bytes();
    other[45] = 1;
    assert_eq!(TrainingDemand::from_bytes(&other), Err(TrainingDecodeError::Place));
    other[44] = 2;
    assert_eq!(TrainingDemand::from_bytes(&other), Err(TrainingDecodeError::Demanded(2)));

    let list = IterationClaim::list_to_bytes(&claims);
    assert_eq!(list.len(), 4 + 4 * IterationClaim::LEN);
    assert_eq!(IterationClaim::list_from_bytes(&list).as_ref(), Ok(&claims));
    assert_eq!(IterationClaim::list_from_bytes(&list[..4]), Ok(vec![]));
    assert!(matches!(
        IterationClaim::list_from_bytes(&list[..list.len() - 1]),
        Err(TrainingDecodeError::Claims { .. })
    ));
    let audit = TrainingAudit::of_body(&[1, 2, 3]);
    assert_eq!(TrainingAudit::from_bytes(audit.as_bytes()).as_ref(), Ok(&audit));
    assert_eq!(audit.body(), [1, 2, 3]);
    assert_eq!(audit.to_bytes(), [1, 0, 0, 0, 1, 2, 3]);
    assert!(TrainingFraud::from_bytes(&[2, 0, 0, 0]).is_err());
    assert!(TrainingAnswer::from_bytes(&[1, 0, 0]).is_err());
}

#[test]
fn parameters_have_limits() {
    let Known { parameters, .. } = Known::of(&known("commitments.json")["mlp sgd"]);
    let refused = |changed: RunParameters| {
        let why = changed.check().unwrap_err();
        let read = RunParameters::from_bytes(&changed.to_bytes());
        assert_eq!(read, Err(TrainingDecodeError::Parameters(why)));
        why
    };
    for iterations in [0, ITERATIONS_MAX + 1, u64::MAX] {
        let why = refused(RunParameters { iterations, ..parameters });
        assert_eq!(why, RunParametersError::Iterations(iterations));
    }
    for segment in [0, SEGMENT_MAX + 1] {
        let why = refused(RunParameters { segment, ..parameters });
        assert_eq!(why, RunParametersError::Segment(segment));
    }
    let largest = RunParameters { iterations: ITERATIONS_MAX, segment: 1, ..parameters };
    assert_eq!(RunParameters::from_bytes(&largest.to_bytes()), Ok(largest));
    assert_eq!(largest.segments(), 1 << 31);
    assert_eq!(largest.iterations_of(1 << 31), None);
    assert_eq!(largest.iterations_of(u32::MAX), None);
    let last = (1 << 31) - 1;
    assert_eq!(largest.iterations_of(last), Some(u64::from(last)..u64::from(last) + 1));
}

/// A program with states, given numbers of rows of seed, t and a dataset's tensor,
/// and draws that read these inputs.
fn program(rows: [u32; 3], shared: bool, draws: &[(u32, [usize; 2])]) -> Program {
    let form = |rows| Form::shared(Dim::fixed(rows), Dim::fixed(1), Dtype::I32);
    let data =
        Form { batch: if shared { form(1).batch } else { Default::default() }, ..form(rows[2]) };
    let inputs = [form(3), form(rows[0]), form(rows[1]), form(8), form(1), data];
    let mut builder = Builder::new(&inputs);
    let input: [ValueId; 6] = std::array::from_fn(|index| builder.input(index));
    // Every input and value is read.
    let mut last = input[0];
    for (samples, reads) in draws {
        let op = Op::Training(TrainingOp::Draw { samples: *samples });
        last = builder.step("draw", op, &reads.map(|at| input[at])).unwrap();
    }
    let relu = builder.step("next", Op::Relu, &[input[0]]).unwrap();
    let mut outputs = vec![relu];
    for value in &input[1..] {
        outputs.push(builder.step("copy", Op::Relu, &[*value]).unwrap());
    }
    if !draws.is_empty() {
        outputs.push(builder.step("copy", Op::Relu, &[last]).unwrap());
    }
    let all = outputs.clone();
    builder.finish_with(&all, 1).unwrap()
}

#[test]
fn programs_without_the_parts_of_training_are_refused() {
    // The inputs 1 and 2 are seed and t, and 3 to 5 tensors of a dataset: only a
    // dataset of the right rows passes.
    let of = |rows, shared, draws: &[_]| TrainingProgram::of(&program(rows, shared, draws));
    let error = |rows, shared, draws: &[_]| of(rows, shared, draws).unwrap_err();
    use TrainingProgramError as Error;
    assert_eq!(error([7, 1, 5], true, &[]), Error::Random(1));
    assert_eq!(error([8, 2, 5], true, &[]), Error::Random(2));
    assert_eq!(error([8, 1, 5], true, &[]), Error::NoDraw);
    assert_eq!(error([8, 1, 5], true, &[(5, [3, 4])]), Error::Draw(ValueId(6)));
    let wrong = Error::Dataset { input: 3, samples: 5 };
    assert_eq!(error([8, 1, 5], true, &[(5, [1, 2])]), wrong);
    assert_eq!(error([8, 1, 5], false, &[(5, [1, 2])]), wrong);
    let stateless = poai_testing::zoo::classifier().program().clone();
    assert_eq!(TrainingProgram::of(&stateless), Err(Error::Stateless));
    let text = &known("programs.json")["transformer adam"]["program"];
    let text = Program::from_bytes(&bytes(text)).unwrap();
    let places = TrainingProgram::of(&text);
    assert!(matches!(places, Err(Error::Dataset { .. })), "{places:?}");
}

#[test]
fn names_of_runs_differ_in_every_field() {
    let Known { parameters, claims, segments } = Known::of(&known("commitments.json")["mlp sgd"]);
    let other = [7; 32];
    let changed = [
        RunParameters { program: ProgramId(other), ..parameters },
        RunParameters { job: Job(other), ..parameters },
        RunParameters { dataset: other.into(), ..parameters },
        RunParameters { seed: TrainingSeed(other), ..parameters },
        RunParameters { iterations: 5, ..parameters },
        RunParameters { first: StateRoot(other), ..parameters },
        RunParameters { segment: 4, ..parameters },
        RunParameters { rules: other.into(), ..parameters },
    ];
    let trained = TrainedRun { last: claims[3].after, chain: segments[0].chain };
    for (at, changed) in changed.iter().enumerate() {
        assert_ne!(segments[0].root(changed), segments[0].root(&parameters), "{at}");
        // A run's name does not depend on how it was audited.
        let same = trained.root(changed) == trained.root(&parameters);
        assert_eq!(same, at >= 6, "{at}");
    }
}
