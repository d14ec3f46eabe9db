//! Fewer layers with the same function.
//!
//! Each pass rewrites layers in place and leaves those that nothing reads; the
//! last pass removes them. A pass repeats until it changes nothing.

use super::expression::NODES_MAX;
use super::kind::{GraphConstant, Kind};
use super::{Expression, Graph, GraphError, Layer, ValueShape, norms};
use crate::graph::expression::Operation;
use std::collections::HashSet;

/// The places of weights that several layers share.
pub(crate) fn shared(graph: &Graph) -> HashSet<*const f32> {
    let (mut seen, mut shared) = (HashSet::new(), HashSet::new());
    for weights in graph.layers.iter().filter_map(|layer| layer.kind.weights()) {
        if !seen.insert(weights.as_ptr()) && !weights.is_empty() {
            shared.insert(weights.as_ptr());
        }
    }
    shared
}

/// A graph under rewriting.
pub(super) struct Fuse {
    pub(super) graph: Graph,
    pub(super) shapes: Vec<ValueShape>,
    /// The weights that several layers share. They stay as they are, so that
    /// they stay shared.
    shared: HashSet<*const f32>,
}

pub(super) fn fuse(graph: Graph) -> Result<Graph, GraphError> {
    let shapes = graph.shapes()?;
    let shared = shared(&graph);
    let mut fuse = Fuse { graph, shapes, shared };
    // Each pass shortens a chain of layers, so there are at most as many.
    for _ in 0..fuse.graph.layers.len() + 1 {
        let before = fuse.graph.layers.len();
        let changed = fuse.pointwise() | norms::recognise(&mut fuse) | fuse.affine();
        fuse.prune();
        if !changed && fuse.graph.layers.len() == before {
            break;
        }
    }
    Ok(fuse.graph)
}

impl Fuse {
    /// The layer that makes a value.
    pub(super) fn made_by(&self, value: usize) -> Option<&Layer> {
        self.graph.layer(value)
    }

    pub(super) fn kind(&self, value: usize) -> Option<&Kind> {
        self.made_by(value).map(|layer| &layer.kind)
    }

    /// The first value that a layer reads, of the layer that makes `value`.
    pub(super) fn source(&self, value: usize) -> Option<usize> {
        self.made_by(value).and_then(|layer| layer.inputs.first().copied())
    }

