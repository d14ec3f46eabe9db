//! A whole text encoder, on the GPU and on two threads of the same machine.

use crate::turns::{self, Work};
use poai_benches::Failure;
use poai_benches::encoder::{self, Sizes};
use poai_benches::lines::Section;
use poai_core::program::RunShape;
use poai_cuda::Cuda;
use poai_engine::Cpu;
use poai_engine::execute::Device;
use poai_engine::execute::{Network, Session, Tensor};
use poai_import::bert::{self, Encoder};
use std::path::Path;
use std::sync::Arc;

/// CPU threads that the GPU is compared with.
const THREADS: usize = 2;
/// Sequences and tokens of a batch, and of a quick table's batch.
const BATCH: [usize; 2] = [256, 128];
const QUICK_BATCH: [usize; 2] = [2, 8];
const QUICK: Sizes = Sizes { layers: 1, hidden: 64, intermediate: 128, batch: 2, sequence: 16 };
/// The bound of token ids. Any ids below the model's vocabulary work.
const IDS: usize = 20_000;

/// The network from the files of all-MiniLM-L6-v2. Run time does not depend on
/// the token ids, so a batch may have any.
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

/// Measures the encoder of a folder, or reports why it is skipped. Then
/// measures an encoder of its shape with pseudo-random weights.
///
/// # Errors
/// An output that differs from the CPU's, or the driver's error.
pub fn measure(
    cuda: &Cuda,
    folder: Option<&Path>,
    quick: bool,
    repeats: usize,
) -> Result<Section, Failure> {
    let mut section = Section {
        id: "network",
        title: "A text encoder",
        about: "One run of the program without trace and tickets. Inputs and output are on the host, and the host's \
                clock measures it. *On the GPU*: the GPU runs the whole program. *Product by product*: the GPU \
                computes only the products, and the host's threads all other steps. The CPU's run has two threads.",
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
        None => section.skipped(
            "minilm",
            "all-MiniLM-L6-v2",
            "no folder of the model was given; set --minilm",
        ),
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
    // The threads are the pool's: this CPU backend has none of its own.
    let gpu: Arc<dyn Device> = Arc::new(cuda.clone());
    let models = [
        Session::new(network.clone(), gpu.clone())?,
        Session::by_products(network.clone(), gpu)?,
        Session::new(network, Arc::new(Cpu::new()))?,
    ];
    let run = |model: &Session| model.run((shape, inputs.clone()));
    let [on_gpu, by_products, on_threads] = &models;
    if !on_gpu.is_resident() {
        return Err(
            format!("{name}: expected the GPU to run the whole program, but it cannot").into()
        );
    }
    let output = run(on_gpu)?.output;
    let expected = pool.install(|| run(on_threads))?.output;
    if output.entries() != expected.entries() {
        return Err(format!("{name}: the GPU's output differs from the CPU's").into());
    }
    if run(by_products)?.output.entries() != expected.entries() {
        return Err(format!("{name}: the output product by product differs from the CPU's").into());
    }
    let id = |kind: &str| format!("{kind}/{name}");
    let digest = blake3::hash(output.bytes());
    section.digest(id("output"), format!("{name}, hash of the output"), digest.to_string());
    let macs = on_gpu.program().total_macs(&shape) as f64;
    let mut works: Vec<Work<'_>> = vec![
        Box::new(|| Ok(run(on_gpu).map(drop)?)),
        Box::new(|| Ok(run(by_products).map(drop)?)),
        Box::new(|| Ok(pool.install(|| run(on_threads)).map(drop)?)),
    ];
    // The CPU takes seconds per run.
    let repeats = repeats.min(3);
    let times = turns::by_host(repeats, &mut works)?;
    let &[gpu, products, threads] = times.as_slice() else {
        return Err("expected one time per work, got another number".into());
    };
    let share = turns::share(repeats);
    let what = format!("{name}, on the GPU, host included");
    section.figure(id("gpu"), &what, gpu, "ms", share);
    section.figure(id("gpu-rate"), what, macs / gpu / 1e9, "TMAC/s", share);
    let what = format!("{name}, product by product, the steps between on the host");
    section.figure(id("products"), what, products, "ms", share);
    let what = format!("{name}, on {THREADS} threads of the CPU");
    section.figure(id("threads"), what, threads, "ms", share);
    let what = format!("{name}, GPU / {THREADS} threads of the CPU, how many times as fast");
    section.figure(id("to-threads"), what, threads / gpu, "", share);
    Ok(())
}
