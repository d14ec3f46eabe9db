//! The network in f32, written for readability. Quantisation is compared with
//! it.

mod reduce;
mod window;

use super::graph::{Graph, GraphConstant, GraphError, Kind, ValueShape, moves};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArcArray2, Array2, ArrayView2};
use poai_core::control::Control;
use rayon::prelude::*;

/// Runs the network on a batch and returns every value, the inputs first. Value
/// `i` is a matrix with one row per sample, whose entries are in row-major
/// order of the shape that [`Graph::shapes`] gives for `i`. Each row of
/// `samples` holds the entries of all inputs, one input after another.
///
/// Every value is kept, so memory grows with the batch times the size of all
/// values.
///
/// # Errors
/// [`GraphError`] if the network does not fit together, or if `samples` are not
/// samples of it.
pub fn run(graph: &Graph, samples: ArrayView2<'_, f32>) -> Result<Vec<Array2<f32>>, GraphError> {
    run_with(graph, samples, &Control::new())
}

/// As [`run`], with progress and cancellation. The unit of progress is a layer.
///
/// # Errors
/// As [`run`], or [`GraphError::Cancelled`].
pub fn run_with(
    graph: &Graph,
    samples: ArrayView2<'_, f32>,
    control: &Control,
) -> Result<Vec<Array2<f32>>, GraphError> {
    // The shapes are checked here, so every index and product below is in
    // range.
    let shapes = graph.shapes()?;
    let mut values = inputs(graph, samples)?;
    for (layer, to) in graph.layers.iter().zip(&shapes[graph.inputs.len()..]) {
        control.check()?;
        let mut value = Array2::zeros((samples.nrows(), to.entries()));
        let read: Vec<(&Array2<f32>, &ValueShape)> =
            layer.inputs.iter().map(|&input| (&values[input], &shapes[input])).collect();
        let rows = value.as_slice_mut().unwrap_or_default().par_chunks_exact_mut(to.entries());
        rows.enumerate().for_each(|(sample, out)| {
            let inputs: Vec<(&ValueShape, &[f32])> = read
                .iter()
                .map(|(value, shape)| {
                    let size = shape.entries();
                    let entries = value.as_slice().unwrap_or_default();
                    (*shape, &entries[sample * size..(sample + 1) * size])
                })
                .collect();
            compute(&layer.kind, &inputs, to, out);
        });
        drop(read);
        values.push(value);
        let done = values.len() - graph.inputs.len();
        control.report(done as u64, graph.layers.len() as u64);
    }
    Ok(values)
}

/// The value of each input.
pub(crate) fn inputs(
    graph: &Graph,
    samples: ArrayView2<'_, f32>,
) -> Result<Vec<Array2<f32>>, GraphError> {
    let (rows, columns) = samples.dim();
    let expected = graph.sample_entries();
    if columns != expected || rows == 0 {
        return Err(GraphError::Input { expected, rows, columns });
    }
    let mut first = 0;
    let mut values = vec![];
    for input in &graph.inputs {
        let size = input.shape.entries();
        let own = samples.slice(ndarray::s![.., first..first + size]);
        first += size;
        if let Some(ids) = input.ids {
            let whole = |&id: &f32| id >= 0.0 && id.fract() == 0.0 && (id as usize) < ids;
            if let Some(value) = own.iter().find(|id| !whole(id)) {
                return Err(GraphError::Id {
                    input: input.name.clone(),
                    max: ids.saturating_sub(1),
                    value: value.to_string(),
                });
            }
        }
        if let Some([least, most]) = input.whole {
            let (low, high) = (least as f64, most as f64);
            let inside = |&x: &f32| x.fract() == 0.0 && (low..=high).contains(&f64::from(x));
            if let Some(value) = own.iter().find(|x| !inside(x)) {
                let (input, value) = (input.name.clone(), value.to_string());
                return Err(GraphError::Whole { input, least, most, value });
            }
        }
        values.push(own.as_standard_layout().into_owned());
    }
    Ok(values)
}

