//! Frozen networks: what they compute beside the forward pass, and of what they are
//! made.

use crate::runs::{finish, layers, points, run};
use poai_core::program::{ConstantId, Dtype, Op, RunShape};
use poai_core::{Root, RunRoot};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Tensor, Trace};
use poai_train::export::{ExportPlan, FrozenExponents, FrozenNetwork, TrainingExportError};
use poai_train::iteration::Forward;
use poai_train::run::Loss;
use poai_train::{
    Dataset, Iteration, IterationOptions, Layers, Optimiser, Source, TrainLayer, TrainLoss,
    TrainingRun, initial,
};
use std::sync::Arc;

/// A run of layers on a dataset, to its end.
fn trained(layers: &Layers, dataset: Dataset, iterations: u64, batch: u32) -> TrainingRun {
    let optimiser = Optimiser::SGD;
    let rates = (0..iterations).map(|t| optimiser.rate(0.1, t, batch)).collect();
    let source = Source::Drawn { samples: dataset.count(), rates };
    let options = IterationOptions { optimiser, decay: 0.0, batch, source };
    let iteration = Iteration::new(layers, &options).unwrap();
    let states = initial(&iteration, &[5; 32]).unwrap();
    let device = Arc::new(Cpu::new().threads(2).unwrap());
    let mut run = TrainingRun::new(iteration, dataset, states, [5; 32], device).unwrap();
    finish(&mut run);
    run
}

fn states(run: &TrainingRun) -> Vec<Arc<Tensor>> {
    run.states().cloned().collect()
}

fn frozen(layers: &Layers, run: &TrainingRun, calibration: &Tensor) -> FrozenNetwork {
    let (states, device) = (states(run), Arc::new(Cpu::new()));
    FrozenNetwork::new(layers, run.iteration(), &states, calibration, device).unwrap()
}

/// The values of a frozen network on rows of a dataset's samples.
fn traced(frozen: &FrozenNetwork, samples: &Tensor) -> Trace {
    let shape = RunShape::new(samples.extent().rows, 1);
    let input = frozen.input(samples).unwrap();
    let session = frozen.network().clone().on(Arc::new(Cpu::new())).unwrap();
    session.trace((shape, vec![input])).unwrap().trace
}

fn logits(frozen: &FrozenNetwork, samples: &Tensor) -> Vec<i32> {
    let trace = traced(frozen, samples);
    trace.value(frozen.network().program().output()).unwrap().entries()
}

fn forward(layers: &Layers, run: &TrainingRun, samples: &Tensor) -> Vec<i32> {
    let forward = Forward::new(layers, Arc::new(Cpu::new())).unwrap();
    forward.logits(run.iteration(), &states(run), samples).unwrap().entries()
}

/// 2^16 stands for 1 in the forward pass's logits.
fn exponent(frozen: &FrozenNetwork) -> u32 {
    let exponent = (frozen.plan().output_scale() * 65536.0).log2();
    assert_eq!(exponent.fract(), 0.0);
    exponent as u32
}

/// How far entries can be from those of the forward pass with the same exponents, in
/// units of the logits.
///
/// The forward pass rounds sum and bias, then the operand. The frozen network rounds
/// the bias in units of the sum, then the operand. So an operand of equal inputs
/// differs by at most 1, and weights carry on what it differs by.
fn bound(frozen: &FrozenNetwork) -> f64 {
    let network = frozen.network();
    let (mut error, constants) = (0f64, network.constants());
    for step in network.program().steps() {
        let Op::Linear { weights, requantise, shifts, .. } = &step.op else { continue };
        let weights = &constants[weights.0 as usize].tensor;
        let columns = weights.extent().columns as usize;
        let sum = |row: &[i32]| row.iter().map(|weight| weight.unsigned_abs()).sum::<u32>();
        let largest = weights.entries().chunks(columns).map(sum).max().unwrap();
        let multiplier = constants[requantise.0 as usize].tensor.entries()[1];
        let scale = f64::from(multiplier) / f64::from(shifts[0]).exp2();
        error = (error * f64::from(largest) * scale).ceil() + 1.0;
    }
    error
}

