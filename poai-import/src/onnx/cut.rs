//! A network that is cut at a value: what makes the value, and what reads it.

use super::builder::{Builder, Operand};
use super::error::OnnxError;
use super::node::Node;
use super::{ReadOptions, Versions, Whole, ids, inputs, operators};
use crate::graph::{Graph, GraphError, Input, Layer, ValueShape};
use rten_onnx::onnx::GraphProto;
use std::collections::BTreeMap;
use std::path::Path;

/// Both parts of a network that is cut at a value.
///
/// The part before makes the value of the network's inputs. The layers after it read
/// nothing else, so the one input of the part after is the value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CutGraph {
    /// The network whose output is the value.
    pub before: Graph,
    /// The network whose input is the value, and whose output is that of the whole.
    pub after: Graph,
    /// Operator and first output of each node, by its name.
    nodes: BTreeMap<String, [String; 2]>,
}

impl CutGraph {
    /// Two networks of which the second one reads the first one's output.
    pub fn new(before: Graph, after: Graph) -> CutGraph {
        CutGraph { before, after, nodes: BTreeMap::new() }
    }

    /// The operator of the node that a layer comes from, and the node's output, at
    /// which a network may be cut behind it. `None` for layers that a file does not
    /// name.
    pub fn node(&self, layer: &str) -> Option<(&str, &str)> {
        self.nodes.get(layer).map(|[operator, output]| (operator.as_str(), output.as_str()))
    }
}

impl ReadOptions {
    /// Reads the bytes of a file and cuts its network at a value, by the value's name.
    ///
    /// Functions are not composed across the cut, and what the file does with the
    /// output and the library leaves out is left out of the part after.
    ///
    /// # Errors
    /// As [`ReadOptions::read`], or [`OnnxError::Cut`] if the value is an input or the
    /// output, or if a layer behind it reads something before it, too.
    pub fn cut(&self, bytes: &[u8], value: &str) -> Result<CutGraph, OnnxError> {
        let whole = self.whole(bytes, Some(value))?;
        whole.cut.ok_or_else(|| refused(value, "the output does not need it"))
    }

    /// As [`ReadOptions::cut`], of a file by its path, with the data beside it.
    ///
    /// # Errors
    /// As [`ReadOptions::cut`], or [`OnnxError::File`].
    pub fn cut_file(&self, path: &Path, value: &str) -> Result<CutGraph, OnnxError> {
        let (options, bytes) = self.opened(path)?;
        options.cut(&bytes, value)
    }
}

impl Whole {
    /// Adds the names of the file's nodes to a cut.
    pub(super) fn named(mut self, graph: &GraphProto, versions: &Versions<'_>) -> Whole {
        if let Some(cut) = &mut self.cut {
            let node = |(index, proto): (usize, &rten_onnx::onnx::NodeProto)| {
                let version = versions.of_domain(proto.domain.as_deref());
                let node = Node::new(proto, index, version);
                let output = node.outputs().first().cloned().unwrap_or_default();
                (node.name.clone(), [node.operator(), output])
            };
            cut.nodes = graph.node.iter().enumerate().map(node).collect();
        }
        self
    }
}

fn refused(value: &str, because: impl Into<String>) -> OnnxError {
    OnnxError::Cut { value: value.to_owned(), because: because.into() }
}

/// The value of a name at which a network is cut.
pub(super) fn place(builder: &mut Builder<'_>, name: &str) -> Result<usize, OnnxError> {
    if !builder.has(name) {
        return Err(refused(name, "no node that the output needs has a value of this name"));
    }
    match builder.named("cut", name)? {
        Operand::Value(value) => Ok(value),
        Operand::Known(_) => Err(refused(name, "it is a constant")),
        Operand::Class { .. } => Err(refused(name, "it is a class, which ends a network")),
    }
}

/// Cuts a graph, as its file has it, at a value.
pub(super) fn cut(
    graph: &Graph,
    shapes: &[ValueShape],
    name: &str,
    value: usize,
    limit: usize,
) -> Result<CutGraph, OnnxError> {
    let (inputs, output) = (graph.inputs.len(), graph.values().saturating_sub(1));
    if value < inputs {
        return Err(refused(name, "it is an input, before which there are no layers"));
    }
    if value == output {
        return Err(refused(name, "it is the output, behind which there are no layers"));
    }
    if value > output {
        return Err(refused(name, "the output does not need it"));
    }
    let shape = shapes.get(value).cloned().unwrap_or_default();
    let mut after = Graph::new(vec![Input::new(name, shape)], vec![]);
    after.tail.clone_from(&graph.tail);
    let needed = needed(graph, value);
    // The place of each value behind the cut.
    let mut places = BTreeMap::from([(value, 0)]);
    for at in (value + 1..=output).filter(|at| needed[*at]) {
        let Some(layer) = graph.layer(at) else { continue };
        let own = |&read: &usize| {
            places.get(&read).copied().ok_or_else(|| {
                let (node, read) = (&layer.name, graph.name(read));
                refused(name, format!("node {node} behind it also reads {read}, which is not"))
            })
        };
        let inputs = layer.inputs.iter().map(own).collect::<Result<_, _>>()?;
        let (name, kind) = (layer.name.clone(), layer.kind.clone());
        after.layers.push(Layer { name, kind, inputs });
        places.insert(at, after.layers.len());
    }
    let layers = graph.layers.get(..=value - inputs).unwrap_or_default().to_vec();
    let before = Graph::new(graph.inputs.clone(), layers);
    let before = ids::tabulate(before, limit)?.fused()?;
    let after = after.fused()?;
    for part in [&before, &after] {
        if part.layers.is_empty() {
            return Err(GraphError::NoLayers.into());
        }
        operators::check(part)?;
    }
    let before = inputs::order(inputs::read_ones(before));
    Ok(CutGraph::new(before, after))
}

/// Which values the output needs, with those that a value at which a network is cut
/// needs left out.
fn needed(graph: &Graph, cut: usize) -> Vec<bool> {
    let mut needed = vec![false; graph.values()];
    if let Some(last) = needed.last_mut() {
        *last = true;
    }
    for value in (cut + 1..graph.values()).rev().filter(|&value| graph.layer(value).is_some()) {
        if needed[value] {
            let read = graph.layer(value).map_or(&[][..], |layer| &layer.inputs);
            read.iter().for_each(|&read| needed[read] = true);
        }
    }
    needed
}
