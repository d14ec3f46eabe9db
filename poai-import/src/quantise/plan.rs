//! Which values are measured, how, and which need a narrow type.

use super::{QuantiseError, RangeMethod};
use crate::graph::{Graph, Kind};
use ndarray::Array2;

/// How each value of a graph is measured.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) values: Vec<Planned>,
}

/// How a value is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// The magnitude that the largest integer stands for; 0 if all entries are
    /// 0.
    pub(super) range: f64,
    /// Whether only products read the value, so that it is an i8.
    pub(super) narrow: bool,
    /// What the only reader clips the entries to.
    pub(super) seen: (f64, f64),
    /// Whether the value has no negative entries and only products with weights
    /// read it, so that its operand may use all of the type's range.
    pub(super) offset: bool,
    /// The largest number that the only reader, a Relu, passes, if the product
    /// that makes the value applies the Relu itself.
    pub(super) rectified: Option<f64>,
}

/// What every reader sees of a value that nothing clips.
pub(super) const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// Whether a layer selects or moves entries, so that it keeps their scale.
fn keeps_scale(kind: &Kind) -> bool {
    match kind {
        Kind::MaxPool { .. }
        | Kind::Reshape { .. }
        | Kind::Transpose { .. }
        | Kind::Take { .. } => true,
        Kind::Pointwise(function) => function.clip().is_some(),
        _ => false,
    }
}

impl Plan {
    pub(super) fn new(
        graph: &Graph,
        values: &[Array2<f32>],
        range: RangeMethod,
        offset: bool,
    ) -> Result<Plan, QuantiseError> {
        if let RangeMethod::Percentile(percent) = range
            && !(percent > 0.0 && percent <= 100.0)
        {
            return Err(QuantiseError::Percentile(percent));
        }
        let count = graph.values();
        let first = graph.inputs.len();
        let mut readers: Vec<Vec<usize>> = vec![vec![]; count];
        for (at, layer) in graph.layers.iter().enumerate() {
            layer.inputs.iter().for_each(|&input| readers[input].push(at));
        }
        let (mut narrow, mut seen) = (vec![false; count], vec![ALL; count]);
        for value in (0..count).rev() {
            let product = |&at: &usize| match &graph.layers[at].kind {
                Kind::Linear { .. } | Kind::Conv { .. } | Kind::MatMul => true,
                kind => keeps_scale(kind) && narrow[first + at],
            };
            narrow[value] = !readers[value].is_empty() && readers[value].iter().all(product);
            if let [only] = readers[value].as_slice() {
                let beyond = seen[first + only];
                seen[value] = match &graph.layers[*only].kind {
                    Kind::Pointwise(function) => match function.clip() {
                        Some((low, high)) => {
                            (low.max(beyond.0).min(high), high.min(beyond.1).max(low))
                        }
                        None => ALL,
                    },
                    kind if keeps_scale(kind) => beyond,
                    _ => ALL,
                };
            }
        }
        let flags = if offset { offsets(graph, &readers) } else { vec![false; count] };
        let rectified = |value: usize| -> Option<f64> {
            let (&[only], Some(layer)) = (readers[value].as_slice(), graph.layer(value)) else {
                return None;
            };
            let product = matches!(layer.kind, Kind::Linear { .. } | Kind::Conv { .. });
            let Kind::Pointwise(function) = &graph.layers[only].kind else { return None };
            let (low, high) = function.clip()?;
            (product && low == 0.0 && narrow[value] && flags[first + only]).then_some(high)
        };
        let rectified: Vec<Option<f64>> = (0..count).map(rectified).collect();
        let all = values.iter().zip(narrow).zip(seen).zip(flags.iter().zip(rectified));
        let planned = all.map(|(((value, narrow), seen), (&offset, rectified))| {
            let magnitude = |&x: &f32| f64::from(x).clamp(seen.0, seen.1).abs();
            let largest = value.iter().map(magnitude).fold(0.0, f64::max);
            let range = match range {
                RangeMethod::MinMax => largest,
                RangeMethod::Percentile(percent) => {
                    within(value.iter().map(magnitude).collect(), percent, largest)
                }
            };
            Planned { range, narrow, seen, offset, rectified }
        });
        Ok(Plan { values: planned.collect() })
    }
}

/// Which values have no negative entries, and are read by products with weights
/// alone or by layers that keep such values.
fn offsets(graph: &Graph, readers: &[Vec<usize>]) -> Vec<bool> {
    let first = graph.inputs.len();
    let mut positive = vec![false; graph.values()];
    for (at, layer) in graph.layers.iter().enumerate() {
        let all = layer.inputs.iter().all(|&input| positive[input]);
        positive[first + at] = match &layer.kind {
            Kind::Pointwise(function) => {
                function.clip().is_some_and(|(low, high)| low == 0.0 && high > 0.0)
            }
            Kind::MaxPool { .. }
            | Kind::AveragePool { .. }
            | Kind::Reduce { .. }
            | Kind::Reshape { .. }
            | Kind::Transpose { .. } => all,
            Kind::Add { factors: [f0, f1] } => all && *f0 >= 0.0 && *f1 >= 0.0,
            Kind::Mul => all,
            _ => false,
        };
    }
    let mut fits = vec![false; graph.values()];
    for value in (first..graph.values()).rev() {
        let reader = |&at: &usize| match &graph.layers[at].kind {
            Kind::Linear { .. } | Kind::Conv { .. } => true,
            Kind::MaxPool { .. } | Kind::Reshape { .. } | Kind::Transpose { .. } => {
                fits[first + at]
            }
            // Layers that read the wide value do not matter.
            kind => !matches!(kind, Kind::MatMul | Kind::Take { .. } | Kind::Pointwise(_)),
        };
        fits[value] = positive[value] && readers[value].iter().all(reader);
    }
    fits
}

/// The magnitude within which a percentage of the magnitudes lies.
fn within(mut magnitudes: Vec<f64>, percent: f64, largest: f64) -> f64 {
    let count = (percent / 100.0 * magnitudes.len() as f64).ceil() as usize;
    let at = count.clamp(1, magnitudes.len().max(1)) - 1;
    if at >= magnitudes.len() {
        return largest;
    }
    let (_, &mut within, _) = magnitudes.select_nth_unstable_by(at, f64::total_cmp);
    if within > 0.0 { within } else { largest }
}
