//! Whether nodes keep the samples of a batch apart.
//!
//! A file that fixes a batch of several samples is read as a network of one
//! sample if each node treats the first axis as the batch. What is not known to
//! do so makes the reader take all of the batch as one sample, which is right
//! for every network.

use super::builder::{Builder, Operand};
use super::error::OnnxError;
use super::node::Node;
use crate::graph::ValueShape;

/// Whether a node that was read with a batch of 1 would do the same to each
/// sample of a larger batch.
pub(super) fn keeps_samples<'a>(
    builder: &mut Builder<'a>,
    node: &Node<'a>,
) -> Result<bool, OnnxError> {
    let mut values: Vec<ValueShape> = vec![];
    let mut first = false;
    for index in 0..node.inputs() {
        let Some(operand) = builder.optional(node, index)? else { continue };
        if !matches!(operand, Operand::Known(_)) {
            first |= index == 0;
            values.push(builder.shape(&operand));
        }
    }
    // What no input decides is the same for each sample.
    let Some(x) = values.first() else { return Ok(true) };
    for output in node.outputs().iter().filter(|output| !output.is_empty()) {
        match builder.named(&node.name, output)? {
            // The sizes of a value, which name the batch.
            Operand::Known(_) => return Ok(false),
            Operand::Value(value) => {
                let made = builder.shape(&Operand::Value(value));
                if made.0.first() != Some(&1) {
                    return Ok(false);
                }
            }
            Operand::Class { .. } => {}
        }
    }
    let rank = x.rank();
    if x.0.first() != Some(&1) || values.iter().any(|other| other.rank() != rank) {
        return Ok(false);
    }
    // Whether an axis, counted from the end if it is negative, is the batch.
    let is_batch = |axis: i64| axis == 0 || axis == -(rank as i64);
    let attribute = |name: &str, default: i64| !is_batch(node.integer(name, default));
    let operator = node.operator();
    let operator = operator.strip_prefix("com.microsoft.").unwrap_or(&operator);
    Ok(match operator {
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sum" | "Mean" | "Pow" | "Where"
        | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" | "And" | "Or"
        | "Xor" | "PRelu" | "QLinearAdd" | "QLinearMul" => keeps_rank(builder, node, rank)?,
        "Relu"
        | "LeakyRelu"
        | "Elu"
        | "Celu"
        | "Selu"
        | "ThresholdedRelu"
        | "Sigmoid"
        | "HardSigmoid"
        | "HardSwish"
        | "Swish"
        | "QuickGelu"
        | "Tanh"
        | "Softplus"
        | "Softsign"
        | "Mish"
        | "Gelu"
        | "FastGelu"
        | "Erf"
        | "Exp"
        | "Log"
        | "Sqrt"
        | "Abs"
        | "Sin"
        | "Cos"
        | "Floor"
        | "Ceil"
        | "Round"
        | "Sign"
        | "Reciprocal"
        | "Not"
        | "Shrink"
        | "Neg"
        | "Clip"
        | "Identity"
        | "Dropout"
        | "Cast"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearSigmoid"
        | "QLinearLeakyRelu" => first,
        "Conv"
        | "ConvTranspose"
        | "ConvInteger"
        | "QLinearConv"
        | "MaxPool"
        | "AveragePool"
        | "GlobalMaxPool"
        | "GlobalAveragePool"
        | "QLinearAveragePool"
        | "QLinearGlobalAveragePool"
        | "DepthToSpace"
        | "SpaceToDepth"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "GroupNormalization" => first && rank >= 2,
        // On the left, rows are samples; a stack on the right has to be of them.
        "MatMul" | "MatMulInteger" | "QLinearMatMul" => {
            first
                && rank >= 2
                && (values.len() == 1 || rank >= 3)
                && keeps_rank(builder, node, rank)?
        }
        "Gemm" | "QGemm" => first && values.len() == 1 && node.integer("transA", 0) == 0,
        "ai.onnx.ml.LinearClassifier"
        | "ai.onnx.ml.LinearRegressor"
        | "ai.onnx.ml.Scaler"
        | "ai.onnx.ml.Normalizer"
        | "ai.onnx.ml.ZipMap" => first && rank == 2,
        "Softmax" | "LogSoftmax" => attribute("axis", if node.version < 13 { 1 } else { -1 }),
        "Flatten" => attribute("axis", 1),
        "LayerNormalization"
        | "RMSNormalization"
        | "SimplifiedLayerNormalization"
        | "LpNormalization" => attribute("axis", -1),
        "Concat" | "Split" => first && attribute("axis", 0),
        // Rows of a known table, or entries along another axis.
        "Gather" => first == attribute("axis", 0),
        "ArgMax" => attribute("axis", 0),
        "TopK" => attribute("axis", -1),
        "Transpose" => {
            let permutation = node.integers("perm").unwrap_or_default();
            permutation.first() == Some(&0) || rank < 2
        }
        // A first size of 1 may be a batch that the file joins.
        "Reshape" => first && matches!(listed(builder, node, "shape", 1)?.first(), Some(0 | -1)),
        "Unsqueeze" => {
            let axes = listed(builder, node, "axes", 1)?;
            let rank = (rank + axes.len()) as i64;
            axes.iter().all(|&axis| axis != 0 && axis != -rank)
        }
        "Squeeze" | "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1"
        | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSumExp" => {
            let axes = listed(builder, node, "axes", 1)?;
            !axes.is_empty() && !axes.iter().any(|&axis| is_batch(axis))
        }
        "Slice" => {
            let axes = listed(builder, node, "axes", 3)?;
            first && !axes.is_empty() && !axes.iter().any(|&axis| is_batch(axis))
        }
        _ => false,
    })
}

/// Whether a node's result and its known inputs have no more axes than its
/// values, so that broadcasting leaves the first axis in its place.
fn keeps_rank<'a>(
    builder: &mut Builder<'a>,
    node: &Node<'a>,
    rank: usize,
) -> Result<bool, OnnxError> {
    let Some(output) = node.outputs().first() else { return Ok(true) };
    let made = builder.named(&node.name, output)?;
    Ok(builder.shape(&made).rank() == rank)
}

/// The list of an attribute, or of a known input.
fn listed<'a>(
    builder: &mut Builder<'a>,
    node: &Node<'a>,
    attribute: &str,
    input: usize,
) -> Result<Vec<i64>, OnnxError> {
    if let Some(list) = node.integers(attribute) {
        return Ok(list.to_vec());
    }
    let host = builder.optional_host(node, input)?;
    Ok(host.map(|host| host.integers()).unwrap_or_default())
}
