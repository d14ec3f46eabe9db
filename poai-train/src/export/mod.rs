//! Exports: a trained state as a frozen network that is run, classified with and
//! proven like any other.
//!
//! An iteration computes exponents of each batch, so its outputs depend on the batch.
//! A frozen network has exponents that calibration samples gave, and its weights are
//! constants. An [`ExportPlan`] has both programs of an export: the *exporter*, which
//! makes trained constants of states, and the frozen network. A [`FrozenNetwork`] has
//! their tensors, and the trace that links the network to a training run (spec §19).
//!
//! - [`exponents`]: the numbers that are frozen, and how they are measured.
//! - `lower`: the frozen network, step by step; `numbers`: its multipliers.
//! - `trained`: the exporter.

mod error;
pub mod exponents;
mod lower;
mod numbers;
mod trained;

pub use error::TrainingExportError;
pub use exponents::FrozenExponents;

use crate::commit::output_roots;
use crate::iteration::{ForwardProgram, Iteration, items};
use crate::layers::{Layers, SampleKind};
use lower::{Lowered, Origin};
use poai_core::program::{ConstantId, Program, RunShape};
use poai_core::training_run::Export;
use poai_core::{Root, RunRoot};
use poai_engine::execute::{Device, Inputs, Network, RunError, SharedInput, Tensor, Trace};
use std::sync::Arc;
use trained::Exporter;

/// The run of an exporter: its inputs are one item.
const RUN: RunShape = RunShape::new(1, 1);

/// The programs of an export, which layers and exponents alone decide.
///
/// A verifier makes them itself. So it knows that an exporter makes of a state what
/// the network takes, that no constant is in another's place, and that of all numbers
/// the prover chose exponents alone.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    forward: Arc<ForwardProgram>,
    sample: SampleKind,
    frozen: FrozenExponents,
    exporter: Arc<Exporter>,
    /// The fraction of the network's output.
    fraction: i32,
}

impl ExportPlan {
    /// The plan of layers with exponents.
    ///
    /// # Errors
    /// [`TrainingExportError`] names the step that cannot be frozen, or the number
    /// that does not fit.
    pub fn new(
        layers: &Layers,
        frozen: FrozenExponents,
    ) -> Result<ExportPlan, TrainingExportError> {
        ExportPlan::of(Arc::new(ForwardProgram::new(layers)?), layers.sample(), frozen)
    }

    fn of(
        forward: Arc<ForwardProgram>,
        sample: SampleKind,
        frozen: FrozenExponents,
    ) -> Result<ExportPlan, TrainingExportError> {
        let Lowered { trained, logits, .. } = lower::lower(&forward, &frozen, &[])?;
        let parameters = forward.network.program().inputs();
        let exporter = Exporter::new(parameters, &forward.parameters, &trained)?;
        let fraction = forward.fraction - logits;
        Ok(ExportPlan { forward, sample, frozen, exporter: Arc::new(exporter), fraction })
    }

    /// The exporter. Its inputs are the parameters that the network has, in the order
    /// of states, and its outputs the trained constants. It runs on a batch of 1.
    pub fn exporter(&self) -> &Network {
        &self.exporter.network
    }

    /// What a sample is.
    pub fn sample(&self) -> SampleKind {
        self.sample
    }

    /// The exponents.
    pub fn exponents(&self) -> &FrozenExponents {
        &self.frozen
    }

    /// The real value of 1 in the network's output: a power of two.
    pub fn output_scale(&self) -> f64 {
        libm::exp2(f64::from(-self.fraction))
    }

    /// The program of the frozen network whose trained constants have these
    /// commitments, in the order of the exporter's outputs.
    ///
    /// # Errors
    /// [`TrainingExportError::Constants`].
    pub fn program(&self, trained: &[Root]) -> Result<Program, TrainingExportError> {
        Ok(self.lowered(trained)?.program)
    }

    fn lowered(&self, trained: &[Root]) -> Result<Lowered, TrainingExportError> {
        let (expected, got) = (self.exporter().program().outputs().len(), trained.len());
        if expected != got {
            return Err(TrainingExportError::Constants { expected, got });
        }
        lower::lower(&self.forward, &self.frozen, trained)
    }

