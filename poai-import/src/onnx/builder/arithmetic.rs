//! Arithmetic on operands.

use super::{Builder, Operand};
use crate::graph::expression::{Function, Operation};
use crate::graph::{Expression, GraphConstant, Kind, Reduction, ValueShape, moves};
use crate::onnx::error::OnnxError;
use crate::onnx::node::Node;
use crate::onnx::tensor::{self, Host, Number};
use std::rc::Rc;

/// What stands for −∞ in masks.
const MASKED: f32 = -1e9;

impl<'a> Builder<'a> {
    /// A function of every entry.
    pub(in crate::onnx) fn apply(
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

    pub(in crate::onnx) fn call(
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
        shape: &ValueShape,
    ) -> Result<GraphConstant, OnnxError> {
        let missing = shape.rank().checked_sub(host.shape.len());
        let missing = missing.ok_or_else(|| node.unsupported("the shapes do not broadcast"))?;
        let mut sizes = vec![1; missing];
        sizes.extend(&host.shape);
        self.spend(host.entries.len())?;
        let mut entries = host.floats();
        // Masks add −∞ where nothing may be seen; a softmax sees no difference.
        entries.iter_mut().filter(|entry| **entry == f32::NEG_INFINITY).for_each(|entry| {
            *entry = MASKED;
        });
        tensor::finite(&node.name, &entries)?;
        Ok(GraphConstant { shape: sizes, entries })
    }

    pub(in crate::onnx) fn scale(
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

    pub(in crate::onnx) fn offset(
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
    pub(in crate::onnx) fn times(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        number: f64,
    ) -> Result<Operand, OnnxError> {
        self.pair(node, Operation::Mul, of, &Host::scalar(Number::Real, number).into())
    }

    /// An operation on two operands, which broadcast.
    pub(in crate::onnx) fn pair(
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
        let count = ValueShape(to.clone()).entries();
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
    pub(in crate::onnx) fn reduce(
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
    pub(in crate::onnx) fn linear(
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
}
