//! The forward pass alone, in real numbers.

use super::error::RealError;
use super::loss;
use super::network::RealNetwork;
use super::run::RealRun;
use super::value::{Real, RealValue};
use crate::iteration::{ForwardProgram, items};
use crate::layers::{Layers, SampleKind};
use crate::run::{Loss, TrainError};
use ndarray::Array2;
use poai_core::program::RunShape;
use poai_engine::execute::Tensor;

/// The real reading of the forward pass of layers: parameters and samples in, logits
/// out. It drops nothing.
#[derive(Clone, Debug)]
pub struct RealForward<F> {
    network: RealNetwork<F>,
    sample: SampleKind,
}

impl<F: Real> RealForward<F> {
    /// Builds the forward pass of layers.
    ///
    /// # Errors
    /// [`RealError::Layers`] names the layer that does not fit.
    pub fn new(layers: &Layers) -> Result<RealForward<F>, RealError> {
        let network = RealNetwork::new(&ForwardProgram::new(layers)?.network);
        Ok(RealForward { network, sample: layers.sample() })
    }

    /// The logits of samples, each a row of the dataset's samples, in order, under the
    /// states of a run of the same layers.
    ///
    /// # Errors
    /// [`RealError`] if states or samples have another shape.
    pub fn logits(&self, run: &RealRun<F>, samples: &Tensor) -> Result<Array2<F>, RealError> {
        let described = run.iteration().states().iter().zip(run.states());
        let parameters = described.filter(|(state, _)| state.moment.is_none());
        let mut inputs: Vec<RealValue<F>> =
            parameters.map(|(_, state)| RealValue::Real(state.into_owned())).collect();
        let batch = samples.extent().rows;
        let items = items(self.sample, samples).map_err(TrainError::from)?;
        inputs.push(RealValue::exact(&items));
        let outputs = self.network.run(&RunShape::new(batch, 1), inputs)?;
        let logits = outputs.first().ok_or_else(|| RealError::Internal("logits".into()))?;
        Ok(logits.reals().into_owned())
    }

    /// Loss and accuracy on samples with labels, as a dataset holds them.
    ///
    /// # Errors
    /// As for [`RealForward::logits`].
    pub fn evaluate(
        &self,
        run: &RealRun<F>,
        samples: &Tensor,
        labels: &Tensor,
    ) -> Result<Loss, RealError> {
        let kind = run.iteration().loss();
        Ok(loss::of(kind, &self.logits(run, samples)?, &labels.entries()))
    }
}