    /// The numbers of the states that the exporter reads, among an iteration's.
    ///
    /// # Errors
    /// [`TrainingExportError::States`] if the iteration is of other layers.
    pub fn taken(&self, iteration: &Iteration) -> Result<Vec<u32>, TrainingExportError> {
        let own = own_states(&self.forward, iteration)?;
        Ok(self.exporter.read.iter().filter_map(|&read| own.get(read)).copied().collect())
    }

    /// Freezes states of an iteration of these layers.
    ///
    /// # Errors
    /// [`TrainingExportError`] if the states are others, or the device fails.
    pub fn freeze(
        self,
        iteration: &Iteration,
        states: &[Arc<Tensor>],
        device: Arc<dyn Device>,
    ) -> Result<FrozenNetwork, TrainingExportError> {
        check_count(iteration, states)?;
        let taken = self.taken(iteration)?;
        let inputs = taken.iter().filter_map(|&at| states.get(at as usize));
        let inputs = inputs.map(|tensor| SharedInput { tensor: tensor.clone(), tree: None });
        let session = self.exporter().clone().on(device)?;
        let trace = session.trace(Inputs::shared(RUN, inputs.collect()))?.trace;
        let Lowered { program, origins, .. } = self.lowered(&output_roots(&trace))?;
        let made = |at: usize| {
            let output = self.exporter().program().outputs().get(at)?;
            trace.value(*output).ok().cloned()
        };
        let tensor = |origin: &Origin| match origin {
            Origin::Trained(at) => made(*at),
            Origin::Fixed(tensor) => Some(tensor.clone()),
        };
        let constants: Option<Vec<Tensor>> = origins.iter().map(tensor).collect();
        let constants = constants.ok_or(TrainingExportError::Internal("trained constants"))?;
        let network = Network::new(program, constants)?;
        let states = states.iter().map(|state| state.root()).collect();
        let (trained, untrained) = parts(&origins);
        Ok(FrozenNetwork { plan: self, network, trace, taken, states, trained, untrained })
    }
}

/// The constants that an exporter makes, and the others.
fn parts(origins: &[Origin]) -> (Vec<ConstantId>, Vec<ConstantId>) {
    let numbered = (0..).map(ConstantId).zip(origins);
    let (trained, untrained): (Vec<_>, Vec<_>) =
        numbered.partition(|(_, origin)| matches!(origin, Origin::Trained(_)));
    let ids = |all: Vec<(ConstantId, _)>| all.into_iter().map(|(id, _)| id).collect();
    (ids(trained), ids(untrained))
}

/// The numbers of the states that are parameters, if they are those of the forward
/// pass.
fn own_states(
    forward: &ForwardProgram,
    iteration: &Iteration,
) -> Result<Vec<u32>, TrainingExportError> {
    let own = (0u32..).zip(iteration.states()).filter(|(_, state)| state.moment.is_none());
    let own: Vec<_> = own.collect();
    let forms = forward.network.program().inputs();
    let text = |parts: Vec<String>| parts.join(", ");
    let expected: Vec<String> = forward
        .parameters
        .iter()
        .zip(forms)
        .map(|(name, form)| format!("{name} {}×{}", form.rows.units, form.columns.units))
        .collect();
    let got: Vec<String> = own
        .iter()
        .map(|(_, state)| format!("{} {}×{}", state.parameter, state.rows, state.columns))
        .collect();
    if expected != got {
        let (expected, got) = (text(expected), text(got));
        return Err(TrainingExportError::States { expected, got });
    }
    Ok(own.into_iter().map(|(at, _)| at).collect())
}

fn check_count(iteration: &Iteration, states: &[Arc<Tensor>]) -> Result<(), TrainingExportError> {
    let (expected, got) = (iteration.states().len(), states.len());
    if expected == got {
        return Ok(());
    }
    let text = |count: usize| format!("{count} states");
    Err(TrainingExportError::States { expected: text(expected), got: text(got) })
}

