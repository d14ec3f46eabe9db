//! Operators. Each is read into a layer, folded into one, or passed through.

use super::build::{Builder, Value};
use super::error::{OnnxError, OnnxTensorError};
use super::node::Node;
use super::tensor::{self, Constant, Floats};
use crate::graph::{ImageExtent, Kind};
use ndarray::{Array2, Axis};

const SLIDING: [&str; 5] = ["auto_pad", "dilations", "kernel_shape", "pads", "strides"];

/// Reads one node.
pub(super) fn read<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    match node.operator() {
        "Gemm" => gemm(builder, node),
        "MatMul" => mat_mul(builder, node),
        "Add" => add(builder, node),
        "Conv" => conv(builder, node),
        "BatchNormalization" => batch_normalization(builder, node),
        "MaxPool" | "AveragePool" => pool(builder, node),
        "Flatten" => flatten(builder, node),
        "Reshape" => reshape(builder, node),
        "Constant" => constant(builder, node),
        "Relu" => {
            node.only(&[])?;
            let value = builder.value(node, 0)?;
            builder.push(node, Kind::Relu, &[value], value.flat, value.flattened)
        }
        "GlobalAveragePool" => {
            node.only(&[])?;
            let value = image(builder, node)?;
            builder.push(node, Kind::GlobalAveragePool, &[value], false, None)
        }
        "Identity" | "Dropout" => {
            node.only(&["ratio", "seed"])?;
            match builder.constant(node.input(0)?) {
                Some(constant) => builder.keep(node, constant),
                None => builder.value(node, 0).and_then(|value| builder.alias(node, value)),
            }
        }
        _ => Err(node.unsupported("")),
    }
}

/// The first input, which must be an image.
fn image(builder: &Builder<'_>, node: &Node<'_>) -> Result<Value, OnnxError> {
    let value = builder.value(node, 0)?;
    if value.flat {
        Err(node.unsupported("its input is not an image N×C×H×W"))
    } else {
        Ok(value)
    }
}

/// The first input, which must be a vector.
fn vector(builder: &Builder<'_>, node: &Node<'_>) -> Result<Value, OnnxError> {
    let value = builder.value(node, 0)?;
    if value.flat { Ok(value) } else { Err(node.unsupported("its input is not a vector N×F")) }
}

/// A constant matrix, transposed to outputs × inputs if `turn`, row-major.
fn matrix(builder: &mut Builder<'_>, name: &str, turn: bool) -> Result<Array2<f32>, OnnxError> {
    let floats = builder.floats(name)?;
    let wrong = floats.unexpected(name, "of a matrix");
    let &[rows, columns] = floats.dims.as_slice() else { return Err(wrong) };
    let matrix = Array2::from_shape_vec((rows, columns), floats.entries).map_err(|_| wrong)?;
    Ok(if turn { matrix.reversed_axes().as_standard_layout().into_owned() } else { matrix })
}

/// Adds a Gemm layer, with its columns in the order of the value that it reads.
fn push_gemm<'a>(
    builder: &mut Builder<'a>,
    node: &Node<'a>,
    value: Value,
    weights: Array2<f32>,
    bias: Vec<f32>,
) -> Result<(), OnnxError> {
    let weights = match value.flattened {
        Some(ImageExtent { height, width, channels })
            if weights.ncols() == value.extent.channels =>
        {
            let order = |column: usize| {
                let (pixel, channel) = (column / channels, column % channels);
                channel * height * width + pixel
            };
            let order: Vec<usize> = (0..weights.ncols()).map(order).collect();
            weights.select(Axis(1), &order).as_standard_layout().into_owned()
        }
        // If the number of columns is wrong, `push` reports it.
        _ => weights,
    };
    builder.push(node, Kind::Gemm { weights, bias }, &[value], true, None)
}