fn pixels(layers: &Layers, count: usize) -> Dataset {
    let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
    let numbers: Vec<f32> = (0..count * 64).map(number).collect();
    let brighter = |image: &[f32]| image[..32].iter().sum::<f32>() > image[32..].iter().sum();
    let labels: Vec<u32> = numbers.chunks(64).map(|image| u32::from(brighter(image))).collect();
    Dataset::dense(layers, &numbers, &labels).unwrap()
}

fn cnn() -> Layers {
    Layers::image(8, 8, 1).conv(4, 3).relu().max_pool(2).conv(6, 3).relu().max_pool(2)
}

#[test]
fn entries_are_those_of_the_forward_pass_but_for_rounding() {
    let mlp = Layers::features(4).linear(16).relu().linear(8).relu().linear(2);
    let one = Layers::features(4).linear(2);
    let cnn = cnn().flatten().linear(2);
    for (layers, data) in
        [(&one, points(&one, 100)), (&mlp, points(&mlp, 100)), (&cnn, pixels(&cnn, 60))]
    {
        let run = trained(layers, data.clone(), 40, 20);
        // All samples at once, so that the batch's exponents are the frozen ones.
        let samples = &data.samples().tensor;
        let frozen = frozen(layers, &run, samples);
        let (own, other) = (logits(&frozen, samples), forward(layers, &run, samples));
        let unit = f64::from(exponent(&frozen)).exp2();
        let difference =
            |(own, other): (&i32, &i32)| (f64::from(*own) - f64::from(*other) / unit).abs();
        let largest = own.iter().zip(&other).map(difference).fold(0.0, f64::max);
        let bound = bound(&frozen);
        assert!(largest <= bound, "{layers:?}: {largest} units, more than {bound}");
        // The bound says something: logits are far larger.
        let most = own.iter().map(|entry| entry.unsigned_abs()).max().unwrap();
        assert!(f64::from(most) > 20.0 * largest, "{layers:?}: {largest} of {most}");
        assert!(most <= 1 << 14, "{most}");
    }
}

/// Without biases, both round the same sums once.
#[test]
fn a_transformer_gives_the_entries_of_its_forward_pass() {
    let layers = Layers::transformer(11, 8, 16, 2, 2, 32);
    let ids: Vec<u32> = (0..30 * 9u32).map(|i| i.wrapping_mul(2_654_435_761) >> 13).collect();
    let ids: Vec<u32> = ids.iter().map(|id| id % 11).collect();
    let dataset = Dataset::tokens(&layers, &ids).unwrap();
    let run = trained(&layers, dataset.clone(), 12, 10);
    let samples = &dataset.samples().tensor;
    let frozen = frozen(&layers, &run, samples);
    let (own, other) = (logits(&frozen, samples), forward(&layers, &run, samples));
    let exponent = exponent(&frozen);
    assert!(exponent > 0);
    let rounded = |x: &i32| ((i64::from(*x) + (1 << (exponent - 1))) >> exponent) as i32;
    assert_eq!(own, other.iter().map(rounded).collect::<Vec<_>>());
    assert!(own.iter().any(|&entry| entry != 0));
    // Tables of exponentials, places, norms and multipliers are not of the run.
    let constant = |id: &ConstantId| &frozen.network().program().constants()[id.0 as usize];
    let names: Vec<&str> = frozen.trained().iter().map(|id| constant(id).name.as_str()).collect();
    assert_eq!(names[..4], ["tok", "pos", "q0", "k0"]);
    assert!(frozen.untrained().iter().any(|id| constant(id).name.starts_with("exponentials")));
    assert_eq!(frozen.trained().len(), 2 + 2 * 6 + 1);
}