/// A network of trained weights with frozen exponents, and the trace that made it.
///
/// The network takes samples as layers do, i8 entries of which 64 stands for 1, or
/// ids. Its output is logits in i16, a row for each label.
///
/// ```
/// # use poai_engine::backend::cpu::Cpu;
/// # use poai_train::{*, export::FrozenNetwork};
/// # use std::sync::Arc;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let layers = Layers::features(2).linear(2);
/// # let dataset = Dataset::dense(&layers, &[0.5, 0.1, -0.5, 0.3], &[0, 1])?;
/// # let optimiser = Optimiser::SGD;
/// # let source = Source::Drawn { samples: 2, rates: vec![optimiser.rate(0.1, 0, 2); 3] };
/// # let options = IterationOptions { optimiser, decay: 0.0, batch: 2, source };
/// # let iteration = Iteration::new(&layers, &options)?;
/// # let (device, first) = (Arc::new(Cpu::new()), initial(&iteration, &[7; 32])?);
/// # let mut run = TrainingRun::new(iteration, dataset, first, [7; 32], device.clone())?;
/// # run.step()?;
/// let states: Vec<_> = run.states().cloned().collect();
/// let samples = &run.dataset().samples().tensor;
/// let frozen = FrozenNetwork::new(&layers, run.iteration(), &states, samples, device)?;
/// println!("{}", frozen.network().program().program_id());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrozenNetwork {
    plan: ExportPlan,
    network: Network,
    trace: Trace,
    taken: Vec<u32>,
    states: Vec<Root>,
    trained: Vec<ConstantId>,
    untrained: Vec<ConstantId>,
}

impl FrozenNetwork {
    /// Freezes states of an iteration of layers. The exponents are the largest that
    /// the forward pass of `calibration` has: some hundred rows of a dataset's samples.
    ///
    /// # Errors
    /// [`TrainingExportError`].
    pub fn new(
        layers: &Layers,
        iteration: &Iteration,
        states: &[Arc<Tensor>],
        calibration: &Tensor,
        device: Arc<dyn Device>,
    ) -> Result<FrozenNetwork, TrainingExportError> {
        check_count(iteration, states)?;
        let forward = Arc::new(ForwardProgram::new(layers)?);
        let own = own_states(&forward, iteration)?;
        let parameters: Vec<Arc<Tensor>> =
            own.iter().filter_map(|&at| states.get(at as usize)).cloned().collect();
        let sample = layers.sample();
        let frozen =
            FrozenExponents::measure(&forward, sample, &parameters, calibration, device.clone())?;
        ExportPlan::of(forward, sample, frozen)?.freeze(iteration, states, device)
    }

    /// The network: program and constants.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The plan, with the exponents and the exporter.
    pub fn plan(&self) -> &ExportPlan {
        &self.plan
    }

    /// The exporter's trace: what a receipt and an audit are made of.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The statement that a training run made this network.
    pub fn statement(&self, run: RunRoot) -> Export {
        let program = self.network.program().program_id();
        Export { run, trace: self.trace.root(), program }
    }

    /// The commitments of all states, with moments.
    pub fn states(&self) -> &[Root] {
        &self.states
    }

    /// The numbers of the states that the exporter read, ascending.
    pub fn taken(&self) -> &[u32] {
        &self.taken
    }

    /// The commitments of the exporter's outputs.
    pub fn outputs(&self) -> Vec<Root> {
        output_roots(&self.trace)
    }

    /// The constants that training made.
    pub fn trained(&self) -> &[ConstantId] {
        &self.trained
    }

    /// The constants that are the same for every state: tables, and multipliers of
    /// products without a bias.
    pub fn untrained(&self) -> &[ConstantId] {
        &self.untrained
    }

    /// Whether all numbers are in standard form ([`poai_core::program::standard`]), so
    /// that one key proves all networks of these layers.
    pub fn is_standard(&self) -> bool {
        numbers::is_standard(&self.network)
    }

    /// Rows of a dataset's samples as the network's input.
    ///
    /// # Errors
    /// [`RunError`] if they have no such form.
    pub fn input(&self, samples: &Tensor) -> Result<Tensor, RunError> {
        items(self.plan.sample, samples)
    }
}
