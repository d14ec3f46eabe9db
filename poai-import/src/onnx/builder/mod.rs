//! Names, known tensors and values, and the layers made so far.
//!
//! An operand is known when the file is read, or it is a value of the graph.
//! The same operator computes known operands at once and makes layers of
//! values. A file's arithmetic on shapes therefore disappears.
//!
//! - [`moves`]: entries in another order; [`arithmetic`]: functions of entries.

mod arithmetic;
mod moves;

use super::error::OnnxError;
use super::node::Node;
use super::tensor::{self, Host, Number};
use super::{Limits, Versions};
use crate::graph::{Graph, Input, Kind, Layer, ValueShape};
use ndarray::ArcArray2;
use rten_onnx::onnx::TensorProto;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

/// The longest list of places along an axis.
const LIST_MAX: usize = 1 << 24;

/// The most dimensions of a known tensor.
const RANK_MAX: usize = 64;

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Operand {
    /// A tensor that is known when the file is read.
    Known(Rc<Host>),
    /// A value of the graph.
    Value(usize),
    /// What only the order of a value's entries decides, such as a class.
    Class {
        /// The value.
        value: usize,
        /// The operator that decides.
        by: Rc<str>,
    },
}

impl From<Host> for Operand {
    fn from(host: Host) -> Operand {
        Operand::Known(Rc::new(host))
    }
}

/// A name before its first use.
enum Slot<'a> {
    Stored(&'a TensorProto),
    Ready(Operand),
}

/// The graph under construction.
pub(super) struct Builder<'a> {
    pub(super) graph: Graph,
    pub(super) shapes: Vec<ValueShape>,
    pub(super) numbers: Vec<Number>,
    names: HashMap<&'a str, Slot<'a>>,
    folder: Option<&'a Path>,
    /// The rows of values that have no numbers, until a node asks for them.
    pub(super) undefined: HashMap<usize, Host>,
    /// Entries that known tensors may still take.
    budget: usize,
    /// Nodes that loops may still write out.
    nodes: usize,
    /// The versions of the operator sets.
    versions: &'a Versions<'a>,
    /// Weights that several layers share, by the known tensors that they are.
    shared: Vec<(Rc<Host>, ArcArray2<f32>)>,
    limits: Limits,
}

