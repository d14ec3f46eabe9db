//! A trained network from a file, ready to run on a device.

use crate::onnx::{OnnxError, ReadOptions};
use crate::quantise::{QuantiseError, QuantiseOptions, Quantised, quantise_with};
use crate::store::{self, StoreError};
use ndarray::{Array, Array2, Axis, Dimension};
use poai_core::control::{Cancelled, Control};
use poai_core::digest::{Beacon, Job, Prover};
use poai_core::program::RunShape;
use poai_core::trace::{Answer, Audit, Demand, Receipt};
use poai_engine::execute::{
    Device, Inputs, MinedStep, Network, OpenError, RunError, RunOptions, Session, Tensor, Trace,
};
use poai_engine::{ChooseError, Cpu};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Why a network was not loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is not a network that this library reads.
    #[error("{}: {source}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: Box<OnnxError>,
    },
    /// The caller cancelled while the network was loaded.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The network was not quantised, or samples do not fit it.
    #[error(transparent)]
    Quantise(QuantiseError),
    /// Samples have another shape than the network's input.
    #[error(
        "expected samples of {expected} numbers each, got {got:?}; put the samples along the first axis"
    )]
    Shape {
        /// The entries of one sample, of all inputs together.
        expected: usize,
        /// The shape of the samples that the caller passed.
        got: Vec<usize>,
    },
    /// The network has several inputs where one is wanted.
    #[error("expected a network of one input, got {0} inputs; use `Model::inputs`")]
    Several(usize),
    /// A stored network was not read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No backend was chosen.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// The network did not run.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<QuantiseError> for ModelError {
    fn from(error: QuantiseError) -> ModelError {
        match error {
            QuantiseError::Cancelled(cancelled) => ModelError::Cancelled(cancelled),
            error => ModelError::Quantise(error),
        }
    }
}

/// A trained network in exact integers, with the scales between its floats and
/// integers, and the device that it runs on.
///
/// Samples are floats of the shape that the file's network takes, with the
/// samples along the first axis: (samples, features), (samples, channels,
/// height, width), and so on. A network of several inputs takes the entries of
/// all inputs in one row, one input after another. It runs on the fastest CPU
/// backend until [`Model::on`] names a device.
#[derive(Clone, Debug)]
pub struct Model {
    quantised: Arc<Quantised>,
    device: Arc<dyn Device>,
    /// The network on the device, from the first run on.
    session: Arc<OnceLock<Session>>,
}

impl Model {
    /// Reads an ONNX file and quantises its network with default options. The
    /// calibration samples measure the ranges of activations: a few hundred
    /// typical inputs.
    ///
    /// # Errors
    /// [`ModelError`] names the file, the layer or the shape, and the problem.
    pub fn load<D: Dimension>(
        path: impl AsRef<Path>,
        calibration: &Array<f32, D>,
    ) -> Result<Model, ModelError> {
        let (options, control) = (QuantiseOptions::default(), Control::new());
        Model::load_with(path, calibration, &options, &control)
    }

    /// As [`Model::load`], with options, progress and cancellation. The unit of
    /// progress is a layer. [`crate::quantise::memory_bytes`] bounds the memory
    /// that it takes, for a graph that was read.
    ///
    /// # Errors
    /// [`ModelError`] names the file, the layer or the shape, and the problem.
    pub fn load_with<D: Dimension>(
        path: impl AsRef<Path>,
        calibration: &Array<f32, D>,
        options: &QuantiseOptions,
        control: &Control,
    ) -> Result<Model, ModelError> {
        let path = path.as_ref();
        let graph = ReadOptions::new()
            .read_file(path)
            .map_err(|source| ModelError::Onnx { path: path.to_owned(), source: source.into() })?;
        let samples = rows(graph.sample_entries(), calibration)?;
        Ok(Model::from(quantise_with(&graph, samples.view(), options, control)?))
    }

    /// Reads a network that [`Model::save`] wrote. It keeps its program id, so
    /// that keys and registrations stay good for new samples.
    ///
    /// # Errors
    /// [`ModelError::Store`] names the file and the problem.
    pub fn stored(directory: impl AsRef<Path>) -> Result<Model, ModelError> {
        Ok(Model::from(store::load_quantised(directory.as_ref())?))
    }

    /// Writes the quantised network and its scales into a directory.
    ///
    /// # Errors
    /// [`ModelError::Store`] if the directory cannot be written.
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<(), ModelError> {
        Ok(store::save_quantised(&self.quantised, directory.as_ref())?)
    }

    /// The same network on another device. Its first run brings it there.
    pub fn on(self, device: Arc<dyn Device>) -> Model {
        Model { device, session: Arc::default(), ..self }
    }

    /// The output for some samples: one row per sample, with the entries in the
    /// order of the file.
    ///
    /// # Errors
    /// [`ModelError`] if the samples do not fit the network, or the device
    /// fails.
    pub fn run<D: Dimension>(&self, samples: &Array<f32, D>) -> Result<Array2<f32>, ModelError> {
        self.run_with(samples, &RunOptions::new())
    }

