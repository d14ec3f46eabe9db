//! A network on a device, with its weights prepared once.

use super::device::{Device, Resident};
use super::error::RunError;
use super::host::Host;
use super::inputs::Inputs;
use super::network::Network;
use super::options::RunOptions;
use super::run::{Executor, Finished, Run, TracedRun, check_inputs};
use poai_core::program::Program;
use std::sync::Arc;

/// A network on a device. Cloning shares everything, including the memory of
/// finished runs that is kept for the next run.
#[derive(Clone, Debug)]
pub struct Session {
    host: Host,
    /// The network in the device's memory, if the device runs whole programs.
    /// Only the device then holds weights.
    resident: Option<Arc<dyn Resident>>,
}

impl Session {
    /// Brings a network to a device, once per network ([`Network::on`] does the
    /// same). A device that runs whole programs gets the whole network; other
    /// devices get the weights of its products.
    ///
    /// # Errors
    /// [`RunError`] if the device does not accept them.
    pub fn new(
        network: impl Into<Arc<Network>>,
        device: Arc<dyn Device>,
    ) -> Result<Session, RunError> {
        let network = network.into();
        let Some(resident) = device.resident(&network)? else {
            return Session::by_products(network, device);
        };
        Ok(Session { host: Host::bare(network, device), resident: Some(resident) })
    }

    /// The same, but the device computes only products and the processor
    /// computes all other steps. It ignores any other ability of the device,
    /// for comparison.
    ///
    /// # Errors
    /// [`RunError`] if the device does not accept the weights.
    pub fn by_products(
        network: impl Into<Arc<Network>>,
        device: Arc<dyn Device>,
    ) -> Result<Session, RunError> {
        Ok(Session { host: Host::new(network.into(), device)?, resident: None })
    }

    /// Executes the program. Takes a tensor, tensors, or a run's shape with
    /// tensors ([`Inputs`]).
    ///
    /// # Errors
    /// [`RunError`] names the input or step and the problem.
    pub fn run(&self, inputs: impl Into<Inputs>) -> Result<Run, RunError> {
        self.run_with(inputs, &RunOptions::new())
    }

    /// Executes the program with options.
    ///
    /// # Errors
    /// [`RunError`] names the input or step and the problem.
    pub fn run_with(
        &self,
        inputs: impl Into<Inputs>,
        options: &RunOptions,
    ) -> Result<Run, RunError> {
        let Finished { outputs, mined, .. } = self.execute(inputs.into(), options, false)?;
        let output = outputs.last().cloned().ok_or(RunError::Layout)?;
        Ok(Run { output, outputs, mined })
    }

    /// Executes the program, commits every tensor and keeps them all.
    ///
    /// Tensors are hashed while later steps run, so the run moves to a thread of
    /// rayon's pool. The progress callback is called on that thread. If many
    /// traced runs execute at once, one may wait in the middle for another.
    ///
    /// # Errors
    /// [`RunError`] names the input or step and the problem.
    pub fn trace(&self, inputs: impl Into<Inputs>) -> Result<TracedRun, RunError> {
        self.trace_with(inputs, &RunOptions::new())
    }

    /// As [`Session::trace`], with options.
    ///
    /// # Errors
    /// [`RunError`] names the input or step and the problem.
    pub fn trace_with(
        &self,
        inputs: impl Into<Inputs>,
        options: &RunOptions,
    ) -> Result<TracedRun, RunError> {
        let Finished { outputs, trace, mined } = self.execute(inputs.into(), options, true)?;
        let output = outputs.last().cloned().ok_or(RunError::Layout)?;
        Ok(TracedRun { output, outputs, trace: trace.ok_or(RunError::Layout)?, mined })
    }

    fn execute(
        &self,
        inputs: Inputs,
        options: &RunOptions,
        traced: bool,
    ) -> Result<Finished, RunError> {
        let (shape, inputs) = inputs.of(self.program());
        let (inputs, trees): (Vec<_>, Vec<_>) =
            inputs.into_iter().map(|input| (input.tensor, input.tree)).unzip();
        let extents = check_inputs(self.program(), &shape, &inputs)?;
        let options = &options.clone().traced(traced);
        let executor = Executor { host: &self.host, shape: &shape, options };
        match &self.resident {
            Some(resident) => executor.on_device(&**resident, extents, inputs),
            None => executor.step_by_step(extents, inputs, trees),
        }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.host.network
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.host.network.program()
    }

    /// Whether the device runs whole programs in its own memory.
    pub fn is_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// The device.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.host.device
    }

    /// Sets how many bytes of finished tensors this session and its clones keep
    /// for the next run, and frees any excess. The default is 1 GiB; 0 keeps
    /// nothing.
    pub fn keep_at_most(&self, bytes: u64) {
        self.host.buffers.limit(bytes);
    }

    /// The number of bytes of finished tensors that are kept now.
    pub fn kept_bytes(&self) -> u64 {
        self.host.buffers.kept()
    }
}
