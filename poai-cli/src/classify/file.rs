//! `poai classify FILE`: the classes of samples by a network of the user.

use crate::backend::BackendArgs;
use crate::failure::Failure;
use crate::fidelity;
use crate::network::{self, DataArgs, Subject};
use crate::terminal;
use poai::import::quantise::{Numbers, QuantiseOptions};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// The number of samples that are printed as text.
const SAMPLES: usize = 10;

/// The source of the network.
pub enum From<'a> {
    /// An ONNX file.
    Onnx(&'a Path),
    /// A stored network with its scales.
    Folder(&'a Path),
}

/// Classifies the input's samples, and prints class and output of each.
pub fn run(
    from: &From<'_>,
    data: &DataArgs,
    options: &QuantiseOptions,
    backend: &BackendArgs,
    as_json: bool,
) -> Result<(), Failure> {
    let backend = backend.device()?;
    let subject = match from {
        From::Onnx(path) => network::from_onnx(path, data, options, None)?,
        From::Folder(path) => network::stored(path, data, Numbers::Fitted, None)?,
    };
    let Subject { name, network, run, inputs, quantised: Some(scaled) } = subject else {
        return Err(Failure::usage(
            "expected a quantised network, got a product; name an ONNX file",
        ));
    };
    let fidelity = &scaled.fidelity;
    let program_id = network.program().program_id();
    let session = Arc::unwrap_or_clone(network).on(backend)?;
    let output = session.run((run, inputs))?.output;
    let Some(columns) = fidelity.classes() else {
        return Err(Failure::usage(format!(
            "{name}: expected a network of two classes or more, got an output of shape {}; use \
             poai run",
            scaled.quantised.output
        )));
    };
    let floats = fidelity.floats(&output);
    let entries = output.entries();
    let classes: Vec<usize> = entries.chunks(columns).map(fidelity::largest).collect();
    if as_json {
        let rows: Vec<&[f32]> = floats.chunks(columns).collect();
        let object = json!({
            "model": name,
            "program_id": program_id,
            "backend": session.device().name(),
            "batch": run.batch,
            "first_sample": data.image,
            "classes": classes,
            "output": entries,
            "output_floats": rows,
        });
        let mut object: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
        object.extend(fidelity.json());
        return terminal::print(&(Value::Object(object).to_string() + "\n"));
    }
    let mut text = format!("{name}: {} classes\nprogram id  {program_id}\n", columns);
    for (index, (class, row)) in classes.iter().zip(floats.chunks(columns)).enumerate() {
        if index == SAMPLES {
            text += &format!("and {} samples more\n", classes.len() - SAMPLES);
            break;
        }
        let row = fidelity::row(row);
        text += &format!("sample {:<4} class {class}: {row}\n", data.image + index);
    }
    terminal::print(&(text + &fidelity.text()))
}
