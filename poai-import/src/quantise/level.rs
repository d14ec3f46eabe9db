//! Channels of one range: the channels of a value are scaled, and the weights
//! that read them are scaled back.
//!
//! All channels of a value share a scale. If one is far larger than the others,
//! these have few integers. A positive factor passes through a Relu or a pool,
//! so a product, a normalisation or an input can divide each channel by a
//! factor, and the next product multiplies its weights by it. The function of
//! the network stays the same. The factor √(r/w) gives the channel's range r
//! and its largest weight w the same size (Nagel et al. 2019, "Data-Free
//! Quantization Through Weight Equalization and Bias Correction", section 4.1).

use crate::graph::{Graph, Kind, ValueShape};
use ndarray::{Array2, ArrayViewMut2};

/// The factors of one value's channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Level {
    /// The value that is divided: of an input or of a layer.
    made: usize,
    /// The offsets between both, which are divided too.
    between: Vec<usize>,
    /// The product or the scale that is multiplied.
    read: usize,
    /// The factor of each channel.
    factors: Vec<f64>,
    /// The entries of each channel in the product's columns.
    each: usize,
}

/// The most by which factors differ. Beyond it, a channel is all but unused.
const RATIO_MAX: f64 = 1e6;

/// The factors for a network with these values.
pub(super) fn levels(graph: &Graph, shapes: &[ValueShape], floats: &[Array2<f32>]) -> Vec<Level> {
    let first = graph.inputs.len();
    let mut readers = vec![0; graph.values()];
    for layer in &graph.layers {
        layer.inputs.iter().for_each(|&input| readers[input] += 1);
    }
    let shared = crate::graph::fuse::shared(graph);
    let mut levels = vec![];
    for (at, layer) in graph.layers.iter().enumerate() {
        let Some(&value) = layer.inputs.first() else { continue };
        let (Kind::Linear { weights, .. } | Kind::Conv { weights, .. }) = &layer.kind else {
            levels.extend(of_input(graph, shapes, &readers, floats, at));
            continue;
        };
        let Some((made, between)) = source(graph, shapes, &readers, value) else { continue };
        // Weights of several layers stay shared.
        let maker = made.checked_sub(first).and_then(|at| graph.layers[at].kind.weights());
        if [Some(weights), maker].iter().flatten().any(|each| shared.contains(&each.as_ptr())) {
            continue;
        }
        let channels = channels(graph, shapes, made);
        let columns = match &layer.kind {
            Kind::Conv { .. } => shapes[value].image().map_or(0, |[channels, ..]| channels),
            _ => weights.ncols(),
        };
        if channels == 0 || !columns.is_multiple_of(channels) {
            continue;
        }
        let each = columns / channels;
        let ranges = ranges(&floats[value], &shapes[value], &layer.kind, channels, each);
        let largest = largest_weights(&layer.kind, columns, channels, each);
        let Some(factors) = factors(&ranges, &largest) else { continue };
        levels.push(Level { made, between, read: first + at, factors, each });
    }
    levels
}

/// The columns of an input that a scale reads, as those of standardised
/// features: each becomes as large as the others.
fn of_input(
    graph: &Graph,
    shapes: &[ValueShape],
    readers: &[usize],
    floats: &[Array2<f32>],
    at: usize,
) -> Option<Level> {
    let layer = graph.layers.get(at)?;
    let Kind::Scale { .. } = &layer.kind else { return None };
    let (made, between) = source(graph, shapes, readers, *layer.inputs.first()?)?;
    if graph.layer(made).is_some() {
        return None;
    }
    let channels = shapes[made].last();
    let ranges = ranges(&floats[made], &shapes[made], &layer.kind, channels, 1);
    let most = ranges.iter().copied().fold(0.0, f64::max);
    let uneven = ranges.iter().any(|&range| range < 0.5 * most);
    let factor = |&range: &f64| if range > most / RATIO_MAX { range } else { most };
    let factors = ranges.iter().map(factor).collect();
    let read = graph.inputs.len() + at;
    (uneven && most > 0.0).then_some(Level { made, between, read, factors, each: 1 })
}

