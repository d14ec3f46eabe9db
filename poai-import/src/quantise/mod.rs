//! Post-training quantisation: conversion of a float network to a program of
//! exact integers.
//!
//! Every value gets one scale (real = integer · scale), measured on samples.
//! The largest magnitude, or a percentile of all magnitudes, becomes ±63 in i8.
//! Relu, MaxPool and Flatten keep the scale of their input. The network's
//! output is finer: its largest magnitude becomes ±2^14 in i16. It has one row
//! a sample, with the entries in the file's order (channel, row, column).
//!
//! - `ranges`: which values are measured, how, and the resulting scales.
//! - `build`: the program, layer by layer; `order`: the order of its output.
//! - `auto`: the choice of ranges by measured error.
//! - `memory`: how much memory all of this takes.
//! - `report`: the error of the integers against the floats.

mod auto;
mod build;
mod error;
mod memory;
mod order;
pub(crate) mod ranges;
mod report;

pub use auto::{CANDIDATES, quantise_auto};
pub use error::QuantiseError;
pub use memory::memory_bytes;
pub use report::{Comparison, LayerReport, SampleErrors};

use super::float;
use super::graph::{Graph, GraphError, ImageExtent};
use ndarray::{Array2, ArrayView2};
use poai_core::control::Control;
use poai_core::program::{Clamp, Dtype};
use poai_engine::execute::{Network, Tensor};
use ranges::Plan;

/// How the range of an activation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub enum RangeMethod {
    /// The largest magnitude; nothing is clipped.
    #[default]
    MinMax,
    /// This percentage of the magnitudes, above 0 and at most 100, lies within
    /// the range, and the others are clipped. If the range would be 0, it is
    /// the largest magnitude.
    Percentile(f64),
}

/// The weights that share one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Granularity {
    /// All weights of a layer.
    PerTensor,
    /// The weights of one output channel.
    #[default]
    PerChannel,
}

/// The constants other than weights: multipliers, their shifts and biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Numbers {
    /// Multipliers as fine as each layer's shift permits.
    #[default]
    Fitted,
    /// Standard form ([`poai_core::program::standard`]): one shift per type.
    /// Proofs with committed weights then have one key for all networks of the
    /// architecture. Multipliers are coarser, which changes some entries by one
    /// unit, and some networks do not fit.
    Standard,
}

/// Options of quantising a network.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct QuantiseOptions {
    /// The ranges of activations.
    pub range: RangeMethod,
    /// The scales of weights.
    pub weights: Granularity,
    /// The constants other than weights.
    #[serde(default)]
    pub numbers: Numbers,
}

/// A network of exact integers, and its measured error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quantised {
    /// The program with its constants. It has one i8 input with one row per
    /// pixel (or one row per vector) for every sample of the batch. Its output
    /// has one row a sample, with the entries in the file's order.
    pub network: Network,
    /// The error of each layer in order, on the calibration data.
    pub report: Vec<LayerReport>,
    /// The errors of the calibration samples.
    pub samples: SampleErrors,
    /// The shape of one sample.
    pub input: ImageExtent,
    /// The real value of 1 in the program's input.
    pub input_scale: f64,
    /// The real value of 1 in the program's output.
    pub output_scale: f64,
    /// The method that measured the ranges.
    pub range: RangeMethod,
    /// The form of the constants other than weights.
    pub numbers: Numbers,
    pub(crate) plan: Plan,
}

/// Quantises a network. `calibration` holds samples one after another, pixel by
/// pixel, as in [`float::run`].
///
/// # Errors
/// [`QuantiseError`] names the layer and the problem.
pub fn quantise(
    graph: &Graph,
    calibration: ArrayView2<'_, f32>,
    options: &QuantiseOptions,
) -> Result<Quantised, QuantiseError> {
    quantise_with(graph, calibration, options, &Control::new())
}

/// As [`quantise`], with progress and cancellation. The unit of progress is a
/// layer. Each counts twice: once in floats, and once in the integers that are
/// compared with them.
///
/// # Errors
/// As [`quantise`], or [`QuantiseError::Cancelled`].
pub fn quantise_with(
    graph: &Graph,
    calibration: ArrayView2<'_, f32>,
    options: &QuantiseOptions,
    control: &Control,
) -> Result<Quantised, QuantiseError> {
    let values = Values::new(graph, calibration, control)?;
    values.quantise(options, control)
}

/// The floats that ranges and errors are measured with.
struct Values<'a> {
    graph: &'a Graph,
    shapes: Vec<ImageExtent>,
    calibration: ArrayView2<'a, f32>,
    floats: Vec<Array2<f32>>,
}