    /// The number of layers that read each value; the output counts as read.
    fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.graph.values()];
        for layer in &self.graph.layers {
            for &input in &layer.inputs {
                readers[input] += 1;
            }
        }
        if let Some(last) = readers.last_mut() {
            *last += 1;
        }
        readers
    }

    /// A value as a function of another value's entries, if it is one.
    pub(super) fn expression(&self, value: usize) -> Option<(Expression, usize)> {
        let (kind, source) = (self.kind(value)?, self.source(value)?);
        match kind {
            Kind::Pointwise(expression) => Some((expression.clone(), source)),
            Kind::Scale { by } => {
                let by = f64::from(by.uniform()?);
                Some((Expression::X.by(Operation::Mul, by), source))
            }
            Kind::Offset { by } => {
                let by = f64::from(by.uniform()?);
                Some((Expression::X.by(Operation::Add, by), source))
            }
            _ => None,
        }
    }

    /// Composes functions of one number, also where a layer reads two
    /// functions of one value.
    fn pointwise(&mut self) -> bool {
        let (mut changed, first) = (false, self.graph.inputs.len());
        let readers = self.readers();
        for at in 0..self.graph.layers.len() {
            let layer = &self.graph.layers[at];
            let own = match (&layer.kind, &layer.inputs[..]) {
                // Alone, scales and offsets are cheaper than a table.
                (Kind::Pointwise(outer), &[input]) => {
                    let Some((inner, source)) = self.expression(input) else { continue };
                    // A relu that several layers read is cheap to keep.
                    if readers[input] > 1 && inner.is_relu() {
                        continue;
                    }
                    Some((outer.of(&inner), source))
                }
                (Kind::Scale { .. } | Kind::Offset { .. }, &[input]) => {
                    let Some((outer, _)) = self.expression(first + at) else { continue };
                    match self.kind(input) {
                        Some(Kind::Pointwise(inner)) if readers[input] == 1 && !inner.is_relu() => {
                            self.source(input).map(|source| (outer.of(inner), source))
                        }
                        _ => None,
                    }
                }
                (Kind::Add { .. } | Kind::Mul, &[a, b]) => self.joined(&layer.kind, a, b),
                _ => None,
            };
            let Some((expression, source)) = own else { continue };
            if expression.nodes() > NODES_MAX {
                continue;
            }
            self.graph.layers[at].kind = Kind::Pointwise(expression);
            self.graph.layers[at].inputs = vec![source];
            changed = true;
        }
        changed
    }

    /// A sum or product of two functions of one value.
    fn joined(&self, kind: &Kind, a: usize, b: usize) -> Option<(Expression, usize)> {
        let whole = |value: usize| (Expression::X, value);
        let candidates =
            |value: usize| [Some(whole(value)), self.expression(value)].into_iter().flatten();
        for (left, of) in candidates(a) {
            for (right, other) in candidates(b) {
                if of != other || (left == Expression::X && right == Expression::X && a != b) {
                    continue;
                }
                return Some(match kind {
                    Kind::Mul => (left.with(Operation::Mul, right), of),
                    Kind::Add { factors } => {
                        let [f0, f1] = factors.map(f64::from);
                        let left = left.by(Operation::Mul, f0);
                        (left.with(Operation::Add, right.by(Operation::Mul, f1)), of)
                    }
                    _ => return None,
                });
            }
        }
        None
    }

    /// Folds scales and offsets into the layers beside them.
    fn affine(&mut self) -> bool {
        let (mut changed, first) = (false, self.graph.inputs.len());
        // Kept up to date: counting anew after each change would take time that
        // grows with the square of the layers.
        let mut readers = self.readers();
        for at in 0..self.graph.layers.len() {
            // The last layers may have been folded away.
            if at >= self.graph.layers.len() {
                break;
            }
            let value = first + at;
            let &[input] = self.graph.layers[at].inputs.as_slice() else { continue };
            let Some(before) = input.checked_sub(first).filter(|_| readers[input] == 1) else {
                continue;
            };
            let constant = |at: usize| {
                matches!(self.graph.layers[at].kind, Kind::Scale { .. } | Kind::Offset { .. })
            };
            if constant(at) {
                let shape = self.shapes[input].clone();
                let kind = self.graph.layers[at].kind.clone();
                let (Kind::Scale { by } | Kind::Offset { by }) = &kind else { continue };
                let offset = matches!(kind, Kind::Offset { .. });
                if !offset && self.is_shared(before) {
                    continue;
                }
                let target = &mut self.graph.layers[before].kind;
                if into_previous(target, &shape, by, offset) {
                    changed = true;
                    readers[input] = std::mem::take(&mut readers[value]);
                    self.redirect(value, input);
                }
            } else if constant(before) {
                let previous = &self.graph.layers[before];
                let Some(&source) = previous.inputs.first() else { continue };
                if matches!(previous.kind, Kind::Scale { .. }) && self.is_shared(at) {
                    continue;
                }
                let product = &self.graph.layers[at].kind;
                let shape = &self.shapes[input];
                let folded = into_next(product, &previous.kind, shape, source < first);
                if let Some(kind) = folded {
                    self.graph.layers[at].kind = kind;
                    self.graph.layers[at].inputs = vec![source];
                    readers[input] = 0;
                    readers[source] += 1;
                    changed = true;
                }
            }
        }
        changed
    }

    /// Whether other layers have the weights of a layer.
    fn is_shared(&self, at: usize) -> bool {
        let weights = self.graph.layers.get(at).and_then(|layer| layer.kind.weights());
        weights.is_some_and(|weights| self.shared.contains(&weights.as_ptr()))
    }

    /// Makes all readers of `from` read `to`, which has the same entries.
    pub(super) fn redirect(&mut self, from: usize, to: usize) {
        let after = from.saturating_sub(self.graph.inputs.len());
        for layer in self.graph.layers.iter_mut().skip(after) {
            for input in &mut layer.inputs {
                if *input == from {
                    *input = to;
                }
            }
        }
        // The last layer makes the output, so it has to stay in its place.
        let last = self.graph.values() - 1;
        if from == last {
            let first = self.graph.inputs.len();
            self.graph.layers.truncate(to + 1 - first);
            self.shapes.truncate(to + 1);
        }
    }

    /// Removes layers that the output does not need.
    fn prune(&mut self) {
        let first = self.graph.inputs.len();
        let mut needed = vec![false; self.graph.values()];
        if let Some(last) = needed.last_mut() {
            *last = true;
        }
        for (at, layer) in self.graph.layers.iter().enumerate().rev() {
            if needed[first + at] {
                layer.inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        let mut places = vec![0; needed.len()];
        let mut next = 0;
        for (value, place) in places.iter_mut().enumerate() {
            // Inputs keep their places, even if no layer reads them.
            if value < first || needed[value] {
                *place = next;
                next += 1;
            }
        }
        let mut at = 0;
        self.graph.layers.retain(|_| {
            at += 1;
            needed[first + at - 1]
        });
        let mut at = 0;
        self.shapes.retain(|_| {
            at += 1;
            at <= first || needed[at - 1]
        });
        for layer in &mut self.graph.layers {
            layer.inputs.iter_mut().for_each(|input| *input = places[*input]);
        }
    }
}

/// Folds a constant after a layer into the layer.
fn into_previous(kind: &mut Kind, shape: &ValueShape, by: &GraphConstant, offset: bool) -> bool {
    let axis = match kind {
        Kind::Linear { .. } | Kind::Normalise { .. } => shape.rank().saturating_sub(1),
        Kind::Conv { .. } => 1,
        Kind::Scale { by: own } if !offset => return merged(Operation::Mul, own, by),
        Kind::Offset { by: own } if offset => return merged(Operation::Add, own, by),
        _ => return false,
    };
    let Some(&size) = shape.0.get(axis) else { return false };
    let Some(by) = by.along(axis, size) else { return false };
    match kind {
        Kind::Linear { weights, bias } | Kind::Conv { weights, bias, .. } => {
            if offset {
                bias.iter_mut().zip(&by).for_each(|(bias, by)| *bias += by);
                return true;
            }
            for ((mut row, bias), &by) in weights.outer_iter_mut().zip(bias).zip(&by) {
                row.mapv_inplace(|weight| weight * by);
                *bias *= by;
            }
        }
        Kind::Normalise { gamma, beta, .. } => {
            for ((gamma, beta), &by) in gamma.iter_mut().zip(beta).zip(&by) {
                if offset {
                    *beta += by;
                } else {
                    *gamma *= by;
                    *beta *= by;
                }
            }
        }
        _ => return false,
    }
    true
}

/// Folds a constant into one of the same kind.
fn merged(operation: Operation, own: &mut GraphConstant, by: &GraphConstant) -> bool {
    merge(operation, own, by).is_some_and(|merged| {
        *own = merged;
        true
    })
}

/// Two constants of one kind as one, if one of them has the other's shape or
/// is uniform.
fn merge(operation: Operation, a: &GraphConstant, b: &GraphConstant) -> Option<GraphConstant> {
    let of = |a: f32, b: f32| operation.of(a.into(), b.into()) as f32;
    let zip = |a: &GraphConstant, b: &[f32]| GraphConstant {
        shape: a.shape.clone(),
        entries: a.entries.iter().zip(b).map(|(&a, &b)| of(a, b)).collect(),
    };
    if a.shape == b.shape {
        return Some(zip(a, &b.entries));
    }
    if let Some(only) = b.uniform() {
        return Some(zip(a, &vec![only; a.entries.len()]));
    }
    let only = a.uniform()?;
    Some(zip(b, &vec![only; b.entries.len()]))
}

/// The product with the constant before it folded in.
///
/// Constants of single columns of the network's input stay: they bring columns
/// of different scales to one scale before the input is rounded to 7 bits.
fn into_next(product: &Kind, previous: &Kind, shape: &ValueShape, of_input: bool) -> Option<Kind> {
    let (by, offset) = match previous {
        Kind::Scale { by } => (by, false),
        Kind::Offset { by } => (by, true),
        _ => return None,
    };
    if of_input && by.uniform().is_none() {
        return None;
    }
    let mut product = product.clone();
    match &mut product {
        Kind::Linear { weights, bias } => {
            let by = by.along(shape.rank().checked_sub(1)?, shape.last())?;
            if offset {
                for (row, bias) in weights.outer_iter().zip(bias) {
                    *bias += row.iter().zip(&by).map(|(weight, by)| weight * by).sum::<f32>();
                }
            } else {
                for mut row in weights.outer_iter_mut() {
                    row.iter_mut().zip(&by).for_each(|(weight, by)| *weight *= by);
                }
            }
        }
        Kind::Conv { weights, bias, window, groups } => {
            let [channels, ..] = shape.image()?;
            let by = by.along(1, channels)?;
            // Pads are zeros after the offset, not before it.
            if offset && window.pads != [0; 4] {
                return None;
            }
            let own = channels / *groups;
            let outputs = weights.nrows() / *groups;
            for (output, (mut row, bias)) in
                weights.outer_iter_mut().zip(bias.iter_mut()).enumerate()
            {
                let first = output / outputs.max(1) * own;
                let by = &by[first..first + own];
                let mut sum = 0.0;
                for (weight, by) in row.iter_mut().zip(by.iter().cycle()) {
                    if offset {
                        sum += *weight * by;
                    } else {
                        *weight *= by;
                    }
                }
                *bias += sum;
            }
        }
        _ => return None,
    }
    Some(product)
}
