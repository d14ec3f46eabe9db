//! The work of a run: a network and its inputs.

use crate::failure::Failure;
use crate::network::{Scaled, Subject};
use crate::{files, terminal};
use poai::execute::{Network, Tensor};
use poai::import::store;
use poai::program::{Form, RunShape};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network and its inputs.
pub struct Work {
    /// The name of the model, or of its file or folder.
    pub name: String,
    /// The network.
    pub network: Network,
    /// The run.
    pub shape: RunShape,
    /// The inputs, one for each of the program's.
    pub inputs: Vec<Tensor>,
    /// The scales of a quantised network.
    pub quantised: Option<Scaled>,
}

impl From<Subject> for Work {
    fn from(subject: Subject) -> Work {
        Work {
            name: subject.name,
            network: Arc::unwrap_or_clone(subject.network),
            shape: subject.run,
            inputs: subject.inputs,
            quantised: subject.quantised,
        }
    }
}

impl Work {
    /// A stored network, with its inputs as files of integers. The batch follows
    /// from the rows of the first input.
    pub fn stored(folder: &Path, files: &[PathBuf], sequence: u32) -> Result<Work, Failure> {
        if folder.is_file() {
            return Err(Failure::in_file(folder)(
                &"expected the folder of a stored program, got a file; name an ONNX file without \
                  --stored",
            ));
        }
        let network = store::load(folder)?;
        let forms = network.program().inputs();
        if forms.len() != files.len() {
            return Err(Failure::usage(format!(
                "expected {} inputs of the program, got {}; name each with --input",
                forms.len(),
                files.len()
            )));
        }
        let inputs = forms.iter().zip(files).map(|(form, path)| integers(path, form));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let rows = inputs[0].extent().rows;
        let one = RunShape::new(1, sequence);
        let each = forms[0].rows.of(&one).filter(|each| rows.is_multiple_of(*each));
        let batch = each.map(|each| rows / each).ok_or_else(|| {
            let why = format!(
                "expected rows of whole items ({}), got {rows} rows; add or remove rows",
                forms[0]
            );
            Failure::in_file(&files[0])(&why)
        })?;
        let shape = RunShape::new(batch, sequence);
        let name = folder.display().to_string();
        Ok(Work { name, network, shape, inputs, quantised: None })
    }
}

/// Rows of integers separated by commas.
fn integers(path: &Path, form: &Form) -> Result<Tensor, Failure> {
    let bytes = files::read(path, files::FILE_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let (mut entries, mut rows, mut columns) = (vec![], 0, 0);
    for (index, line) in text.lines().enumerate() {
        let before = entries.len();
        for field in line.split(',') {
            entries.push(field.trim().parse::<i32>().map_err(|_| {
                let (line, field) = (index + 1, terminal::quoted(field));
                let why = format!(
                    "line {line}: expected integers separated by commas, got {field}; write the \
                     quantised integers, or run floats with --quantised"
                );
                Failure::in_file(path)(&why)
            })?);
        }
        rows += 1;
        let got = entries.len() - before;
        if rows == 1 {
            columns = got;
        } else if got != columns {
            let why = format!(
                "line {rows}: expected {columns} integers as in line 1, got {got}; correct the line"
            );
            return Err(Failure::in_file(path)(&why));
        }
    }
    Tensor::new(rows, columns, form.dtype, &entries).map_err(|why| Failure::in_file(path)(&why))
}

/// A tensor as rows of integers separated by commas.
pub fn csv(tensor: &Tensor) -> String {
    let columns = tensor.extent().columns.max(1) as usize;
    let entries = tensor.entries();
    let rows = entries.chunks(columns).map(|row| {
        let fields: Vec<_> = row.iter().map(i32::to_string).collect();
        fields.join(",") + "\n"
    });
    rows.collect()
}
