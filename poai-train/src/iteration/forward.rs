//! The forward pass alone, which evaluates states on samples.

use super::plan::Plan;
use super::{Iteration, Source};
use crate::error::LayersError;
use crate::layers::{Layers, SampleKind, TrainLoss};
use crate::run::Loss;
use crate::tape::{Exponents, Parameter, Tape};
use poai_core::program::{Builder, Dim, Dtype, Form, RunShape};
use poai_engine::execute::{Device, Inputs, Network, RunError, Session, SharedInput, Tensor};
use std::sync::Arc;

/// The forward pass of layers: parameters and samples in, logits out.
///
/// Exponents are those of the whole batch, as in an iteration.
#[derive(Clone, Debug)]
pub struct Forward {
    session: Session,
    sample: SampleKind,
    loss: TrainLoss,
    parameters: usize,
}

impl Forward {
    /// Builds the forward pass of layers on a device.
    ///
    /// # Errors
    /// [`LayersError`] names the layer that does not fit.
    pub fn new(layers: &Layers, device: Arc<dyn Device>) -> Result<Forward, LayersError> {
        let ForwardProgram { network, parameters, .. } = ForwardProgram::new(layers)?;
        let session = network
            .on(device)
            .map_err(|_| LayersError::Internal("a forward pass that the device takes"))?;
        let (sample, loss) = (layers.sample(), layers.loss());
        Ok(Forward { session, sample, loss, parameters: parameters.len() })
    }

    /// The logits of samples, each a row of the dataset's samples, in order.
    ///
    /// `states` are those of an iteration of the same layers.
    ///
    /// # Errors
    /// [`RunError`] if states or samples have another shape.
    pub fn logits(
        &self,
        iteration: &Iteration,
        states: &[Arc<Tensor>],
        samples: &Tensor,
    ) -> Result<Arc<Tensor>, RunError> {
        let described = iteration.states().iter().zip(states);
        let parameters = described.filter(|(state, _)| state.moment.is_none());
        let mut inputs: Vec<SharedInput> = parameters
            .map(|(_, tensor)| SharedInput { tensor: tensor.clone(), tree: None })
            .collect();
        if inputs.len() != self.parameters {
            let (expected, got) = (self.parameters, inputs.len());
            return Err(RunError::Inputs { expected, got });
        }
        let batch = samples.extent().rows;
        let samples = items(self.sample, samples)?;
        inputs.push(SharedInput { tensor: Arc::new(samples), tree: None });
        let run = self.session.run(Inputs::shared(RunShape::new(batch, 1), inputs))?;
        Ok(run.output)
    }

    /// Loss and accuracy on samples with labels, as a dataset holds them.
    ///
    /// # Errors
    /// As for [`Forward::logits`].
    pub fn evaluate(
        &self,
        iteration: &Iteration,
        states: &[Arc<Tensor>],
        samples: &Tensor,
        labels: &Tensor,
    ) -> Result<Loss, RunError> {
        let logits = self.logits(iteration, states, samples)?;
        let columns = logits.extent().columns as usize;
        Ok(Loss::of(self.loss, &logits.entries(), &labels.entries(), columns))
    }
}

/// The program of the forward pass, before a device has it.
#[derive(Debug)]
pub(crate) struct ForwardProgram {
    /// Its inputs are the parameters, then the samples.
    pub(crate) network: Network,
    /// The names of the parameters, in order.
    pub(crate) parameters: Vec<String>,
    /// The fraction of the logits, which are the output.
    pub(crate) fraction: i32,
}

impl ForwardProgram {
    /// Builds the forward pass of layers.
    ///
    /// # Errors
    /// [`LayersError`] names the layer that does not fit.
    pub(crate) fn new(layers: &Layers) -> Result<ForwardProgram, LayersError> {
        let plan = Plan::new(layers)?;
        let shared =
            |rows, columns| Form::shared(Dim::fixed(rows), Dim::fixed(columns), Dtype::I32);
        let mut forms: Vec<Form> =
            plan.parameters.iter().map(|each| shared(each.rows, each.columns)).collect();
        let parameters = forms.len();
        let samples = plan.source_forms(&Source::Given).into_iter().next();
        forms.extend(samples);
        let builder = Builder::new(&forms);
        let all = (0..parameters).map(|index| builder.input(index)).map(|state| Parameter {
            state,
            gradient_fraction: 0,
            trained: false,
        });
        let all = all.collect();
        let samples = builder.input(parameters);
        // Nothing is stochastic.
        let (streams, exponents) = (Box::new(std::iter::empty()), Exponents::Own);
        let mut tape = Tape::new(builder, all, (samples, samples), streams, exponents);
        let samples = plan.samples(&mut tape, samples)?;
        let logits = plan.forward(&mut tape, samples, false)?;
        let Tape { builder, constants, .. } = tape;
        let program = builder.finish_with(&[logits.value], 0)?;
        let network = Network::new(program, constants.into_tensors())?;
        let parameters = plan.parameters.into_iter().map(|each| each.name).collect();
        Ok(ForwardProgram { network, parameters, fraction: logits.fraction })
    }
}

/// Samples in the form that the layers take: pixels or tokens as rows.
pub(crate) fn items(sample: SampleKind, samples: &Tensor) -> Result<Tensor, RunError> {
    let columns = match sample {
        SampleKind::Features { columns } | SampleKind::Sequence { columns, .. } => columns,
        SampleKind::Image { channels, .. } => channels,
        SampleKind::Tokens { .. } => 1,
    } as usize;
    let entries = samples.entries();
    let rows = entries.len() / columns.max(1);
    Tensor::new(rows, columns, samples.extent().dtype, &entries).map_err(|_| RunError::Layout)
}
