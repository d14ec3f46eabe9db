//! The error of the integers against the floats.

use super::super::float;
use super::super::graph::{Graph, GraphError};
use super::ranges::Plan;
use super::{NARROW, QuantiseError, Quantised, WIDE};
use ndarray::{Array2, ArrayView2, Axis};
use poai_core::control::Control;
use poai_core::program::{RunShape, ValueId};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Network, RunError, RunOptions, Session, Tensor, Trace};
use std::sync::Arc;

/// The samples that [`Quantised::compare_with`] runs at once, which bounds the
/// memory that it takes.
const CHUNK: usize = 32;
/// A sample's floats count as no smaller than this part of all samples' mean.
/// Otherwise a sample whose output is nearly zero would have any error.
const FLOOR: f64 = 0.01;

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
    /// was made. `samples` lie one after another, as in [`float::run`].
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
        let input = self.input;
        let expected = (self.input, self.plan.values.len());
        if rows == 0 || (graph.input, graph.layers.len() + 1) != expected {
            return Err(GraphError::Input { input, rows, columns }.into());
        }
        // Checks every size, also of the last samples.
        if columns != input.channels || !rows.is_multiple_of(input.rows()) {
            return Err(GraphError::Input { input, rows, columns }.into());
        }
        let session = session(&self.network)?;
        let mut measure = Measure::new(graph, &self.plan);
        for chunk in samples.axis_chunks_iter(Axis(0), CHUNK * input.rows()) {
            control.check()?;
            let floats = float::run(graph, chunk)?;
            let batch = chunk.nrows() / input.rows();
            let trace = run(&session, batch, self.quantise_input(chunk)?, control.silent())?;
            measure.add(&floats, &trace, batch)?;
            control.report(measure.each.len() as u64, (rows / input.rows()) as u64);
        }
        Ok(measure.finish(graph))
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
    input: Tensor,
    control: Control,
) -> Result<Trace, QuantiseError> {
    // If the batch exceeds u32, the input's extent does not match and the run
    // is refused.
    let shape = RunShape { batch: u32::try_from(batch).unwrap_or(u32::MAX), sequence: 1 };
    let options = RunOptions::new().control(control);
    Ok(session.trace_with((shape, vec![input]), &options)?.trace)
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
    plan: &'a Plan,
    values: Vec<Sums>,
    /// The error and the total of each sample's output.
    each: Vec<[f64; 2]>,
    last: usize,
}

impl<'a> Measure<'a> {
    pub(super) fn new(graph: &Graph, plan: &'a Plan) -> Measure<'a> {
        let last = graph.layers.len();
        Measure { plan, values: vec![Sums::default(); last + 1], each: vec![], last }
    }

    /// Compares the values of some samples.
    pub(super) fn add(
        &mut self,
        floats: &[Array2<f32>],
        trace: &Trace,
        batch: usize,
    ) -> Result<(), RunError> {
        let all = self.plan.values.iter().zip(floats).zip(&mut self.values);
        for (index, ((planned, floats), sums)) in all.enumerate() {
            let seen = |x: f64| if planned.rectified { x.max(0.0) } else { x };
            let max = f64::from(if planned.wide { WIDE } else { NARROW }.max) + 0.5;
            let integers = trace.value(ValueId(planned.value))?.entries();
            let own = (integers.len() / batch.max(1)).max(1);
            let pairs = integers.chunks(own).zip(floats.as_slice().unwrap_or_default().chunks(own));
            for (integers, floats) in pairs {
                let (mut error, mut total) = (0.0, 0.0);
                for (&integer, &float) in integers.iter().zip(floats) {
                    let float = seen(float.into());
                    error += (seen(f64::from(integer) * planned.scale) - float).powi(2);
                    total += float.powi(2);
                    sums.clipped += u64::from(float.abs() > max * planned.scale);
                }
                sums.error += error;
                sums.total += total;
                sums.entries += floats.len() as u64;
                if index == self.last {
                    self.each.push([error, total]);
                }
            }
        }
        Ok(())
    }

    /// The errors of all that was compared.
    pub(super) fn finish(self, graph: &Graph) -> Comparison {
        let share = |sums: &Sums| sums.clipped as f64 / sums.entries.max(1) as f64;
        let layers = graph.layers.iter().zip(&self.plan.values[1..]).zip(&self.values[1..]);
        let layers = layers.map(|((layer, planned), sums)| LayerReport {
            name: layer.name.clone(),
            scale: planned.scale,
            relative_error: relative(sums.error, sums.total),
            clipped: share(sums),
        });
        let mean = self.values[self.last].total / self.each.len().max(1) as f64;
        let floor = mean * FLOOR * FLOOR;
        let error = |[error, total]: &[f64; 2]| relative(*error, total.max(floor));
        let each: Vec<f64> = self.each.iter().map(error).collect();
        let clipped_input = share(&self.values[0]);
        let samples = SampleErrors { clipped_input, ..SampleErrors::of(&each) };
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
        SampleErrors { count: each.len(), median, worst, worst_sample, clipped_input: 0.0 }
    }
}

fn relative(error: f64, total: f64) -> f64 {
    if error == 0.0 { 0.0 } else { (error / total).sqrt() }
}
