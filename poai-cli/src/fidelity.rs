//! What a quantised network's integers stand for, and how far they are from the
//! floats: the part of a report that every program which runs integers prints.

use crate::terminal;
use ndarray::ArrayView2;
use poai::execute::Tensor;
use poai::import::graph::{Input, ValueShape};
use poai::import::quantise::{
    Comparison, LayerReport, Quantised, QuantisedInput, RangeMethod, SampleErrors,
};
use serde_json::{Map, Value, json};

/// The largest median error of samples that gives no warning.
const MEDIAN_MAX: f64 = 0.05;
/// The largest error of a single sample that gives no warning.
const WORST_MAX: f64 = 0.25;
/// The largest share of the input's entries beyond the calibrated range that
/// gives no warning.
const CLIPPED_INPUT_MAX: f64 = 0.0025;
/// The same of a layer's entries.
const CLIPPED_LAYER_MAX: f64 = 0.01;
/// The largest share of the output's entries with few integers that gives no
/// warning.
const COARSE_MAX: f64 = 0.1;

/// How many times larger or smaller than the calibration an input is that looks
/// scaled differently. Bytes and numbers to 1 differ by a factor of 255.
const FAR: f64 = 100.0;

/// What was noticed when samples were read.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What looks wrong, one sentence each.
    pub warnings: Vec<String>,
    /// What the pixels of PNG images were multiplied by.
    pub pixel_scale: Option<f32>,
}

/// A warning for each input whose samples have another order of size than its
/// calibrated range, as pixels of 0 to 255 have beside those of 0 to 1.
pub fn far_sizes(quantised: &Quantised, samples: ArrayView2<'_, f32>) -> Vec<String> {
    let (mut first, mut found) = (0, vec![]);
    for own in &quantised.inputs {
        let end = (first + own.input.shape.entries()).min(samples.ncols());
        let part = samples.slice(ndarray::s![.., first.min(end)..end]);
        first = end;
        let largest = part.iter().fold(0f64, |largest, entry| largest.max(f64::from(entry.abs())));
        let column = own.columns.iter().copied().reduce(f64::max).unwrap_or(1.0);
        let range = own.scale * f64::from(own.top) * column;
        let far = largest > FAR * range || largest * FAR < range;
        if own.top > 0 && largest > 0.0 && far {
            found.push(format!(
                "the input's entries reach {largest:.4}, and the calibrated range reaches \
                 {range:.4}; give both the same scale, pixels of PNG images with --pixel-scale"
            ));
        }
    }
    found
}

/// Scales, errors and warnings of a quantised network and its input.
#[derive(Clone, Debug)]
pub struct Fidelity {
    inputs: Vec<QuantisedInput>,
    output: ValueShape,
    output_scale: f64,
    tail: Option<String>,
    range: RangeMethod,
    /// The errors of the layers on the input, or else on the calibration.
    layers: Vec<LayerReport>,
    /// The errors of the calibration samples.
    calibration: SampleErrors,
    /// The errors of the input's samples, if the floats are known.
    input: Option<SampleErrors>,
    /// The error of each sample of the input.
    each: Vec<f64>,
    /// The share of the input's entries beyond the calibrated range.
    clipped_input: f64,
    /// The index of the input's first sample.
    first: usize,
    pixel_scale: Option<f32>,
    warnings: Vec<String>,
}

impl Fidelity {
    /// The figures of a network. `compared` has those of the input, whose first
    /// sample has the index `first`.
    pub fn new(
        quantised: &Quantised,
        compared: Option<Comparison>,
        clipped_input: f64,
        first: usize,
        seen: Seen,
    ) -> Fidelity {
        let Seen { warnings, pixel_scale } = seen;
        let (layers, input, each) = match compared {
            Some(Comparison { layers, samples, each, .. }) => (layers, Some(samples), each),
            None => (quantised.report.clone(), None, vec![]),
        };
        let mut fidelity = Fidelity {
            inputs: quantised.inputs.clone(),
            output: quantised.output.clone(),
            tail: quantised.tail.clone(),
            output_scale: quantised.output_scale,
            range: quantised.range,
            layers,
            calibration: quantised.samples,
            input,
            each,
            clipped_input,
            first,
            pixel_scale,
            warnings,
        };
        fidelity.judge();
        fidelity
    }

