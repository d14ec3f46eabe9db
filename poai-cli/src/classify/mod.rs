//! `poai classify`: samples of a network in a file, or handwritten digits with
//! exact integers. For the digits it reads two trained networks from ONNX,
//! quantises them and compares them with their floats. It runs them with a trace
//! that commits to every value.

mod checks;
mod file;
mod report;

use crate::backend::BackendArgs;
use crate::digits::{self, Digits};
use crate::failure::{EXIT_CODES, Failure};
use crate::fidelity::{Fidelity, Seen};
use crate::network::{self, DataArgs};
use crate::terminal;
use file::From;
use ndarray::ArrayView2;
use poai::execute::{Device, Session};
use poai::import::float;
use poai::import::graph::{Graph, GraphError};
use poai::import::quantise::{Granularity, QuantiseOptions, Quantised};
use poai::program::RunShape;
use report::{Accuracy, Outcome};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The networks: their names and files.
const NETWORKS: [(&str, &[u8]); 2] = [("mlp", digits::MLP), ("cnn", digits::CNN)];

/// How many points of accuracy the integers may lose.
const LOSS_MAX: f64 = 1.0;

/// Classify samples with a network in a file; without a file, classify handwritten digits, commit
/// to every value on the way, and convict a planted fault.
///
/// Without a file it fails if the integers classify more than one point worse than the floats.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// A network in an ONNX file, which classifies the samples of --input. It needs --samples or
    /// --calibration.
    #[arg(value_name = "FILE", groups = ["from_file", "from_onnx"])]
    onnx: Option<PathBuf>,
    /// Use a network that `poai quantise` or `poai run --out` wrote, with its scales.
    #[arg(long, value_name = "FOLDER", group = "from_file", requires = "input")]
    quantised: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// How many of the training digits measure the ranges of activations.
    #[arg(long, value_name = "N", default_value_t = 256, conflicts_with = "from_file", value_parser = clap::value_parser!(u16).range(1..))]
    digits: u16,
    /// One scale for all weights of a layer, instead of one for each channel.
    #[arg(long, conflicts_with = "quantised")]
    per_tensor: bool,
    /// Print one JSON object instead of text.
    #[arg(long, requires = "from_file")]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let from = match (&args.onnx, &args.quantised) {
        (Some(path), _) => Some(From::Onnx(path)),
        (None, Some(folder)) => Some(From::Folder(folder)),
        (None, None) => None,
    };
    if let Some(from) = from {
        return file::run(&from, &args.data, &args.options(), &args.backend, args.json);
    }
    let backend = args.backend.device()?;
    let digits = Digits::bundled()?;
    let mut worse = vec![];
    for (name, file) in NETWORKS {
        let graph = network::read_onnx(name, file)?;
        let quantised = quantise(args, &graph, &digits)?;
        let outcome = classify(name, &graph, &quantised, &digits, &backend)?;
        terminal::print(&outcome.text())?;
        terminal::print(&checks::run(&outcome.trace)?)?;
        let loss = outcome.float.percent() - outcome.integer.percent();
        if loss > LOSS_MAX {
            worse.push(format!(
                "{name}: the integers lose {loss:.2} points of accuracy, more than {LOSS_MAX}"
            ));
        }
    }
    let last = worse.pop();
    worse.iter().for_each(|line| terminal::complain(line));
    last.map_or(Ok(()), |line| Err(Failure::failed(line)))
}

impl Args {
    fn options(&self) -> QuantiseOptions {
        let tensor = self.per_tensor;
        let weights = if tensor { Granularity::PerTensor } else { Granularity::PerChannel };
        QuantiseOptions { weights, ..QuantiseOptions::default() }
    }
}

fn quantise(args: &Args, graph: &Graph, digits: &Digits) -> Result<Quantised, Failure> {
    let count = digits.train.len().min(args.digits.into());
    let samples = digits.train.pixels(graph, count)?;
    Ok(args.data.range.quantise(graph, samples, &args.options())?)
}

/// Runs floats and integers on the test digits.
fn classify<'a>(
    name: &'static str,
    graph: &Graph,
    quantised: &'a Quantised,
    digits: &Digits,
    backend: &Arc<dyn Device>,
) -> Result<Outcome<'a>, Failure> {
    let test = &digits.test;
    let samples: ArrayView2<'_, f32> = test.pixels(graph, test.len())?;
    let floats = float::run(graph, samples)?;
    let float = Accuracy::of(floats.last().ok_or(GraphError::NoLayers)?, &test.labels);

    let session = Session::new(quantised.network.clone(), backend.clone())?;
    let inputs = quantised.quantise_input(samples)?;
    // Exact: there are only a few hundred digits.
    let shape = RunShape::new(test.len() as u32, 1);
    let start = Instant::now();
    let run = session.trace((shape, inputs))?;
    let time = start.elapsed();
    let integer = Accuracy::of(&quantised.dequantise_output(&run.output), &test.labels);
    let compared = quantised.compare(graph, samples)?;
    let clipped = compared.samples.clipped_input;
    let fidelity = Fidelity::new(quantised, Some(compared), clipped, 0, Seen::default());
    Ok(Outcome { name, quantised, fidelity, float, integer, trace: run.trace, time })
}
