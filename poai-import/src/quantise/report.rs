//! The error of the integers against the floats.

use super::super::graph::{Graph, GraphError};
use super::level;
use super::lower::{Map, Value};
use super::plan::Plan;
use super::{NARROW, QuantiseError, Quantised, WIDE};
use ndarray::{Array2, ArrayView2, Axis};
use poai_core::control::Control;
use poai_core::program::{Dtype, RunShape, ValueId};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Network, RunError, RunOptions, Session, Tensor, Trace};
use std::sync::Arc;

/// The samples that [`Quantised::compare_with`] runs at once, which bounds the
/// memory that it takes.
const CHUNK: usize = 32;
/// A sample's floats count as no smaller than this part of all samples' mean.
/// Otherwise a sample whose output is nearly zero would have any error.
const FLOOR: f64 = 0.01;
/// Entries of the output below this many units have few integers.
const COARSE: f64 = 8.0;

/// The error of one layer's integers against the floats.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerReport {
    /// The layer.
    pub name: String,
    /// The real value of 1 of its integers.
    pub scale: f64,
    /// √(Σ (integer·scale − float)² / Σ float²), with integers in all layers
    /// before it. If only a Relu reads the value, negative entries count as 0.
    /// The error is 0 if all integers and floats are zero, and infinite if only
    /// the floats are.
    #[serde(with = "unbounded")]
    pub relative_error: f64,
    /// The share of entries whose float is beyond the integers' range.
    pub clipped: f64,
}

/// The errors of the output, sample by sample.
///
/// A sample's error is √(Σ (integer·scale − float)² / Σ float²) of its own
/// entries. A sum below a hundredth of the samples' root mean square counts as
/// that hundredth.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SampleErrors {
    /// The number of samples.
    pub count: usize,
    /// The error that half of the samples do not exceed.
    #[serde(with = "unbounded")]
    pub median: f64,
    /// The largest error.
    #[serde(with = "unbounded")]
    pub worst: f64,
    /// The index of the sample with the largest error.
    pub worst_sample: usize,
    /// The share of the input's entries beyond the calibrated range.
    pub clipped_input: f64,
    /// The share of the output's entries other than 0 that have few integers:
    /// their floats are below 8 units. One scale serves the whole output, so
    /// small entries beside large ones are rounded coarsely.
    #[serde(default)]
    pub coarse_output: f64,
}

/// The integers' error on samples, layer by layer and sample by sample.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The error of each layer in order.
    pub layers: Vec<LayerReport>,
    /// The errors of the output in short.
    pub samples: SampleErrors,
    /// The error of each sample's output.
    pub each: Vec<f64>,
}

/// Infinity as null, because JSON has no number for it.
mod unbounded {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(error: &f64, to: S) -> Result<S::Ok, S::Error> {
        if error.is_finite() { to.serialize_f64(*error) } else { to.serialize_none() }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

impl Quantised {
    /// Compares the integers with the floats of `graph`, of which this network
    /// was made. `samples` has one row per sample, as in [`crate::float::run`]. A
    /// stored network compares its output alone.
    ///
    /// # Errors
    /// [`QuantiseError`] if the samples or the graph do not fit this network.
    pub fn compare(
        &self,
        graph: &Graph,
        samples: ArrayView2<'_, f32>,
    ) -> Result<Comparison, QuantiseError> {
        self.compare_with(graph, samples, &Control::new())
    }

    /// As [`Quantised::compare`], with progress and cancellation. The unit of
    /// progress is a sample. Few samples run at once, so that memory does not
    /// grow with their number.
    ///
    /// # Errors
    /// As [`Quantised::compare`], or [`QuantiseError::Cancelled`].
    pub fn compare_with(
        &self,
        graph: &Graph,
        samples: ArrayView2<'_, f32>,
        control: &Control,
    ) -> Result<Comparison, QuantiseError> {
        let (rows, columns) = samples.dim();
        let inputs = self.inputs.iter().map(|own| &own.input);
        let known = self.values.is_empty() || self.values.len() == graph.values();
        let same = inputs.eq(&graph.inputs) && graph.shapes()?.last() == Some(&self.output);
        if rows == 0 || columns != self.sample_entries() || !same || !known {
            let expected = self.sample_entries();
            return Err(GraphError::Input { expected, rows, columns }.into());
        }
        let session = session(&self.network)?;
        let (levelled, columns) = level::levelled(graph, &self.levels);
        let mut measure = Measure::new(self);
        for chunk in samples.axis_chunks_iter(Axis(0), CHUNK) {
            control.check()?;
            let floats = super::levelled_floats(&levelled, chunk, &columns, &control.silent())?;
            let inputs = self.quantise_input(chunk)?;
            let trace = run(&session, chunk.nrows(), inputs, control.silent())?;
            measure.add(&floats, &trace)?;
            control.report(measure.each.len() as u64, rows as u64);
        }
        Ok(measure.finish(graph))
    }
}

/// Where a value of the graph is in the program.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    value: ValueId,
    /// The places of one item.
    places: usize,
    map: Map,
    scale: f64,
    /// The integer that stands for 0.
    zero: i32,
    /// The largest integer of the value's type, above the one for 0.
    most: i32,
    /// What the only reader clips the entries to.
    seen: (f64, f64),
}

impl Located {
    pub(super) fn all(values: &[Value], plan: &Plan) -> Vec<Located> {
        let of = |(value, planned): (&Value, &super::plan::Planned)| Located {
            value: value.id,
            places: value.rows * value.columns,
            map: value.map.clone(),
            scale: value.scale,
            zero: value.zero,
            most: match value.dtype {
                Dtype::I8 => NARROW.max - value.zero,
                Dtype::I16 => WIDE.max,
                Dtype::I32 => i32::MAX,
            },
            seen: planned.seen,
        };
        values.iter().zip(&plan.values).map(of).collect()
    }
}

/// A network on the processor.
pub(super) fn session(network: &Network) -> Result<Session, QuantiseError> {
    Ok(Session::new(network.clone(), Arc::new(Cpu::new()))?)
}

/// Runs the program and keeps every value.
pub(super) fn run(
    session: &Session,
    batch: usize,
    inputs: Vec<Tensor>,
    control: Control,
) -> Result<Trace, QuantiseError> {
    // If the batch exceeds u32, the input's extent does not match and the run
    // is refused.
    let shape = RunShape::new(u32::try_from(batch).unwrap_or(u32::MAX), 1);
    let options = RunOptions::new().control(control);
    Ok(session.trace_with((shape, inputs), &options)?.trace)
}

/// Sums of one value over all samples so far.
#[derive(Clone, Copy, Default)]
struct Sums {
    error: f64,
    total: f64,
    clipped: u64,
    entries: u64,
}

/// The comparison of networks, chunk by chunk.
pub(super) struct Measure<'a> {
    quantised: &'a Quantised,
    values: Vec<Sums>,
    /// The error and the total of each sample's output.
    each: Vec<[f64; 2]>,
    /// The entries of the inputs beyond their ranges, and all of them.
    clipped: [u64; 2],
    /// The entries of the output with few integers, and all but zeros.
    coarse: [u64; 2],
}