/// One sample's logits are the same in every batch, unlike those of an iteration.
#[test]
fn a_batch_changes_no_entry() {
    let layers = layers();
    let data = points(&layers, 64);
    let run = trained(&layers, data.clone(), 30, 16);
    let samples = &data.samples().tensor;
    let frozen = frozen(&layers, &run, samples);
    let all = logits(&frozen, samples);
    for row in [0usize, 1, 63] {
        let entries = &samples.entries()[4 * row..4 * row + 4];
        let one = Tensor::new(1, 4, Dtype::I8, entries).unwrap();
        assert_eq!(logits(&frozen, &one), all[2 * row..2 * row + 2], "row {row}");
    }
    // An iteration's forward pass has the exponents of its batch.
    let batched = forward(&layers, &run, samples);
    let differs = |(sample, logits): (&[i32], &[i32])| {
        let alone = Tensor::new(1, 4, Dtype::I8, sample).unwrap();
        forward(&layers, &run, &alone) != logits
    };
    assert!(samples.entries().chunks(4).zip(batched.chunks(2)).any(differs));
}

/// The bundled digits of `poai classify`: 64 pixels in 0..=16, and a label.
fn digits(layers: &Layers) -> [Dataset; 2] {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../poai-cli/data/digits/digits.csv");
    let text = std::fs::read_to_string(path).unwrap();
    // The first line names the columns.
    let rows = text.lines().skip(1);
    let rows: Vec<Vec<f32>> =
        rows.map(|line| line.split(',').map(|x| x.trim().parse().unwrap()).collect()).collect();
    let dataset = |rows: &[Vec<f32>]| {
        let numbers: Vec<f32> =
            rows.iter().flat_map(|row| row[..64].iter().map(|x| x / 16.0)).collect();
        let labels: Vec<u32> = rows.iter().map(|row| row[64] as u32).collect();
        Dataset::dense(layers, &numbers, &labels).unwrap()
    };
    let (train, test) = rows.split_at(rows.len() - 500);
    [dataset(train), dataset(test)]
}

#[test]
fn digits_have_the_classes_of_the_forward_pass() {
    let layers = Layers::image(8, 8, 1).conv(6, 3).relu().max_pool(2).flatten().linear(10);
    let [train, test] = digits(&layers);
    let run = trained(&layers, train.clone(), 120, 32);
    let all = train.samples().tensor.entries();
    let calibration = Tensor::new(256, 64, Dtype::I8, &all[..256 * 64]).unwrap();
    let frozen = frozen(&layers, &run, &calibration);
    assert!(frozen.is_standard());
    let samples = &test.samples().tensor;
    let (own, other) = (logits(&frozen, samples), forward(&layers, &run, samples));
    let class = |row: &[i32]| (0..10).max_by_key(|&at| (row[at], 10 - at));
    let same = own.chunks(10).zip(other.chunks(10)).filter(|(a, b)| class(a) == class(b)).count();
    assert!(same >= 495, "{same} of 500 digits have the same class");
    let labels = test.labels().tensor.entries();
    let accuracy =
        |logits: &[i32]| Loss::of(TrainLoss::CrossEntropy, logits, &labels, 10).accuracy();
    let (own, other) = (accuracy(&own), accuracy(&other));
    assert!(own > 0.85 && own > other - 0.01, "{own} of {other}");
}

