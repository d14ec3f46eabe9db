//! One function per operator, one file per family.

mod activation;
mod arithmetic;
mod attention;
mod bits;
mod classic;
mod conv;
mod einsum;
mod fused;
mod hidden;
mod linear;
mod mask;
mod moves;
mod norm;
mod places;
mod pool;
mod quantised;
mod recurrent;
mod reduce;
mod resize;
mod shapes;
mod subgraph;

use super::builder::{Builder, Operand};
use super::error::OnnxError;
use super::node::Node;
use crate::graph::{Graph, Kind};

/// The results of a node, in the order of its outputs.
type Results = Result<Vec<Operand>, OnnxError>;

/// A node that is read.
pub(super) struct Read<'b, 'a> {
    pub(super) builder: &'b mut Builder<'a>,
    pub(super) node: &'b Node<'a>,
}

/// Reads a node.
pub(super) fn read<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    let operator = node.operator();
    let mut reading = Read { builder, node };
    let results = reading.operator(&operator).map_err(|error| reading.placed(error))?;
    for (name, operand) in node.outputs().iter().zip(results) {
        builder.define(node, name, operand)?;
    }
    Ok(())
}

impl<'a> Read<'_, 'a> {
    fn operator(&mut self, operator: &str) -> Results {
        let families = [
            Read::activation,
            Read::arithmetic,
            Read::bits,
            Read::shapes,
            Read::moves,
            Read::places,
            Read::linear,
            Read::attention,
            Read::conv,
            Read::pool,
            Read::norm,
            Read::reduce,
            Read::resize,
            Read::recurrent,
            Read::quantised,
            Read::fused,
            Read::classic,
            Read::subgraph,
        ];
        for family in families {
            if let Some(results) = family(self, operator)? {
                return Ok(results);
            }
        }
        Err(self.node.unsupported(""))
    }

    /// Adds the value at which the network may be cut to an error.
    fn placed(&mut self, error: OnnxError) -> OnnxError {
        let OnnxError::Unsupported { node, operator, because, .. } = error else { return error };
        let inputs = self.builder.graph.inputs.len();
        let names = (0..self.node.inputs()).filter_map(|index| self.node.optional(index));
        let mut before = None;
        for name in names {
            if let Ok(Operand::Value(value)) = self.builder.named(&node, name)
                && value >= inputs
            {
                before = Some(name.to_owned());
                break;
            }
        }
        OnnxError::Unsupported { node, operator, because, before }
    }

    /// The first input.
    fn first(&mut self) -> Result<Operand, OnnxError> {
        self.builder.operand(self.node, 0)
    }

    /// An axis, counted from the end if it is negative. `rank` is one more if
    /// the axis may lie behind the last.
    fn axis(&self, axis: i64, rank: usize) -> Result<usize, OnnxError> {
        let rank = rank as i64;
        let from_start = if axis < 0 { axis + rank } else { axis };
        match (0..rank).contains(&from_start) {
            true => Ok(from_start as usize),
            false => Err(self.node.unsupported(format!("axis {axis} is out of range"))),
        }
    }

    /// Axes that are an attribute up to some version, and an input after it.
    fn axes(&mut self, input: usize) -> Result<Option<Vec<i64>>, OnnxError> {
        if let Some(axes) = self.node.integers("axes") {
            return Ok(Some(axes.to_vec()));
        }
        let host = self.builder.optional_host(self.node, input)?;
        Ok(host.map(|host| host.integers()))
    }
}

/// Refuses a network whose output needs rows that have no numbers, because a
/// mask hides all of them and no node replaces them.
pub(super) fn defined(builder: &Builder<'_>, output: usize) -> Result<(), OnnxError> {
    if builder.undefined.is_empty() {
        return Ok(());
    }
    let graph = &builder.graph;
    let mut read = vec![false; output + 1];
    read[output] = true;
    for value in (0..=output).rev().filter(|&value| graph.layer(value).is_some()) {
        if !read[value] {
            continue;
        }
        if builder.undefined.contains_key(&value) {
            return Err(OnnxError::Unsupported {
                node: graph.name(value).to_owned(),
                operator: "Softmax".to_owned(),
                because: "its mask hides all of a row, which then has no numbers; export with a \
                          mask that leaves an entry in each row"
                    .to_owned(),
                before: None,
            });
        }
        let inputs = graph.layer(value).map_or(&[][..], |layer| &layer.inputs);
        inputs.iter().for_each(|&input| read[input] = true);
    }
    Ok(())
}

/// Refuses what no layer may hold: constants that are infinite after folding.
pub(super) fn check(graph: &Graph) -> Result<(), OnnxError> {
    for layer in &graph.layers {
        let (weights, others): (&[f32], &[f32]) = match &layer.kind {
            Kind::Linear { weights, bias } | Kind::Conv { weights, bias, .. } => {
                (weights.as_slice().unwrap_or_default(), bias)
            }
            Kind::Scale { by } | Kind::Offset { by } => (&by.entries, &[]),
            Kind::Normalise { gamma, beta, .. } => (gamma, beta),
            Kind::Lookup { table } => (table.as_slice().unwrap_or_default(), &[]),
            _ => continue,
        };
        super::tensor::finite(&layer.name, weights)?;
        super::tensor::finite(&layer.name, others)?;
    }
    Ok(())
}

/// One result.
fn one(operand: Operand) -> Result<Option<Vec<Operand>>, OnnxError> {
    Ok(Some(vec![operand]))
}
