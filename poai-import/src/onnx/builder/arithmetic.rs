//! Arithmetic on operands.

use super::{Builder, Operand};
use crate::graph::expression::{Function, Operation};
use crate::graph::{Expression, GraphConstant, Kind, Reduction, ValueShape, moves};
use crate::onnx::error::OnnxError;
use crate::onnx::node::Node;
use crate::onnx::tensor::{self, Host, Number};
use ndarray::ArcArray2;
use std::rc::Rc;

/// The most known tensors that are looked through for shared weights.
const SHARED: usize = 64;

/// What stands for −∞ in masks that no softmax reads.
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

    /// The known tensor as a constant over values of the shape. −∞ stays only
    /// in a mask that is added.
    fn constant(
        &mut self,
        node: &Node<'a>,
        host: &Host,
        shape: &ValueShape,
        added: bool,
    ) -> Result<GraphConstant, OnnxError> {
        let missing = shape.rank().checked_sub(host.shape.len());
        let missing = missing.ok_or_else(|| node.unsupported("the shapes do not broadcast"))?;
        let mut sizes = vec![1; missing];
        sizes.extend(&host.shape);
        self.spend(host.entries.len())?;
        let mut entries = host.floats();
        if !added {
            entries.iter_mut().for_each(unmask);
        }
        // Masks add −∞ where nothing may be seen. A softmax that follows takes
        // it apart, and `without_infinities` replaces what is left.
        let wrong = |entry: &f32| !entry.is_finite() && *entry != f32::NEG_INFINITY;
        if entries.iter().any(wrong) {
            tensor::finite(&node.name, &entries)?;
        }
        Ok(GraphConstant { shape: sizes, entries })
    }

    /// Replaces −∞ in the masks that no softmax has taken apart.
    pub(in crate::onnx) fn without_infinities(&mut self) {
        for layer in &mut self.graph.layers {
            if let Kind::Offset { by } = &mut layer.kind {
                by.entries.iter_mut().for_each(unmask);
            }
        }
    }

    pub(in crate::onnx) fn scale(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        host: &Host,
    ) -> Result<Operand, OnnxError> {
        let by = self.constant(node, host, &self.shape(of), false)?;
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
        let by = self.constant(node, host, &self.shape(of), true)?;
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
            // x < c and x = c say whether x − c is below 0 or is 0.
            (Operation::Less, false) | (Operation::Equal, _) => {
                let difference = self.offset(node, value, &negative(host))?;
                self.apply(node, &difference, Expression::X.by(operation, 0.0))
            }
            (Operation::Less, true) => {
                let difference = self.offset(node, value, &negative(host))?;
                let above = Expression::Number(0.0).with(operation, Expression::X);
                self.apply(node, &difference, above)
            }
            _ => self.by_runs(node, operation, value, host, first),
        }
    }

    /// An operation on a value and a constant that varies along one axis, for
    /// each run of equal numbers by itself.
    fn by_runs(
        &mut self,
        node: &Node<'a>,
        operation: Operation,
        value: &Operand,
        host: &Host,
        first: bool,
    ) -> Result<Operand, OnnxError> {
        const MOST: usize = 64;
        let several = "expected a single number as its constant, got several";
        let rank = self.shape(value).rank();
        let missing = rank.saturating_sub(host.shape.len());
        let mut axes = (0..host.shape.len()).filter(|&axis| host.shape[axis] != 1);
        let (Some(axis), None) = (axes.next(), axes.next()) else {
            return Err(node.unsupported(several));
        };
        let (mut parts, mut start) = (vec![], 0);
        for run in host.entries.chunk_by(|a, b| a == b) {
            if parts.len() >= MOST {
                return Err(node.unsupported(several));
            }
            let end = start + run.len();
            let part = self.range(node, value, missing + axis, start..end)?;
            let (number, x) = (Expression::Number(run[0]), Expression::X);
            let function = match first {
                true => number.with(operation, x),
                false => x.with(operation, number),
            };
            parts.push(self.apply(node, &part, function)?);
            start = end;
        }
        self.concat(node, &parts, missing + axis)
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
        let number = match operation {
            Operation::Less | Operation::Equal => Number::Bool,
            _ if a.number == Number::Real => Number::Real,
            _ => b.number,
        };
        let entries = spread(a).into_iter().zip(spread(b)).map(|(a, b)| match operation {
            _ if !whole => operation.of(a, b),
            Operation::Div => number.wrapped(operation.of(a, b).trunc()),
            // A product of 32 bits has more digits than f64.
            Operation::Mul if number.range().is_some_and(|[_, most]| most < 1 << 32) => {
                number.wrapped_product(a as i64, b as i64)
            }
            _ => number.wrapped(operation.of(a, b)),
        });
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

    /// A known matrix inputs × outputs as weights outputs × inputs. Layers that
    /// read the same tensor share them.
    pub(in crate::onnx) fn weights(
        &mut self,
        node: &Node<'a>,
        host: &Rc<Host>,
    ) -> Result<ArcArray2<f32>, OnnxError> {
        // The last ones come first: a network has many, and a loop repeats few.
        let mut recent = self.shared.iter().rev();
        if let Some((_, weights)) = recent.find(|(own, _)| Rc::ptr_eq(own, host)) {
            return Ok(weights.clone());
        }
        let (&[rows, columns], entries) = (host.shape.as_slice(), host.floats()) else {
            return Err(node.unsupported("its weights are no matrix"));
        };
        if entries.len() != rows * columns {
            return Err(node.unsupported("its weights are no matrix"));
        }
        self.spend(entries.len())?;
        let of = |(output, input): (usize, usize)| entries[input * columns + output];
        let weights = ndarray::Array2::from_shape_fn((columns, rows), of).into_shared();
        if self.shared.len() >= SHARED {
            self.shared.remove(0);
        }
        self.shared.push((host.clone(), weights.clone()));
        Ok(weights)
    }

    /// `x·Wᵀ + b` along the last axis. The caller has counted the weights, which
    /// several layers may share.
    pub(in crate::onnx) fn linear(
        &mut self,
        node: &Node<'a>,
        x: &Operand,
        weights: impl Into<ArcArray2<f32>>,
        bias: Vec<f32>,
    ) -> Result<Operand, OnnxError> {
        let weights = weights.into();
        tensor::finite(&node.name, weights.as_slice().unwrap_or_default())?;
        tensor::finite(&node.name, &bias)?;
        self.spend(bias.len())?;
        self.layer(node, Kind::Linear { weights, bias }, std::slice::from_ref(x))
    }
}

/// Replaces −∞ by a number that is as good in a mask.
fn unmask(entry: &mut f32) {
    if *entry == f32::NEG_INFINITY {
        *entry = MASKED;
    }
}
