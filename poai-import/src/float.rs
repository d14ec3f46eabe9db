//! The network in f32, written for readability. Quantisation is compared with
//! it.

use super::graph::{Graph, GraphError, ImageExtent, ImageWindow, Kind};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, s};
use poai_core::control::Control;
use std::ops::Range;

/// Runs the network on a batch and returns every value, with the input first.
/// Value `i` is a row-major matrix of (batch·height·width) × channels, with the
/// extent that [`Graph::shapes`] gives for `i`. `input` holds the samples one
/// after another, pixel by pixel.
///
/// Every value is kept, so memory grows with the batch times the size of all
/// values.
///
/// # Errors
/// [`GraphError`] if the network does not fit together, or if `input` is not a
/// whole positive number of samples.
pub fn run(graph: &Graph, input: ArrayView2<'_, f32>) -> Result<Vec<Array2<f32>>, GraphError> {
    run_with(graph, input, &Control::new())
}

/// As [`run`], with progress and cancellation. The unit of progress is a layer.
///
/// # Errors
/// As [`run`], or [`GraphError::Cancelled`].
pub fn run_with(
    graph: &Graph,
    input: ArrayView2<'_, f32>,
    control: &Control,
) -> Result<Vec<Array2<f32>>, GraphError> {
    // The shapes are checked here, so every index and product below is in
    // range.
    let shapes = graph.shapes()?;
    let (rows, columns) = input.dim();
    if columns != graph.input.channels || rows == 0 || !rows.is_multiple_of(graph.input.rows()) {
        return Err(GraphError::Input { input: graph.input, rows, columns });
    }
    let batch = rows / graph.input.rows();
    let mut values = vec![input.as_standard_layout().into_owned()];
    for (layer, &to) in graph.layers.iter().zip(&shapes[1..]) {
        control.check()?;
        let read = layer.inputs[0];
        let (x, from) = (&values[read], shapes[read]);
        let value = match &layer.kind {
            Kind::Gemm { weights, bias } => affine(x.view(), weights, bias),
            Kind::Conv { weights, bias, window } => convolve(x, weights, bias, window, from, to),
            Kind::Relu => x.mapv(|entry| entry.max(0.0)),
            Kind::MaxPool { window } => pool(x, batch, window, from, to, |entries| {
                entries.fold(f32::NEG_INFINITY, f32::max)
            }),
            Kind::AveragePool { window, count_include_pad } => {
                pool(x, batch, window, from, to, |entries| {
                    let (sum, count) =
                        entries.fold((0.0, 0), |(sum, n), entry| (sum + entry, n + 1));
                    sum / if *count_include_pad { window.area() } else { count } as f32
                })
            }
            Kind::GlobalAveragePool => {
                Array2::from_shape_fn((batch, to.channels), |(sample, channel)| {
                    let pixels = sample * from.rows()..(sample + 1) * from.rows();
                    x.slice(s![pixels, channel]).sum() / from.rows() as f32
                })
            }
            // The row-major rows of a sample's pixels already form one long
            // row.
            Kind::Flatten => Array2::from_shape_fn((batch, to.channels), |(sample, entry)| {
                let (pixel, channel) = (entry / from.channels, entry % from.channels);
                x[[sample * from.rows() + pixel, channel]]
            }),
            Kind::Add => x + &values[layer.inputs[1]],
        };
        values.push(value);
        control.report(values.len() as u64 - 1, graph.layers.len() as u64);
    }
    Ok(values)
}

/// `x·Wᵀ + b`, row-major.
fn affine(x: ArrayView2<'_, f32>, weights: &Array2<f32>, bias: &[f32]) -> Array2<f32> {
    let mut y = Array2::from_shape_fn((x.nrows(), bias.len()), |(_, output)| bias[output]);
    general_mat_mul(1.0, &x, &weights.t(), 1.0, &mut y);
    y
}

/// Works sample by sample, so that only one sample is unfolded at a time.
fn convolve(
    x: &Array2<f32>,
    weights: &Array2<f32>,
    bias: &[f32],
    window: &ImageWindow,
    from: ImageExtent,
    to: ImageExtent,
) -> Array2<f32> {
    let mut y = Array2::zeros((x.nrows() / from.rows() * to.rows(), to.channels));
    let samples = x.axis_chunks_iter(Axis(0), from.rows());
    for (sample, mut y) in samples.zip(y.axis_chunks_iter_mut(Axis(0), to.rows())) {
        y.assign(&affine(unfold(sample, window, from, to).view(), weights, bias));
    }
    y
}

/// One sample's rows under the kernel, one row per output pixel. Columns are in
/// (kernel row, kernel column, channel) order. Entries are zero where the
/// kernel extends beyond the image.
pub(crate) fn unfold(
    x: ArrayView2<'_, f32>,
    window: &ImageWindow,
    from: ImageExtent,
    to: ImageExtent,
) -> Array2<f32> {
    let mut rows = Array2::zeros((to.rows(), window.area() * from.channels));
    for (pixel, mut row) in rows.outer_iter_mut().enumerate() {
        let (ys, xs) = under(window, from, to, pixel);
        // The row and column within the kernel of the first pixel that it
        // covers.
        let down = window.pads[0].saturating_sub(pixel / to.width * window.stride[0]);
        let right = window.pads[1].saturating_sub(pixel % to.width * window.stride[1]);
        for (ky, y) in ys.enumerate() {
            for (kx, source) in xs.clone().enumerate() {
                let tap = (ky + down) * window.kernel[1] + kx + right;
                row.slice_mut(s![tap * from.channels..(tap + 1) * from.channels])
                    .assign(&x.row(y * from.width + source));
            }
        }
    }
    rows
}

/// Reduces the pixels under the window, channel by channel.
fn pool(
    x: &Array2<f32>,
    batch: usize,
    window: &ImageWindow,
    from: ImageExtent,
    to: ImageExtent,
    reduce: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) -> Array2<f32> {
    Array2::from_shape_fn((batch * to.rows(), to.channels), |(row, channel)| {
        let (ys, xs) = under(window, from, to, row % to.rows());
        let first = row / to.rows() * from.rows();
        let entry = |(y, source)| x[[first + y * from.width + source, channel]];
        reduce(&mut ys.flat_map(|y| xs.clone().map(move |source| (y, source))).map(entry))
    })
}

/// The image's rows and columns under the window of an output pixel.
fn under(
    window: &ImageWindow,
    from: ImageExtent,
    to: ImageExtent,
    pixel: usize,
) -> (Range<usize>, Range<usize>) {
    let range = |at: usize, axis: usize, size: usize| {
        let (start, pad) = (at * window.stride[axis], window.pads[axis]);
        let end = (start + window.kernel[axis]).saturating_sub(pad).min(size);
        start.saturating_sub(pad)..end
    };
    (range(pixel / to.width, 0, from.height), range(pixel % to.width, 1, from.width))
}
