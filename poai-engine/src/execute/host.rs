//! The state of a step-by-step run: the network, its device, the weights of its
//! products and the memory of finished runs.

use super::buffers::{Buffers, KEPT_BYTES};
use super::device::Device;
use super::error::RunError;
use super::network::Network;
use crate::backend::{Plain, Prepared};
use poai_core::program::{ConstantId, Op};
use poai_core::puzzle::statement::Side;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weights in a backend's layouts.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub(super) prepared: Prepared,
    pub(super) plain: Plain,
}

/// A network and a device. Cloning shares everything.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) network: Arc<Network>,
    pub(super) device: Arc<dyn Device>,
    weights: Arc<BTreeMap<ConstantId, Weights>>,
    pub(super) buffers: Buffers,
}

impl Host {
    /// A host without weights, for a device that holds the weights itself.
    pub(super) fn bare(network: Arc<Network>, device: Arc<dyn Device>) -> Host {
        Host { network, device, weights: Arc::default(), buffers: Buffers::new(KEPT_BYTES) }
    }

    /// Prepares the weights of every product.
    pub(super) fn new(network: Arc<Network>, device: Arc<dyn Device>) -> Result<Host, RunError> {
        let mut all = BTreeMap::new();
        for step in network.program().steps() {
            let Op::Linear { weights, .. } = step.op else { continue };
            if all.contains_key(&weights) {
                continue;
            }
            let Some(held) = network.constants().get(weights.0 as usize) else { continue };
            let operand = held.tensor.operand(Side::B)?;
            let prepared = device.prepare(operand)?;
            let plain = device.pack(&prepared)?;
            all.insert(weights, Weights { prepared, plain });
        }
        Ok(Host { weights: Arc::new(all), ..Host::bare(network, device) })
    }

    pub(super) fn weights(&self, id: ConstantId) -> Option<&Weights> {
        self.weights.get(&id)
    }
}
