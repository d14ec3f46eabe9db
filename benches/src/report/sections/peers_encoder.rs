//! A whole encoder in ONNX Runtime, in turns with ours.

use super::peers::{REST, seconds};
use crate::child::Served;
use crate::run::Run;
use poai_benches::Failure;
use poai_benches::encoder::{self, Sizes};
use poai_benches::lines::Section;
use poai_benches::quiet::{Medians, Work, timed};
use poai_engine::Cpu;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/measure-onnx-runtime.py");
/// Time limit of making both models and running each once.
const START: Duration = Duration::from_secs(120);

/// What ONNX Runtime computes in: the word of the script, and one for people.
const KINDS: [(&str, &str); 2] = [("float32", "float32"), ("int8", "dynamic int8")];

/// Compares runs of the encoder of section *Whole networks*.
pub(super) fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let sizes = run.full_or(Sizes::MINILM, Sizes::SMALL);
    let name = format!("{}×{}", sizes.batch, sizes.sequence);
    let mut peer = match start(run, &sizes) {
        Ok(peer) => peer,
        Err(why) => {
            let what = format!("{name} tokens of an encoder in ONNX Runtime");
            section.skipped(format!("encoder-onnxruntime/{name}"), what, why);
            return Ok(());
        }
    };
    let session = encoder::network(&sizes)?.on(Arc::new(Cpu::new()))?;
    let (shape, inputs) = encoder::inputs(&sizes)?;
    let asked = || (shape, inputs.clone());
    let plain = &mut || timed(|| session.run(asked()).map(drop));
    let traced = &mut || timed(|| session.trace(asked()).map(drop));
    let mut times = vec![];
    for (word, kind) in KINDS {
        let theirs = &mut || {
            let time = seconds(&mut peer, word)?;
            std::thread::sleep(REST);
            Ok(time)
        };
        let works: &mut [Work<'_>] = &mut [&mut *plain, &mut *traced, theirs];
        let medians = run.measure_for(Duration::from_secs(20), 7, works)?;
        times.push((kind, word, medians));
    }
    if let Some((_, _, medians)) = times.first() {
        milliseconds(section, "encoder-plain", &format!("{name} tokens, ours"), medians, 0, &name);
        let what = format!("{name} tokens, ours traced");
        milliseconds(section, "encoder-traced", &what, medians, 1, &name);
    }
    for (kind, word, medians) in &times {
        let id = format!("encoder-{word}");
        let what = format!("{name} tokens, ONNX Runtime in {kind}");
        milliseconds(section, &id, &what, medians, 2, &name);
        for (ours, of) in ["plain", "traced"].into_iter().enumerate() {
            let id = format!("encoder-{of}-to-{word}/{name}");
            let what = format!("{name} tokens, speed of ours {of} / ONNX Runtime in {kind}");
            section.figure(id, what, medians.speedup(ours, 2), "", medians.share);
        }
    }
    Ok(())
}

/// Starts the script and waits for its models.
fn start(run: &Run, sizes: &Sizes) -> Result<Served, String> {
    let python = run.python().ok_or("`--python PATH` names no interpreter")?;
    let mut command = Command::new(python);
    command.args([SCRIPT, "--serve", "--threads", &rayon::current_num_threads().to_string()]);
    let Sizes { layers, hidden, intermediate, batch, sequence } = *sizes;
    for (flag, value) in [
        ("--layers", layers),
        ("--hidden", hidden),
        ("--intermediate", intermediate),
        ("--batch", batch),
        ("--sequence", sequence),
    ] {
        command.args([flag, &value.to_string()]);
    }
    let mut peer = Served::start("onnxruntime", &mut command)?;
    peer.line(START)?;
    Ok(peer)
}

fn milliseconds(
    section: &mut Section,
    id: &str,
    what: &str,
    medians: &Medians,
    work: usize,
    name: &str,
) {
    let time = medians.seconds(work) * 1e3;
    section.figure(format!("{id}/{name}"), what, time, "ms", medians.share);
}
