//! Devices: backends that sessions run on.
//!
//! A backend multiplies. A [`Device`] is a backend that may also run whole
//! networks in its own memory.
//!
//! If a network ran step by step, a device would move every tensor to the host
//! and back. A backend that has a [`Resident`] for a network keeps everything
//! in its memory. Constants stay there from the start, and tensors stay until
//! the caller reads them. Only their commitments come back at once.

use super::error::RunError;
use super::network::Network;
use super::options::{MinedStep, RunOptions};
use super::tensor::Tensor;
use crate::backend::cpu::Cpu;
use crate::backend::reference::Reference;
use crate::backend::{Backend, BackendError};
use core::fmt;
use poai_core::program::RunShape;
use poai_core::puzzle::commitment::Tree;
use std::sync::Arc;

/// A backend that sessions run on.
pub trait Device: Backend {
    /// The network in this backend's own memory, if the backend runs whole
    /// programs. `None` if it only multiplies, as the CPU backends do.
    ///
    /// # Errors
    /// [`BackendError`].
    fn resident(&self, network: &Arc<Network>) -> Result<Option<Arc<dyn Resident>>, BackendError> {
        let _ = network;
        Ok(None)
    }
}

impl Device for Cpu {}

impl Device for Reference {}

/// A network in a device's memory.
pub trait Resident: fmt::Debug + Send + Sync {
    /// Executes the network's program with the same tensors, roots, winners and
    /// errors as [`super::Session::run`] gives step by step. The implementation
    /// checks the inputs' number and extents by [`super::run::check_inputs`],
    /// because any caller may call it directly.
    ///
    /// # Errors
    /// [`RunError`]. If several entries have no result, the error names the
    /// first row of the first such step.
    fn run(
        &self,
        shape: &RunShape,
        inputs: &[Arc<Tensor>],
        options: &RunOptions,
    ) -> Result<ResidentRun, RunError>;
}

/// A tensor in a device's memory. Dropping the last handle frees it.
pub trait Kept: fmt::Debug + Send + Sync {
    /// Copies its padded bytes into `to`, which has exactly that length.
    ///
    /// # Errors
    /// [`BackendError`] if the device fails.
    fn fetch(&self, to: &mut [u8]) -> Result<(), BackendError>;
}

/// The results of a run on a device.
#[derive(Debug)]
pub struct ResidentRun {
    /// The outputs, in the program's order.
    pub outputs: Vec<Arc<Tensor>>,
    /// The traced tensors, if the caller requested a trace.
    pub traced: Option<Traced>,
    /// For every step, the sums of its product with weights, if the caller
    /// requested them. They are row-major, (padded rows of the input)×(padded
    /// rows of the weights).
    pub sums: Vec<Option<Vec<i32>>>,
    /// The mining results, one per product.
    pub mined: Vec<MinedStep>,
}

/// The tensors of a traced run, on their device.
#[derive(Debug)]
pub struct Traced {
    /// Every step's tensor.
    pub steps: Vec<Arc<dyn Kept>>,
    /// The tree of every value, inputs first.
    pub trees: Vec<Tree>,
}
