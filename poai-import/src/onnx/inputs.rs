//! The inputs of a network: their shapes, with symbolic dimensions fixed.

use super::error::OnnxError;
use super::tensor::Number;
use crate::graph::{Graph, Kind, ValueShape};
use rten_onnx::onnx::{GraphProto, ValueInfoProto};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The most dimensions of an input.
const RANK_MAX: usize = 8;

/// An input as the file declares it.
#[derive(Clone)]
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    pub(super) shape: ValueShape,
    pub(super) number: Number,
    /// The axis that the reader takes for the batch and reads with size 1, and
    /// its symbol.
    pub(super) batch: Option<(usize, String)>,
}

/// A dimension: its size, or the name of a symbol.
enum Dim {
    Fixed(usize),
    Symbol(String),
}

/// The inputs that are not initialisers.
pub(super) fn inputs<'a>(
    graph: &'a GraphProto,
    fixed: &BTreeMap<String, usize>,
) -> Result<Vec<Declared<'a>>, OnnxError> {
    // Old files list their initialisers among the inputs.
    let stored: HashSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
    let infos = graph.input.iter().filter(|info| !stored.contains(&info.name));
    let mut declared = vec![];
    for info in infos {
        declared.push((info, number(info)?, dims(info)?));
    }
    if declared.is_empty() {
        return Err(OnnxError::NoInput);
    }
    let symbols: BTreeSet<String> = declared
        .iter()
        .flat_map(|(_, _, dims)| dims)
        .filter_map(|dim| if let Dim::Symbol(name) = dim { Some(name.clone()) } else { None })
        .collect();
    if let Some(unknown) = fixed.keys().find(|name| !symbols.contains(*name)) {
        let known = symbols.iter().cloned().collect::<Vec<_>>().join(", ");
        let known = match known.is_empty() {
            true => "leave it out, because the file fixes all dimensions".to_owned(),
            false => format!("choose one of {known}"),
        };
        return Err(OnnxError::Dimension(unknown.clone(), known));
    }
    let named_batch = symbols.iter().any(|name| is_batch(name));
    let mut inputs = vec![];
    for (info, number, dims) in declared {
        let name = info.name.as_deref().unwrap_or_default();
        let mut sizes = vec![];
        let mut open = vec![];
        let mut batch = None;
        let rank = dims.len();
        for (axis, dim) in dims.into_iter().enumerate() {
            match dim {
                Dim::Fixed(size) => sizes.push(size),
                Dim::Symbol(symbol) => match fixed.get(&symbol) {
                    Some(&size) => sizes.push(size),
                    // The first dimension is the batch, unless another is
                    // called so.
                    None if batch.is_none()
                        && (is_batch(&symbol)
                            || (axis == 0
                                && !named_batch
                                && rank > 1
                                && !is_sequence(&symbol))) =>
                    {
                        sizes.push(1);
                        batch = Some((axis, symbol));
                    }
                    None if open.contains(&symbol) => {}
                    None => open.push(symbol),
                },
            }
        }
        if !open.is_empty() {
            return Err(OnnxError::Symbolic { name: name.to_owned(), symbols: open });
        }
        let shape = ValueShape(sizes);
        if shape.entries() == 0 || shape.entries() > crate::graph::MAX_ENTRIES {
            let (name, got) = (name.to_owned(), shape.to_string());
            return Err(OnnxError::InputShape { name, got });
        }
        inputs.push(Declared { name, shape, number, batch });
    }
    Ok(inputs)
}

/// Whether a symbol is called as exporters call the batch.
fn is_batch(symbol: &str) -> bool {
    let symbol = symbol.to_ascii_lowercase();
    symbol.contains("batch") || matches!(symbol.as_str(), "n" | "b" | "bs")
}

/// Whether a symbol is called as exporters call the steps of a sequence, which
/// are no samples of a batch.
fn is_sequence(symbol: &str) -> bool {
    let symbol = symbol.to_ascii_lowercase();
    let contained = ["seq", "time", "token", "length", "steps", "frames"];
    contained.iter().any(|part| symbol.contains(part))
        || matches!(symbol.as_str(), "t" | "l" | "s" | "len")
}

fn number(info: &ValueInfoProto) -> Result<Number, OnnxError> {
    let name = info.name.clone().unwrap_or_default();
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let kind = tensor.and_then(|tensor| tensor.elem_type).unwrap_or(super::tensor::NO_TYPE);
    Number::of(kind).ok_or_else(|| {
        let got = match kind {
            super::tensor::NO_TYPE => "no tensor".to_owned(),
            kind => kind.to_string(),
        };
        OnnxError::InputType { name, got }
    })
}

fn dims(info: &ValueInfoProto) -> Result<Vec<Dim>, OnnxError> {
    let name = info.name.clone().unwrap_or_default();
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let wrong = |got: String| OnnxError::InputShape { name: name.clone(), got };
    let dims = &shape.ok_or_else(|| wrong("no shape".to_owned()))?.dim;
    if dims.is_empty() || dims.len() > RANK_MAX {
        return Err(wrong(format!("{} dimensions", dims.len())));
    }
    let of = |(axis, dim): (usize, &rten_onnx::onnx::Dimension)| match dim.dim_value {
        Some(size) if size > 0 => usize::try_from(size)
            .map(Dim::Fixed)
            .map_err(|_| wrong(format!("a dimension of {size}"))),
        // Some exporters write an unknown size as 0 or −1.
        _ => {
            let symbol = dim.dim_param.clone().filter(|symbol| !symbol.is_empty());
            Ok(Dim::Symbol(symbol.unwrap_or_else(|| format!("{name}.{axis}"))))
        }
    };
    dims.iter().enumerate().map(of).collect()
}

/// The same inputs with a batch of 1, if the file fixes a larger one.
pub(super) fn single<'a>(inputs: &[Declared<'a>]) -> Option<Vec<Declared<'a>>> {
    let batch = inputs.first()?.shape.0.first().copied()?;
    let shared =
        inputs.iter().all(|input| input.shape.rank() > 1 && input.shape.0.first() == Some(&batch));
    (batch > 1 && shared).then(|| {
        let mut inputs = inputs.to_vec();
        for input in &mut inputs {
            input.shape.0[0] = 1;
            input.batch = Some((0, String::new()));
        }
        inputs
    })
}

/// Notes which inputs are images with their channels last: those that the file
/// transposes before anything else.
pub(super) fn order(mut graph: Graph) -> Graph {
    for layer in &graph.layers {
        let Kind::Transpose { permutation } = &layer.kind else { continue };
        let last = permutation.as_slice() == [0, 3, 1, 2];
        if let Some(&input) = layer.inputs.first()
            && let Some(input) = graph.inputs.get_mut(input)
        {
            input.channels_last |= last;
        }
    }
    graph
}

/// Leaves out the inputs that no layer reads: a program reads all of its own.
pub(super) fn read_ones(mut graph: Graph) -> Graph {
    let inputs = graph.inputs.len();
    let mut read = vec![false; inputs];
    let values = graph.layers.iter().flat_map(|layer| &layer.inputs);
    values.filter(|&&value| value < inputs).for_each(|&value| read[value] = true);
    // The new index of each input, and of the first layer.
    let before = |value: usize| read[..value.min(inputs)].iter().filter(|read| **read).count();
    for value in graph.layers.iter_mut().flat_map(|layer| &mut layer.inputs) {
        *value = before(*value) + value.saturating_sub(inputs);
    }
    let mut own = read.iter();
    graph.inputs.retain(|_| own.next() == Some(&true));
    graph
}