fn gemm<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&["alpha", "beta", "transA", "transB"])?;
    node.fixed("transA", 0)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let turned = match node.integer("transB", 0) {
        0 => true,
        1 => false,
        _ => return Err(node.attribute("transB")),
    };
    let value = vector(builder, node)?;
    let mut weights = matrix(builder, node.input(1)?, turned)?;
    weights.mapv_inplace(|weight| weight * alpha);
    tensor::finite(&node.name, weights.as_slice().unwrap_or_default())?;
    let outputs = weights.nrows();
    let mut bias = match node.optional(2) {
        Some(name) => {
            let floats = builder.floats(name)?;
            spread(&floats, outputs, 2, 0)
                .ok_or_else(|| floats.unexpected(name, "of one row, as long as the outputs"))?
        }
        None => vec![0.0; outputs],
    };
    bias.iter_mut().for_each(|bias| *bias *= beta);
    tensor::finite(&node.name, &bias)?;
    push_gemm(builder, node, value, weights, bias)
}

/// Expands a tensor to one entry per channel, if it broadcasts over an
/// activation of `rank` dimensions with `after` dimensions behind the channels.
fn spread(floats: &Floats, channels: usize, rank: usize, after: usize) -> Option<Vec<f32>> {
    let Floats { dims, entries } = floats;
    if dims.len() > rank {
        return None;
    }
    if let [only] = entries.as_slice() {
        return Some(vec![*only; channels]);
    }
    // From the last dimension: ones over the pixels, then the channels, then
    // ones.
    let behind = |(place, &dim): (usize, &usize)| dim == if place == after { channels } else { 1 };
    let fits = entries.len() == channels && dims.iter().rev().enumerate().all(behind);
    fits.then(|| entries.clone())
}

fn mat_mul<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&[])?;
    let value = vector(builder, node)?;
    let weights = matrix(builder, node.input(1)?, true)?;
    let bias = vec![0.0; weights.nrows()];
    push_gemm(builder, node, value, weights, bias)
}

fn add<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&[])?;
    let (first, second) = (node.input(0)?, node.input(1)?);
    let (value, name) = match (builder.constant(first), builder.constant(second)) {
        (None, Some(_)) => (builder.value(node, 0)?, second),
        (Some(_), None) => (builder.value(node, 1)?, first),
        (Some(_), Some(_)) => return Err(node.unsupported("both inputs are constants")),
        (None, None) => {
            let (a, b) = (builder.value(node, 0)?, builder.value(node, 1)?);
            if (a.flat, a.flattened) != (b.flat, b.flattened) {
                return Err(node.unsupported("its inputs have different entry orders"));
            }
            return builder.push(node, Kind::Add, &[a, b], a.flat, a.flattened);
        }
    };
    let (rank, after) = if value.flat { (2, 0) } else { (4, 2) };
    let floats = builder.floats(name)?;
    let addend = spread(&floats, value.extent.channels, rank, after)
        .ok_or_else(|| floats.unexpected(name, "of a bias, one entry a channel"))?;
    let folded = builder.fold(node, value, |_, bias| {
        bias.iter_mut().zip(&addend).for_each(|(bias, addend)| *bias += addend);
    })?;
    folded.ok_or_else(|| node.unsupported("no unread layer with weights precedes it"))
}

fn conv<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    let [a, b, c, d, e] = SLIDING;
    node.only(&[a, b, c, d, e, "group"])?;
    node.fixed("group", 1)?;
    let value = image(builder, node)?;
    let name = node.input(1)?;
    let floats = builder.floats(name)?;
    let &[outputs, channels, height, width] = floats.dims.as_slice() else {
        return Err(floats.unexpected(name, "of outputs × channels × height × width"));
    };
    // Checked before any product of these sizes: the data filled the
    // dimensions.
    let window = node.window(value.extent, Some([height, width]))?;
    let weights =
        Array2::from_shape_fn((outputs, height * width * channels), |(output, column)| {
            let (pixel, channel) = (column / channels, column % channels);
            floats.entries[(output * channels + channel) * height * width + pixel]
        });
    let bias = match node.optional(2) {
        Some(name) => {
            let floats = builder.floats(name)?;
            if floats.dims != [outputs] {
                return Err(floats.unexpected(name, "of one entry an output"));
            }
            floats.entries
        }
        None => vec![0.0; outputs],
    };
    builder.push(node, Kind::Conv { weights, bias, window }, &[value], false, None)
}

