//! Train, then prove: a run's last state becomes a network that is stored, classified
//! with and proven, and whose program the run's commitments name.

use poai::execute::Tensor;
use poai::frozen::quantised;
use poai::import::Model;
use poai::import::quantise::{Numbers, QuantiseError, Quantised, QuantisedInput};
use poai::import::store::{StoreError, load_quantised, save_quantised};
use poai::inference::{Address, WeightsVisibility};
use poai::ndarray::{Array2, s};
use poai::program::RunShape;
use poai::prover::{Circuit, commit_weights};
use poai::train::iteration::Forward;
use poai::train::{
    Committer, Dataset, FrozenNetwork, Iteration, IterationOptions, JobParameters, Layers,
    Optimiser, Source, TrainingRun, initial,
};
use poai::training_run::{RunParameters, TrainingRules};
use poai::verify::inference::{False, InferenceVerifier};
use poai::verify::trace::{Checker, TraceRules};
use poai::verify::train::{ExportEvidence, RunChecker};
use poai::{Beacon, Job, ProgramId};
use std::sync::Arc;

const JOB: Job = Job([1; 32]);
const BEACON: Beacon = Beacon([2; 32]);
const RULES: TrainingRules = TrainingRules { trace: TraceRules::DEFAULT, iteration_samples: 2 };
const PROVER: Address = Address([3; 20]);

/// A network of some layers after a committed run.
struct Trained {
    run: TrainingRun,
    committer: Committer,
    frozen: FrozenNetwork,
}

fn layers() -> Layers {
    Layers::features(4).linear(6).relu().linear(3)
}

/// Points in four columns, with the number of the largest of the first three.
fn samples() -> (Array2<f32>, Vec<u32>) {
    let number = |(i, j): (usize, usize)| ((i * 37 + j * 101) % 63) as f32 / 64.0;
    let samples = Array2::from_shape_fn((60, 4), number);
    let largest = |row: poai::ndarray::ArrayView1<'_, f32>| {
        (0..3).fold(0, |best, at| if row[at as usize] > row[best as usize] { at } else { best })
    };
    let labels = samples.outer_iter().map(largest).collect();
    (samples, labels)
}

fn trained(initial_seed: u8) -> Trained {
    let (samples, labels) = samples();
    let dataset = Dataset::dense(&layers(), samples.as_slice().unwrap(), &labels).unwrap();
    let (optimiser, batch) = (Optimiser::SGD, 20);
    let rates = (0..12).map(|t| optimiser.rate(0.1, t, batch)).collect();
    let source = Source::Drawn { samples: dataset.count(), rates };
    let options = IterationOptions { optimiser, decay: 0.0, batch, source };
    let iteration = Iteration::new(&layers(), &options).unwrap();
    let first = initial(&iteration, &[initial_seed; 32]).unwrap();
    let job = JobParameters::new(&iteration, &dataset, &first, JOB, &BEACON, 8, &RULES).unwrap();
    let seed = job.seed();
    let mut committer = Committer::new(iteration.network().program(), job).unwrap();
    let device = poai::backend("cpu-scalar").unwrap();
    let mut run = TrainingRun::new(iteration, dataset, first, seed, device.clone()).unwrap();
    while run.done() < run.total() {
        committer.push(&run.trace().unwrap().trace.unwrap()).unwrap();
    }
    let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
    let calibration = &run.dataset().samples().tensor;
    let frozen =
        FrozenNetwork::new(&layers(), run.iteration(), &states, calibration, device).unwrap();
    Trained { run, committer, frozen }
}

/// What a verifier of the run says of the network's program.
fn linked(trained: &Trained) -> ProgramId {
    let Trained { run, committer, frozen } = trained;
    let job = committer.job();
    let parameters = RunParameters { ..job.parameters };
    let program = run.iteration().network().program().clone();
    let (checker, dataset) = (Checker::new(program, RULES.trace), job.dataset.clone());
    let samples = RULES.iteration_samples;
    let checker = RunChecker::new(checker, parameters, dataset, &BEACON, samples).unwrap();
    let committed = committer.trained().unwrap();
    let statement = frozen.statement(committed.root(&parameters));
    let evidence = ExportEvidence {
        states: frozen.states().to_vec(),
        taken: frozen.taken().to_vec(),
        header: frozen.trace().header(),
        outputs: frozen.outputs(),
    };
    let exporter = Checker::new(frozen.plan().exporter().program().clone(), RULES.trace);
    let own = frozen.network().program();
    let found = checker.export(&committed, &exporter, own, &statement, &evidence).unwrap();
    assert_eq!(found.only_untrained(&[]), Ok(()));
    statement.program
}

#[test]
fn an_inference_of_what_was_trained_is_proven() {
    let all = [trained(1), trained(2)];
    // The first network comes from its file.
    let folder = tempfile::tempdir().unwrap();
    save_quantised(&quantised(&all[0].frozen).unwrap(), folder.path()).unwrap();
    let model = Model::stored(folder.path()).unwrap();
    assert_eq!(model.quantised().numbers, Numbers::Standard);
    let circuit = Circuit::new(model.network()).weights(WeightsVisibility::Committed);
    let circuit = circuit.standard().build().unwrap();
    let key = circuit.insecure_single_party_key().unwrap();
    let (samples, _) = samples();
    let input = model.input(&samples.slice(s![3..4, ..]).to_owned()).unwrap();
    let macs = model.network().program().total_macs(&RunShape::new(1, 1));
    let programs = all.each_ref().map(linked);
    assert_ne!(programs[0], programs[1]);
    // One key serves every training of these layers.
    for (trained, program) in all.iter().zip(programs) {
        let network = trained.frozen.network();
        let own = key.for_network(network).unwrap();
        let proven = own.prove(&input, JOB, PROVER).unwrap();
        let verifier = |program| InferenceVerifier::new(program, macs, key.verifying_key().clone());
        let verified = verifier(program).verify(JOB, PROVER, &proven.to_bytes()).unwrap();
        // The proof is about the constants that the run's last state gives, and about no
        // others. The binding alone is the prover's choice.
        let weights = circuit.layout().split(&verified.signals).unwrap().weights;
        let salt = &proven.salts.weights;
        assert_eq!(weights, Some(commit_weights(network, salt).unwrap()));
        for other in all.iter().filter(|other| linked(other) != program) {
            assert_ne!(weights, Some(commit_weights(other.frozen.network(), salt).unwrap()));
            let why = verifier(linked(other)).verify(JOB, PROVER, &proven.to_bytes());
            assert_eq!(why.unwrap_err(), False::Binding.into());
        }
        let device = poai::backend("cpu-scalar").unwrap();
        let session = network.clone().on(device).unwrap();
        let run = session.run((*circuit.run(), vec![input.clone()])).unwrap();
        assert_eq!(run.output.entries(), proven.output.entries());
    }
}

