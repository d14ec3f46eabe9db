//! Functions of one number.

use super::fused::{fast_gelu, gelu};
use super::{Read, one};
use crate::graph::Expression;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn activation(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        use Expression::X;
        use Operation::{Add, Div, Max, Min, Mul, Sub};
        let node = self.node;
        let alpha = |default: f32| node.float("alpha", default).map(f64::from);
        let beta = |default: f32| node.float("beta", default).map(f64::from);
        // max(x, 0) + alpha·(e^min(x, 0) − 1)·scale.
        let elu = |alpha: f64, inside: f64| {
            let low = X.by(Min, 0.0).by(Div, inside).then(Function::Exp).by(Sub, 1.0);
            X.by(Max, 0.0).with(Add, low.by(Mul, alpha))
        };
        let attributes: &[&str] = match operator {
            "LeakyRelu"
            | "Elu"
            | "Celu"
            | "ThresholdedRelu"
            | "com.microsoft.QuickGelu"
            | "Swish" => &["alpha"],
            "HardSigmoid" => &["alpha", "beta"],
            "Selu" => &["alpha", "gamma"],
            "Gelu" => &["approximate"],
            "Shrink" => &["bias", "lambd"],
            _ => &[],
        };
        let function = match operator {
            "Relu" => Expression::relu(),
            "LeakyRelu" => X.by(Max, 0.0).with(Add, X.by(Min, 0.0).by(Mul, alpha(0.01)?)),
            "Elu" => elu(alpha(1.0)?, 1.0),
            "Celu" => elu(alpha(1.0)?, alpha(1.0)?),
            "Selu" => {
                let gamma = node.float("gamma", 1.050_701)?;
                elu(alpha(1.673_263_2)?, 1.0).by(Mul, gamma.into())
            }
            "ThresholdedRelu" => {
                let above = Expression::Number(alpha(1.0)?).with(Operation::Less, X);
                X.with(Mul, above)
            }
            "Sigmoid" => Expression::call(Function::Sigmoid),
            "HardSigmoid" => X.by(Mul, alpha(0.2)?).by(Add, beta(0.5)?).by(Max, 0.0).by(Min, 1.0),
            "HardSwish" => {
                let gate = X.by(Div, 6.0).by(Add, 0.5).by(Max, 0.0).by(Min, 1.0);
                X.with(Mul, gate)
            }
            "Swish" | "com.microsoft.QuickGelu" => {
                let default = if operator == "Swish" { 1.0 } else { 1.702 };
                X.with(Mul, X.by(Mul, alpha(default)?).then(Function::Sigmoid))
            }
            "Tanh" => Expression::call(Function::Tanh),
            "Softplus" => Expression::call(Function::Softplus),
            "Softsign" => X.with(Div, Expression::call(Function::Abs).by(Add, 1.0)),
            "Mish" => X.with(Mul, Expression::call(Function::Softplus).then(Function::Tanh)),
            "Gelu" | "com.microsoft.Gelu" => match node.string("approximate") {
                Some("tanh") => fast_gelu(),
                _ => gelu(),
            },
            "Erf" => Expression::call(Function::Erf),
            "Exp" => Expression::call(Function::Exp),
            "Log" => Expression::call(Function::Log),
            "Sqrt" => Expression::call(Function::Sqrt),
            "Abs" => Expression::call(Function::Abs),
            "Sin" => Expression::call(Function::Sin),
            "Cos" => Expression::call(Function::Cos),
            "Tan" => Expression::call(Function::Sin).with(Div, Expression::call(Function::Cos)),
            "Sinh" | "Cosh" => {
                let up = Expression::call(Function::Exp);
                let down = X.by(Mul, -1.0).then(Function::Exp);
                up.with(if operator == "Sinh" { Sub } else { Add }, down).by(Mul, 0.5)
            }
            // sign(x)·ln(|x| + √(x² + 1)) keeps the digits of negative x.
            "Asinh" => {
                let root = X.with(Mul, X).by(Add, 1.0).then(Function::Sqrt);
                let sum = Expression::call(Function::Abs).with(Add, root);
                sum.then(Function::Log).with(Mul, Expression::call(Function::Sign))
            }
            "Acosh" => {
                let root = X.with(Mul, X).by(Sub, 1.0).then(Function::Sqrt);
                X.with(Add, root).then(Function::Log)
            }
            "Atanh" => {
                let ratio = X.by(Add, 1.0).with(Div, Expression::Number(1.0).with(Sub, X));
                ratio.then(Function::Log).by(Mul, 0.5)
            }
            "Floor" => Expression::call(Function::Floor),
            "Ceil" => Expression::call(Function::Ceil),
            "Round" => Expression::call(Function::Round),
            "Sign" => Expression::call(Function::Sign),
            "Reciprocal" => Expression::Number(1.0).with(Div, X),
            "Not" => {
                node.only(&[])?;
                let x = self.first()?;
                let function = Expression::Number(1.0).with(Sub, X);
                let made = self.builder.apply(node, &x, function)?;
                return one(self.as_bool(made));
            }
            "IsNaN" | "IsInf" => return self.no_number(operator).map(Some),
            "Shrink" => {
                let (bias, lambda) = (node.float("bias", 0.0)?, node.float("lambd", 0.5)?);
                let (bias, lambda) = (f64::from(bias), f64::from(lambda));
                let above = Expression::Number(lambda).with(Operation::Less, X);
                let below = X.by(Operation::Less, -lambda);
                X.by(Sub, bias).with(Mul, above).with(Add, X.by(Add, bias).with(Mul, below))
            }
            "Neg" => {
                node.only(&[])?;
                let x = self.first()?;
                let number = self.builder.number(&x);
                let whole = self.is_whole(&x);
                if whole && matches!(x, Operand::Value(_)) {
                    self.keeps_type(Sub, number)?;
                }
                let made = self.builder.times(node, &x, -1.0)?;
                return match made {
                    Operand::Known(host) if whole => {
                        let entries = host.entries.iter().map(|&x| number.wrapped(x)).collect();
                        one(Host { number, entries, ..(*host).clone() }.into())
                    }
                    made => {
                        self.builder.keep_number(&made, number);
                        one(made)
                    }
                };
            }
            "Clip" => return self.clip().map(|clipped| Some(vec![clipped])),
            "PRelu" => {
                node.only(&[])?;
                let (x, slope) = (self.first()?, self.builder.operand(node, 1)?);
                let high = self.builder.apply(node, &x, Expression::relu())?;
                let low = self.builder.apply(node, &x, X.by(Min, 0.0))?;
                let low = self.builder.pair(node, Mul, &low, &slope)?;
                return one(self.builder.pair(node, Add, &high, &low)?);
            }
            _ => return Ok(None),
        };
        node.only(attributes)?;
        let x = self.first()?;
        let number = self.builder.number(&x);
        let made = self.builder.apply(node, &x, function)?;
        if self.is_whole(&x) {
            if operator == "Abs" && matches!(x, Operand::Value(_)) {
                self.keeps_type(Sub, number)?;
            }
            // Other functions of whole numbers are no operators of ONNX.
            self.builder.keep_number(&made, number);
        }
        one(made)
    }

    /// The bounds are attributes before version 11.
    fn clip(&mut self) -> Result<Operand, OnnxError> {
        let node = self.node;
        node.only(&["min", "max"])?;
        let mut clipped = self.first()?;
        for (index, name, operation) in [(1, "min", Operation::Max), (2, "max", Operation::Min)] {
            let bound = if node.has(name) {
                Some(node.float(name, 0.0)?.into())
            } else {
                let host = self.builder.optional_host(node, index)?;
                match host.map(|host| host.only().ok_or(())) {
                    Some(Err(())) => return Err(node.unsupported("a bound is no single number")),
                    Some(Ok(bound)) => Some(bound),
                    None => None,
                }
            };
            // A bound at an end of f32 clips nothing.
            if let Some(bound) = bound.filter(|bound: &f64| bound.abs() < 3.4e38) {
                let bound = Host::scalar(Number::Real, bound).into();
                clipped = self.builder.pair(node, operation, &clipped, &bound)?;
            }
        }
        Ok(clipped)
    }
}
