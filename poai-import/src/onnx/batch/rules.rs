//! How each operator moves the axis of the samples.
//!
//! Every rule gives where the outputs have the samples, or `None` if the node
//! mixes them or may do so.

use super::{Along, Samples, Track, repeats};
use crate::onnx::builder::{Builder, Operand};
use crate::onnx::error::OnnxError;
use crate::onnx::node::Node;
use crate::onnx::tensor::Host;
use std::rc::Rc;

/// An input of a node.
pub(super) struct Input {
    pub(super) shape: Vec<usize>,
    pub(super) along: Option<Along>,
    /// A known tensor, with a batch of 1.
    pub(super) own: Option<Rc<Host>>,
    /// The same tensor with the larger batch, if that changes it.
    pub(super) other: Option<Rc<Host>>,
    class: bool,
}

impl Input {
    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Whether the batch changes nothing of it.
    pub(super) fn is_free(&self) -> bool {
        self.along.is_none() && self.other.is_none()
    }
}

/// A node whose inputs have samples.
pub(super) struct Rule<'n, 'a> {
    pub(super) node: &'n Node<'a>,
    pub(super) inputs: Vec<Option<Input>>,
    /// The shapes of the outputs.
    pub(super) outputs: Vec<Vec<usize>>,
    pub(super) batch: usize,
}

/// An axis, counted from the end if it is negative.
pub(super) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

pub(super) fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |all, &size| all.saturating_mul(size))
}

impl<'n, 'a> Rule<'n, 'a> {
    pub(super) fn new(
        samples: &mut Samples<'a>,
        builder: &mut Builder<'a>,
        node: &'n Node<'a>,
    ) -> Result<Rule<'n, 'a>, OnnxError> {
        let batch = samples.batch;
        let mut inputs = vec![];
        for at in 0..node.inputs() {
            let Some(name) = node.optional(at) else {
                inputs.push(None);
                continue;
            };
            let operand = builder.named(&node.name, name)?;
            let other = samples.sized(node, name)?;
            let own = match &operand {
                Operand::Known(host) => Some(host.clone()),
                _ => None,
            };
            let along = match (samples.tracks.get(name), &own, &other) {
                (Some(Track::Along(along)), ..) => Some(*along),
                (_, Some(own), Some(other)) => repeats(own, other, batch),
                _ => None,
            };
            let class = matches!(operand, Operand::Class { .. });
            inputs.push(Some(Input { shape: builder.shape(&operand).0, along, own, other, class }));
        }
        let mut outputs = vec![];
        for name in node.outputs() {
            outputs.push(match builder.named(&node.name, name) {
                Ok(operand) => builder.shape(&operand).0,
                Err(_) => vec![],
            });
        }
        Ok(Rule { node, inputs, outputs, batch })
    }

    /// Where the outputs have the samples. If there are fewer places than
    /// outputs, the last one is that of the others.
    pub(super) fn apply(&self) -> Option<Vec<Along>> {
        let operator = self.node.operator();
        let operator = operator.strip_prefix("com.microsoft.").unwrap_or(&operator);
        // Of a class nothing but moves is read.
        if let Some(class) = self.inputs.iter().flatten().find(|input| input.class) {
            return Some(vec![class.along?]);
        }
        if matches!(operator, "RNN" | "LSTM" | "GRU") {
            return self.recurrent();
        }
        self.one(operator).map(|along| vec![along])
    }

