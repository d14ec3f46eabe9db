//! A program together with its constants.

use super::tensor::{Tensor, TensorError};
use poai_core::digest::Root;
use poai_core::program::{Builder, ConstantId, Dtype, Extent, Program};
use poai_core::puzzle::commitment::Tree;
use std::sync::Arc;

/// Why constants are not a program's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Another number of constants.
    #[error("{got} constants, the program has {expected}")]
    Count {
        /// The program's.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// A constant has another extent.
    #[error("constant {name} is {got}, the program has {expected}")]
    Extent {
        /// Its name.
        name: String,
        /// The program's.
        expected: Extent,
        /// What was given.
        got: Extent,
    },
    /// A constant's bytes hash to another root.
    #[error("constant {name} hashes to {got}, the program has {expected}")]
    Root {
        /// Its name.
        name: String,
        /// The program's.
        expected: Root,
        /// What was given.
        got: Root,
    },
}

/// A constant's tensor and the cached tree of its commitment.
#[derive(Clone, Debug)]
pub struct Held {
    /// The tensor.
    pub tensor: Tensor,
    /// Its tree.
    pub tree: Tree,
}

/// A program with the tensors of its constants, which hash to its roots.
#[derive(Clone, Debug)]
pub struct Network {
    program: Program,
    constants: Arc<[Held]>,
}

impl Network {
    /// Checks that the constants are the program's.
    ///
    /// # Errors
    /// [`NetworkError`] names the constant.
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
    /// Makes a tensor of row-major entries and adds it to the program.
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