/// One sample's value of a layer. The shapes fit.
pub(crate) fn compute(
    kind: &Kind,
    inputs: &[(&ValueShape, &[f32])],
    to: &ValueShape,
    out: &mut [f32],
) {
    let Some(&(shape, x)) = inputs.first() else { return };
    let second = inputs.get(1).map_or(&[][..], |input| input.1);
    match kind {
        Kind::Linear { weights, bias } => affine(matrix(x, shape.last()), weights, bias, out),
        Kind::Conv { weights, bias, window, groups } => {
            let convolution = window::Convolution { weights, bias, window, groups: *groups };
            window::convolve(&convolution, (shape, x), to, out);
        }
        Kind::Scale { by } => with(by, shape, x, out, |x, by| x * by),
        Kind::Offset { by } => with(by, shape, x, out, |x, by| x + by),
        Kind::Pointwise(function) if function.is_relu() => {
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = x.max(0.0));
        }
        Kind::Pointwise(function) => {
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = function.at(x.into()) as f32);
        }
        Kind::Add { factors: [f0, f1] } => {
            let pairs = out.iter_mut().zip(x.iter().zip(second));
            pairs.for_each(|(out, (&a, &b))| *out = a * f0 + b * f1);
        }
        Kind::Mul => {
            let pairs = out.iter_mut().zip(x.iter().zip(second));
            pairs.for_each(|(out, (&a, &b))| *out = a * b);
        }
        Kind::MatMul => {
            let k = shape.last();
            let n = to.last();
            let m = to.entries() / n.max(1) / (second.len() / (k * n).max(1)).max(1);
            let blocks = x.chunks_exact(m * k).zip(second.chunks_exact(k * n));
            for ((a, b), out) in blocks.zip(out.chunks_exact_mut(m * n)) {
                product(matrix(a, k), matrix(b, n), out);
            }
        }
        Kind::MaxPool { window } => window::pool(x, shape, window, to, out, |entries| {
            entries.fold(f32::NEG_INFINITY, f32::max)
        }),
        Kind::AveragePool { window } => window::pool(x, shape, window, to, out, |entries| {
            let (sum, count) = entries.fold((0.0, 0), |(sum, n), entry| (sum + entry, n + 1));
            sum / count.max(1) as f32
        }),
        Kind::Reduce { axes, how } => reduce::reduce(x, shape, axes, *how, out),
        Kind::Softmax => reduce::softmax(x, shape.last(), out),
        Kind::Normalise { centre, epsilon, gamma, beta } => {
            reduce::normalise(x, *centre, *epsilon, gamma, beta, out);
        }
        Kind::Lookup { table } => {
            for (&id, out) in x.iter().zip(out.chunks_exact_mut(table.ncols().max(1))) {
                // Ids were checked when the input was read.
                let row = (id as usize).min(table.nrows().saturating_sub(1));
                out.iter_mut().zip(table.row(row)).for_each(|(out, &entry)| *out = entry);
            }
        }
        Kind::Reshape { .. } => out.copy_from_slice(x),
        Kind::Transpose { permutation } => {
            out.copy_from_slice(&moves::transpose(shape, permutation, x));
        }
        Kind::Take { axis, indices } => {
            out.copy_from_slice(&moves::take(shape, *axis, indices, 0.0, x));
        }
        Kind::Concat { axis } => out.copy_from_slice(&moves::concat(inputs, *axis)),
    }
}

fn with(
    by: &GraphConstant,
    shape: &ValueShape,
    x: &[f32],
    out: &mut [f32],
    of: impl Fn(f32, f32) -> f32,
) {
    if let Some(by) = by.uniform() {
        return out.iter_mut().zip(x).for_each(|(out, &x)| *out = of(x, by));
    }
    let by = moves::broadcast(&by.shape, &shape.0, &by.entries);
    out.iter_mut().zip(x.iter().zip(&by)).for_each(|(out, (&x, &by))| *out = of(x, by));
}

/// Entries as rows of `columns`.
fn matrix(entries: &[f32], columns: usize) -> ArrayView2<'_, f32> {
    let columns = columns.max(1);
    let rows = entries.len() / columns;
    let whole = ArrayView2::from_shape((rows, columns), &entries[..rows * columns]);
    // The entries fill the rows.
    whole.unwrap_or_else(|_| ArrayView2::from(&[] as &[[f32; 0]]))
}

fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, out: &mut [f32]) {
    let shape = (a.nrows(), b.ncols());
    if let Ok(mut out) = ndarray::ArrayViewMut2::from_shape(shape, out) {
        general_mat_mul(1.0, &a, &b, 0.0, &mut out);
    }
}

/// `x·Wᵀ + b`, row-major.
fn affine(x: ArrayView2<'_, f32>, weights: &ArcArray2<f32>, bias: &[f32], out: &mut [f32]) {
    for row in out.chunks_exact_mut(bias.len().max(1)) {
        row.copy_from_slice(bias);
    }
    let shape = (x.nrows(), bias.len());
    if let Ok(mut out) = ndarray::ArrayViewMut2::from_shape(shape, out) {
        general_mat_mul(1.0, &x, &weights.t(), 1.0, &mut out);
    }
}