impl<'a> Values<'a> {
    fn new(
        graph: &'a Graph,
        calibration: ArrayView2<'a, f32>,
        control: &Control,
    ) -> Result<Values<'a>, QuantiseError> {
        let shapes = graph.shapes()?;
        if calibration.nrows() == 0 {
            return Err(QuantiseError::NoCalibration);
        }
        finite("input", "calibration data", calibration.iter())?;
        let (to, layers) = (control.clone(), graph.layers.len() as u64);
        let half = control.silent().progress(move |at| to.report(at.done, 2 * layers));
        let floats = float::run_with(graph, calibration, &half)?;
        for (layer, value) in graph.layers.iter().zip(&floats[1..]) {
            finite(&layer.name, "its values", value.iter())?;
        }
        control.check()?;
        Ok(Values { graph, shapes, calibration, floats })
    }

    fn quantise(
        &self,
        options: &QuantiseOptions,
        control: &Control,
    ) -> Result<Quantised, QuantiseError> {
        let Values { graph, shapes, calibration, floats } = self;
        let mut plan = Plan::new(graph, floats, options.range)?;
        let built = build::build(graph, shapes, &plan, options)?;
        for (planned, value) in plan.values.iter_mut().zip(&built.values) {
            planned.value = value.0;
        }
        let mut quantised = Quantised {
            network: built.network,
            report: vec![],
            samples: SampleErrors::default(),
            input: graph.input,
            input_scale: plan.values[0].scale,
            output_scale: plan.values[graph.layers.len()].scale,
            range: options.range,
            numbers: options.numbers,
            plan,
        };
        let input = quantised.quantise_input(*calibration)?;
        let batch = calibration.nrows() / graph.input.rows();
        let (to, layers) = (control.clone(), graph.layers.len() as u64);
        let half = control.silent().progress(move |at| {
            to.report(layers + at.done * layers / at.total.max(1), 2 * layers);
        });
        let trace = report::run(&report::session(&quantised.network)?, batch, input, half)?;
        let mut measure = report::Measure::new(graph, &quantised.plan);
        measure.add(floats, &trace, batch)?;
        let compared = measure.finish(graph);
        quantised.report = compared.layers;
        quantised.samples = compared.samples;
        Ok(quantised)
    }
}

impl Quantised {
    /// Converts samples to the program's input: rounded, and clipped at ±63.
    ///
    /// # Errors
    /// [`QuantiseError`] if the samples do not fit this network, or are not
    /// finite.
    pub fn quantise_input(&self, samples: ArrayView2<'_, f32>) -> Result<Tensor, QuantiseError> {
        let (rows, columns) = samples.dim();
        let input = self.input;
        if columns != input.channels || rows == 0 || !rows.is_multiple_of(input.rows()) {
            return Err(GraphError::Input { input, rows, columns }.into());
        }
        finite("input", "samples", samples.iter())?;
        let integers: Vec<i32> =
            samples.iter().map(|&x| integer(f64::from(x) / self.input_scale, 63)).collect();
        let named = |source| QuantiseError::Tensor { layer: "input".to_owned(), source };
        Tensor::new(rows, columns, Dtype::I8, &integers).map_err(named)
    }

    /// Converts the program's output to floats, one row per sample.
    pub fn dequantise_output(&self, output: &Tensor) -> Array2<f32> {
        let columns = output.extent().columns as usize;
        let entries = output.entries();
        Array2::from_shape_fn((output.extent().rows as usize, columns), |(row, column)| {
            (f64::from(entries[row * columns + column]) * self.output_scale) as f32
        })
    }
}

/// The nearest integer with a magnitude of at most `max`.
fn integer(x: f64, max: i32) -> i32 {
    // The clamp makes the conversion exact within i32.
    x.round().clamp((-max).into(), max.into()) as i32
}

/// Refuses infinities and NaN.
fn finite<'a>(
    layer: &str,
    what: &'static str,
    mut entries: impl Iterator<Item = &'a f32>,
) -> Result<(), QuantiseError> {
    match entries.position(|entry| !entry.is_finite()) {
        Some(index) => Err(QuantiseError::NotFinite { layer: layer.to_owned(), what, index }),
        None => Ok(()),
    }
}

/// The range of steps that end a layer inside the network.
const NARROW: Clamp = Clamp::SYMMETRIC;
/// The range of the network's last product, sum or mean.
const WIDE: Clamp = Clamp::full(Dtype::I16);