#[test]
fn layers_and_exponents_decide_both_programs() {
    let layers = layers();
    let mut run = run(Optimiser::ADAM, 20, 1, 1);
    finish(&mut run);
    let frozen = frozen(&layers, &run, &run.dataset().samples().tensor);
    let (plan, outputs) = (frozen.plan(), frozen.outputs());
    let again = ExportPlan::new(&layers, plan.exponents().clone()).unwrap();
    let id = |plan: &ExportPlan, roots: &[Root]| plan.program(roots).unwrap().program_id();
    let own = frozen.network().program().program_id();
    assert_eq!(id(&again, &outputs), own);
    let exporter = |plan: &ExportPlan| plan.exporter().program().program_id();
    assert_eq!(exporter(&again), frozen.trace().header().program);
    // Of each parameter, Adam has two moments.
    assert_eq!(again.taken(run.iteration()).unwrap(), [0, 3, 6, 9]);
    assert_eq!(frozen.taken(), [0, 3, 6, 9]);
    let constant = |id: &ConstantId| frozen.network().constants()[id.0 as usize].tensor.root();
    assert_eq!(frozen.trained().iter().map(constant).collect::<Vec<_>>(), outputs);
    assert_eq!(frozen.untrained(), []);
    let statement = frozen.statement(RunRoot([1; 32]));
    assert_eq!((statement.trace, statement.program), (frozen.trace().root(), own));
    // Other numbers give other programs.
    let mut swapped = outputs.clone();
    swapped.swap(0, 2);
    assert_ne!(id(&again, &swapped), own);
    for at in 0..plan.exponents().operands.len() {
        let mut other = plan.exponents().clone();
        other.operands[at] += 1;
        let other = ExportPlan::new(&layers, other).unwrap();
        assert_ne!((exporter(&other), id(&other, &outputs)), (exporter(plan), own), "{at}");
    }
    let missing = again.program(&outputs[1..]).unwrap_err();
    assert!(matches!(missing, TrainingExportError::Constants { expected: 4, got: 3 }), "{missing}");
}

#[test]
fn what_has_no_frozen_network_is_named() {
    let layers = layers();
    let run = trained(&layers, points(&layers, 20), 2, 4);
    let device = Arc::new(Cpu::new());
    let samples = run.dataset().samples().tensor.clone();
    let new = |layers: &Layers, states: &[Arc<Tensor>], samples: &Tensor| {
        FrozenNetwork::new(layers, run.iteration(), states, samples, device.clone()).unwrap_err()
    };
    let other = Layers::features(4).linear(12).relu().linear(2);
    let why = new(&other, &states(&run), &samples);
    let TrainingExportError::States { expected, got } = &why else { panic!("{why}") };
    assert!(expected.contains("w0 12×4") && got.contains("w0 16×4"), "{why}");
    let few = new(&layers, &states(&run)[1..], &samples);
    assert!(matches!(few, TrainingExportError::States { .. }), "{few}");
    let wide = Tensor::new(1, 5, Dtype::I8, &[1; 5]).unwrap();
    assert!(matches!(new(&layers, &states(&run), &wide), TrainingExportError::Run(_)));
    let exponents = |operands: Vec<i32>, logits| {
        ExportPlan::new(&layers, FrozenExponents { operands, logits }).unwrap_err()
    };
    let why = exponents(vec![0; 2], 0);
    assert!(matches!(why, TrainingExportError::Exponents { expected: 3, got: 2 }), "{why}");
    for (operands, logits, at) in [(vec![0, 32, 0], 0, 1), (vec![0; 3], -1, 3)] {
        let why = exponents(operands, logits);
        assert!(matches!(why, TrainingExportError::Exponent { index, .. } if index == at), "{why}");
    }
    let none =
        ExportPlan::new(&Layers::features(4), FrozenExponents { operands: vec![], logits: 0 });
    assert!(matches!(none.unwrap_err(), TrainingExportError::Layers(_)));
    // A layer without a bias has a multiplier that no state gives.
    let bare = Layers::features(4).layer(TrainLayer::Linear { outputs: 2, bias: false });
    let run = trained(&bare, points(&bare, 20), 2, 4);
    let frozen = frozen(&bare, &run, &samples);
    assert_eq!(
        (frozen.trained(), frozen.untrained()),
        (&[ConstantId(0)][..], &[ConstantId(1)][..])
    );
}

