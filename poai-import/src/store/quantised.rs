//! The scales of a quantised network, as a small JSON file beside its program.

use super::{QUANTISED_FILE, StoreError, load, read, replace, save};
use crate::graph::ValueShape;
use crate::quantise::{
    LayerReport, Misfit, Numbers, Quantised, QuantisedInput, RangeMethod, SampleErrors,
};
use std::path::Path;

/// The version of the file's form.
const VERSION: u32 = 2;
/// The most bytes of the file: names and figures of 2^16 layers.
const BYTES_MAX: u64 = 1 << 26;

/// The file. Unknown fields are refused, so that a later form is not misread.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Scales {
    version: u32,
    /// Names, shapes and scales of the inputs.
    inputs: Vec<QuantisedInput>,
    /// The shape of one sample's output.
    output: ValueShape,
    output_scale: f64,
    /// What the file does with the output.
    tail: Option<String>,
    range: RangeMethod,
    numbers: Numbers,
    layers: Vec<LayerReport>,
    samples: SampleErrors,
}

/// The version alone, so that another form is refused by its name.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

/// Writes a quantised network into a directory: its program, its constants and
/// its scales. It creates the directory if it is missing.
///
/// # Errors
/// [`StoreError`] if the directory cannot be written.
pub fn save_quantised(quantised: &Quantised, directory: &Path) -> Result<(), StoreError> {
    let scales = Scales {
        version: VERSION,
        inputs: quantised.inputs.clone(),
        output: quantised.output.clone(),
        output_scale: quantised.output_scale,
        tail: quantised.tail.clone(),
        range: quantised.range,
        numbers: quantised.numbers,
        layers: quantised.report.clone(),
        samples: quantised.samples,
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
    let broken = |source| StoreError::Scales { path: path.clone(), source };
    let wrong = |field, expected: String, got: String| {
        Err(StoreError::Field { path: path.clone(), field, expected, got })
    };
    let Version { version } = serde_json::from_slice(&bytes).map_err(broken)?;
    if version != VERSION {
        return wrong("version", VERSION.to_string(), version.to_string());
    }
    let scales: Scales = serde_json::from_slice(&bytes).map_err(broken)?;
    let network = load(directory)?;
    let (program, scale) = (network.program(), scales.output_scale);
    if let Some(misfit) = Misfit::of(program, &scales.inputs, &scales.output, scale) {
        let Misfit { field, expected, got } = misfit;
        return wrong(field, expected, got);
    }
    Ok(Quantised {
        report: scales.layers,
        samples: scales.samples,
        inputs: scales.inputs,
        output: scales.output,
        output_scale: scales.output_scale,
        tail: scales.tail,
        range: scales.range,
        numbers: scales.numbers,
        values: vec![],
        levels: vec![],
        network,
    })
}