fn batch_normalization<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&["epsilon", "momentum", "spatial", "training_mode"])?;
    node.fixed("spatial", 1)?;
    node.fixed("training_mode", 0)?;
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    let value = builder.value(node, 0)?;
    let mut parameter = |index| {
        let name = node.input(index)?;
        let floats = builder.floats(name)?;
        match floats.dims == [value.extent.channels] {
            true => Ok(floats.entries),
            false => Err(floats.unexpected(name, "of one entry a channel")),
        }
    };
    let (scale, shift) = (parameter(1)?, parameter(2)?);
    let (mean, variance) = (parameter(3)?, parameter(4)?);
    let folded = builder.fold(node, value, |weights, bias| {
        // Computed in f64, so that folding rounds once.
        for (channel, mut weights) in weights.outer_iter_mut().enumerate() {
            let by = f64::from(scale[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
            weights.mapv_inplace(|weight| (f64::from(weight) * by) as f32);
            let centred = f64::from(bias[channel]) - f64::from(mean[channel]);
            bias[channel] = (centred * by + f64::from(shift[channel])) as f32;
        }
    })?;
    folded.ok_or_else(|| node.unsupported("no unread layer with weights precedes it"))
}

fn pool<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    let average = node.operator() == "AveragePool";
    let [a, b, c, d, e] = SLIDING;
    let own = if average { "count_include_pad" } else { "storage_order" };
    node.only(&[a, b, c, d, e, "ceil_mode", own])?;
    node.fixed("ceil_mode", 0)?;
    let value = image(builder, node)?;
    let window = node.window(value.extent, None)?;
    let kind = if average {
        let count_include_pad = node.integer("count_include_pad", 0) != 0;
        Kind::AveragePool { window, count_include_pad }
    } else {
        Kind::MaxPool { window }
    };
    builder.push(node, kind, &[value], false, None)
}

/// Makes a vector of the value. A flat value stays as it is.
fn push_flatten<'a>(
    builder: &mut Builder<'a>,
    node: &Node<'a>,
    value: Value,
) -> Result<(), OnnxError> {
    if value.flat {
        return builder.alias(node, value);
    }
    // With one pixel or one channel, both orders are the same.
    let same = value.extent.rows() == 1 || value.extent.channels == 1;
    let flattened = (!same).then_some(value.extent);
    builder.push(node, Kind::Flatten, &[value], true, flattened)
}

fn flatten<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&["axis"])?;
    let value = builder.value(node, 0)?;
    let rank = if value.flat { 2 } else { 4 };
    let axis = node.integer("axis", 1);
    if axis != 1 && axis != 1 - rank {
        return Err(node.attribute("axis"));
    }
    push_flatten(builder, node, value)
}

fn reshape<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&["allowzero"])?;
    let value = builder.value(node, 0)?;
    let name = node.input(1)?;
    let missing = || tensor::failed(name, OnnxTensorError::Missing);
    // Reads one dimension more than is used, so that a longer list is
    // recognised.
    let to = tensor::integers(name, builder.constant(name).ok_or_else(missing)?, 5)?;
    let ImageExtent { height, width, channels } = value.extent;
    let is = |dim: i64, size: usize| usize::try_from(dim) == Ok(size);
    // Zero keeps the dimension at that place, unless the node's `allowzero` is
    // set.
    let keeps = node.integer("allowzero", 0) == 0;
    let first = |dim: i64| (dim == 0 && keeps) || builder.batch.is_some_and(|batch| is(dim, batch));
    let kept = |dim: i64, size: usize| (dim == 0 && keeps) || is(dim, size);
    match *to.as_slice() {
        [n, -1] if first(n) => push_flatten(builder, node, value),
        [n, f] if (first(n) || n == -1) && is(f, value.extent.entries()) => {
            push_flatten(builder, node, value)
        }
        [n, c, h, w]
            if !value.flat
                && (first(n) || n == -1)
                && kept(c, channels)
                && kept(h, height)
                && kept(w, width) =>
        {
            builder.alias(node, value)
        }
        _ => Err(node.unsupported("it neither flattens N×C×H×W to N×F nor keeps its input")),
    }
}

fn constant<'a>(builder: &mut Builder<'a>, node: &Node<'a>) -> Result<(), OnnxError> {
    node.only(&["value", "value_ints"])?;
    match (node.tensor("value"), node.integers("value_ints")) {
        (Some(tensor), None) => builder.keep(node, Constant::Tensor(tensor)),
        (None, Some(list)) => builder.keep(node, Constant::Integers(list)),
        _ => Err(node.attribute("value")),
    }
}
