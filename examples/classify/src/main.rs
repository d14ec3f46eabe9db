//! Classifies handwritten digits with exact integers: two trained networks are
//! read from ONNX, quantised, measured against their floats, and run with a
//! trace that commits to every value on the way.
//!
//! `cargo run --release -p example-classify` needs no arguments.
//! Exit codes: 0 done, 1 the integers classify more than one point worse than
//! the floats, 2 bad arguments.

mod checks;
mod digits;
mod report;

use clap::Parser;
use digits::Digits;
use ndarray::ArrayView2;
use poai::backends::{self, ChooseError};
use poai_core::program::{RunShape, RunShapeError};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::Device;
use poai_engine::execute::{ExecuteError, Model, OpenError, RunOptions, TensorError, ValueError};
use poai_import::float;
use poai_import::graph::{Graph, GraphError};
use poai_import::onnx::{self, Limits, OnnxError};
use poai_import::quantise::{self, Granularity, QuantiseError, Quantised, RangeMethod};
use poai_verify::trace::TraceError;
use report::{Accuracy, Outcome};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// The networks: their names and files.
const NETWORKS: [(&str, &[u8]); 2] =
    [("mlp", include_bytes!("../data/mlp.onnx")), ("cnn", include_bytes!("../data/cnn.onnx"))];

/// So many points of accuracy the integers may lose.
const LOSS_MAX: f64 = 1.0;

/// Classify handwritten digits with exact integers, and commit to every value
/// on the way.
#[derive(Parser)]
struct Args {
    /// How many of the training digits measure the ranges of activations.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    calibration: u16,
    /// Clip activations beyond this percentile, above 0 and at most 100.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    percentile: f64,
    /// One scale for all weights of a layer, instead of one for each channel.
    #[arg(long)]
    per_tensor: bool,
    /// Which backend multiplies, by default the fastest of the processor; `list`
    /// prints them. GPUs are `cuda`, `cuda:1`, `cuda:0,2` (together) or `cuda:all`,
    /// with feature cuda.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

/// Why the example ends early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the digits: {0}")]
    Digits(#[from] digits::DigitsError),
    #[error("{network}: {source}")]
    Onnx { network: &'static str, source: Box<OnnxError> },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error(transparent)]
    Backend(#[from] ChooseError),
    #[error("the run has no trace, or no product in it")]
    NoTrace,
    #[error(transparent)]
    Run(#[from] RunShapeError),
    #[error(transparent)]
    Prove(#[from] OpenError),
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error(transparent)]
    Check(#[from] TraceError),
    #[error("a wrong tile was not told from a right one")]
    NoFraud,
    #[error("cannot write to stdout: {0}")]
    Output(#[from] std::io::Error),
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(failure) => {
            // Where stderr is closed nobody wants to know.
            _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.backend.as_deref() == Some("list") {
        let lines = backends::list().into_iter().map(|listed| format!("{listed}\n"));
        print(&lines.collect::<String>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let backend: Arc<dyn Device> = match &args.backend {
        Some(name) => backends::by_name(name)?,
        None => Arc::new(Cpu::new()),
    };
    let digits = Digits::bundled()?;
    let mut worse = false;
    for (name, file) in NETWORKS {
        let graph = onnx::read(file, &Limits::default())
            .map_err(|source| Failure::Onnx { network: name, source: Box::new(source) })?;
        let quantised = quantise(args, &graph, &digits)?;
        let outcome = classify(name, &graph, &quantised, &digits, &backend)?;
        print(&outcome.text())?;
        print(&checks::run(&outcome.trace)?)?;
        let loss = outcome.float.percent() - outcome.integer.percent();
        if loss > LOSS_MAX {
            worse = true;
            // Where stderr is closed nobody wants to know.
            _ = writeln!(
                std::io::stderr(),
                "{name}: the integers lose {loss:.2} points of accuracy, more than {LOSS_MAX}"
            );
        }
    }
    Ok(if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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

/// Floats and integers on the test digits.
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

    let model = Model::new(quantised.network.clone(), backend.clone())?;
    let input = quantised.quantise_input(samples)?;
    // Exact: there are a few hundred.
    let shape = RunShape { batch: test.len() as u32, sequence: 1 };
    let start = Instant::now();
    let run = model.run(&shape, vec![input], &RunOptions::new().trace())?;
    let time = start.elapsed();
    let integer = Accuracy::of(&quantised.dequantise_output(&run.output), &test.labels);
    let trace = run.trace.ok_or(Failure::NoTrace)?;
    Ok(Outcome { name, quantised, float, integer, trace, time })
}

/// Prints to stdout. A reader that has gone away has read enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
