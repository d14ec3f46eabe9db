//! Devices: backends that models run on.
//!
//! A backend multiplies. A [`Device`] is a backend that may also run networks
//! whole, in its own memory.
//!
//! Step by step, a device would move every tensor to the host and back. A
//! backend that has a [`Resident`] for a network keeps all of it: constants from
//! the start, tensors until somebody reads them, of which commitments alone
//! come back at once.

use super::error::ExecuteError;
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

/// A backend that models run on.
pub trait Device: Backend {
    /// The network in this backend's own memory, where it runs whole programs
    /// there; `None` where it only multiplies, as backends of the CPU do.
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
    /// Executes the network's program, as [`super::Model::run`] would step by
    /// step: the same tensors, roots, winners and errors. It checks the inputs'
    /// number and extents by [`super::run::check_inputs`]: anybody may call it.
    ///
    /// # Errors
    /// [`ExecuteError`]; of several entries without a result the first step's
    /// first row.
    fn run(
        &self,
        shape: &RunShape,
        inputs: &[Arc<Tensor>],
        options: &RunOptions,
    ) -> Result<ResidentRun, ExecuteError>;
}

/// A tensor in a device's memory, freed with the last handle to it.
pub trait Kept: fmt::Debug + Send + Sync {
    /// Copies its padded bytes into `to`, which has their number.
    ///
    /// # Errors
    /// [`BackendError`] where the device fails.
    fn fetch(&self, to: &mut [u8]) -> Result<(), BackendError>;
}

/// What a run on a device leaves.
#[derive(Debug)]
pub struct ResidentRun {
    /// The output.
    pub output: Arc<Tensor>,
    /// What was traced, where that was asked for.
    pub traced: Option<Traced>,
    /// For every step the sums of its product with weights, where they were
    /// asked for: row-major, (padded rows of the input)×(padded rows of the
    /// weights).
    pub sums: Vec<Option<Vec<i32>>>,
    /// What was mined, product by product.
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
