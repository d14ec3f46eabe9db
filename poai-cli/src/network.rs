//! What is run or proven: a network of exact integers and its input.

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

/// How many samples measure the ranges of activations.
const CALIBRATION: usize = 256;
/// Rows, columns and depth of the product.
const PRODUCT: u32 = 64;

/// The networks that need no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bundled {
    /// A perceptron that knows handwritten digits.
    Mlp,
    /// A convolutional network that does.
    Cnn,
    /// No network: a product of two 64×64 matrices, exact in i32, whose right
    /// one is the weights.
    Product,
}

/// A network and its samples: bundled, or of files.
#[derive(clap::Args, Clone, Debug)]
pub struct NetworkArgs {
    /// Which bundled network.
    #[arg(long, value_enum, default_value_t = Bundled::Mlp)]
    pub model: Bundled,
    /// A network in an ONNX file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub onnx: Option<PathBuf>,
    /// Its samples, one a line of numbers separated by commas: pixels from the
    /// top left, the channels of one pixel together. They measure the ranges of
    /// activations and hold the input. By default the bundled digits.
    #[arg(long, value_name = "FILE", requires = "onnx")]
    pub samples: Option<PathBuf>,
    /// Which sample is the input, counted from 0: by default of the digits that
    /// no network was trained with.
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
    /// A line that is no sample.
    #[error("{}: line {line} is not {columns} finite numbers separated by commas", path.display())]
    Sample {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The numbers of a sample.
        columns: usize,
    },
    /// The bundled digits are no input of the network.
    #[error(
        "the network's input is no image of a digit ({entries} entries): --samples has to \
             name a file of samples"
    )]
    NoSamples {
        /// The entries of the network's input.
        entries: usize,
    },
    /// There are fewer samples than the caller asks for.
    #[error("--image {image} with --batch {batch}: there are {count} samples")]
    Image {
        /// The first sample.
        image: usize,
        /// How many samples.
        batch: usize,
        /// How many samples there are.
        count: usize,
    },
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Failure {
        Failure::usage(error)
    }
}

impl NetworkArgs {
    /// Reads and quantises the network, and takes `batch` samples from `image`
    /// on as the input, or else all that follow.
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

    /// The `known` samples may measure, the `new` ones have the input.
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
        // Exact: a batch of more items has no tensor, which the line above made.
        let run = RunShape { batch: batch as u32, sequence: 1 };
        Ok(Subject { name, network: Arc::new(quantised.network), run, input, classifies: true })
    }
}

/// Reads a network from the bytes of an ONNX file.
pub fn read_onnx(name: &str, bytes: &[u8]) -> Result<Graph, Failure> {
    let graph = onnx::read(bytes, &Limits::default());
    graph.map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// A product of two matrices of entries from −63 to 63, always the same ones.
fn product() -> Result<Subject, Failure> {
    let mut rng = StdRng::seed_from_u64(1);
    let size = PRODUCT as usize;
    let mut matrix = || (0..size * size).map(|_| rng.gen_range(-63..=63)).collect::<Vec<i32>>();
    let (x, entries) = (matrix(), matrix());
    let side = Dim::fixed(PRODUCT);
    let mut builder = Builder::new(&[Form::new(side, side, Dtype::I8)]);
    let mut constants = Constants::default();
    let weights = constants.add(&mut builder, "weights", (size, size), Dtype::I8, &entries)?;
    // No bias, and times one: sums stay as they are.
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

/// Samples of a network, one a line: its pixels from the top left, the channels
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