    /// As [`Model::run`], with options: progress and cancellation.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_with<D: Dimension>(
        &self,
        samples: &Array<f32, D>,
        options: &RunOptions,
    ) -> Result<Array2<f32>, ModelError> {
        let run = self.session()?.run_with(self.inputs(samples)?, options)?;
        Ok(self.quantised.dequantise_output(&run.output))
    }

    /// The output for some samples, and the trace of the run.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn trace<D: Dimension>(
        &self,
        samples: &Array<f32, D>,
    ) -> Result<TracedInference, ModelError> {
        self.trace_with(samples, &RunOptions::new())
    }

    /// As [`Model::trace`], with options: mining, progress and cancellation.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn trace_with<D: Dimension>(
        &self,
        samples: &Array<f32, D>,
        options: &RunOptions,
    ) -> Result<TracedInference, ModelError> {
        let run = self.session()?.trace_with(self.inputs(samples)?, options)?;
        let output = self.quantised.dequantise_output(&run.output);
        Ok(TracedInference { output, trace: run.trace, mined: run.mined })
    }

    /// Samples as the only input of the program, as a proof takes it.
    ///
    /// # Errors
    /// As [`Model::inputs`], or [`ModelError::Several`].
    pub fn input<D: Dimension>(&self, samples: &Array<f32, D>) -> Result<Tensor, ModelError> {
        let rows = rows(self.quantised.sample_entries(), samples)?;
        let tensors = self.quantised.quantise_input(rows.view())?;
        let [only] = <[Tensor; 1]>::try_from(tensors)
            .map_err(|tensors| ModelError::Several(tensors.len()))?;
        Ok(only)
    }

    /// Samples as the program's inputs: rounded, and clipped at the ends of
    /// their types, with the run of as many items.
    ///
    /// # Errors
    /// [`ModelError::Shape`], or [`ModelError::Quantise`] if a sample is not
    /// finite.
    pub fn inputs<D: Dimension>(&self, samples: &Array<f32, D>) -> Result<Inputs, ModelError> {
        let rows = rows(self.quantised.sample_entries(), samples)?;
        let tensors = self.quantised.quantise_input(rows.view())?;
        // Exact: more samples than 2^32 would have no tensor.
        let run = RunShape::new(rows.nrows() as u32, 1);
        Ok((run, tensors).into())
    }

    /// The network on its device. The first call brings it there.
    ///
    /// # Errors
    /// [`ModelError::Run`] if the device does not accept it.
    pub fn session(&self) -> Result<&Session, ModelError> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let session = Session::new(self.network().clone(), self.device.clone())?;
        Ok(self.session.get_or_init(|| session))
    }

    /// The network: the program and its constants.
    pub fn network(&self) -> &Network {
        &self.quantised.network
    }

    /// The quantised network with its scales and the error of each layer.
    pub fn quantised(&self) -> &Quantised {
        &self.quantised
    }
}

impl From<Quantised> for Model {
    fn from(quantised: Quantised) -> Model {
        let session = Arc::default();
        Model { quantised: Arc::new(quantised), device: Arc::new(Cpu::new()), session }
    }
}

/// The output of a traced run as floats, and its trace.
#[derive(Debug)]
#[non_exhaustive]
pub struct TracedInference {
    /// The output: one row per sample, with the entries in the order of the file.
    /// The trace commits to integers; these floats are those times the scale.
    pub output: Array2<f32>,
    /// The trace, which makes receipts, audits, fraud proofs, answers and links.
    pub trace: Trace,
    /// The mining results, one per product, if the caller requested mining.
    pub mined: Vec<MinedStep>,
}

impl TracedInference {
    /// [`Trace::receipt`].
    pub fn receipt(&self, job: Job, prover: Prover) -> Receipt {
        self.trace.receipt(job, prover)
    }

    /// [`Trace::audit`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn audit(&self, receipt: &Receipt, beacon: &Beacon) -> Result<Audit, OpenError> {
        self.trace.audit(receipt, beacon)
    }

    /// [`Trace::answer`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn answer(&self, receipt: &Receipt, demand: &Demand) -> Result<Answer, OpenError> {
        self.trace.answer(receipt, demand)
    }
}

/// Samples as rows of entries.
fn rows<D: Dimension>(expected: usize, samples: &Array<f32, D>) -> Result<Array2<f32>, ModelError> {
    let wrong = || ModelError::Shape { expected, got: samples.shape().to_vec() };
    let count = if samples.ndim() == 0 { 0 } else { samples.len_of(Axis(0)) };
    if count == 0 || samples.len() != count.saturating_mul(expected) {
        return Err(wrong());
    }
    let entries: Vec<f32> = samples.iter().copied().collect();
    Array2::from_shape_vec((count, expected), entries).map_err(|_| wrong())
}
