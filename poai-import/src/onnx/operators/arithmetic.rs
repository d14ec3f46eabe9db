//! Operations on two or more operands, and conversions.

use super::{Read, one};
use crate::graph::Expression;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};
use rten_onnx::onnx::DataType;

impl Read<'_, '_> {
    pub(super) fn arithmetic(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let operation = match operator {
            "Add" => Operation::Add,
            "Sub" => Operation::Sub,
            "Mul" | "And" => Operation::Mul,
            "Div" => Operation::Div,
            "Pow" => Operation::Pow,
            "Less" => Operation::Less,
            "Equal" => Operation::Equal,
            "Max" | "Or" => Operation::Max,
            "Min" => Operation::Min,
            "Sum" => Operation::Add,
            "Mean" => return self.mean().map(Some),
            "Greater" | "LessOrEqual" | "GreaterOrEqual" | "Xor" => return self.compare(operator),
            "Mod" => return self.modulo(),
            "Where" => return self.choose(),
            "Cast" | "CastLike" => return self.cast(),
            "Identity" | "Dropout" => {
                node.only(&["ratio", "seed"])?;
                if operator == "Dropout" && node.inputs() > 2 {
                    let training = self.builder.optional_host(node, 2)?;
                    if training.is_some_and(|training| training.only() != Some(0.0)) {
                        return Err(node.unsupported("it is in training mode"));
                    }
                }
                return one(self.first()?);
            }
            _ => return Ok(None),
        };
        node.only(&[])?;
        let mut result = self.first()?;
        let mut whole = self.is_whole(&result);
        for index in 1..node.inputs() {
            let next = self.builder.operand(node, index)?;
            whole &= self.is_whole(&next);
            if whole && operation == Operation::Div && !known(&result, &next) {
                return Err(node.unsupported(WHOLE));
            }
            result = match (&result, &next) {
                // A class that is compared or shifted is still decided by it.
                (Operand::Class { .. }, Operand::Known(_)) => result,
                _ => self.builder.pair(node, operation, &result, &next)?,
            };
        }
        if whole {
            self.builder.keep_number(&result, Number::Whole);
        }
        if matches!(operator, "And" | "Or") {
            result = as_bool(result);
        }
        one(result)
    }

    /// Whether an operand has whole numbers.
    pub(super) fn is_whole(&self, operand: &Operand) -> bool {
        !matches!(operand, Operand::Class { .. }) && self.builder.number(operand) != Number::Real
    }

    fn mean(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let mut sum = self.first()?;
        for index in 1..node.inputs() {
            let next = self.builder.operand(node, index)?;
            sum = self.builder.pair(node, Operation::Add, &sum, &next)?;
        }
        Ok(vec![self.builder.times(node, &sum, 1.0 / node.inputs().max(1) as f64)?])
    }

    fn compare(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let (a, b) = (self.first()?, self.builder.operand(node, 1)?);
        let not = |read: &mut Self, operand: Operand| {
            let function = Expression::Number(1.0).with(Operation::Sub, Expression::X);
            read.builder.apply(node, &operand, function).map(as_bool)
        };
        let result = match operator {
            "Greater" => self.builder.pair(node, Operation::Less, &b, &a)?,
            "LessOrEqual" => {
                let greater = self.builder.pair(node, Operation::Less, &b, &a)?;
                not(self, greater)?
            }
            "GreaterOrEqual" => {
                let less = self.builder.pair(node, Operation::Less, &a, &b)?;
                not(self, less)?
            }
            _ => {
                let equal = self.builder.pair(node, Operation::Equal, &a, &b)?;
                not(self, equal)?
            }
        };
        one(result)
    }

