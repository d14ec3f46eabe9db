//! Embeds sentences with an integer MiniLM: every product exact, the whole run
//! committed to one trace root, and tickets drawn on the way.
//!
//! `cargo run --release -p example-embed` needs no arguments once
//! `scripts/fetch-minilm.sh` has got the model.
//! Exit codes: 0 all went well, 2 bad arguments, texts or files.

mod audit;
mod failure;
mod model;
mod report;
mod text;

use clap::Parser;
use failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use poai::backends;
use poai_core::{Challenge, Difficulty};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::Device;
use poai_engine::execute::{Mining, Model, Run, RunOptions};
use poai_engine::{Keep, MineOptions};
use poai_import::bert;
use report::{Best, Outcome};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Tokens, padding included, that are embedded at once.
const BATCH_TOKENS: usize = 4096;

/// Embed sentences: their embeddings, the run's trace root, and the tickets
/// that its products drew.
#[derive(Parser)]
struct Args {
    /// The model's directory: model.safetensors, config.json and tokenizer.json
    /// or vocab.txt. By default target/minilm of the repository.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// One sentence a line, `-` for standard input. By default some pairs of
    /// sentences that are compared.
    #[arg(long, value_name = "FILE|-")]
    text: Option<PathBuf>,
    /// Print one JSON object instead of text. Many sentences are several
    /// batches, each with a trace: `trace_roots` has all roots, `trace_root` the
    /// last; MACs, tickets, and audits' bytes and seconds are sums.
    #[arg(long)]
    json: bool,
    /// Cut sentences at so many tokens, the two at their ends included.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(3..=4096))]
    sequence: u16,
    /// The challenge: the hash of a block's header, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value_t = example_challenge())]
    challenge: Challenge,
    /// Expected multiply-accumulates per win, an integer or like 5e9.
    #[arg(long, value_name = "MACS", default_value_t = Difficulty::BLOCK_MIN)]
    difficulty: Difficulty,
    /// Which backend multiplies, by default the fastest; `list` prints them. GPUs are
    /// `cuda`, `cuda:1`, `cuda:0,2` (together) or `cuda:all`, with feature cuda.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

/// The challenge where no chain gives one.
fn example_challenge() -> Challenge {
    Challenge(*blake3::hash(b"poai example challenge").as_bytes())
}

fn main() -> ExitCode {
    let args = Args::parse();
    let printed = run(&args).and_then(|text| {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader that has gone away has read enough.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::Print(error))
            }
            _ => Ok(()),
        }
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(2)
        }
    }
}

/// What is printed.
fn run(args: &Args) -> Result<String, Failure> {
    if args.backend.as_deref() == Some("list") {
        return Ok(backends::list().iter().map(|listed| format!("{listed}\n")).collect());
    }
    let backend: Arc<dyn Device> = match &args.backend {
        Some(name) => backends::by_name(name)?,
        None => Arc::new(Cpu::new()),
    };
    let sentences = text::sentences(args.text.as_deref())?;
    let directory = args.model.clone().unwrap_or_else(model::default_directory);
    let tokeniser = model::tokeniser(&directory, args.sequence.into())?;
    let ids = model::tokenise(&tokeniser, &sentences)?;

    let spinner = ProgressBar::new_spinner().with_message("quantising the model");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let encoder = model::encoder(&directory)?;
    let calibration = model::tokenise(&tokeniser, &text::calibration())?;
    let quantised = encoder.quantise(&calibration, &bert::EncoderOptions::default())?;
    let report = quantised.report;
    let model = Model::new(quantised.network, backend)?;
    spinner.finish_and_clear();

    let mut outcome = Outcome::new(sentences, report, args.text.is_none());
    embed(args, &model, &ids, &mut outcome)?;
    Ok(if args.json { outcome.json().to_string() + "\n" } else { outcome.text() })
}

/// Embeds all sentences, batch by batch.
fn embed(
    args: &Args,
    model: &Model,
    ids: &[Vec<u32>],
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let batches = text::batches(ids, BATCH_TOKENS);
    let steps = model.program().steps().len();
    let bar = ProgressBar::new((batches.len() * steps) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {eta} left") {
        bar.set_style(style);
    }
    let mining = Mining {
        challenge: args.challenge,
        options: MineOptions::new(args.difficulty).keep(Keep::Best),
    };
    for (index, batch) in batches.iter().enumerate() {
        let start = Instant::now();
        let own: Vec<Vec<u32>> = batch.iter().map(|&sentence| ids[sentence].clone()).collect();
        let (shape, inputs) = bert::inputs(&own)?;
        let to = bar.clone();
        let options = RunOptions::new().trace().mine(mining.clone()).progress(move |progress| {
            to.set_position((index * steps + progress.done) as u64);
        });
        let Run { output, trace, mined } = model.run(&shape, inputs, &options)?;
        let columns = output.extent().columns as usize;
        for (&sentence, entries) in batch.iter().zip(output.entries().chunks_exact(columns)) {
            outcome.embeddings[sentence] = report::unit(entries);
        }
        outcome.macs += model.program().total_macs(&shape);
        for step in &mined {
            outcome.tickets += step.found.drawn();
            outcome.won += step.found.won();
            if let Some(winner) = step.found.best()
                && outcome.best.as_ref().is_none_or(|best| winner.ticket < best.ticket)
            {
                let step = model.program().step_of(step.value);
                let step = step.map_or_else(String::new, |step| step.name.clone());
                outcome.best = Some(Best { ticket: winner.ticket, step });
            }
        }
        if let Some(trace) = &trace {
            outcome.trace_roots.push(trace.root());
            outcome.linked += audit::linked(trace, &mined, &args.challenge, args.difficulty)?;
            // A trace keeps every tensor: only one is held at a time.
            outcome.seconds += start.elapsed().as_secs_f64();
            let (bytes, seconds) = audit::audit(trace)?;
            let (all, total) = outcome.audit.unwrap_or_default();
            outcome.audit = Some((all + bytes, total + seconds));
        }
    }
    bar.finish_and_clear();
    Ok(())
}
