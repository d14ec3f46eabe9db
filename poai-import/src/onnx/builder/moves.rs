//! Moves of operands.

use super::{Builder, Operand};
use crate::graph::moves::{self, Index};
use crate::graph::{Kind, ValueShape};
use crate::onnx::error::OnnxError;
use crate::onnx::node::Node;
use crate::onnx::tensor::Host;
use std::rc::Rc;

impl<'a> Builder<'a> {
    /// Entries of an operand along an axis, or zeros.
    pub(in crate::onnx) fn take(
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
        // A layer keeps its indices, and a chain of layers could keep many.
        self.spend(indices.len())?;
        match of {
            Operand::Known(host) => {
                let mut to = shape.clone();
                to.0[axis] = indices.len();
                self.fits(&node.name, &to.0)?;
                self.spend(to.entries())?;
                let entries = moves::take(&shape, axis, &indices, 0.0, &host.entries);
                Ok(Host { shape: to.0, number: host.number, entries }.into())
            }
            _ => {
                // A place takes twice the memory of an entry.
                self.spend(indices.len().saturating_mul(2))?;
                let kept = self.number(of);
                let taken =
                    self.layer(node, Kind::Take { axis, indices }, std::slice::from_ref(of))?;
                self.keep_number(&taken, kept);
                Ok(taken)
            }
        }
    }

    /// Consecutive entries along an axis.
    pub(in crate::onnx) fn range(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        axis: usize,
        range: std::ops::Range<usize>,
    ) -> Result<Operand, OnnxError> {
        self.bounded(node, range.len())?;
        self.take(node, of, axis, range.map(Some).collect())
    }

    pub(in crate::onnx) fn reshape(
        &mut self,
        node: &Node<'a>,
        of: &Operand,
        shape: Vec<usize>,
    ) -> Result<Operand, OnnxError> {
        let from = self.shape(of);
        if from.0 == shape {
            return Ok(of.clone());
        }
        if ValueShape(shape.clone()).entries() != from.entries() {
            return Err(node.unsupported(format!(
                "expected a shape of as many entries as {from}, got {}",
                ValueShape(shape)
            )));
        }
        match of {
            Operand::Known(host) => {
                self.fits(&node.name, &shape)?;
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

    pub(in crate::onnx) fn transpose(
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

    pub(in crate::onnx) fn concat(
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
            let shapes: Vec<ValueShape> =
                full.iter().map(|host| ValueShape(host.shape.clone())).collect();
            let to =
                Kind::Concat { axis }.output(&node.name, &shapes.iter().collect::<Vec<_>>())?;
            self.spend(to.entries())?;
            let parts: Vec<(&ValueShape, &[f64])> =
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
    pub(in crate::onnx) fn filled(
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
    pub(in crate::onnx) fn expand(
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
}
