//! A program together with its constants.

use super::device::Device;
use super::error::RunError;
use super::session::Session;
use super::tensor::{Tensor, TensorError};
use poai_core::digest::Root;
use poai_core::program::{Builder, ConstantId, Dtype, Extent, Program};
use poai_core::puzzle::commitment::Tree;
use std::sync::Arc;

/// Why constants do not match a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The number of constants is not the program's.
    #[error(
        "expected {expected} constants, got {got}; pass one tensor per constant of the program"
    )]
    Count {
        /// The program's number of constants.
        expected: usize,
        /// The number that the caller passed.
        got: usize,
    },
    /// A constant has the wrong extent.
    #[error("constant {name}: expected {expected}, got {got}")]
    Extent {
        /// Its name.
        name: String,
        /// The extent in the program.
        expected: Extent,
        /// The extent that the caller passed.
        got: Extent,
    },
    /// A constant's bytes hash to the wrong root.
    #[error(
        "constant {name}: expected root {expected}, got {got}; use the constants of this program"
    )]
    Root {
        /// Its name.
        name: String,
        /// The root in the program.
        expected: Root,
        /// The root of the bytes that the caller passed.
        got: Root,
    },
}

/// A constant's tensor and the cached tree of its commitment.
#[derive(Clone)]
pub struct Held {
    /// The tensor.
    pub tensor: Tensor,
    /// Its tree.
    pub tree: Tree,
}

impl std::fmt::Debug for Held {
    /// Omits the tree: its hashes could confirm guessed weights.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("tensor", &self.tensor).finish_non_exhaustive()
    }
}

/// A program with the tensors of its constants, which hash to the program's
/// roots.
#[derive(Clone, Debug)]
pub struct Network {
    program: Program,
    constants: Arc<[Held]>,
}

impl Network {
    /// Pairs a program with its constants, and checks that they match.
    ///
    /// # Errors
    /// [`NetworkError`] names the constant that does not match.
    pub fn new(program: Program, constants: Vec<Tensor>) -> Result<Network, NetworkError> {
        let (expected, got) = (program.constants().len(), constants.len());
        if expected != got {
            return Err(NetworkError::Count { expected, got });
        }
        let held: Vec<Held> =
            constants.into_iter().map(|tensor| Held { tree: tensor.tree(), tensor }).collect();
        for (held, constant) in held.iter().zip(program.constants()) {
            let name = constant.name.clone();
            let (expected, got) = (constant.extent, *held.tensor.extent());
            if expected != got {
                return Err(NetworkError::Extent { name, expected, got });
            }
            let (expected, got) = (constant.root, *held.tree.root());
            if expected != got {
                return Err(NetworkError::Root { name, expected, got });
            }
        }
        Ok(Network { program, constants: held.into() })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Brings the network to a device.
    ///
    /// # Errors
    /// [`RunError`] if the device does not accept it.
    pub fn on(self, device: Arc<dyn Device>) -> Result<Session, RunError> {
        Session::new(self, device)
    }

    /// The constants, in order.
    pub fn constants(&self) -> &[Held] {
        &self.constants
    }
}

/// Collects constants while a program is built.
#[derive(Clone, Debug, Default)]
pub struct Constants {
    tensors: Vec<Tensor>,
}

impl Constants {
    /// Makes a tensor of row-major entries and adds it to the program as a
    /// constant.
    ///
    /// # Errors
    /// [`TensorError`].
    pub fn add(
        &mut self,
        builder: &mut Builder,
        name: &str,
        (rows, columns): (usize, usize),
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ConstantId, TensorError> {
        let tensor = Tensor::new(rows, columns, dtype, entries)?;
        let id = builder.constant(name, tensor.root(), *tensor.extent());
        self.tensors.push(tensor);
        Ok(id)
    }

    /// The tensors, in the order of their ids.
    pub fn into_tensors(self) -> Vec<Tensor> {
        self.tensors
    }
}
