//! Post-training quantisation: conversion of a float network to a program of
//! exact integers.
//!
//! Every value gets one scale (real = integer · scale), measured on samples. A
//! value that only products read becomes an i8 whose range is ±63. Other values
//! become an i16 whose range is ±2^14, which leaves room for more. Relu, MaxPool
//! and moves keep the scale of their input. The output has one row a sample,
//! with the entries in the file's order.
//!
//! - `plan`: which values are measured and how;
//! - `level`: channels of one range;
//! - `lower`: the program, layer by layer; `numbers`: its multipliers;
//! - `auto`: the choice of ranges by measured error;
//! - `integers`: networks that were made in integers;
//! - `memory`: how much memory all of this takes;
//! - `report`: the error of the integers against the floats.

mod auto;
mod error;
mod integers;
mod level;
mod lower;
mod memory;
mod numbers;
mod plan;
mod report;

pub use auto::{CANDIDATES, quantise_auto};
pub use error::QuantiseError;
pub(crate) use integers::Misfit;
pub use memory::memory_bytes;
pub use report::{Comparison, LayerReport, SampleErrors};

use super::float;
use super::graph::{Graph, Input, ValueShape};
use level::Level;
use ndarray::{Array2, ArrayView2};
use numbers::integer;
use plan::Plan;
use poai_core::control::Control;
use poai_core::program::{Clamp, Dim, Dtype, Form};
use poai_engine::execute::{Network, Tensor};
use report::Located;

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
    /// Whether channels of very different ranges are scaled to similar ones,
    /// with the weights that read them scaled back.
    #[serde(default)]
    pub level: bool,
    /// Whether operands without negative numbers, as those after a Relu, use all
    /// of the type's range, with −64 for 0. It has no effect in standard form.
    #[serde(default)]
    pub offset: bool,
}

/// An input of a quantised network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct QuantisedInput {
    /// The input, as the file describes it.
    pub input: Input,
    /// The real value of 1 in the program's input; 1 for ids.
    pub scale: f64,
    /// The largest integer that the range reaches: 63 or 2^14; 0 for ids.
    pub top: i32,
    /// What each column is divided by before the scale applies; empty if
    /// columns have one scale.
    pub columns: Vec<f64>,
}

/// A network of exact integers, and its measured error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quantised {
    /// The program with its constants. An input image has one row per pixel for
    /// every sample of the batch. The output has one row a sample, with the
    /// entries in the file's order, unless it has more than 2^16 entries.
    pub network: Network,
    /// The error of each layer in order, on the calibration data.
    pub report: Vec<LayerReport>,
    /// The errors of the calibration samples.
    pub samples: SampleErrors,
    /// The inputs.
    pub inputs: Vec<QuantisedInput>,
    /// The shape of one sample's output.
    pub output: ValueShape,
    /// The real value of 1 in the program's output.
    pub output_scale: f64,
    /// What the file does with the output and the library leaves to the caller.
    pub tail: Option<String>,
    /// The method that measured the ranges.
    pub range: RangeMethod,
    /// The form of the constants other than weights.
    pub numbers: Numbers,
    /// Where each value of the graph is in the program; empty if the network
    /// was stored.
    pub(crate) values: Vec<Located>,
    /// How the channels of the graph were scaled.
    pub(crate) levels: Vec<Level>,
}

/// Quantises a network. `calibration` has one row per sample, as in
/// [`float::run`].
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
    shapes: Vec<ValueShape>,
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
        for (value, floats) in floats.iter().enumerate() {
            finite(graph.name(value), "its values", floats.iter())?;
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
        let levels = match options.level {
            true => level::levels(graph, shapes, floats),
            false => vec![],
        };
        let (levelled, inputs) = level::levelled(graph, &levels);
        let run;
        let (graph, floats) = if levels.is_empty() {
            (*graph, floats)
        } else {
            run = levelled_floats(&levelled, *calibration, &inputs, control)?;
            (&levelled, &run)
        };
        let offset = options.offset && options.numbers == Numbers::Fitted;
        let plan = Plan::new(graph, floats, options.range, offset)?;
        let lowered = lower::lower(graph, shapes, &plan, options)?;
        let values: Vec<Located> = Located::all(&lowered.values, &plan);
        let input = |((input, value), columns): ((&Input, &lower::Value), Option<Vec<f64>>)| {
            QuantisedInput {
                columns: columns.unwrap_or_default(),
                input: input.clone(),
                scale: value.scale,
                top: match value.dtype {
                    Dtype::I8 => lower::NARROW_TOP as i32,
                    Dtype::I16 => lower::WIDE_TOP as i32,
                    Dtype::I32 => 0,
                },
            }
        };
        let mut quantised = Quantised {
            network: lowered.network,
            report: vec![],
            samples: SampleErrors::default(),
            inputs: graph.inputs.iter().zip(&lowered.values).zip(inputs).map(input).collect(),
            output: shapes.last().cloned().unwrap_or_default(),
            output_scale: lowered.output_scale,
            tail: graph.tail.clone(),
            range: options.range,
            numbers: options.numbers,
            values,
            levels,
        };
        let inputs = quantised.quantise_input(*calibration)?;
        let (to, layers) = (control.clone(), graph.layers.len() as u64);
        let half = control.silent().progress(move |at| {
            to.report(layers + at.done * layers / at.total.max(1), 2 * layers);
        });
        let batch = calibration.nrows();
        let trace = report::run(&report::session(&quantised.network)?, batch, inputs, half)?;
        let mut measure = report::Measure::new(&quantised);
        measure.add(floats, &trace)?;
        let compared = measure.finish(graph);
        quantised.report = compared.layers;
        quantised.samples = compared.samples;
        Ok(quantised)
    }
}

