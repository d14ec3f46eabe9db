//! `poai run`: executes a network of exact integers, with or without a trace,
//! and writes files that others verify.

mod report;
mod traced;
mod work;

use crate::backend::BackendArgs;
use crate::failure::{EXIT_CODES, Failure};
use crate::files::NewFolder;
use crate::network::NetworkArgs;
use crate::rules::RulesArgs;
use crate::terminal;
use poai::execute::RunOptions;
use poai::import::quantise::Numbers;
use poai::{Beacon, Job, Prover};
use report::Report;
use std::path::PathBuf;
use std::time::Instant;
use traced::{Named, Traced};
use work::Work;

/// Run a network: an ONNX file, a stored program or a bundled one; commit to every value with --trace.
///
/// With --out FOLDER it writes program.poai and constants.safetensors (the network),
/// quantised.json (its scales), input-0.csv and so on (its inputs) and output.csv, all of integers; with --trace, too,
/// header.bin, audit.bin, receipt.bin, with --fault fraud.bin, with --demand demand.bin and answer.bin.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// How many samples the input holds, from --image on; by default all that follow.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Run a stored program on integers instead: the folder that holds program and constants. Each
    /// --input then has one input of the program, in its order: integers separated by commas, one
    /// row a line.
    #[arg(
        long,
        value_name = "FOLDER",
        group = "from_file",
        requires = "input",
        conflicts_with_all = ["model", "samples", "calibration", "image", "batch", "range", "layout", "pixel_scale"]
    )]
    stored: Option<PathBuf>,
    /// The tokens of each item, if the stored program has tokens.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "stored", value_parser = clap::value_parser!(u32).range(1..))]
    sequence: u32,
    #[command(flatten)]
    backend: BackendArgs,
    /// Commit to every value of the run, audit the trace, and make a receipt.
    #[arg(long)]
    trace: bool,
    /// The beacon that draws the audit's tiles, fixed after the receipt was published. By
    /// default the trace root itself, under which a prover that hashes 2^g traces escapes 2^g times
    /// as often.
    #[arg(long, value_name = "HEX", requires = "trace")]
    beacon: Option<Beacon>,
    #[command(flatten)]
    rules: RulesArgs,
    /// The requester's name for the job, in the receipt.
    #[arg(long, value_name = "HEX", requires = "trace", default_value_t)]
    job: Job,
    /// The prover's name, in the receipt.
    #[arg(long, value_name = "HEX", requires = "trace", default_value_t)]
    prover: Prover,
    /// Answer a demand to open a tile of the trace. With --out, demand.bin and
    /// answer.bin are written.
    #[arg(long, value_name = "VALUE:TILE", requires = "trace", value_parser = place)]
    demand: Option<(u32, u64)>,
    /// Commit to one wrong entry of the first product, and make its fraud proof, to try audits and
    /// fraud proofs.
    #[arg(long, requires = "trace")]
    fault: bool,
    /// Write the files into this folder, which must not exist yet.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// A value and one of its tiles.
fn place(text: &str) -> Result<(u32, u64), String> {
    let parts = text.split_once(':');
    let place = parts.and_then(|(value, tile)| Some((value.parse().ok()?, tile.parse().ok()?)));
    place.ok_or_else(|| format!("expected VALUE:TILE, two numbers, got {text}"))
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let rules = args.rules.rules()?;
    // A bad place fails before any work.
    let out = args.out.as_deref().map(NewFolder::new).transpose()?;
    let backend = args.backend.device()?;
    let Work { name, network, shape, inputs, quantised } = work(args)?;
    let session = network.on(backend)?;
    let bar = terminal::bar(session.program().steps().len() as u64, "{pos}/{len} steps");
    let to = bar.clone();
    let options = RunOptions::new().progress(move |at| to.set_position(at.done));
    let asked = (shape, inputs.clone());
    let start = Instant::now();
    let (output, trace) = match args.trace {
        true => {
            let run = session.trace_with(asked, &options)?;
            (run.output, Some(run.trace.with_rules(rules)))
        }
        false => (session.run_with(asked, &options)?.output, None),
    };
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let Args { job, prover, beacon, demand, .. } = *args;
    let named = Named { job, prover, beacon, demand };
    let traced = trace.map(|trace| Traced::new(trace, &named, args.fault));
    let report = Report {
        name,
        network: session.network(),
        shape,
        quantised: quantised.as_ref(),
        backend: session.device().name(),
        output: &output,
        traced: traced.transpose()?,
        seconds,
    };
    if let Some(out) = out {
        report.write(&inputs, out)?;
    }
    let text = if args.json { report.json().to_string() + "\n" } else { report.text() };
    terminal::print(&text)
}

fn work(args: &Args) -> Result<Work, Failure> {
    if let Some(folder) = &args.stored {
        return Work::stored(folder, &args.network.data.input, args.sequence);
    }
    let batch = args.batch.map(|batch| batch as usize);
    Ok(args.network.subject(Numbers::Fitted, batch)?.into())
}
