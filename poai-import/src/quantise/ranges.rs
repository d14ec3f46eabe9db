//! Which values are measured, how, and the scales that they get.

use super::super::graph::{Graph, Kind};
use super::{QuantiseError, RangeMethod};
use ndarray::Array2;

/// The integers that an i8 range and an i16 range are scaled to: 63 and 2^14.
const NARROW_TOP: f64 = 63.0;
const WIDE_TOP: f64 = 16384.0;

/// The scales of every value of a graph, with the input first.
pub(super) struct Plan {
    /// The real value of 1.
    pub(super) scales: Vec<f64>,
    /// Whether the value is an i16: it becomes the output, and no product reads
    /// it.
    pub(super) wide: Vec<bool>,
    /// Whether negative entries have no effect: the only reader is a Relu,
    /// possibly after pooling or flattening.
    pub(super) rectified: Vec<bool>,
}

/// Whether a layer only moves or selects entries and so keeps their scale.
pub(super) fn keeps_scale(kind: &Kind) -> bool {
    matches!(kind, Kind::Relu | Kind::MaxPool { .. } | Kind::Flatten)
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
        let last = graph.layers.len();
        let (mut wide, mut rectified) = (vec![false; last + 1], vec![false; last + 1]);
        wide[last] = true;
        for value in (0..last).rev() {
            let Some(reader) = only_reader(graph, value) else { continue };
            let kind = &graph.layers[reader].kind;
            wide[value] = keeps_scale(kind) && wide[reader + 1];
            rectified[value] =
                matches!(kind, Kind::Relu) || keeps_scale(kind) && rectified[reader + 1];
        }
        let mut scales = vec![];
        for (index, value) in values.iter().enumerate() {
            let layer = index.checked_sub(1).map(|layer| &graph.layers[layer]);
            let scale = match layer {
                Some(layer) if keeps_scale(&layer.kind) => {
                    // The type is kept together with the scale.
                    wide[index] &= wide[layer.inputs[0]];
                    scales[layer.inputs[0]]
                }
                _ => {
                    wide[index] &= layer.is_some();
                    let top = if wide[index] { WIDE_TOP } else { NARROW_TOP };
                    // For a value that is always zero any scale is right. The
                    // scale of its layer's input is close to the scales of the
                    // layers that read it.
                    match measure(value, rectified[index], range) {
                        0.0 => layer.map_or(1.0, |layer| scales[layer.inputs[0]]),
                        largest => f64::from(largest) / top,
                    }
                }
            };
            scales.push(scale);
        }
        Ok(Plan { scales, wide, rectified })
    }
}

/// The layer that reads a value, if exactly one layer reads it, once.
fn only_reader(graph: &Graph, value: usize) -> Option<usize> {
    let mut readers = graph.layers.iter().enumerate().flat_map(|(index, layer)| {
        layer.inputs.iter().filter(move |&&read| read == value).map(move |_| index)
    });
    let reader = readers.next()?;
    readers.next().is_none().then_some(reader)
}

fn measure(value: &Array2<f32>, rectified: bool, range: RangeMethod) -> f32 {
    let magnitude = |&x: &f32| if rectified { x.max(0.0) } else { x.abs() };
    let largest = value.iter().map(magnitude).fold(0.0, f32::max);
    let RangeMethod::Percentile(percent) = range else { return largest };
    let mut magnitudes: Vec<f32> = value.iter().map(magnitude).collect();
    let within = (percent / 100.0 * magnitudes.len() as f64).ceil() as usize;
    let at = within.clamp(1, magnitudes.len()) - 1;
    let (_, &mut within, _) = magnitudes.select_nth_unstable_by(at, f32::total_cmp);
    if within > 0.0 { within } else { largest }
}