impl<'a> Builder<'a> {
    pub(in crate::onnx) fn new(
        limits: &Limits,
        folder: Option<&'a Path>,
        versions: &'a Versions<'a>,
    ) -> Builder<'a> {
        Builder {
            graph: Graph::new(vec![], vec![]),
            shapes: vec![],
            numbers: vec![],
            names: HashMap::new(),
            undefined: HashMap::new(),
            folder,
            budget: limits.weights,
            nodes: limits.nodes,
            versions,
            shared: vec![],
            limits: *limits,
        }
    }

    /// Adds an input. All inputs come before all layers.
    pub(in crate::onnx) fn add_input(&mut self, name: &'a str, shape: ValueShape, number: Number) {
        self.names.insert(name, Slot::Ready(Operand::Value(self.graph.inputs.len())));
        let whole = number.range();
        self.graph.inputs.push(Input { whole, ..Input::new(name, shape.clone()) });
        self.shapes.push(shape);
        self.numbers.push(number);
    }

    /// Sets what a name stands for, also if it stood for something else.
    pub(in crate::onnx) fn put(&mut self, name: &'a str, operand: Operand) {
        self.names.insert(name, Slot::Ready(operand));
    }

    /// Adds a stored tensor, which is decoded when a node reads it.
    pub(in crate::onnx) fn add_stored(
        &mut self,
        name: &'a str,
        tensor: &'a TensorProto,
    ) -> Result<(), OnnxError> {
        match self.names.insert(name, Slot::Stored(tensor)) {
            None => Ok(()),
            Some(_) => {
                let node = "initializer".to_owned();
                Err(OnnxError::Redefined { node, value: name.to_owned() })
            }
        }
    }

    /// Removes a name of a graph inside a node.
    pub(in crate::onnx) fn forget(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Counts a node that a loop writes out.
    pub(in crate::onnx) fn count_node(&mut self) -> Result<(), OnnxError> {
        let limit = self.limits.nodes;
        let rest = self.nodes.checked_sub(1);
        self.nodes = rest.ok_or(OnnxError::TooMany { what: "nodes, loops written out,", limit })?;
        Ok(())
    }

    /// The version of the operator set of a domain.
    pub(in crate::onnx) fn version(&self, domain: Option<&str>) -> i64 {
        self.versions.of_domain(domain)
    }

    /// Defines a node's output.
    pub(in crate::onnx) fn define(
        &mut self,
        node: &Node<'a>,
        name: &'a str,
        operand: Operand,
    ) -> Result<(), OnnxError> {
        if let Operand::Known(host) = &operand {
            self.fits(&node.name, &host.shape)?;
        }
        if name.is_empty() {
            return Ok(());
        }
        match self.names.insert(name, Slot::Ready(operand)) {
            None => Ok(()),
            Some(_) => {
                let node = node.name.clone();
                Err(OnnxError::Redefined { node, value: name.to_owned() })
            }
        }
    }

    /// Whether a name stands for something.
    pub(in crate::onnx) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// What a name stands for.
    pub(in crate::onnx) fn named(&mut self, node: &str, name: &str) -> Result<Operand, OnnxError> {
        let missing = || OnnxError::Value { node: node.to_owned(), value: name.to_owned() };
        match self.names.get(name).ok_or_else(missing)? {
            Slot::Ready(operand) => Ok(operand.clone()),
            Slot::Stored(stored) => {
                let host =
                    tensor::decode(name, stored, self.folder, (self.budget, self.limits.weights))?;
                self.fits(name, &host.shape)?;
                let operand = self.known(host)?;
                if let Some(slot) = self.names.get_mut(name) {
                    *slot = Slot::Ready(operand.clone());
                }
                Ok(operand)
            }
        }
    }

    /// A stored tensor of an attribute.
    pub(in crate::onnx) fn stored(
        &mut self,
        name: &str,
        stored: &TensorProto,
    ) -> Result<Operand, OnnxError> {
        let host = tensor::decode(name, stored, self.folder, (self.budget, self.limits.weights))?;
        self.fits(name, &host.shape)?;
        self.known(host)
    }

    /// A known tensor, which counts towards the limit.
    pub(in crate::onnx) fn known(&mut self, host: Host) -> Result<Operand, OnnxError> {
        self.spend(host.entries.len())?;
        Ok(host.into())
    }

    /// Refuses known tensors of more entries than the limit, before they are
    /// made.
    pub(in crate::onnx) fn spend(&mut self, entries: usize) -> Result<(), OnnxError> {
        let limit = self.limits.weights;
        let rest = self.budget.checked_sub(entries);
        self.budget = rest.ok_or(OnnxError::TooMany { what: "entries of constants", limit })?;
        Ok(())
    }

    /// The operand of a node's input.
    pub(in crate::onnx) fn operand(
        &mut self,
        node: &Node<'a>,
        index: usize,
    ) -> Result<Operand, OnnxError> {
        let name = node.input(index)?;
        self.named(&node.name, name)
    }

    /// The operand of a node's input, or `None` if the node omits it.
    pub(in crate::onnx) fn optional(
        &mut self,
        node: &Node<'a>,
        index: usize,
    ) -> Result<Option<Operand>, OnnxError> {
        node.optional(index).map(|name| self.named(&node.name, name)).transpose()
    }

    /// A node's input that must be known.
    pub(in crate::onnx) fn host(
        &mut self,
        node: &Node<'a>,
        index: usize,
    ) -> Result<Rc<Host>, OnnxError> {
        match self.operand(node, index)? {
            Operand::Known(host) => Ok(host),
            _ => {
                Err(node.unsupported(format!("expected a constant as input {index}, got a value")))
            }
        }
    }

    /// A node's input that must be known, or `None` if the node omits it.
    pub(in crate::onnx) fn optional_host(
        &mut self,
        node: &Node<'a>,
        index: usize,
    ) -> Result<Option<Rc<Host>>, OnnxError> {
        match node.optional(index) {
            Some(_) => self.host(node, index).map(Some),
            None => Ok(None),
        }
    }

    pub(in crate::onnx) fn shape(&self, operand: &Operand) -> ValueShape {
        match operand {
            Operand::Known(host) => ValueShape(host.shape.clone()),
            Operand::Value(value) | Operand::Class { value, .. } => {
                self.shapes.get(*value).cloned().unwrap_or_default()
            }
        }
    }

    pub(in crate::onnx) fn number(&self, operand: &Operand) -> Number {
        match operand {
            Operand::Known(host) => host.number,
            Operand::Value(value) => self.numbers.get(*value).copied().unwrap_or(Number::Real),
            Operand::Class { .. } => Number::WHOLE,
        }
    }

    /// Adds a layer that reads values.
    pub(in crate::onnx) fn layer(
        &mut self,
        node: &Node<'a>,
        kind: Kind,
        inputs: &[Operand],
    ) -> Result<Operand, OnnxError> {
        let mut values = vec![];
        for input in inputs {
            match input {
                Operand::Value(value) => values.push(*value),
                Operand::Class { by, .. } => {
                    return Err(node.unsupported(format!(
                        "it computes with the result of {by}, which ends a network; export \
                         without the nodes after it"
                    )));
                }
                Operand::Known(_) => {
                    return Err(node.unsupported("it computes with constants alone"));
                }
            }
        }
        let shapes: Vec<&ValueShape> =
            values.iter().filter_map(|&value| self.shapes.get(value)).collect();
        let shape = kind.output(&node.name, &shapes)?;
        let layers = self.graph.layers.len();
        if layers >= self.limits.layers {
            return Err(OnnxError::TooMany { what: "layers", limit: self.limits.layers });
        }
        self.graph.layers.push(Layer { name: node.name.clone(), kind, inputs: values });
        self.shapes.push(shape);
        self.numbers.push(Number::Real);
        Ok(Operand::Value(self.graph.values() - 1))
    }

    /// Refuses a list longer than a value may be, or than the limit of known
    /// entries, before it is made.
    pub(in crate::onnx) fn bounded(&self, node: &Node<'a>, size: usize) -> Result<(), OnnxError> {
        if size > LIST_MAX {
            return Err(crate::graph::GraphError::TooLarge { layer: node.name.clone() }.into());
        }
        match size > self.budget {
            true => {
                let limit = self.limits.weights;
                Err(OnnxError::TooMany { what: "entries of constants", limit })
            }
            false => Ok(()),
        }
    }

    /// Refuses the shape of a known tensor whose dimensions other than 0 exceed
    /// what a value may have. Otherwise a tensor without entries could have
    /// dimensions that overflow products, or axes that no list may be as long as.
    pub(in crate::onnx) fn fits(&self, name: &str, shape: &[usize]) -> Result<(), OnnxError> {
        let others = shape.iter().map(|&size| size.max(1)).collect();
        match ValueShape(others).entries() > crate::graph::MAX_ENTRIES || shape.len() > RANK_MAX {
            true => Err(crate::graph::GraphError::TooLarge { layer: name.to_owned() }.into()),
            false => Ok(()),
        }
    }

    /// The shape to which several shapes broadcast.
    pub(in crate::onnx) fn broadcast(
        &self,
        node: &Node<'a>,
        shapes: &[ValueShape],
    ) -> Result<Vec<usize>, OnnxError> {
        let rank = shapes.iter().map(ValueShape::rank).max().unwrap_or(0);
        let mut to = vec![1; rank];
        for shape in shapes {
            for (to, &size) in to[rank - shape.rank()..].iter_mut().zip(&shape.0) {
                if *to != size && *to != 1 && size != 1 {
                    return Err(node.unsupported("the shapes of its inputs do not broadcast"));
                }
                if size != 1 {
                    *to = size;
                }
            }
        }
        Ok(to)
    }

    /// Remembers that a moved value has whole numbers, as its source has.
    pub(in crate::onnx) fn keep_number(&mut self, of: &Operand, number: Number) {
        if let Operand::Value(value) = of
            && let Some(own) = self.numbers.get_mut(*value)
        {
            *own = number;
        }
    }
}
