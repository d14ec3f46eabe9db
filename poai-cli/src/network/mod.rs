//! The network of exact integers that is run or proven, and its input.
//!
//! - `data`: calibration and input, as options of several subcommands.
//! - `range`: how activations are measured; `product`: no trained network.

mod data;
mod product;
mod range;

pub use data::{CALIBRATION, DataArgs, InputError, dimension};
pub use range::Range;

use crate::digits::{CNN, Digits, MLP};
use crate::failure::Failure;
use crate::fidelity::{self, Fidelity, Seen};
use crate::samples::Samples;
use clap::ValueEnum;
use ndarray::{ArrayView2, s};
use poai::execute::{Network, Tensor};
use poai::import::graph::{Graph, Input};
use poai::import::onnx::{OnnxError, ReadOptions};
use poai::import::quantise::{Numbers, QuantiseOptions, Quantised};
use poai::import::store;
use poai::program::RunShape;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The networks that need no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bundled {
    /// A perceptron that classifies handwritten digits.
    Mlp,
    /// A convolutional network that classifies handwritten digits.
    Cnn,
    /// No network, but a product of two 64×64 matrices, exact in i32. The right
    /// one is the weights.
    Product,
}

/// A network, its calibration and its input: bundled, or from files.
#[derive(clap::Args, Clone, Debug)]
pub struct NetworkArgs {
    /// Which bundled network.
    #[arg(long, value_enum, default_value_t = Bundled::Mlp)]
    pub model: Bundled,
    /// Use a network in an ONNX file instead.
    #[arg(value_name = "FILE", conflicts_with = "model", groups = ["from_file", "from_onnx"])]
    pub file: Option<PathBuf>,
    /// The same, as an option.
    #[arg(long, value_name = "FILE", conflicts_with = "model", groups = ["from_file", "from_onnx"])]
    pub onnx: Option<PathBuf>,
    /// Use a network that `poai quantise` or `poai run --out` wrote, with its scales. It keeps its
    /// program id, so a key stays good for new inputs.
    #[arg(long, value_name = "FOLDER", conflicts_with = "model", group = "from_file")]
    pub quantised: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
}

/// A network and an input.
pub struct Subject {
    /// The name of the model, or of its file.
    pub name: String,
    /// The network.
    pub network: Arc<Network>,
    /// The run.
    pub run: RunShape,
    /// The inputs, one for each of the program's.
    pub inputs: Vec<Tensor>,
    /// The scales of a quantised network and its errors; a bundled product has
    /// none.
    pub quantised: Option<Scaled>,
}

/// A quantised network, and how far it is from its floats.
pub struct Scaled {
    /// The network with its scales.
    pub quantised: Quantised,
    /// The figures for reports.
    pub fidelity: Fidelity,
}

impl NetworkArgs {
    /// Reads and quantises the network. The input is the `batch` samples from
    /// `image` on, or all that follow if there is no `batch`.
    pub fn subject(&self, numbers: Numbers, batch: Option<usize>) -> Result<Subject, Failure> {
        let options = QuantiseOptions { numbers, ..QuantiseOptions::default() };
        if let Some(folder) = &self.quantised {
            return stored(folder, &self.data, numbers, batch);
        }
        let (name, bytes) = match (self.file.as_ref().or(self.onnx.as_ref()), self.model) {
            (Some(path), _) => return from_onnx(path, &self.data, &options, batch),
            (None, Bundled::Mlp) => ("mlp", MLP),
            (None, Bundled::Cnn) => ("cnn", CNN),
            (None, Bundled::Product) => return product::product(),
        };
        let graph = read_onnx(name, bytes)?;
        of_graph(name.to_owned(), graph, &self.data, &options, batch)
    }
}

/// The network of an ONNX file, quantised, with its input.
pub fn from_onnx(
    path: &Path,
    data: &DataArgs,
    options: &QuantiseOptions,
    batch: Option<usize>,
) -> Result<Subject, Failure> {
    let name = path.display().to_string();
    let graph = read_file(path, &data.reading())?;
    of_graph(name, graph, data, options, batch)
}

/// A stored network with its scales, and its input.
pub fn stored(
    folder: &Path,
    data: &DataArgs,
    numbers: Numbers,
    batch: Option<usize>,
) -> Result<Subject, Failure> {
    if folder.is_file() {
        return Err(Failure::in_file(folder)(
            &"expected the folder of a quantised network, got a file; name an ONNX file without \
              --quantised",
        ));
    }
    if folder.is_dir() && !folder.join(store::QUANTISED_FILE).exists() {
        return Err(Failure::in_file(folder)(&format!(
            "expected a folder with {}, got none; make one with `poai quantise`",
            store::QUANTISED_FILE
        )));
    }
    let quantised = store::load_quantised(folder)?;
    if numbers == Numbers::Standard && quantised.numbers != numbers {
        return Err(Failure::in_file(folder)(
            &"expected a network in standard form, as committed weights need, got fitted numbers; \
              quantise it with --standard, or add --fitted",
        ));
    }
    let inputs: Vec<Input> = quantised.inputs.iter().map(|own| own.input.clone()).collect();
    let new = data.new_samples(&inputs)?.ok_or(InputError::NoInput)?;
    let seen = Seen { warnings: new.warnings, pixel_scale: new.pixel_scale };
    finished(folder.display().to_string(), quantised, None, new.rows.view(), data, batch, seen)
}

