//! A whole text encoder, on the card and on two threads of the same machine.

use crate::turns::{self, Work};
use poai_benches::Failure;
use poai_benches::encoder::{self, Sizes};
use poai_benches::lines::Section;
use poai_core::program::RunShape;
use poai_cuda::Cuda;
use poai_engine::Cpu;
use poai_engine::execute::Device;
use poai_engine::execute::{Model, Network, RunOptions, Tensor};
use poai_import::bert::{self, Encoder};
use std::path::Path;
use std::sync::Arc;

/// Threads that the card is held against.
const THREADS: usize = 2;
/// What a batch is, sequences by tokens, and a quick table's.
const BATCH: [usize; 2] = [256, 128];
const QUICK_BATCH: [usize; 2] = [2, 8];
const QUICK: Sizes = Sizes { layers: 1, hidden: 64, intermediate: 128, batch: 2, sequence: 16 };
/// Token ids of the model; any below its vocabulary do.
const IDS: usize = 20_000;

/// The network of all-MiniLM-L6-v2's files, and a batch of token ids for it:
/// how long a run takes does not depend on which they are.
fn minilm(folder: &Path) -> Result<Network, Failure> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let encoder = Encoder::read(&read("model.safetensors")?, &read("config.json")?)?;
    let calibration: Vec<Vec<u32>> = vec![(0..48).map(|token| 1000 + token * 37).collect()];
    Ok(encoder.quantise(&calibration, &bert::EncoderOptions::default())?.network)
}

fn batch([sequences, tokens]: [usize; 2]) -> Result<(RunShape, Vec<Tensor>), Failure> {
    let id = |item: usize, token: usize| ((item * 131 + token * 17) % IDS) as u32;
    let sequence = |item| (0..tokens).map(|token| id(item, token)).collect();
    Ok(bert::inputs(&(0..sequences).map(sequence).collect::<Vec<_>>())?)
}

/// Measures the encoder of a folder, or says why it does not, and measures one
/// of its shape with pseudo-random weights.
///
/// # Errors
/// An output that is not the CPU's, or what the driver reports.
pub fn measure(
    cuda: &Cuda,
    folder: Option<&Path>,
    quick: bool,
    repeats: usize,
) -> Result<Section, Failure> {
    let mut section = Section {
        id: "network",
        title: "A text encoder",
        about: "One run of the program, inputs on the host and output on the host, by the host's clock: no trace, no \
                tickets. *On the card* the whole program runs there; *product by product* the card has the products \
                alone and the host's threads all other steps. The CPU's run has two threads for all of it.",
        ..Section::default()
    };
    let of = if quick { QUICK_BATCH } else { BATCH };
    let [sequences, tokens] = of;
    match folder {
        Some(folder) if folder.join("model.safetensors").exists() => {
            let name = format!("all-MiniLM-L6-v2, {sequences}×{tokens}");
            one(cuda, &name, minilm(folder)?, batch(of)?, repeats, &mut section)?;
            return Ok(section);
        }
        Some(folder) => section.skipped(
            "minilm",
            "all-MiniLM-L6-v2",
            format!("{} has no model.safetensors", folder.display()),
        ),
        None => section.skipped("minilm", "all-MiniLM-L6-v2", "no folder of the model was named"),
    }
    let sizes = match quick {
        true => QUICK,
        false => Sizes { batch: sequences, sequence: tokens, ..Sizes::MINILM },
    };
    let name = format!(
        "{} layers of {} columns with pseudo-random weights, {}×{}",
        sizes.layers, sizes.hidden, sizes.batch, sizes.sequence
    );
    let network = encoder::network(&sizes)?;
    one(cuda, &name, network, encoder::inputs(&sizes)?, repeats, &mut section)?;
    Ok(section)
}

fn one(
    cuda: &Cuda,
    name: &str,
    network: Network,
    (shape, inputs): (RunShape, Vec<Tensor>),
    repeats: usize,
    section: &mut Section,
) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    // Those of the pool: the CPU backend has none of its own.
    let card: Arc<dyn Device> = Arc::new(cuda.clone());
    let models = [
        Model::new(network.clone(), card.clone())?,
        Model::by_products(network.clone(), card)?,
        Model::new(network, Arc::new(Cpu::new()))?,
    ];
    let run = |model: &Model| model.run(&shape, inputs.clone(), &RunOptions::new());
    let [on_card, by_products, on_threads] = &models;
    if !on_card.is_resident() {
        return Err(format!("{name}: the card does not run the whole program").into());
    }
    let output = run(on_card)?.output;
    let expected = pool.install(|| run(on_threads))?.output;
    if output.entries() != expected.entries() {
        return Err(format!("{name}: the card's output is not the CPU's").into());
    }
    if run(by_products)?.output.entries() != expected.entries() {
        return Err(format!("{name}: the output product by product is not the CPU's").into());
    }
    let id = |kind: &str| format!("{kind}/{name}");
    let digest = blake3::hash(output.bytes());
    section.digest(id("output"), format!("{name}, hash of the output"), digest.to_string());
    let macs = on_card.program().total_macs(&shape) as f64;
    let mut works: Vec<Work<'_>> = vec![
        Box::new(|| Ok(run(on_card).map(drop)?)),
        Box::new(|| Ok(run(by_products).map(drop)?)),
        Box::new(|| Ok(pool.install(|| run(on_threads)).map(drop)?)),
    ];
    // The CPU takes seconds.
    let repeats = repeats.min(3);
    let times = turns::by_host(repeats, &mut works)?;
    let &[card, products, threads] = times.as_slice() else {
        return Err("as many times as works".into());
    };
    let share = turns::share(repeats);
    let what = format!("{name}, on the card, host included");
    section.figure(id("card"), &what, card, "ms", share);
    section.figure(id("card-rate"), what, macs / card / 1e9, "TMAC/s", share);
    let what = format!("{name}, product by product, the steps between on the host");
    section.figure(id("products"), what, products, "ms", share);
    let what = format!("{name}, on {THREADS} threads of the CPU");
    section.figure(id("threads"), what, threads, "ms", share);
    let what = format!("{name}, card / {THREADS} threads of the CPU, how many times as fast");
    section.figure(id("to-threads"), what, threads / card, "", share);
    Ok(())
}
