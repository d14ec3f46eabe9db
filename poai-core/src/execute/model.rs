//! A network on a backend, its weights prepared once.

use super::buffers::{Buffers, KEPT_BYTES};
use super::network::Network;
use super::resident::Resident;
use super::run::ExecuteError;
use super::tensor::Tensor;
use crate::backend::{Backend, Plain, Prepared};
use crate::operand::Operand;
use crate::params::Params;
use crate::program::{ConstantId, Dtype, Op, Program};
use crate::statement::Side;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weights in a backend's layouts.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub(super) prepared: Prepared,
    pub(super) plain: Plain,
}

/// A network on a backend. Cloning shares everything, also the memory of
/// finished runs that is kept for the next one.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) network: Arc<Network>,
    pub(super) backend: Arc<dyn Backend>,
    /// Where the backend runs the whole network; then it alone has weights.
    pub(super) resident: Option<Arc<dyn Resident>>,
    weights: Arc<BTreeMap<ConstantId, Weights>>,
    pub(super) buffers: Buffers,
}

impl Model {
    /// Brings a network to a backend, once in its life: all of it to a backend
    /// that runs whole programs, and to others the weights of its products.
    ///
    /// # Errors
    /// [`ExecuteError`] where the backend does not take them.
    pub fn new(network: Network, backend: Arc<dyn Backend>) -> Result<Model, ExecuteError> {
        let network = Arc::new(network);
        let Some(resident) = backend.resident(&network)? else {
            return Model::by_products(network, backend);
        };
        let (weights, buffers) = (Arc::default(), Buffers::new(KEPT_BYTES));
        Ok(Model { network, backend, resident: Some(resident), weights, buffers })
    }

    /// The same with the backend for products alone, whatever else it could
    /// do: the processor computes all other steps. For comparing.
    ///
    /// # Errors
    /// [`ExecuteError`] where the backend does not take the weights.
    pub fn by_products(
        network: impl Into<Arc<Network>>,
        backend: Arc<dyn Backend>,
    ) -> Result<Model, ExecuteError> {
        let network = network.into();
        let mut all = BTreeMap::new();
        for step in network.program().steps() {
            let Op::Linear { weights, .. } = step.op else { continue };
            if all.contains_key(&weights) {
                continue;
            }
            let Some(held) = network.constants().get(weights.0 as usize) else { continue };
            let operand = held.tensor.operand(Side::B)?;
            let prepared = backend.prepare(operand)?;
            let plain = backend.pack(&prepared)?;
            all.insert(weights, Weights { prepared, plain });
        }
        let (weights, buffers) = (Arc::new(all), Buffers::new(KEPT_BYTES));
        Ok(Model { network, backend, resident: None, weights, buffers })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.network.program()
    }

    /// Whether the backend runs whole programs in memory of its own.
    pub fn is_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Sets how many bytes of finished tensors this model and its clones keep
    /// for the next run, 1 GiB at first, and frees what is above; 0 keeps
    /// none.
    pub fn keep_at_most(&self, bytes: u64) {
        self.buffers.limit(bytes);
    }

    /// How many bytes of finished tensors are kept at this moment.
    pub fn kept_bytes(&self) -> u64 {
        self.buffers.kept()
    }

    pub(super) fn weights(&self, id: ConstantId) -> Option<&Weights> {
        self.weights.get(&id)
    }
}

impl Tensor {
    /// An i8 tensor, padded as it is, as an operand of a mined product.
    ///
    /// # Errors
    /// [`ExecuteError::Operand`] for entries, and [`ExecuteError::Layout`] for
    /// a type, that no operand has.
    pub fn operand(&self, side: Side) -> Result<Operand, ExecuteError> {
        if self.extent().dtype != Dtype::I8 {
            return Err(ExecuteError::Layout);
        }
        rows_operand(side, self.bytes(), self.extent().row_bytes())
    }
}

/// Some padded rows of an i8 tensor as an operand.
pub(super) fn rows_operand(
    side: Side,
    bytes: &[u8],
    row_bytes: usize,
) -> Result<Operand, ExecuteError> {
    let entries: Vec<i8> = bytemuck::cast_slice(bytes).to_vec();
    let shape = (bytes.len() / row_bytes.max(1), row_bytes);
    let entries = Array2::from_shape_vec(shape, entries).map_err(|_| ExecuteError::Layout)?;
    Ok(Operand::new(&Params::CONSENSUS, side, entries)?)
}
