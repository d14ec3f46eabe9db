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
        let planned = values.iter().zip(narrow).zip(seen).map(|((value, narrow), seen)| {
            let magnitude = |&x: &f32| f64::from(x).clamp(seen.0, seen.1).abs();
            let largest = value.iter().map(magnitude).fold(0.0, f64::max);
            let range = match range {
                RangeMethod::MinMax => largest,
                RangeMethod::Percentile(percent) => {
                    within(value.iter().map(magnitude).collect(), percent, largest)
                }
            };
            Planned { range, narrow, seen }
        });
        Ok(Plan { values: planned.collect() })
    }
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