/// Each kind of layer, with parameters of any size: logits differ from those of the
/// forward pass by less than a tenth of the largest.
#[test]
fn every_kind_of_layer_has_a_frozen_network() {
    let sequence = |layers: Layers| layers.layer(TrainLayer::MeanPool).linear(2);
    let encoder = || Layers::sequence(4, 8, 4);
    let joined = TrainLayer::Attention { heads: 2, causal: false, bias: true, joined: true };
    let residual = TrainLayer::Residual(vec![TrainLayer::Conv { outputs: 4, kernel: 3 }]);
    let image = || Layers::image(8, 8, 1).conv(4, 3).relu();
    let average = image().layer(TrainLayer::AveragePool { size: 2 });
    let adapted = TrainLayer::Adapted { outputs: 16, bias: true, rank: 2 };
    let frozen_layer = TrainLayer::Frozen(vec![TrainLayer::Linear { outputs: 8, bias: true }]);
    let features = |layer: TrainLayer| Layers::features(8).linear(16).layer(layer).linear(2);
    let all = [
        features(TrainLayer::Gelu),
        features(TrainLayer::Silu),
        features(TrainLayer::Dropout { part: 64 }),
        Layers::features(8).layer(adapted).relu().linear(2),
        Layers::features(8).layer(frozen_layer).relu().linear(2),
        average.flatten().linear(2),
        image().layer(residual).flatten().linear(2),
        sequence(encoder().encoder_layer(2, 16, 8)),
        sequence(encoder().adapted_encoder_layer(2, 16, 8, 2)),
        sequence(encoder().layer(TrainLayer::Residual(vec![joined]))),
    ];
    let device = Arc::new(Cpu::new());
    let mut failed = vec![];
    for layers in all {
        let source = Source::Given;
        let options = IterationOptions { optimiser: Optimiser::SGD, decay: 0.0, batch: 2, source };
        let iteration = Iteration::new(&layers, &options).unwrap();
        let columns = match layers.sample() {
            poai_train::layers::SampleKind::Features { columns } => columns as usize,
            poai_train::layers::SampleKind::Sequence { length, columns, .. } => {
                (length * columns) as usize
            }
            _ => 64,
        };
        let entry = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 25) as i32 - 64;
        let entries: Vec<i32> = (0..32 * columns).map(|i| entry(i).clamp(-63, 63)).collect();
        let samples = Tensor::new(32, columns, Dtype::I8, &entries).unwrap();
        let states: Vec<Arc<Tensor>> = iteration
            .states()
            .iter()
            .map(|state| {
                let size = (state.rows * state.columns) as usize;
                let entry = |i: usize| entry(i + size) << 17;
                let entries: Vec<i32> = (0..size).map(entry).collect();
                let (rows, columns) = (state.rows as usize, state.columns as usize);
                Arc::new(Tensor::new(rows, columns, Dtype::I32, &entries).unwrap())
            })
            .collect();
        let frozen = FrozenNetwork::new(&layers, &iteration, &states, &samples, device.clone());
        let frozen = match frozen {
            Ok(frozen) => frozen,
            Err(why) => {
                failed.push(format!("{:?}: {why}", layers.layers()));
                continue;
            }
        };
        let own = logits(&frozen, &samples);
        let forward = Forward::new(&layers, device.clone()).unwrap();
        let other = forward.logits(&iteration, &states, &samples).unwrap().entries();
        let unit = f64::from(exponent(&frozen)).exp2();
        let far = own.iter().zip(&other).map(|(a, b)| (f64::from(*a) - f64::from(*b) / unit).abs());
        let far = far.fold(0.0, f64::max);
        let largest = own.iter().map(|entry| entry.unsigned_abs()).max().unwrap();
        if largest < 100 || far > 0.1 * f64::from(largest) {
            failed.push(format!("{:?}: {far} of {largest}", layers.layers()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
