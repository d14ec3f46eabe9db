//! Normalisations that a file spells out in means, squares and square roots.
//!
//! Exporters write them in many ways. This module therefore does not compare
//! names of operators: it finds the function of the mean of squares by which a
//! value is multiplied, and tests whether that is `1/√(v + ε)`.

use super::fuse::Fuse;
use super::kind::{Kind, Reduction};
use super::{Expression, Layer};

/// Replaces each by [`Kind::Normalise`]. Returns whether there was one.
pub(super) fn recognise(fuse: &mut Fuse) -> bool {
    let (mut changed, first) = (false, fuse.graph.inputs.len());
    for at in 0..fuse.graph.layers.len() {
        let Layer { kind: Kind::Mul, inputs, .. } = &fuse.graph.layers[at] else { continue };
        let &[a, b] = inputs.as_slice() else { continue };
        let found = normalised(fuse, a, b).or_else(|| normalised(fuse, b, a));
        let Some((kind, source)) = found else { continue };
        let layer = &mut fuse.graph.layers[at];
        layer.kind = kind;
        layer.inputs = vec![source];
        debug_assert!(source < first + at);
        changed = true;
    }
    changed
}

/// `value·factor` as a normalisation, and what it normalises.
fn normalised(fuse: &Fuse, value: usize, factor: usize) -> Option<(Kind, usize)> {
    let shape = fuse.shapes.get(value)?;
    let (function, mean) = of_one(fuse, factor)?;
    // The mean of squares, along the last axis.
    let squares = reduced(fuse, mean, shape.rank())?;
    if !is_square(fuse, squares, value) {
        return None;
    }
    let epsilon = inverse_root(&function)?;
    let size = shape.last();
    let kind =
        |centre| Kind::Normalise { centre, epsilon, gamma: vec![1.0; size], beta: vec![0.0; size] };
    match centred(fuse, value) {
        Some(source) => Some((kind(true), source)),
        None => Some((kind(false), value)),
    }
}

/// A value that has one entry for each row, as a function of another value.
fn of_one(fuse: &Fuse, mut value: usize) -> Option<(Expression, usize)> {
    let mut function = Expression::X;
    loop {
        if let Some((inner, source)) = fuse.expression(value) {
            function = function.of(&inner);
            value = source;
        } else if let Some(source) = spread(fuse, value) {
            value = source;
        } else {
            return Some((function, value));
        }
    }
}

/// What a layer spreads along the last axis.
fn spread(fuse: &Fuse, value: usize) -> Option<usize> {
    let Kind::Take { axis, indices } = fuse.kind(value)? else { return None };
    let source = fuse.source(value)?;
    let shape = fuse.shapes.get(source)?;
    let last = axis + 1 == shape.rank() && shape.last() == 1;
    (last && indices.iter().all(|&index| index == Some(0))).then_some(source)
}

/// What a layer takes the mean of, along the last axis alone.
fn reduced(fuse: &Fuse, value: usize, rank: usize) -> Option<usize> {
    let Kind::Reduce { axes, how: Reduction::Mean } = fuse.kind(value)? else { return None };
    (axes.as_slice() == [rank.checked_sub(1)?]).then(|| fuse.source(value))?
}

/// Whether `square` is the square of `value`, entry by entry.
fn is_square(fuse: &Fuse, square: usize, value: usize) -> bool {
    match fuse.made_by(square) {
        Some(Layer { kind: Kind::Mul, inputs, .. }) => inputs.iter().all(|&input| input == value),
        Some(Layer { kind: Kind::Pointwise(function), inputs, .. }) => {
            inputs.first() == Some(&value)
                && [-3.0, -0.5, 0.25, 2.0].iter().all(|&x| {
                    let square: f64 = x * x;
                    (function.at(x) - square).abs() < 1e-6 * square
                })
        }
        _ => false,
    }
}

/// What a layer subtracts its own mean from.
fn centred(fuse: &Fuse, value: usize) -> Option<usize> {
    let Layer { kind: Kind::Add { factors: [1.0, -1.0] }, inputs, .. } = fuse.made_by(value)?
    else {
        return None;
    };
    let &[x, mean] = inputs.as_slice() else { return None };
    let mean = spread(fuse, mean)?;
    let rank = fuse.shapes.get(value)?.rank();
    (reduced(fuse, mean, rank)? == x).then_some(x)
}

/// ε, if the function is `1/√(v + ε)`.
fn inverse_root(function: &Expression) -> Option<f32> {
    let epsilon = |v: f64| function.at(v).powi(-2) - v;
    let first = epsilon(1.0);
    let near = |v: f64| (epsilon(v) - first).abs() <= 1e-4 * v;
    let holds = first > -1e-6 && [0.01, 0.1, 10.0, 100.0].iter().all(|&v| near(v));
    holds.then_some(first.max(0.0) as f32)
}
