//! Functions that some numbers do not have, on a side of a choice that hides
//! what they give there.

use super::Read;
use crate::graph::expression::{Function, Operation};
use crate::graph::{Expression, Kind};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;

/// Numbers beyond it stand for infinities.
const LARGEST: f64 = 1e30;
/// The most layers that one choice looks through, and the longest chain.
const MOST: usize = 256;
const DEPTH: usize = 32;

impl Read<'_, '_> {
    /// A value with 0 in place of entries that a function has no number for.
    /// Other nodes keep the value as it is.
    pub(super) fn with_numbers(&mut self, side: Operand) -> Result<Operand, OnnxError> {
        let Operand::Value(value) = side else { return Ok(side) };
        let mut left = MOST;
        Ok(self.numbered(value, DEPTH, &mut left)?.unwrap_or(side))
    }

    fn numbered(
        &mut self,
        value: usize,
        depth: usize,
        left: &mut usize,
    ) -> Result<Option<Operand>, OnnxError> {
        let (Some(depth), Some(rest)) = (depth.checked_sub(1), left.checked_sub(1)) else {
            return Ok(None);
        };
        *left = rest;
        let node = self.node;
        let Some(layer) = self.builder.graph.layer(value) else { return Ok(None) };
        let partial = match &layer.kind {
            Kind::Pointwise(function) => function.is_partial().then(|| whole(function)),
            Kind::Scale { .. } | Kind::Offset { .. } | Kind::Add { .. } | Kind::Mul => None,
            kind if kind.is_move() => None,
            _ => return Ok(None),
        };
        let inputs = layer.inputs.clone();
        let mut changed = vec![];
        for &input in &inputs {
            changed.push(self.numbered(input, depth, left)?);
        }
        let own = changed.iter().any(Option::is_some);
        let sources = changed.into_iter().zip(inputs);
        let sources: Vec<Operand> =
            sources.map(|(changed, input)| changed.unwrap_or(Operand::Value(input))).collect();
        match partial {
            Some(function) => {
                self.builder.layer(node, Kind::Pointwise(function), &sources).map(Some)
            }
            None if own => self.moved(value, &sources).map(Some),
            None => Ok(None),
        }
    }
}

/// The function, and 0 where it has no number.
fn whole(function: &Expression) -> Expression {
    let cut = Expression::X.by(Operation::Min, LARGEST).by(Operation::Max, -LARGEST);
    let inside = cut.clone().then(Function::Abs).by(Operation::Less, LARGEST);
    cut.with(Operation::Mul, inside).of(function)
}