/// The value whose layer can divide its channels, behind layers through which
/// factors pass.
fn source(
    graph: &Graph,
    shapes: &[ValueShape],
    readers: &[usize],
    mut value: usize,
) -> Option<(usize, Vec<usize>)> {
    let mut between = vec![];
    loop {
        if readers[value] != 1 {
            return None;
        }
        let Some(layer) = graph.layer(value) else {
            let input = graph.inputs.get(value)?;
            // The channels of images have one scale in the program's input.
            let row = input.ids.is_none() && input.shape.image().is_none();
            return row.then_some((value, between));
        };
        let &before = layer.inputs.first()?;
        match &layer.kind {
            Kind::Linear { .. } | Kind::Conv { .. } | Kind::Normalise { .. } => {
                return Some((value, between));
            }
            Kind::Offset { by }
                if by.along(last(shapes, value)?, shapes[value].last()).is_some() =>
            {
                between.push(value);
                value = before;
            }
            Kind::Pointwise(function) if function.is_relu() => value = before,
            Kind::MaxPool { .. } | Kind::AveragePool { .. } => value = before,
            // A flattened image or row keeps each channel's entries together.
            Kind::Reshape { .. } if flattens(&shapes[before], &shapes[value]) => value = before,
            _ => return None,
        }
    }
}

/// The last axis of a value that is no image.
fn last(shapes: &[ValueShape], value: usize) -> Option<usize> {
    if shapes[value].image().is_some() {
        return None;
    }
    shapes[value].rank().checked_sub(1)
}

/// Whether a reshape makes one row of one sample's channels.
fn flattens(from: &ValueShape, to: &ValueShape) -> bool {
    let row = to.rows() == 1;
    row && (from.image().is_some() || from.rows() == 1)
}

/// The channels that a layer or an input can divide.
fn channels(graph: &Graph, shapes: &[ValueShape], value: usize) -> usize {
    match graph.layer(value).map(|layer| &layer.kind) {
        Some(Kind::Conv { weights, .. }) => weights.nrows(),
        _ => shapes[value].last(),
    }
}

/// The largest magnitude of each channel.
fn ranges(
    floats: &Array2<f32>,
    shape: &ValueShape,
    kind: &Kind,
    channels: usize,
    each: usize,
) -> Vec<f64> {
    let mut ranges = vec![0.0f64; channels];
    let inner = match (kind, shape.image()) {
        (Kind::Conv { .. }, Some([_, height, width])) => height * width,
        _ => each,
    };
    for sample in floats.outer_iter() {
        for (entry, &x) in sample.iter().enumerate() {
            let range = &mut ranges[entry / inner.max(1) % channels];
            *range = range.max(f64::from(x.abs()));
        }
    }
    ranges
}

/// The largest weight of each channel's columns.
fn largest_weights(kind: &Kind, columns: usize, channels: usize, each: usize) -> Vec<f64> {
    let mut largest = vec![0.0f64; channels];
    match kind {
        Kind::Linear { weights, .. } => {
            for ((_, column), weight) in weights.indexed_iter() {
                let own = &mut largest[column / each];
                *own = own.max(f64::from(weight.abs()));
            }
        }
        Kind::Conv { weights, groups, .. } => {
            let (own, outputs) = (columns / groups, weights.nrows() / groups);
            for ((output, column), weight) in weights.indexed_iter() {
                let channel = output / outputs.max(1) * own + column % own;
                let own = &mut largest[channel / each];
                *own = own.max(f64::from(weight.abs()));
            }
        }
        _ => {}
    }
    largest
}

