//! Which values are measured, how, and the scales that they get.

use super::super::graph::{Graph, Kind};
use super::{QuantiseError, RangeMethod};
use ndarray::Array2;

/// The integers that an i8 range and an i16 range are scaled to: 63 and 2^14.
const NARROW_TOP: f64 = 63.0;
const WIDE_TOP: f64 = 16384.0;

/// Every value of a graph, with the input first.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) values: Vec<Planned>,
}

/// How a value of a graph is kept in integers.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planned {
    /// The real value of 1.
    pub(crate) scale: f64,
    /// Whether the value is an i16: it becomes the output, and no product reads
    /// it.
    pub(crate) wide: bool,
    /// Whether negative entries have no effect: the only reader is a Relu,
    /// possibly after pooling or flattening.
    pub(crate) rectified: bool,
    /// The program's value, once the program is built.
    pub(crate) value: u32,
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
        let flags = wide.into_iter().zip(rectified);
        let planned = |(scale, (wide, rectified))| Planned { scale, wide, rectified, value: 0 };
        Ok(Plan { values: scales.into_iter().zip(flags).map(planned).collect() })
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