#[test]
fn a_stored_network_gives_the_logits_of_training() {
    let Trained { run, frozen, .. } = trained(1);
    let folder = tempfile::tempdir().unwrap();
    let made = quantised(&frozen).unwrap();
    save_quantised(&made, folder.path()).unwrap();
    let model = Model::stored(folder.path()).unwrap();
    let id = frozen.network().program().program_id();
    assert_eq!(model.network().program().program_id(), id);
    let read = load_quantised(folder.path()).unwrap();
    assert_eq!((&read.inputs, read.output_scale), (&made.inputs, made.output_scale));
    let (samples, _) = samples();
    let output = model.run(&samples).unwrap();
    let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
    let forward = Forward::new(&layers(), poai::backend("cpu-scalar").unwrap()).unwrap();
    let tensor = &run.dataset().samples().tensor;
    let logits = forward.logits(run.iteration(), &states, tensor).unwrap().entries();
    for (own, logit) in output.iter().zip(logits) {
        // Some units of operands of 6 bits, carried on by weights.
        assert!((own - logit as f32 / 65536.0).abs() < 0.1, "{own} and {logit}");
    }
    // Parts that do not fit the program.
    let part = |inputs: Vec<QuantisedInput>, output: [usize; 2], scale: f64| {
        let network = frozen.network().clone();
        match Quantised::from_integers(network, inputs, output, scale, Numbers::Fitted) {
            Err(QuantiseError::Part { field, .. }) => Some(field),
            _ => None,
        }
    };
    let inputs = &made.inputs;
    assert_eq!(part(vec![], [1, 3], 1.0), Some("inputs"));
    assert_eq!(part(inputs.clone(), [1, 4], 1.0), Some("output"));
    assert_eq!(part(inputs.clone(), [1, 3], 0.0), Some("output_scale"));
    let divided = inputs[0].clone().divided(vec![1.0; 3]);
    assert_eq!(part(vec![divided], [1, 3], 1.0), Some("inputs"));
    assert_eq!(part(inputs.clone(), [1, 3], 1.0), None);
    // A stored network whose scales are of another.
    let path = folder.path().join("quantised.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"top\": 63", "\"top\": 16384")).unwrap();
    let refused = load_quantised(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Field { field: "inputs", .. }), "{refused}");
}

/// Images with several channels are stored with their channels last, as datasets have
/// them, and texts have a row of logits for each token.
#[test]
fn every_kind_of_sample_has_a_stored_form() {
    let folder = tempfile::tempdir().unwrap();
    let images = Layers::image(4, 2, 3).conv(2, 3).relu().max_pool(2).flatten().linear(2);
    let numbers: Vec<f32> = (0..24 * 6).map(|i| (i * 5 % 61) as f32 / 64.0).collect();
    let dataset = Dataset::dense(&images, &numbers, &[0, 1, 0, 1, 1, 0]).unwrap();
    let texts = Layers::transformer(7, 4, 8, 1, 2, 8);
    let ids: Vec<u32> = (0..5 * 6).map(|i| i * 3 % 7).collect();
    let text = Dataset::tokens(&texts, &ids).unwrap();
    let ids: Vec<f32> = text.samples().tensor.entries().iter().map(|&id| id as f32).collect();
    for (layers, dataset, numbers) in [(images, dataset, numbers), (texts, text, ids)] {
        let source = Source::Drawn { samples: 6, rates: vec![1] };
        let options = IterationOptions { optimiser: Optimiser::SGD, decay: 0.0, batch: 2, source };
        let iteration = Iteration::new(&layers, &options).unwrap();
        let states = initial(&iteration, &[4; 32]).unwrap().into_iter().map(Arc::new);
        let (states, device): (Vec<_>, _) =
            (states.collect(), poai::backend("cpu-scalar").unwrap());
        let tensor = &dataset.samples().tensor;
        let frozen =
            FrozenNetwork::new(&layers, &iteration, &states, tensor, device.clone()).unwrap();
        save_quantised(&quantised(&frozen).unwrap(), folder.path()).unwrap();
        let model = Model::stored(folder.path()).unwrap();
        let samples = Array2::from_shape_vec((6, numbers.len() / 6), numbers).unwrap();
        let output = model.run(&samples).unwrap();
        let session = frozen.network().clone().on(device).unwrap();
        let run = RunShape::new(6, 1);
        let own = session.run((run, vec![frozen.input(tensor).unwrap()])).unwrap().output;
        let scale = frozen.plan().output_scale();
        let own: Vec<f32> = own.entries().iter().map(|&x| (f64::from(x) * scale) as f32).collect();
        assert_eq!(output.into_iter().collect::<Vec<f32>>(), own);
    }
}