    /// Only of known tensors, as in arithmetic on shapes.
    fn modulo(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["fmod"])?;
        let (a, b) = (self.builder.host(node, 0)?, self.builder.host(node, 1)?);
        let Some(by) = b.only().filter(|&by| by != 0.0) else {
            return Err(node.unsupported("expected a divisor of one number other than 0"));
        };
        self.builder.spend(a.entries.len())?;
        let truncated = node.integer("fmod", 0) != 0;
        let of = |&x: &f64| if truncated { x % by } else { x - by * (x / by).floor() };
        let entries = a.entries.iter().map(of).collect();
        one(Host { entries, ..(*a).clone() }.into())
    }

    /// `where(c, a, b)` is a·c + b·(1 − c).
    fn choose(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let condition = self.first()?;
        let (a, b) = (self.builder.operand(node, 1)?, self.builder.operand(node, 2)?);
        let shapes = [&condition, &a, &b].map(|operand| self.builder.shape(operand));
        let to = self.builder.broadcast(node, &shapes)?;
        if let (Operand::Known(condition), Operand::Known(a), Operand::Known(b)) =
            (&condition, &a, &b)
        {
            let count = crate::graph::ValueShape(to.clone()).entries();
            self.builder.spend(count.saturating_mul(3))?;
            let spread = |host: &Host| {
                let mut shape = vec![1; to.len() - host.shape.len()];
                shape.extend(&host.shape);
                match host.entries.is_empty() || count == 0 {
                    true => vec![],
                    false => crate::graph::moves::broadcast(&shape, &to, &host.entries),
                }
            };
            let pairs = spread(a).into_iter().zip(spread(b));
            let chosen = spread(condition).into_iter().zip(pairs);
            let entries = chosen.map(|(c, (a, b))| if c == 0.0 { b } else { a }).collect();
            return one(Host { shape: to, number: a.number, entries }.into());
        }
        let inverse = Expression::Number(1.0).with(Operation::Sub, Expression::X);
        let inverse = self.builder.apply(node, &condition, inverse)?;
        let mut sides = vec![];
        for (side, chosen) in [(a, condition), (b, inverse)] {
            // Masks hold −∞ or the least number where nothing may be seen.
            let side = match side {
                Operand::Known(host) => bounded(&host).into(),
                value => value,
            };
            let cut = self.builder.pair(node, Operation::Mul, &side, &chosen)?;
            sides.push(self.builder.expand(node, &cut, &to)?);
        }
        one(self.builder.pair(node, Operation::Add, &sides[0], &sides[1])?)
    }

    fn cast(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["to", "saturate", "round_mode"])?;
        let of = self.first()?;
        let number = if node.has("to") {
            let to = DataType(i32::try_from(node.integer("to", 0)).unwrap_or(0));
            // Labels may be texts; the class behind them is the same.
            match (Number::of(to), &of) {
                (Some(number), _) => number,
                (None, Operand::Class { .. }) => return one(of),
                (None, _) => return Err(node.attribute("to")),
            }
        } else {
            let like = self.builder.operand(node, 1)?;
            self.builder.number(&like)
        };
        let from = self.builder.number(&of);
        let function = match (from, number) {
            (Number::Real, Number::Whole | Number::Natural) => Some(truncate()),
            (Number::Real | Number::Whole | Number::Natural, Number::Bool) => Some(
                Expression::Number(1.0)
                    .with(Operation::Sub, Expression::X.by(Operation::Equal, 0.0)),
            ),
            _ => None,
        };
        // From here on, the numbers are real: divisions have fractions.
        if let (Operand::Value(_), Number::Real, true) = (&of, number, self.is_whole(&of)) {
            let rank = self.builder.shape(&of).rank();
            let by = crate::graph::GraphConstant::scalar(1.0, rank);
            return one(self.builder.layer(node, crate::graph::Kind::Scale { by }, &[of])?);
        }
        let cast = match (&of, function) {
            (Operand::Class { .. }, _) | (_, None) => of,
            (_, Some(function)) => self.builder.apply(node, &of, function)?,
        };
        if number != Number::Real && from == Number::Real {
            self.builder.keep_number(&cast, number);
        }
        one(match cast {
            Operand::Known(host) => Host { number, ..(*host).clone() }.into(),
            other => other,
        })
    }
}

/// Why a division of integers is refused.
pub(super) const WHOLE: &str =
    "a division of whole numbers, which rounds; cast to floats before it";

/// Whether both operands are known.
const fn known(a: &Operand, b: &Operand) -> bool {
    matches!((a, b), (Operand::Known(_), Operand::Known(_)))
}

/// x without its fraction.
fn truncate() -> Expression {
    let magnitude = Expression::call(Function::Abs).then(Function::Floor);
    magnitude.with(Operation::Mul, Expression::call(Function::Sign))
}

/// A known tensor of 0 and 1.
fn as_bool(operand: Operand) -> Operand {
    match operand {
        Operand::Known(host) => Host { number: Number::Bool, ..(*host).clone() }.into(),
        other => other,
    }
}

/// A mask without infinities.
pub(super) fn bounded(host: &Host) -> Host {
    const MOST: f64 = 1e9;
    let entries = host.entries.iter().map(|entry| entry.clamp(-MOST, MOST)).collect();
    Host { entries, ..host.clone() }
}