    /// Adds a warning for each figure that is bad.
    fn judge(&mut self) {
        let mut found = vec![];
        let calibration = (self.calibration, "calibration", 0);
        let input = self.input.map(|input| (input, "input", self.first));
        for (errors, of, first) in [Some(calibration), input].into_iter().flatten() {
            if errors.median > MEDIAN_MAX {
                found.push(format!(
                    "the integers are far from the floats: the median error of the {of} samples \
                     is {}",
                    percent(errors.median)
                ));
            }
            if errors.worst > WORST_MAX {
                found.push(format!(
                    "the integers are far from the floats of {of} sample {}: the error is {}",
                    first + errors.worst_sample,
                    percent(errors.worst)
                ));
            }
        }
        let coarse = self.input.unwrap_or(self.calibration).coarse_output;
        if coarse > COARSE_MAX {
            found.push(format!(
                "{} of the output's entries are so much smaller than the largest that they have \
                 few integers; choose a part of the output with --output",
                percent(coarse)
            ));
        }
        if self.clipped_input > CLIPPED_INPUT_MAX {
            found.push(format!(
                "{} of the input's entries are beyond the calibrated range and were clipped; \
                 calibrate with samples like these",
                percent(self.clipped_input)
            ));
        }
        let clipped = |layer: &&LayerReport| layer.clipped > CLIPPED_LAYER_MAX;
        let worst = self.layers.iter().filter(clipped);
        if let Some(layer) = worst.max_by(|a, b| a.clipped.total_cmp(&b.clipped)) {
            found.push(format!(
                "{}: {} of the layer's entries are beyond the calibrated range and were clipped",
                layer.name,
                percent(layer.clipped)
            ));
        }
        self.warnings.append(&mut found);
    }

    /// The number of classes, if the output is one row of several numbers.
    pub fn classes(&self) -> Option<usize> {
        let long = self.output.0.iter().filter(|size| **size > 1).count();
        (long == 1).then(|| self.output.entries())
    }

    /// The output's entries as floats.
    pub fn floats(&self, output: &Tensor) -> Vec<f32> {
        let float = |entry: i32| (f64::from(entry) * self.output_scale) as f32;
        output.entries().into_iter().map(float).collect()
    }

    /// What 1 of the input stands for, if that is one number.
    fn input_scale(&self) -> Option<f64> {
        match self.inputs.as_slice() {
            [only] if only.columns.is_empty() => Some(only.scale),
            _ => None,
        }
    }

    /// The fields of a report in JSON.
    pub fn json(&self) -> Map<String, Value> {
        let errors = |errors: &SampleErrors, first: usize, clipped: f64| {
            json!({
                "samples": errors.count,
                "median_error": errors.median,
                "worst_error": errors.worst,
                "worst_sample": first + errors.worst_sample,
                "clipped": clipped,
                "coarse_output": errors.coarse_output,
            })
        };
        let clipped = self.clipped_input;
        let object = json!({
            "inputs": self.inputs.iter().map(described).collect::<Vec<_>>(),
            "input_scale": self.input_scale(),
            "output_shape": self.output.0,
            "output_scale": self.output_scale,
            "output_order": "sample, then the order of the network's file",
            "tail": self.tail,
            "range": method(self.range),
            "calibration": errors(&self.calibration, 0, self.calibration.clipped_input),
            "input_errors": self.input.as_ref().map(|input| errors(input, self.first, clipped)),
            "sample_errors": self.input.is_some().then_some(&self.each),
            "clipped_input": clipped,
            "pixel_scale": self.pixel_scale,
            "layers_measured_on": if self.input.is_some() { "input" } else { "calibration" },
            "layers": self.layers,
            "warnings": self.warnings,
        });
        object.as_object().cloned().unwrap_or_default()
    }