/// The values of a network whose input columns are divided.
fn levelled_floats(
    graph: &Graph,
    samples: ArrayView2<'_, f32>,
    inputs: &[Option<Vec<f64>>],
    control: &Control,
) -> Result<Vec<Array2<f32>>, QuantiseError> {
    let mut samples = samples.to_owned();
    let mut first = 0;
    for (input, factors) in graph.inputs.iter().zip(inputs) {
        let size = input.shape.entries();
        if let Some(factors) = factors {
            let own = samples.slice_mut(ndarray::s![.., first..first + size]);
            level::divided(own, factors);
        }
        first += size;
    }
    Ok(float::run_with(graph, samples.view(), &control.silent())?)
}

impl Quantised {
    /// The number of entries of one sample: of all inputs together.
    pub fn sample_entries(&self) -> usize {
        let entries = self.inputs.iter().map(|own| own.input.shape.entries());
        entries.fold(0, usize::saturating_add)
    }

    /// The share of entries of samples that the inputs' types clip.
    pub fn clipped_input(&self, samples: ArrayView2<'_, f32>) -> f64 {
        let (mut first, mut beyond, mut all) = (0, 0.0, 0);
        for own in &self.inputs {
            let size = own.input.shape.entries();
            let end = (first + size).min(samples.ncols());
            if own.top > 0 && first < end {
                let part = samples.slice(ndarray::s![.., first..end]);
                beyond += own.clipped(part) * part.len() as f64;
                all += part.len();
            }
            first = end;
        }
        beyond / all.max(1) as f64
    }

    /// Converts samples to the program's inputs: rounded, and clipped at the
    /// ends of the type. Each row has the entries of all inputs.
    ///
    /// # Errors
    /// [`QuantiseError`] if the samples do not fit this network, or are not
    /// finite.
    pub fn quantise_input(
        &self,
        samples: ArrayView2<'_, f32>,
    ) -> Result<Vec<Tensor>, QuantiseError> {
        finite("input", "samples", samples.iter())?;
        let graph = Graph::new(self.inputs.iter().map(|own| own.input.clone()).collect(), vec![]);
        let parts = float::inputs(&graph, samples)?;
        let tensors = self.inputs.iter().zip(&parts).map(|(own, part)| own.tensor(part));
        tensors.collect()
    }

    /// Converts the program's output to floats, one row per sample.
    pub fn dequantise_output(&self, output: &Tensor) -> Array2<f32> {
        let (columns, entries) = (self.output.entries().max(1), output.entries());
        Array2::from_shape_fn((entries.len() / columns, columns), |(row, column)| {
            (f64::from(entries[row * columns + column]) * self.output_scale) as f32
        })
    }
}

impl QuantisedInput {
    /// The share of entries of samples that the input's type clips.
    pub fn clipped(&self, samples: ArrayView2<'_, f32>) -> f64 {
        if self.top == 0 {
            return 0.0;
        }
        // An i16 holds twice the calibrated range.
        let most = if self.top == NARROW.max { NARROW.max } else { WIDE.max };
        let most = (f64::from(most) + 0.5) * self.scale;
        let beyond = samples
            .indexed_iter()
            .filter(|((_, entry), x)| f64::from(x.abs()) > most * self.factor(*entry))
            .count();
        beyond as f64 / samples.len().max(1) as f64
    }

    /// What an entry is divided by.
    fn factor(&self, entry: usize) -> f64 {
        match self.columns.len() {
            0 => 1.0,
            columns => self.columns[entry % columns],
        }
    }

    /// The program's input, or `None` if the fields do not fit together.
    pub(crate) fn form(&self) -> Option<Form> {
        let entries = self.input.shape.entries();
        let dtype = match (self.top, self.input.ids) {
            (0, Some(_)) => Dtype::I32,
            (63, None) => Dtype::I8,
            (16384, None) => Dtype::I16,
            _ => return None,
        };
        let positive = |factor: &f64| factor.is_finite() && *factor > 0.0;
        let columns = self.columns.len();
        let fits = columns == 0 || columns == self.input.shape.last();
        if entries == 0
            || entries > super::graph::MAX_ENTRIES
            || !fits
            || !self.columns.iter().all(positive)
        {
            return None;
        }
        let (rows, columns) = lower::input_rows(&self.input);
        let dim = |size: usize| u32::try_from(size).ok().map(Dim::fixed);
        Some(Form::new(dim(rows)?, dim(columns)?, dtype))
    }

    /// Samples as the program's input.
    fn tensor(&self, samples: &Array2<f32>) -> Result<Tensor, QuantiseError> {
        let (rows, columns) = lower::input_rows(&self.input);
        let places = lower::input_map(&self.input).entries();
        let (dtype, most) = match self.top {
            0 => (Dtype::I32, i32::MAX),
            63 => (Dtype::I8, 63),
            _ => (Dtype::I16, i16::MAX.into()),
        };
        let mut integers = Vec::with_capacity(samples.len());
        for sample in samples.outer_iter() {
            let entry = |&entry: &usize| {
                integer(f64::from(sample[entry]) / (self.scale * self.factor(entry)), most)
            };
            integers.extend(places.iter().map(entry));
        }
        let named = |source| QuantiseError::Tensor { layer: self.input.name.clone(), source };
        Tensor::new(rows * samples.nrows(), columns, dtype, &integers).map_err(named)
    }
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

/// The range of values that products read.
const NARROW: Clamp = Clamp::SYMMETRIC;
/// The range of other values.
const WIDE: Clamp = Clamp::full(Dtype::I16);
