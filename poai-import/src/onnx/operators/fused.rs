//! Operators of `com.microsoft`, which ONNX Runtime writes in place of several.

use super::{Read, one};
use crate::graph::Expression;
use crate::graph::Kind;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

/// Half of `1 + erf(x/√2)`, times x.
pub(super) fn gelu() -> Expression {
    use Operation::{Add, Mul};
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let inner = Expression::X.by(Mul, half).then(Function::Erf).by(Add, 1.0);
    Expression::X.by(Mul, 0.5).with(Mul, inner)
}

/// GELU by a tanh.
pub(super) fn fast_gelu() -> Expression {
    use Operation::{Add, Mul};
    const TANH_ROOT: f64 = 0.797_884_560_802_865_4;
    const CUBE: f64 = 0.044_715;
    let cube = Expression::X.with(Mul, Expression::X).with(Mul, Expression::X).by(Mul, CUBE);
    let inner = Expression::X.with(Add, cube).by(Mul, TANH_ROOT).then(Function::Tanh);
    Expression::X.by(Mul, 0.5).with(Mul, inner.by(Add, 1.0))
}

impl Read<'_, '_> {
    pub(super) fn fused(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let Some(operator) = operator.strip_prefix("com.microsoft.") else { return Ok(None) };
        let node = self.node;
        match operator {
            "FastGelu" | "BiasGelu" => {
                node.only(&[])?;
                let mut x = self.first()?;
                if let Some(bias) = self.builder.optional(node, 1)? {
                    x = self.builder.pair(node, Operation::Add, &x, &bias)?;
                }
                let function = if operator == "FastGelu" { fast_gelu() } else { gelu() };
                one(self.builder.apply(node, &x, function)?)
            }
            "FusedMatMul" => {
                node.only(&["alpha", "transA", "transB", "transBatchA", "transBatchB"])?;
                node.fixed("transBatchA", 0)?;
                node.fixed("transBatchB", 0)?;
                let (mut a, mut b) = (self.first()?, self.builder.operand(node, 1)?);
                for (operand, turned) in [(&mut a, "transA"), (&mut b, "transB")] {
                    if node.integer(turned, 0) != 0 && self.builder.shape(operand).rank() > 1 {
                        *operand = self.swapped(operand)?;
                    }
                }
                let product = self.product(&a, &b)?;
                one(self.builder.times(node, &product, node.float("alpha", 1.0)?.into())?)
            }
            "FusedGemm" => {
                let made = self.gemm_of(&[
                    "alpha",
                    "beta",
                    "transA",
                    "transB",
                    "activation",
                    "activation_alpha",
                    "activation_beta",
                    "activation_gamma",
                ])?;
                let alpha = node.float("activation_alpha", 0.0)?;
                let given = node.has("activation_alpha").then_some(alpha);
                let beta = node.float("activation_beta", 0.0)?;
                let numbers = [given, node.has("activation_beta").then_some(beta)];
                one(self.activated(made, numbers)?)
            }
            "FusedConv" => {
                let own = ["group", "activation", "activation_params"];
                node.only(&[&super::conv::SLIDING[..], &own].concat())?;
                let x = self.first()?;
                let weights = self.builder.host(node, 1)?;
                let bias = self.builder.optional_host(node, 2)?;
                let mut made = self.convolution(&x, &weights, bias, false)?;
                if let Some(sum) = self.builder.optional(node, 3)? {
                    made = self.builder.pair(node, Operation::Add, &made, &sum)?;
                }
                let numbers = node.floats("activation_params").unwrap_or_default();
                one(self.activated(made, [0, 1].map(|at| numbers.get(at).copied()))?)
            }
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => {
                self.skip_norm(operator == "SkipLayerNormalization").map(Some)
            }
            "DynamicQuantizeMatMul" => {
                node.only(&[])?;
                let weights = self.builder.operand(node, 1)?;
                let last = self.builder.shape(&weights).rank().saturating_sub(1);
                let (a, b) = (self.first()?, self.real_along(1, 2, 3, Some(last))?);
                let product = self.product(&a, &b)?;
                one(self.plus(product, 4)?)
            }
            "MatMulIntegerToFloat" => {
                node.only(&[])?;
                let last = self.builder.operand(node, 1)?;
                let last = self.builder.shape(&last).rank().saturating_sub(1);
                let (a, b) =
                    (self.real_along(0, 2, 4, None)?, self.real_along(1, 3, 5, Some(last))?);
                let product = self.product(&a, &b)?;
                one(self.plus(product, 6)?)
            }
            "EmbedLayerNormalization" => self.embedding().map(Some),
            _ => Ok(None),
        }
    }

    /// A sum with an input that may be missing.
    pub(super) fn plus(&mut self, x: Operand, input: usize) -> Result<Operand, OnnxError> {
        match self.builder.optional(self.node, input)? {
            Some(more) => self.builder.pair(self.node, Operation::Add, &x, &more),
            None => Ok(x),
        }
    }