/// Calibrates a network, and quantises its input.
fn of_graph(
    name: String,
    graph: Graph,
    data: &DataArgs,
    options: &QuantiseOptions,
    batch: Option<usize>,
) -> Result<Subject, Failure> {
    let quantise = |known: ArrayView2<'_, f32>| {
        let measured = known.nrows().min(CALIBRATION);
        data.range.quantise(&graph, known.slice(s![..measured, ..]), options)
    };
    if let Some(Samples { rows: known, warnings, pixel_scale }) =
        data.known_samples(&graph.inputs)?
    {
        let quantised = quantise(known.view())?;
        let mut seen = Seen { warnings, pixel_scale };
        let new = data.new_samples(&graph.inputs)?.map(|new| {
            seen.warnings.extend(new.warnings);
            seen.pixel_scale = seen.pixel_scale.or(new.pixel_scale);
            new.rows
        });
        let new = new.unwrap_or(known);
        return finished(name, quantised, Some(&graph), new.view(), data, batch, seen);
    }
    if data.has_input() {
        return Err(InputError::NoCalibration.into());
    }
    if graph.sample_entries() != 64 {
        return Err(InputError::NoSamples { entries: graph.sample_entries() }.into());
    }
    let digits = Digits::bundled()?;
    let quantised = quantise(digits.train.pixels(&graph, digits.train.len())?)?;
    let test = digits.test.pixels(&graph, digits.test.len())?;
    finished(name, quantised, Some(&graph), test, data, batch, Seen::default())
}

/// The chosen samples as the input, with the figures of both.
fn finished(
    name: String,
    quantised: Quantised,
    graph: Option<&Graph>,
    new: ArrayView2<'_, f32>,
    data: &DataArgs,
    batch: Option<usize>,
    mut seen: Seen,
) -> Result<Subject, Failure> {
    let (image, count) = (data.image, new.nrows());
    let batch = batch.unwrap_or(count.saturating_sub(image).max(1));
    let wrong = InputError::Image { image, batch, count };
    let end = image.checked_add(batch).filter(|end| *end <= count).ok_or(wrong)?;
    let chosen = new.slice(s![image..end, ..]);
    let inputs = quantised.quantise_input(chosen)?;
    let clipped = quantised.clipped_input(chosen);
    let compared = graph.map(|graph| quantised.compare(graph, chosen)).transpose()?;
    seen.warnings.extend(fidelity::far_sizes(&quantised, chosen));
    let fidelity = Fidelity::new(&quantised, compared, clipped, image, seen);
    // Exact: a larger batch would have no tensor, which was made above.
    let run = RunShape::new(batch as u32, 1);
    let network = Arc::new(quantised.network.clone());
    let quantised = Some(Scaled { quantised, fidelity });
    Ok(Subject { name, network, run, inputs, quantised })
}

/// Reads a network from the bytes of an ONNX file.
pub fn read_onnx(name: &str, bytes: &[u8]) -> Result<Graph, Failure> {
    let graph = ReadOptions::new().read(bytes);
    graph.map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// Reads a network from an ONNX file, with the data beside it.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<Graph, Failure> {
    // A folder, or a file of one, is a quantised network.
    let folder = match path.is_dir() {
        true => Some(path),
        false => path.parent().filter(|_| path.file_name().is_some_and(of_store)),
    };
    if let Some(folder) = folder {
        let why = match folder.join(store::QUANTISED_FILE).is_file() {
            true => "a quantised network; name its folder with --quantised",
            false if folder.join(store::PROGRAM_FILE).is_file() => {
                "a stored program; name its folder with --stored of `poai run`"
            }
            false if path.is_dir() => "a folder; name the file",
            false => "another file; name the network's .onnx file",
        };
        return Err(Failure::in_file(path)(&format!("expected an ONNX file, got {why}")));
    }
    options.read_file(path).map_err(|why| Failure::in_file(path)(&hinted(&why)))
}

/// Whether a file is called as those of a stored network are.
fn of_store(name: &std::ffi::OsStr) -> bool {
    [store::QUANTISED_FILE, store::PROGRAM_FILE, store::CONSTANTS_FILE]
        .iter()
        .any(|own| name == *own)
}

/// What a reader's error asks for, as options of this program.
pub fn hinted(why: &OnnxError) -> String {
    match why {
        OnnxError::Outputs { .. } => format!("{why} with --output NAME"),
        OnnxError::Symbolic { symbols, .. } => {
            let flags: Vec<String> =
                symbols.iter().map(|symbol| format!("--dimension {symbol}=SIZE")).collect();
            format!("{why}: {}", flags.join(" "))
        }
        OnnxError::Batch { symbols, .. } => {
            let flags = |size: &str| -> String {
                let flags = symbols.iter().map(|symbol| format!("--dimension {symbol}={size}"));
                flags.collect::<Vec<_>>().join(" ")
            };
            format!("{why}: {} or {}", flags("1"), flags("SIZE"))
        }
        OnnxError::Output { .. } | OnnxError::UnknownOutput { .. } => {
            format!("{why} with --output NAME")
        }
        OnnxError::Unsupported { before: Some(value), .. } => {
            format!("{why} with --output {}", crate::terminal::name(value))
        }
        _ => why.to_string(),
    }
}
