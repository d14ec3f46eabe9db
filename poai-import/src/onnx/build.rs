//! The graph under construction: the meaning of each name, and folding.

use super::error::{OnnxError, OnnxTensorError};
use super::node::Node;
use super::tensor::{self, Constant, Floats};
use crate::graph::{Graph, ImageExtent, Kind, Layer, bounded};
use ndarray::Array2;
use rten_onnx::onnx::GraphProto;
use std::collections::HashMap;

/// A value of the graph, as a name of the file refers to it.
#[derive(Clone, Copy)]
pub(super) struct Value {
    /// The value's index in the graph.
    pub(super) index: usize,
    /// Its shape.
    pub(super) extent: ImageExtent,
    /// Whether the file's shape is N×F and not N×C×H×W.
    pub(super) flat: bool,
    /// The image that the value flattens, if any. The file has its entries
    /// channels-first, and the graph has them channels-last.
    pub(super) flattened: Option<ImageExtent>,
}

/// The meaning of a name.
enum Meaning<'a> {
    Constant(Constant<'a>),
    /// A value, and how often its layer had been folded into when it got the
    /// name.
    Value(Value, usize),
}

pub(super) struct Builder<'a> {
    names: HashMap<&'a str, Meaning<'a>>,
    graph: Graph,
    /// For every value, how often other nodes were folded into its layer. A
    /// name from before a fold means a value that the graph no longer computes.
    folds: Vec<usize>,
    /// For every value, whether a layer reads it.
    read: Vec<bool>,
    pub(super) batch: Option<usize>,
    budget: usize,
    weights: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        proto: &'a GraphProto,
        name: &'a str,
        input: Value,
        batch: Option<usize>,
        weights: usize,
    ) -> Result<Builder<'a>, OnnxError> {
        let mut names = HashMap::from([(name, Meaning::Value(input, 0))]);
        for tensor in &proto.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            if names.insert(name, Meaning::Constant(Constant::Tensor(tensor))).is_some() {
                let (node, value) = ("initialiser".to_owned(), name.to_owned());
                return Err(OnnxError::Redefined { node, value });
            }
        }
        let graph = Graph { input: bounded("input", input.extent)?, layers: Vec::new() };
        let (folds, read) = (vec![0], vec![false]);
        Ok(Builder { names, graph, folds, read, batch, budget: weights, weights })
    }

    /// The constant of a name.
    pub(super) fn constant(&self, name: &str) -> Option<Constant<'a>> {
        match self.names.get(name) {
            Some(&Meaning::Constant(constant)) => Some(constant),
            _ => None,
        }
    }

    /// The value of the node's input.
    pub(super) fn value(&self, node: &Node<'_>, index: usize) -> Result<Value, OnnxError> {
        self.named(&node.name, node.input(index)?)
    }

    fn named(&self, node: &str, name: &str) -> Result<Value, OnnxError> {
        match self.names.get(name) {
            Some(&Meaning::Value(value, folds)) if self.folds.get(value.index) == Some(&folds) => {
                Ok(value)
            }
            _ => Err(OnnxError::Value { node: node.to_owned(), value: name.to_owned() }),
        }
    }

    /// The constant of a name, decoded. Its entries count against the budget.
    pub(super) fn floats(&mut self, name: &str) -> Result<Floats, OnnxError> {
        let missing = || tensor::failed(name, OnnxTensorError::Missing);
        let constant = self.constant(name).ok_or_else(missing)?;
        tensor::floats(name, constant, &mut self.budget, self.weights)
    }

    /// Gives the node's output a meaning.
    fn mean(&mut self, node: &Node<'a>, meaning: Meaning<'a>) -> Result<(), OnnxError> {
        let name = node.output()?;
        match self.names.insert(name, meaning) {
            None => Ok(()),
            Some(_) => {
                Err(OnnxError::Redefined { node: node.name.clone(), value: name.to_owned() })
            }
        }
    }

    /// Defines the node's output as a constant.
    pub(super) fn keep(
        &mut self,
        node: &Node<'a>,
        constant: Constant<'a>,
    ) -> Result<(), OnnxError> {
        self.mean(node, Meaning::Constant(constant))
    }

    /// Defines the node's output as this value, whose layer already exists.
    pub(super) fn alias(&mut self, node: &Node<'a>, value: Value) -> Result<(), OnnxError> {
        let folds = self.folds.get(value.index).copied().unwrap_or_default();
        self.mean(node, Meaning::Value(value, folds))
    }

    /// Adds the node as a layer. `flat` and `flattened` describe its output.
    pub(super) fn push(
        &mut self,
        node: &Node<'a>,
        kind: Kind,
        inputs: &[Value],
        flat: bool,
        flattened: Option<ImageExtent>,
    ) -> Result<(), OnnxError> {
        let extents: Vec<ImageExtent> = inputs.iter().map(|value| value.extent).collect();
        let extent = kind.output(&node.name, &extents)?;
        let inputs: Vec<usize> = inputs.iter().map(|value| value.index).collect();
        for &input in &inputs {
            if let Some(read) = self.read.get_mut(input) {
                *read = true;
            }
        }
        self.graph.layers.push(Layer { name: node.name.clone(), kind, inputs });
        self.folds.push(0);
        self.read.push(false);
        let index = self.graph.layers.len();
        self.alias(node, Value { index, extent, flat, flattened })
    }

    /// Rewrites the weights and the bias of the layer that makes the value, and
    /// defines the node's output as that value. `None` if no layer with weights
    /// makes the value, or if a layer already read the unfolded value.
    pub(super) fn fold(
        &mut self,
        node: &Node<'a>,
        value: Value,
        rewrite: impl FnOnce(&mut Array2<f32>, &mut Vec<f32>),
    ) -> Result<Option<()>, OnnxError> {
        let layer = value.index.checked_sub(1).and_then(|layer| self.graph.layers.get_mut(layer));
        let (Some(layer), Some(false)) = (layer, self.read.get(value.index)) else {
            return Ok(None);
        };
        let (Kind::Gemm { weights, bias } | Kind::Conv { weights, bias, .. }) = &mut layer.kind
        else {
            return Ok(None);
        };
        rewrite(weights, bias);
        tensor::finite(&node.name, weights.as_slice().unwrap_or_default())?;
        tensor::finite(&node.name, bias)?;
        if let Some(folds) = self.folds.get_mut(value.index) {
            *folds += 1;
        }
        self.alias(node, value).map(Some)
    }

    /// The graph that makes the output. Layers that the output does not need
    /// are removed, so that the last layer makes it.
    pub(super) fn finish(self, output: &str) -> Result<Graph, OnnxError> {
        let Value { index: last, .. } = self.named("output", output)?;
        if last == 0 {
            return Err(OnnxError::Output { name: output.to_owned() });
        }
        let mut needed = vec![false; self.graph.layers.len() + 1];
        needed[last] = true;
        for (before, layer) in self.graph.layers.iter().enumerate().rev() {
            if needed[before + 1] {
                layer.inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        // The input keeps its place, even if no layer reads it.
        let mut places = vec![0; needed.len()];
        let mut layers = Vec::new();
        for (mut layer, made) in self.graph.layers.into_iter().zip(1..) {
            if needed[made] {
                layer.inputs.iter_mut().for_each(|input| *input = places[*input]);
                layers.push(layer);
                places[made] = layers.len();
            }
        }
        let graph = Graph { input: self.graph.input, layers };
        graph.shapes()?;
        Ok(graph)
    }
}
