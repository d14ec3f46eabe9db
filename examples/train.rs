//! Trains a network on digits, freezes it, and proves one of its inferences.
//!
//! `cargo run --release --features import,inference,train --example train -- SEED`

use poai::Job;
use poai::execute::Tensor;
use poai::frozen::quantised;
use poai::import::Model;
use poai::inference::Address;
use poai::ndarray::Array2;
use poai::prover::{Circuit, Fixed, Hashed, Public};
use poai::train::iteration::Forward;
use poai::train::run::Loss;
use poai::train::{
    Dataset, FrozenNetwork, Iteration, IterationOptions, Layers, Optimiser, Source, TrainingRun,
    initial,
};
use std::sync::Arc;
use std::time::Instant;

/// Handwritten digits: 64 pixels in 0..=16 and a label. The first line names them.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/poai-cli/data/digits/digits.csv");
/// The last digits test the network.
const TEST: usize = 500;
const CALIBRATION: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A number below 256, of which all bytes of the seed are.
    let seed = std::env::args().nth(1).map_or(Ok(7), |text| text.parse())?;
    let seed = [seed; 32];
    let layers = Layers::image(8, 8, 1).conv(12, 3).relu().max_pool(2);
    let layers = layers.conv(24, 3).relu().max_pool(2).flatten().linear(10);
    let (train, test) = digits(&layers)?;
    let (batch, optimiser) = (32, Optimiser::SGD);
    let iterations = 15 * u64::from(train.count()).div_ceil(u64::from(batch));
    let rate = |t| 0.05 * (1.0 + (std::f64::consts::PI * t as f64 / iterations as f64).cos());
    let rates = (0..iterations).map(|t| optimiser.rate(rate(t), t, batch)).collect();
    let source = Source::Drawn { samples: train.count(), rates };
    let iteration =
        Iteration::new(&layers, &IterationOptions { optimiser, decay: 0.0, batch, source })?;
    let (states, device) = (initial(&iteration, &seed)?, poai::backend("auto")?);
    let mut run = TrainingRun::new(iteration, train, states, seed, device.clone())?;
    while run.done() < run.total() {
        run.step()?;
    }
    let states: Vec<Arc<Tensor>> = run.states().cloned().collect();

    // Exponents are those of some samples. Weights and biases become constants.
    let samples = &run.dataset().samples().tensor;
    let known = &samples.entries()[..64 * CALIBRATION];
    let known = Tensor::new(CALIBRATION, 64, samples.extent().dtype, known)?;
    let frozen = FrozenNetwork::new(&layers, run.iteration(), &states, &known, device.clone())?;
    let model = Model::from(quantised(&frozen)?).on(device.clone());

    let forward = Forward::new(&layers, device)?;
    let (pixels, labels) = (&test.samples().tensor, &test.labels().tensor);
    let trained = forward.evaluate(run.iteration(), &states, pixels, labels)?;
    let numbers: Vec<f32> = pixels.entries().iter().map(|&x| x as f32 / 64.0).collect();
    let images = Array2::from_shape_vec((TEST, 64), numbers)?;
    let own: Vec<i32> =
        model.run(&images)?.iter().map(|&logit| (logit * 65536.0).round() as i32).collect();
    let own = Loss::of(layers.loss(), &own, &labels.entries(), 10);
    println!("training    loss {:.4}, accuracy {:.2} %", trained.mean, 100.0 * trained.accuracy());
    println!("frozen      loss {:.4}, accuracy {:.2} %", own.mean, 100.0 * own.accuracy());

    let circuit =
        Circuit::new(model.network()).input(Hashed).output(Public).weights(Fixed).build()?;
    println!("circuit     {} constraints", circuit.estimate().constraints);
    // For tests only: the maker of this key can forge proofs. Others come from a
    // ceremony: `circuit.ceremony_key("c.zkey")`.
    let key = circuit.insecure_single_party_key()?;
    let (job, prover) = (Job([1; 32]), Address([2; 20]));
    let input = model.input(&images.slice(poai::ndarray::s![..1, ..]).to_owned())?;
    let begin = Instant::now();
    let proof = key.prove(&input, job, prover)?.to_bytes();
    println!("proof       {} bytes in {:.2} s", proof.len(), begin.elapsed().as_secs_f64());
    let verifier = key.verifier();
    let begin = Instant::now();
    let verified = verifier.verify(job, prover, &proof)?;
    let milliseconds = 1e3 * begin.elapsed().as_secs_f64();
    println!("verified    {} signals in {milliseconds:.1} ms", verified.signals.elements().len());
    Ok(())
}

/// The digits that train a network, and those that test it.
fn digits(layers: &Layers) -> Result<(Dataset, Dataset), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(FILE)?;
    let (mut numbers, mut labels) = (vec![], vec![]);
    for line in text.lines().skip(1) {
        let mut fields = line.split(',');
        for field in fields.by_ref().take(64) {
            numbers.push(field.trim().parse::<f32>()? / 16.0);
        }
        labels.push(fields.next().unwrap_or_default().trim().parse()?);
    }
    let first = labels.len() - TEST;
    let train = Dataset::dense(layers, &numbers[..64 * first], &labels[..first])?;
    Ok((train, Dataset::dense(layers, &numbers[64 * first..], &labels[first..])?))
}
