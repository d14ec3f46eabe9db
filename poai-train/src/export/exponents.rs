//! Frozen exponents, and their measurement on samples.

use super::TrainingExportError;
use crate::iteration::{ForwardProgram, items};
use crate::layers::SampleKind;
use poai_core::program::{Builder, Op, Program, RunShape, Step, TrainingOp, ValueId};
use poai_engine::execute::{Device, Inputs, Network, SharedInput, Tensor};
use std::sync::Arc;

/// The samples of one run, which bounds the memory that measuring takes.
const CHUNK: usize = 128;
/// The bits of the largest logit that the samples give, as an i16.
const LOGIT_BITS: u32 = 14;
/// The largest exponent: no entry of an i32 needs more.
const EXPONENT_MAX: i32 = 31;

/// The exponents of an export: constants of its programs, where an iteration
/// computes its own for each batch.
///
/// They are the largest that calibration samples had. Entries of other samples
/// beyond them are clipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenExponents {
    /// Those of operands, in the order of the forward pass.
    pub operands: Vec<i32>,
    /// That of the logits: the largest magnitude has at most 14 bits.
    pub logits: i32,
}

impl FrozenExponents {
    /// Refuses exponents that are not those of as many operands.
    pub(super) fn check(&self, expected: usize) -> Result<(), TrainingExportError> {
        let got = self.operands.len();
        if got != expected {
            return Err(TrainingExportError::Exponents { expected, got });
        }
        let mut all = self.operands.iter().chain([&self.logits]).enumerate();
        match all.find(|(_, exponent)| !(0..=EXPONENT_MAX).contains(*exponent)) {
            Some((index, &got)) => Err(TrainingExportError::Exponent { index, got }),
            None => Ok(()),
        }
    }

    /// The largest exponents of samples, each a row of the dataset's samples.
    pub(super) fn measure(
        forward: &ForwardProgram,
        sample: SampleKind,
        parameters: &[Arc<Tensor>],
        samples: &Tensor,
        device: Arc<dyn Device>,
    ) -> Result<FrozenExponents, TrainingExportError> {
        let extent = *samples.extent();
        let (columns, entries) = (extent.columns as usize, samples.entries());
        if entries.is_empty() {
            return Err(TrainingExportError::NoSamples);
        }
        let session = measuring(&forward.network)?.on(device)?;
        let mut largest: Vec<i32> = vec![];
        let mut logit = 0u32;
        for chunk in entries.chunks(columns.saturating_mul(CHUNK).max(1)) {
            let rows = chunk.len() / columns.max(1);
            let tensor = items(sample, &Tensor::new(rows, columns, extent.dtype, chunk)?)?;
            let tensors = parameters.iter().cloned().chain([Arc::new(tensor)]);
            let inputs = tensors.map(|tensor| SharedInput { tensor, tree: None }).collect();
            // Exact: at most CHUNK.
            let run = RunShape::new(rows as u32, 1);
            let mut outputs = session.run(Inputs::shared(run, inputs))?.outputs;
            let logits = outputs.pop().ok_or(TrainingExportError::Internal("logits"))?;
            let most = logits.entries().iter().map(|entry| entry.unsigned_abs()).max();
            logit = logit.max(most.unwrap_or(0));
            largest.resize(outputs.len(), 0);
            for (largest, output) in largest.iter_mut().zip(outputs) {
                let own = output.entries().first().copied().unwrap_or(0);
                *largest = (*largest).max(own);
            }
        }
        let bits = u32::BITS - logit.leading_zeros();
        // Exact: at most 18.
        let logits = bits.saturating_sub(LOGIT_BITS) as i32;
        Ok(FrozenExponents { operands: largest, logits })
    }
}

/// Whether a step computes an exponent that an export freezes.
pub(super) fn is_exponent(step: &Step) -> bool {
    matches!(step.op, Op::Training(TrainingOp::Exponent { per_row: false }))
}

/// A forward pass whose outputs are its exponents, then its logits.
fn measuring(network: &Network) -> Result<Network, TrainingExportError> {
    let program: &Program = network.program();
    let mut builder = Builder::new(program.inputs());
    for constant in program.constants() {
        builder.constant(&constant.name, constant.root, constant.extent);
    }
    let mut outputs: Vec<ValueId> = vec![];
    for step in program.steps() {
        let value = builder.step(&step.name, step.op.clone(), &step.inputs)?;
        if is_exponent(step) {
            outputs.push(value);
        }
    }
    outputs.push(program.output());
    let tensors = network.constants().iter().map(|held| held.tensor.clone()).collect();
    Ok(Network::new(builder.finish_with(&outputs, 0)?, tensors)?)
}