/// √(r/w) for each channel, if some differ.
fn factors(ranges: &[f64], largest: &[f64]) -> Option<Vec<f64>> {
    let ratio = |(&range, &weight): (&f64, &f64)| {
        (range > 0.0 && weight > 0.0).then(|| (range / weight).sqrt())
    };
    let ratios: Vec<Option<f64>> = ranges.iter().zip(largest).map(ratio).collect();
    let most = ratios.iter().flatten().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    // The largest weight of the others after levelling, which sets the scale.
    let reached = ratios.iter().zip(largest).filter_map(|(ratio, weight)| Some((*ratio)? * weight));
    let reached = reached.fold(0.0, f64::max);
    // Any factor fits a channel without entries, or without weights. Weights
    // that only meet zeros must not take the scale of the others.
    let factor = |(ratio, &weight): (&Option<f64>, &f64)| {
        let free = if weight > 0.0 { (reached / weight).min(most) } else { most };
        ratio.unwrap_or(free).max(most / RATIO_MAX)
    };
    let factors: Vec<f64> = ratios.iter().zip(largest).map(factor).collect();
    let finite = factors.iter().all(|factor| factor.is_finite() && *factor > 0.0);
    (finite && factors.iter().any(|&factor| factor < 0.99 * most)).then_some(factors)
}

/// The same network with channels scaled, and the factors of each input's
/// columns.
pub(super) fn levelled(graph: &Graph, levels: &[Level]) -> (Graph, Vec<Option<Vec<f64>>>) {
    let mut graph = graph.clone();
    let first = graph.inputs.len();
    let mut inputs = vec![None; first];
    for Level { made, between, read, factors, each } in levels {
        for &offset in between {
            scale_constant(&mut graph.layers[offset - first].kind, factors, |by, factor| {
                by / factor
            });
        }
        match made.checked_sub(first) {
            None => inputs[*made] = Some(factors.clone()),
            Some(at) => divide(&mut graph.layers[at].kind, factors),
        }
        multiply(&mut graph.layers[read - first].kind, factors, *each);
    }
    (graph, inputs)
}

/// Divides the channels that a layer makes.
fn divide(kind: &mut Kind, factors: &[f64]) {
    match kind {
        Kind::Linear { weights, bias } | Kind::Conv { weights, bias, .. } => {
            for ((mut row, bias), factor) in weights.outer_iter_mut().zip(bias).zip(factors) {
                row.mapv_inplace(|weight| (f64::from(weight) / factor) as f32);
                *bias = (f64::from(*bias) / factor) as f32;
            }
        }
        Kind::Normalise { gamma, beta, .. } => {
            for ((gamma, beta), factor) in gamma.iter_mut().zip(beta).zip(factors) {
                *gamma = (f64::from(*gamma) / factor) as f32;
                *beta = (f64::from(*beta) / factor) as f32;
            }
        }
        _ => {}
    }
}

/// Changes the entries of a constant along the last axis.
fn scale_constant(kind: &mut Kind, factors: &[f64], of: impl Fn(f64, f64) -> f64) {
    let (Kind::Scale { by } | Kind::Offset { by }) = kind else { return };
    let Some(axis) = by.shape.len().checked_sub(1) else { return };
    let Some(entries) = by.along(axis, factors.len()) else { return };
    let entries = entries.iter().zip(factors);
    by.entries = entries.map(|(&by, &factor)| of(by.into(), factor) as f32).collect();
    by.shape = vec![1; axis];
    by.shape.push(factors.len());
}

/// Multiplies the weights that read the channels.
fn multiply(kind: &mut Kind, factors: &[f64], each: usize) {
    match kind {
        Kind::Scale { .. } => scale_constant(kind, factors, |by, factor| by * factor),
        Kind::Linear { weights, .. } => {
            for ((_, column), weight) in weights.indexed_iter_mut() {
                *weight = (f64::from(*weight) * factors[column / each]) as f32;
            }
        }
        Kind::Conv { weights, groups, .. } => {
            let own = factors.len() * each / *groups;
            let outputs = weights.nrows() / *groups;
            for ((output, column), weight) in weights.indexed_iter_mut() {
                let channel = output / outputs.max(1) * own + column % own;
                *weight = (f64::from(*weight) * factors[channel / each]) as f32;
            }
        }
        _ => {}
    }
}

/// A value's columns divided, which a network reads in place of an input.
pub(super) fn divided(mut values: ArrayViewMut2<'_, f32>, factors: &[f64]) {
    for mut sample in values.outer_iter_mut() {
        for (entry, factor) in sample.iter_mut().zip(factors.iter().cycle()) {
            *entry = (f64::from(*entry) / factor) as f32;
        }
    }
}