    /// The function that an attribute names, with its numbers.
    fn activated(&mut self, x: Operand, numbers: [Option<f32>; 2]) -> Result<Operand, OnnxError> {
        use Operation::{Add, Max, Min, Mul};
        let node = self.node;
        let [alpha, beta] = numbers.map(|number| number.map(f64::from));
        let function = match node.string("activation").unwrap_or_default() {
            "" => return Ok(x),
            "Relu" => Expression::relu(),
            "Sigmoid" => Expression::call(Function::Sigmoid),
            "Tanh" => Expression::call(Function::Tanh),
            "LeakyRelu" => {
                let low = Expression::X.by(Min, 0.0).by(Mul, alpha.unwrap_or(0.01));
                Expression::X.by(Max, 0.0).with(Add, low)
            }
            "Clip" => {
                let low = alpha.unwrap_or(f64::NEG_INFINITY);
                Expression::X.by(Max, low).by(Min, beta.unwrap_or(f64::INFINITY))
            }
            "HardSigmoid" => {
                let line = Expression::X.by(Mul, alpha.unwrap_or(0.2)).by(Add, beta.unwrap_or(0.5));
                line.by(Max, 0.0).by(Min, 1.0)
            }
            _ => return Err(node.attribute("activation")),
        };
        self.builder.apply(node, &x, function)
    }

    /// The norm of a sum, and the sum as the fourth output.
    fn skip_norm(&mut self, centre: bool) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["epsilon"])?;
        let (x, skip) = (self.first()?, self.builder.operand(node, 1)?);
        let sum = self.builder.pair(node, Operation::Add, &x, &skip)?;
        let (beta, bias) = if centre { (Some(3), 4) } else { (None, 3) };
        let sum = self.plus(sum, bias)?;
        let made = self.normalised(&sum, centre, 2, beta, 1e-12)?;
        self.first_and_sum(made, sum)
    }

    /// The results of a norm: itself, two that only training needs, and the sum.
    fn first_and_sum(&self, made: Operand, sum: Operand) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        if node.outputs().iter().skip(1).take(2).any(|name| !name.is_empty()) {
            return Err(node.unsupported("its mean and its deviation as outputs"));
        }
        Ok(vec![made, sum.clone(), sum.clone(), sum])
    }

    /// A norm along the last axis with γ and β from inputs.
    fn normalised(
        &mut self,
        x: &Operand,
        centre: bool,
        gamma: usize,
        beta: Option<usize>,
        epsilon: f32,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let size = self.builder.shape(x).last();
        self.builder.spend(size.saturating_mul(2))?;
        let mut list = |input: Option<usize>, default: f32| -> Result<Vec<f32>, OnnxError> {
            let host = match input {
                Some(input) => self.builder.optional_host(node, input)?,
                None => None,
            };
            match host.map(|host| host.floats()) {
                None => Ok(vec![default; size]),
                Some(floats) if floats.len() == size => Ok(floats),
                Some(_) => Err(node.unsupported(format!("expected {size} numbers of its norm"))),
            }
        };
        let (gamma, beta) = (list(Some(gamma), 1.0)?, list(beta, 0.0)?);
        let epsilon = node.float("epsilon", epsilon)?;
        let kind = Kind::Normalise { centre, epsilon, gamma, beta };
        self.builder.layer(node, kind, std::slice::from_ref(x))
    }

    /// The norm of a sum of rows of tables: words, places and segments.
    fn embedding(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["epsilon", "mask_index_type"])?;
        if node.optional(7).is_some() {
            return Err(node.unsupported(
                "it counts the entries of a mask; export with a fixed length and no mask",
            ));
        }
        let ids = self.first()?;
        let &[batch, length] = self.builder.shape(&ids).0.as_slice() else {
            return Err(node.unsupported("expected ids of a batch and a length"));
        };
        let words = self.builder.host(node, 2)?;
        let mut sum = self.rows_of(&words, ids)?;
        let places = self.builder.host(node, 3)?;
        let places = match self.builder.optional(node, 8)? {
            Some(ids) => self.rows_of(&places, ids)?,
            None => self.builder.range(node, &Operand::Known(places), 0, 0..length)?,
        };
        sum = self.builder.pair(node, Operation::Add, &sum, &places)?;
        if let Some(segments) = self.builder.optional(node, 1)? {
            let table = self.builder.host(node, 4)?;
            let segments = self.rows_of(&table, segments)?;
            sum = self.builder.pair(node, Operation::Add, &sum, &segments)?;
        }
        let made = self.normalised(&sum, true, 5, Some(6), 1e-12)?;
        // Without a mask all tokens count.
        let entries = vec![length as f64; batch];
        let counts = Host { shape: vec![batch], number: Number::Signed(32), entries };
        Ok(vec![made, counts.into(), sum])
    }
}
