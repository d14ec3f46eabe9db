//! `poai quantise`: makes a network of exact integers once and keeps it with its
//! scales, so that keys and registrations stay good for new inputs.

use crate::failure::{EXIT_CODES, Failure};
use crate::fidelity::{Fidelity, Seen};
use crate::files::NewFolder;
use crate::network::{CALIBRATION, Range, dimension, read_file};
use crate::samples::{SampleArgs, Samples};
use crate::terminal;
use ndarray::s;
use poai::import::onnx::ReadOptions;
use poai::import::quantise::{Granularity, Numbers, QuantiseOptions};
use poai::import::store;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Quantise a network of an ONNX file, and keep it with its scales for `--quantised`.
///
/// The folder has program.poai and constants.safetensors (the network) and quantised.json (its
/// scales, and the errors that calibration measured).
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The network's ONNX file.
    #[arg(value_name = "FILE")]
    onnx: PathBuf,
    /// Samples that measure the ranges of activations: a table of numbers (CSV), JSON, .npy, a PNG
    /// image or a folder of them. The first 256 are used.
    /// A network of several inputs takes one file whose samples hold all inputs, or one
    /// --calibration for each input.
    #[arg(long, value_name = "FILE", required = true)]
    calibration: Vec<PathBuf>,
    /// Fix a symbolic dimension of the network's inputs. A dimension without a name is called
    /// INPUT.AXIS.
    #[arg(long, value_name = "NAME=SIZE", alias = "variables", value_parser = dimension)]
    dimension: Vec<(String, usize)>,
    /// The value of the network's file that is the output; by default its only one.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    #[command(flatten)]
    form: SampleArgs,
    /// How ranges are measured: min-max, a percentile of all magnitudes such as 99.9, or auto,
    /// which takes the one of min-max, 99.99 and 99.9 with the smallest error.
    #[arg(long, value_name = "METHOD", default_value_t = Range::Auto)]
    range: Range,
    /// Use the standard form, which proofs with committed weights need.
    #[arg(long)]
    standard: bool,
    /// One scale for all weights of a layer, instead of one for each channel.
    #[arg(long)]
    per_tensor: bool,
    /// Write the network into this folder, which must not exist yet.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    // A bad place fails before any work.
    let out = NewFolder::new(&args.out)?;
    let name = args.onnx.display().to_string();
    let mut reading = ReadOptions::new();
    for (name, size) in &args.dimension {
        reading = reading.dimension(name, *size);
    }
    if let Some(output) = &args.output {
        reading = reading.output(output);
    }
    let graph = read_file(&args.onnx, &reading)?;
    let Samples { rows, warnings, pixel_scale } =
        args.form.read_all(&args.calibration, &graph.inputs)?;
    let options = QuantiseOptions {
        weights: if args.per_tensor { Granularity::PerTensor } else { Granularity::PerChannel },
        numbers: if args.standard { Numbers::Standard } else { Numbers::Fitted },
        ..QuantiseOptions::default()
    };
    let measured = rows.nrows().min(CALIBRATION);
    let quantised = args.range.quantise(&graph, rows.slice(s![..measured, ..]), &options)?;
    let folder = out.start()?;
    store::save_quantised(&quantised, folder.beside())?;
    folder.finish()?;
    let clipped = quantised.samples.clipped_input;
    let seen = Seen { warnings, pixel_scale };
    let fidelity = Fidelity::new(&quantised, None, clipped, 0, seen);
    let program = quantised.network.program();
    let id = program.program_id();
    if !args.json {
        let head = format!(
            "{name}: {} layers in {} steps\nprogram id  {id}\n",
            quantised.report.len(),
            program.steps().len()
        );
        return terminal::print(&(head + &fidelity.text()));
    }
    let object = json!({
        "model": name,
        "program_id": id,
        "architecture_id": program.architecture_id().to_string(),
        "standard": args.standard,
    });
    let mut object: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
    object.extend(fidelity.json());
    terminal::print(&(Value::Object(object).to_string() + "\n"))
}