impl<'a> Measure<'a> {
    pub(super) fn new(quantised: &'a Quantised) -> Measure<'a> {
        let values = vec![Sums::default(); quantised.values.len()];
        Measure { quantised, values, each: vec![], clipped: [0; 2], coarse: [0; 2] }
    }

    /// Compares the values of some samples.
    pub(super) fn add(&mut self, floats: &[Array2<f32>], trace: &Trace) -> Result<(), RunError> {
        let all = self.quantised.values.iter().zip(floats).zip(&mut self.values);
        for ((located, floats), sums) in all {
            let Located { value, places, map, scale, zero, most, seen: (low, high) } = located;
            let most = (f64::from(*most) + 0.5) * scale;
            let integers = trace.value(*value)?.entries();
            let items = integers.chunks((*places).max(1));
            for (integers, floats) in items.zip(floats.outer_iter()) {
                for (entry, &float) in floats.iter().enumerate() {
                    let integer = map.at(entry).map_or(0, |place| integers[place] - zero);
                    let float = f64::from(float).clamp(*low, *high);
                    let real = (f64::from(integer) * scale).clamp(*low, *high);
                    sums.error += (real - float).powi(2);
                    sums.total += float.powi(2);
                    sums.clipped += u64::from(float.abs() > most);
                }
                sums.entries += floats.len() as u64;
            }
        }
        let mut inputs = [0, 0];
        for (own, sums) in self.quantised.inputs.iter().zip(&self.values) {
            if own.top > 0 {
                inputs[0] += sums.clipped;
                inputs[1] += sums.entries;
            }
        }
        self.clipped = inputs;
        let Some(floats) = floats.last() else { return Ok(()) };
        let few = (COARSE * self.quantised.output_scale) as f32;
        for &float in floats.iter().filter(|float| **float != 0.0) {
            self.coarse[0] += u64::from(float.abs() < few);
            self.coarse[1] += 1;
        }
        let output = trace.value(self.quantised.network.program().output())?;
        let output = self.quantised.dequantise_output(output);
        for (own, floats) in output.outer_iter().zip(floats.outer_iter()) {
            let pairs =
                own.iter().zip(floats).map(|(&own, &float)| (f64::from(own), f64::from(float)));
            let sums = pairs.fold([0.0, 0.0], |[error, total], (own, float)| {
                [error + (own - float).powi(2), total + float.powi(2)]
            });
            self.each.push(sums);
        }
        Ok(())
    }

    /// The errors of all that was compared.
    pub(super) fn finish(self, graph: &Graph) -> Comparison {
        let first = graph.inputs.len();
        let share = |sums: &Sums| sums.clipped as f64 / sums.entries.max(1) as f64;
        let located = self.quantised.values.iter().skip(first);
        let layers = graph.layers.iter().zip(located).zip(self.values.iter().skip(first));
        let layers = layers.map(|((layer, located), sums)| LayerReport {
            name: layer.name.clone(),
            scale: located.scale,
            relative_error: relative(sums.error, sums.total),
            clipped: share(sums),
        });
        let total: f64 = self.each.iter().map(|[_, total]| total).sum();
        let floor = total / self.each.len().max(1) as f64 * FLOOR * FLOOR;
        let error = |[error, total]: &[f64; 2]| relative(*error, total.max(floor));
        let each: Vec<f64> = self.each.iter().map(error).collect();
        let clipped_input = self.clipped[0] as f64 / self.clipped[1].max(1) as f64;
        let coarse_output = self.coarse[0] as f64 / self.coarse[1].max(1) as f64;
        let samples = SampleErrors { clipped_input, coarse_output, ..SampleErrors::of(&each) };
        Comparison { layers: layers.collect(), samples, each }
    }
}

impl SampleErrors {
    /// The median and the worst of the errors.
    fn of(each: &[f64]) -> SampleErrors {
        let mut sorted: Vec<(f64, usize)> = each.iter().copied().zip(0..).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let median = sorted.get(sorted.len().saturating_sub(1) / 2).map_or(0.0, |at| at.0);
        let (worst, worst_sample) = sorted.last().copied().unwrap_or_default();
        SampleErrors { count: each.len(), median, worst, worst_sample, ..SampleErrors::default() }
    }
}

fn relative(error: f64, total: f64) -> f64 {
    if error == 0.0 { 0.0 } else { (error / total).sqrt() }
}
