//! The scales of a quantised network, as a small JSON file beside its program.

use super::{QUANTISED_FILE, StoreError, load, read, replace, save};
use crate::graph::ImageExtent;
use crate::quantise::ranges::{Plan, Planned};
use crate::quantise::{LayerReport, Numbers, Quantised, RangeMethod, SampleErrors};
use poai_core::program::{Dim, Dtype, Form};
use std::path::Path;

/// The version of the file's form.
const VERSION: u32 = 1;
/// The most bytes of the file: names and figures of 2^16 layers.
const BYTES_MAX: u64 = 1 << 26;

/// The file. Unknown fields are refused, so that a later form is not misread.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Scales {
    version: u32,
    /// One sample's height, width and channels; rows are pixels.
    input: [usize; 3],
    input_scale: f64,
    output_scale: f64,
    /// The order of a sample's input and output entries, for readers.
    input_order: String,
    output_order: String,
    range: RangeMethod,
    numbers: Numbers,
    layers: Vec<LayerReport>,
    samples: SampleErrors,
    values: Vec<Planned>,
}

const INPUT_ORDER: &str = "row, column, channel";
const OUTPUT_ORDER: &str = "channel, row, column";

/// Writes a quantised network into a directory: its program, its constants and
/// its scales. It creates the directory if it is missing.
///
/// # Errors
/// [`StoreError`] if the directory cannot be written.
pub fn save_quantised(quantised: &Quantised, directory: &Path) -> Result<(), StoreError> {
    let ImageExtent { height, width, channels } = quantised.input;
    let scales = Scales {
        version: VERSION,
        input: [height, width, channels],
        input_scale: quantised.input_scale,
        output_scale: quantised.output_scale,
        input_order: INPUT_ORDER.to_owned(),
        output_order: OUTPUT_ORDER.to_owned(),
        range: quantised.range,
        numbers: quantised.numbers,
        layers: quantised.report.clone(),
        samples: quantised.samples,
        values: quantised.plan.values.clone(),
    };
    let path = directory.join(QUANTISED_FILE);
    let text = serde_json::to_string_pretty(&scales)
        .map_err(|source| StoreError::Scales { path, source })?;
    std::fs::create_dir_all(directory).map_err(super::io(directory))?;
    // The program goes last, so that a directory with a program is complete.
    replace(directory, QUANTISED_FILE, (text + "\n").as_bytes())?;
    save(&quantised.network, directory)
}

/// Reads a quantised network from a directory. It checks everything: the
/// constants against the program, and the scales against its input and values.
///
/// # Errors
/// [`StoreError`] names the file and the problem.
pub fn load_quantised(directory: &Path) -> Result<Quantised, StoreError> {
    let path = directory.join(QUANTISED_FILE);
    let bytes = read(&path, BYTES_MAX)?;
    let scales: Scales = serde_json::from_slice(&bytes)
        .map_err(|source| StoreError::Scales { path: path.clone(), source })?;
    let network = load(directory)?;
    let program = network.program();
    let wrong = |field, expected: String, got: String| {
        Err(StoreError::Field { path: path.clone(), field, expected, got })
    };
    if scales.version != VERSION {
        return wrong("version", VERSION.to_string(), scales.version.to_string());
    }
    let [height, width, channels] = scales.input;
    let input = ImageExtent { height, width, channels };
    let sizes = [input.rows(), channels].map(|size| u32::try_from(size).ok());
    let form = match sizes {
        [Some(rows), Some(columns)] => Form::new(Dim::fixed(rows), Dim::fixed(columns), Dtype::I8),
        _ => return wrong("input", "sizes below 2^32".to_owned(), input.to_string()),
    };
    if program.inputs() != [form] {
        let expected: Vec<_> = program.inputs().iter().map(Form::to_string).collect();
        return wrong("input", expected.join(" and "), form.to_string());
    }
    let orders = [("input_order", INPUT_ORDER), ("output_order", OUTPUT_ORDER)];
    let found = [scales.input_order, scales.output_order];
    for ((field, expected), got) in orders.into_iter().zip(found) {
        if got != expected {
            return wrong(field, expected.to_owned(), got);
        }
    }
    let layers = scales.layers.len();
    if scales.values.len() != layers + 1 || layers == 0 {
        let got = scales.values.len().to_string();
        return wrong("values", format!("one more than {layers} layers"), got);
    }
    let all = scales.values.iter().map(|value| ("values", value.scale));
    let ends = [("input_scale", scales.input_scale), ("output_scale", scales.output_scale)];
    for (field, scale) in all.chain(ends) {
        if !(scale.is_finite() && scale > 0.0) {
            return wrong(field, "a positive finite scale".to_owned(), scale.to_string());
        }
    }
    let ends = (scales.values[0].scale, scales.values[layers].scale);
    if ends != (scales.input_scale, scales.output_scale) {
        let expected = format!("{} and {}", scales.input_scale, scales.output_scale);
        return wrong("values", expected, format!("{} and {}", ends.0, ends.1));
    }
    if let Some(value) = scales.values.iter().find(|value| value.value >= program.values() as u32) {
        return wrong(
            "values",
            format!("values below {}", program.values()),
            value.value.to_string(),
        );
    }
    Ok(Quantised {
        report: scales.layers,
        samples: scales.samples,
        input,
        input_scale: scales.input_scale,
        output_scale: scales.output_scale,
        range: scales.range,
        numbers: scales.numbers,
        plan: Plan { values: scales.values },
        network,
    })
}
