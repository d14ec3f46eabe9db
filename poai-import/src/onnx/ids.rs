//! Functions of ids, such as which of them are padding.
//!
//! Ids are rows of a table and no numbers to compute with, so that a function
//! of one id becomes a table of its own: one number for each id.

use super::error::OnnxError;
use crate::graph::{Graph, GraphError, Kind, Layer, MAX_ENTRIES};
use ndarray::Array2;

/// The longest chain of moves and functions from an input of ids.
const LONGEST: usize = 64;

/// What a layer computes of the ids of an input.
struct Source {
    /// The value that is only moved.
    moved: usize,
    /// The number of ids.
    ids: usize,
    /// The functions, the last one first.
    functions: Vec<Kind>,
}

/// Makes tables of the functions of ids.
pub(super) fn tabulate(mut graph: Graph, limit: usize) -> Result<Graph, OnnxError> {
    if graph.inputs.iter().all(|input| input.ids.is_none()) {
        return Ok(graph);
    }
    let shapes = graph.shapes()?;
    let inputs = graph.inputs.len();
    let sources: Vec<Option<Source>> =
        (0..graph.layers.len()).map(|at| source(&graph, inputs + at)).collect();
    let mut entries = 0usize;
    // The value that stands for each value of the graph before.
    let mut places: Vec<usize> = (0..inputs).collect();
    let mut layers: Vec<Layer> = vec![];
    for (at, (mut layer, source)) in graph.layers.drain(..).zip(sources).enumerate() {
        match source {
            Some(Source { moved, ids, functions }) => {
                entries = entries.saturating_add(ids);
                if entries > limit.min(MAX_ENTRIES) {
                    return Err(GraphError::TooLarge { layer: layer.name }.into());
                }
                let of = |id: usize| {
                    let id = id as f64;
                    functions.iter().rev().fold(id, |x, function| number(function, x)) as f32
                };
                let table = Array2::from_shape_fn((ids, 1), |(id, _)| of(id));
                let (name, inputs_of) = (layer.name.clone(), vec![places[moved]]);
                layers.push(Layer { name, kind: Kind::Lookup { table }, inputs: inputs_of });
                let made = inputs + layers.len() - 1;
                let shape = shapes[inputs + at].0.clone();
                layers.push(Layer {
                    name: layer.name,
                    kind: Kind::Reshape { shape },
                    inputs: vec![made],
                });
            }
            None => {
                layer.inputs.iter_mut().for_each(|input| *input = places[*input]);
                layers.push(layer);
            }
        }
        places.push(inputs + layers.len() - 1);
    }
    graph.layers = layers;
    Ok(graph)
}

/// The ids that a layer computes a function of.
fn source(graph: &Graph, value: usize) -> Option<Source> {
    let is_function = |kind: &Kind| match kind {
        Kind::Pointwise(_) => true,
        Kind::Scale { by } | Kind::Offset { by } => by.uniform().is_some(),
        _ => false,
    };
    graph.layer(value).filter(|layer| is_function(&layer.kind))?;
    let (mut at, mut functions, mut moved) = (value, vec![], value);
    for _ in 0..LONGEST {
        if let Some(input) = graph.inputs.get(at) {
            let ids = input.ids?;
            return Some(Source { moved, ids, functions });
        }
        let layer = graph.layer(at)?;
        let input = *layer.inputs.first()?;
        let whole = layer.inputs.len() == 1;
        match &layer.kind {
            // A move between two functions: the first is a table already.
            kind if kind.is_move() && whole && functions.is_empty() => return None,
            kind if kind.is_move() && whole => {}
            kind if is_function(kind) && moved == at => {
                functions.push(kind.clone());
                moved = input;
            }
            _ => return None,
        }
        at = input;
    }
    None
}

/// A function of one number.
fn number(kind: &Kind, x: f64) -> f64 {
    match kind {
        Kind::Scale { by } => x * f64::from(by.uniform().unwrap_or(1.0)),
        Kind::Offset { by } => x + f64::from(by.uniform().unwrap_or(0.0)),
        Kind::Pointwise(function) => function.at(x),
        _ => x,
    }
}
