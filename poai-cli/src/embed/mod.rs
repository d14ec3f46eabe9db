//! `poai embed`: embeds sentences with a text encoder in integers. Every
//! product is exact, one trace root commits to the whole run, and its products
//! draw tickets.

mod audit;
mod model;
mod report;
mod text;
mod tokeniser;

use crate::arguments::example_challenge;
use crate::backend::BackendArgs;
use crate::failure::{EXIT_CODES, Failure};
use crate::terminal;
pub use model::TextModel;
use poai::execute::{Device, Mining, RunOptions, Session};
use poai::import::bert::{self, LayerError};
use poai::{Challenge, Difficulty, Keep, MineOptions};
use report::{Best, Outcome};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The number of tokens, including padding, that are embedded at once.
const BATCH_TOKENS: usize = 4096;

/// Embed sentences: their embeddings, the run's trace root, and the tickets that its products drew.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The model's directory, as transformers or sentence-transformers saves a
    /// BERT, DistilBERT, MPNet, RoBERTa or XLM-RoBERTa: config.json, safetensors, a
    /// tokeniser, and optionally modules.json with Pooling, Dense and Normalize.
    /// scripts/fetch-minilm.sh of the repository makes the default.
    #[arg(long, value_name = "DIR", default_value = "target/minilm")]
    model: PathBuf,
    /// One sentence a line, `-` for standard input. By default some pairs of
    /// sentences, which are compared.
    #[arg(long, value_name = "FILE|-")]
    text: Option<PathBuf>,
    /// Print one JSON object instead of text. Many sentences make several
    /// batches, each with a trace: `trace_roots` has all roots, `trace_root`
    /// the last. MACs, tickets, and audits' bytes and seconds are sums.
    #[arg(long)]
    json: bool,
    /// Cut sentences at this many tokens, including the two at their ends. A
    /// model's own limit is never exceeded. By default the number that
    /// sentence_bert_config.json states, or else 256.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=4096))]
    sequence: Option<u16>,
    /// The challenge: the hash of a block's header, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", default_value_t = example_challenge())]
    challenge: Challenge,
    /// Expected multiply-accumulates per win, an integer or a number such as
    /// 5e9.
    #[arg(long, value_name = "MACS", default_value_t = Difficulty::BLOCK_MIN)]
    difficulty: Difficulty,
    #[command(flatten)]
    backend: BackendArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let backend = args.backend.device()?;
    let sentences = text::sentences(args.text.as_deref())?;
    let model = TextModel::load(&args.model, args.sequence.map(usize::from))?;
    let ids = model.tokens(&sentences)?;

    let Prepared { session, report, unit } = prepare(&model, backend)?;
    let mut outcome = Outcome::new(sentences, report, args.text.is_none());
    outcome.of(&model, unit);
    embed(args, &session, &ids, &mut outcome)?;
    terminal::print(&if args.json { outcome.json().to_string() + "\n" } else { outcome.text() })
}

/// A quantised encoder on a backend.
struct Prepared {
    session: Session,
    report: Vec<LayerError>,
    /// The number in the output that represents 1.
    unit: f64,
}

fn prepare(model: &TextModel, backend: Arc<dyn Device>) -> Result<Prepared, Failure> {
    let spinner = terminal::spinner("quantising the model", None);
    let calibration = model.tokens(&text::calibration())?;
    let quantised = model.encoder.quantise(&calibration, &bert::EncoderOptions::default())?;
    let (report, unit) = (quantised.report, quantised.unit);
    let session = quantised.network.on(backend)?;
    spinner.finish_and_clear();
    Ok(Prepared { session, report, unit })
}

/// The embeddings of sentences by the model in a directory, untraced and unmined.
pub fn embeddings(
    directory: &Path,
    backend: Arc<dyn Device>,
    sentences: &[String],
) -> Result<Vec<Vec<f64>>, Failure> {
    let model = TextModel::load(directory, None)?;
    let ids = model.tokens(sentences)?;
    let Prepared { session, unit, .. } = prepare(&model, backend)?;
    let mut outcome = Outcome::new(sentences.to_vec(), vec![], false);
    outcome.of(&model, unit);
    let bar = terminal::bar(sentences.len() as u64, "{pos}/{len} embeddings, {eta} left");
    for batch in text::batches(&ids, BATCH_TOKENS) {
        let own: Vec<Vec<u32>> = batch.iter().map(|&sentence| ids[sentence].clone()).collect();
        let run = session.run(bert::inputs(&own)?)?;
        let columns = run.output.extent().columns as usize;
        for (&sentence, entries) in batch.iter().zip(run.output.entries().chunks_exact(columns)) {
            outcome.embeddings[sentence] = outcome.embedding(entries);
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(outcome.embeddings)
}

/// Embeds all sentences, batch by batch.
fn embed(
    args: &Args,
    session: &Session,
    ids: &[Vec<u32>],
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let batches = text::batches(ids, BATCH_TOKENS);
    let steps = session.program().steps().len();
    let bar = terminal::bar((batches.len() * steps) as u64, "{pos}/{len} steps, {eta} left");
    let mining = Mining {
        challenge: args.challenge,
        options: MineOptions::new(args.difficulty).keep(Keep::Best),
    };
    for (index, batch) in batches.iter().enumerate() {
        let start = Instant::now();
        let own: Vec<Vec<u32>> = batch.iter().map(|&sentence| ids[sentence].clone()).collect();
        let (shape, inputs) = bert::inputs(&own)?;
        let to = bar.clone();
        let options = RunOptions::new().mine(mining.clone()).progress(move |progress| {
            to.set_position((index * steps) as u64 + progress.done);
        });
        let run = session.trace_with((shape, inputs), &options)?;
        let columns = run.output.extent().columns as usize;
        for (&sentence, entries) in batch.iter().zip(run.output.entries().chunks_exact(columns)) {
            outcome.embeddings[sentence] = outcome.embedding(entries);
        }
        outcome.macs += session.program().total_macs(&shape);
        for step in &run.mined {
            outcome.tickets += step.found.drawn();
            outcome.won += step.found.won();
            if let Some(winner) = step.found.best()
                && outcome.best.as_ref().is_none_or(|best| winner.ticket < best.ticket)
            {
                let step = session.program().step_of(step.value);
                let step = step.map_or_else(String::new, |step| step.name.clone());
                outcome.best = Some(Best { ticket: winner.ticket, step });
            }
        }
        outcome.trace_roots.push(run.trace.root());
        outcome.linked += audit::linked(&run.trace, &run.mined, &args.challenge, args.difficulty)?;
        // A trace keeps every tensor, so memory holds only one trace at a time.
        outcome.seconds += start.elapsed().as_secs_f64();
        let (bytes, seconds) = audit::audit(&run.trace)?;
        let (all, total) = outcome.audit.unwrap_or_default();
        outcome.audit = Some((all + bytes, total + seconds));
    }
    bar.finish_and_clear();
    Ok(())
}
