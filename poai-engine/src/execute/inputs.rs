//! The inputs of a run: tensors, and the run's shape if the caller states it.

use super::tensor::Tensor;
use poai_core::program::{Per, Program, RunShape};
use poai_core::puzzle::commitment::Tree;
use std::sync::Arc;

/// An input of a run whose tensor other runs share.
#[derive(Clone, Debug)]
pub struct SharedInput {
    /// The tensor.
    pub tensor: Arc<Tensor>,
    /// The tree of its commitment, if the caller has it. A traced run then does
    /// not hash the tensor again. A tree of other bytes makes a trace that no
    /// checker accepts.
    pub tree: Option<Tree>,
}

/// The inputs of a run, one tensor for each input of the program.
///
/// A caller rarely names this type: a tensor, tensors, or a shape with tensors
/// convert into it. Without a shape, the run's shape follows from the first
/// tensor. If its form has a row per token, it is one item of that many tokens.
/// If it has a column per token, the columns give the sequence and the rows the
/// batch. Otherwise the rows give the batch. A run with answers needs its shape.
#[derive(Clone, Debug)]
pub struct Inputs {
    run: Option<RunShape>,
    tensors: Vec<SharedInput>,
}

impl Inputs {
    /// The tensors, and the shape of the run: batch, sequence and answers.
    pub fn new(run: RunShape, tensors: Vec<Tensor>) -> Inputs {
        Inputs { run: Some(run), ..Inputs::from(tensors) }
    }

    /// Tensors that other runs share, and the shape of the run. No tensor is
    /// copied.
    pub fn shared(run: RunShape, tensors: Vec<SharedInput>) -> Inputs {
        Inputs { run: Some(run), tensors }
    }

    /// The shape of the run of a program, and the tensors. Whether they fit is
    /// checked later.
    pub(super) fn of(self, program: &Program) -> (RunShape, Vec<SharedInput>) {
        let Inputs { run, tensors } = self;
        let implied = || {
            let form = program.inputs().first()?;
            let extent = tensors.first()?.tensor.extent();
            let (rows, columns) = (extent.rows, extent.columns);
            let [row_units, column_units] = [form.rows.units.max(1), form.columns.units.max(1)];
            Some(match (form.rows.per, form.columns.per) {
                (Per::Token, _) => RunShape::new(1, rows / row_units),
                (_, Per::Token) => RunShape::new(rows / row_units, columns / column_units),
                _ => RunShape::new(rows / row_units, 1),
            })
        };
        let run = run.or_else(implied).unwrap_or(RunShape::new(1, 1));
        (run, tensors)
    }
}

impl From<Tensor> for Inputs {
    fn from(tensor: Tensor) -> Inputs {
        Inputs::from(vec![tensor])
    }
}

impl From<&Tensor> for Inputs {
    fn from(tensor: &Tensor) -> Inputs {
        Inputs::from(tensor.clone())
    }
}

impl From<Vec<Tensor>> for Inputs {
    fn from(tensors: Vec<Tensor>) -> Inputs {
        let shared = |tensor| SharedInput { tensor: Arc::new(tensor), tree: None };
        Inputs { run: None, tensors: tensors.into_iter().map(shared).collect() }
    }
}

impl From<(RunShape, Vec<Tensor>)> for Inputs {
    fn from((run, tensors): (RunShape, Vec<Tensor>)) -> Inputs {
        Inputs::new(run, tensors)
    }
}

impl From<(RunShape, Tensor)> for Inputs {
    fn from((run, tensor): (RunShape, Tensor)) -> Inputs {
        Inputs::new(run, vec![tensor])
    }
}
