//! What layers need: their parameters, shapes and steps.
//!
//! - `shape`: the shapes of items.
//! - `node`: layers with the names of their parameters.
//! - `batch`: samples, labels and the rate.
//! - `forward`: the steps of the forward pass.

mod batch;
mod forward;
mod node;
mod shape;

use super::StateStart;
use crate::error::LayersError;
use crate::layers::{Layers, SampleKind, TrainLayer, TrainLoss};
use crate::numbers::{WEIGHT_GRADIENT, weight_gradient};
use crate::optimiser::Optimiser;
use node::{Node, Planner};
use shape::Shape;

/// A parameter of the layers.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) role: ParameterRole,
    pub(super) start: StateStart,
    pub(super) trained: bool,
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterRole {
    /// An operand of products.
    Operand,
    /// Rows that ids name.
    Table,
    /// A bias, γ or β. It does not decay.
    Vector,
}

/// What layers need: their parameters and shapes.
pub(super) struct Plan {
    sample: SampleKind,
    pub(super) loss: TrainLoss,
    pub(super) operand_gates: bool,
    /// The parameters, in the order of their names.
    pub(super) parameters: Vec<Named>,
    /// The most rows of an item over which a parameter's gradient sums.
    rows: u64,
    nodes: Vec<Node>,
    /// The shape of the last layer's output.
    output: Shape,
}

/// The names of the parameters, in the order of the layers.
pub(super) fn names(layers: &Layers) -> Result<Vec<String>, LayersError> {
    let mut planner = Planner::new(layers.sample(), layers.layers().len());
    planner.outermost(layers.layers())?;
    Ok(planner.parameters.into_iter().map(|parameter| parameter.name).collect())
}

impl Plan {
    pub(super) fn new(layers: &Layers) -> Result<Plan, LayersError> {
        if layers.layers().is_empty() {
            return Err(LayersError::Empty);
        }
        let mut planner = Planner::new(layers.sample(), layers.layers().len());
        let (nodes, output) = planner.outermost(layers.layers())?;
        let fits = match (output, layers.sample()) {
            (Shape::Rows { length: 1, .. }, _) => true,
            (Shape::Rows { columns, .. }, SampleKind::Tokens { vocabulary, .. }) => {
                columns == vocabulary
            }
            _ => false,
        };
        let linear = matches!(
            layers.layers().last(),
            Some(TrainLayer::Linear { .. } | TrainLayer::Adapted { .. })
        );
        // A sample has one row of targets.
        let one = matches!(output, Shape::Rows { length: 1, .. });
        let fits = fits && (one || layers.loss() == TrainLoss::CrossEntropy);
        if !fits || !linear {
            return Err(LayersError::Logits(output.text()));
        }
        let Planner { mut parameters, rows, .. } = planner;
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        if !parameters.iter().any(|parameter| parameter.trained) {
            return Err(LayersError::Frozen);
        }
        let (sample, loss) = (layers.sample(), layers.loss());
        let operand_gates = layers.operand_gates();
        Ok(Plan { sample, loss, operand_gates, parameters, rows, nodes, output })
    }

    /// The fraction of gradients of weights, which sum over the batch's rows.
    pub(super) fn gradient_fraction(&self, batch: u32, optimiser: &Optimiser) -> i32 {
        let adam = matches!(optimiser, Optimiser::Adam { .. });
        let fraction = weight_gradient(self.rows.saturating_mul(batch.into()), adam);
        debug_assert!(fraction <= WEIGHT_GRADIENT);
        fraction
    }
}
