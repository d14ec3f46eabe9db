//! What is proven a run of: a network of exact integers and its input.

use crate::digits::Digits;
use crate::failure::Failure;
use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};
use clap::ValueEnum;
use ndarray::{Array2, ArrayView2, s};
use poai_core::inference::WeightsVisibility;
use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape};
use poai_engine::execute::{Constants, Network, Tensor};
use poai_import::graph::Graph;
use poai_import::onnx::{self, Limits};
use poai_import::quantise::{self, Numbers, QuantiseOptions};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MLP: &[u8] = include_bytes!("../../classify/data/mlp.onnx");
const CNN: &[u8] = include_bytes!("../../classify/data/cnn.onnx");
/// How many samples measure the ranges of activations.
const CALIBRATION: usize = 256;
/// Rows, columns and depth of the product.
const PRODUCT: u32 = 64;
/// Bytes of the largest file that is read.
const FILE_MAX: u64 = 1 << 30;

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

/// Where a network and its input come from.
#[derive(Debug)]
pub struct Choice {
    /// Without a file.
    pub model: Bundled,
    /// A file, which goes first.
    pub onnx: Option<PathBuf>,
    /// The file's samples.
    pub samples: Option<PathBuf>,
    /// The first of the samples that are the input.
    pub image: usize,
    /// How many are.
    pub batch: u16,
    /// Committed weights are quantised in standard form, for one key an
    /// architecture.
    pub weights: WeightsVisibility,
    /// But not in standard form: a key of this network's own.
    pub fitted: bool,
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
    /// Whether its numbers are in standard form.
    pub standard: bool,
}

impl Choice {
    /// Reads, quantises, and takes the input.
    ///
    /// # Errors
    /// [`Failure`] names the file and what is wrong with it.
    pub fn subject(&self) -> Result<Subject, Failure> {
        let (name, bytes) = match (&self.onnx, self.model) {
            (Some(path), _) => (path.display().to_string(), read(path)?),
            (None, Bundled::Mlp) => ("mlp".to_owned(), MLP.to_vec()),
            (None, Bundled::Cnn) => ("cnn".to_owned(), CNN.to_vec()),
            (None, Bundled::Product) => return product(),
        };
        let graph = onnx::read(&bytes, &Limits::default())
            .map_err(|source| Failure::Onnx { name: name.clone(), source: Box::new(source) })?;
        match &self.samples {
            Some(path) => {
                let samples = samples(path, &graph)?;
                self.quantised(name, &graph, samples.view(), samples.view())
            }
            None if graph.input.entries() != 64 => {
                Err(Failure::NoSamples { entries: graph.input.entries() })
            }
            None => {
                let digits = Digits::bundled()?;
                let train = digits.train.pixels(&graph, digits.train.len())?;
                let test = digits.test.pixels(&graph, digits.test.len())?;
                self.quantised(name, &graph, train, test)
            }
        }
    }

    /// `known` are the samples that may measure, `new` has the input.
    fn quantised(
        &self,
        name: String,
        graph: &Graph,
        known: ArrayView2<'_, f32>,
        new: ArrayView2<'_, f32>,
    ) -> Result<Subject, Failure> {
        let rows = graph.input.rows();
        let measured = known.nrows().min(CALIBRATION * rows);
        let standard = self.weights == WeightsVisibility::Committed && !self.fitted;
        let numbers = if standard { Numbers::Standard } else { Numbers::Fitted };
        let options = QuantiseOptions { numbers, ..QuantiseOptions::default() };
        let quantised = quantise::quantise(graph, known.slice(s![..measured, ..]), &options)?;
        let (image, batch) = (self.image, usize::from(self.batch));
        let count = new.nrows() / rows;
        let end = image.checked_add(batch).filter(|end| *end <= count);
        let end = end.ok_or(Failure::Image { image, batch, count })?;
        let input = quantised.quantise_input(new.slice(s![image * rows..end * rows, ..]))?;
        let run = RunShape { batch: self.batch.into(), sequence: 1 };
        let network = Arc::new(quantised.network);
        Ok(Subject { name, network, run, input, classifies: true, standard })
    }
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
        standard: false,
    })
}

/// Samples of a network, one a line: its pixels from the top left, the channels
/// of one pixel together.
fn samples(path: &Path, graph: &Graph) -> Result<Array2<f32>, Failure> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let columns = graph.input.entries();
    let mut entries = vec![];
    for (index, line) in text.lines().enumerate() {
        let wrong = || Failure::Sample { path: path.to_owned(), line: index + 1, columns };
        let before = entries.len();
        for field in line.split(',') {
            let entry = field.trim().parse().ok().filter(|entry: &f32| entry.is_finite());
            entries.push(entry.ok_or_else(wrong)?);
        }
        if entries.len() - before != columns {
            return Err(wrong());
        }
    }
    let channels = graph.input.channels.max(1);
    let shape = (entries.len() / channels, channels);
    let wrong = |_| Failure::Sample { path: path.to_owned(), line: 1, columns };
    Array2::from_shape_vec(shape, entries).map_err(wrong)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![];
    let file = File::open(path).map_err(Failure::io(path))?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(Failure::io(path))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(Failure::Large { path: path.to_owned(), limit: FILE_MAX });
    }
    Ok(bytes)
}
