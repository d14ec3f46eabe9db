//! `poai classify`: handwritten digits with exact integers. It reads two
//! trained networks from ONNX, quantises them and compares them with their
//! floats. It runs them with a trace that commits to every value.

mod checks;
mod report;

use crate::backend::BackendArgs;
use crate::digits::{self, Digits};
use crate::failure::{EXIT_CODES, Failure};
use crate::{network, terminal};
use ndarray::ArrayView2;
use poai::execute::{Device, Session};
use poai::import::float;
use poai::import::graph::{Graph, GraphError};
use poai::import::quantise::{self, Granularity, Quantised, RangeMethod};
use poai::program::RunShape;
use report::{Accuracy, Outcome};
use std::sync::Arc;
use std::time::Instant;

/// The networks: their names and files.
const NETWORKS: [(&str, &[u8]); 2] = [("mlp", digits::MLP), ("cnn", digits::CNN)];

/// How many points of accuracy the integers may lose.
const LOSS_MAX: f64 = 1.0;

/// Classify handwritten digits with exact integers, commit to every value on the way, and convict
/// a planted fault.
///
/// Fails if the integers classify more than one point worse than the floats.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// How many of the training digits measure the ranges of activations.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    calibration: u16,
    /// Clip activations beyond this percentile, above 0 and at most 100.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    percentile: f64,
    /// One scale for all weights of a layer, instead of one for each channel.
    #[arg(long)]
    per_tensor: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
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

fn quantise(args: &Args, graph: &Graph, digits: &Digits) -> Result<Quantised, Failure> {
    let range = match args.percentile {
        100.0 => RangeMethod::MinMax,
        percent => RangeMethod::Percentile(percent),
    };
    let weights = if args.per_tensor { Granularity::PerTensor } else { Granularity::PerChannel };
    let options =
        quantise::QuantiseOptions { range, weights, ..quantise::QuantiseOptions::default() };
    let count = digits.train.len().min(args.calibration.into());
    let samples = digits.train.pixels(graph, count)?;
    Ok(quantise::quantise(graph, samples, &options)?)
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
    let input = quantised.quantise_input(samples)?;
    // Exact: there are only a few hundred digits.
    let shape = RunShape { batch: test.len() as u32, sequence: 1 };
    let start = Instant::now();
    let run = session.trace((shape, input))?;
    let time = start.elapsed();
    let integer = Accuracy::of(&quantised.dequantise_output(&run.output), &test.labels);
    Ok(Outcome { name, quantised, float, integer, trace: run.trace, time })
}
