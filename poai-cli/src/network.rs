//! The network of exact integers that is run or proven, and its input.

use crate::digits::{CNN, Digits, MLP};
use crate::failure::Failure;
use crate::files;
use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};
use clap::ValueEnum;
use ndarray::{Array2, ArrayView2, s};
use poai::execute::{Constants, Network, Tensor};
use poai::import::graph::Graph;
use poai::import::onnx::{self, Limits};
use poai::import::quantise::{self, Numbers, QuantiseOptions};
use poai::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of samples that measure the ranges of activations.
const CALIBRATION: usize = 256;
/// Rows, columns and depth of the product.
const PRODUCT: u32 = 64;

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

/// A network and its samples: bundled, or from files.
#[derive(clap::Args, Clone, Debug)]
pub struct NetworkArgs {
    /// Which bundled network.
    #[arg(long, value_enum, default_value_t = Bundled::Mlp)]
    pub model: Bundled,
    /// Use a network in an ONNX file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub onnx: Option<PathBuf>,
    /// Its samples, one a line of numbers separated by commas: pixels from the
    /// top left, the channels of one pixel together. They measure the ranges of
    /// activations and hold the input. By default the bundled digits.
    #[arg(long, value_name = "FILE", requires = "onnx")]
    pub samples: Option<PathBuf>,
    /// The index of the input sample, counted from 0. By default it counts the
    /// digits that no network was trained with.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub image: usize,
}

/// A network and an input.
pub struct Subject {
    /// The name of the model, or of its file.
    pub name: String,
    /// The network.
    pub network: Arc<Network>,
    /// The run.
    pub run: RunShape,
    /// The input.
    pub input: Tensor,
    /// Whether the largest output of a row is a class.
    pub classifies: bool,
}

/// Why a network has no input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A line is not a sample.
    #[error("{}: line {line} is not {columns} finite numbers separated by commas", path.display())]
    Sample {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The numbers of a sample.
        columns: usize,
    },
    /// The bundled digits do not fit the network's input.
    #[error(
        "expected an image of a digit as the network's input, got {entries} entries; \
             name a file of samples with --samples"
    )]
    NoSamples {
        /// The entries of the network's input.
        entries: usize,
    },
    /// The caller asks for more samples than there are.
    #[error("--image {image} with --batch {batch}: there are {count} samples")]
    Image {
        /// The first sample.
        image: usize,
        /// The number of samples asked for.
        batch: usize,
        /// The number of samples that exist.
        count: usize,
    },
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Failure {
        Failure::usage(error)
    }
}

impl NetworkArgs {
    /// Reads and quantises the network. The input is the `batch` samples from
    /// `image` on, or all that follow if there is no `batch`.
    pub fn subject(&self, numbers: Numbers, batch: Option<usize>) -> Result<Subject, Failure> {
        let (name, bytes) = match (&self.onnx, self.model) {
            (Some(path), _) => (path.display().to_string(), files::read(path, files::FILE_MAX)?),
            (None, Bundled::Mlp) => ("mlp".to_owned(), MLP.to_vec()),
            (None, Bundled::Cnn) => ("cnn".to_owned(), CNN.to_vec()),
            (None, Bundled::Product) => return product(),
        };
        let graph = read_onnx(&name, &bytes)?;
        match &self.samples {
            Some(path) => {
                let samples = samples(path, &graph)?;
                self.quantised(name, &graph, numbers, batch, [samples.view(), samples.view()])
            }
            None if graph.input.entries() != 64 => {
                Err(InputError::NoSamples { entries: graph.input.entries() }.into())
            }
            None => {
                let digits = Digits::bundled()?;
                let train = digits.train.pixels(&graph, digits.train.len())?;
                let test = digits.test.pixels(&graph, digits.test.len())?;
                self.quantised(name, &graph, numbers, batch, [train, test])
            }
        }
    }

    /// The `known` samples measure the ranges; the `new` ones hold the input.
    fn quantised(
        &self,
        name: String,
        graph: &Graph,
        numbers: Numbers,
        batch: Option<usize>,
        [known, new]: [ArrayView2<'_, f32>; 2],
    ) -> Result<Subject, Failure> {
        let rows = graph.input.rows();
        let measured = known.nrows().min(CALIBRATION * rows);
        let options = QuantiseOptions { numbers, ..QuantiseOptions::default() };
        let quantised = quantise::quantise(graph, known.slice(s![..measured, ..]), &options)?;
        let (image, count) = (self.image, new.nrows() / rows);
        let batch = batch.unwrap_or(count.saturating_sub(image).max(1));
        let wrong = InputError::Image { image, batch, count };
        let end = image.checked_add(batch).filter(|end| *end <= count).ok_or(wrong)?;
        let input = quantised.quantise_input(new.slice(s![image * rows..end * rows, ..]))?;
        // Exact: a larger batch would have no tensor, which the line above
        // made.
        let run = RunShape { batch: batch as u32, sequence: 1 };
        Ok(Subject { name, network: Arc::new(quantised.network), run, input, classifies: true })
    }
}

/// Reads a network from the bytes of an ONNX file.
pub fn read_onnx(name: &str, bytes: &[u8]) -> Result<Graph, Failure> {
    let graph = onnx::read(bytes, &Limits::default());
    graph.map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// A product of two fixed matrices of entries from −63 to 63.
fn product() -> Result<Subject, Failure> {
    let mut rng = StdRng::seed_from_u64(1);
    let size = PRODUCT as usize;
    let mut matrix = || (0..size * size).map(|_| rng.gen_range(-63..=63)).collect::<Vec<i32>>();
    let (x, entries) = (matrix(), matrix());
    let side = Dim::fixed(PRODUCT);
    let mut builder = Builder::new(&[Form::new(side, side, Dtype::I8)]);
    let mut constants = Constants::default();
    let weights = constants.add(&mut builder, "weights", (size, size), Dtype::I8, &entries)?;
    // No bias, and a factor of one: sums stay unchanged.
    let same = [0, 1, 0].repeat(size);
    let requantise = constants.add(&mut builder, "same", (size, 3), Dtype::I32, &same)?;
    let clamp = Clamp::full(Dtype::I32);
    let op = Op::Linear { weights, requantise, shifts: [0; 3], clamp };
    let input = builder.input(0);
    builder.step("product", op, &[input])?;
    let network = Network::new(builder.finish()?, constants.into_tensors())?;
    Ok(Subject {
        name: "product".to_owned(),
        network: Arc::new(network),
        run: RunShape { batch: 1, sequence: 1 },
        input: Tensor::new(size, size, Dtype::I8, &x)?,
        classifies: false,
    })
}

/// The samples of a network, one a line: pixels from the top left, the channels
/// of one pixel together.
fn samples(path: &Path, graph: &Graph) -> Result<Array2<f32>, Failure> {
    let bytes = files::read(path, files::FILE_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let columns = graph.input.entries();
    let mut entries = vec![];
    for (index, line) in text.lines().enumerate() {
        let wrong = || InputError::Sample { path: path.to_owned(), line: index + 1, columns };
        let before = entries.len();
        for field in line.split(',') {
            let entry = field.trim().parse().ok().filter(|entry: &f32| entry.is_finite());
            entries.push(entry.ok_or_else(wrong)?);
        }
        if entries.len() - before != columns {
            return Err(wrong().into());
        }
    }
    let channels = graph.input.channels.max(1);
    let shape = (entries.len() / channels, channels);
    let wrong = |_| InputError::Sample { path: path.to_owned(), line: 1, columns };
    Ok(Array2::from_shape_vec(shape, entries).map_err(wrong)?)
}
