//! Whole programs on one GPU: it holds the constants from the start, keeps the
//! tensors of a run, and makes their commitments.
//!
//! For a run the host sends the inputs. After it has queued the last step, it
//! reads the outputs, the roots of a trace, and one word per step that reports
//! entries without a result. This holds for every batch size. On the way, the
//! host reads only sums that are kept and the inputs of mined products. It needs
//! these to open strips if a ticket wins.
//!
//! - `run`: a run from its inputs to its outputs.
//! - `steps`: the kernels of each step.
//! - `training`: the kernels of each step of training.
//! - `product`: products with weights, mined or not, and scaled products.
//! - `ready`: the arguments and launches of a step.

mod product;
mod ready;
mod run;
mod steps;
mod training;

use crate::backend::Cuda;
use crate::error::CudaError;
use crate::gpu::Memory;
use poai_core::program::ConstantId;
use poai_engine::backend::{BackendError, Prepared};
use poai_engine::execute::{Device, Network, Resident, RunError};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// A network runs whole on one GPU if there is a kernel for every step.
impl Device for Cuda {
    fn resident(&self, network: &Arc<Network>) -> Result<Option<Arc<dyn Resident>>, BackendError> {
        let steps = network.program().steps();
        if !steps.iter().all(|step| steps::has_kernels(&step.op)) {
            return Ok(None);
        }
        Ok(Some(Arc::new(Executor::new(self, network)?)))
    }
}

/// A network on a GPU, ready to run there.
pub(crate) struct Executor {
    cuda: Cuda,
    network: Arc<Network>,
    /// The constants' padded bytes, in order.
    constants: Vec<Arc<Memory>>,
    /// Weights as a miner's operands, made when they are first mined.
    weights: Mutex<BTreeMap<ConstantId, Prepared>>,
}

impl Executor {
    /// Copies a network's constants to a GPU.
    pub(crate) fn new(cuda: &Cuda, network: &Arc<Network>) -> Result<Executor, BackendError> {
        let mut constants = vec![];
        for held in network.constants() {
            constants.push(Arc::new(cuda.upload(held.tensor.bytes())?));
        }
        let (cuda, network, weights) = (cuda.clone(), network.clone(), Mutex::default());
        Ok(Executor { cuda, network, constants, weights })
    }
}

impl From<CudaError> for RunError {
    fn from(error: CudaError) -> RunError {
        RunError::Backend(error.into())
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("cuda", &self.cuda)
            .field("program", &self.network.program().program_id())
            .finish_non_exhaustive()
    }
}
