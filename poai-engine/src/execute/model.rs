//! A network on a device, with its weights prepared once.

use super::device::{Device, Resident};
use super::error::ExecuteError;
use super::host::Host;
use super::network::Network;
use super::options::RunOptions;
use super::run::{Executor, Run, check_inputs};
use super::tensor::Tensor;
use poai_core::program::{Program, RunShape};
use std::sync::Arc;

/// A network on a device. Cloning shares everything, including the memory of
/// finished runs that is kept for the next run.
#[derive(Clone, Debug)]
pub struct Model {
    host: Host,
    /// The network in the device's memory, if the device runs whole programs.
    /// Only the device then holds weights.
    resident: Option<Arc<dyn Resident>>,
}

impl Model {
    /// Brings a network to a device, once per network. A device that runs whole
    /// programs gets the whole network; other devices get the weights of its
    /// products.
    ///
    /// # Errors
    /// [`ExecuteError`] if the device does not accept them.
    pub fn new(network: Network, device: Arc<dyn Device>) -> Result<Model, ExecuteError> {
        let network = Arc::new(network);
        let Some(resident) = device.resident(&network)? else {
            return Model::by_products(network, device);
        };
        Ok(Model { host: Host::bare(network, device), resident: Some(resident) })
    }

    /// The same, but the device computes only products and the processor
    /// computes all other steps. It ignores any other ability of the device,
    /// for comparison.
    ///
    /// # Errors
    /// [`ExecuteError`] if the device does not accept the weights.
    pub fn by_products(
        network: impl Into<Arc<Network>>,
        device: Arc<dyn Device>,
    ) -> Result<Model, ExecuteError> {
        Ok(Model { host: Host::new(network.into(), device)?, resident: None })
    }

    /// Executes the program.
    ///
    /// # Errors
    /// [`ExecuteError`] names the input or step and the problem.
    pub fn run(
        &self,
        shape: &RunShape,
        inputs: Vec<Tensor>,
        options: &RunOptions,
    ) -> Result<Run, ExecuteError> {
        let extents = check_inputs(self.program(), shape, &inputs)?;
        let inputs = inputs.into_iter().map(Arc::new).collect();
        let executor = Executor { host: &self.host, shape, options };
        match &self.resident {
            Some(resident) => executor.on_device(&**resident, extents, inputs),
            None => executor.step_by_step(extents, inputs),
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

    /// Sets how many bytes of finished tensors this model and its clones keep
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