    /// The same as lines of text.
    pub fn text(&self) -> String {
        let of = if self.input.is_some() { "input" } else { "calibration" };
        let scales: Vec<String> = self.inputs.iter().map(scale).collect();
        let mut text = format!(
            "scales      {}, 1 of the output {:.6e}; ranges by {}\n\
             errors      {}, calibration\n",
            scales.join(", "),
            self.output_scale,
            method(self.range),
            short(&self.calibration, 0),
        );
        if let Some(input) = &self.input {
            text += &format!("            {}, input\n", short(input, self.first));
        }
        if let Some(factor) = self.pixel_scale {
            text += &format!(
                "pixels      of PNG images, 0 to 255, times {factor}; --pixel-scale sets the factor\n"
            );
        }
        if let Some(tail) = &self.tail {
            text += &format!(
                "tail        the file ends with {}, which keeps the order of classes and is left \
                 out\n",
                terminal::name(tail)
            );
        }
        text += &format!("clipped     {} of the input's entries\n", percent(self.clipped_input));
        text += &format!("layers      error and clipped entries on the {of}:\n");
        for layer in &self.layers {
            text += &format!(
                "  {:<28} {:>10}   clipped {:>8}   scale {:.3e}\n",
                terminal::name(&layer.name),
                percent(layer.relative_error),
                percent(layer.clipped),
                layer.scale
            );
        }
        for warning in &self.warnings {
            text += &format!("warning     {}\n", terminal::name(warning));
        }
        text
    }
}

/// An input in JSON.
fn described(own: &QuantisedInput) -> Value {
    json!({
        "name": own.input.name,
        "shape": own.input.shape.0,
        "scale": own.scale,
        "columns": own.columns,
        "ids": own.input.ids,
        "channels_last": own.input.channels_last,
    })
}

/// An input in one line, with its name as it is.
pub fn input(own: &QuantisedInput) -> String {
    let Input { name, shape, ids, .. } = &own.input;
    match (ids, own.columns.is_empty()) {
        (Some(ids), _) => format!("{name}: {shape}, ids below {ids}"),
        (None, true) => format!("{name}: {shape}, 1 is {:.6e}", own.scale),
        (None, false) => {
            format!("{name}: {shape}, 1 is {:.6e} times its column's factor", own.scale)
        }
    }
}

/// A layer's figures in one line, with its name as it is.
pub fn layer(layer: &LayerReport) -> String {
    let (error, clipped) = (percent(layer.relative_error), percent(layer.clipped));
    format!("{}: error {error}, clipped {clipped}, scale {:.3e}", layer.name, layer.scale)
}

/// What 1 of an input stands for.
fn scale(own: &QuantisedInput) -> String {
    let name = match own.input.name.as_str() {
        "" => "the input".to_owned(),
        name => format!("input {}", terminal::name(name)),
    };
    match (own.input.ids, own.columns.is_empty()) {
        (Some(_), _) => format!("{name} is ids"),
        (None, true) => format!("1 of {name} is {:.6e}", own.scale),
        (None, false) => format!("1 of {name} is {:.6e} times its column's factor", own.scale),
    }
}

/// The class of a row: the first of its largest entries.
pub fn largest(row: &[i32]) -> usize {
    let all = row.iter().enumerate().rev();
    all.max_by_key(|(_, entry)| **entry).map_or(0, |(class, _)| class)
}

/// Floats in one line.
pub fn row(floats: &[f32]) -> String {
    let fields: Vec<_> = floats.iter().map(f32::to_string).collect();
    fields.join(", ")
}

fn short(errors: &SampleErrors, first: usize) -> String {
    format!(
        "median {}, worst {} (sample {}) of {} samples",
        percent(errors.median),
        percent(errors.worst),
        first + errors.worst_sample,
        errors.count
    )
}

fn percent(share: f64) -> String {
    format!("{:.3} %", 100.0 * share)
}

fn method(range: RangeMethod) -> String {
    match range {
        RangeMethod::MinMax => "min-max".to_owned(),
        RangeMethod::Percentile(percent) => format!("percentile {percent}"),
    }
}