    fn one(&self, operator: &str) -> Option<Along> {
        match operator {
            "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Max" | "Min" | "Sum" | "Mean" | "Pow"
            | "Where" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" | "And"
            | "Or" | "Xor" | "PRelu" | "QLinearAdd" | "QLinearMul" | "BitShift" | "BitwiseAnd"
            | "BitwiseOr" | "BitwiseXor" | "BiasGelu" => self.broadcast(),
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
            | "Tan"
            | "Sinh"
            | "Cosh"
            | "Asinh"
            | "Acosh"
            | "Atanh"
            | "IsNaN"
            | "IsInf"
            | "BitwiseNot"
            | "CastLike"
            | "ai.onnx.ml.LabelEncoder"
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
            | "QLinearLeakyRelu" => self.x().map(|(_, along)| along),
            "Conv"
            | "ConvTranspose"
            | "ConvInteger"
            | "QLinearConv"
            | "MaxPool"
            | "AveragePool"
            | "LpPool"
            | "GlobalLpPool"
            | "GlobalMaxPool"
            | "GlobalAveragePool"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LRN" => self.leading(2),
            "ai.onnx.ml.LinearClassifier"
            | "ai.onnx.ml.LinearRegressor"
            | "ai.onnx.ml.Scaler"
            | "ai.onnx.ml.Normalizer"
            | "ai.onnx.ml.Imputer"
            | "ai.onnx.ml.Binarizer"
            | "ai.onnx.ml.SVMRegressor"
            | "ai.onnx.ml.ArrayFeatureExtractor"
            | "ai.onnx.ml.OneHotEncoder"
            | "ai.onnx.ml.ZipMap" => self.leading(2).filter(|_| self.rank() == 2),
            "MatMul" | "MatMulInteger" | "DynamicQuantizeMatMul" | "MatMulIntegerToFloat" => {
                self.matmul(0, 1)
            }
            "FusedMatMul" => self.fused_matmul(),
            "QLinearMatMul" => self.matmul(0, 3),
            "Gemm" | "QGemm" | "FusedGemm" => self.gemm(),
            "Einsum" => self.einsum(),
            "Attention" if self.node.operator().starts_with("com.microsoft.") => {
                self.attention_of(&[0], 3)
            }
            "Attention" => self.attention_of(&[0, 1, 2], 3),
            // The fourth input is a summand of the output.
            "FusedConv" => self.attention_of(&[0, 3], usize::MAX),
            "MultiHeadAttention" => self.attention_of(&[0, 1, 2], 4),
            "EmbedLayerNormalization" => self.attention_of(&[0, 1], 7),
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => self.skip(),
            "Softmax" | "LogSoftmax" if self.node.version < 13 => self.before("axis", 1),
            "Softmax" | "LogSoftmax" | "LpNormalization" => self.beside("axis", -1),
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
                self.before("axis", -1)
            }
            "MeanVarianceNormalization" => {
                let (x, along) = self.x()?;
                let axes = self.node.integers("axes").unwrap_or(&[0, 2, 3]);
                let free = axes.iter().all(|&axis| axis_of(axis, x.rank()) != Some(along.axis));
                free.then_some(along)
            }
            "ArgMax" | "ArgMin" => self.beside("axis", 0),
            "CumSum" => {
                let (x, along) = self.x()?;
                let axis = self.input(1)?.own.as_ref()?.integers().first().copied()?;
                (axis_of(axis, x.rank())? != along.axis).then_some(along)
            }
            "TopK" => self.beside("axis", -1),
            "Split" => self.beside("axis", 0),
            "Trilu" => self.x().map(|(_, along)| along).filter(|a| a.axis + 2 < self.rank()),
            "Concat" | "QLinearConcat" => self.concat(self.node.integer("axis", 0)),
            "ai.onnx.ml.FeatureVectorizer" => self.concat(1),
            "Gather" => self.gather(),
            "Transpose" => self.transpose(),
            "Reshape" => self.reshape(),
            "Flatten" => {
                let (_, along) = self.x()?;
                let axis = self.node.integer("axis", 1);
                let rank = self.rank() as i64;
                let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
                self.placed(along, usize::from(along.axis >= axis))
            }
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1"
            | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => self.reduce(),
            "Slice" => self.slice(),
            "Pad" => self.pad(),
            "Tile" => {
                let (_, along) = self.x()?;
                let repeats = self.list("repeats", 1)?;
                (repeats.get(along.axis) == Some(&1)).then_some(along)
            }
            "Expand" => self.expand(),
            "Resize" | "Upsample" => self.resize(),
            _ => None,
        }
    }

    pub(super) fn input(&self, at: usize) -> Option<&Input> {
        self.inputs.get(at)?.as_ref()
    }

    pub(super) fn rank(&self) -> usize {
        self.input(0).map_or(0, Input::rank)
    }

    /// Whether the batch changes no input other than those at `except`.
    pub(super) fn others_are_free(&self, except: &[usize]) -> bool {
        let mut inputs = self.inputs.iter().enumerate();
        inputs.all(|(at, input)| except.contains(&at) || input.as_ref().is_none_or(Input::is_free))
    }

    /// The first input, if it alone has samples.
    pub(super) fn x(&self) -> Option<(&Input, Along)> {
        let x = self.input(0)?;
        let along = x.along?;
        self.others_are_free(&[0]).then_some((x, along))
    }

    /// The first axis, of at least `rank` ones.
    fn leading(&self, rank: usize) -> Option<Along> {
        let (x, along) = self.x()?;
        let alone = along == Along { axis: 0, outer: 1 } && x.shape.first() == Some(&1);
        (alone && x.rank() >= rank).then_some(along)
    }

    /// What mixes entries along an axis, and no others.
    fn beside(&self, attribute: &str, default: i64) -> Option<Along> {
        let (x, along) = self.x()?;
        let axis = axis_of(self.node.integer(attribute, default), x.rank())?;
        (axis != along.axis).then_some(along)
    }

    /// What mixes entries along an axis and all axes after it.
    fn before(&self, attribute: &str, default: i64) -> Option<Along> {
        let (x, along) = self.x()?;
        let axis = axis_of(self.node.integer(attribute, default), x.rank())?;
        (along.axis < axis).then_some(along)
    }

    /// A list of an attribute, or of a known input.
    pub(super) fn list(&self, attribute: &str, input: usize) -> Option<Vec<i64>> {
        match self.node.integers(attribute) {
            Some(list) => Some(list.to_vec()),
            None => Some(self.input(input)?.own.as_ref()?.integers()),
        }
    }

    /// The same list with the larger batch.
    pub(super) fn other_list(&self, input: usize) -> Option<Vec<i64>> {
        Some(self.input(input)?.other.as_ref()?.integers())
    }

    /// Entry by entry, after broadcasting.
    fn broadcast(&self) -> Option<Along> {
        let inputs = || self.inputs.iter().flatten();
        let rank = inputs().map(Input::rank).max()?;
        let aligned = |input: &Input| {
            let along = input.along?;
            Some(Along { axis: along.axis + rank - input.rank(), ..along })
        };
        let found = inputs().find_map(aligned)?;
        let size = |input: &Input| {
            let axis = found.axis.checked_sub(rank - input.rank())?;
            input.shape.get(axis).copied()
        };
        let own = inputs().find(|input| input.along.is_some()).and_then(size);
        let fits = inputs().all(|input| match input.along {
            Some(_) => aligned(input) == Some(found) && size(input) == own,
            None => input.other.is_none() && size(input).is_none_or(|size| size == 1),
        });
        fits.then_some(found)
    }

    fn matmul(&self, left: usize, right: usize) -> Option<Along> {
        let (a, b) = (self.input(left)?, self.input(right)?);
        if !self.others_are_free(&[left, right]) {
            return None;
        }
        if a.rank() < 2 || b.rank() < 2 {
            // A vector on the right takes the last axis away.
            let along = a.along.filter(|along| along.axis + 1 < a.rank())?;
            return b.is_free().then_some(along);
        }
        let rank = a.rank().max(b.rank());
        let aligned = |input: &Input| {
            let along = input.along?;
            Some(Along { axis: along.axis + rank - input.rank(), ..along })
        };
        let free = |input: &Input, axis: usize| {
            let size = axis.checked_sub(rank - input.rank()).and_then(|at| input.shape.get(at));
            input.is_free() && size.is_none_or(|&size| size == 1)
        };
        match (aligned(a), aligned(b)) {
            // Rows of the left, columns of the right, or matrices of a stack.
            (Some(along), None) if along.axis + 2 == rank => b.is_free().then_some(along),
            (None, Some(along)) if along.axis + 1 == rank => a.is_free().then_some(along),
            (Some(along), None) if along.axis + 2 < rank => free(b, along.axis).then_some(along),
            (None, Some(along)) if along.axis + 2 < rank => free(a, along.axis).then_some(along),
            (Some(one), Some(two)) => (one == two && one.axis + 2 < rank).then_some(one),
            _ => None,
        }
    }

    fn gemm(&self) -> Option<Along> {
        let (x, along) = self.x()?;
        let rows = usize::from(self.node.integer("transA", 0) != 0);
        // The summand, unless the node quantises, is the third input.
        let quantised = self.node.operator().ends_with("QGemm");
        let summand = if quantised { None } else { self.input(2) };
        let size = summand.filter(|c| c.rank() == 2).and_then(|c| c.shape.first());
        let fits = x.rank() == 2 && along.axis == rows && size.is_none_or(|&size| size == 1);
        fits.then_some(Along { axis: 0, ..along })
    }

    fn einsum(&self) -> Option<Along> {
        let equation = self.node.string("equation")?.replace(' ', "");
        let (inputs, output) = equation.split_once("->")?;
        let mut found = None;
        let terms = || inputs.split(',').zip(&self.inputs);
        for (term, input) in terms() {
            if let Some(along) = input.as_ref()?.along {
                let own = (term.chars().nth(along.axis)?, along.outer);
                if found.is_some_and(|found| found != own) {
                    return None;
                }
                found = Some(own);
            }
        }
        let (letter, outer) = found?;
        let apart = terms().all(|(term, input)| {
            input.as_ref().is_some_and(|input| {
                input.along.is_some() || (input.is_free() && !term.contains(letter))
            })
        });
        let axis = output.chars().position(|own| own == letter)?;
        apart.then_some(Along { axis, outer })
    }

    /// Samples along the first axis of some inputs and of a mask, and of none
    /// of the others. Inputs may be left out.
    fn attention_of(&self, sides: &[usize], mask: usize) -> Option<Along> {
        let own = Along { axis: 0, outer: 1 };
        let alone = |input: &Input| input.along == Some(own) && input.shape.first() == Some(&1);
        let fits = |at: usize| self.input(at).is_none_or(&alone);
        let seen = self.input(mask).is_none_or(|mask| mask.is_free() || alone(mask));
        let except: Vec<usize> = sides.iter().copied().chain([mask]).collect();
        let first = self.input(0).is_some_and(alone);
        (first && sides.iter().all(|&at| fits(at)) && seen && self.others_are_free(&except))
            .then_some(own)
    }

    /// A product of which one side may be transposed, if the other is known.
    fn fused_matmul(&self) -> Option<Along> {
        let is_set = |name| self.node.integer(name, 0) != 0;
        if is_set("transBatchA") || is_set("transBatchB") || is_set("transA") {
            return None;
        }
        let known = self.input(1).is_some_and(Input::is_free);
        let stacked = || {
            let (a, b) = (self.input(0)?, self.input(1)?);
            let along = a.along.filter(|along| along.axis + 2 < a.rank())?;
            (b.along == Some(along) && a.rank() == b.rank()).then_some(along)
        };
        if is_set("transB") && !known { stacked() } else { self.matmul(0, 1) }
    }

    /// A sum of two values, and a norm of its last axis.
    fn skip(&self) -> Option<Along> {
        let (x, skip) = (self.input(0)?, self.input(1)?);
        let along = x.along.filter(|along| along.axis + 1 < x.rank())?;
        (skip.along == Some(along) && self.others_are_free(&[0, 1])).then_some(along)
    }

    /// Y, and the states after the last step.
    fn recurrent(&self) -> Option<Vec<Along>> {
        let first = self.node.integer("layout", 0) != 0;
        let own = Along { axis: usize::from(!first), outer: 1 };
        let x = self.input(0)?;
        // The lengths, and the states before the first step.
        let states = [5, 6].into_iter().filter_map(|at| self.input(at));
        let states = states.filter(|state| !state.is_free()).all(|state| state.along == Some(own));
        let lengths = self.input(4).is_none_or(|lengths| {
            lengths.is_free() || lengths.along == Some(Along { axis: 0, outer: 1 })
        });
        let others = self.others_are_free(&[0, 4, 5, 6]);
        let y = Along { axis: if first { 0 } else { 2 }, outer: 1 };
        (x.along == Some(own) && states && lengths && others).then(|| vec![y, own])
    }
}
