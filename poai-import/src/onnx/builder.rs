//! Names, known tensors and values, and the layers made so far.
//!
//! An operand is known when the file is read, or it is a value of the graph.
//! The same operator computes known operands at once and makes layers of
//! values. A file's arithmetic on shapes therefore disappears.

use super::Limits;
use super::error::OnnxError;
use super::node::Node;
use super::tensor::{self, Host, Number};
use crate::graph::expression::{Function, Operation};
use crate::graph::moves::{self, Index};
use crate::graph::{Constant, Expression, Graph, Input, Kind, Layer, Reduction, Shape};
use rten_onnx::onnx::TensorProto;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

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
    pub(super) shapes: Vec<Shape>,
    pub(super) numbers: Vec<Number>,
    names: HashMap<&'a str, Slot<'a>>,
    folder: Option<&'a Path>,
    /// Entries that known tensors may still take.
    budget: usize,
    limits: Limits,
}

impl<'a> Builder<'a> {
    pub(super) fn new(limits: &Limits, folder: Option<&'a Path>) -> Builder<'a> {
        Builder {
            graph: Graph::new(vec![], vec![]),
            shapes: vec![],
            numbers: vec![],
            names: HashMap::new(),
            folder,
            budget: limits.weights,
            limits: *limits,
        }
    }

    /// Adds an input. All inputs come before all layers.
    pub(super) fn add_input(&mut self, name: &'a str, shape: Shape, number: Number) {
        self.names.insert(name, Slot::Ready(Operand::Value(self.graph.inputs.len())));
        self.graph.inputs.push(Input::new(name, shape.clone()));
        self.shapes.push(shape);
        self.numbers.push(number);
    }

    /// Adds a stored tensor, which is decoded when a node reads it.
    pub(super) fn add_stored(
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

    /// Defines a node's output.
    pub(super) fn define(
        &mut self,
        node: &Node<'a>,
        name: &'a str,
        operand: Operand,
    ) -> Result<(), OnnxError> {
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

    /// What a name stands for.
    pub(super) fn named(&mut self, node: &str, name: &str) -> Result<Operand, OnnxError> {
        let missing = || OnnxError::Value { node: node.to_owned(), value: name.to_owned() };
        match self.names.get(name).ok_or_else(missing)? {
            Slot::Ready(operand) => Ok(operand.clone()),
            Slot::Stored(stored) => {
                let host = tensor::decode(name, stored, self.folder, self.budget)?;
                let operand = self.known(host)?;
                if let Some(slot) = self.names.get_mut(name) {
                    *slot = Slot::Ready(operand.clone());
                }
                Ok(operand)
            }
        }
    }

    /// A stored tensor of an attribute.
    pub(super) fn stored(
        &mut self,
        name: &str,
        stored: &TensorProto,
    ) -> Result<Operand, OnnxError> {
        let host = tensor::decode(name, stored, self.folder, self.budget)?;
        self.known(host)
    }

    /// A known tensor, which counts towards the limit.
    pub(super) fn known(&mut self, host: Host) -> Result<Operand, OnnxError> {
        self.spend(host.entries.len())?;
        Ok(host.into())
    }

    /// Refuses known tensors of more entries than the limit, before they are
    /// made.
    pub(super) fn spend(&mut self, entries: usize) -> Result<(), OnnxError> {
        let limit = self.limits.weights;
        let rest = self.budget.checked_sub(entries);
        self.budget = rest.ok_or(OnnxError::TooMany { what: "entries of constants", limit })?;
        Ok(())
    }

    /// The operand of a node's input.
    pub(super) fn operand(&mut self, node: &Node<'a>, index: usize) -> Result<Operand, OnnxError> {
        let name = node.input(index)?;
        self.named(&node.name, name)
    }

    /// The operand of a node's input, or `None` if the node omits it.
    pub(super) fn optional(
        &mut self,
        node: &Node<'a>,
        index: usize,
    ) -> Result<Option<Operand>, OnnxError> {
        node.optional(index).map(|name| self.named(&node.name, name)).transpose()
    }

    /// A node's input that must be known.
    pub(super) fn host(&mut self, node: &Node<'a>, index: usize) -> Result<Rc<Host>, OnnxError> {
        match self.operand(node, index)? {
            Operand::Known(host) => Ok(host),
            _ => {
                Err(node.unsupported(format!("expected a constant as input {index}, got a value")))
            }
        }
    }

    /// A node's input that must be known, or `None` if the node omits it.
    pub(super) fn optional_host(
        &mut self,
        node: &Node<'a>,
        index: usize,
    ) -> Result<Option<Rc<Host>>, OnnxError> {
        match node.optional(index) {
            Some(_) => self.host(node, index).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn shape(&self, operand: &Operand) -> Shape {
        match operand {
            Operand::Known(host) => Shape(host.shape.clone()),
            Operand::Value(value) | Operand::Class { value, .. } => {
                self.shapes.get(*value).cloned().unwrap_or_default()
            }
        }
    }

    pub(super) fn number(&self, operand: &Operand) -> Number {
        match operand {
            Operand::Known(host) => host.number,
            Operand::Value(value) => self.numbers.get(*value).copied().unwrap_or(Number::Real),
            Operand::Class { .. } => Number::Whole,
        }
    }

    /// Adds a layer that reads values.
    pub(super) fn layer(
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
                    return Err(node.unsupported(format!("it reads the result of {by}")));
                }
                Operand::Known(_) => {
                    return Err(node.unsupported("it computes with constants alone"));
                }
            }
        }
        let shapes: Vec<&Shape> =
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

    /// Entries of an operand along an axis, or zeros.
    pub(super) fn take(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        axis: usize,
        indices: Vec<Index>,
    ) -> Result<Operand, OnnxError> {
        let shape = self.shape(of);
        if axis >= shape.rank() || indices.iter().flatten().any(|&index| index >= shape.0[axis]) {
            return Err(node.unsupported("an axis or an index is out of range"));
        }
        if indices.iter().copied().eq((0..shape.0[axis]).map(Some)) {
            return Ok(of.clone());
        }
        match of {
            Operand::Known(host) => {
                let mut to = shape.clone();
                to.0[axis] = indices.len();
                self.spend(to.entries())?;
                let entries = moves::take(&shape, axis, &indices, 0.0, &host.entries);
                Ok(Host { shape: to.0, number: host.number, entries }.into())
            }
            _ => {
                let kept = self.number(of);
                let taken =
                    self.layer(node, Kind::Take { axis, indices }, std::slice::from_ref(of))?;
                self.keep_number(&taken, kept);
                Ok(taken)
            }
        }
    }

    /// Consecutive entries along an axis.
    pub(super) fn range(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        axis: usize,
        range: std::ops::Range<usize>,
    ) -> Result<Operand, OnnxError> {
        self.take(node, of, axis, range.map(Some).collect())
    }

    pub(super) fn reshape(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        shape: Vec<usize>,
    ) -> Result<Operand, OnnxError> {
        let from = self.shape(of);
        if from.0 == shape {
            return Ok(of.clone());
        }
        if Shape(shape.clone()).entries() != from.entries() {
            return Err(node.unsupported(format!(
                "expected a shape of as many entries as {from}, got {}",
                Shape(shape)
            )));
        }
        match of {
            Operand::Known(host) => {
                self.spend(host.entries.len())?;
                Ok(Host { shape, ..(**host).clone() }.into())
            }
            Operand::Class { .. } => Ok(of.clone()),
            Operand::Value(_) => {
                let kept = self.number(of);
                let moved = self.layer(node, Kind::Reshape { shape }, std::slice::from_ref(of))?;
                self.keep_number(&moved, kept);
                Ok(moved)
            }
        }
    }

    pub(super) fn transpose(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        permutation: Vec<usize>,
    ) -> Result<Operand, OnnxError> {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return Ok(of.clone());
        }
        let from = self.shape(of);
        // The kind checks that this is a permutation.
        let to = Kind::Transpose { permutation: permutation.clone() };
        match of {
            Operand::Known(host) => {
                let shape = if host.entries.is_empty() {
                    moves::transposed(&from, &permutation)
                } else {
                    to.output(&node.name, &[&from])?
                };
                self.spend(host.entries.len())?;
                let entries = moves::transpose(&from, &permutation, &host.entries);
                Ok(Host { shape: shape.0, number: host.number, entries }.into())
            }
            _ => {
                let kept = self.number(of);
                let moved = self.layer(node, to, std::slice::from_ref(of))?;
                self.keep_number(&moved, kept);
                Ok(moved)
            }
        }
    }

    pub(super) fn concat(
        &mut self,
        node: &Node<'a>,
        parts: &[Operand],
        axis: usize,
    ) -> Result<Operand, OnnxError> {
        let known: Option<Vec<Rc<Host>>> = parts
            .iter()
            .map(|part| if let Operand::Known(host) = part { Some(host.clone()) } else { None })
            .collect();
        if let Some(hosts) = known {
            // Parts without entries are common in arithmetic on shapes.
            let full: Vec<&Rc<Host>> =
                hosts.iter().filter(|host| !host.entries.is_empty()).collect();
            let Some(first) = full.first() else {
                return Ok(hosts.first().map_or_else(
                    || Host::list(vec![]).into(),
                    |host| Operand::Known(host.clone()),
                ));
            };
            let shapes: Vec<Shape> = full.iter().map(|host| Shape(host.shape.clone())).collect();
            let to =
                Kind::Concat { axis }.output(&node.name, &shapes.iter().collect::<Vec<_>>())?;
            self.spend(to.entries())?;
            let parts: Vec<(&Shape, &[f64])> =
                shapes.iter().zip(&full).map(|(shape, host)| (shape, &host.entries[..])).collect();
            let entries = moves::concat(&parts, axis);
            return Ok(Host { shape: to.0, number: first.number, entries }.into());
        }
        let [only] = parts else {
            let mut values = vec![];
            for part in parts {
                values.push(self.as_value(node, part, parts)?);
            }
            return self.layer(node, Kind::Concat { axis }, &values);
        };
        Ok(only.clone())
    }

    /// A constant among values as a value: zeros of a value, and the constant.
    fn as_value(
        &mut self,
        node: &Node<'a>,
        part: &Operand,
        among: &[Operand],
    ) -> Result<Operand, OnnxError> {
        let Operand::Known(host) = part else { return Ok(part.clone()) };
        let value = among.iter().find(|other| matches!(other, Operand::Value(_)));
        let Some(value) = value.cloned() else { return Ok(part.clone()) };
        self.filled(node, &value, host)
    }

    /// A value with the entries of a known tensor, whatever the input is.
    pub(super) fn filled(
        &mut self,
        node: &Node<'a>,
        any: &Operand,
        host: &Host,
    ) -> Result<Operand, OnnxError> {
        let entries = self.shape(any).entries();
        let flat = self.reshape(node, any, vec![entries])?;
        let zeros = self.take(node, &flat, 0, vec![None; host.entries.len()])?;
        let zeros = self.reshape(node, &zeros, host.shape.clone())?;
        self.offset(node, &zeros, host)
    }

    /// The operand with axes of size 1 repeated, and leading axes added, so
    /// that it has the shape.
    pub(super) fn expand(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        shape: &[usize],
    ) -> Result<Operand, OnnxError> {
        let from = self.shape(of);
        let missing = shape.len().checked_sub(from.rank());
        let missing = missing.ok_or_else(|| node.unsupported("the shapes do not broadcast"))?;
        let mut sizes = vec![1; missing];
        sizes.extend(&from.0);
        let mut moved = self.reshape(node, of, sizes.clone())?;
        for (axis, (&own, &size)) in sizes.iter().zip(shape).enumerate() {
            if own == size {
                continue;
            }
            if own != 1 {
                return Err(node.unsupported("the shapes do not broadcast"));
            }
            self.bounded(node, size)?;
            moved = self.take(node, &moved, axis, vec![Some(0); size])?;
        }
        Ok(moved)
    }

    /// Refuses a list longer than a value may be, before it is made.
    pub(super) fn bounded(&self, node: &Node<'a>, size: usize) -> Result<(), OnnxError> {
        match size > crate::graph::MAX_ENTRIES {
            true => Err(crate::graph::GraphError::TooLarge { layer: node.name.clone() }.into()),
            false => Ok(()),
        }
    }

    /// The shape to which several shapes broadcast.
    pub(super) fn broadcast(
        &self,
        node: &Node<'a>,
        shapes: &[Shape],
    ) -> Result<Vec<usize>, OnnxError> {
        let rank = shapes.iter().map(Shape::rank).max().unwrap_or(0);
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

    /// A function of every entry.
    pub(super) fn apply(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        function: Expression,
    ) -> Result<Operand, OnnxError> {
        match of {
            Operand::Known(host) => {
                self.spend(host.entries.len())?;
                let entries = host.entries.iter().map(|&x| function.at(x)).collect();
                Ok(Host { entries, ..(**host).clone() }.into())
            }
            _ => self.layer(node, Kind::Pointwise(function), std::slice::from_ref(of)),
        }
    }

    pub(super) fn call(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        function: Function,
    ) -> Result<Operand, OnnxError> {
        self.apply(node, of, Expression::call(function))
    }

    /// The known tensor as a constant over values of the shape.
    fn constant(
        &mut self,
        node: &Node<'a>,
        host: &Host,
        shape: &Shape,
    ) -> Result<Constant, OnnxError> {
        let missing = shape.rank().checked_sub(host.shape.len());
        let missing = missing.ok_or_else(|| node.unsupported("the shapes do not broadcast"))?;
        let mut sizes = vec![1; missing];
        sizes.extend(&host.shape);
        let entries = host.floats();
        tensor::finite(&node.name, &entries)?;
        Ok(Constant { shape: sizes, entries })
    }

    pub(super) fn scale(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        host: &Host,
    ) -> Result<Operand, OnnxError> {
        let by = self.constant(node, host, &self.shape(of))?;
        if by.uniform() == Some(1.0) {
            return Ok(of.clone());
        }
        self.layer(node, Kind::Scale { by }, std::slice::from_ref(of))
    }

    pub(super) fn offset(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        host: &Host,
    ) -> Result<Operand, OnnxError> {
        let by = self.constant(node, host, &self.shape(of))?;
        if by.uniform() == Some(0.0) {
            return Ok(of.clone());
        }
        self.layer(node, Kind::Offset { by }, std::slice::from_ref(of))
    }

    /// `x·number`.
    pub(super) fn times(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        number: f64,
    ) -> Result<Operand, OnnxError> {
        self.pair(node, Operation::Mul, of, &Host::scalar(Number::Real, number).into())
    }

    /// An operation on two operands, which broadcast.
    pub(super) fn pair(
        &mut self,
        node: &Node<'a>,
        operation: Operation,
        a: &Operand,
        b: &Operand,
    ) -> Result<Operand, OnnxError> {
        let to = self.broadcast(node, &[self.shape(a), self.shape(b)])?;
        if let (Operand::Known(a), Operand::Known(b)) = (a, b) {
            return self.fold(operation, a, b, to);
        }
        let (a, b) = match (a, b) {
            (Operand::Known(host), value) => {
                let value = self.expand(node, value, &to)?;
                return self.with_constant(node, operation, &value, host, true);
            }
            (value, Operand::Known(host)) => {
                let value = self.expand(node, value, &to)?;
                return self.with_constant(node, operation, &value, host, false);
            }
            (a, b) => (self.expand(node, a, &to)?, self.expand(node, b, &to)?),
        };
        let factors = |factors| Kind::Add { factors };
        match operation {
            Operation::Add => self.layer(node, factors([1.0, 1.0]), &[a, b]),
            Operation::Sub => self.layer(node, factors([1.0, -1.0]), &[a, b]),
            Operation::Mul => self.layer(node, Kind::Mul, &[a, b]),
            Operation::Div => {
                let inverse = Expression::Number(1.0).with(Operation::Div, Expression::X);
                let inverse = self.apply(node, &b, inverse)?;
                self.layer(node, Kind::Mul, &[a, inverse])
            }
            // max(a, b) = b + max(a − b, 0), and min(a, b) = b + min(a − b, 0).
            Operation::Max | Operation::Min => {
                let difference = self.layer(node, factors([1.0, -1.0]), &[a, b.clone()])?;
                let cut = self.apply(node, &difference, Expression::X.by(operation, 0.0))?;
                self.layer(node, factors([1.0, 1.0]), &[cut, b])
            }
            Operation::Less | Operation::Equal => {
                let difference = self.layer(node, factors([1.0, -1.0]), &[a, b])?;
                self.apply(node, &difference, Expression::X.by(operation, 0.0))
            }
            Operation::Pow => Err(node.unsupported("both inputs are values")),
        }
    }

    /// An operation on a value and a constant that broadcasts over it.
    fn with_constant(
        &mut self,
        node: &Node<'a>,
        operation: Operation,
        value: &Operand,
        host: &Rc<Host>,
        first: bool,
    ) -> Result<Operand, OnnxError> {
        let one = match host.entries.split_first() {
            Some((&one, rest)) if rest.iter().all(|&entry| entry == one) => Some(one),
            _ => None,
        };
        let negative = |host: &Host| Host {
            entries: host.entries.iter().map(|entry| -entry).collect(),
            ..host.clone()
        };
        match (operation, first) {
            (Operation::Add, _) => self.offset(node, value, host),
            (Operation::Sub, false) => self.offset(node, value, &negative(host)),
            (Operation::Sub, true) => {
                let negated = self.times(node, value, -1.0)?;
                self.offset(node, &negated, host)
            }
            (Operation::Mul, _) => self.scale(node, value, host),
            (Operation::Div, false) => {
                let entries = host.entries.iter().map(|entry| 1.0 / entry).collect();
                self.scale(node, value, &Host { entries, ..(**host).clone() })
            }
            (Operation::Div, true) => {
                let inverse = Expression::Number(1.0).with(Operation::Div, Expression::X);
                let inverse = self.apply(node, value, inverse)?;
                self.scale(node, &inverse, host)
            }
            (_, false) if one.is_some() => {
                let one = one.unwrap_or_default();
                self.apply(node, value, Expression::X.by(operation, one))
            }
            (_, true) if one.is_some() => {
                let one = Expression::Number(one.unwrap_or_default());
                self.apply(node, value, one.with(operation, Expression::X))
            }
            // max(x, c) = c + max(x − c, 0), and min(x, c) = c + min(x − c, 0).
            (Operation::Max | Operation::Min, _) => {
                let difference = self.offset(node, value, &negative(host))?;
                let cut = self.apply(node, &difference, Expression::X.by(operation, 0.0))?;
                self.offset(node, &cut, host)
            }
            _ => Err(node.unsupported("expected a single number as its constant, got several")),
        }
    }

    /// An operation on known tensors.
    fn fold(
        &mut self,
        operation: Operation,
        a: &Host,
        b: &Host,
        to: Vec<usize>,
    ) -> Result<Operand, OnnxError> {
        let count = Shape(to.clone()).entries();
        self.spend(count)?;
        let whole = a.number != Number::Real && b.number != Number::Real;
        let spread = |host: &Host| {
            let mut shape = vec![1; to.len() - host.shape.len()];
            shape.extend(&host.shape);
            match host.entries.is_empty() || count == 0 {
                true => vec![],
                false => moves::broadcast(&shape, &to, &host.entries),
            }
        };
        let entries = spread(a).into_iter().zip(spread(b)).map(|(a, b)| {
            let result = operation.of(a, b);
            if whole && operation == Operation::Div { result.trunc() } else { result }
        });
        let number = match operation {
            Operation::Less | Operation::Equal => Number::Bool,
            _ if a.number == Number::Real => Number::Real,
            _ => b.number,
        };
        let entries = entries.collect();
        Ok(Host { shape: to, number, entries }.into())
    }

    /// One entry for all entries along some axes, which stay with size 1.
    pub(super) fn reduce(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        axes: &[usize],
        how: Reduction,
    ) -> Result<Operand, OnnxError> {
        let shape = self.shape(of);
        if axes.iter().all(|&axis| shape.0.get(axis) == Some(&1)) {
            return Ok(of.clone());
        }
        let kind = Kind::Reduce { axes: axes.to_vec(), how };
        self.layer(node, kind, std::slice::from_ref(of))
    }

    /// The product of two operands along the last axis of `a` and the last but
    /// one of `b`, as ONNX's MatMul. A known `b` has two dimensions.
    pub(super) fn linear(
        &mut self,
        node: &Node<'a>,
        x: &Operand,
        weights: ndarray::Array2<f32>,
        bias: Vec<f32>,
    ) -> Result<Operand, OnnxError> {
        tensor::finite(&node.name, weights.as_slice().unwrap_or_default())?;
        tensor::finite(&node.name, &bias)?;
        self.spend(weights.len())?;
        self.layer(node, Kind::Linear { weights, bias }, std::slice::from_ref(x))
    }

    /// Remembers that a moved value has whole numbers, as its source has.
    fn keep_number(&mut self, of: &Operand, number: Number) {
        if let Operand::Value(value) = of
            && let Some(own) = self.numbers.get_mut(*value)
        {
            *own = number;
        }
    }
}
